//! A server that follows a script, and the recorded cases.

use std::cell::Cell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use botpress_messages::{Builder, Client, Error, ErrorKind, NewMessage, Retry, content::Text};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

pub const CONVERSATION: &str = "conv_01KDF2QM9Z2CK5XYT0RD4E7J5K";
pub const USER: &str = "user_010NFASW4XK2YJ5RVY7B6JMC28";
pub const TOKEN: &str = "bp_pat_5ecret";

pub fn hello() -> NewMessage {
    NewMessage::new(CONVERSATION, USER, Text::new("Hello")).tag("id", "1")
}

pub fn is_api(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Api(_))
}

pub fn is_config(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Config(_))
}

pub fn is_invalid(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Invalid(_))
}

pub fn is_response(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Response(_))
}

pub fn is_transport(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Transport(_))
}

/// A client for this URL, without an integration, because no server in these tests asks for one.
pub fn builder(url: &str) -> Builder {
    quick(Client::builder().base_url(url).token(TOKEN).bot_id("bot").no_integration())
}

/// Settings without the system's certificates, because reading them takes longer than most tests, and with
/// [`time_for_sockets`].
pub fn quick(builder: Builder) -> Builder {
    time_for_sockets();
    #[cfg(feature = "tls")]
    let builder = builder.http(|http| http.tls_certs_only([]));
    builder
}

/// Slows a paused clock down, to a quarter of a second for each real millisecond.
///
/// A paused clock jumps to the next timer as soon as every task waits. On a busy machine, this can happen before
/// a socket reports what arrived, and a call would reach its timeout.
pub fn time_for_sockets() {
    thread_local!(static DONE: Cell<bool> = const { Cell::new(false) });
    let Ok(runtime) = Handle::try_current() else { return };
    // Once per test: each has its own thread.
    if DONE.replace(true) {
        return;
    }
    runtime.spawn(async {
        loop {
            // A paused clock does not advance while this runs.
            let wait = spawn_blocking(|| thread::sleep(Duration::from_millis(1)));
            if wait.await.is_err() {
                return;
            }
            sleep(Duration::from_millis(250)).await;
        }
    });
}

pub fn client(url: &str) -> Client {
    builder(url).build().unwrap()
}

/// A client that makes one attempt.
pub fn once(url: &str) -> Client {
    builder(url).retry(Retry::off()).build().unwrap()
}

/// Runs a future in the runtime of this thread: properties are tested in synchronous code.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local!(static RUNTIME: Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Sends each connection one of the responses, byte by byte, then closes it. Returns its URL and, at the
/// end, the requests.
pub async fn script(responses: Vec<Vec<u8>>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = tokio::spawn(async move {
        let mut requests = Vec::new();
        for response in responses {
            let (mut connection, _) = listener.accept().await.unwrap();
            requests.push(request(&mut connection).await);
            let _ = connection.write_all(&response).await; // the client can disconnect early
        }
        requests
    });
    (url, requests)
}

/// Reads one request, head and body.
pub async fn request(connection: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.is_none_or(|length| body.len() >= length.parse().unwrap()) {
                return text.into_owned();
            }
        }
        assert_ne!(connection.read_buf(&mut bytes).await.unwrap(), 0, "an unfinished request");
    }
}

/// A response with a correct length.
pub fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// A 200 with this body, as JSON.
pub fn ok(body: &Value) -> Vec<u8> {
    http("200 OK", "content-type: application/json\r\n", &body.to_string())
}

/// The response of version 1.82.
pub fn stored() -> Value {
    json!({
        "message": {
            "id": "msg_01KDF2QM9Z2CK5XYT0RD4E7J5K",
            "createdAt": "2026-08-19T10:00:00.250Z",
            "updatedAt": "2026-08-19T10:00:01.500Z",
            "type": "text",
            "payload": { "text": "Hello" },
            "direction": "incoming",
            "userId": USER,
            "conversationId": CONVERSATION,
            "tags": { "id": "1" },
        },
        "meta": { "created": true },
    })
}

/// The recorded requests of a kind, such as `users`: name, whether the contract accepts it, body.
pub fn cases(kind: &str) -> Vec<(String, bool, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cases");
    let lines = fs::read_to_string(format!("{folder}/{kind}.ndjson")).unwrap();
    let cases = lines.lines().map(|line| {
        let mut case: Value = serde_json::from_str(line).unwrap();
        let name = case["name"].as_str().unwrap().to_owned();
        (name, case["accept"].as_bool().unwrap(), case["body"].take())
    });
    cases.collect()
}

/// Reports that a test is skipped, even where the output of passing tests is hidden.
pub fn skipped(test: &str, why: &str) {
    // In one write, so that other output cannot interleave.
    let _ = io::stderr().write_all(format!("SKIPPED: {test} ({why})\n").as_bytes());
}

/// The folder with a package of npm, below this one; `None` if npm cannot fetch it. Only the first run asks npm.
pub fn npm_package(package: &str, folder: &Path) -> Option<PathBuf> {
    let folder = folder.join(package);
    // npm writes this file last.
    if !folder.join("node_modules/.package-lock.json").exists() {
        let mut install = Command::new("npm");
        install.args(["install", "--ignore-scripts", "--no-audit", "--no-fund"]);
        install.args(["--loglevel=error", "--prefer-offline", "--fetch-retries=0"]);
        let install = install.arg("--prefix").arg(&folder).arg(package).stdout(Stdio::null());
        if !install.status().is_ok_and(|status| status.success()) {
            return None;
        }
    }
    Some(folder)
}

/// An example of this crate, which `cargo test` builds next to the tests.
pub fn example(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let path = test.parent().unwrap().with_file_name("examples").join(name);
    assert!(path.exists(), "{} is missing: cargo build --examples", path.display());
    path
}
