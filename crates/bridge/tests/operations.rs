//! The tasks of an operator: many bots, pauses, dead letters and traces.

mod support;

use std::fs;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{self, AckKind};
use botpress_sandbox::{Fault, Sandbox, TargetedFault};
use futures_util::StreamExt;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use support::{
    KEY, Nats, Receiver, Setup, drained, eventually, figure, free_port, get, signed, signed_with,
};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(40);

fn message(number: usize) -> Value {
    json!({
        "conversation": { "channel": "channel", "tags": { "id": "C05C6ACTLPQ" } },
        "user": { "tags": { "id": "U05BPU9V1KQ" } },
        "type": "text",
        "payload": { "text": number.to_string() },
        "tags": { "id": number.to_string() },
    })
}

fn slack(number: usize) -> String {
    let event = json!({
        "type": "message", "channel": "C05C6ACTLPQ", "user": "U05BPU9V1KQ", "text": "hello",
        "ts": format!("{number}.1"),
    });
    let id = format!("Ev{number}");
    json!({ "type": "event_callback", "event_id": id, "event": event }).to_string()
}

/// A file with bots, and settings that use it.
fn with_file(setup: Setup, text: &str) -> (TempDir, Setup) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bridge.toml");
    fs::write(&path, text).unwrap();
    let of_one_bot = [
        "BP_TOKEN",
        "BP_BOT_ID",
        "BP_INTEGRATION_ID",
        "BP_API_URL",
        "BRIDGE_KEY",
        "SLACK_SIGNING_SECRET",
    ];
    let setup = of_one_bot.into_iter().fold(setup, |setup, name| setup.with(name, ""));
    (folder, setup.with("BRIDGE_CONFIG", path.display()))
}

/// A bot as the file describes it.
fn table(bot: &str, sandbox: &Sandbox) -> String {
    let (token, integration, url) = (Sandbox::TOKEN, Sandbox::INTEGRATION_ID, sandbox.url());
    format!(
        "[[bots]]\nid = '{bot}'\ntoken = '{token}'\nintegration_id = '{integration}'\n\
         api_url = '{url}'\nkeys = ['{KEY}']\n"
    )
}

fn for_bot(receiver: &Receiver, bot: &str) -> Receiver {
    let mut receiver = receiver.clone();
    receiver.url = format!("http://{}/{bot}", receiver.address());
    receiver
}

