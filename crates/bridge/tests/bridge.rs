//! The program as a whole: with a NATS server, the sandbox instead of the API, and processes that are stopped or
//! killed.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{self, AckKind};
use botpress_channels::{SigningSecret, whatsapp};
use botpress_sandbox::{Fault, Sandbox};
use futures_util::StreamExt;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use support::{Nats, Setup, drained, eventually, figure, free_port, get, signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(40);

/// A message of one person in one conversation.
fn message(number: usize) -> Value {
    json!({
        "conversation": { "channel": "channel", "tags": { "id": "C05C6ACTLPQ" } },
        "user": { "tags": { "id": "U05BPU9V1KQ" } },
        "type": "text",
        "payload": { "text": number.to_string() },
        "tags": { "id": number.to_string() },
    })
}

fn texts(sandbox: &Sandbox) -> Vec<String> {
    let text = |payload: &Value| payload["text"].as_str().unwrap().to_owned();
    sandbox.messages().iter().map(|message| text(&json!(message.payload))).collect()
}

async fn stored(sandbox: &Sandbox, expected: &[&str]) {
    eventually("the messages are stored", SOON, async || texts(sandbox).len() >= expected.len())
        .await;
    assert_eq!(texts(sandbox), expected);
}

fn slack(event: Value) -> String {
    let id = format!("Ev{}", event["ts"].as_str().unwrap_or("0"));
    json!({ "type": "event_callback", "event_id": id, "event": event }).to_string()
}

#[tokio::test]
async fn slack_webhooks_arrive_once() {
    struct Case {
        body: String,
        answer: &'static str,
    }
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let (_receiver, receiver) = setup.receiver().await;
    let event = |ts: &str, more: Value| {
        let mut event = json!({
            "type": "message", "channel": "C05C6ACTLPQ", "channel_type": "channel",
            "user": "U05BPU9V1KQ", "text": "hello", "ts": ts,
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let stored = |ts, more| Case { body: slack(event(ts, more)), answer: "stored" };
    let file = json!({ "text": "", "subtype": "file_share", "files": [{ "id": "F05" }] });
    let edit = json!({
        "subtype": "message_changed",
        "message": event("1.1", json!({ "text": "hello again" })),
        "previous_message": event("1.1", json!({})),
    });
    let cases = [
        stored("1.1", json!({})),
        Case { answer: "stored before", ..stored("1.1", json!({})) },
        stored("2.1", json!({ "channel_type": "im" })),
        stored("3.1", json!({ "thread_ts": "1.1" })),
        stored("4.1", json!({ "thread_ts": "4.1" })),
        stored("5.1", file),
        stored("6.1", edit),
        Case { answer: "a bot wrote it", ..stored("7.1", json!({ "bot_id": "B05BPU9V1KQ" })) },
        Case {
            body: slack(json!({ "type": "reaction_added" })),
            answer: "an event of type reaction_added",
        },
        Case {
            body: json!({ "type": "url_verification", "challenge": "3eZbrw1a" }).to_string(),
            answer: "3eZbrw1a",
        },
        Case {
            answer: "it has no text, file or forwarded message",
            ..stored("8.1", json!({ "text": "" }))
        },
        Case {
            answer: "event.user is missing or not a string",
            ..stored("9.1", json!({ "user": null }))
        },
        Case {
            body: "{".to_owned(),
            answer: "the body is not JSON: EOF while parsing an object at line 1 column 1",
        },
    ];
    for Case { body, answer } in cases {
        let answered = receiver.post("slack", signed(&body, 299), body.clone()).await;
        assert_eq!(answered, (200, answer.to_owned()), "{body}");
    }

    let _worker = setup.worker();
    eventually("all are stored", SOON, async || sandbox.messages().len() >= 5).await;
    drained(&setup, SOON).await;
    let conversations = sandbox.conversations();
    let seen = sandbox.messages().into_iter().map(|message| {
        let conversation = conversations.iter().find(|c| c.id == message.conversation_id).unwrap();
        let tags = &conversation.tags;
        (message.tags["ts"].clone(), json!([conversation.channel, tags, message.payload]))
    });
    let place = json!({ "id": "C05C6ACTLPQ" });
    let thread = json!({ "id": "C05C6ACTLPQ", "thread": "1.1" });
    let hello = json!({ "text": "hello" });
    let reference = json!({ "fileUrl": "slack://file?id=F05", "title": "F05" });
    let expected = [
        ("1.1", json!(["channel", place, { "text": "hello again" }])),
        ("2.1", json!(["dm", place, hello])),
        ("3.1", json!(["thread", thread, hello])),
        ("4.1", json!(["channel", place, hello])),
        ("5.1", json!(["channel", place, { "items": [{ "type": "file", "payload": reference }] }])),
    ];
    let expected = expected.map(|(ts, message)| (ts.to_owned(), message));
    assert_eq!(seen.collect::<BTreeMap<_, _>>(), expected.into());
    assert_eq!(sandbox.messages().len(), 5);
    assert!(setup.dead().is_empty());
}

#[tokio::test]
async fn telegram_and_whatsapp_webhooks_arrive_once() {
    struct Case {
        body: Value,
        status: u16,
        answer: &'static str,
    }
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox)
        .with("TELEGRAM_SECRET_TOKEN", "7elegram_5ecret")
        .with("WHATSAPP_APP_SECRET", "what5app_5ecret")
        .with("WHATSAPP_VERIFY_TOKEN", "what5app_token");
    let (mut process, receiver) = setup.receiver().await;
    let ok = |body, answer| Case { body, status: 200, answer };

    let update = |id: u32, chat: u32, more: Value| {
        let mut message = json!({ "message_id": 1, "chat": { "id": chat }, "from": { "id": 2 } });
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "update_id": id, "message": message })
    };
    let header = |name: &'static str, value: &str| {
        HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())])
    };
    for Case { body, status, answer } in [
        ok(update(1, 3, json!({ "text": "one" })), "stored"),
        ok(update(1, 3, json!({ "text": "one" })), "stored before"),
        ok(update(2, 4, json!({ "text": "two" })), "stored"),
        ok(
            update(3, 4, json!({ "contact": {} })),
            "it has no text, file or location, but: contact",
        ),
        ok(update(4, 4, json!({ "left_chat_member": {} })), "a service message: left_chat_member"),
        ok(json!({}), "update_id is missing or not an integer"),
    ] {
        let headers = header("x-telegram-bot-api-secret-token", "7elegram_5ecret");
        let answered = receiver.post("telegram", headers, body.to_string()).await;
        assert_eq!(answered, (status, answer.to_owned()), "{body}");
    }

    let message = |id: &str| json!({ "id": id, "from": "5", "group_id": "6", "type": "text", "text": { "body": id } });
    let webhook = |number: &str, messages: &[Value]| {
        let value = json!({ "metadata": { "phone_number_id": number }, "messages": messages });
        let changes = json!([{ "field": "messages", "value": value }]);
        json!({ "object": "whatsapp_business_account", "entry": [{ "changes": changes }] })
    };
    let (a, b) = (message("a"), message("b"));
    let unnamed = json!({ "type": "text", "from": "5" });
    let broken = "entry.changes.value.messages.id is missing or not a string";
    let secret = SigningSecret::new("what5app_5ecret").unwrap();
    for Case { body, status, answer } in [
        ok(webhook("7", &[a.clone(), b.clone()]), "stored"),
        ok(webhook("7", &[a.clone(), b, a.clone()]), "stored before"),
        ok(webhook("8", &[unnamed.clone(), a]), "stored"),
        ok(webhook("8", &[unnamed]), broken),
        ok(webhook("8", &[]), "no messages, but: messages"),
        Case { status: 400, ..ok(webhook("8", &[message("\u{e9}")]), "") },
    ] {
        let body = body.to_string();
        let headers = header("x-hub-signature-256", &whatsapp::sign(&secret, body.as_bytes()));
        let answered = receiver.post("whatsapp", headers, body.clone()).await;
        assert_eq!(answered.0, status, "{body}");
        assert!(answered.1.starts_with(answer), "{answered:?}: {body}");
    }

    let rejected = "the signature or the secret token is missing or wrong";
    for path in ["telegram", "whatsapp"] {
        let answered = receiver.post(path, HeaderMap::new(), "{}".to_owned()).await;
        assert_eq!(answered, (401, rejected.to_owned()), "{path}");
    }
    let headers = header("x-telegram-bot-api-secret-token", "7elegram_other");
    assert_eq!(receiver.post("telegram", headers, "{}".to_owned()).await.0, 401);
    let headers = header("x-hub-signature-256", &whatsapp::sign(&secret, b"{} "));
    assert_eq!(receiver.post("whatsapp", headers, "{}".to_owned()).await.0, 401);
    let challenge = async |path: &str, token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=1158&hub.verify_token={token}");
        let answer = reqwest::get(format!("{}/{path}?{query}", receiver.url)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(challenge("whatsapp", "what5app_token").await, (200, "1158".to_owned()));
    assert_eq!(challenge("whatsapp", "what5app_other").await, (401, rejected.to_owned()));
    assert_eq!(challenge("telegram", "what5app_token").await.0, 405);
    let (_other, closed) = Setup::new(&nats, &sandbox).receiver().await;
    assert_eq!(closed.post("telegram", HeaderMap::new(), "{}".to_owned()).await.0, 404);

    let log = process.log();
    for text in [
        "the header x-hub-signature-256 is missing",
        "token mismatch",
        "chat=\"4\" message_id=\"1\"",
    ] {
        assert!(log.contains(text), "{text} in {log}");
    }
    assert!(!log.contains("5ecret"), "{log}");
    let _worker = setup.worker();
    eventually("all are stored", SOON, async || sandbox.messages().len() >= 5).await;
    drained(&setup, SOON).await;
    let mut stored = texts(&sandbox);
    stored.sort();
    assert_eq!(stored, ["a", "a", "b", "one", "two"]);
    assert!(setup.dead().is_empty());
}

