//! The bytes on the wire, and where they must not go.

use std::collections::BTreeMap;

use botpress_messages::Builder;
use botpress_messages::http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use test_support::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// The request line, the headers by lower-case name, and the body.
fn parts(request: &str) -> (&str, BTreeMap<String, &str>, Value) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let headers = headers.lines().map(|header| header.split_once(": ").unwrap());
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value));
    (line, headers.collect(), serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn a_request_has_only_what_the_contract_names() {
    let agent = concat!("botpress-messages/", env!("CARGO_PKG_VERSION"));
    let base = [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("authorization", "Bearer bp_pat_5ecret"),
        ("content-type", "application/json"),
        ("user-agent", agent),
        ("x-bot-id", "bot"),
    ];
    let plain = |url: &str| builder(url);
    struct Case {
        /// The end of the base URL.
        suffix: &'static str,
        /// The path before that of the operation.
        stem: &'static str,
        setup: fn(Builder) -> Builder,
        more: &'static [(&'static str, &'static str)],
    }
    let cases = [
        Case { suffix: "", stem: "", setup: |b| b, more: &[] },
        Case {
            suffix: "/",
            stem: "",
            setup: |b| b.integration_id("slack"),
            more: &[("x-integration-id", "slack")],
        },
        Case {
            suffix: "/stem/",
            stem: "/stem",
            setup: |b| b.integration_alias("wa"),
            more: &[("x-integration-alias", "wa")],
        },
        // The last value counts.
        Case {
            suffix: "",
            stem: "",
            setup: |b| b.integration_id("slack").integration_alias("wa"),
            more: &[("x-integration-alias", "wa")],
        },
        Case {
            suffix: "",
            stem: "",
            setup: |b| b.integration_alias("wa").integration_id("slack"),
            more: &[("x-integration-id", "slack")],
        },
        Case {
            suffix: "",
            stem: "",
            setup: |b| b.integration_id("slack").no_integration(),
            more: &[],
        },
        Case {
            suffix: "",
            stem: "",
            setup: |b| b.header("X-Trace", "1").header("x-more", "2"),
            more: &[("x-trace", "1"), ("x-more", "2")],
        },
        Case { suffix: "", stem: "", setup: |b| b.http(|http| http.referer(true)), more: &[] },
    ];
    for Case { suffix, stem, setup, more } in cases {
        let (url, requests) = script(vec![ok(&stored())]).await;
        let client = setup(plain(&format!("{url}{suffix}"))).build().unwrap();
        client.get_or_create(&hello()).await.unwrap();

        let request = requests.await.unwrap().remove(0);
        let (line, mut headers, body) = parts(&request);
        assert_eq!(line, format!("POST {stem}/v1/chat/messages/get-or-create HTTP/1.1"));
        assert_eq!(headers.remove("host"), url.strip_prefix("http://"));
        assert!(headers.remove("content-length").is_some());
        assert_eq!(
            headers.iter().map(|(name, value)| (name.as_str(), *value)).collect::<Vec<_>>(),
            {
                let mut expected = [&base, more].concat();
                expected.sort();
                expected
            }
        );
        assert_eq!(
            body,
            json!({
                "conversationId": CONVERSATION, "userId": USER, "type": "text",
                "payload": { "text": "Hello" }, "tags": { "id": "1" },
            })
        );
    }
}

/// The keys are sorted, and none appears twice: servers disagree about what a repeated key means.
#[tokio::test]
async fn equal_messages_are_equal_bytes() {
    let (url, requests) = script(vec![ok(&stored()), ok(&stored())]).await;
    let client = client(&url);
    let [a, b] = [["b", "a"], ["a", "b"]].map(|tags| hello().with_tags(tags.map(|tag| (tag, "1"))));
    client.get_or_create(&a).await.unwrap();
    client.get_or_create(&b).await.unwrap();
    let requests = requests.await.unwrap();
    assert_eq!(requests[0], requests[1]);
    assert!(requests[0].ends_with(&format!(
        r#"{{"conversationId":"{CONVERSATION}","payload":{{"text":"Hello"}},"tags":{{"a":"1","b":"1","id":"1"}},"type":"text","userId":"{USER}"}}"#
    )), "{}", requests[0]);
}

#[tokio::test]
async fn a_redirect_is_an_error_and_not_followed() {
    let (elsewhere, _unvisited) = script(vec![]).await;
    let location = format!("location: {elsewhere}/v1/chat/messages/get-or-create\r\n");
    for status in
        ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let (url, _) = script(vec![http(status, &location, "")]).await;
        let error = once(&url).get_or_create(&hello()).await.unwrap_err();
        assert!(is_response(&error) && error.to_string().contains(&elsewhere), "{error}");
    }
}

/// A redirect is not followed even if the caller's settings allow it, which would turn the POST into a GET whose
/// response looks like the message's. It is reported as a single error.
#[tokio::test]
async fn no_setting_follows_a_redirect() {
    for status in ["302 Found", "307 Temporary Redirect"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let location = format!("location: {url}/v1/chat/messages/get-or-create\r\n");
        let server = tokio::spawn(async move {
            let mut requests = 0;
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                request(&mut connection).await;
                requests += 1;
                let response =
                    if requests == 1 { http(status, &location, "") } else { ok(&stored()) };
                connection.write_all(&response).await.unwrap();
            }
        });
        let builder = builder(&url);
        let client = builder.http(|http| http.redirect(reqwest::redirect::Policy::limited(10)));
        let error = client.build().unwrap().get_or_create(&hello()).await.unwrap_err();
        assert!(is_response(&error) && error.attempts() == 1, "{error:?}");
        assert!(error.to_string().contains(&status[..3]), "{error}");
        server.abort();
    }
}

/// For example the trace of the webhook that the call handles.
#[tokio::test]
async fn a_header_of_one_call_is_sent_only_with_that_call() {
    let traceparent = HeaderName::from_static("traceparent");
    let (url, requests) = script(vec![ok(&stored()), ok(&stored())]).await;
    let client = client(&url);
    let traced = client.with_header(traceparent, HeaderValue::from_static("00-1-2-01")).unwrap();
    traced.get_or_create(&hello()).await.unwrap();
    client.get_or_create(&hello()).await.unwrap();
    let requests = requests.await.unwrap();
    assert!(requests[0].contains("traceparent: 00-1-2-01") && !requests[1].contains("traceparent"));
    for name in ["authorization", "x-bot-id", "content-length"] {
        let name = HeaderName::from_static(name);
        let error = client.with_header(name, HeaderValue::from_static("1")).unwrap_err();
        assert!(is_config(&error), "{error}");
    }
}
