//! Every way a call can fail: how it is recognised, and whether the message may be stored.

use std::error::Error as _;
use std::time::Duration;

use botpress_messages::http::StatusCode;
use botpress_messages::{
    ApiError, Error, ErrorKind, ErrorType, NewMessage, NewUser, ResponseError, Retry, content::Text,
};
use serde_json::json;
use test_support::*;
use tokio::net::TcpListener;

async fn fails_with(response: Vec<u8>) -> Error {
    let (url, _) = script(vec![response]).await;
    once(&url).get_or_create(&hello()).await.unwrap_err()
}

fn json_response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    http(status, &format!("content-type: application/json\r\n{headers}"), body)
}

#[tokio::test]
async fn errors_of_the_api_are_read() {
    struct Case {
        status: &'static str,
        type_: &'static str,
        headers: &'static str,
        maybe_stored: bool,
        /// How long the response asks to wait.
        seconds: Option<u64>,
    }
    const REJECTED: Case =
        Case { status: "", type_: "", headers: "", maybe_stored: false, seconds: None };
    let cases = [
        Case { status: "400 Bad Request", type_: "InvalidPayload", ..REJECTED },
        Case { status: "400 Bad Request", type_: "ReferenceNotFound", ..REJECTED },
        Case { status: "401 Unauthorized", type_: "Unauthorized", ..REJECTED },
        Case { status: "402 Payment Required", type_: "PaymentRequired", ..REJECTED },
        Case { status: "403 Forbidden", type_: "QuotaExceeded", ..REJECTED },
        Case { status: "404 Not Found", type_: "ResourceNotFound", ..REJECTED },
        Case { status: "405 Method Not Allowed", type_: "MethodNotFound", ..REJECTED },
        Case { status: "409 Conflict", type_: "AlreadyExists", ..REJECTED },
        Case { status: "410 Gone", type_: "ResourceGone", ..REJECTED },
        Case { status: "413 Content Too Large", type_: "PayloadTooLarge", ..REJECTED },
        Case { status: "415 Unsupported Media Type", type_: "UnsupportedMediaType", ..REJECTED },
        Case { status: "429 Too Many Requests", type_: "RateLimited", ..REJECTED },
        Case {
            status: "429 Too Many Requests",
            type_: "RateLimited",
            headers: "RateLimit-Reset: 2\r\n",
            seconds: Some(2),
            ..REJECTED
        },
        Case {
            status: "429 Too Many Requests",
            type_: "RateLimited",
            headers: "X-RateLimit-Reset: 1\r\n",
            seconds: Some(1),
            ..REJECTED
        },
        Case {
            status: "429 Too Many Requests",
            type_: "RateLimited",
            headers: "Retry-After: 4\r\nRateLimit-Reset: 2\r\n",
            seconds: Some(4),
            ..REJECTED
        },
        Case {
            status: "429 Too Many Requests",
            type_: "RateLimited",
            headers: "Date: Wed, 19 Aug 2026 10:00:00 GMT\r\nRetry-After: Wed, 19 Aug 2026 10:00:07 GMT\r\n",
            seconds: Some(7),
            ..REJECTED
        },
        Case {
            status: "500 Internal Server Error",
            type_: "Internal",
            headers: "RateLimit-Reset: 1\r\n",
            maybe_stored: true,
            ..REJECTED
        },
        Case {
            status: "503 Service Unavailable",
            type_: "Unknown",
            headers: "Retry-After: 5\r\n",
            maybe_stored: true,
            seconds: Some(5),
        },
        Case {
            status: "504 Gateway Timeout",
            type_: "OperationTimeout",
            headers: "Retry-After: soon\r\n",
            maybe_stored: true,
            ..REJECTED
        },
        Case { status: "418 I'm a teapot", type_: "AnythingNew", ..REJECTED },
    ];
    for Case { status, type_: kind, headers, maybe_stored, seconds } in cases {
        let code = &status[..3];
        let sent = format!(
            r#"{{"id":"err_1x2","code":{code},"type":"{kind}","message":"so\nit is","metadata":{{"a":1}}}}"#
        );
        let documented = format!(r#"{{"type":"{kind}","description":"so it is","status":{code}}}"#);
        for body in [sent, documented] {
            let error = fails_with(json_response(status, headers, &body)).await;
            assert!(is_api(&error), "{status}: {error:?}");
            assert_eq!(error.status().unwrap().as_str(), code);
            assert_eq!(error.maybe_stored(), maybe_stored, "{status}");
            assert_eq!(error.retry_after(), seconds.map(Duration::from_secs), "{status} {headers}");
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("the API responded {code} {kind}: so it is")),
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

#[tokio::test]
async fn an_error_reports_whether_the_channel_should_repeat() {
    enum Repeat {
        Always,
        /// If tags identify the message.
        IfIdentified,
        Never,
    }
    use Repeat::{Always, IfIdentified, Never};
    struct Case {
        response: Vec<u8>,
        repeat: Repeat,
    }
    let api = |status: &str, kind: &str| {
        json_response(status, "", &format!(r#"{{"type":"{kind}","message":"no"}}"#))
    };
    let page = |status: &str| http(status, "content-type: text/html\r\n", "<html>");
    let cases = [
        Case { response: api("400 Bad Request", "InvalidPayload"), repeat: Never },
        Case { response: api("401 Unauthorized", "Unauthorized"), repeat: Always },
        Case { response: api("402 Payment Required", "PaymentRequired"), repeat: Always },
        Case { response: api("403 Forbidden", "QuotaExceeded"), repeat: Always },
        Case { response: api("404 Not Found", "ResourceNotFound"), repeat: Always },
        Case { response: api("409 Conflict", "AlreadyExists"), repeat: Never },
        Case { response: api("409 Conflict", "ResourceLockedConflict"), repeat: Always },
        Case { response: api("410 Gone", "ResourceGone"), repeat: Never },
        Case { response: api("413 Content Too Large", "PayloadTooLarge"), repeat: Never },
        Case { response: api("429 Too Many Requests", "RateLimited"), repeat: Always },
        Case { response: api("500 Internal Server Error", "Internal"), repeat: IfIdentified },
        Case { response: api("504 Gateway Timeout", "OperationTimeout"), repeat: IfIdentified },
        Case { response: page("429 Too Many Requests"), repeat: Always },
        Case { response: page("503 Service Unavailable"), repeat: IfIdentified },
        Case { response: page("404 Not Found"), repeat: IfIdentified },
        Case { response: page("413 Content Too Large"), repeat: Never },
        Case { response: page("302 Found"), repeat: IfIdentified },
        Case { response: page("200 OK"), repeat: IfIdentified },
        Case { response: Vec::new(), repeat: IfIdentified },
    ];
    for Case { response, repeat } in cases {
        let unidentified = NewMessage::new(CONVERSATION, USER, Text::new("Hello"));
        let [if_identified, otherwise] = match repeat {
            Always => [true, true],
            IfIdentified => [true, false],
            Never => [false, false],
        };
        for (message, expected) in [(hello(), if_identified), (unidentified, otherwise)] {
            let (url, _) = script(vec![response.clone()]).await;
            let error = once(&url).get_or_create(&message).await.unwrap_err();
            assert_eq!(error.should_repeat(), expected, "{error}");
        }
    }
    // A message that was never sent can be sent again; an invalid one cannot.
    let closed = client("http://127.0.0.1:1");
    closed.close();
    assert!(closed.get_or_create(&hello()).await.unwrap_err().should_repeat());
    let invalid = hello().tag("id", "x".repeat(501));
    assert!(!closed.get_or_create(&invalid).await.unwrap_err().should_repeat());
}

#[tokio::test]
async fn an_odd_detail_does_not_hide_a_rejection() {
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
            let error = fails_with(json_response("400 Bad Request", "", &body)).await;
            assert!(is_api(&error) && !error.maybe_stored(), "{body}: {error:?}");
        }
    }
}

/// A server that never stops must not fill the memory.
#[tokio::test]
async fn an_endless_response_is_cut() {
    let mut response = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n".to_vec();
    response.resize(20 << 20, b' ');
    let (url, _server) = script(vec![response]).await;
    let error = once(&url).get_or_create(&hello()).await.unwrap_err();
    assert!(
        is_response(&error)
            && error.to_string().contains("the response is longer than 8388608 bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn unexpected_responses_are_reported() {
    let html = "<html>\n<h1>Bad Gateway</h1>";
    let page = |status| http(status, "content-type: text/html\r\n", html);
    let cut =
        |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{body}").into_bytes();
    struct Case {
        response: Vec<u8>,
        maybe_stored: bool,
        text: &'static str,
    }
    let cases = [
        Case {
            response: page("502 Bad Gateway"),
            maybe_stored: true,
            text: "502, text/html, \"<html> <h1>Bad Gateway</h1>\"",
        },
        Case {
            response: page("503 Service Unavailable"),
            maybe_stored: true,
            text: "503, text/html",
        },
        Case { response: page("404 Not Found"), maybe_stored: true, text: "404, text/html" },
        Case {
            response: page("429 Too Many Requests"),
            maybe_stored: false,
            text: "429, text/html",
        },
        Case {
            response: page("200 OK"),
            maybe_stored: true,
            text: "200, text/html (expected value",
        },
        Case {
            response: http("503 Service Unavailable", "", ""),
            maybe_stored: true,
            text: "503, with an empty body",
        },
        Case {
            response: http("200 OK", "", ""),
            maybe_stored: true,
            text: "200, with an empty body",
        },
        Case {
            response: http("204 No Content", "", ""),
            maybe_stored: true,
            text: "204, with an empty body",
        },
        Case {
            response: cut(r#"{"message":{"id":"ms"#),
            maybe_stored: true,
            text: "200 (end of file before message length reached)",
        },
        Case {
            response: json_response("200 OK", "", "{}"),
            maybe_stored: true,
            text: "missing field `message`",
        },
        Case {
            response: json_response("200 OK", "", r#"{"type":"Internal","message":"no"}"#),
            maybe_stored: true,
            text: "200, application/json",
        },
        Case {
            response: json_response("500 Internal Server Error", "", r#"{"error":"no"}"#),
            maybe_stored: true,
            text: "500, application/json",
        },
    ];
    for Case { response, maybe_stored, text } in cases {
        let raw = String::from_utf8_lossy(&response).into_owned();
        let error = fails_with(response).await;
        assert!(is_response(&error), "{raw}: {error:?}");
        assert_eq!(error.maybe_stored(), maybe_stored, "{raw}");
        assert!(error.to_string().contains(text), "{error} lacks {text}");
        assert!(!error.to_string().contains('\n'), "one line: {error}");
        let ErrorKind::Response(error) = error.kind() else { unreachable!() };
        assert!(
            raw.contains(error.status.as_str()) && raw.ends_with(&error.body_start),
            "{error:?}"
        );
        assert_eq!(error.headers.get("content-type").is_some(), raw.contains("content-type"));
    }
}

#[tokio::test]
async fn a_truncated_response_names_its_cause() {
    let error = fails_with(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()).await;
    let ErrorKind::Response(response) = error.kind() else { panic!("{error:?}") };
    assert_eq!(response.status, 200);
    assert!(response.reason().unwrap().is::<reqwest::Error>(), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_stored_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = once(&url).get_or_create(&hello()).await.unwrap_err();
    assert!(is_transport(&error) && !error.maybe_stored() && !error.is_timeout(), "{error:?}");
    assert!(
        error.to_string().starts_with(&format!("no connection to the API at {url}: ")),
        "{error}"
    );
    let ErrorKind::Transport(transport) = error.kind() else { panic!("{error:?}") };
    assert!(
        transport.reason().downcast_ref::<reqwest::Error>().unwrap().is_connect()
            && error.source().is_none()
    );
}

/// A proxy that rejects is not the API.
#[tokio::test]
async fn a_rejecting_proxy_is_named_as_a_proxy() {
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

/// Programs print the whole chain of causes, as anyhow's `{:#}` does: nothing appears in it twice.
#[tokio::test]
async fn no_cause_is_repeated() {
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

/// Users can construct errors to fake the client in their own tests.
#[test]
fn errors_can_be_made() {
    let locked = ApiError::new(StatusCode::CONFLICT, ErrorType::ResourceLockedConflict, "locked");
    let page = ResponseError::new(StatusCode::BAD_GATEWAY, "<html>");
    struct Case {
        kind: ErrorKind,
        attempts: u32,
        maybe_stored: bool,
        should_repeat: bool,
    }
    let cases = [
        Case {
            kind: ErrorKind::Invalid(Vec::new()),
            attempts: 0,
            maybe_stored: false,
            should_repeat: false,
        },
        Case { kind: ErrorKind::Deadline, attempts: 0, maybe_stored: false, should_repeat: true },
        Case {
            kind: ErrorKind::Api(Box::new(locked)),
            attempts: 1,
            maybe_stored: false,
            should_repeat: true,
        },
        Case {
            kind: ErrorKind::Response(Box::new(page)),
            attempts: 1,
            maybe_stored: true,
            should_repeat: true,
        },
    ];
    for Case { kind, attempts, maybe_stored, should_repeat } in cases {
        let error = Error::new(kind);
        let facts = (error.attempts(), error.maybe_stored(), error.should_repeat());
        assert_eq!(facts, (attempts, maybe_stored, should_repeat), "{error}");
    }
    // A program can read a body that may contain a message, but no text shows it.
    for (status, shown) in [(StatusCode::BAD_GATEWAY, true), (StatusCode::OK, false)] {
        let response = ResponseError::new(status, "Hello");
        assert_eq!(response.body_start, "Hello");
        let error = Error::new(ErrorKind::Response(Box::new(response)));
        assert_eq!(format!("{error:?} {error:#?} {error}").contains("Hello"), shown, "{error:?}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_may_have_stored_it() {
    let error = fails_with(Vec::new()).await;
    assert!(is_transport(&error) && error.maybe_stored(), "{error:?}");
    assert!(
        error.to_string().starts_with("the connection broke before the response came"),
        "{error}"
    );
    assert!(error.to_string().ends_with("; the message may be stored"), "{error}");
}

/// With time paused, the timeouts pass as soon as nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_respond_in_time_may_have_stored_it() {
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
    for (builder, limit) in [
        (builder(), 20),
        (builder().retry(Retry::off().attempt_timeout(Duration::from_secs(5))), 5),
    ] {
        let start = tokio::time::Instant::now();
        let error = builder.build().unwrap().get_or_create(&hello()).await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), limit);
        assert!(error.is_timeout() && is_transport(&error) && error.maybe_stored(), "{error:?}");
        assert!(error.to_string().starts_with("no response from the API in time"), "{error}");
    }
    silent.abort();
}

/// A debugging proxy or a wrong base URL may repeat what it was sent.
#[tokio::test]
async fn a_token_that_the_server_repeats_is_never_shown() {
    let echo = format!("x-echo: Bearer {TOKEN}\r\n");
    let error = format!(
        r#"{{"type":"Unauthorized","message":"{TOKEN}","id":"{TOKEN}","metadata":{{"m":"{TOKEN}"}}}}"#
    );
    let responses = [
        http("502 Bad Gateway", &echo, TOKEN),
        json_response("401 Unauthorized", &echo, &error),
        json_response(
            "403 Forbidden",
            &echo,
            &format!(r#"{{"type":"{TOKEN}","description":"{TOKEN}"}}"#),
        ),
        json_response("200 OK", &echo, &format!(r#"{{"message":"{TOKEN}"}}"#)),
        json_response("200 OK", &echo, &format!(r#"{{"message":{{"id":"{TOKEN}"}}}}"#)),
    ];
    for response in responses {
        let error = fails_with(response).await;
        let mut shown = format!("{error} {error:?}");
        let mut source = error.source();
        while let Some(cause) = source {
            shown += &format!("{cause} {cause:?}");
            source = cause.source();
        }
        assert!(!shown.contains(TOKEN), "{shown}");
    }
}

/// A token that JSON escapes, or within which the text is cut.
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
    let responses = [
        json_response("400 Bad Request", "", &error(&spelled)),
        json_response("400 Bad Request", "", &error(&slashes)),
        json_response("400 Bad Request", "", &error(&format!("\"{unicode}\""))),
        json_response("502 Bad Gateway", "", &format!("[{spelled}]")),
        json_response("502 Bad Gateway", "", &format!("[{slashes}")),
        json_response("502 Bad Gateway", "", &format!("[\"{unicode}\"]")),
        http("502 Bad Gateway", "", &long(990)),
        http("502 Bad Gateway", "", &long(7_990)),
        cut.into_bytes(),
    ];
    for response in responses {
        let (url, _) = script(vec![response]).await;
        let client = builder(&url).token(TOKEN);
        let client = client.retry(Retry::off()).build().unwrap();
        let error = client.get_or_create(&hello()).await.unwrap_err();
        let shown = match error.kind() {
            ErrorKind::Api(api) => format!("{error} {:?} {}", api, json!(api.metadata)),
            ErrorKind::Response(response) => format!("{error} {}", response.body_start),
            other => unreachable!("{other:?}"),
        };
        let shown = shown.replace("\\u", "").replace('\\', "");
        assert!(!shown.contains("bp\"pat") && !shown.contains("5/ecret"), "{shown}");
        assert!(!shown.contains("00620070"), "{shown}");
    }
}

/// The body of a 2xx can contain a message: an error's text and its causes show none of it.
#[tokio::test]
async fn no_text_of_a_message_is_shown() {
    let bodies = [
        r#"{"message":{"text":"Dear diary"}}"#,
        r#"{"message":"Dear diary, expected nothing"}"#,
        r#"{"message":{"id":"1","createdAt":"Dear diary"}}"#,
        r#"{"text":"Dear diary"#,
    ];
    for body in bodies {
        let error = fails_with(json_response("200 OK", "", body)).await;
        let mut shown = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            shown += &cause.to_string();
            source = cause.source();
        }
        assert!(!shown.contains("diary"), "{shown}");
        let ErrorKind::Response(response) = error.kind() else { panic!("{error:?}") };
        assert_eq!(response.body_start, body);
    }
}

/// A page or an error that repeats the request shows nothing of what people wrote.
#[tokio::test]
async fn a_message_that_the_server_repeats_is_hidden() {
    const TEXT: &str = "Dear diary, \"I\" <met> her";
    let message = NewMessage::new(CONVERSATION, USER, Text::new(TEXT)).tag("id", "1");
    let body = json!({ "echo": serde_json::to_value(&message).unwrap() }).to_string();
    let html = TEXT.replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let error = json!({ "type": "Internal", "message": format!("cannot store {TEXT}") });
    let responses = [
        http("502 Bad Gateway", "", &body),
        http("502 Bad Gateway", "", &format!("<pre>{html}</pre>")),
        json_response("500 Internal Server Error", "", &error.to_string()),
    ];
    for response in responses {
        let (url, _) = script(vec![response]).await;
        let error = once(&url).get_or_create(&message).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("diary") && shown.contains("[secret]"), "{shown}");
    }
}

/// Only a bounded part of an error's body is read.
#[tokio::test]
async fn a_huge_error_is_read_only_in_part() {
    let body = format!("[{}\"\"]", "\"\",".repeat(2_700_000));
    let error = fails_with(json_response("500 Internal Server Error", "", &body)).await;
    let ErrorKind::Response(response) = error.kind() else { panic!("{error:?}") };
    assert!(response.body_start.len() <= 1_000 && error.maybe_stored());
    assert!(error.to_string().contains("only 65536 bytes of it were read"), "{error}");
}

/// JavaScript cuts texts within a pair of surrogates, and later versions of the API may have null where others have
/// nothing: all of that is stored, so it has to be read.
#[tokio::test]
async fn responses_with_halves_of_characters_and_nulls_are_read() {
    let user = r#"{"id":"user_1","createdAt":"2026-08-19T10:00:00Z","updatedAt":"2026-08-19T10:00:00Z","tags":{"id":"1","gone":null},"name":"Ann \ud83d","properties":null,"attributes":null}"#;
    let body = format!(r#"{{"user":{user},"meta":{{}}}}"#);
    let (url, _) = script(vec![json_response("200 OK", "RateLimit-Remaining: 7\r\n", &body)]).await;
    let stored = once(&url).get_or_create(&NewUser::new().tag("id", "1")).await.unwrap();
    assert_eq!(stored.record.name.as_deref(), Some("Ann \u{fffd}"));
    assert_eq!((stored.record.tags.len(), stored.created), (1, None));
    assert_eq!(stored.rate_limit.remaining, Some(7));

    // An error with half a character is still an error of the API: nothing is stored.
    let error = r#"{"type":"InvalidPayload","message":"not \udead"}"#;
    let error = fails_with(json_response("400 Bad Request", "", error)).await;
    assert!(is_api(&error) && !error.maybe_stored(), "{error}");
    // In requests, such texts are replaced in the same way.
    let user = NewUser::from_json(r#"{"tags":{"id":"1"},"name":"Ann \ud83d"}"#).unwrap();
    assert_eq!(user.name.as_deref(), Some("Ann \u{fffd}"));
}