/// Slack webhooks that are rejected or cannot be read are in the log, without their text.
#[tokio::test]
async fn lost_slack_webhooks_are_logged() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let (mut process, receiver) = Setup::new(&nats, &sandbox).receiver().await;
    let event = |text: &str| {
        slack(json!({
            "type": "message", "channel": "C05C6ACTLPQ", "user": "U05BPU9V1KQ", "text": text,
            "ts": "1722441123.004619",
        }))
    };
    let body = event("private");
    for headers in [signed(&body, 302), signed("another body", 0), HeaderMap::new()] {
        let answered = receiver.post("slack", headers, body.clone()).await;
        assert_eq!(answered, (401, "the signature is missing, wrong or old".to_owned()));
    }
    for body in [event(""), json!({ "type": 1, "text": "private" }).to_string()] {
        assert_eq!(receiver.post("slack", signed(&body, 0), body.clone()).await.0, 200);
    }
    let log = process.log();
    for text in [
        "clock off by ",
        "signature mismatch",
        "the header x-slack-request-timestamp is missing",
        "chat=\"C05C6ACTLPQ\" message_id=\"1722441123.004619\"",
        "type is missing or not a string",
    ] {
        assert!(log.contains(text), "{text} in {log}");
    }
    assert!(!log.contains("private"), "{log}");
}

