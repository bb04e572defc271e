//! The guarantees of both queues: the same tests with a NATS server and with a file.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use botpress_sandbox::{Fault, Sandbox};
use serde_json::{Value, json};
use support::{Nats, Setup, drained, eventually};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(40);

/// Runs each of these functions with both queues. Its argument makes the settings for a sandbox.
macro_rules! on_both_queues {
    ($($name:ident)*) => {
        mod nats {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let Some(nats) = Nats::start().await else { return };
                super::$name(|sandbox| Setup::new(&nats, sandbox).with("BRIDGE_PARTITIONS", 64)).await;
            })*
        }

        mod file {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let folder = TempDir::new().unwrap();
                super::$name(|sandbox| Setup::on_file(&folder.path().join("queue.db"), sandbox)).await;
            })*
        }
    };
}

on_both_queues! {
    webhooks_arrive_once_and_in_order
    each_delivery_outcome_is_handled
    a_message_that_alone_fails_becomes_a_dead_letter
    a_wrong_setting_pauses_delivery_and_loses_nothing
    a_killed_process_loses_nothing_and_stores_nothing_twice
    sigterm_finishes_deliveries_in_flight
    a_message_that_waits_holds_up_only_its_own_conversation
    a_full_queue_rejects_webhooks_with_503
    large_messages_are_rejected
}

fn message(conversation: usize, number: usize) -> Value {
    json!({
        "conversation": { "channel": "channel", "tags": { "id": format!("C{conversation}") } },
        "user": { "tags": { "id": "U05BPU9V1KQ" } },
        "type": "text",
        "payload": { "text": number.to_string() },
        "tags": { "id": format!("{conversation} {number}") },
    })
}

/// The texts stored in each conversation, by the conversation's tag.
fn stored(sandbox: &Sandbox) -> BTreeMap<String, Vec<String>> {
    let names: BTreeMap<_, _> =
        sandbox.conversations().into_iter().map(|c| (c.id, c.tags["id"].clone())).collect();
    let mut stored = BTreeMap::<_, Vec<_>>::new();
    for message in sandbox.messages() {
        let text = message.payload["text"].as_str().unwrap().to_owned();
        stored.entry(names[&message.conversation_id].clone()).or_default().push(text);
    }
    stored
}

fn texts(sandbox: &Sandbox) -> Vec<String> {
    let text = |payload: &Value| payload["text"].as_str().unwrap().to_owned();
    sandbox.messages().iter().map(|message| text(&json!(message.payload))).collect()
}

async fn webhooks_arrive_once_and_in_order(setup: impl Fn(&Sandbox) -> Setup) {
    let sandbox = Sandbox::start().await.unwrap();
    let setup = setup(&sandbox);
    let (_bridge, receiver) = setup.bridge().await;
    for number in 0..20 {
        for conversation in 0..3 {
            for answer in ["stored", "stored before"] {
                let answered = receiver.message(&message(conversation, number), None).await;
                assert_eq!(answered, (200, answer.to_owned()));
            }
        }
    }
    drained(&setup, SOON).await;
    let all: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let expected = (0..3).map(|conversation| (format!("C{conversation}"), all.clone()));
    assert_eq!(stored(&sandbox), expected.collect());
}

