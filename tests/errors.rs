//! Every way a call can fail: how it is told apart, and whether the message may be stored.
#![allow(clippy::type_complexity)] // tables of cases

use std::error::Error as _;
use std::time::Duration;

use botpress_messages::http::StatusCode;
use botpress_messages::{
    AnswerError, ApiError, Error, ErrorKind, ErrorType, NewMessage, Retry, content::Text,
};
use serde_json::json;
use test_support::*;
use tokio::net::TcpListener;

async fn fails_with(answer: Vec<u8>) -> Error {
    let (url, _) = script(vec![answer]).await;
    once(&url).get_or_create(&hello()).await.unwrap_err()
}

fn json_answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    http(status, &format!("content-type: application/json\r\n{headers}"), body)
}

/// Status, type, extra headers; whether the message may be stored, and the hint.
#[tokio::test]
async fn refusals_of_the_api() {
    let cases: [(&str, &str, &str, bool, Option<u64>); 20] = [
        ("400 Bad Request", "InvalidPayload", "", false, None),
        ("400 Bad Request", "ReferenceNotFound", "", false, None),
        ("401 Unauthorized", "Unauthorized", "", false, None),
        ("402 Payment Required", "PaymentRequired", "", false, None),
        ("403 Forbidden", "QuotaExceeded", "", false, None),
        ("404 Not Found", "ResourceNotFound", "", false, None),
        ("405 Method Not Allowed", "MethodNotFound", "", false, None),
        ("409 Conflict", "AlreadyExists", "", false, None),
        ("410 Gone", "ResourceGone", "", false, None),
        ("413 Content Too Large", "PayloadTooLarge", "", false, None),
        ("415 Unsupported Media Type", "UnsupportedMediaType", "", false, None),
        ("429 Too Many Requests", "RateLimited", "", false, None),
        ("429 Too Many Requests", "RateLimited", "RateLimit-Reset: 2\r\n", false, Some(2)),
        ("429 Too Many Requests", "RateLimited", "X-RateLimit-Reset: 1\r\n", false, Some(1)),
        (
            "429 Too Many Requests",
            "RateLimited",
            "Retry-After: 4\r\nRateLimit-Reset: 2\r\n",
            false,
            Some(4),
        ),
        (
            "429 Too Many Requests",
            "RateLimited",
            "Date: Wed, 19 Aug 2026 10:00:00 GMT\r\nRetry-After: Wed, 19 Aug 2026 10:00:07 GMT\r\n",
            false,
            Some(7),
        ),
        ("500 Internal Server Error", "Internal", "RateLimit-Reset: 1\r\n", true, None),
        ("503 Service Unavailable", "Unknown", "Retry-After: 5\r\n", true, Some(5)),
        ("504 Gateway Timeout", "OperationTimeout", "Retry-After: soon\r\n", true, None),
        ("418 I'm a teapot", "AnythingNew", "", false, None),
    ];
    for (status, kind, headers, maybe_stored, hint) in cases {
        let code = &status[..3];
        let sent = format!(
            r#"{{"id":"err_1x2","code":{code},"type":"{kind}","message":"so\nit is","metadata":{{"a":1}}}}"#
        );
        let documented = format!(r#"{{"type":"{kind}","description":"so it is","status":{code}}}"#);
        for body in [sent, documented] {
            let error = fails_with(json_answer(status, headers, &body)).await;
            assert!(error.is_api(), "{status}: {error:?}");
            assert_eq!(error.status().unwrap().as_str(), code);
            assert_eq!(error.maybe_stored(), maybe_stored, "{status}");
            assert_eq!(error.retry_after(), hint.map(Duration::from_secs), "{status} {headers}");
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("the API answered {code} {kind}: so it is")),
                "{text}"
            );
            assert_eq!(text.contains("may be stored"), maybe_stored, "{text}");
            let ErrorKind::Api(error) = error.kind() else { unreachable!() };
            assert_eq!(error.type_, ErrorType::from(kind));
            assert_eq!(matches!(error.type_, ErrorType::Other(_)), kind == "AnythingNew");
            if body.contains("message") {
                assert_eq!(error.id.as_deref(), Some("err_1x2"));
                assert_eq!(error.metadata["a"], 1);
            }
        }
    }
}