/// A message that is not valid, or that no tag identifies, is rejected before it is stored.
#[tokio::test]
async fn invalid_webhooks_are_rejected_before_they_are_stored() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let (mut process, receiver) = setup.receiver().await;
    struct Case<'a> {
        body: String,
        key: Option<&'a [u8]>,
        status: u16,
        answer: &'static str,
    }
    let case =
        |message: Value, key, answer| Case { body: message.to_string(), key, status: 200, answer };
    let rejected = |message: Value, key, answer| Case { status: 400, ..case(message, key, answer) };
    let contract = "the message breaks the contract: ";
    let long = "x".repeat(201);
    let printable = "Idempotency-Key has a character other than printable ASCII";
    let length = "Idempotency-Key must have 1 to 200 characters";
    let mut untagged = message(4);
    untagged["tags"] = json!({});
    let mut invalid = message(4);
    invalid["payload"] = json!("no object");
    invalid["type"] = json!(1);
    let cases = [
        case(message(1), None, "stored"),
        case(message(1), None, "stored before"),
        case(message(2), Some(b"a"), "stored"),
        case(message(3), Some(b"a"), "stored before"),
        rejected(untagged, Some(b"b"), "no tag identifies the message"),
        rejected(json!({}), Some(b"c"), contract),
        rejected(json!(null), Some(b"c"), contract),
        rejected(invalid.clone(), None, "/payload must be of type object"),
        rejected(invalid, None, "/type must be of type string"),
        Case { body: "{".to_owned(), ..rejected(json!({}), None, "must be JSON") },
        rejected(message(5), Some(long.as_bytes()), length),
        rejected(message(5), Some(b""), length),
        rejected(message(5), Some("\u{e9}".as_bytes()), printable),
        rejected(message(5), Some(b"a\tb"), printable),
        Case { status: 413, ..case(json!({ "x": "x".repeat(1 << 20) }), Some(b"c"), "") },
    ];
    for Case { body, key, status, answer } in cases {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("bEARER {}", support::KEY).parse().unwrap());
        if let Some(key) = key {
            headers.insert("idempotency-key", HeaderValue::from_bytes(key).unwrap());
        }
        let answered = receiver.post("messages", headers, body).await;
        assert_eq!(answered.0, status, "{answered:?}");
        assert!(answered.1.contains(answer), "{answer}: {answered:?}");
    }
    for id in ["Ev1\r\nA: b", "Ev\u{e9}"] {
        let body = json!({ "type": "event_callback", "event_id": id, "event": {
            "type": "message", "channel": "C1", "user": "U1", "text": "hello", "ts": "1.1",
        } });
        let body = body.to_string();
        let (status, answer) = receiver.post("slack", signed(&body, 0), body).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer.starts_with("event_id "), "{answer}");
    }
    let (status, _) = receiver.post("messages", HeaderMap::new(), message(6).to_string()).await;
    assert_eq!(status, 401);
    let mut elsewhere = receiver.clone();
    elsewhere.url.push('0');
    assert_eq!(elsewhere.message(&message(7), None).await.0, 404);
    let log = process.log();
    assert!(log.contains("a webhook is rejected") && log.contains("/payload must be"), "{log}");

    let _worker = setup.worker();
    stored(&sandbox, &["1", "2"]).await;
    assert!(setup.dead().is_empty());
}