/// Each bot of a file has its own secrets, keys, quota and API.
#[tokio::test]
async fn a_file_describes_many_bots() {
    let Some(nats) = Nats::start().await else { return };
    let a = Sandbox::builder().bot_id("a").start().await.unwrap();
    let b = Sandbox::builder().bot_id("b").start().await.unwrap();
    let (token, integration) = (Sandbox::TOKEN, Sandbox::INTEGRATION_ID);
    let file = format!(
        "[common]\npartitions = 4\n[deliver]\ndeadline = 2\n\
         [[bots]]\nid = 'a'\ntoken = '{token}'\nintegration_id = '{integration}'\napi_url = '{}'\n\
         keys = ['{KEY}', 'another']\nslack_signing_secrets = ['new', 'old']\nmax_messages = 3\n\
         [[bots]]\nid = 'b'\ntoken = '{token}'\nintegration_id = '{integration}'\napi_url = '{}'\n\
         keys = ['another']\n",
        a.url(),
        b.url()
    );
    let setup = Setup::new(&nats, &a).with("BRIDGE_PARTITIONS", "").with("BRIDGE_DEADLINE", "");
    let (_folder, setup) = with_file(setup, &file);
    let (_process, receiver) = setup.receiver().await;
    let [receiver_a, receiver_b] = ["a", "b"].map(|bot| for_bot(&receiver, bot));

    struct Case<'a> {
        receiver: &'a Receiver,
        secret: &'static str,
        status: u16,
    }
    let mut sent = 0;
    for Case { receiver, secret, status } in [
        Case { receiver: &receiver_a, secret: "old", status: 200 },
        Case { receiver: &receiver_a, secret: "new", status: 200 },
        Case { receiver: &receiver_a, secret: "older", status: 401 },
        Case { receiver: &receiver_b, secret: "new", status: 404 },
    ] {
        sent += 1;
        let body = slack(sent);
        let headers = signed_with(secret, &body, 0);
        assert_eq!(receiver.post("slack", headers, body).await.0, status, "{secret}");
    }
    let with_key = |key: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {key}").parse().unwrap());
        headers
    };
    let body = || message(1).to_string();
    assert_eq!(receiver_a.post("messages", with_key(KEY), body()).await.0, 200);
    assert_eq!(receiver_b.post("messages", with_key(KEY), body()).await.0, 401);
    assert_eq!(receiver_b.post("messages", with_key("another"), body()).await.0, 200);
    // Three messages of the bot a wait, which is its limit; other bots still have room.
    let more = || message(2).to_string();
    assert_eq!(receiver_a.post("messages", with_key("another"), more()).await.0, 503);
    assert_eq!(receiver_b.post("messages", with_key("another"), more()).await.0, 200);

    let _worker = setup.worker();
    eventually("the bot a has room again", SOON, async || {
        receiver_a.post("messages", with_key("another"), more()).await.0 == 200
    })
    .await;
    eventually("all are stored", SOON, async || a.messages().len() == 4 && b.messages().len() == 2)
        .await;
    let unknown = for_bot(&receiver, "c").post("messages", with_key(KEY), body()).await;
    assert_eq!(unknown, (404, "this bot is not served here".to_owned()));
}

/// A pause applies to workers that run and to those that start later, until it ends.
#[tokio::test]
async fn a_paused_bot_waits_until_it_is_resumed() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let (_process, receiver) = setup.receiver().await;
    let mut worker = setup.worker();
    assert_eq!(receiver.message(&message(1), None).await.0, 200);
    eventually("it is stored", SOON, async || sandbox.messages().len() == 1).await;
    assert_eq!(setup.run(&["pause", Sandbox::BOT_ID]).0, Some(0));
    let text = "the list of paused bots changed";
    eventually("the worker knows", SOON, async || worker.log().contains(text)).await;
    let requests = sandbox.requests().len();
    for number in 2..=3 {
        assert_eq!(receiver.message(&message(number), None).await.0, 200);
    }
    let mut later = setup.worker();
    eventually("the other knows", SOON, async || later.log().contains("delivering")).await;
    // Another bot is not paused, so this proves that deliveries happen meanwhile.
    let other = Sandbox::builder().bot_id("other").start().await.unwrap();
    let setup_of_other = Setup::new(&nats, &other).with("BP_BOT_ID", "other");
    let (_process_of_other, receiver_of_other) = setup_of_other.receiver().await;
    let _worker_of_other = setup_of_other.worker();
    for number in 1..=3 {
        assert_eq!(receiver_of_other.message(&message(number), None).await.0, 200);
    }
    eventually("the other's are stored", SOON, async || other.messages().len() == 3).await;
    assert_eq!(sandbox.requests().len(), requests);
    assert_eq!(setup.run(&["resume", Sandbox::BOT_ID]).0, Some(0));
    eventually("all are stored", SOON, async || sandbox.messages().len() == 3).await;
    assert_eq!(setup.run(&["pause", "a.b"]).0, Some(2));
}

/// If the file pauses a bot, its webhooks are received, but its messages are not delivered.
#[tokio::test]
async fn a_file_can_pause_a_bot() {
    let Some(nats) = Nats::start().await else { return };
    let a = Sandbox::builder().bot_id("a").start().await.unwrap();
    let b = Sandbox::builder().bot_id("b").start().await.unwrap();
    let file = format!("{}paused = true\n{}", table("a", &a), table("b", &b));
    let (_folder, setup) = with_file(Setup::new(&nats, &a), &file);
    let (_process, receiver) = setup.receiver().await;
    for bot in ["a", "b"] {
        assert_eq!(for_bot(&receiver, bot).message(&message(1), None).await.0, 200);
    }
    let _worker = setup.worker();
    eventually("the message of the bot b is stored", SOON, async || b.messages().len() == 1).await;
    assert!(a.requests().is_empty());
}