/// What came back, whether the webhook is to be sent again if tags identify its message, and if not.
#[tokio::test]
async fn the_error_says_whether_the_channel_shall_repeat() {
    let api = |status: &str, kind: &str| {
        json_answer(status, "", &format!(r#"{{"type":"{kind}","message":"no"}}"#))
    };
    let page = |status: &str| http(status, "content-type: text/html\r\n", "<html>");
    let cases = [
        (api("400 Bad Request", "InvalidPayload"), false, false),
        (api("401 Unauthorized", "Unauthorized"), true, true),
        (api("402 Payment Required", "PaymentRequired"), true, true),
        (api("403 Forbidden", "QuotaExceeded"), true, true),
        (api("404 Not Found", "ResourceNotFound"), false, false),
        (api("409 Conflict", "AlreadyExists"), false, false),
        (api("409 Conflict", "ResourceLockedConflict"), true, true),
        (api("410 Gone", "ResourceGone"), false, false),
        (api("413 Content Too Large", "PayloadTooLarge"), false, false),
        (api("429 Too Many Requests", "RateLimited"), true, true),
        (api("500 Internal Server Error", "Internal"), true, false),
        (api("504 Gateway Timeout", "OperationTimeout"), true, false),
        (page("429 Too Many Requests"), true, true),
        (page("503 Service Unavailable"), true, false),
        (page("404 Not Found"), true, false),
        (page("413 Content Too Large"), false, false),
        (page("302 Found"), true, false),
        (page("200 OK"), true, false),
        (Vec::new(), true, false),
    ];
    for (answer, if_identified, if_not) in cases {
        let unidentified = NewMessage::new(CONVERSATION, USER, Text::new("Hello"));
        for (message, expected) in [(hello(), if_identified), (unidentified, if_not)] {
            let (url, _) = script(vec![answer.clone()]).await;
            let error = once(&url).get_or_create(&message).await.unwrap_err();
            assert_eq!(error.should_repeat(), expected, "{error}");
        }
    }
    // What was never sent can be sent again; what must not be sent cannot.
    let closed = client("http://127.0.0.1:1");
    closed.close();
    assert!(closed.get_or_create(&hello()).await.unwrap_err().should_repeat());
    let invalid = hello().tag("id", "x".repeat(501));
    assert!(!closed.get_or_create(&invalid).await.unwrap_err().should_repeat());
}

#[tokio::test]
async fn an_odd_detail_does_not_hide_a_refusal() {
    let details = [
        "\"metadata\":null",
        "\"metadata\":[]",
        "\"code\":\"400\"",
        "\"id\":5",
        "\"status\":\"400\"",
    ];
    for detail in details {
        for text in ["message", "description"] {
            let body = format!(r#"{{"type":"InvalidPayload","{text}":"no",{detail}}}"#);
            let error = fails_with(json_answer("400 Bad Request", "", &body)).await;
            assert!(error.is_api() && !error.maybe_stored(), "{body}: {error:?}");
        }
    }
}

/// A server that never stops must not fill the memory.
#[tokio::test]
async fn an_endless_answer_is_cut() {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n".to_vec();
    answer.resize(20 << 20, b' ');
    let (url, _server) = script(vec![answer]).await;
    let error = once(&url).get_or_create(&hello()).await.unwrap_err();
    assert!(
        error.is_answer() && error.to_string().contains("the answer is longer than 8388608 bytes"),
        "{error}"
    );
}

/// The answer, whether the message may be stored, what the text says.
#[tokio::test]
async fn answers_that_are_not_the_apis() {
    let html = "<html>\n<h1>Bad Gateway</h1>";
    let page = |status| http(status, "content-type: text/html\r\n", html);
    let cut =
        |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{body}").into_bytes();
    let cases: [(Vec<u8>, bool, &str); 12] = [
        (page("502 Bad Gateway"), true, "502, text/html, \"<html> <h1>Bad Gateway</h1>\""),
        (page("503 Service Unavailable"), true, "503, text/html"),
        (page("404 Not Found"), true, "404, text/html"),
        (page("429 Too Many Requests"), false, "429, text/html"),
        (page("200 OK"), true, "200, text/html (expected value"),
        (http("503 Service Unavailable", "", ""), true, "503, with an empty body"),
        (http("200 OK", "", ""), true, "200, with an empty body"),
        (http("204 No Content", "", ""), true, "204, with an empty body"),
        (cut(r#"{"message":{"id":"ms"#), true, "200 (end of file before message length reached)"),
        (json_answer("200 OK", "", "{}"), true, "missing field `message`"),
        (
            json_answer("200 OK", "", r#"{"type":"Internal","message":"no"}"#),
            true,
            "200, application/json",
        ),
        (
            json_answer("500 Internal Server Error", "", r#"{"error":"no"}"#),
            true,
            "500, application/json",
        ),
    ];
    for (answer, maybe_stored, text) in cases {
        let raw = String::from_utf8_lossy(&answer).into_owned();
        let error = fails_with(answer).await;
        assert!(error.is_answer(), "{raw}: {error:?}");
        assert_eq!(error.maybe_stored(), maybe_stored, "{raw}");
        assert!(error.to_string().contains(text), "{error} lacks {text}");
        assert!(!error.to_string().contains('\n'), "one line: {error}");
        let ErrorKind::Answer(error) = error.kind() else { unreachable!() };
        assert!(
            raw.contains(error.status.as_str()) && raw.ends_with(&error.body_start),
            "{error:?}"
        );
        assert_eq!(error.headers.get("content-type").is_some(), raw.contains("content-type"));
    }
}

#[tokio::test]
async fn a_truncated_answer_names_its_cause() {
    let error = fails_with(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()).await;
    let ErrorKind::Answer(answer) = error.kind() else { panic!("{error:?}") };
    assert_eq!((answer.status.as_u16(), answer.body_start.as_str()), (200, "{"));
    assert!(answer.reason().unwrap().is::<reqwest::Error>(), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_stored_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = once(&url).get_or_create(&hello()).await.unwrap_err();
    assert!(error.is_transport() && !error.maybe_stored() && !error.is_timeout(), "{error:?}");
    assert!(
        error.to_string().starts_with(&format!("no connection to the API at {url}: ")),
        "{error}"
    );
    let ErrorKind::Transport(transport) = error.kind() else { panic!("{error:?}") };
    assert!(transport.reason().is_connect() && error.source().is_none());
}

/// A proxy that refuses is no fault of the API's.
#[tokio::test]
async fn a_proxy_that_refuses_is_called_one() {
    let (url, _) = script(vec![http("403 Forbidden", "", "")]).await;
    let client = builder("https://localhost:1")
        .http(move |http| http.proxy(reqwest::Proxy::all(&url).unwrap()))
        .retry(Retry::off())
        .build()
        .unwrap();
    let error = client.get_or_create(&hello()).await.unwrap_err();
    assert!(error.to_string().starts_with("the proxy made no connection to the API"), "{error}");
    assert!(!error.maybe_stored() && error.should_repeat());
}

/// Programs print the whole chain of causes, as anyhow's `{:#}` does: nothing stands in it twice.
#[tokio::test]
async fn no_cause_is_told_twice() {
    let errors = [
        fails_with(Vec::new()).await,
        fails_with(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()).await,
        once("http://127.0.0.1:1").get_or_create(&hello()).await.unwrap_err(),
        builder("http://").build().unwrap_err(),
        builder("http://127.0.0.1:1").header("a b", "c").build().unwrap_err(),
    ];
    for error in errors {
        let mut chain = vec![error.to_string()];
        let mut source = error.source();
        while let Some(cause) = source {
            chain.push(cause.to_string());
            source = cause.source();
        }
        let text = chain.join(": ");
        let parts: Vec<_> = text.split(": ").collect();
        let different: std::collections::BTreeSet<_> = parts.iter().collect();
        assert_eq!(parts.len(), different.len(), "{text}");
    }
}

/// What a test of one's own code needs, to put it in the place of the client.
#[test]
fn errors_can_be_made() {
    let locked = ApiError::new(StatusCode::CONFLICT, ErrorType::ResourceLockedConflict, "locked");
    let page = AnswerError::new(StatusCode::BAD_GATEWAY, "<html>");
    let cases = [
        (ErrorKind::Invalid(Vec::new()), 0, false, false),
        (ErrorKind::Deadline, 0, false, true),
        (ErrorKind::Api(Box::new(locked)), 1, false, true),
        (ErrorKind::Answer(Box::new(page)), 1, true, true),
    ];
    for (kind, attempts, maybe_stored, should_repeat) in cases {
        let error = Error::new(kind);
        let facts = (error.attempts(), error.maybe_stored(), error.should_repeat());
        assert_eq!(facts, (attempts, maybe_stored, should_repeat), "{error}");
    }
    // What may hold a message is for the program's eyes alone.
    for (status, shown) in [(StatusCode::BAD_GATEWAY, true), (StatusCode::OK, false)] {
        let answer = AnswerError::new(status, "Hello");
        assert_eq!(answer.body_start, "Hello");
        let error = Error::new(ErrorKind::Answer(Box::new(answer)));
        assert_eq!(format!("{error:?} {error:#?} {error}").contains("Hello"), shown, "{error:?}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_may_have_stored_it() {
    let error = fails_with(Vec::new()).await;
    assert!(error.is_transport() && error.maybe_stored(), "{error:?}");
    assert!(
        error.to_string().starts_with("the connection broke before the answer came"),
        "{error}"
    );
    assert!(error.to_string().ends_with("; the message may be stored"), "{error}");
}

/// With time paused, the timeouts pass as soon as nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_in_time_may_have_stored_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let silent = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            request(&mut connection).await;
            open.push(connection);
        }
    });
    let builder = || builder(&url).retry(Retry::off());
    for (builder, limit) in [(builder(), 20), (builder().timeout(Duration::from_secs(5)), 5)] {
        let start = tokio::time::Instant::now();
        let error = builder.build().unwrap().get_or_create(&hello()).await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), limit);
        assert!(error.is_timeout() && error.is_transport() && error.maybe_stored(), "{error:?}");
        assert!(error.to_string().starts_with("no answer from the API in time"), "{error}");
    }
    silent.abort();
}

/// A debugging proxy or a wrong base URL may repeat what it was sent.
#[tokio::test]
async fn a_token_that_the_server_repeats_is_shown_nowhere() {
    let echo = format!("x-echo: Bearer {TOKEN}\r\n");
    let error = format!(
        r#"{{"type":"Unauthorized","message":"{TOKEN}","id":"{TOKEN}","metadata":{{"m":"{TOKEN}"}}}}"#
    );
    let answers = [
        http("502 Bad Gateway", &echo, TOKEN),
        json_answer("401 Unauthorized", &echo, &error),
        json_answer(
            "403 Forbidden",
            &echo,
            &format!(r#"{{"type":"{TOKEN}","description":"{TOKEN}"}}"#),
        ),
        json_answer("200 OK", &echo, &format!(r#"{{"message":"{TOKEN}"}}"#)),
        json_answer("200 OK", &echo, &format!(r#"{{"message":{{"id":"{TOKEN}"}}}}"#)),
    ];
    for answer in answers {
        let error = fails_with(answer).await;
        let mut shown = format!("{error} {error:?}");
        let mut source = error.source();
        while let Some(cause) = source {
            shown += &format!("{cause} {cause:?}");
            source = cause.source();
        }
        assert!(!shown.contains(TOKEN), "{shown}");
    }
}

/// A token that JSON spells in its own way, or that stands where the text is cut.
#[tokio::test]
async fn no_spelling_of_a_token_is_shown() {
    const TOKEN: &str = r#"bp"pat\\5/ecret"#;
    let spelled = serde_json::to_string(TOKEN).unwrap();
    let slashes = spelled.replace('/', "\\/");
    let unicode: String = TOKEN.chars().map(|c| format!("\\u{:04x}", c as u32)).collect();
    let error = |token: &str| {
        format!(r#"{{"type":"X","message":{token},"metadata":{{"m":[{token}],{token}:1}}}}"#)
    };
    let long = |kept: usize| format!("{}{TOKEN}", "x".repeat(kept));
    let cut = format!("HTTP/1.1 502 x\r\ncontent-length: 999\r\n\r\n{}", &TOKEN[..10]);
    let answers = [
        json_answer("400 Bad Request", "", &error(&spelled)),
        json_answer("400 Bad Request", "", &error(&slashes)),
        json_answer("400 Bad Request", "", &error(&format!("\"{unicode}\""))),
        json_answer("502 Bad Gateway", "", &format!("[{spelled}]")),
        json_answer("502 Bad Gateway", "", &format!("[{slashes}")),
        json_answer("502 Bad Gateway", "", &format!("[\"{unicode}\"]")),
        http("502 Bad Gateway", "", &long(990)),
        http("502 Bad Gateway", "", &long(7_990)),
        cut.into_bytes(),
    ];
    for answer in answers {
        let (url, _) = script(vec![answer]).await;
        let client = builder(&url).token(TOKEN);
        let client = client.retry(Retry::off()).build().unwrap();
        let error = client.get_or_create(&hello()).await.unwrap_err();
        let shown = match error.kind() {
            ErrorKind::Api(api) => format!("{error} {:?} {}", api, json!(api.metadata)),
            ErrorKind::Answer(answer) => format!("{error} {}", answer.body_start),
            other => unreachable!("{other:?}"),
        };
        let shown = shown.replace("\\u", "").replace('\\', "");
        assert!(!shown.contains("bp\"pat") && !shown.contains("5/ecret"), "{shown}");
        assert!(!shown.contains("00620070"), "{shown}");
    }
}

/// What a 2xx holds is somebody's message: an error's text and its causes show none of it.
#[tokio::test]
async fn no_text_of_a_message_is_shown() {
    let bodies = [
        r#"{"message":{"text":"Dear diary"}}"#,
        r#"{"message":"Dear diary, expected nothing"}"#,
        r#"{"message":{"id":"1","createdAt":"Dear diary"}}"#,
        r#"{"text":"Dear diary"#,
    ];
    for body in bodies {
        let error = fails_with(json_answer("200 OK", "", body)).await;
        let mut shown = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            shown += &cause.to_string();
            source = cause.source();
        }
        assert!(!shown.contains("diary"), "{shown}");
        let ErrorKind::Answer(answer) = error.kind() else { panic!("{error:?}") };
        assert_eq!(answer.body_start, body);
    }
}