/// Each outcome of a delivery is handled, and the rest of the conversation waits until then.
#[tokio::test]
async fn each_delivery_outcome_is_handled() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox).with("BRIDGE_PARTITIONS", 1);
    let (_receiver, receiver) = setup.receiver().await;
    // Messages that the receiver would reject, from another publisher.
    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let mut untagged = message(0);
    untagged["tags"] = json!({});
    for message in [json!({}), untagged.clone()] {
        let subject = format!("webhooks.{}.0", Sandbox::BOT_ID);
        let payload = message.to_string().into();
        context.publish(subject, payload).await.unwrap().await.unwrap();
    }
    for number in 1..=4 {
        assert_eq!(receiver.message(&message(number), None).await.0, 200);
    }
    sandbox.fail_next([
        // User, conversation, and a first message that needs more than one delivery.
        None,
        None,
        Some(Fault::Silence { stored: false }),
        None,
        // The second message.
        None,
        // The third message is rejected permanently.
        Some(Fault::Error { status: 400, stored: false }),
    ]);
    let _worker = setup.worker();
    drained(&setup, SOON).await;
    assert_eq!(texts(&sandbox), ["1", "2", "4"]);

    let dead = setup.dead();
    let seen: Vec<_> = dead.iter().map(|letter| letter["message"].clone()).collect();
    assert_eq!(seen, [json!({}), untagged.clone(), message(3)]);
    let reasons = [
        "the request breaks the contract and was not sent: ",
        "no tag identifies the message",
        "the API responded 400 InvalidPayload: error injected by the sandbox",
    ];
    for (letter, reason) in dead.iter().zip(reasons) {
        assert!(letter["reason"].as_str().unwrap().starts_with(reason), "{letter}");
        assert_eq!(letter["bot"], Sandbox::BOT_ID);
        assert_eq!(letter["kind"], "invalid");
    }

    // Retry: the message that was rejected succeeds now, those that are not valid stay.
    let (code, _, errors) = setup.run(&["dead", "retry", "--all"]);
    assert_eq!(code, Some(0), "{errors}");
    for text in [
        "letter 1 cannot be retried: the request breaks",
        "letter 2 cannot be retried: no tag identifies",
    ] {
        assert!(errors.contains(text), "{errors}");
    }
    stored(&sandbox, &["1", "2", "4", "3"]).await;
    drained(&setup, SOON).await;
    let left: Vec<_> = setup.dead().iter().map(|letter| letter["message"].clone()).collect();
    assert_eq!(left, [json!({}), untagged]);
    assert_eq!(setup.run(&["dead", "retry", "2"]).0, Some(1));
    assert_eq!(setup.run(&["dead", "drop", "2"]).0, Some(0));
    assert_eq!(setup.run(&["dead", "drop", "2"]).0, Some(1));
    assert_eq!(setup.dead().len(), 1);
}

/// A message that fails in any way while others are stored does not hold up its partition forever.
#[tokio::test]
async fn a_message_that_alone_fails_becomes_a_dead_letter() {
    let Some(nats) = Nats::start().await else { return };
    for (number, fault) in [
        Fault::Error { status: 500, stored: false },
        Fault::Error { status: 403, stored: false },
        Fault::Page { status: 403, stored: false },
        Fault::Page { status: 413, stored: false },
        Fault::Page { status: 200, stored: false },
        Fault::Reset { stored: false },
    ]
    .into_iter()
    .enumerate()
    {
        let bot = format!("bot-{number}");
        let sandbox = Sandbox::builder().bot_id(&bot).start().await.unwrap();
        let setup = Setup::new(&nats, &sandbox).with("BP_BOT_ID", &bot);
        let setup = setup.with("BRIDGE_MAX_DELIVERIES", 2);
        let (_receiver, receiver) = setup.receiver().await;
        let _worker = setup.worker();
        assert_eq!(receiver.message(&message(1), None).await.0, 200);
        stored(&sandbox, &["1"]).await;
        sandbox.fail_next([Some(fault); 100]);
        assert_eq!(receiver.message(&message(2), None).await.0, 200);
        drained(&setup, SOON).await;
        let dead = setup.dead();
        assert_eq!(dead.len(), 1, "{fault}");
        let letter = (&dead[0]["kind"], &dead[0]["message"]);
        assert_eq!(letter, (&json!("failing"), &message(2)), "{fault}");
        assert_eq!(setup.run(&["dead", "drop", "--all"]).0, Some(0));
    }
}