/// The queue in a file takes the same commands while a process uses it for many bots.
#[tokio::test(flavor = "multi_thread")]
async fn commands_work_on_the_file_of_a_process_for_many_bots() {
    let a = Sandbox::builder().bot_id("a").start().await.unwrap();
    let b = Sandbox::builder().bot_id("b").start().await.unwrap();
    let folder = TempDir::new().unwrap();
    let setup = Setup::on_file(&folder.path().join("queue.db"), &a);
    let (_folder, setup) = with_file(setup, &(table("a", &a) + &table("b", &b)));
    let (mut bridge, receiver) = setup.bridge().await;
    let [receiver_a, receiver_b] = ["a", "b"].map(|bot| for_bot(&receiver, bot));
    assert_eq!(setup.run(&["pause", "a"]).0, Some(0));
    let text = "the list of paused bots changed";
    eventually("the process knows", SOON, async || bridge.log().contains(text)).await;
    for (number, event) in [(1, "first"), (2, "second"), (3, "third")] {
        assert_eq!(receiver_a.message(&message(number), Some(event)).await.0, 200);
        assert_eq!(receiver_b.message(&message(number), Some(event)).await.0, 200);
    }
    eventually("the bot b gets all", SOON, async || b.messages().len() == 3).await;
    assert!(a.requests().is_empty());

    let heads = setup.lines(&["head", "--bot", "a"]);
    assert_eq!(heads.len(), 1);
    assert_eq!((&heads[0]["bot"], &heads[0]["event"]), (&json!("a"), &json!("first")));
    assert_eq!(heads[0]["message"], message(1));
    let waiting = &setup.lines(&["trace", "second", "--bot", "a"])[1];
    assert_eq!(waiting["is"], "waiting");
    assert_eq!(waiting["first_of_its_partition"], heads[0]["position"]);
    let position = heads[0]["position"].to_string();
    assert_eq!(setup.run(&["skip", &waiting["position"].to_string()]).0, Some(1));
    assert!(setup.lines(&["skip", &position]).is_empty());
    assert_eq!(setup.dead()[0]["event"], "first");
    assert_eq!(setup.run(&["resume", "a"]).0, Some(0));
    eventually("the bot a gets the others", SOON, async || a.messages().len() == 2).await;
    eventually("it is traced", SOON, async || {
        setup.lines(&["trace", "second", "--bot", "a"])[1]["is"] == "delivered"
    })
    .await;
    assert_eq!(setup.lines(&["trace", "first", "--bot", "a"])[1]["kind"], "skipped");

    // A pause is in the file: the next process knows it.
    assert_eq!(setup.run(&["pause", "a"]).0, Some(0));
    bridge.terminate();
    assert_eq!(bridge.ended().await.0, Some(0));
    let (_bridge, receiver) = setup.bridge().await;
    for bot in ["a", "b"] {
        assert_eq!(for_bot(&receiver, bot).message(&message(4), None).await.0, 200);
    }
    eventually("the bot b gets it", SOON, async || b.messages().len() == 4).await;
    assert_eq!(a.messages().len(), 2);
}

