//! The recorded requests, the documentation's samples and the responses of each vendor version.

use std::fmt::Debug;
use std::time::Duration;

use botpress_messages::content::Content;
use botpress_messages::{
    Client, Direction, Error, GetOrCreate, NewConversation, NewMessage, NewUser, Origin,
};
use botpress_sandbox::Sandbox;
use chrono::{DateTime, Utc};
use conformance::*;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde::Serialize;
use serde_json::{Value, json};
use test_support::*;

/// The vendor's versions whose responses are read, and their value of `created`.
const VERSIONS: [&str; 4] = ["1.14.0", "1.70.2", "1.82.0", "1.108.0"];
const CREATED: [Option<bool>; 4] = [None, None, Some(true), Some(false)];

/// The name of an operation's record in its response.
fn record_of(operation: &str) -> String {
    operation.trim_start_matches("getOrCreate").to_lowercase()
}

/// An object with additional properties.
fn with(object: &Value, more: Value) -> Value {
    let [object, more] = [object, &more].map(|object| object.as_object().unwrap().clone());
    object.into_iter().chain(more).collect()
}

fn failed(error: Error) -> TestCaseError {
    TestCaseError::fail(format!("{error:?}"))
}

#[tokio::test]
async fn recorded_requests_arrive_unchanged_or_are_rejected_unsent() {
    recorded("messages", NewMessage::from_json).await;
    recorded("users", NewUser::from_json).await;
    recorded("conversations", NewConversation::from_json).await;
}

/// An empty list of discriminators means the same as none, and is not sent.
fn without_empty_list(mut body: Value) -> Value {
    if body["discriminateByTags"] == json!([]) {
        body.as_object_mut().unwrap().remove("discriminateByTags");
    }
    body
}

/// Reads a record from JSON.
type Read<R> = fn(String) -> Result<R, Error>;

async fn recorded<R: GetOrCreate<Record: Serialize>>(kind: &str, from_json: Read<R>) {
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    let (mut sent, mut rejected) = (Vec::new(), 0);
    for (name, accept, body) in cases(kind) {
        let result = match from_json(body.to_string()) {
            Ok(record) => client.get_or_create(&record).await,
            Err(error) => Err(error),
        };
        if accept {
            let stored = result.unwrap_or_else(|e| panic!("{kind} {name}: {e}"));
            let record = json!(stored.record);
            for (key, value) in body.as_object().unwrap() {
                let instruction = ["discriminateByTags", "schedule", "integrationName"];
                if key != "tags" && !instruction.contains(&key.as_str()) {
                    assert_eq!(record[key], *value, "{kind} {name}");
                }
            }
            sent.push(body);
        } else {
            let error = result.err().unwrap_or_else(|| panic!("{kind} {name} was accepted"));
            assert!(is_invalid(&error) && !error.maybe_stored(), "{kind} {name}: {error}");
            rejected += 1;
        }
    }
    let arrived: Vec<_> = sandbox.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(arrived, sent.into_iter().map(without_empty_list).collect::<Vec<_>>());
    assert!(arrived.len() > 7 && rejected > 0, "too few cases");
}

#[test]
fn recorded_messages_are_of_known_types() {
    for (name, _, body) in cases("messages").into_iter().filter(|(_, accept, _)| *accept) {
        let content = json!({ "type": body["type"], "payload": body["payload"] });
        assert!(serde_json::from_value::<Content>(content).is_ok(), "{name}");
    }
}

/// Their values are placeholders, so only their shape is compared with the contract.
#[tokio::test]
async fn the_documented_samples_pass() {
    let (id, date) = ("x".repeat(28), "2027-01-01T00:00:00.000Z");
    let mut request = json!({
        "payload": {}, "userId": id, "conversationId": id, "type": "<string>", "tags": {},
        "schedule": { "dateTime": date }, "discriminateByTags": [],
    });
    assert!(NewMessage::from_json(request.to_string()).is_ok());
    request["schedule"] = json!({ "delay": 123 });
    let message = NewMessage::from_json(request.to_string()).unwrap();

    let response = json!({
        "message": {
            "id": "<string>", "createdAt": "2023-11-07T05:31:56Z", "updatedAt": "2023-11-07T05:31:56Z",
            "type": "<string>", "payload": {}, "direction": "incoming", "userId": "<string>",
            "conversationId": "<string>", "tags": {},
        },
    });
    let (url, _) = script(vec![ok(&response)]).await;
    let stored = client(&url).get_or_create(&message).await.unwrap();
    assert_eq!(serde_json::to_value(&stored.record).unwrap()["id"], "<string>");
    assert_eq!((stored.created, stored.record.content()), (None, None));
}