/// A wrong setting stops the delivery of a bot, until it is corrected. Nothing is lost.
#[tokio::test]
async fn a_wrong_setting_pauses_delivery_and_loses_nothing() {
    struct Case {
        name: &'static str,
        value: String,
        text: &'static str,
    }
    let Some(nats) = Nats::start().await else { return };
    let secret = "bp_pat_wrong_and_secret";
    let elsewhere = Sandbox::start().await.unwrap();
    let page = Fault::Page { status: 400, stored: false };
    elsewhere.fail_next([Some(page); 1_000]);
    let cases = [
        Case { name: "BP_TOKEN", value: secret.to_owned(), text: "401 Unauthorized" },
        Case { name: "BP_API_URL", value: "/nowhere".to_owned(), text: "404 ResourceNotFound" },
        Case { name: "BP_API_URL", value: elsewhere.url(), text: "unexpected response: 400" },
    ];
    for (number, Case { name, value, text }) in cases.into_iter().enumerate() {
        let bot = format!("bot-{number}");
        let sandbox = Sandbox::builder().bot_id(&bot).start().await.unwrap();
        let setup = Setup::new(&nats, &sandbox).with("BP_BOT_ID", &bot);
        let (_receiver, receiver) = setup.receiver().await;
        for number in 1..=9 {
            let mut message = message(number);
            message["conversation"]["tags"]["id"] = json!(format!("C{number}"));
            assert_eq!(receiver.message(&message, None).await.0, 200);
        }
        let value = value.strip_prefix('/').map_or(value.clone(), |p| sandbox.url() + "/" + p);
        let mut worker = setup.clone().with(name, &value).worker();
        let pauses = "delivery pauses, because every message fails: ";
        eventually("it pauses twice", SOON, async || worker.log().matches(pauses).count() >= 2)
            .await;
        let log = worker.log();
        assert!(log.contains(text), "{log}");
        assert!(!log.contains(secret), "{log}");
        assert!(setup.dead().is_empty());
        worker.terminate();
        assert_eq!(worker.ended().await.0, Some(0));
        let _worker = setup.worker();
        eventually("all are stored", SOON, async || sandbox.messages().len() == 9).await;
        assert!(setup.dead().is_empty());
    }
}

/// Delivery resumes once the API accepts messages again.
#[tokio::test]
async fn delivery_resumes_without_an_operator() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let (_receiver, receiver) = setup.receiver().await;
    for number in 1..=9 {
        let mut message = message(number);
        message["conversation"]["tags"]["id"] = json!(format!("C{number}"));
        assert_eq!(receiver.message(&message, None).await.0, 200);
    }
    sandbox.fail_next([Some(Fault::Error { status: 403, stored: false }); 12]);
    let mut worker = setup.worker();
    eventually("all are stored", 2 * SOON, async || sandbox.messages().len() == 9).await;
    drained(&setup, SOON).await;
    let log = worker.log();
    assert!(log.contains("delivery pauses") && log.contains("delivery resumes"), "{log}");
    assert!(setup.dead().is_empty());
}

/// A message that is put back because of the rate limit did not fail.
#[tokio::test]
async fn rate_limits_do_not_count_as_failures() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox).with("BRIDGE_MAX_DELIVERIES", 3);
    let (_receiver, receiver) = setup.receiver().await;
    let mut worker = setup.worker();
    assert_eq!(receiver.message(&message(1), None).await.0, 200);
    stored(&sandbox, &["1"]).await;
    // Three deliveries that are rate-limited, one that fails, and one that is stored.
    let failing = Fault::Error { status: 500, stored: false };
    sandbox.fail_next([[Some(Fault::Limited(3)); 3].as_slice(), &[Some(failing); 3]].concat());
    assert_eq!(receiver.message(&message(2), None).await.0, 200);
    stored(&sandbox, &["1", "2"]).await;
    assert!(worker.log().contains("500"), "{}", worker.log());
    assert!(setup.dead().is_empty());
}

/// The message of a killed worker goes to another one, and the endpoint recognises a message that it has stored.
#[tokio::test]
async fn a_killed_worker_loses_nothing_and_stores_nothing_twice() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let (_receiver, receiver) = setup.receiver().await;
    sandbox.fail_next([None, None, Some(Fault::Silence { stored: true })]);
    for number in 1..=2 {
        assert_eq!(receiver.message(&message(number), None).await.0, 200);
    }
    let mut worker = setup.worker();
    eventually("the first is stored", SOON, async || texts(&sandbox) == ["1"]).await;
    worker.kill();
    let _another = setup.worker();
    stored(&sandbox, &["1", "2"]).await;
    drained(&setup, SOON).await;
    assert!(setup.dead().is_empty());
}

