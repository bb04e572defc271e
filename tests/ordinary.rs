//! Operations that do not get or create records need only their YAML, `tests/specs/ordinary.yaml`: the client
//! generated from it talks to a server.

/// The parts of the library that generated code uses.
mod attempt {
    #[derive(Clone, Debug)]
    pub struct Hooks;

    impl progenitor_client::ClientHooks<Hooks> for crate::api::Client {}
}

#[allow(clippy::all, dead_code)]
mod api {
    // `tests/build_script.rs` compares it with what is generated.
    include!("snapshots/ordinary.rs");
}

use api::types::NewNote;
use serde_json::json;
use test_support::{http, script};

const NOTE: &str = r#"{"id":"1","text":"Hello"}"#;

async fn client(responses: Vec<Vec<u8>>) -> (api::Client, tokio::task::JoinHandle<Vec<String>>) {
    let (url, requests) = script(responses).await;
    (api::Client::new_with_client(&url, reqwest::Client::new(), attempt::Hooks), requests)
}

#[tokio::test]
async fn operations_with_parameters_and_bodies_are_called() {
    let notes = format!(r#"{{"notes":[{NOTE}]}}"#);
    let (client, requests) = client(vec![
        http("200 OK", "connection: close\r\n", &notes),
        http("201 Created", "connection: close\r\n", NOTE),
        http("200 OK", "connection: close\r\n", NOTE),
        http("204 No Content", "connection: close\r\n", ""),
    ])
    .await;
    let listed = client.list_notes(Some(2), "a b").await.unwrap();
    assert_eq!(listed.notes[0].text, "Hello");
    let created = client.create_note(&NewNote::new("Hello")).await.unwrap();
    assert_eq!((created.status().as_u16(), created.id.as_str()), (201, "1"));
    assert_eq!(client.replace_note("a/b", &NewNote::new("Hello")).await.unwrap().id, "1");
    client.delete_note("1").await.unwrap();

    let requests = requests.await.unwrap();
    let lines: Vec<_> = requests.iter().map(|request| request.lines().next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/notes?page=2&tag=a+b HTTP/1.1",
            "POST /v1/notes HTTP/1.1",
            "PUT /v1/notes/a%2Fb HTTP/1.1",
            "DELETE /v1/notes/1 HTTP/1.1",
        ]
    );
    for request in &requests[1..3] {
        let body = request.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(body).unwrap(),
            json!({"text": "Hello"})
        );
    }
}

#[tokio::test]
async fn other_responses_reach_the_caller_whole() {
    let (client, _) = client(vec![http("404 Not Found", "x-trace: 7\r\n", "gone")]).await;
    let Err(api::Error::UnexpectedResponse(response)) = client.delete_note("1").await else {
        panic!("404 is not a success")
    };
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-trace"]),
        (404, &"7".parse().unwrap())
    );
    assert_eq!(response.text().await.unwrap(), "gone");
}
