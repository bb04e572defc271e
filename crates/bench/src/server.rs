//! A server that responds to every request at once, with as little work as possible.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const MESSAGE: &str = r#"{"message":{"id":"msg_01KDF2QM9Z2CK5XYT0RD4E7J5K","createdAt":"2026-08-19T10:00:00.250Z","updatedAt":"2026-08-19T10:00:01.500Z","type":"text","payload":{"text":"can someone restart **staging**?"},"direction":"incoming","userId":"user_010NFASW4XK2YJ5RVY7B6JMC28","conversationId":"conv_01KDF2QM9Z2CK5XYT0RD4E7J5K","tags":{"channelId":"C05C6ACTLPQ","ts":"1722441123.004619","userId":"U05BPU9V1KQ"}},"meta":{"created":true}}"#;
const USER: &str = r#"{"user":{"id":"user_010NFASW4XK2YJ5RVY7B6JMC28","createdAt":"2026-08-19T10:00:00.250Z","updatedAt":"2026-08-19T10:00:01.500Z","tags":{"id":"U05BPU9V1KQ"}},"meta":{"created":true}}"#;
const CONVERSATION: &str = r#"{"conversation":{"id":"conv_01KDF2QM9Z2CK5XYT0RD4E7J5K","createdAt":"2026-08-19T10:00:00.250Z","updatedAt":"2026-08-19T10:00:01.500Z","channel":"channel","integration":"slack","tags":{"id":"C05C6ACTLPQ"}},"meta":{"created":true}}"#;

/// Listens on a free port of the loopback address, reports the address, and serves until the process ends.
pub async fn serve(listening: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    listening(listener.local_addr()?);
    loop {
        let (connection, _) = listener.accept().await?;
        // A client that disconnects ends only its own connection.
        tokio::spawn(async move { drop(respond(connection).await) });
    }
}

/// Below this path, the rate limit allows so few requests at once that many calls wait for it.
pub const BUSY: &str = "/busy";
const AT_ONCE: u64 = 64;

async fn respond(mut connection: TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let responses = [999_999, AT_ONCE].map(|remaining| {
        [MESSAGE, USER, CONVERSATION].map(|body| {
            let length = body.len();
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
                 ratelimit-limit: 1000000\r\nratelimit-remaining: {remaining}\r\nratelimit-reset: 1\r\n\
                 date: Wed, 19 Aug 2026 10:00:00 GMT\r\n\r\n{body}"
            )
        })
    });
    let mut bytes = Vec::new();
    loop {
        while let Some((busy, response, length)) = request(&bytes) {
            bytes.drain(..length);
            connection.write_all(responses[usize::from(busy)][response].as_bytes()).await?;
        }
        if connection.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
}

/// The request at the start of the bytes, if it is complete: whether the server is busy, the index of its
/// response, and its length.
fn request(bytes: &[u8]) -> Option<(bool, usize, usize)> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
    };
    let end = head + text.lines().find_map(header).unwrap_or(0);
    let response = ["/users/", "/conversations/"].iter().position(|path| text.contains(path));
    (bytes.len() >= end).then_some((
        text.contains(BUSY),
        response.map_or(0, |index| index + 1),
        end,
    ))
}