#[tokio::test]
async fn sigterm_finishes_deliveries_in_flight() {
    let Some(nats) = Nats::start().await else { return };
    let latency = Duration::from_millis(700);
    let sandbox = Sandbox::builder().latency(latency).start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox).with("BRIDGE_PARTITIONS", 1);
    let (mut receiver_process, receiver) = setup.receiver().await;
    for number in 1..=3 {
        assert_eq!(receiver.message(&message(number), None).await.0, 200);
    }
    let mut worker = setup.worker();
    eventually("the first is stored", SOON, async || !sandbox.messages().is_empty()).await;
    worker.terminate();
    let (code, log) = worker.ended().await;
    assert_eq!(code, Some(0), "{log}");
    let done = texts(&sandbox).len();
    assert!(done < 3, "no new messages are delivered after SIGTERM");
    receiver_process.terminate();
    assert_eq!(receiver_process.ended().await.0, Some(0));
    assert_eq!(receiver.message(&message(4), None).await.0, 0);

    // The messages that it had are acknowledged, and another worker can take the rest immediately.
    let before = sandbox.requests().len();
    let _another = setup.worker();
    stored(&sandbox, &["1", "2", "3"]).await;
    assert_eq!(sandbox.requests().len(), before + 2 + 3 - done);
}

/// An incomplete request does not keep its connection open, or the receiver from ending.
#[tokio::test]
async fn incomplete_requests_time_out() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let (mut process, receiver) = setup.receiver().await;
    let mut connection = TcpStream::connect(receiver.address()).await.unwrap();
    let (bot, key) = (Sandbox::BOT_ID, support::KEY);
    let head = format!(
        "POST /{bot}/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         content-length: 9\r\nexpect: 100-continue\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    // The receiver asks for the body, so it is processing the request.
    let goes_on = "HTTP/1.1 100 Continue\r\n\r\n";
    let mut answer = vec![0; goes_on.len()];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), goes_on);
    connection.write_all(b"half").await.unwrap();
    process.terminate();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("its body did not arrive in time"), "{log}");
}

/// Connections that send nothing, or only half of the headers, are closed to make room for others.
#[tokio::test]
async fn idle_connections_are_closed() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox).with("BRIDGE_CONNECTIONS", 2);
    let (_process, receiver) = setup.receiver().await;
    let mut connections = Vec::new();
    for sent in ["", "POST /bot/messages HTTP/1.1\r\nhost: x\r\n"] {
        let mut connection = TcpStream::connect(receiver.address()).await.unwrap();
        connection.write_all(sent.as_bytes()).await.unwrap();
        connections.push(connection);
    }
    // The next connection waits until a place is free.
    eventually("a place is free", SOON, async || {
        receiver.message(&message(1), None).await.0 == 200
    })
    .await;
    for mut connection in connections {
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.unwrap();
    }
}

/// A body is read only after authentication, and only if there is memory for it.
#[tokio::test]
async fn bodies_are_read_after_authentication_and_within_the_buffer() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox).with("BRIDGE_BUFFER", 1 << 20);
    let (mut process, receiver) = setup.receiver().await;
    let bot = Sandbox::BOT_ID;
    let large = 1 << 20;
    let head = |path: &str, key: &str, length: usize| {
        format!(
            "POST /{bot}/{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    // None of these sends its body.
    struct Case {
        head: String,
        status: &'static str,
    }
    let cases = [
        Case { head: head("messages", "another", large), status: "HTTP/1.1 401 " },
        Case { head: head("slack", support::KEY, large), status: "HTTP/1.1 401 " },
        Case { head: head("messages", support::KEY, large + 1), status: "HTTP/1.1 413 " },
    ];
    for Case { head, status } in cases {
        let mut connection = TcpStream::connect(receiver.address()).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; status.len()];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), status);
    }
    let mut waiting = TcpStream::connect(receiver.address()).await.unwrap();
    let head = head("messages", support::KEY, large)
        .replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    waiting.write_all(head.as_bytes()).await.unwrap();
    // The receiver asks for the body, so it has reserved the buffer.
    let mut answer = vec![0; "HTTP/1.1 100 ".len()];
    waiting.read_exact(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 100 ");
    let used_up = (503, "too many webhooks at once: repeat it".to_owned());
    assert_eq!(receiver.message(&message(1), None).await, used_up);
    assert!(process.log().contains("BRIDGE_BUFFER is used up"), "{}", process.log());
    drop(waiting);
    eventually("the buffer is free", SOON, async || {
        receiver.message(&message(1), None).await.0 == 200
    })
    .await;
}

