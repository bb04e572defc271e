//! The recorded requests, the documentation's samples and the answers of each vendor version.

mod support;

use std::time::Duration;

use botpress_messages::content::Content;
use botpress_messages::sandbox::Sandbox;
use botpress_messages::{
    Client, Conversation, Direction, Message, New, NewMessage, Origin, Record, User,
};
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use support::*;

#[tokio::test]
async fn recorded_requests_arrive_as_they_are_or_are_refused_unsent() {
    recorded::<Message>("messages").await;
    recorded::<User>("users").await;
    recorded::<Conversation>("conversations").await;
}

async fn recorded<T: Record + Serialize>(kind: &str) {
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    let (mut sent, mut refused) = (Vec::new(), 0);
    for (name, accept, body) in cases(kind) {
        let result = client.get_or_create(&New::<T>::from(body.clone())).await;
        match accept {
            true => {
                let stored = result.unwrap_or_else(|e| panic!("{kind} {name}: {e}"));
                let record = json!(stored.record);
                for (key, value) in body.as_object().unwrap() {
                    let instruction = ["discriminateByTags", "schedule", "integrationName"];
                    if key != "tags" && !instruction.contains(&key.as_str()) {
                        assert_eq!(record[key], *value, "{kind} {name}");
                    }
                }
                sent.push(body);
            }
            false => {
                let error = result.err().unwrap_or_else(|| panic!("{kind} {name} was accepted"));
                assert!(error.is_invalid() && !error.maybe_stored(), "{kind} {name}: {error}");
                refused += 1;
            }
        }
    }
    let arrived: Vec<_> = sandbox.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(arrived, sent);
    assert!(sent.len() > 7 && refused > 0, "the cases are there");
}

#[test]
fn recorded_messages_are_of_known_types() {
    for (name, _, body) in cases("messages").into_iter().filter(|(_, accept, _)| *accept) {
        let content = json!({ "type": body["type"], "payload": body["payload"] });
        assert!(serde_json::from_value::<Content>(content).is_ok(), "{name}");
    }
}

/// Its values are placeholders, so only its shape can be held against the contract.
#[tokio::test]
async fn the_documented_samples_pass() {
    let (id, date) = ("x".repeat(28), "2027-01-01T00:00:00.000Z");
    let mut request = json!({
        "payload": {}, "userId": id, "conversationId": id, "type": "<string>", "tags": {},
        "schedule": { "dateTime": date }, "discriminateByTags": [],
    });
    assert!(NewMessage::from(request.clone()).validate().is_ok());
    request["schedule"] = json!({ "delay": 123 });
    let message = NewMessage::from(request);

    let answer = json!({
        "message": {
            "id": "<string>", "createdAt": "2023-11-07T05:31:56Z", "updatedAt": "2023-11-07T05:31:56Z",
            "type": "<string>", "payload": {}, "direction": "incoming", "userId": "<string>",
            "conversationId": "<string>", "tags": {},
        },
    });
    let (url, _) = script(vec![ok(&answer)]).await;
    let stored = client(&url).get_or_create(&message).await.unwrap();
    assert_eq!(serde_json::to_value(&stored.record).unwrap()["id"], "<string>");
    assert_eq!((stored.created, stored.record.content()), (None, None));
}

#[tokio::test]
async fn the_answer_of_every_version_is_read() {
    let with = |edit: fn(&mut Value)| {
        let mut answer = stored();
        edit(&mut answer);
        answer
    };
    let cases = [
        ("1.14.0", None, with(|a| drop(a.as_object_mut().unwrap().remove("meta")))),
        (
            "1.70.2",
            None,
            with(|a| {
                a.as_object_mut().unwrap().remove("meta");
                a["message"]["origin"] = json!("synthetic");
            }),
        ),
        ("1.82.0", Some(true), stored()),
        ("1.108.0", Some(false), with(|a| a["meta"]["created"] = json!(false))),
    ];
    for (version, created, answer) in cases {
        assert!(
            vendor(version, "/getOrCreateMessage/responses/200").is_valid(&answer),
            "{version}: as the vendor answers"
        );
        let (url, _) = script(vec![ok(&answer)]).await;
        let stored = client(&url).get_or_create(&hello()).await.unwrap();
        assert_eq!(stored.created, created, "{version}");
        assert_eq!(serde_json::to_value(&stored.record).unwrap(), answer["message"], "{version}");
        assert_eq!(stored.record.direction, Direction::Incoming);
        let origin = stored.record.origin;
        assert_eq!(origin, (version == "1.70.2").then_some(Origin::Synthetic), "{version}");
    }
}