#[tokio::test]
async fn the_response_of_every_version_is_read() {
    let common = json!({
        "createdAt": "2026-08-19T10:00:00.250Z",
        "updatedAt": "2026-08-19T10:00:01.500Z",
        "tags": { "id": "1" },
    });
    let user = with(&common, json!({ "id": USER }));
    let conversation =
        with(&common, json!({ "id": CONVERSATION, "channel": "dm", "integration": "slack" }));
    let (id, own) = ("x".repeat(28), json!({ "plan": "gold" }));

    // The additions of 1.14, 1.70.2, 1.82 and 1.108.
    let added = [json!({}), json!({ "origin": "synthetic" }), json!({}), json!({})];
    let messages = read("getOrCreateMessage", hello(), stored()["message"].take(), added).await;
    assert_eq!(messages[0].direction, Direction::Incoming);
    assert_eq!(messages[1].origin, Some(Origin::Synthetic));
    let added = [
        json!({}),
        json!({ "name": "Ann Petit", "pictureUrl": "data:," }),
        json!({ "attributes": own }),
        json!({ "attributes": own, "properties": own }),
    ];
    let users = read("getOrCreateUser", NewUser::new(), user, added).await;
    assert_eq!(users[1].name.as_deref(), Some("Ann Petit"));
    let added = [
        json!({}),
        json!({ "currentTaskId": id, "currentWorkflowId": id }),
        json!({ "messageCount": 3, "currentWorkflowId": id }),
        json!({ "messageCount": 3, "properties": own }),
    ];
    let request = NewConversation::new("dm");
    let conversations = read("getOrCreateConversation", request, conversation, added).await;
    assert_eq!(conversations[2].message_count, Some(3.0));
}

async fn read<R: GetOrCreate<Record: Serialize>>(
    operation: &str,
    request: R,
    record: Value,
    added: [Value; 4],
) -> Vec<R::Record> {
    let mut records = Vec::new();
    for ((version, added), created) in VERSIONS.into_iter().zip(added).zip(CREATED) {
        let record = with(&record, added);
        let mut response = json!({ record_of(operation): record });
        if let Some(created) = created {
            response["meta"] = json!({ "created": created });
        }
        let vendor = vendor(version, &format!("{operation}/responses/200"));
        assert!(vendor.is_valid(&response), "{version}: as the vendor responds");
        let (url, _) = script(vec![ok(&response)]).await;
        let stored = client(&url).get_or_create(&request).await.unwrap();
        assert_eq!(stored.created, created, "{version}");
        let mut read = json!(stored.record);
        if let Some(count) = read.get_mut("messageCount") {
            *count = json!(count.as_f64().unwrap() as u64); // any number for the vendor
        }
        assert_eq!(read, record, "{version}");
        records.push(stored.record);
    }
    records
}

#[tokio::test]
async fn additions_of_a_later_version_are_read() {
    let mut response = stored();
    response["message"]["id"] = json!("message_".repeat(20));
    response["message"]["direction"] = json!("sideways");
    response["message"]["origin"] = json!("imported");
    response["message"]["later"] = json!({ "a": 1 });
    response["meta"]["later"] = json!(null);
    response["later"] = json!([]);
    let (url, _) = script(vec![ok(&response)]).await;
    let stored = client(&url).get_or_create(&hello()).await.unwrap();
    assert_eq!(stored.record.direction, Direction::Other("sideways".into()));
    assert_eq!(stored.record.origin, Some(Origin::from("imported")));
}

#[tokio::test]
async fn the_rate_limit_is_reported() {
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

/// Integrations rely on this to share one client between tasks.
#[test]
fn the_client_can_be_shared_and_its_futures_sent() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn sent<T: Send>(_: T) {}
    shared::<Client>();
    let _ = |client: Client, message: NewMessage| {
        sent(async move { client.get_or_create(&message).await })
    };
}

