//! The webhook example as a program: what channels send, what they are answered, what is stored.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use botpress_channels::{SigningSecret, slack, whatsapp};
use botpress_messages::{Message, NewMessage};
use botpress_sandbox::{Fault, Sandbox, TargetedFault};
use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::{example, quick};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const SECRET: &str = "5lack_5igning_5ecret";
const TELEGRAM_TOKEN: &str = "7elegram_5ecret_token";
const APP_SECRET: &str = "what5app_app_5ecret";
const VERIFY_TOKEN: &str = "what5app_verify_token";

#[derive(Clone, Copy, Debug)]
enum Channel {
    Slack,
    Telegram,
    WhatsApp,
}

impl Channel {
    /// Its path, and the start of the name of its file.
    fn name(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Telegram => "telegram",
            Self::WhatsApp => "whatsapp",
        }
    }

    /// The tags that identify a message.
    fn identity(self) -> [&'static str; 2] {
        match self {
            Self::Slack => ["ts", "channelId"],
            Self::Telegram => ["messageId", "chatId"],
            Self::WhatsApp => ["wamid", "phoneNumberId"],
        }
    }

    /// The recorded events. Each has a name and what becomes of it: `stored`, `updated`, `ignored` or
    /// `unsupported`, or a list of several such `outcomes`.
    fn events(self) -> Vec<Value> {
        let lines =
            fs::read_to_string(format!("tests/cases/{}-events.ndjson", self.name())).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The headers with which the channel sends a body now.
    fn headers(self, body: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::Slack => slack_headers(&ago(0), &sign(body, &ago(0))),
            Self::Telegram => vec![("x-telegram-bot-api-secret-token", TELEGRAM_TOKEN.to_owned())],
            Self::WhatsApp => {
                let secret = SigningSecret::new(APP_SECRET).unwrap();
                vec![("x-hub-signature-256", whatsapp::sign(&secret, body.as_bytes()))]
            }
        }
    }

    /// A message that differs from the others in its number. Users and conversations repeat. WhatsApp's body has
    /// a second message, with a number that is greater by a thousand.
    fn numbered(self, number: usize) -> Value {
        let mut event = self.events()[0]["event"].take();
        match self {
            Self::Slack => {
                event["event"]["ts"] = json!(format!("1722441123.{number:06}"));
                event["event"]["channel"] = json!(format!("C{}", number % 7));
                event["event"]["user"] = json!(format!("U{}", number % 5));
            }
            Self::Telegram => {
                event["message"]["message_id"] = json!(number);
                event["message"]["chat"]["id"] = json!(number % 7);
                event["message"]["from"]["id"] = json!(number % 5);
            }
            Self::WhatsApp => {
                let messages = &mut event["entry"][0]["changes"][0]["value"]["messages"];
                messages[0]["id"] = json!(format!("wamid.{number}"));
                messages[0]["from_user_id"] = json!(format!("AT.{}", number % 5));
                let mut second = messages[0].clone();
                second["id"] = json!(format!("wamid.{}", number + 1000));
                messages.as_array_mut().unwrap().push(second);
            }
        }
        event
    }
}

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
        command.env("TELEGRAM_SECRET_TOKEN", TELEGRAM_TOKEN);
        command.env("WHATSAPP_APP_SECRET", APP_SECRET).env("WHATSAPP_VERIFY_TOKEN", VERIFY_TOKEN);
        command.env("BP_API_URL", sandbox.url()).env("BP_TOKEN", token);
        command.env("BP_BOT_ID", Sandbox::BOT_ID).env("BP_INTEGRATION_ID", "slack");
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut url = String::new();
        for path in ["/slack", "/telegram", "/whatsapp"] {
            let line = lines.next_line().await.unwrap().unwrap();
            url =
                line.strip_prefix("Listening on ").unwrap().strip_suffix(path).unwrap().to_owned();
        }
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

    async fn post(
        &self,
        channel: Channel,
        body: &str,
        headers: Vec<(&str, String)>,
    ) -> (u16, String) {
        let request = self.http.post(format!("{}/{}", self.url, channel.name()));
        let request = request.body(body.to_owned());
        let request = headers.into_iter().fold(request, |request, (k, v)| request.header(k, v));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Sends what the channel would, and returns the status of the answer.
    async fn send(&self, channel: Channel, event: &Value) -> u16 {
        let body = event.to_string();
        self.post(channel, &body, channel.headers(&body)).await.0
    }

    /// Sends it until the answer is 200.
    async fn send_on(&self, channel: Channel, event: &Value) {
        for _ in 0..50 {
            match self.send(channel, event).await {
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

fn slack_headers(time: &str, signature: &str) -> Vec<(&'static str, String)> {
    let headers = [("x-slack-request-timestamp", time), ("x-slack-signature", signature)];
    headers.map(|(name, value)| (name, value.to_owned())).into()
}

/// The first message that was recorded for Slack, with another number.
fn numbered(number: usize) -> Value {
    Channel::Slack.numbered(number)
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

/// A channel can repeat an event before it is answered, and when the bot has added a tag of its own.
#[tokio::test]
async fn what_people_write_is_stored_once_and_nothing_else() {
    struct Case {
        channel: Channel,
        users: usize,
        conversations: usize,
    }
    let cases = [
        // Two people, in three channels, a direct message, and a thread of each kind.
        Case { channel: Channel::Slack, users: 2, conversations: 6 },
        // Two people, a group and a channel, in a private chat, two groups, and a topic of one.
        Case { channel: Channel::Telegram, users: 4, conversations: 4 },
        // Four people, each with a chat; one writes to two numbers, both are in a group.
        Case { channel: Channel::WhatsApp, users: 4, conversations: 8 },
    ];
    let runs = cases.map(async |Case { channel, users, conversations }| {
        let sandbox = once(channel).await;
        let counts = (sandbox.users().len(), sandbox.conversations().len());
        assert_eq!(counts, (users, conversations), "{channel:?}");
    });
    join_all(runs).await;
}

/// Sends each recorded event of a channel several times.
async fn once(channel: Channel) -> Sandbox {
    let gap = Duration::from_millis(5);
    let sandbox = Sandbox::builder().strict().lookup_gap(gap).start().await.unwrap();
    let webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
    let bot = quick(sandbox.client()).build().unwrap();
    let mut before = 0;
    for mut case in channel.events() {
        let answers = join_all([&case["event"]; 3].map(|event| webhook.send(channel, event))).await;
        let name = case["name"].take();
        assert_eq!(answers, [200; 3], "{name}");
        let mut outcomes = match case.get_mut("outcomes") {
            Some(outcomes) => outcomes.as_array().unwrap().clone(),
            None => vec![case.clone()],
        };
        let stored_now = outcomes.iter().filter_map(|outcome| outcome.get("stored"));
        assert_eq!(stored(&sandbox)[before..], stored_now.cloned().collect::<Vec<_>>(), "{name}");
        for updated in outcomes.iter_mut().filter_map(|outcome| outcome.get_mut("updated")) {
            // The tag that the bot added stays.
            updated["tags"]["read"] = json!("true");
            assert!(stored(&sandbox).contains(updated), "{name}");
        }

        for message in sandbox.messages().split_off(before) {
            let Message { conversation_id, user_id, type_, payload, tags, .. } = message;
            let message = NewMessage::custom(conversation_id, user_id, type_, payload).unwrap();
            let message = message.with_tags(tags).discriminate_by_tags(channel.identity());
            let tagged = bot.get_or_create(&message.tag("read", "true")).await.unwrap();
            assert_eq!(tagged.created, Some(false));
        }
        before = sandbox.messages().len();
        assert_eq!(webhook.send(channel, &case["event"]).await, 200);
        assert_eq!(sandbox.messages().len(), before, "{name}");
    }
    sandbox
}

/// The same numbers on two channels are other people, other conversations and other messages.
#[tokio::test]
async fn channels_of_one_integration_do_not_mix() {
    let sandbox = Sandbox::builder().strict().start().await.unwrap();
    let webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
    let slack = json!({ "type": "event_callback", "event": {
        "type": "message", "channel": "1", "channel_type": "im", "user": "1", "ts": "1", "text": "Hello",
    } });
    let telegram = json!({ "update_id": 1, "message": {
        "message_id": 1, "chat": { "id": 1, "type": "private" }, "from": { "id": 1 }, "text": "Hello",
    } });
    let message = json!({ "id": "1", "from": "1", "type": "text", "text": { "body": "Hello" } });
    let value = json!({ "metadata": { "phone_number_id": "1" }, "messages": [message] });
    let changes = json!([{ "field": "messages", "value": value }]);
    let whatsapp =
        json!({ "object": "whatsapp_business_account", "entry": [{ "changes": changes }] });
    for (channel, event) in
        [(Channel::Slack, slack), (Channel::WhatsApp, whatsapp), (Channel::Telegram, telegram)]
    {
        assert_eq!(webhook.send(channel, &event).await, 200);
    }
    let counts = (sandbox.users().len(), sandbox.conversations().len(), sandbox.messages().len());
    assert_eq!(counts, (3, 3, 3));
}

/// Each event comes twice at the same time, and again for every 5xx.
#[tokio::test]
async fn a_storm_leaves_each_message_once() {
    struct Case {
        channel: Channel,
        expected: Vec<String>,
        users: usize,
        conversations: usize,
    }
    let cases = [
        Case {
            channel: Channel::Slack,
            expected: (0..8).map(|number| format!("1722441123.{number:06}")).collect(),
            users: 5,
            conversations: 7,
        },
        Case {
            channel: Channel::Telegram,
            expected: (0..8).map(|number| number.to_string()).collect(),
            users: 5,
            conversations: 7,
        },
        Case {
            channel: Channel::WhatsApp,
            expected: [0, 1000]
                .iter()
                .flat_map(|start| (0..8).map(move |i| format!("wamid.{}", start + i)))
                .collect(),
            users: 5,
            conversations: 5,
        },
    ];
    let runs = cases.map(async |Case { channel, mut expected, users, conversations }| {
        let sandbox = Sandbox::builder().strict().storm(11, 0.3).start().await.unwrap();
        let webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
        let events: Vec<_> = (0..16).map(|number| channel.numbered(number / 2)).collect();
        join_all(events.iter().map(|event| webhook.send_on(channel, event))).await;
        let [id, _] = channel.identity();
        let mut stored: Vec<_> = sandbox.messages().iter().map(|m| m.tags[id].clone()).collect();
        stored.sort();
        expected.sort();
        assert_eq!(stored, expected, "{channel:?}");
        let counts = (sandbox.users().len(), sandbox.conversations().len());
        assert_eq!(counts, (users, conversations), "{channel:?}");
    });
    join_all(runs).await;
}

/// If a message of a body fails, the channel repeats the whole body, and those after it wait for it.
#[tokio::test]
async fn messages_of_one_body_keep_their_order() {
    let sandbox = Sandbox::start().await.unwrap();
    let webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
    sandbox.fail_when(TargetedFault::new(Fault::Silence { stored: false }).always());
    let event = Channel::WhatsApp.numbered(1);
    assert_eq!(webhook.send(Channel::WhatsApp, &event).await, 503);
    assert!(sandbox.messages().is_empty());
    // The fault ends.
    sandbox.reset();
    webhook.send_on(Channel::WhatsApp, &event).await;
    let ids: Vec<_> = sandbox.messages().iter().map(|m| m.tags["wamid"].clone()).collect();
    assert_eq!(ids, ["wamid.1", "wamid.1001"]);
    let log = webhook.end().await;
    assert!(log.contains("wamid.1\"") && !log.contains("wamid.1001"), "{log}");
}

/// What fails is in the log, without what is secret or private.
#[tokio::test]
async fn the_answer_says_whether_to_repeat() {
    struct Case {
        name: &'static str,
        token: &'static str,
        /// What happens to the requests until the first answer.
        faults: Faults,
        status: u16,
        /// How many messages are stored in the end, if the token is right.
        messages: Option<usize>,
    }
    enum Faults {
        /// Each request has its own, or none.
        InTurn(Vec<Option<Fault>>),
        Always(Fault),
    }
    use Faults::{Always, InTurn};
    let lost = Some(Fault::Reset { stored: true });
    let silent = Fault::Silence { stored: false };
    let rejected = Some(Fault::Error { status: 400, stored: false });
    let cases = [
        Case {
            name: "a wrong token",
            token: "bp_wrong_token",
            faults: InTurn(vec![]),
            status: 503,
            messages: None,
        },
        Case {
            name: "silence",
            token: Sandbox::TOKEN,
            faults: Always(silent),
            status: 503,
            messages: Some(1),
        },
        Case {
            name: "lost responses",
            token: Sandbox::TOKEN,
            faults: InTurn(vec![None, None, lost, lost]),
            status: 503,
            messages: Some(1),
        },
        Case {
            name: "a rejection",
            token: Sandbox::TOKEN,
            faults: InTurn(vec![None, None, rejected]),
            status: 200,
            messages: Some(0),
        },
    ];
    let runs = cases.map(async |Case { name, token, faults, status, messages }| {
        let sandbox = Sandbox::start().await.unwrap();
        let webhook = Webhook::start(&sandbox, token).await;
        match &faults {
            InTurn(faults) => sandbox.fail_next(faults.iter().copied()),
            Always(fault) => sandbox.fail_when(TargetedFault::new(*fault).always()),
        }
        assert_eq!(webhook.send(Channel::Slack, &numbered(1)).await, status, "{name}");
        if let Always(_) = faults {
            assert!(sandbox.messages().is_empty(), "{name}");
            sandbox.reset();
        }
        if let Some(messages) = messages {
            if status == 503 {
                webhook.send_on(Channel::Slack, &numbered(1)).await;
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
async fn only_webhooks_of_slack_are_accepted_and_the_log_says_why() {
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
        let answer = webhook.post(Channel::Slack, &body, slack_headers(&time, &signature)).await;
        let text = "the signature or the secret token is missing, wrong or old";
        assert_eq!(answer, (401, text.to_owned()), "{body} {signature} {time}");
        expected.push(log);
    }
    // One byte too many: the example reads them all before it rejects them.
    let large = " ".repeat((2 << 20) + 1);
    let headers = Channel::Slack.headers(&large);
    assert_eq!(webhook.post(Channel::Slack, &large, headers).await.0, 413);
    assert!(sandbox.requests().is_empty());
    assert_eq!(webhook.send(Channel::Slack, &numbered(1)).await, 200);

    let log = webhook.end().await;
    let lines: Vec<_> = log.lines().filter(|line| line.contains("rejected")).collect();
    assert_eq!(lines.len(), expected.len(), "{log}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains("WARN") && line.contains(expected), "{expected} in {line}");
    }
}

#[tokio::test]
async fn only_webhooks_of_telegram_and_whatsapp_are_accepted() {
    struct Case {
        channel: Channel,
        headers: Vec<(&'static str, String)>,
        log: &'static str,
    }
    let sandbox = Sandbox::start().await.unwrap();
    let webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
    let (telegram, whatsapp) = (Channel::Telegram, Channel::WhatsApp);
    let cases = [
        Case {
            channel: telegram,
            headers: vec![],
            log: "the header x-telegram-bot-api-secret-token is missing",
        },
        Case {
            channel: telegram,
            headers: vec![("x-telegram-bot-api-secret-token", VERIFY_TOKEN.to_owned())],
            log: "token mismatch",
        },
        Case {
            channel: whatsapp,
            headers: vec![],
            log: "the header x-hub-signature-256 is missing",
        },
        Case {
            channel: whatsapp,
            headers: whatsapp.headers("another body"),
            log: "signature mismatch",
        },
        Case {
            channel: whatsapp,
            headers: vec![("x-hub-signature-256", "sha256=signature".to_owned())],
            log: "the header x-hub-signature-256 is malformed",
        },
    ];
    let logs = cases.map(async |Case { channel, headers, log }| {
        let body = channel.numbered(1).to_string();
        let (status, text) = webhook.post(channel, &body, headers).await;
        let expected = "the signature or the secret token is missing, wrong or old";
        assert_eq!((status, &*text), (401, expected), "{log}");
        log
    });
    let logs = join_all(logs).await;
    assert!(sandbox.requests().is_empty());
    let log = webhook.end().await;
    for cause in logs {
        assert!(log.contains(cause), "{cause} in {log}");
    }
    for hidden in [TELEGRAM_TOKEN, APP_SECRET, VERIFY_TOKEN, "staging"] {
        assert!(!log.contains(hidden), "{log}");
    }
}

#[tokio::test]
async fn whatsapp_gets_its_challenge_back() {
    struct Case {
        path: &'static str,
        token: &'static str,
        status: u16,
        answer: &'static str,
    }
    let sandbox = Sandbox::start().await.unwrap();
    let webhook = Webhook::start(&sandbox, Sandbox::TOKEN).await;
    let rejected = "the signature or the secret token is missing, wrong or old";
    let cases = [
        Case { path: "whatsapp", token: VERIFY_TOKEN, status: 200, answer: "1158201444" },
        Case { path: "whatsapp", token: "another", status: 401, answer: rejected },
        Case { path: "telegram", token: VERIFY_TOKEN, status: 405, answer: "send a POST request" },
    ];
    for Case { path, token, status, answer } in cases {
        let query = format!("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
        let response = webhook.http.get(format!("{}/{path}?{query}", webhook.url)).send();
        let response = response.await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path} {token}");
        assert_eq!(response.text().await.unwrap(), answer, "{path} {token}");
    }
}

/// Slack would only repeat what is answered with 400, and it would be no better.
#[tokio::test]
async fn what_cannot_be_stored_is_answered_with_200_and_logged() {
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
        let answered = webhook.post(Channel::Slack, &body, Channel::Slack.headers(&body)).await;
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

/// What is in flight is answered before it ends. A client that only holds a connection does not keep it.
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
    let (answer, ()) = tokio::join!(webhook.send(Channel::Slack, &event), terminated);
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
            let error = failure(&mut command).await;
            let start = if missing == 0 { "no channel: set " } else { "" };
            assert!(error.starts_with(&format!("error: {start}{name}")), "{error}");
            assert!(missing == 0 || error.contains("missing"), "{error}");
        }
    }
    for name in ["WHATSAPP_APP_SECRET", "WHATSAPP_VERIFY_TOKEN"] {
        let mut half = command();
        half.envs(given).env("BP_INTEGRATION_ID", "slack").env(name, APP_SECRET);
        let expected = "error: set WHATSAPP_APP_SECRET and WHATSAPP_VERIFY_TOKEN, or neither\n";
        assert_eq!(failure(&mut half).await, expected);
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

/// What it reports when it does not start.
async fn failure(command: &mut Command) -> String {
    let output = timeout(Duration::from_secs(30), command.output()).await;
    let output = output.expect("it starts").unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(!error.contains(SECRET) && output.stdout.is_empty(), "{error}");
    error
}