/// A process responds and reports the problem while NATS does not respond.
#[tokio::test]
async fn pages_respond_and_report_a_silent_nats_server() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let (_process, receiver) = setup.receiver().await;
    let ask = async |path| get(&setup.metrics, path).await.unwrap();
    assert_eq!(receiver.message(&message(1), None).await.0, 200);
    assert_eq!(ask("/readyz").await, (200, "ready\n".to_owned()));
    assert!(ask("/metrics/queue").await.1.contains("bridge_queue_depth"));

    nats.signal("STOP");
    let silent = (503, "NATS does not respond in time\n".to_owned());
    assert_eq!(ask("/readyz").await, silent);
    assert_eq!(ask("/metrics/queue").await, silent);
    assert_eq!(ask("/healthz").await, (200, "alive\n".to_owned()));
    let (status, text) = ask("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("bridge_received_total{outcome=\"stored\"} 1"), "{text}");
    assert!(!text.contains("bridge_queue"), "{text}");
    nats.signal("CONT");
    eventually("it is ready", SOON, async || ask("/readyz").await.0 == 200).await;
}

/// While all deliveries of a worker fail, it is not ready and gives the reason.
#[tokio::test]
async fn a_worker_that_pauses_is_not_ready() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let (_process, receiver) = setup.receiver().await;
    for number in 1..=9 {
        let mut message = message(number);
        message["conversation"]["tags"]["id"] = json!(number.to_string());
        assert_eq!(receiver.message(&message, None).await.0, 200);
    }
    // However slow this test looks, it is not ready until then.
    sandbox.fail_when(TargetedFault::new(Fault::Error { status: 403, stored: false }).always());
    let metrics = format!("127.0.0.1:{}", free_port());
    let _worker = setup.with("BRIDGE_METRICS", &metrics).worker();
    let problem = "every message fails: user: the API responded 403";
    eventually("it is not ready", SOON, async || {
        let answer = get(&metrics, "/readyz").await;
        answer.is_some_and(|(status, text)| status == 503 && text.contains(problem))
    })
    .await;
    let paused = format!("bridge_paused{{bot=\"{}\",reason=\"failures\"}}", Sandbox::BOT_ID);
    assert_eq!(figure(&metrics, &paused).await, Some(1.0));
    sandbox.reset();
    eventually("all are stored", 2 * SOON, async || sandbox.messages().len() == 9).await;
    assert_eq!(get(&metrics, "/readyz").await.unwrap().0, 200);
    assert_eq!(figure(&metrics, &paused).await, Some(0.0));
}

/// Runs `trace` for an event. Returns its exit code, and each line without the time and the bot.
fn trace(setup: &Setup, event: &str) -> (Option<i32>, Vec<Value>) {
    let (code, lines, _) = setup.run(&["trace", event]);
    let line = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        assert!(line["time"].is_u64() && line["bot"] == Sandbox::BOT_ID, "{line}");
        let fact = line.as_object_mut().unwrap();
        fact.remove("time");
        fact.remove("bot");
        line
    };
    (code, lines.lines().map(line).collect())
}

