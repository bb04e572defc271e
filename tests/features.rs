//! Checks what works with any choice of features, even none. This test is part of the package.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use botpress_messages::{Client, ErrorKind, NewUser, Retry};

/// A client without the environment, for one attempt.
fn client(url: &str) -> Result<Client, botpress_messages::Error> {
    let client = Client::builder().base_url(url).token("bp_pat_5ecret").bot_id("bot");
    client.integration_id("slack").retry(Retry::off()).build()
}

#[tokio::test]
async fn a_user_is_found_or_created() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(br#"{"tags":{"id":"U1"}}"#) {
            let mut bytes = [0; 1_024];
            let count = connection.read(&mut bytes).unwrap();
            request.extend_from_slice(&bytes[..count]);
        }
        let body = r#"{"user":{"id":"user_1","createdAt":"2026-08-19T10:00:00Z","updatedAt":"2026-08-19T10:00:00Z","tags":{"id":"U1"}},"meta":{"created":true}}"#;
        write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            .unwrap();
        String::from_utf8(request).unwrap()
    });
    let stored =
        client(&url).unwrap().get_or_create(&NewUser::new().tag("id", "U1")).await.unwrap();
    assert_eq!((stored.record.id.as_str(), stored.created), ("user_1", Some(true)));
    assert!(server.join().unwrap().starts_with("POST /v1/chat/users/get-or-create HTTP/1.1\r\n"));
}

/// With TLS the call fails because nothing listens; without TLS the client cannot be built.
#[tokio::test]
async fn https_needs_a_feature() {
    let tls = cfg!(any(feature = "rustls", feature = "native-tls"));
    match client("https://localhost:1") {
        Ok(client) => {
            let error = client.get_or_create(&NewUser::new().tag("id", "U1")).await.unwrap_err();
            assert!(
                tls && matches!(error.kind(), ErrorKind::Transport(_)) && !error.maybe_stored(),
                "{error}"
            );
        }
        Err(error) => {
            assert!(!tls && error.to_string().contains("`rustls` or `native-tls`"), "{error}");
        }
    }
}
