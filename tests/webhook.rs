//! The webhook example as a program: what Slack sends, the responses, and what is stored.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use botpress_channels::{SigningSecret, slack};
use botpress_messages::{Message, NewMessage};
use botpress_sandbox::{Fault, Sandbox};
use futures_util::future::join_all;
use serde_json::{Value, json};
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
        command.env("LISTEN", "127.0.0.1:0").env("SLACK_SIGNING_SECRET", SECRET);
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

    /// Sends what Slack would, and returns the status of the response.
    async fn send(&self, event: &Value) -> u16 {
        let (body, time) = (event.to_string(), ago(0));
        self.post(&body, &sign(&body, &time), &time).await.0
    }

    /// Sends it until the response is a 200.
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

/// The time this number of seconds ago, as Slack writes it.
fn ago(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    now.checked_add_signed(-seconds).unwrap().to_string()
}

fn sign(body: &str, time: &str) -> String {
    slack::sign(&SigningSecret::new(SECRET).unwrap(), time, body.as_bytes())
}

/// The recorded events. Each has a name and lists what is stored or updated, if anything.
fn events() -> Vec<Value> {
    let lines = fs::read_to_string("tests/cases/slack-events.ndjson").unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A message like the first recorded one, except for its number.
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

/// Slack can repeat an event before the response, and after the bot has added a tag.
#[tokio::test]
async fn only_messages_from_people_are_stored_once() {
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
        if let Some(updated) = case.get_mut("updated") {
            // The tag that the bot added stays.
            updated["tags"]["read"] = json!("true");
            assert!(stored(&sandbox).contains(updated), "{}", case["name"]);
        }

        for message in sandbox.messages().split_off(before) {
            let Message { conversation_id, user_id, type_, payload, tags, .. } = message;
            let message = NewMessage::custom(conversation_id, user_id, type_, payload).unwrap();
            let message = message.with_tags(tags).discriminate_by_tags(["ts", "channelId"]);
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

/// Failures are logged without secret or private values.
#[tokio::test]
async fn the_status_decides_whether_slack_repeats() {
    struct Case {
        name: &'static str,
        token: &'static str,
        /// The faults of the requests, in order.
        faults: Vec<Option<Fault>>,
        status: u16,
        /// The number of messages stored in the end, if the token is right.
        messages: Option<usize>,
    }
    let lost = Some(Fault::Reset { stored: true });
    let silent = Some(Fault::Silence { stored: false });
    let rejected = Some(Fault::Error { status: 400, stored: false });
    let cases = [
        Case {
            name: "a wrong token",
            token: "bp_wrong_token",
            faults: vec![],
            status: 503,
            messages: None,
        },
        Case {
            name: "silence",
            token: Sandbox::TOKEN,
            faults: vec![silent; 20],
            status: 503,
            messages: Some(1),
        },
        Case {
            name: "lost responses",
            token: Sandbox::TOKEN,
            faults: vec![None, None, lost, lost],
            status: 503,
            messages: Some(1),
        },
        Case {
            name: "a rejection",
            token: Sandbox::TOKEN,
            faults: vec![None, None, rejected],
            status: 200,
            messages: Some(0),
        },
    ];
    let runs = cases.map(async |Case { name, token, faults, status, messages }| {
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
async fn only_webhooks_of_slack_are_accepted_and_rejections_are_logged() {
    struct Case {
        body: String,
        signature: String,
        time: String,
        log: &'static str,
    }
    let sandbox = Sandbox::start().await.unwrap();
    let webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
    let (event, now) = (numbered(1).to_string(), ago(0));
    let signed = |time: &str, log| Case {
        body: event.clone(),
        signature: sign(&event, time),
        time: time.to_owned(),
        log,
    };
    let by_hand =
        |signature: &str, log| Case { signature: signature.to_owned(), ..signed(&now, log) };
    let (mismatch, malformed) = ("signature mismatch", "the header x-slack-signature is malformed");
    let bad_time = "the header x-slack-request-timestamp is malformed";
    let cases = [
        by_hand("", malformed),
        by_hand("v0=", mismatch),
        by_hand("v0=00", mismatch),
        by_hand("v0=no digits", malformed),
        by_hand(&sign(&event, &now).replace("v0=", ""), malformed),
        by_hand(&sign(&event, &now)[..33], mismatch),
        by_hand(&sign("another body", &now), mismatch),
        by_hand(&sign(&event, &ago(100)), mismatch),
        signed(&ago(400), "this machine is ahead of the signature"),
        signed(&ago(-400), "this machine is behind the signature"),
        signed("", bad_time),
        signed("now", bad_time),
    ];
    let mut expected = Vec::new();
    for Case { body, signature, time, log } in cases {
        let answer = webhook.post(&body, &signature, &time).await;
        let text = "Slack did not sign this in the last five minutes";
        assert_eq!(answer, (401, text.to_owned()), "{body} {signature} {time}");
        expected.push(log);
    }
    // One byte too many: the example reads them all before it rejects them.
    let large = " ".repeat((2 << 20) + 1);
    assert_eq!(webhook.post(&large, &sign(&large, &now), &now).await.0, 413);
    assert!(sandbox.requests().is_empty());
    assert_eq!(webhook.send(&numbered(1)).await, 200);

    let log = webhook.end().await;
    let lines: Vec<_> = log.lines().filter(|line| line.contains("rejected")).collect();
    assert_eq!(lines.len(), expected.len(), "{log}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains("WARN") && line.contains(expected), "{expected} in {line}");
    }
}

/// After a 400, Slack would only repeat the event, which would not help.
#[tokio::test]
async fn events_that_cannot_be_stored_get_a_200_and_are_logged() {
    struct Case {
        body: String,
        answer: &'static str,
        log: Option<&'static str>,
    }
    let sandbox = Sandbox::start().await.unwrap();
    let webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
    let challenge = json!({ "type": "url_verification", "challenge": "c-41d8cd98", "token": "" });
    let mut no_ts = numbered(1);
    no_ts["event"].as_object_mut().unwrap().remove("ts");
    let mut empty = numbered(1);
    empty["event"]["text"] = json!("");
    let silent = |body: &str, log| Case { body: body.to_owned(), answer: "", log: Some(log) };
    let cases = [
        Case { body: challenge.to_string(), answer: "c-41d8cd98", log: None },
        silent("", "the body is not JSON"),
        silent("{", "the body is not JSON"),
        silent("[]", "type is missing or not a string"),
        silent(&no_ts.to_string(), "event.ts is missing or not a string"),
        silent(&empty.to_string(), "it has no text, file or forwarded message"),
    ];
    let mut expected = Vec::new();
    for Case { body, answer, log } in cases {
        let now = ago(0);
        let answered = webhook.post(&body, &sign(&body, &now), &now).await;
        assert_eq!(answered, (200, answer.to_owned()), "{body}");
        expected.extend(log);
    }
    assert!(sandbox.requests().is_empty());

    let log = webhook.end().await;
    let lines: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(lines.len(), expected.len(), "{log}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{expected} in {line}");
    }
    let unsupported = lines.last().unwrap();
    assert!(unsupported.contains("C1") && unsupported.contains("1722441123.000001"), "{log}");
    assert!(!log.contains("staging"), "{log}");
}

/// Requests in flight get a response before it ends. A client that only holds a connection does not delay that.
#[cfg(unix)]
#[tokio::test]
async fn it_ends_when_it_is_terminated() {
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
    let terminated = async {
        while sandbox.requests().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        webhook.terminate().await;
    };
    let (answer, ()) = tokio::join!(webhook.send(&event), terminated);
    assert_eq!((answer, sandbox.messages().len()), (200, 1));
    let end = timeout(Duration::from_secs(30), webhook.process.wait()).await;
    assert!(end.expect("it does not end").unwrap().success());
}

#[tokio::test]
async fn the_cause_of_a_failed_start_is_named() {
    let given = [("SLACK_SIGNING_SECRET", SECRET), ("BP_TOKEN", "t"), ("BP_BOT_ID", "b")];
    for (missing, name) in
        ["SLACK_SIGNING_SECRET", "BP_TOKEN", "BP_BOT_ID", "BP_INTEGRATION_ID"].iter().enumerate()
    {
        for empty in [false, true] {
            let mut command = command();
            command.envs(given[..missing].iter().copied()).envs(empty.then_some((name, "")));
            let error = failure(&mut command).await;
            let is_named = error.starts_with(&format!("error: {name}"));
            assert!(is_named && error.contains("missing"), "{error}");
        }
    }

    let mut padded = command();
    padded.envs(given).env("BP_INTEGRATION_ID", "slack");
    let error = failure(padded.env("SLACK_SIGNING_SECRET", format!("{SECRET}\n"))).await;
    let expected = "error: SLACK_SIGNING_SECRET: the signing secret has white space around it\n";
    assert_eq!(error, expected);

    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = command();
    command.envs(given).env("BP_INTEGRATION_ID", "slack").env("LISTEN", &address);
    let error = failure(&mut command).await;
    assert!(error.starts_with(&format!("error: cannot listen on {address}: ")));
}

/// The error printed when it does not start.
async fn failure(command: &mut Command) -> String {
    let output = timeout(Duration::from_secs(30), command.output()).await;
    let output = output.expect("it starts").unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(!error.contains(SECRET) && output.stdout.is_empty(), "{error}");
    error
}