async fn each_delivery_outcome_is_handled(setup: impl Fn(&Sandbox) -> Setup) {
    let sandbox = Sandbox::start().await.unwrap();
    let setup = setup(&sandbox);
    let (mut receiving, receiver) = setup.receiver().await;
    for number in 1..=3 {
        assert_eq!(receiver.message(&message(0, number), None).await.0, 200);
    }
    receiving.terminate();
    assert_eq!(receiving.ended().await.0, Some(0));
    // User and conversation, a first message that needs more than one delivery, and a second one that is
    // rejected permanently.
    let (silence, rejected) =
        (Fault::Silence { stored: false }, Fault::Error { status: 400, stored: false });
    sandbox.fail_next([None, None, Some(silence), None, Some(rejected)]);
    let (_bridge, receiver) = setup.bridge().await;
    drained(&setup, SOON).await;
    assert_eq!(texts(&sandbox), ["1", "3"]);
    let dead = setup.dead();
    assert_eq!(dead.len(), 1, "{dead:?}");
    let letter = &dead[0];
    assert_eq!(letter["message"], message(0, 2));
    assert_eq!((&letter["kind"], &letter["bot"]), (&json!("invalid"), &json!(Sandbox::BOT_ID)));
    let reason = "the API responded 400 InvalidPayload: error injected by the sandbox";
    assert!(letter["reason"].as_str().unwrap().starts_with(reason), "{letter}");
    // The queue recognises the message, so it is not queued again.
    let answered = receiver.message(&message(0, 2), None).await;
    assert_eq!(answered, (200, "stored before".to_owned()));

    let number = letter["number"].to_string();
    assert_eq!(setup.run(&["dead", "retry", &number]).0, Some(0));
    eventually("it is stored", SOON, async || texts(&sandbox) == ["1", "3", "2"]).await;
    assert_eq!(setup.run(&["dead", "retry", &number]).0, Some(1));
    sandbox.fail_next([Some(rejected)]);
    assert_eq!(receiver.message(&message(0, 4), None).await.0, 200);
    eventually("there is a letter", SOON, async || !setup.dead().is_empty()).await;
    let number = setup.dead()[0]["number"].to_string();
    assert_eq!(setup.run(&["dead", "drop", &number]).0, Some(0));
    assert_eq!(setup.run(&["dead", "drop", &number]).0, Some(1));
    assert!(setup.dead().is_empty());
}

async fn a_message_that_alone_fails_becomes_a_dead_letter(setup: impl Fn(&Sandbox) -> Setup) {
    let sandbox = Sandbox::start().await.unwrap();
    let setup = setup(&sandbox).with("BRIDGE_MAX_DELIVERIES", 2);
    let (_bridge, receiver) = setup.bridge().await;
    assert_eq!(receiver.message(&message(0, 1), None).await.0, 200);
    eventually("the first is stored", SOON, async || texts(&sandbox) == ["1"]).await;
    sandbox.fail_next([Some(Fault::Page { status: 403, stored: false }); 100]);
    assert_eq!(receiver.message(&message(0, 2), None).await.0, 200);
    drained(&setup, SOON).await;
    let dead = setup.dead();
    assert_eq!(dead.len(), 1);
    assert_eq!((&dead[0]["kind"], &dead[0]["message"]), (&json!("failing"), &message(0, 2)));
}

async fn a_wrong_setting_pauses_delivery_and_loses_nothing(setup: impl Fn(&Sandbox) -> Setup) {
    let sandbox = Sandbox::start().await.unwrap();
    let setup = setup(&sandbox);
    let wrong = setup.clone().with("BP_TOKEN", "bp_pat_wrong");
    let (mut bridge, receiver) = wrong.bridge().await;
    for number in 0..9 {
        assert_eq!(receiver.message(&message(number, number), None).await.0, 200);
    }
    let pauses = "delivery pauses, because every message fails: ";
    eventually("it pauses twice", SOON, async || bridge.log().matches(pauses).count() >= 2).await;
    assert!(setup.dead().is_empty());
    bridge.terminate();
    assert_eq!(bridge.ended().await.0, Some(0));
    let (_bridge, _) = setup.bridge().await;
    drained(&setup, SOON).await;
    assert_eq!(texts(&sandbox).len(), 9);
    assert!(setup.dead().is_empty());
}

async fn a_killed_process_loses_nothing_and_stores_nothing_twice(
    setup: impl Fn(&Sandbox) -> Setup,
) {
    let sandbox = Sandbox::start().await.unwrap();
    let setup = setup(&sandbox);
    sandbox.fail_next([None, None, Some(Fault::Silence { stored: true })]);
    let (mut bridge, receiver) = setup.bridge().await;
    for number in 1..=2 {
        assert_eq!(receiver.message(&message(0, number), None).await.0, 200);
    }
    eventually("the first is stored", SOON, async || texts(&sandbox) == ["1"]).await;
    bridge.kill();
    let (_bridge, receiver) = setup.bridge().await;
    assert_eq!(receiver.message(&message(0, 3), None).await.0, 200);
    drained(&setup, SOON).await;
    assert_eq!(texts(&sandbox), ["1", "2", "3"]);
    assert!(setup.dead().is_empty());
}