/// When the server restarts, it forgets the ids of delivered messages; the endpoint still recognises them.
#[tokio::test]
async fn the_queue_survives_its_server() {
    let Some(mut nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let (_receiver, receiver) = setup.receiver().await;
    let worker = setup.worker();
    for message in [message(1), message(2)] {
        assert_eq!(receiver.message(&message, Some(&message.to_string())).await.0, 200);
    }
    stored(&sandbox, &["1", "2"]).await;
    drained(&setup, SOON).await;
    drop(worker);
    assert_eq!(receiver.message(&message(3), None).await.0, 200);

    nats.kill();
    assert_eq!(receiver.message(&message(4), None).await.0, 503);
    nats.resume().await;
    for message in [message(1), message(2), message(4)] {
        let key = message.to_string();
        eventually("the receiver is back", SOON, async || {
            receiver.message(&message, Some(&key)).await.0 == 200
        })
        .await;
    }
    let _worker = setup.worker();
    stored(&sandbox, &["1", "2", "3", "4"]).await;
    drained(&setup, SOON).await;
    assert_eq!(texts(&sandbox).len(), 4);
    assert!(setup.dead().is_empty());
}

/// A server that loses track of messages is accepted only if a setting allows it.
#[tokio::test]
async fn an_old_server_is_rejected_unless_it_is_allowed() {
    let Some(nats) = Nats::start_version("2.11.11", &[]).await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    for command in [&["deliver"][..], &["receive"], &["dead", "list"]] {
        let (code, _, errors) = setup.run(command);
        assert_eq!(code, Some(2), "{errors}");
        let text = "nats-server 2.11.11 is too old: before 2.12 it loses track of messages when it is killed";
        assert!(errors.contains(text), "{errors}");
    }
    let allowed = setup.with("NATS_ALLOW_OLD_SERVER", 1);
    let (code, _, errors) = allowed.run(&["dead", "list"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("too old"), "{errors}");
}

/// A process with wrong credentials does not try again.
#[tokio::test]
async fn wrong_credentials_end_a_process() {
    let Some(nats) = Nats::start_with(&["--user", "bridge", "--pass", "right"]).await else {
        return;
    };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox).with("NATS_USER", "bridge");
    for command in [&["deliver"][..], &["receive"], &["dead", "list"]] {
        let (code, _, errors) = setup.clone().with("NATS_PASSWORD", "hunter2").run(command);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains("rejects the credentials"), "{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
}

/// The watchdog replaces a consumer that hands out nothing.
#[tokio::test]
async fn a_stuck_consumer_is_created_again() {
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox).with("BRIDGE_PARTITIONS", 1);
    let (_receiver, receiver) = setup.receiver().await;
    let mut first = setup.worker();
    assert_eq!(receiver.message(&message(1), None).await.0, 200);
    stored(&sandbox, &["1"]).await;
    drained(&setup, SOON).await;
    first.terminate();
    assert_eq!(first.ended().await.0, Some(0));
    // Another client takes the next message, and puts it back for an hour.
    for number in 2..=3 {
        assert_eq!(receiver.message(&message(number), None).await.0, 200);
    }
    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let stream = context.get_stream("WEBHOOKS").await.unwrap();
    let name = format!("{}-0", Sandbox::BOT_ID);
    let consumer: PullConsumer = stream.get_consumer(&name).await.unwrap();
    let taken = consumer.fetch().max_messages(1).messages().await.unwrap().next().await;
    let hour = Duration::from_secs(3_600);
    taken.unwrap().unwrap().ack_with(AckKind::Nak(Some(hour))).await.unwrap();
    context.client().flush().await.unwrap();

    let metrics = format!("127.0.0.1:{}", free_port());
    let mut worker = setup.clone().with("BRIDGE_METRICS", &metrics).worker();
    let late = 2 * SOON;
    eventually("all are stored", late, async || texts(&sandbox).len() == 3).await;
    assert_eq!(texts(&sandbox), ["1", "2", "3"]);
    assert_eq!(figure(&metrics, "bridge_consumers_recreated_total").await, Some(1.0));
    assert!(worker.log().contains("it is created again"), "{}", worker.log());
}

/// A worker that starts before the NATS server waits for it.
#[tokio::test]
async fn processes_wait_for_a_server_that_starts_later() {
    let Some(mut nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup =
        Setup::new(&nats, &sandbox).with("NATS_URL", format!("nats://[::1]:1,{}", nats.url()));
    nats.terminate();
    let (mut worker, mut ended) = (setup.worker(), setup.worker());
    eventually("it logs what it waits for", SOON, async || worker.log().contains("trying again"))
        .await;
    ended.terminate();
    assert_eq!(ended.ended().await.0, Some(0));
    nats.resume().await;
    let (_receiver, receiver) = setup.receiver().await;
    assert_eq!(receiver.message(&message(1), None).await.0, 200);
    stored(&sandbox, &["1"]).await;
}

#[tokio::test]
async fn invalid_settings_are_rejected_and_named() {
    struct Case {
        command: &'static str,
        name: &'static str,
        value: &'static str,
        text: &'static str,
    }
    let Some(nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    assert_eq!(setup.run(&["dead", "list"]).0, Some(0));
    let cases = [
        Case {
            command: "dead list",
            name: "BRIDGE_PARTITIONS",
            value: "5",
            text: "BRIDGE_PARTITIONS=5, but the stream WEBHOOKS has 4",
        },
        Case {
            command: "dead list",
            name: "BRIDGE_PARTITIONS",
            value: "0",
            text: "invalid value '0' for '--partitions <BRIDGE_PARTITIONS>': 0 is not in 1..=1024",
        },
        Case {
            command: "deliver",
            name: "BRIDGE_DEADLINE",
            value: "soon",
            text: "invalid value 'soon' for '--deadline <BRIDGE_DEADLINE>'",
        },
        Case {
            command: "receive",
            name: "BRIDGE_BOTS",
            value: "a.b",
            text: "invalid value 'a.b' for '--bots <BRIDGE_BOTS>'",
        },
        Case {
            command: "receive",
            name: "BRIDGE_KEY",
            value: "hunter2\u{e9}",
            text: "BRIDGE_KEY must have only printable ASCII",
        },
        Case { command: "deliver", name: "BP_TOKEN", value: "", text: "BP_TOKEN is missing" },
        Case { command: "receive", name: "BP_BOT_ID", value: "", text: "--bots <BRIDGE_BOTS>" },
        Case {
            command: "receive",
            name: "BRIDGE_LISTEN",
            value: "nowhere",
            text: "BRIDGE_LISTEN=\"nowhere\": cannot listen on this address",
        },
        Case {
            command: "receive",
            name: "SLACK_SIGNING_SECRET",
            value: "hunter2\n",
            text: "SLACK_SIGNING_SECRET: the signing secret has white space around it",
        },
        Case {
            command: "receive",
            name: "TELEGRAM_SECRET_TOKEN",
            value: " hunter2",
            text: "TELEGRAM_SECRET_TOKEN: the secret token has white space around it",
        },
        Case {
            command: "receive",
            name: "WHATSAPP_APP_SECRET",
            value: "hunter2",
            text: "--whatsapp-verify-token <WHATSAPP_VERIFY_TOKEN>",
        },
        Case {
            command: "receive",
            name: "NATS_URL",
            value: "nats://me:hunter2@127.0.0.1:4222",
            text: "NATS_USER and NATS_PASSWORD",
        },
        Case {
            command: "deliver",
            name: "NATS_PASSWORD",
            value: "hunter2",
            text: "--nats-user <NATS_USER>",
        },
        Case {
            command: "deliver",
            name: "BP_API_URL",
            value: "http://example.com",
            text: "would expose the token",
        },
        Case { command: "deliver", name: "BRIDGE_LOG", value: "all", text: "--log <BRIDGE_LOG>" },
    ];
    for Case { command, name, value, text } in cases {
        let arguments: Vec<_> = command.split(' ').collect();
        let (code, _, errors) = setup.clone().with(name, value).run(&arguments);
        assert_eq!(code, Some(2), "{name}={value}: {errors}");
        assert!(errors.contains(text), "{name}={value}: {errors}");
        assert!(!errors.contains("hunter2"), "{name}={value}: {errors}");
    }
    let closed = setup.clone().with("BRIDGE_KEY", "").with("SLACK_SIGNING_SECRET", "");
    let (code, _, errors) = closed.run(&["receive"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("no authentication configured"), "{errors}");
}

/// Even the most detailed log shows no secret.
#[tokio::test]
async fn no_log_shows_a_secret() {
    let Some(nats) = Nats::start_with(&["--user", "bridge", "--pass", "hunter2hunter2"]).await
    else {
        return;
    };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox)
        .with("NATS_USER", "bridge")
        .with("NATS_PASSWORD", "hunter2hunter2")
        .with("BRIDGE_LOG", "trace");
    let (mut receiving, receiver) = setup.receiver().await;
    assert_eq!(receiver.message(&message(1), None).await.0, 200);
    let metrics = format!("127.0.0.1:{}", free_port());
    let mut worker = setup.clone().with("BRIDGE_METRICS", &metrics).worker();
    stored(&sandbox, &["1"]).await;
    drained(&setup, SOON).await;
    let [process, queue] = [get(&metrics, "/metrics").await, get(&metrics, "/metrics/queue").await];
    let logs = [worker.log(), receiving.log(), process.unwrap().1 + &queue.unwrap().1];
    assert!(logs[0].contains("stored"), "{}", logs[0]);
    for name in [
        "bridge_deliveries_total{outcome=\"stored\",bot=\"",
        "bridge_queue_age_seconds",
        "bridge_age_seconds_count 1",
        "bridge_pause_seconds",
        "bridge_dead_letters 0",
    ] {
        assert!(logs[2].contains(name), "{name} in {}", logs[2]);
    }
    let secrets = ["hunter2hunter2", Sandbox::TOKEN, support::KEY, support::SLACK_SECRET];
    for secret in secrets {
        assert!(logs.iter().all(|log| !log.contains(secret)), "{secret} in {logs:?}");
    }
}
