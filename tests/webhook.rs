//! The webhook example, as Slack sees it.

mod support;

use std::fs;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use botpress_messages::sandbox::{Fault, Sandbox};
use futures::future::join_all;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use support::example;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// A running example; it ends with the test.
struct Webhook {
    process: Child,
    url: String,
    http: reqwest::Client,
}

fn command() -> Command {
    let mut command = Command::new(example("webhook"));
    command.args(["--port", "0"]).env_clear().kill_on_drop(true).stdout(Stdio::piped());
    command
}

impl Webhook {
    async fn start(sandbox: &Sandbox, token: &str) -> Self {
        let mut command = command();
        command.env("SLACK_SIGNING_SECRET", SECRET).env("BP_API_URL", sandbox.url());
        command.env("BP_TOKEN", token).env("BP_BOT_ID", Sandbox::BOT_ID);
        let mut process = command.env("BP_INTEGRATION_ID", "slack").spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let url = line.strip_prefix("listening on ").unwrap().to_owned();
        Self { process, url, http: reqwest::Client::new() }
    }

    /// Sends what Slack would, and returns the status and the body of the answer.
    async fn post(&self, body: &str, signature: &str, time: u64) -> (u16, String) {
        let request = self.http.post(&self.url).body(body.to_owned());
        let request = request.header("x-slack-request-timestamp", time);
        let answer = request.header("x-slack-signature", signature).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn send(&self, event: &Value) -> u16 {
        let body = event.to_string();
        self.post(&body, &sign(&body, now()), now()).await.0
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn sign(body: &str, time: u64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("v0:{time}:{body}").as_bytes());
    format!("v0={}", hex::encode(mac.finalize().into_bytes()))
}

/// The recorded events, and what is to be stored of each, if anything is.
fn events() -> Vec<Value> {
    let lines = fs::read_to_string("tests/cases/slack-events.ndjson").unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_people_write_is_stored_and_nothing_else() {
    for case in events() {
        let sandbox = Sandbox::builder().strict().start().await.unwrap();
        let webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
        // Slack may be so impatient that it repeats an event before it is answered.
        let answers = join_all([&case["event"]; 3].map(|event| webhook.send(event))).await;
        assert_eq!(answers, [200; 3], "{}", case["name"]);
        let mut expected = case["stored"].clone();
        let Value::Object(stored) = &mut expected else {
            assert!(sandbox.messages().is_empty(), "{}", case["name"]);
            continue;
        };
        let [(message, conversation, user)] =
            [(&sandbox.messages()[..], &sandbox.conversations()[..], &sandbox.users()[..])];
        assert_eq!((message.len(), conversation.len(), user.len()), (1, 1, 1), "{}", case["name"]);
        assert_eq!(json!(conversation[0].channel), stored.remove("channel").unwrap());
        assert_eq!(json!(conversation[0].tags), stored.remove("conversation").unwrap());
        assert_eq!(json!(user[0].tags), stored.remove("user").unwrap());
        let message = json!(message[0]);
        for (key, value) in stored {
            assert_eq!(message[key], *value, "{}", case["name"]);
        }
    }
}

/// Slack repeats what is answered with 5xx.
#[tokio::test]
async fn a_storm_leaves_each_message_once() {
    let sandbox = Sandbox::builder().strict().storm(11, 0.3).start().await.unwrap();
    let webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
    let event = |number: usize| {
        json!({ "type": "event_callback", "event": {
            "type": "message", "channel": format!("C{}", number % 7), "channel_type": "channel",
            "user": format!("U{}", number % 5), "text": number.to_string(), "ts": format!("{number}.0"),
        }})
    };
    let deliver = async |number: usize| {
        for _ in 0..100 {
            match webhook.send(&event(number / 2)).await {
                200 => return,
                status => assert_eq!(status, 503),
            }
        }
        panic!("{number} was never answered with 200");
    };
    join_all((0..40).map(deliver)).await;
    let mut texts: Vec<_> =
        sandbox.messages().iter().map(|message| message.payload["text"].to_string()).collect();
    texts.sort();
    texts.dedup();
    assert_eq!((texts.len(), sandbox.messages().len()), (20, 20));
    assert_eq!((sandbox.users().len(), sandbox.conversations().len()), (5, 7));
}

#[tokio::test]
async fn only_slack_is_heard() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
    let challenge = r#"{"type":"url_verification","token":"x","challenge":"3eZbrw1aB"}"#;
    let (status, answer) = webhook.post(challenge, &sign(challenge, now()), now()).await;
    assert_eq!((status, answer.as_str()), (200, r#"{"challenge":"3eZbrw1aB"}"#));

    let event = events()[0]["event"].to_string();
    let old = now() - 301;
    let cases = [
        (&*event, "v0=00".to_owned(), now(), 401),
        (&*event, sign("another body", now()), now(), 401),
        (&*event, sign(&event, now()).replace("v0=", ""), now(), 401),
        (&*event, sign(&event, old), old, 401),
        (&*event, sign(&event, old), now(), 401),
        ("{", sign("{", now()), now(), 400),
        (&*" ".repeat(3 << 20), String::new(), now(), 413),
    ];
    for (body, signature, time, status) in cases {
        assert_eq!(webhook.post(body, &signature, time).await.0, status, "{signature}");
    }
    assert!(sandbox.requests().is_empty());

    // It ends when it is told to.
    let id = webhook.process.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    assert!(webhook.process.wait().await.unwrap().success());
}

/// What may fare better later is to be sent again, also if the API stands still.
#[tokio::test]
async fn the_answer_says_whether_to_repeat() {
    let event = &events()[0]["event"];
    let silent = Fault::Silence { stored: false };
    let refused = Fault::Error { status: 400, stored: false };
    let cases = [
        ("wrong token", "bp_wrong_token", None, 503),
        ("silence", Sandbox::TOKEN, Some(silent), 503),
        ("refusal", Sandbox::TOKEN, Some(refused), 200),
    ];
    for (name, token, fault, status) in cases {
        let sandbox = Sandbox::start().await.unwrap();
        let webhook = Webhook::start(&sandbox, token).await;
        sandbox.fail_next([fault; 8]);
        let answer = tokio::time::timeout(Duration::from_secs(30), webhook.send(event)).await;
        assert_eq!(answer.unwrap(), status, "{name}");
    }
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let with = |name: &str| match name {
        "SLACK_SIGNING_SECRET" => Vec::new(),
        _ => vec![("SLACK_SIGNING_SECRET", SECRET)],
    };
    for name in ["SLACK_SIGNING_SECRET", "BP_TOKEN"] {
        let output = command().envs(with(name)).output().await.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            error.contains(&format!("{name} is missing")) && !error.contains(SECRET),
            "{error}"
        );
    }
}
