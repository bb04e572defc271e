//! The whole path of a webhook: its user, its conversation, its message.
//!
//! Time is paused: waits pass as soon as nothing else happens, and can be checked exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use botpress_messages::{
    Client, Delivery, ErrorKind, NewConversation, NewMessage, NewUser, Retry, Rule, content::Text,
};
use botpress_sandbox::{Fault, Sandbox, TargetedFault};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use test_support::*;
use tokio::time::{Instant, advance, sleep, timeout};

fn person(id: impl ToString) -> NewUser {
    NewUser::new().tag("id", id.to_string())
}

fn place(id: impl ToString) -> NewConversation {
    NewConversation::new("channel").tag("id", id.to_string())
}

/// A message with this number, which is also its text.
fn inbound(user: NewUser, conversation: NewConversation, number: usize) -> Delivery {
    Delivery::new(conversation, user, Text::new(number.to_string())).tag("id", number.to_string())
}

/// The kinds of records requested, in the order of arrival.
fn asked(sandbox: &Sandbox) -> Vec<&'static str> {
    sandbox.requests().iter().filter_map(|request| request.record).collect()
}

#[tokio::test(start_paused = true)]
async fn a_webhook_becomes_a_stored_message() {
    let second = Duration::from_secs(1);
    let sandbox = Sandbox::builder().strict().latency(second).start().await.unwrap();
    let client = quick(sandbox.client()).header("x-trace", "1").build().unwrap();
    let user = person("U05").name("Ann").picture_url("https://example.com/a.png");
    let message = inbound(user, place("C05"), 1);
    let start = Instant::now();
    let stored = client.deliver(&message).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 2, "user and conversation are requested in parallel");

    let (users, conversations) = (sandbox.users(), sandbox.conversations());
    assert_eq!((users.len(), conversations.len()), (1, 1));
    assert_eq!(users[0].name.as_deref(), Some("Ann"));
    assert_eq!(conversations[0].channel, "channel");
    assert_eq!(stored.created, Some(true));
    assert_eq!(stored.record.user_id, users[0].id);
    assert_eq!(stored.record.conversation_id, conversations[0].id);
    assert_eq!(sandbox.messages(), [stored.record]);
    assert_eq!(sandbox.conversations()[0].message_count, Some(1.0));
    for request in sandbox.requests() {
        assert_eq!(request.headers["x-trace"], "1");
        assert_eq!(request.headers["x-bot-id"], Sandbox::BOT_ID);
        assert!(!format!("{request:?}").contains(Sandbox::TOKEN), "{request:?}");
    }
    let bodies: Vec<_> = sandbox.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies[2].get("user").or(bodies[2].get("conversation")), None);
}

/// A message with one or two given ids, such as the id of the bot's user.
#[tokio::test(start_paused = true)]
async fn ids_that_are_known_are_not_asked_for() {
    struct Case {
        user: Value,
        conversation: Value,
        requests: Vec<&'static str>,
    }
    let cases = [
        Case {
            user: json!(person(1)),
            conversation: json!(CONVERSATION),
            requests: vec!["user", "message"],
        },
        Case {
            user: json!(USER),
            conversation: json!(place(1)),
            requests: vec!["conversation", "message"],
        },
        Case { user: json!(USER), conversation: json!(CONVERSATION), requests: vec!["message"] },
    ];
    for Case { user, conversation, requests } in cases {
        let sandbox = Sandbox::start().await.unwrap();
        let client = quick(sandbox.client()).build().unwrap();
        let mut body = json!({ "type": "text", "payload": { "text": "1" }, "tags": { "id": "1" } });
        for (name, value) in [("user", user), ("conversation", conversation)] {
            let id = if value.is_string() { "Id" } else { "" };
            body[format!("{name}{id}")] = value;
        }
        let stored = client.deliver(&Delivery::from_json(body.to_string()).unwrap()).await.unwrap();
        assert_eq!(stored.created, Some(true));
        assert_eq!(asked(&sandbox), requests);
    }
}

