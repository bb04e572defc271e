//! The webhook example as a program: what Slack sends, what it is answered, what is stored.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use botpress_messages::{Message, NewMessage};
use botpress_sandbox::{Fault, Sandbox};
use futures::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use test_support::{example, quick};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const SECRET: &str = "5lack_5igning_5ecret";

/// The example, running. It ends with the test.
struct Webhook {
    process: Child,
    url: String,
    log: JoinHandle<String>,
    http: reqwest::Client,
}

fn command() -> Command {
    let mut command = Command::new(example("webhook"));
    command.env_clear().kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Webhook {
    async fn start(sandbox: &Sandbox, token: &str) -> Self {
        let mut command = command();
        command.env("PORT", "0").env("SLACK_SIGNING_SECRET", SECRET);
        command.env("BP_API_URL", sandbox.url()).env("BP_TOKEN", token);
        command.env("BP_BOT_ID", Sandbox::BOT_ID).env("BP_INTEGRATION_ID", "slack");
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let url = line.strip_prefix("Listening on ").unwrap().to_owned();
        let mut stderr = process.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut log = String::new();
            stderr.read_to_string(&mut log).await.unwrap();
            log
        });
        let http = reqwest::Client::builder().tls_certs_only([]);
        let http = http.timeout(Duration::from_secs(30)).build().unwrap();
        Self { process, url, log, http }
    }

    async fn post(&self, body: &str, signature: &str, time: &str) -> (u16, String) {
        let request = self.http.post(&self.url).body(body.to_owned());
        let request = request.header("x-slack-request-timestamp", time);
        let answer = request.header("x-slack-signature", signature).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Sends what Slack would, and returns the status of the answer.
    async fn send(&self, event: &Value) -> u16 {
        let (body, time) = (event.to_string(), ago(0));
        self.post(&body, &sign(&body, &time), &time).await.0
    }

    /// Sends it until Slack is told that it need not.
    async fn send_on(&self, event: &Value) {
        for _ in 0..50 {
            match self.send(event).await {
                200 => return,
                status => assert_eq!(status, 503),
            }
        }
        panic!("never done with {event}");
    }

    #[cfg(unix)]
    async fn terminate(&self) {
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    }

    /// Ends it, and returns what it has logged.
    async fn end(mut self) -> String {
        self.process.kill().await.unwrap();
        self.log.await.unwrap()
    }
}

/// The time so many seconds ago, as Slack writes it.
fn ago(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    now.checked_add_signed(-seconds).unwrap().to_string()
}

fn sign(body: &str, time: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let mac = mac.chain_update(format!("v0:{time}:{body}"));
    format!("v0={}", hex::encode(mac.finalize().into_bytes()))
}