/// Tests a property with this number of values.
fn holds<T: Debug>(
    cases: u32,
    values: impl Strategy<Value = T>,
    test: impl Fn(T) -> Result<(), TestCaseError>,
) {
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    TestRunner::new(config).run(&values, test).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn any_valid_body_arrives_as_it_is() {
    arrives("getOrCreateMessage", NewMessage::from_json);
    arrives("getOrCreateUser", NewUser::from_json);
    arrives("getOrCreateConversation", NewConversation::from_json);
}

fn arrives<R: GetOrCreate>(operation: &str, from_json: Read<R>) {
    holds(100, bodies(operation), |mut body| {
        let record = from_json(body.to_string());
        prop_assume!(record.is_ok());
        let record = record.map_err(failed)?;
        body = without_empty_list(body);
        let arrived = block_on(async {
            // A new one, since the tags of the last body may be the same.
            let sandbox = Sandbox::start().await.unwrap();
            quick(sandbox.client()).build()?.get_or_create(&record).await?;
            Ok::<_, Error>(sandbox.requests().pop().map(|request| request.body))
        });
        prop_assert_eq!(arrived.map_err(failed)?, Some(body));
        Ok(())
    });
}

#[test]
fn any_response_that_the_vendors_contract_allows_is_read() {
    understands("getOrCreateMessage", hello());
    understands("getOrCreateUser", NewUser::new());
    understands("getOrCreateConversation", NewConversation::new("dm"));
}

fn understands<R: GetOrCreate<Record: Serialize>>(operation: &str, request: R) {
    let part = format!("{operation}/responses/200");
    let responses = VERSIONS.map(|version| values::of(&schema(version, &part)));
    let vendors = VERSIONS.map(|version| vendor(version, &part));
    holds(200, prop::strategy::Union::new(responses), |response| {
        prop_assert!(vendors.iter().any(|vendor| vendor.is_valid(&response)));
        let stored = block_on(async {
            let (url, _) = script(vec![ok(&response)]).await;
            client(&url).get_or_create(&request).await
        });
        let stored = stored.map_err(failed)?;
        let (mut sent, mut read) = (response[record_of(operation)].clone(), json!(stored.record));
        for date in ["createdAt", "updatedAt"] {
            // The same moment, whatever its offset was.
            let [sent, read] = [&mut sent, &mut read].map(|record| record[date].take());
            let moment = |date: Value| date.as_str().unwrap().parse::<DateTime<Utc>>();
            prop_assert_eq!(moment(read), moment(sent));
        }
        // An empty object means the same as none.
        let says = |_: &String, value: &mut Value| *value != json!({});
        sent.as_object_mut().unwrap().retain(says);
        read.as_object_mut().unwrap().retain(says);
        prop_assert_eq!(read, sent);
        prop_assert_eq!(stored.created, response["meta"]["created"].as_bool());
        Ok(())
    });
}

/// The result is compared with that of another implementation (`jsonschema`) and another schema (the vendor's).
#[test]
fn valid_is_what_the_vendors_contract_allows() {
    is_valid_as_for_the_vendor("getOrCreateMessage", NewMessage::from_json);
    is_valid_as_for_the_vendor("getOrCreateUser", NewUser::from_json);
    is_valid_as_for_the_vendor("getOrCreateConversation", NewConversation::from_json);
}

fn is_valid_as_for_the_vendor<R: GetOrCreate>(operation: &str, from_json: Read<R>) {
    let vendors = VERSIONS.map(|version| vendor(version, &format!("{operation}/requestBody")));
    holds(2_000, bodies(operation), |body| {
        let valid = match from_json(body.to_string()) {
            Ok(_) => true,
            Err(error) => {
                prop_assert!(is_invalid(&error) && !error.violations().is_empty());
                false
            }
        };
        let [v1_14, v1_70, v1_82, v1_108] = vendors.each_ref().map(|vendor| vendor.is_valid(&body));
        prop_assert_eq!(valid, v1_70 && follows_the_prose(&body));
        prop_assert!(!valid || v1_82 && v1_108);
        prop_assert!(!valid || body.get("origin").is_some() || v1_14);
        Ok(())
    });
}

/// Whether a body follows what the contract says in prose: either a date or a delay, a valid date, no negative delay,
/// discriminators that name tags. All valid dates in `bodies` begin in the same way.
fn follows_the_prose(body: &Value) -> bool {
    let schedule = body.get("schedule").is_none_or(|schedule| {
        let date = schedule
            .get("dateTime")
            .map(|date| date.as_str().is_some_and(|date| date.starts_with("2027-01")));
        let delay =
            schedule.get("delay").map(|delay| delay.as_f64().is_some_and(|delay| delay >= 0.0));
        matches!((date, delay), (Some(true), None) | (None, Some(true)))
    });
    let mut names = body.get("discriminateByTags").and_then(Value::as_array).into_iter().flatten();
    schedule && names.all(|name| name.as_str().is_some_and(|name| body["tags"].get(name).is_some()))
}