async fn sigterm_finishes_deliveries_in_flight(setup: impl Fn(&Sandbox) -> Setup) {
    let latency = Duration::from_millis(700);
    let sandbox = Sandbox::builder().latency(latency).start().await.unwrap();
    let setup = setup(&sandbox);
    let (mut bridge, receiver) = setup.bridge().await;
    for number in 1..=3 {
        assert_eq!(receiver.message(&message(0, number), None).await.0, 200);
    }
    eventually("the first is stored", SOON, async || !sandbox.messages().is_empty()).await;
    bridge.terminate();
    let (code, log) = bridge.ended().await;
    assert_eq!(code, Some(0), "{log}");
    let done = texts(&sandbox).len();
    assert!(done < 3, "no new messages are delivered after SIGTERM");
    // Messages that were in flight are acknowledged, and not sent again.
    let before = sandbox.requests().len();
    let (_bridge, _) = setup.bridge().await;
    drained(&setup, SOON).await;
    assert_eq!(texts(&sandbox), ["1", "2", "3"]);
    assert_eq!(sandbox.requests().len(), before + 2 + 3 - done);
}

async fn a_message_that_waits_holds_up_only_its_own_conversation(
    setup: impl Fn(&Sandbox) -> Setup,
) {
    let sandbox = Sandbox::start().await.unwrap();
    let setup = setup(&sandbox);
    sandbox.fail_next([None, None, Some(Fault::Silence { stored: false })]);
    let (_bridge, receiver) = setup.bridge().await;
    for number in 0..2 {
        assert_eq!(receiver.message(&message(0, number), None).await.0, 200);
    }
    eventually("the first is sent", SOON, async || sandbox.requests().len() >= 3).await;
    for conversation in 1..=20 {
        assert_eq!(receiver.message(&message(conversation, 2), None).await.0, 200);
    }
    drained(&setup, SOON).await;
    let mut expected = vec!["2"; 20];
    expected.extend(["0", "1"]);
    assert_eq!(texts(&sandbox), expected);
}

async fn a_full_queue_rejects_webhooks_with_503(setup: impl Fn(&Sandbox) -> Setup) {
    let sandbox = Sandbox::start().await.unwrap();
    let setup = setup(&sandbox).with("BRIDGE_MAX_BYTES", 128 << 10);
    let (mut receiving, receiver) = setup.receiver().await;
    let long = |number| {
        let mut message = message(0, number);
        message["payload"]["text"] = json!(number.to_string() + &"x".repeat(9_999));
        message
    };
    let mut taken = 0;
    while taken < 20 && receiver.message(&long(taken), None).await.0 == 200 {
        taken += 1;
    }
    assert!((5..=13).contains(&taken), "{taken}");
    assert_eq!(receiver.message(&long(taken), None).await.0, 503);
    receiving.terminate();
    assert_eq!(receiving.ended().await.0, Some(0));
    let (_bridge, receiver) = setup.bridge().await;
    drained(&setup, SOON).await;
    assert_eq!(receiver.message(&long(taken), None).await.0, 200);
    drained(&setup, SOON).await;
    assert_eq!(sandbox.messages().len(), taken + 1);
}

/// Each message that is accepted also fits as a dead letter, and can be moved to the other queue.
async fn large_messages_are_rejected(setup: impl Fn(&Sandbox) -> Setup) {
    let sandbox = Sandbox::start().await.unwrap();
    let setup = setup(&sandbox);
    sandbox.fail_next([None, None, Some(Fault::Error { status: 400, stored: false })]);
    let (_bridge, receiver) = setup.bridge().await;
    let mut large = message(0, 1);
    let room = (1 << 20) - (4 << 10) - large.to_string().len();
    let key = "k".repeat(200);
    for (more, status) in [(1, 413), (0, 200)] {
        large["payload"]["text"] = json!("1".to_owned() + &"x".repeat(room + more));
        assert_eq!(receiver.message(&large, Some(&key)).await.0, status);
    }
    drained(&setup, SOON).await;
    let dead = setup.dead();
    assert_eq!((dead.len(), &dead[0]["message"]), (1, &large));
}
