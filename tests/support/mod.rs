//! A server that follows a script, the recorded cases, and the vendor's schemas.
#![allow(dead_code)] // each test file uses its own part

pub mod values;

use std::path::PathBuf;
use std::{env, fs};

use botpress_messages::{Builder, Client, NewMessage, Retry, content::Text};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

pub const CONVERSATION: &str = "conv_01KDF2QM9Z2CK5XYT0RD4E7J5K";
pub const USER: &str = "user_010NFASW4XK2YJ5RVY7B6JMC28";
pub const TOKEN: &str = "bp_pat_5ecret";

pub fn hello() -> NewMessage {
    NewMessage::new(CONVERSATION, USER, Text::new("Hello")).tag("id", "1")
}

/// A client for this URL that needs no integration, as no server in these tests asks for one.
pub fn builder(url: &str) -> Builder {
    quick(Client::builder().base_url(url).token(TOKEN).bot_id("bot").no_integration())
}

/// Without the system's certificates: reading them takes longer than most tests.
pub fn quick(builder: Builder) -> Builder {
    builder.http(|http| http.tls_certs_only([]))
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

/// Gives each connection one of the answers, byte by byte as it is, then closes it. Returns its URL
/// and, in the end, the requests.
pub async fn script(answers: Vec<Vec<u8>>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            requests.push(request(&mut connection).await);
            let _ = connection.write_all(&answer).await; // a client may have had enough
        }
        requests
    });
    (url, requests)
}

/// Reads one request, head and body.
pub async fn request(connection: &mut TcpStream) -> String {
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

/// An answer with a correct length.
pub fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// A 200 with this body, as JSON.
pub fn ok(body: &Value) -> Vec<u8> {
    http("200 OK", "content-type: application/json\r\n", &body.to_string())
}

/// What version 1.82 answers.
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
    let lines = fs::read_to_string(format!("tests/cases/{kind}.ndjson")).unwrap();
    let cases = lines.lines().map(|line| {
        let mut case: Value = serde_json::from_str(line).unwrap();
        let name = case["name"].as_str().unwrap().to_owned();
        (name, case["accept"].as_bool().unwrap(), case["body"].take())
    });
    cases.collect()
}

/// The schema of a part of the vendor's contract of some version: `getOrCreateUser/responses/200`.
pub fn schema(version: &str, part: &str) -> Value {
    let file = fs::read_to_string(format!("spec/vendor/{version}.json")).unwrap();
    let contracts: Value = serde_json::from_str(&file).unwrap();
    contracts.pointer(&format!("/{part}/content/application~1json/schema")).unwrap().clone()
}

/// A validator for it, by the `jsonschema` crate.
pub fn vendor(version: &str, part: &str) -> jsonschema::Validator {
    validator(schema(version, part)).unwrap()
}

/// A validator for a schema of OpenAPI 3.0, if it is one.
pub fn validator(mut schema: Value) -> Option<jsonschema::Validator> {
    nullable_as_type(&mut schema);
    jsonschema::options().should_validate_formats(true).build(&schema).ok()
}

/// OpenAPI 3.0 says `nullable`, JSON Schema another type.
fn nullable_as_type(schema: &mut Value) {
    if let Value::Object(object) = schema {
        if object.remove("nullable") == Some(Value::Bool(true)) && object.contains_key("type") {
            object["type"] = json!([object["type"], "null"]);
        }
        object.values_mut().for_each(nullable_as_type);
    }
}

/// An example of this crate, which `cargo test` builds beside the tests.
pub fn example(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let path = test.parent().unwrap().with_file_name("examples").join(name);
    assert!(path.exists(), "{} is missing: cargo build --examples", path.display());
    path
}

/// A string of exactly so many characters, of one to four bytes each.
pub fn text(length: impl Strategy<Value = usize>) -> impl Strategy<Value = String> {
    let character = prop::sample::select(vec!['a', 'Z', '0', '_', '"', '\n', 'é', '€', '👋']);
    (length, prop::collection::vec(character, 1..9))
        .prop_map(|(length, characters)| characters.into_iter().cycle().take(length).collect())
}

pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

pub fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(".{0,8}", any_json(), 0..4).prop_map(|map| json!(map))
}

/// Bodies of an operation, in and around its contract: each property mostly legal, at its bounds, now
/// and then not.
pub fn bodies(operation: &str) -> impl Strategy<Value = Value> + use<> {
    const REQUIRED: f64 = 0.99;
    const OPTIONAL: f64 = 0.5;
    let string = |max: usize| prop_oneof![8 => text(0..=4usize), 1 => text(max - 1..=max + 1)];
    let up_to = |max: usize| string(max).prop_map(Value::from).boxed();
    let tags = prop::collection::btree_map("[a-c]{1,2}", string(500), 0..4);
    let names = prop::collection::vec(prop_oneof![8 => "[a-c]{1,2}", 1 => string(500)], 0..3);
    let mut all = vec![
        ("tags", REQUIRED, tags.prop_map(|map| json!(map)).boxed()),
        ("discriminateByTags", OPTIONAL, names.prop_map(|names| json!(names)).boxed()),
        ("other", 0.05, any_json().boxed()),
    ];
    all.extend(match operation {
        "getOrCreateMessage" => {
            let id = || prop_oneof![8 => text(28..=36usize), 1 => text(26..=38usize)];
            let id = || id().prop_map(Value::from).boxed();
            vec![
                ("conversationId", REQUIRED, id()),
                ("userId", REQUIRED, id()),
                ("type", REQUIRED, up_to(200)),
                ("payload", REQUIRED, object().boxed()),
                ("schedule", OPTIONAL, schedule().boxed()),
                ("origin", OPTIONAL, Just(json!("synthetic")).boxed()),
            ]
        }
        "getOrCreateUser" => vec![
            ("name", OPTIONAL, up_to(200)),
            ("pictureUrl", OPTIONAL, up_to(40_000)),
            ("integrationName", OPTIONAL, up_to(200)),
        ],
        "getOrCreateConversation" => {
            vec![("channel", REQUIRED, up_to(200)), ("integrationName", OPTIONAL, up_to(200))]
        }
        other => panic!("no bodies of {other}"),
    });
    let mostly = |(name, share, good): (&str, f64, BoxedStrategy<Value>)| {
        (name.to_owned(), share, prop_oneof![40 => good, 1 => any_json()].boxed())
    };
    values::properties(all.into_iter().map(mostly).collect()).prop_map(Value::Object)
}

fn schedule() -> impl Strategy<Value = Value> {
    let date = prop::sample::select(vec![
        "2027-01-01T00:00:00.000Z",
        "2027-01-01T00:00:00.0000000Z",
        "2027-01-01T01:00:00+01:00",
        "2027-01-01T00:00:00.0000",
        "2027-01-01T00:00:00Z",
        "2027-01-01T00:00:00.000000000Z",
        "2027-13-01T00:00:00.000Z",
        "twenty-four characters..",
    ]);
    prop_oneof![
        date.clone().prop_map(|date| json!({ "dateTime": date })),
        any::<f64>().prop_map(|delay| json!({ "delay": delay })),
        (0..3i64).prop_map(|delay| json!({ "delay": delay - 1 })),
        date.prop_map(|date| json!({ "dateTime": date, "delay": 1 })),
        Just(json!({})),
    ]
}