/// `trace` shows each step of an event, even if the history is lost.
#[tokio::test]
async fn trace_shows_what_happened_to_an_event() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox).with("BRIDGE_PARTITIONS", 1);
    let setup = setup.with("BRIDGE_LOG", "debug");
    let (mut process, receiver) = setup.receiver().await;
    for (number, event) in [(1, "a"), (2, "an event"), (3, "c")] {
        assert_eq!(receiver.message(&message(number), Some(event)).await.0, 200);
        assert_eq!(receiver.message(&message(number), Some(event)).await.0, 200);
    }
    let body = slack(4);
    assert_eq!(receiver.post("slack", signed(&body, 0), body).await.0, 200);
    let queued = |position: u64| json!({ "is": "queued", "position": position });
    let waiting = |position: u64| json!({ "is": "waiting", "position": position, "first_of_its_partition": 1 });
    assert_eq!(trace(&setup, "an event"), (Some(0), vec![queued(2), waiting(2)]));
    assert_eq!(trace(&setup, "Ev4"), (Some(0), vec![queued(4), waiting(4)]));
    assert_eq!(trace(&setup, "unknown"), (Some(1), vec![]));
    assert_eq!(setup.run(&["trace", "a", "--bot", "other"]).0, Some(1));
    let log = process.log();
    assert!(log.contains("event=\"an event\"}") && log.contains("event=\"Ev4\"}"), "{log}");
    // If the history is lost, `trace` searches the queue.
    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    context.get_stream("HISTORY").await.unwrap().purge().await.unwrap();
    assert_eq!(trace(&setup, "c"), (Some(0), vec![waiting(3)]));

    // User and conversation, the first message, the second, and the third is rejected.
    let rejected = Some(Fault::Error { status: 400, stored: false });
    sandbox.fail_next([None, None, None, None, rejected]);
    let mut worker = setup.worker();
    eventually("all are delivered", SOON, async || sandbox.messages().len() == 3).await;
    let delivered = |number: usize| {
        let id = &sandbox.messages()[number].id;
        json!({ "is": "delivered", "message": id })
    };
    eventually("it is traced", SOON, async || trace(&setup, "Ev4").1 == [delivered(2)]).await;
    assert_eq!(trace(&setup, "an event"), (Some(0), vec![delivered(1)]));
    let reason = "the API responded 400 InvalidPayload: error injected by the sandbox";
    let (_, facts) = trace(&setup, "c");
    assert_eq!((&facts[0]["is"], &facts[0]["kind"]), (&json!("dead"), &json!("invalid")));
    assert!(facts[0]["reason"].as_str().unwrap().starts_with(reason), "{facts:?}");
    let log = worker.log();
    let id = &sandbox.messages()[1].id;
    let span = format!("event=\"an event\" position=2 id=\"{id}\"}}");
    assert!(log.contains(&span), "{span} in {log}");
    assert!(
        log.contains("event=\"c\" position=3}: botpress_bridge::deliver: becomes a dead letter"),
        "{log}"
    );

    // The history continues after a dead letter is retried.
    let letter = &setup.dead()[0];
    assert_eq!(letter["event"], "c");
    assert_eq!(setup.run(&["dead", "retry", "--all"]).0, Some(0));
    eventually("it is delivered", SOON, async || sandbox.messages().len() == 4).await;
    let retried = json!({ "is": "retried", "position": 5 });
    eventually("it is traced", SOON, async || {
        trace(&setup, "c").1[1..] == [retried.clone(), delivered(3)]
    })
    .await;
    // If the history is lost, `trace` finds the dead letter.
    context.get_stream("HISTORY").await.unwrap().purge().await.unwrap();
    sandbox.fail_next([rejected]);
    assert_eq!(receiver.message(&message(6), Some("d")).await.0, 200);
    eventually("it is dead", SOON, async || setup.dead().len() == 1).await;
    context.get_stream("HISTORY").await.unwrap().purge().await.unwrap();
    assert_eq!(trace(&setup, "d").1[0]["is"], "dead");
    assert_eq!(setup.run(&["dead", "drop", "--all"]).0, Some(0));
    assert_eq!(trace(&setup, "d"), (Some(0), vec![json!({ "is": "dropped" })]));
}