#[tokio::test]
async fn what_a_later_version_may_add_is_read() {
    let mut answer = stored();
    answer["message"]["id"] = json!("message_".repeat(20));
    answer["message"]["direction"] = json!("sideways");
    answer["message"]["origin"] = json!("imported");
    answer["message"]["later"] = json!({ "a": 1 });
    answer["meta"]["later"] = json!(null);
    answer["later"] = json!([]);
    let (url, _) = script(vec![ok(&answer)]).await;
    let stored = client(&url).get_or_create(&hello()).await.unwrap();
    assert_eq!(stored.record.direction, Direction::Other("sideways".into()));
    assert_eq!(stored.record.origin, Some(Origin::from("imported")));
}

#[tokio::test]
async fn the_rate_limit_is_told() {
    let headers = "RateLimit-Limit: 100\r\nRateLimit-Remaining: 7\r\nRateLimit-Reset: 1\r\n";
    let (url, _) =
        script(vec![http("200 OK", headers, &stored().to_string()), ok(&stored())]).await;
    let limit = client(&url).get_or_create(&hello()).await.unwrap().rate_limit;
    assert_eq!(
        (limit.limit, limit.remaining, limit.reset),
        (Some(100), Some(7), Some(Duration::from_secs(1)))
    );
    let limit = client(&url).get_or_create(&hello()).await.unwrap().rate_limit;
    assert_eq!((limit.limit, limit.remaining, limit.reset), (None, None, None));
}

/// What integrations rely on to share one client between tasks.
#[test]
fn the_client_can_be_shared_and_its_futures_sent() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn sent<T: Send>(_: T) {}
    shared::<Client>();
    let _ = |client: Client, message: NewMessage| {
        sent(async move { client.get_or_create(&message).await })
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_valid_body_arrives_as_it_is(body in bodies()) {
        let message = NewMessage::from(body.clone());
        prop_assume!(message.validate().is_ok());
        let arrived = block_on(async {
            // Of its own, since the tags of the last body may be these.
            let sandbox = Sandbox::start().await.unwrap();
            sandbox.client().build()?.get_or_create(&message).await?;
            Ok::<_, botpress_messages::Error>(sandbox.requests().pop().map(|request| request.body))
        });
        prop_assert_eq!(arrived.map_err(|e| TestCaseError::fail(e.to_string()))?, Some(body));
    }
}

/// An answer with these versions' optional parts.
fn answers() -> impl Strategy<Value = Value> {
    let date = (
        "[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]",
        "(\\.[0-9]{1,12})?([Zz]|[+-](0[0-9]|1[0-3]):[0-5][0-9])",
    );
    let date = || date.prop_map(|(time, rest)| time + &rest);
    let id = || text(28..=36usize);
    let tags = prop::collection::btree_map(".{0,8}", text(0..=600usize), 0..4);
    let message = (
        id(),
        date(),
        date(),
        text(0..=200usize),
        object(),
        any::<bool>(),
        id(),
        id(),
        tags,
        any::<bool>(),
    );
    (message, prop::option::of(any::<bool>())).prop_map(|(message, created)| {
        let (id, created_at, updated_at, kind, payload, incoming, user, conversation, tags, synthetic) = message;
        let mut answer = json!({ "message": {
            "id": id, "createdAt": created_at, "updatedAt": updated_at, "type": kind, "payload": payload,
            "direction": if incoming { "incoming" } else { "outgoing" }, "userId": user,
            "conversationId": conversation, "tags": tags,
        }});
        if synthetic {
            answer["message"]["origin"] = json!("synthetic");
        }
        if let Some(created) = created {
            answer["meta"] = json!({ "created": created });
        }
        answer
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_answer_that_the_vendors_contract_allows_is_read(answer in answers()) {
        thread_local!(static VENDOR: [jsonschema::Validator; 2] =
            ["1.70.2", "1.108.0"].map(|version| vendor(version, "/getOrCreateMessage/responses/200")));
        prop_assert!(VENDOR.with(|versions| versions.iter().any(|version| version.is_valid(&answer))));
        let stored = block_on(async {
            let (url, _) = script(vec![ok(&answer)]).await;
            client(&url).get_or_create(&hello()).await
        });
        let stored = stored.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        let mut read = serde_json::to_value(&stored.record).unwrap();
        for date in ["createdAt", "updatedAt"] {
            // The same moment, whatever its offset was.
            let sent: DateTime<Utc> = answer["message"][date].as_str().unwrap().parse().unwrap();
            prop_assert_eq!(read[date].take().as_str().unwrap().parse::<DateTime<Utc>>().unwrap(), sent);
            read[date] = answer["message"][date].clone();
        }
        prop_assert_eq!(&read, &answer["message"]);
        prop_assert_eq!(stored.created, answer["meta"]["created"].as_bool());
    }
}