/// Each case changes a good body.
#[tokio::test]
async fn every_violation_is_reported_before_anything_is_sent() {
    let long = "x".repeat(501);
    struct Case {
        at: &'static str,
        change: Value,
        violations: Vec<(&'static str, Rule)>,
    }
    let cases = [
        Case {
            at: "/user",
            change: json!({ "tags": {} }),
            violations: vec![("/user", Rule::Identified)],
        },
        Case {
            at: "/user",
            change: json!({ "tags": { "id": "" } }),
            violations: vec![("/user", Rule::Identified)],
        },
        Case {
            at: "/user/tags",
            change: json!({ "id": long }),
            violations: vec![("/user/tags/id", Rule::MaxLength(500))],
        },
        Case {
            at: "/user/name",
            change: json!(5),
            violations: vec![("/user/name", Rule::Type("string"))],
        },
        Case {
            at: "/user/email",
            change: json!(""),
            violations: vec![("/user/email", Rule::Unknown)],
        },
        Case {
            at: "/user/discriminateByTags",
            change: json!(["no"]),
            violations: vec![
                ("/user/discriminateByTags/0", Rule::NameOfTag),
                ("/user", Rule::Identified),
            ],
        },
        Case {
            at: "/user",
            change: json!("U05"),
            violations: vec![("/user", Rule::Type("object"))],
        },
        Case {
            at: "/userId",
            change: json!(USER),
            violations: vec![("", Rule::OneOf(vec!["userId", "user"]))],
        },
        Case {
            at: "/conversation",
            change: json!({ "tags": { "id": "1" } }),
            violations: vec![("/conversation/channel", Rule::Required)],
        },
        Case {
            at: "/conversation/tags",
            change: json!({}),
            violations: vec![("/conversation", Rule::Identified)],
        },
        Case { at: "/other", change: json!(1), violations: vec![("/other", Rule::Unknown)] },
        Case {
            at: "",
            change: json!({
                "user": { "name": null }, "conversation": { "channel": 1, "tags": {} }, "type": 1,
                "payload": {}, "tags": [],
            }),
            violations: vec![
                ("/user/tags", Rule::Required),
                ("/user/name", Rule::Type("string")),
                ("/conversation/channel", Rule::Type("string")),
                ("/type", Rule::Type("string")),
                ("/tags", Rule::Type("object")),
            ],
        },
    ];
    let sandbox = Sandbox::start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    for Case { at, change, violations } in cases {
        let mut body = json!(inbound(person(1), place(1), 1));
        match at.rsplit_once('/') {
            Some((parent, key)) => body.pointer_mut(parent).unwrap()[key] = change,
            None => body = change,
        }
        let error = Delivery::from_json(body.to_string()).unwrap_err();
        let found = error.violations().iter().map(|violation| {
            assert!(error.to_string().contains(&violation.to_string()), "{error}");
            (violation.path.as_str(), violation.rule.clone())
        });
        let sorted = |mut found: Vec<(&str, Rule)>| {
            found.sort_by_key(|(path, rule)| format!("{path} {rule}"));
            format!("{found:?}")
        };
        assert_eq!(sorted(found.collect()), sorted(violations), "{at}");
        assert!(is_invalid(&error) && error.step().is_none() && !error.should_repeat());
    }
    // Typed records are checked by the same rules.
    let typed =
        Delivery::new(NewConversation::new(long.clone()), person("").name(long), Text::new(""));
    let error = client.deliver(&typed.tag("id", "1")).await.unwrap_err();
    let mut paths: Vec<_> = error.violations().iter().map(|v| v.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/conversation", "/conversation/channel", "/user", "/user/name"], "{error}");
    assert!(sandbox.requests().is_empty());
    // The raw calls are not checked.
    assert_eq!(client.get_or_create(&NewUser::new()).await.unwrap().created, Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_known_person_in_a_known_conversation_costs_one_request() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    for number in 0..10 {
        client.deliver(&inbound(person(1), place(1), number)).await.unwrap();
    }
    assert_eq!(sandbox.requests().len(), 2 + 10);
    // A changed name goes through, to the same user, and so does a changed topic.
    let topic = place(1).tag("topic", "x").discriminate_by_tags(["id"]);
    client.deliver(&inbound(person(1).name("Ann"), place(1), 10)).await.unwrap();
    client.deliver(&inbound(person(1).name("Ann"), topic, 11)).await.unwrap();
    assert_eq!(asked(&sandbox)[12..], ["user", "message", "conversation", "message"]);
    assert_eq!((sandbox.users().len(), sandbox.conversations().len()), (1, 1));
    assert_eq!(sandbox.users()[0].name.as_deref(), Some("Ann"));
    // Ids are remembered for an hour.
    advance(Duration::from_secs(3_601)).await;
    client.deliver(&inbound(person(1).name("Ann"), place(1), 12)).await.unwrap();
    assert_eq!(sandbox.requests().len(), 16 + 3);

    let forgetful = quick(sandbox.client()).remember_ids(Duration::ZERO).build().unwrap();
    for number in 20..25 {
        forgetful.deliver(&inbound(person(1), place(1), number)).await.unwrap();
    }
    assert_eq!(sandbox.requests().len(), 19 + 15);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_gone_is_asked_for_again_once() {
    let sandbox = Sandbox::builder().strict().start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    let first = client.deliver(&inbound(person(1), place(1), 1)).await.unwrap().record;
    sandbox.delete(&first.user_id);
    let second = client.deliver(&inbound(person(1), place(1), 2)).await.unwrap().record;
    assert_ne!(second.user_id, first.user_id);
    assert_eq!(second.conversation_id, first.conversation_id);
    sandbox.delete(&first.conversation_id);
    let third = client.deliver(&inbound(person(1), place(1), 3)).await.unwrap().record;
    assert_ne!(third.conversation_id, first.conversation_id);
    // The new ids are remembered.
    let before = sandbox.requests().len();
    client.deliver(&inbound(person(1), place(1), 4)).await.unwrap();
    assert_eq!(sandbox.requests().len(), before + 1);

    // An id that the caller gives is not asked for.
    let own = Delivery::new(CONVERSATION, USER, Text::new("")).tag("id", "6");
    let before = sandbox.requests().len();
    assert!(is_api(&client.deliver(&own).await.unwrap_err()));
    assert_eq!(asked(&sandbox)[before..], ["message"]);
}

/// A webhook needs a quick response: the conversation would be tried for twenty seconds.
#[tokio::test(start_paused = true)]
async fn a_rejected_user_does_not_wait_for_the_conversation() {
    let sandbox = Sandbox::start().await.unwrap();
    let rejected = Fault::Error { status: 400, stored: false };
    sandbox.fail_when(TargetedFault::new(rejected).record("user").always());
    let silent = Fault::Silence { stored: false };
    sandbox.fail_when(TargetedFault::new(silent).record("conversation").always());
    let client = quick(sandbox.client()).build().unwrap();
    let start = Instant::now();
    let error = client.deliver(&inbound(person(1), place(1), 1)).await.unwrap_err();
    assert_eq!((error.step(), error.attempts()), (Some("user"), 1), "{error}");
    assert!(!error.maybe_stored(), "{error}");
    assert_eq!(start.elapsed().as_secs(), 0);
}

/// A server that has just returned an id may have others that do not know it yet.
#[tokio::test(start_paused = true)]
async fn a_new_id_that_some_servers_do_not_know_yet_is_tried_again() {
    let record = |name: &str, id: &str, more: Value| {
        let mut record = json!({
            "id": id, "createdAt": "2026-08-19T10:00:00Z", "updatedAt": "2026-08-19T10:00:00Z", "tags": {},
        });
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ok(&json!({ name: record }))
    };
    let user = || record("user", USER, json!({}));
    let place_json = json!({ "channel": "channel", "integration": "slack" });
    let conversation = || record("conversation", CONVERSATION, place_json.clone());
    let unknown = || {
        let error =
            json!({ "code": 400, "type": "ReferenceNotFound", "message": "no", "id": "err_1" });
        http("400 Bad Request", "content-type: application/json\r\n", &error.to_string())
    };
    let patient = Retry::default().max_attempts(5);
    let deliver = async |responses: Vec<Vec<u8>>, delivery: &Delivery| {
        let (url, _) = script(responses).await;
        builder(&url).retry(patient).build().unwrap().deliver(delivery).await
    };
    let both = inbound(person(1), place(1), 1);
    let found = vec![user(), conversation(), unknown(), unknown(), ok(&stored())];
    assert_eq!(deliver(found, &both).await.unwrap().created, Some(true));

    // If that lasts too long, the webhook has to come again.
    let lasting = [user(), conversation()].into_iter().chain((0..5).map(|_| unknown())).collect();
    let error = deliver(lasting, &both).await.unwrap_err();
    assert_eq!((error.step(), error.attempts()), (Some("message"), 5));
    assert!(!error.maybe_stored() && error.should_repeat(), "{error}");
    // The unknown id may be the one that the caller gave: no attempt follows, but the webhook may come again.
    let mixed = Delivery::new(CONVERSATION, person(1), Text::new("Hello")).tag("id", "1");
    let error = deliver(vec![user(), unknown()], &mixed).await.unwrap_err();
    assert_eq!((error.attempts(), error.should_repeat()), (1, true));
    // With ids from the caller, another webhook would not help.
    let own = Delivery::new(CONVERSATION, USER, Text::new("Hello")).tag("id", "1");
    let error = deliver(vec![unknown()], &own).await.unwrap_err();
    assert_eq!((error.attempts(), error.should_repeat()), (1, false));
}

/// The message may be stored when the id of its user turns out to be unknown. The
/// outcome of the next request for that user is no evidence about the message.
#[tokio::test(start_paused = true)]
async fn an_error_is_about_the_message_even_if_another_step_failed_last() {
    let sandbox = Sandbox::builder().strict().start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    let first = client.deliver(&inbound(person(1), place(1), 1)).await.unwrap().record;
    sandbox.delete(&first.user_id);
    let silence = Some(Fault::Silence { stored: false });
    sandbox.fail_next([None].into_iter().chain([silence; 20]));
    let error = client.deliver(&inbound(person(1), place(1), 2)).await.unwrap_err();
    assert_eq!(error.step(), Some("user"), "{error}");
    assert!(error.is_timeout() && !error.maybe_stored() && error.should_repeat(), "{error}");
}

/// A name that changes back has to arrive too: the id is remembered with the last values sent.
#[tokio::test(start_paused = true)]
async fn a_name_that_changes_back_arrives() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    for (number, name) in ["Ann", "Ann (on leave)", "Ann", "Ann"].into_iter().enumerate() {
        client.deliver(&inbound(person(1).name(name), place(1), number)).await.unwrap();
        assert_eq!(sandbox.users()[0].name.as_deref(), Some(name));
    }
    assert_eq!(asked(&sandbox).iter().filter(|record| **record == "user").count(), 3);
}

/// Messages are looked up across the bot, also for another integration.
#[tokio::test(start_paused = true)]
async fn clients_of_one_bot_take_turns_for_a_message() {
    let sandbox = Sandbox::builder().lookup_gap(Duration::from_millis(50)).start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    let others = [
        client.to_builder().integration_id("other"),
        client.to_builder().integration_alias("alias"),
        client.to_builder().base_url(sandbox.url().replace("127.0.0.1", "localhost")),
    ];
    for (number, other) in others.into_iter().enumerate() {
        let other = other.build().unwrap();
        let message = hello().tag("id", format!("of {number}"));
        let (one, another) =
            tokio::join!(client.get_or_create(&message), other.get_or_create(&message));
        assert_eq!(one.unwrap().record.id, another.unwrap().record.id, "{number}");
        assert_eq!(sandbox.messages().len(), number + 1);
    }
}

/// More simultaneous work than a task can do in one poll.
#[tokio::test(start_paused = true)]
async fn a_conversation_keeps_the_order_in_which_its_deliveries_start() {
    let sandbox = Sandbox::builder().storm(3, 0.2).start().await.unwrap();
    let client =
        quick(sandbox.client()).retry(Retry::default().deadline(Duration::MAX)).build().unwrap();
    let send = async |number: usize| {
        client.clone().deliver(&inbound(person(number % 7), place(1), number)).await
    };
    let results = join_all((0..500).map(send)).await;
    assert!(results.iter().all(Result::is_ok));
    let stored = sandbox.messages().into_iter().map(|message| message.payload["text"].clone());
    assert_eq!(
        stored.collect::<Vec<_>>(),
        (0..500).map(|n| json!(n.to_string())).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn conversations_run_in_parallel() {
    let sandbox = Sandbox::builder().latency(Duration::from_secs(1)).start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    let start = Instant::now();
    let send = async |number: usize| {
        let user = person(number % 5);
        client.clone().deliver(&inbound(user, place(number % 5), number)).await.unwrap()
    };
    join_all((0..10).map(send)).await;
    // One after the other in each: user and conversation, message, message.
    assert_eq!(start.elapsed().as_secs(), 3);
}

/// A server that looks up and stores in two steps would store a user twice if asked twice at the same time.
#[tokio::test(start_paused = true)]
async fn simultaneous_first_deliveries_ask_once() {
    for remembers in [3_600, 0] {
        let sandbox = Sandbox::builder().lookup_gap(Duration::from_millis(50));
        let sandbox = sandbox.start().await.unwrap();
        let remembers = Duration::from_secs(remembers);
        let client = quick(sandbox.client()).remember_ids(remembers).build().unwrap();
        let send = async |number: usize| {
            client.clone().deliver(&inbound(person(1), place(number), number)).await.unwrap()
        };
        join_all((0..50).map(send)).await;
        assert_eq!((sandbox.users().len(), sandbox.conversations().len()), (1, 50));
        let users = asked(&sandbox).iter().filter(|record| **record == "user").count();
        assert_eq!(users, if remembers.is_zero() { 50 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_names_the_failed_step() {
    let rejected = |status| Some(Fault::Error { status, stored: false });
    let broken = Some(Fault::Reset { stored: true });
    struct Case {
        /// The faults of the requests, in the order of arrival.
        faults: Vec<Option<Fault>>,
        step: &'static str,
        maybe_stored: bool,
        should_repeat: bool,
    }
    let cases = [
        Case {
            faults: vec![rejected(401)],
            step: "user",
            maybe_stored: false,
            should_repeat: true,
        },
        Case {
            faults: vec![None, rejected(400)],
            step: "conversation",
            maybe_stored: false,
            should_repeat: false,
        },
        Case { faults: vec![broken], step: "user", maybe_stored: false, should_repeat: true },
        Case {
            faults: vec![None, broken],
            step: "conversation",
            maybe_stored: false,
            should_repeat: true,
        },
        Case {
            faults: vec![None, None, rejected(400)],
            step: "message",
            maybe_stored: false,
            should_repeat: false,
        },
        Case {
            faults: vec![None, None, broken],
            step: "message",
            maybe_stored: true,
            should_repeat: true,
        },
    ];
    for case in cases {
        let Case { faults, step, maybe_stored, should_repeat, .. } = case;
        let sandbox = Sandbox::start().await.unwrap();
        // Which of the two is asked for first must not be chance.
        let client = quick(sandbox.client()).retry(Retry::off()).build().unwrap();
        sandbox.fail_next(faults.clone());
        let error = client.deliver(&inbound(person(1), place(1), 1)).await.unwrap_err();
        assert_eq!(error.step(), Some(step), "{faults:?}: {error}");
        // Of the two, the one that fails ends the other, which may have its id before that.
        let known = [error.user_id().is_some(), error.conversation_id().is_some()];
        let expected = [step != "user" && known[0], step != "conversation" && known[1]];
        assert_eq!(known, expected, "{faults:?}: {error:?}");
        assert!(step != "message" || known == [true; 2], "{faults:?}: {error:?}");
        assert_eq!(error.maybe_stored(), maybe_stored, "{faults:?}: {error}");
        assert_eq!(error.to_string().contains("may be stored"), maybe_stored, "{error}");
        assert_eq!(error.should_repeat(), should_repeat, "{faults:?}: {error}");
        assert_eq!(error.to_string().starts_with(&format!("{step}: ")), step != "message");
        // In each case, repeating the webhook leaves one message.
        client.deliver(&inbound(person(1), place(1), 1)).await.unwrap();
        let stored =
            [sandbox.users().len(), sandbox.conversations().len(), sandbox.messages().len()];
        assert_eq!(stored, [1, 1, 1], "{faults:?}");
    }
}

/// A webhook has three seconds for all of its calls.
#[tokio::test(start_paused = true)]
async fn one_deadline_covers_the_whole_delivery() {
    let three = Duration::from_secs(3);
    for silent in [0, 2] {
        let sandbox = Sandbox::start().await.unwrap();
        let client =
            quick(sandbox.client()).retry(Retry::default().deadline(three)).build().unwrap();
        let mut faults = vec![None; silent];
        faults.extend([Some(Fault::Silence { stored: false }); 20]);
        sandbox.fail_next(faults);
        let start = Instant::now();
        let error = client.deliver(&inbound(person(1), place(1), 1)).await.unwrap_err();
        assert!(error.is_timeout() && error.should_repeat(), "{error:?}");
        assert!(start.elapsed() <= three + Duration::from_millis(5), "{:?}", start.elapsed());
    }
    // Nor does waiting for others in the conversation take longer.
    let sandbox = Sandbox::builder().latency(Duration::from_secs(2)).start().await.unwrap();
    let retry = Retry::default().deadline(three).attempt_timeout(three);
    let client = quick(sandbox.client()).retry(retry).build().unwrap();
    let messages = [1, 2, 3].map(|n| Delivery::from(hello().tag("id", n.to_string())));
    let start = Instant::now();
    let results = join_all(messages.iter().map(|message| client.deliver(message))).await;
    assert!(results[0].is_ok());
    for error in results[1..].iter().map(|result| result.as_ref().unwrap_err()) {
        assert!(error.is_timeout() && error.should_repeat(), "{error:?}");
    }
    assert!(start.elapsed() <= Duration::from_millis(5_005), "{:?}", start.elapsed());
}

/// A Slack webhook has 2.5 seconds. One request without a response does not cost them all, and a server
/// that is always slow still gets the time that it needs.
#[tokio::test(start_paused = true)]
async fn a_stalled_attempt_leaves_time_for_another() {
    let retry = Retry::default().deadline(Duration::from_millis(2_500));
    let sandbox = Sandbox::start().await.unwrap();
    let client = quick(sandbox.client()).retry(retry).build().unwrap();
    sandbox.fail_next([Some(Fault::Silence { stored: true }); 2]);
    let stored = client.deliver(&inbound(person(1), place(1), 1)).await.unwrap();
    assert_eq!((stored.created, sandbox.requests().len()), (Some(true), 5));

    let slow = Sandbox::builder().latency(Duration::from_millis(700)).start().await.unwrap();
    let client = quick(slow.client()).retry(retry).build().unwrap();
    client.get_or_create(&hello()).await.unwrap();
}

/// A dropped delivery can leave its request at the server: the next one in the conversation does not overtake it.
#[tokio::test(start_paused = true)]
async fn a_dropped_delivery_is_not_overtaken() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    client.deliver(&inbound(person(1), place(1), 0)).await.unwrap();
    for number in 1..20 {
        sandbox.fail_next([Some(Fault::Late(Duration::from_millis(900)))]);
        let message = inbound(person(1), place(1), 2 * number);
        let _ = timeout(Duration::from_millis(100), client.deliver(&message)).await;
        client.deliver(&inbound(person(1), place(1), 2 * number + 1)).await.unwrap();
    }
    let numbers = sandbox.messages().into_iter();
    let numbers = numbers.map(|m| m.payload["text"].as_str().unwrap().parse::<usize>().unwrap());
    let numbers: Vec<_> = numbers.collect();
    assert!(numbers.is_sorted() && numbers.len() == 39, "{numbers:?}");
}

/// Another bot or token has its own window; another retry policy does not.
#[tokio::test(start_paused = true)]
async fn one_process_serves_many_bots() {
    let limited = || Sandbox::builder().requests_per_second(5).bot_id("other").token("its token");
    let (first, second) = (Sandbox::start().await.unwrap(), limited().start().await.unwrap());
    let client = first.client().build().unwrap();
    let other = client.to_builder().base_url(second.url()).bot_id("other").token("its token");
    let other = other.integration_id("another").build().unwrap();
    client.deliver(&inbound(person(1), place(1), 1)).await.unwrap();
    other.deliver(&inbound(person(1), place(1), 1)).await.unwrap();
    assert_eq!((first.requests().len(), second.requests().len()), (3, 3));
    assert_eq!(second.requests()[0].headers["x-integration-id"], "another");
    let hurried = other.with_retry(Retry::off().deadline(Duration::from_millis(100)));
    let patient = other.with_retry(Retry::off());
    let start = Instant::now();
    for number in 2..4 {
        patient.deliver(&inbound(person(1), place(1), number)).await.unwrap();
    }
    // The window of five is used up for all three, but not for the other bot.
    let error = hurried.deliver(&inbound(person(1), place(1), 4)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::RateLimit(_)), "{error:?}");
    assert!(error.should_repeat() && error.retry_after().is_some());
    for number in 2..20 {
        client.deliver(&inbound(person(1), place(1), number)).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_millis(500) && second.rejected() == 0);
    other.deliver(&inbound(person(1), place(1), 4)).await.unwrap();
    // Closing one ends them all.
    client.close();
    let error = client.to_builder().bot_id("x").build().unwrap().deliver(&hello().into()).await;
    assert!(matches!(error.unwrap_err().kind(), ErrorKind::Closed));
}

/// The same person in another bot, or of another integration, is another user.
#[tokio::test(start_paused = true)]
async fn ids_are_remembered_by_bot_and_integration() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    client.deliver(&inbound(person(1), place(1), 1)).await.unwrap();
    let other = client.to_builder().integration_id("other").build().unwrap();
    other.deliver(&inbound(person(1), place(1), 2)).await.unwrap();
    assert_eq!((sandbox.users().len(), sandbox.conversations().len()), (2, 2));
    let same = client.to_builder().header("x-trace", "1").build().unwrap();
    same.deliver(&inbound(person(1), place(1), 3)).await.unwrap();
    assert_eq!(sandbox.requests().len(), 7, "what is known is shared");
}

/// 5,000 webhooks, each sent twice, by 300 people in 400 conversations, while 30 % of the requests fail.
#[tokio::test(start_paused = true)]
async fn a_storm_leaves_each_message_once_and_in_order() {
    let sandbox = Sandbox::builder().strict().storm(8, 0.3).start().await.unwrap();
    let patient = Retry::default().max_attempts(100).deadline(Duration::from_secs(3_600));
    let client = quick(sandbox.client()).retry(patient).build().unwrap();
    let send = async |webhook: usize| {
        let number = webhook / 2;
        let message = inbound(person(number * 7 % 300), place(number % 400), number);
        client.clone().deliver(&message).await
    };
    let webhooks = stream::iter(0..10_000).map(send).buffer_unordered(2_000);
    let failed: Vec<_> = webhooks.filter_map(async |result| result.err()).collect().await;
    assert!(failed.is_empty(), "{} failed, such as {}", failed.len(), failed[0]);

    let mut conversations = BTreeMap::<_, Vec<usize>>::new();
    for message in sandbox.messages() {
        let number = message.payload["text"].as_str().unwrap().parse().unwrap();
        conversations.entry(message.conversation_id).or_default().push(number);
    }
    let numbers: Vec<_> = conversations.values().flatten().copied().collect();
    assert_eq!((numbers.len(), numbers.iter().collect::<BTreeSet<_>>().len()), (5_000, 5_000));
    for numbers in conversations.values() {
        assert!(numbers.is_sorted(), "{numbers:?}");
        assert!(numbers.iter().all(|number| number % 400 == numbers[0] % 400), "{numbers:?}");
    }
    assert_eq!((sandbox.users().len(), sandbox.conversations().len()), (300, 400));
}

/// Integrations rely on this to respond first and deliver afterwards.
#[test]
fn deliveries_can_be_sent_to_tasks() {
    fn sent<T: Send>(_: T) {}
    let _ = |client: Client, message: Delivery| sent(async move { client.deliver(&message).await });
}

/// If the earlier calls leave too little time for the message, it is not sent.
#[tokio::test(start_paused = true)]
async fn a_message_is_not_sent_in_the_last_moment() {
    let second = Duration::from_secs(1);
    let sandbox = Sandbox::builder().latency(2 * second).start().await.unwrap();
    let retry = Retry::default().deadline(second * 5 / 2).attempt_timeout(3 * second);
    let client = quick(sandbox.client()).retry(retry).build().unwrap();
    for message in [inbound(person("U05"), place("C05"), 1), untagged(person("U06"), place("C06"))]
    {
        let error = client.deliver(&message).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Deadline), "{error:?}");
        assert_eq!((error.step(), error.attempts()), (Some("message"), 0));
        assert!(!error.maybe_stored() && error.should_repeat(), "{error:?}");
    }
    sleep(4 * second).await;
    assert!(sandbox.messages().is_empty() && !asked(&sandbox).contains(&"message"));
}

fn untagged(user: NewUser, conversation: NewConversation) -> Delivery {
    Delivery::new(conversation, user, Text::new("Hello"))
}

/// An unknown id restarts a delivery. That does not undo what was done before.
#[tokio::test]
async fn errors_cover_attempts_before_an_unknown_id() {
    let user = json!({ "user": {
        "id": USER, "createdAt": "2026-08-19T10:00:00Z", "updatedAt": "2026-08-19T10:00:00Z", "tags": {}
    }});
    let mut found = stored();
    found["meta"]["created"] = json!(false);
    let error = |status: &str, type_: &str| {
        let error = json!({ "code": 404, "type": type_, "message": "no", "id": "err_1" });
        http(status, "content-type: application/json\r\n", &error.to_string())
    };
    let unknown = || error("404 Not Found", "ReferenceNotFound");
    struct Case {
        last: Vec<u8>,
        maybe_stored: bool,
        attempts: u32,
    }
    let unauthorized = error("401 Unauthorized", "Unauthorized");
    let cases = [
        Case { last: unauthorized, maybe_stored: true, attempts: 3 },
        Case { last: ok(&found), maybe_stored: false, attempts: 0 },
    ];
    for Case { last, maybe_stored, attempts } in cases {
        let answers = vec![
            ok(&user),
            ok(&stored()), // learns the id
            vec![],
            unknown(), // breaks off, and knows nothing of the user
            ok(&user),
            last,
        ];
        let (url, requests) = script(answers).await;
        let client = client(&url);
        let message = Delivery::new(CONVERSATION, person("U05"), Text::new("Hello"));
        client.deliver(&message.clone().tag("id", "1")).await.unwrap();
        match client.deliver(&message.tag("id", "2")).await {
            Ok(stored) => assert_eq!((stored.created, attempts), (None, 0)),
            Err(error) => {
                assert!(error.is_auth(), "{error:?}");
                assert_eq!((error.maybe_stored(), error.attempts()), (maybe_stored, attempts));
            }
        }
        assert_eq!(requests.await.unwrap().len(), 6);
    }
}

/// Clients with different settings that are derived from one another still coordinate.
#[tokio::test(start_paused = true)]
async fn derived_clients_take_turns_and_close_together() {
    let sandbox = Sandbox::builder().lookup_gap(Duration::from_millis(50)).start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    let second = Duration::from_secs(1);
    let others = [
        client.to_builder().token(Sandbox::TOKEN),
        client.to_builder().remember_ids(Duration::ZERO),
        client.to_builder().connect_timeout(second),
        client.to_builder().http(|http| http.tcp_nodelay(true)),
        client.to_builder().base_url(sandbox.url()),
    ];
    for (number, other) in others.into_iter().enumerate() {
        let other = other.build().unwrap();
        let message = inbound(person("U05"), place("C05"), number);
        let (one, another) = tokio::join!(client.deliver(&message), other.deliver(&message));
        assert_eq!(one.unwrap().record.id, another.unwrap().record.id);
        assert_eq!(sandbox.messages().len(), number + 1);
    }
    let other = client.to_builder().connect_timeout(second).build().unwrap();
    client.close();
    let error = other.deliver(&inbound(person("U05"), place("C05"), 9)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Closed), "{error:?}");
}

#[tokio::test]
async fn ids_can_be_remembered_for_ever() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = quick(sandbox.client()).remember_ids(Duration::MAX).build().unwrap();
    for number in [1, 2] {
        client.deliver(&inbound(person("U05"), place("C05"), number)).await.unwrap();
    }
    assert_eq!(sandbox.requests().len(), 4);
}

/// Calls beyond those allowed before the first response wait for it, but not beyond their deadline.
#[tokio::test(start_paused = true)]
async fn waiting_for_the_first_response_ends_at_the_deadline() {
    let quarter = Duration::from_millis(250);
    for (latency, fare) in [(20, 9), (300, 8)] {
        let latency = Duration::from_millis(latency);
        let sandbox = Sandbox::builder().latency(latency).start().await.unwrap();
        let retry = Retry::default().deadline(quarter).attempt_timeout(quarter);
        let client = quick(sandbox.client()).retry(retry).build().unwrap();
        let message = |n: usize| {
            NewMessage::new(CONVERSATION, USER, Text::new("Hello")).tag("id", n.to_string())
        };
        let messages: Vec<_> = (0..9).map(message).collect();
        let results = join_all(messages.iter().map(|message| client.get_or_create(message))).await;
        let unsent = results.iter().filter_map(|result| result.as_ref().err());
        let unsent: Vec<_> = unsent.filter(|error| error.attempts() == 0).collect();
        assert_eq!(9 - unsent.len(), fare);
        for error in unsent {
            assert!(matches!(error.kind(), ErrorKind::Deadline), "{error:?}");
        }
    }
}