/// Letters are chosen by bot, kind and age; a dry run changes nothing.
#[tokio::test]
async fn dead_letters_are_chosen_by_filters() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    assert_eq!(setup.run(&["dead", "list"]).0, Some(0));
    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    // Two that can be delivered, and one that cannot.
    for (subject, message) in
        [("invalid.a", message(1)), ("failing.a", message(2)), ("invalid.b", json!({}))]
    {
        let payload = message.to_string().into();
        context.publish(format!("dead.{subject}"), payload).await.unwrap().await.unwrap();
    }
    let numbers = |command: &str| {
        let letters = setup.lines(&command.split(' ').collect::<Vec<_>>());
        letters.iter().map(|letter| letter["number"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    struct Case {
        command: &'static str,
        printed: &'static [u64],
        left: &'static [u64],
    }
    for Case { command, printed, left } in [
        Case { command: "dead list --bot a", printed: &[1, 2], left: &[1, 2, 3] },
        Case { command: "dead list --kind invalid", printed: &[1, 3], left: &[1, 2, 3] },
        Case { command: "dead list --bot a --kind invalid", printed: &[1], left: &[1, 2, 3] },
        Case { command: "dead list --older-than 1h", printed: &[], left: &[1, 2, 3] },
        Case { command: "dead list --older-than 1ns --bot b", printed: &[3], left: &[1, 2, 3] },
        Case { command: "dead drop --all --dry-run", printed: &[1, 2, 3], left: &[1, 2, 3] },
        Case { command: "dead drop 2 --dry-run", printed: &[2], left: &[1, 2, 3] },
        Case { command: "dead drop --older-than 1h", printed: &[], left: &[1, 2, 3] },
        Case { command: "dead retry --all --dry-run", printed: &[1, 2], left: &[1, 2, 3] },
        Case { command: "dead retry --bot b", printed: &[], left: &[1, 2, 3] },
        Case { command: "dead retry --kind failing", printed: &[], left: &[1, 3] },
        Case { command: "dead drop --bot b", printed: &[], left: &[1] },
    ] {
        assert_eq!(numbers(command), printed, "{command}");
        assert_eq!(numbers("dead list"), left, "{command}");
    }
    for command in ["dead drop", "dead retry --dry-run", "dead drop 1 --all", "dead list --kind x"]
    {
        let (code, _, errors) = setup.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(code, Some(2), "{command}: {errors}");
    }
}

/// The message that a partition waits for can be shown and skipped.
#[tokio::test]
async fn the_head_of_a_partition_is_shown_and_skipped() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox).with("BRIDGE_PARTITIONS", 1);
    let (_process, receiver) = setup.receiver().await;
    let metrics = format!("127.0.0.1:{}", free_port());
    let mut worker = setup.clone().with("BRIDGE_METRICS", &metrics).worker();
    assert_eq!(receiver.message(&message(1), None).await.0, 200);
    eventually("it is stored", SOON, async || sandbox.messages().len() == 1).await;
    drained(&setup, SOON).await;
    worker.terminate();
    assert_eq!(worker.ended().await.0, Some(0));
    for (number, event) in [(2, "b"), (3, "c"), (4, "d")] {
        assert_eq!(receiver.message(&message(number), Some(event)).await.0, 200);
    }
    // Another worker takes the message, and puts it back for an hour.
    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let stream = context.get_stream("WEBHOOKS").await.unwrap();
    let consumer = format!("{}-0", Sandbox::BOT_ID);
    let consumer: PullConsumer = stream.get_consumer(&consumer).await.unwrap();
    let taken = consumer.fetch().max_messages(1).messages().await.unwrap().next().await;
    let hour = Duration::from_secs(3_600);
    taken.unwrap().unwrap().ack_with(AckKind::Nak(Some(hour))).await.unwrap();
    context.client().flush().await.unwrap();

    let shown = setup.lines(&["head"]);
    assert_eq!(shown.len(), 1);
    assert_eq!((&shown[0]["position"], &shown[0]["event"]), (&json!(2), &json!("b")));
    assert_eq!((&shown[0]["bot"], &shown[0]["partition"]), (&json!(Sandbox::BOT_ID), &json!("0")));
    assert_eq!(shown[0]["message"], message(2));
    assert!(setup.lines(&["head", "--bot", "other"]).is_empty());
    for position in ["3", "9"] {
        assert_eq!(setup.run(&["skip", position]).0, Some(1));
    }
    assert_eq!(setup.run(&["skip", "2"]).0, Some(0));
    assert_eq!(setup.lines(&["head"])[0]["position"], 3);
    let letter = &setup.dead()[0];
    assert_eq!((&letter["kind"], &letter["event"]), (&json!("skipped"), &json!("b")));
    assert_eq!(
        (&letter["reason"], &letter["message"]),
        (&json!("skipped by command"), &message(2))
    );

    let _worker = setup.clone().with("BRIDGE_METRICS", &metrics).worker();
    eventually("the rest is stored", SOON, async || sandbox.messages().len() == 3).await;
    assert_eq!(figure(&metrics, "bridge_consumers_recreated_total").await, Some(0.0));
}