/// The recorded events: each by name, and what is to be stored of it, if anything is.
fn events() -> Vec<Value> {
    let lines = fs::read_to_string("tests/cases/slack-events.ndjson").unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A message like the first that was recorded, but for its number.
fn numbered(number: usize) -> Value {
    let mut event = events()[0]["event"].take();
    event["event"]["ts"] = json!(format!("1722441123.{number:06}"));
    event["event"]["channel"] = json!(format!("C{}", number % 7));
    event["event"]["user"] = json!(format!("U{}", number % 5));
    event
}

/// The messages that are stored, with their users and conversations.
fn stored(sandbox: &Sandbox) -> Vec<Value> {
    let (users, conversations) = (sandbox.users(), sandbox.conversations());
    let messages = sandbox.messages().into_iter().map(|message| {
        let user = users.iter().find(|user| user.id == message.user_id).unwrap();
        let conversation = conversations.iter().find(|c| c.id == message.conversation_id).unwrap();
        json!({
            "channel": conversation.channel,
            "conversation": conversation.tags,
            "user": user.tags,
            "type": message.type_,
            "payload": message.payload,
            "tags": message.tags,
        })
    });
    messages.collect()
}

/// Slack may be so impatient that it repeats an event before it is answered, and may repeat it when the bot
/// has added a tag of its own.
#[tokio::test]
async fn what_people_write_is_stored_once_and_nothing_else() {
    let gap = Duration::from_millis(5);
    let sandbox = Sandbox::builder().strict().lookup_gap(gap).start().await.unwrap();
    let webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
    let bot = quick(sandbox.client()).build().unwrap();
    let mut before = 0;
    for mut case in events() {
        let answers = join_all([&case["event"]; 3].map(|event| webhook.send(event))).await;
        assert_eq!(answers, [200; 3], "{}", case["name"]);
        let expected = Vec::from_iter(case.get_mut("stored").map(Value::take));
        assert_eq!(stored(&sandbox)[before..], expected, "{}", case["name"]);

        for message in sandbox.messages().split_off(before) {
            let Message { conversation_id, user_id, type_, payload, tags, .. } = message;
            let message = NewMessage::custom(conversation_id, user_id, type_, payload);
            let message = message.with_tags(tags).discriminate_by(["ts", "channelId"]);
            let tagged = bot.get_or_create(&message.tag("read", "true")).await.unwrap();
            assert_eq!(tagged.created, Some(false));
        }
        before += expected.len();
        assert_eq!(webhook.send(&case["event"]).await, 200);
        assert_eq!(sandbox.messages().len(), before, "{}", case["name"]);
    }
    // Two people, in three channels, a direct message, and a thread of each kind.
    assert_eq!((sandbox.users().len(), sandbox.conversations().len()), (2, 6));
}

/// Each event comes twice at once, and again for every 5xx.
#[tokio::test]
async fn a_storm_leaves_each_message_once() {
    let sandbox = Sandbox::builder().strict().storm(11, 0.3).start().await.unwrap();
    let webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
    let events: Vec<_> = (0..16).map(|number| numbered(number / 2)).collect();
    join_all(events.iter().map(|event| webhook.send_on(event))).await;
    let mut stored: Vec<_> = sandbox.messages().iter().map(|m| m.tags["ts"].clone()).collect();
    stored.sort();
    let expected: Vec<_> =
        events.iter().step_by(2).map(|event| event["event"]["ts"].as_str().unwrap()).collect();
    assert_eq!(stored, expected);
    assert_eq!((sandbox.users().len(), sandbox.conversations().len()), (5, 7));
}

/// The faults of the requests, the answer to Slack, and how many messages are stored in the end. What
/// fails is in the log, without what is secret or private.
#[tokio::test]
async fn the_answer_says_whether_to_repeat() {
    let lost = Some(Fault::Reset { stored: true });
    let silent = Some(Fault::Silence { stored: false });
    let refused = Some(Fault::Error { status: 400, stored: false });
    let cases = [
        ("a wrong token", "bp_wrong_token", vec![], 503, None),
        ("silence", Sandbox::TOKEN, vec![silent; 2], 503, Some(1)),
        ("lost answers", Sandbox::TOKEN, vec![None, None, lost, lost], 503, Some(1)),
        ("a refusal", Sandbox::TOKEN, vec![None, None, refused], 200, Some(0)),
    ];
    let runs = cases.map(async |(name, token, faults, status, messages)| {
        let sandbox = Sandbox::start().await.unwrap();
        let webhook = Webhook::start(&sandbox, token).await;
        sandbox.fail_next(faults);
        assert_eq!(webhook.send(&numbered(1)).await, status, "{name}");
        if let Some(messages) = messages {
            if status == 503 {
                webhook.send_on(&numbered(1)).await;
            }
            assert_eq!(sandbox.messages().len(), messages, "{name}");
        }
        let log = webhook.end().await;
        assert!(log.contains("1722441123.000001"), "{name}: {log}");
        for hidden in [SECRET, token, "staging"] {
            assert!(!log.contains(hidden), "{name}: {log}");
        }
    });
    join_all(runs).await;
}

#[tokio::test]
async fn only_slack_is_heard() {
    let sandbox = Sandbox::start().await.unwrap();
    let webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
    let signed = |body: &str, time: &str| (body.to_owned(), sign(body, time), time.to_owned());
    let event = numbered(1).to_string();
    let (now, by_hand) = (ago(0), |signature: &str| (event.clone(), signature.to_owned(), ago(0)));
    let challenge = json!({ "type": "url_verification", "challenge": "c-41d8cd98", "token": "" });
    let no_ts = json!({ "type": "event_callback", "event": { "type": "message", "channel": "C" } });
    let wrong = "Slack did not sign this in the last five minutes";
    let unread = "this is no event of Slack";
    let cases = [
        (signed(&challenge.to_string(), &now), 200, "c-41d8cd98"),
        (by_hand(""), 401, wrong),
        (by_hand("v0="), 401, wrong),
        (by_hand("v0=00"), 401, wrong),
        (by_hand("v0=no digits"), 401, wrong),
        (by_hand(&sign(&event, &now).replace("v0=", "")), 401, wrong),
        (by_hand(&sign(&event, &now)[..33]), 401, wrong),
        (by_hand(&sign("another body", &now)), 401, wrong),
        (by_hand(&sign(&event, &ago(100))), 401, wrong),
        (signed(&event, &ago(310)), 401, wrong),
        (signed(&event, &ago(-310)), 401, wrong),
        (signed(&event, ""), 401, wrong),
        (signed(&event, "now"), 401, wrong),
        (signed("", &now), 400, unread),
        (signed("{", &now), 400, unread),
        (signed("[]", &now), 400, unread),
        (signed(&no_ts.to_string(), &now), 400, unread),
    ];
    for ((body, signature, time), status, text) in cases {
        let answer = webhook.post(&body, &signature, &time).await;
        assert_eq!(answer, (status, text.to_owned()), "{body} {signature} {time}");
    }
    // One byte too many: the example reads them all before it refuses them.
    let large = " ".repeat((2 << 20) + 1);
    assert_eq!(webhook.post(&large, &sign(&large, &now), &now).await.0, 413);
    assert!(sandbox.requests().is_empty());
    assert_eq!(webhook.send(&numbered(1)).await, 200);
}

/// What is under way is answered before it ends. Who only holds a connection does not keep it.
#[cfg(unix)]
#[tokio::test]
async fn it_ends_when_it_is_told_to() {
    let latency = Duration::from_millis(200);
    let sandbox = Sandbox::builder().latency(latency).start().await.unwrap();
    let mut webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
    let address = webhook.url.split('/').nth(2).unwrap();
    let mut holder = TcpStream::connect(address).await.unwrap();
    holder
        .write_all(b"POST /slack HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        .await
        .unwrap();
    let event = numbered(1);
    let told = async {
        while sandbox.requests().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        webhook.terminate().await;
    };
    let (answer, ()) = tokio::join!(webhook.send(&event), told);
    assert_eq!((answer, sandbox.messages().len()), (200, 1));
    let end = timeout(Duration::from_secs(30), webhook.process.wait()).await;
    assert!(end.expect("it does not end").unwrap().success());
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_named() {
    let given = [("SLACK_SIGNING_SECRET", SECRET), ("BP_TOKEN", "t"), ("BP_BOT_ID", "b")];
    for (missing, name) in
        ["SLACK_SIGNING_SECRET", "BP_TOKEN", "BP_BOT_ID", "BP_INTEGRATION_ID"].iter().enumerate()
    {
        for empty in [false, true] {
            let mut command = command();
            command.envs(given[..missing].iter().copied()).envs(empty.then_some((name, "")));
            let output = command.output().await.unwrap();
            assert_eq!(output.status.code(), Some(1));
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(error.starts_with(&format!("error: {name} is missing: ")), "{error}");
            assert!(!error.contains(SECRET) && output.stdout.is_empty(), "{error}");
        }
    }

    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = command();
    command.envs(given).env("BP_INTEGRATION_ID", "slack").env("PORT", &port);
    let output = command.output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with(&format!("error: cannot listen on 127.0.0.1, port {port}: ")));
    assert_eq!(output.status.code(), Some(1));
}