/// A stream gets the chosen settings; a setting that the server does not allow is reported.
#[tokio::test]
async fn streams_follow_the_settings() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let list = |setup: &Setup| {
        let (code, _, errors) = setup.run(&["dead", "list"]);
        assert_eq!(code, Some(0), "{errors}");
        errors
    };
    list(&setup);
    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let config = async |name| context.get_stream(name).await.unwrap().cached_info().config.clone();
    const MIB: i64 = 1 << 20;
    struct Case {
        stream: &'static str,
        max_bytes: i64,
    }
    for Case { stream, max_bytes } in [
        Case { stream: "WEBHOOKS", max_bytes: 256 * MIB },
        Case { stream: "DEAD", max_bytes: 64 * MIB },
        Case { stream: "HISTORY", max_bytes: 64 * MIB },
        Case { stream: "PAUSED", max_bytes: MIB },
    ] {
        assert_eq!(config(stream).await.max_bytes, max_bytes, "{stream}");
    }
    let changed = setup
        .clone()
        .with("BRIDGE_MAX_BYTES", MIB)
        .with("BRIDGE_DUPLICATE_WINDOW", 60)
        .with("BRIDGE_DEAD_MAX_AGE", "30days");
    let log = list(&changed);
    for text in [
        "the stream WEBHOOKS is changed: max_bytes from 268435456 to 1048576; duplicate_window from 900s to 60s",
        "the stream DEAD is changed: max_age from 0ns to 2592000s",
    ] {
        assert!(log.contains(text), "{text} in {log}");
    }
    assert_eq!(config("WEBHOOKS").await.max_bytes, MIB);
    assert_eq!(config("DEAD").await.max_age, Duration::from_secs(30 * 86_400));
    // A process without these settings leaves the stream as it is.
    assert!(!list(&setup).contains("is changed"));
    assert_eq!(config("WEBHOOKS").await.max_bytes, MIB);
    // The server does not allow a maximum age below the duplicate window.
    let log = list(&setup.clone().with("BRIDGE_HISTORY_MAX_AGE", "1s"));
    let text = "the stream HISTORY cannot be changed: max_age from 604800s to 1s: ";
    assert!(log.contains(text), "{log}");
    let (code, _, errors) = setup.with("BRIDGE_DEAD_MAX_AGE", "59min").run(&["dead", "list"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("at least 1h"), "{errors}");
}

/// Running processes continue after somebody has removed the streams.
#[tokio::test]
async fn streams_that_disappear_are_created_again() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let (mut process, receiver) = setup.receiver().await;
    let mut worker = setup.worker();
    assert_eq!(receiver.message(&message(1), None).await.0, 200);
    eventually("it is stored", SOON, async || sandbox.messages().len() == 1).await;
    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let names = ["WEBHOOKS", "DEAD", "HISTORY", "PAUSED"];
    for name in names {
        context.delete_stream(name).await.unwrap();
    }
    assert_eq!(receiver.message(&message(2), None).await.0, 503);
    eventually("webhooks are received", SOON, async || {
        receiver.message(&message(2), None).await.0 == 200
    })
    .await;
    eventually("it is stored", SOON, async || sandbox.messages().len() == 2).await;
    eventually("all streams exist again", SOON, async || {
        let mut are_there = true;
        for name in names {
            are_there &= context.get_stream(name).await.is_ok();
        }
        are_there
    })
    .await;
    // With its previous settings, not the defaults.
    let partitions =
        context.get_stream("WEBHOOKS").await.unwrap().cached_info().config.subjects.len();
    assert_eq!(partitions, 4);
    let log = process.log() + &worker.log();
    assert!(log.contains("the stream WEBHOOKS has disappeared"), "{log}");
}
