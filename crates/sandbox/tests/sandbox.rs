//! The sandbox as a test double. Raw requests are used, because a client would not send invalid ones.
#![allow(clippy::type_complexity)] // tables of cases

use std::sync::{Arc, Mutex};

use botpress_messages::{
    Direction, Error, ErrorKind, NewConversation, NewMessage, NewMessageOrigin, NewUser, Retry,
    User, content::Text,
};
use botpress_sandbox::{Fault, Outcome, Request, Sandbox, TargetedFault};
use futures::{StreamExt, stream};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use test_support::*;

const PATH: &str = "/v1/chat/messages/get-or-create";

fn raw(sandbox: &Sandbox, method: Method, path: &str) -> RequestBuilder {
    headed(reqwest::Client::new().request(method, sandbox.url() + path))
}

fn headed(request: RequestBuilder) -> RequestBuilder {
    request
        .header("authorization", format!("Bearer {}", Sandbox::TOKEN))
        .header("x-bot-id", Sandbox::BOT_ID)
        .header("x-integration-alias", "slack")
        .header("content-type", "application/json")
}

async fn error(answer: Response) -> (u16, String, String) {
    let status = answer.status().as_u16();
    for header in ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"] {
        let figure = answer.headers()[header].to_str().unwrap();
        assert!(figure.parse::<u64>().is_ok(), "{header}: {figure}");
    }
    let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(body["code"], status);
    let id = body["id"].as_str().unwrap();
    assert!(id.len() == 27 && id.starts_with("err_20") && id.contains('x'), "{id}");
    (status, body["type"].as_str().unwrap().into(), body["message"].as_str().unwrap().into())
}

#[tokio::test]
async fn invalid_requests_are_rejected_as_by_the_api() {
    let sandbox = Sandbox::start().await.unwrap();
    let legal = serde_json::to_value(hello()).unwrap();
    let post = || raw(&sandbox, Method::POST, PATH);
    let with = |change: Value| {
        let mut body = legal.clone();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        post().body(body.to_string())
    };
    let without = |name: &str| {
        let mut body = legal.clone();
        body.as_object_mut().unwrap().remove(name);
        post().body(body.to_string())
    };
    let plain = || reqwest::Client::new().post(sandbox.url() + PATH);
    let ours = |header: &'static str, value: &'static str| {
        let mut request = post().body(legal.to_string()).build().unwrap();
        request.headers_mut().insert(header, value.parse().unwrap());
        RequestBuilder::from_parts(reqwest::Client::new(), request)
    };
    let cases = [
        (
            without("conversationId"),
            400,
            "InvalidPayload",
            "request/body must have required property 'conversationId'",
        ),
        (
            with(json!({ "userId": "u" })),
            400,
            "InvalidPayload",
            "request/body/userId must NOT have fewer than 28 characters",
        ),
        (
            with(json!({ "type": "t".repeat(201) })),
            400,
            "InvalidPayload",
            "request/body/type must NOT have more than 200 characters",
        ),
        (
            with(json!({ "tags": { "a": 1 } })),
            400,
            "InvalidPayload",
            "request/body/tags/a must be string",
        ),
        (
            with(json!({ "other": 1 })),
            400,
            "InvalidPayload",
            "request/body must NOT have additional properties",
        ),
        (
            with(json!({ "origin": "x" })),
            400,
            "InvalidPayload",
            "request/body/origin must be equal to one of the allowed values",
        ),
        (post().body("[]"), 400, "InvalidPayload", "request/body must be object"),
        (post().body("{"), 400, "InvalidPayload", "request/body must be JSON"),
        (plain(), 401, "Unauthorized", "the token"),
        (ours("authorization", "Bearer nope"), 401, "Unauthorized", "the token"),
        (
            plain().header("authorization", format!("Bearer {}", Sandbox::TOKEN)),
            400,
            "InvalidPayload",
            "required property 'x-bot-id'",
        ),
        (ours("x-bot-id", "other"), 403, "Forbidden", "this bot"),
        (ours("x-integration-alias", ""), 403, "Forbidden", "name an integration"),
        (ours("content-type", "text/plain"), 415, "UnsupportedMediaType", "text/plain"),
        (
            raw(&sandbox, Method::POST, "/v1/chat/messages"),
            404,
            "ResourceNotFound",
            "/v1/chat/messages",
        ),
        (raw(&sandbox, Method::GET, PATH), 405, "MethodNotFound", "GET"),
        (raw(&sandbox, Method::PUT, "/v1/chat/users/get-or-create"), 405, "MethodNotFound", "PUT"),
        (
            raw(&sandbox, Method::POST, "/v1/chat/conversations/get-or-create").body("{}"),
            400,
            "InvalidPayload",
            "'channel'",
        ),
        (
            with(json!({ "payload": { "text": "x".repeat(1 << 20) } })),
            413,
            "PayloadTooLarge",
            "too large",
        ),
    ];
    for (request, status, kind, message) in cases {
        let found = error(request.send().await.unwrap()).await;
        assert_eq!((found.0, found.1.as_str()), (status, kind), "{}", found.2);
        assert!(found.2.contains(message), "{} lacks {message}", found.2);
        let outcome = sandbox.requests().pop().unwrap().outcome;
        assert_eq!(outcome, Outcome::Rejected { status, reason: found.2 });
    }
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn messages_are_found_by_their_tags() {
    struct Case<'a> {
        stored: &'a [(&'a str, &'a str)],
        requested: &'a [(&'a str, &'a str)],
        discriminators: &'a [&'a str],
        found: bool,
    }
    let abc: &[(&str, &str)] = &[("foo", "a"), ("bar", "b"), ("baz", "c")];
    let cases = [
        Case { stored: abc, requested: abc, discriminators: &[], found: true },
        Case {
            stored: abc,
            requested: &[("foo", "a"), ("bar", "b")],
            discriminators: &[],
            found: false,
        },
        Case {
            stored: abc,
            requested: &[("foo", "a"), ("bar", "b"), ("baz", "c"), ("new", "d")],
            discriminators: &[],
            found: false,
        },
        Case {
            stored: abc,
            requested: &[("foo", "x"), ("bar", "b"), ("baz", "c")],
            discriminators: &["bar", "baz"],
            found: true,
        },
        Case {
            stored: abc,
            requested: &[("bar", "b"), ("baz", "c")],
            discriminators: &["bar", "baz"],
            found: true,
        },
        Case {
            stored: abc,
            requested: &[("bar", "b"), ("baz", "x")],
            discriminators: &["bar", "baz"],
            found: false,
        },
        Case {
            stored: abc,
            requested: &[("bar", "b"), ("baz", "c"), ("new", "d")],
            discriminators: &["bar"],
            found: true,
        },
        Case { stored: &[], requested: &[], discriminators: &[], found: false },
        Case { stored: &[("a", "")], requested: &[("a", "")], discriminators: &[], found: false },
        Case {
            stored: &[("a", "1"), ("b", "")],
            requested: &[("a", "1")],
            discriminators: &[],
            found: true,
        },
        Case {
            stored: &[("a", "1")],
            requested: &[("a", "1"), ("b", "")],
            discriminators: &[],
            found: true,
        },
        Case {
            stored: &[("a", "1"), ("b", "")],
            requested: &[("a", "2"), ("b", "")],
            discriminators: &["b"],
            found: false,
        },
        Case {
            stored: &[("a", "1")],
            requested: &[("a", "1")],
            discriminators: &["a"],
            found: true,
        },
    ];
    for Case { stored, requested, discriminators, found } in cases {
        let sandbox = Sandbox::start().await.unwrap();
        let client = sandbox.client().build().unwrap();
        let [stored, requested] = [stored, requested].map(|tags| {
            NewMessage::custom(CONVERSATION, USER, "own", json!({}))
                .unwrap()
                .with_tags(tags.iter().copied())
        });
        let requested = requested.discriminate_by_tags(discriminators.iter().copied());
        let first = client.get_or_create(&stored).await.unwrap();
        assert_eq!(first.created, Some(true));
        let second = client.get_or_create(&requested).await.unwrap();
        assert_eq!(second.created, Some(!found), "{stored:?} {requested:?}");
        assert_eq!(second.record.id == first.record.id, found);
        assert_eq!(sandbox.messages().len(), if found { 1 } else { 2 });
    }
}

/// Stored users and conversations match even if they have additional tags.
#[tokio::test]
async fn users_and_conversations_are_found_among_their_tags() {
    struct Case {
        stored: Value,
        requested: Value,
        found: bool,
    }
    let tags = |tags: Value| json!({ "tags": tags });
    let by_a = json!({ "tags": { "a": "1", "b": "2" }, "discriminateByTags": ["a"] });
    let one = || tags(json!({ "a": "1" }));
    let two = || tags(json!({ "a": "1", "b": "2" }));
    let cases = [
        Case { stored: one(), requested: one(), found: true },
        Case { stored: two(), requested: one(), found: true },
        Case { stored: one(), requested: two(), found: false },
        Case { stored: one(), requested: by_a, found: true },
        Case { stored: one(), requested: tags(json!({ "a": "1", "b": "" })), found: true },
        Case { stored: one(), requested: tags(json!({ "a": "2" })), found: false },
        Case { stored: tags(json!({})), requested: tags(json!({})), found: false },
        Case {
            stored: tags(json!({ "a": "" })),
            requested: tags(json!({ "a": "" })),
            found: false,
        },
    ];
    for Case { stored, requested, found } in cases {
        let sandbox = Sandbox::start().await.unwrap();
        let client = sandbox.client().build().unwrap();
        client
            .get_or_create(&NewUser::from_json(stored.clone().to_string()).unwrap())
            .await
            .unwrap();
        let user = client
            .get_or_create(&NewUser::from_json(requested.clone().to_string()).unwrap())
            .await
            .unwrap();
        let within = |mut body: Value, channel: &str| {
            body["channel"] = json!(channel);
            NewConversation::from_json(body.to_string()).unwrap()
        };
        client.get_or_create(&within(stored.clone(), "dm")).await.unwrap();
        let conversation = client.get_or_create(&within(requested.clone(), "dm")).await.unwrap();
        let created = Some(!found);
        assert_eq!(
            (user.created, conversation.created),
            (created, created),
            "{stored} {requested}"
        );
        // They are not found in another channel, or by another integration.
        let elsewhere = client.get_or_create(&within(requested.clone(), "mail")).await.unwrap();
        assert_eq!(elsewhere.created, Some(true));
        let other = client.to_builder().integration_id("other").build().unwrap();
        let theirs =
            other.get_or_create(&NewUser::from_json(requested.to_string()).unwrap()).await.unwrap();
        assert_eq!(theirs.created, Some(true));
        assert_eq!(elsewhere.record.integration, Sandbox::INTEGRATION_ID);
    }
}

#[tokio::test]
async fn a_hit_updates_users_and_conversations() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    let user = NewUser::new().tag("id", "1").discriminate_by_tags(["id"]);
    client.get_or_create(&user.clone().name("Ann").tag("goes", "1")).await.unwrap();
    let changed = user.picture_url("https://example.com/a.png").tag("goes", "").tag("new", "2");
    let found = client.get_or_create(&changed).await.unwrap();
    assert_eq!(found.created, Some(false));
    let User { name, picture_url, tags, .. } = found.record.clone();
    assert_eq!(name.as_deref(), Some("Ann"), "what the request lacks stays");
    assert_eq!(picture_url.as_deref(), Some("https://example.com/a.png"));
    assert_eq!(json!(tags), json!({ "id": "1", "new": "2" }));
    assert_eq!(sandbox.users(), [found.record]);

    let conversation = NewConversation::new("dm").tag("id", "1").discriminate_by_tags(["id"]);
    client.get_or_create(&conversation).await.unwrap();
    let found = client.get_or_create(&conversation.tag("topic", "x")).await.unwrap();
    assert_eq!(found.created, Some(false));
    assert_eq!(json!(found.record.tags), json!({ "id": "1", "topic": "x" }));
    assert_eq!(sandbox.conversations(), [found.record]);
}

/// Messages are looked up across conversations, and belong to one.
#[tokio::test]
async fn a_message_of_another_conversation_is_rejected() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    client.get_or_create(&hello()).await.unwrap();
    let elsewhere = NewMessage::new(Sandbox::BOT_ID, USER, Text::new("")).tag("id", "1");
    let error = client.get_or_create(&elsewhere).await.unwrap_err();
    assert_eq!(error.status().unwrap(), 409);
    assert!(error.to_string().contains("different conversation"), "{error}");
    assert_eq!(sandbox.messages().len(), 1);
}

#[tokio::test]
async fn a_strict_sandbox_accepts_only_its_own_ids() {
    let sandbox = Sandbox::builder().strict().start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    let user = client.get_or_create(&NewUser::new().tag("id", "1")).await.unwrap().record;
    let conversation = NewConversation::new("dm").tag("id", "1");
    let conversation = client.get_or_create(&conversation).await.unwrap().record;
    struct Case<'a> {
        conversation: &'a str,
        user: &'a str,
        known: bool,
    }
    let (given, its_user) = (&*conversation.id, &*user.id);
    let cases = [
        Case { conversation: given, user: its_user, known: true },
        Case { conversation: given, user: Sandbox::BOT_ID, known: true },
        Case { conversation: given, user: USER, known: false },
        Case { conversation: CONVERSATION, user: its_user, known: false },
        Case { conversation: its_user, user: given, known: false },
    ];
    for Case { conversation, user, known } in cases {
        let message = NewMessage::new(conversation, user, Text::new(""));
        let result = client.get_or_create(&message).await;
        assert_eq!(result.is_ok(), known, "{conversation} {user}");
        if let Err(error) = result {
            assert!(error.to_string().contains("ReferenceNotFound"), "{error}");
        }
    }
    sandbox.delete(&user.id);
    assert_eq!((sandbox.users().len(), sandbox.messages().len()), (0, 2));
}

#[tokio::test]
async fn a_hit_updates_tags_and_payload() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    let first = hello().with_tags([("stays", "1"), ("goes", "1")]);
    let first = client.get_or_create(&first).await.unwrap().record;
    assert!(first.id.len() == 30 && first.id.starts_with("msg_"), "{}", first.id);
    assert_eq!(first.direction, Direction::Incoming);

    let edited = json!({
        "conversationId": CONVERSATION, "userId": USER, "type": "text", "payload": { "text": "edited" },
        "tags": { "id": "1", "goes": "", "new": "2" }, "discriminateByTags": ["id"],
    });
    let second =
        client.get_or_create(&NewMessage::from_json(edited.to_string()).unwrap()).await.unwrap();
    assert_eq!(second.created, Some(false));
    let mut expected = first.clone();
    expected.payload = edited["payload"].as_object().unwrap().clone();
    expected.tags =
        [("id", "1"), ("new", "2"), ("stays", "1")].map(|(a, b)| (a.into(), b.into())).into();
    expected.updated_at = second.record.updated_at;
    assert_eq!(second.record, expected);
    assert!(second.record.updated_at >= first.updated_at);
    assert_eq!(sandbox.messages(), [expected]);
    assert_eq!(sandbox.requests()[1].body, edited);

    let bot = NewMessage::custom(CONVERSATION, Sandbox::BOT_ID, "own", json!({})).unwrap();
    let bot = bot.origin(NewMessageOrigin::Synthetic);
    let answer = client.get_or_create(&bot).await.unwrap().record;
    assert_eq!(answer.direction, Direction::Outgoing, "the bot itself wrote it");
}

/// The API takes a schedule, and does not return it.
#[tokio::test]
async fn schedule_and_origin_of_a_message_are_kept() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    let later = std::time::Duration::from_secs(2);
    let message = hello().schedule(later).origin(NewMessageOrigin::Synthetic);
    client.get_or_create(&message).await.unwrap();
    let request = sandbox.requests().pop().unwrap();
    let stored = request.outcome.stored().unwrap();
    assert_eq!(
        (&stored["schedule"]["delay"], &stored["origin"]),
        (&json!(2000), &json!("synthetic"))
    );
    let returned = &request.response.as_ref().unwrap().body["message"];
    assert_eq!((&returned["schedule"], &returned["origin"]), (&Value::Null, &json!("synthetic")));
    let line = request.to_string();
    assert!(line.ends_with("; scheduled: delay 2000; origin: synthetic"), "{line}");
    let listed = reqwest::get(sandbox.url() + "/_sandbox/messages").await.unwrap();
    let listed: Value = serde_json::from_slice(&listed.bytes().await.unwrap()).unwrap();
    assert_eq!(listed["messages"][0]["schedule"], stored["schedule"]);
}

#[tokio::test(start_paused = true)]
async fn requests_per_second_are_limited() {
    let sandbox = Sandbox::builder().requests_per_second(3).start().await.unwrap();
    // A separate client for each call, so that none learns from the others that the limit is used up.
    let call = async || {
        let client = sandbox.client().retry(Retry::off()).build().unwrap();
        client.get_or_create(&hello()).await
    };
    for _ in 0..2 {
        for remaining in [2, 1, 0] {
            let limit = call().await.unwrap().rate_limit;
            assert_eq!((limit.limit, limit.remaining), (Some(3), Some(remaining)));
        }
        for _ in 0..2 {
            let rejected = call().await.unwrap_err();
            assert!(is_api(&rejected) && rejected.is_rate_limited() && !rejected.maybe_stored());
            assert_eq!(rejected.retry_after().unwrap().as_secs(), 1);
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert_eq!((sandbox.messages().len(), sandbox.rejected()), (1, 4));
}

/// Each case is a fault, the error that a client gets, and the number of stored messages.
#[tokio::test(start_paused = true)]
async fn faults_have_their_documented_effects() {
    type Seen = fn(&Error) -> bool;
    let cases: [(Fault, Seen, usize); 11] = [
        (Fault::Reset { stored: false }, is_transport, 0),
        (Fault::Reset { stored: true }, is_transport, 1),
        (Fault::Silence { stored: false }, Error::is_timeout, 0),
        (Fault::Silence { stored: true }, Error::is_timeout, 1),
        (Fault::Page { status: 502, stored: false }, is_response, 0),
        (Fault::Page { status: 503, stored: true }, is_response, 1),
        (Fault::Error { status: 500, stored: false }, is_api, 0),
        (Fault::Error { status: 504, stored: true }, is_api, 1),
        (Fault::Error { status: 401, stored: false }, Error::is_auth, 0),
        (Fault::Truncated, is_response, 1),
        (Fault::Limited(1), Error::is_rate_limited, 0),
    ];
    for (fault, seen, stored) in cases {
        let sandbox = Sandbox::start().await.unwrap();
        let client = sandbox.client().retry(Retry::off()).build().unwrap();
        sandbox.fail_next([None, Some(fault)]);
        client.get_or_create(&hello().tag("id", "0")).await.unwrap();
        let error = client.get_or_create(&hello()).await.unwrap_err();
        assert!(seen(&error), "{fault:?}: {error:?}");
        assert_eq!(sandbox.messages().len() - 1, stored, "{fault:?}");
        assert!(stored == 0 || error.maybe_stored(), "{fault:?}");
        if let ErrorKind::Response(answer) = error.kind()
            && fault == Fault::Truncated
        {
            assert_eq!(answer.status, 200);
            assert!(answer.body_start.is_empty(), "{answer:?}");
            assert!(answer.headers["content-length"] != "0");
        }
    }
}

#[tokio::test]
async fn undeclared_names_are_rejected() {
    struct Case {
        path: &'static str,
        body: Value,
        rejected: Option<&'static str>,
    }
    let sandbox = Sandbox::builder()
        .channels(["dm"])
        .tags("message", ["id", "ts"])
        .tags("conversation", [] as [&str; 0])
        .start()
        .await
        .unwrap();
    let message = |tags: Value| {
        let mut body = json!(hello());
        body["tags"] = tags;
        body
    };
    let cases = [
        Case { path: "messages", body: message(json!({ "id": "1" })), rejected: None },
        Case {
            path: "messages",
            body: message(json!({ "id": "1", "subject": "x", "old": "" })),
            rejected: Some(
                "request/body/tags: no tag \"old\" of a message is declared, \
                 request/body/tags: no tag \"subject\" of a message is declared",
            ),
        },
        Case { path: "users", body: json!({ "tags": { "any": "1" } }), rejected: None },
        Case {
            path: "conversations",
            body: json!({ "channel": "dm", "tags": {} }),
            rejected: None,
        },
        Case {
            path: "conversations",
            body: json!({ "channel": "mail", "tags": { "id": "1" } }),
            rejected: Some(
                "request/body/channel: no channel \"mail\" is declared, \
                 request/body/tags: no tag \"id\" of a conversation is declared",
            ),
        },
    ];
    for Case { path, body, rejected } in cases {
        let path = format!("/v1/chat/{path}/get-or-create");
        let response =
            raw(&sandbox, Method::POST, &path).body(body.to_string()).send().await.unwrap();
        let found = if response.status() == 200 { None } else { Some(error(response).await) };
        let expected = rejected.map(|why| (400, "InvalidPayload".to_owned(), why.to_owned()));
        assert_eq!(found, expected, "{body}");
    }
}

#[tokio::test]
async fn an_unusable_definition_is_rejected() {
    let cases = [
        ("channels: dm", "channels: invalid type: string \"dm\""),
        ("tags: {message: id}", "tags.message: invalid type"),
        ("tags: {bot: [id]}", "tags.bot: there is no such record"),
        ("channel: [dm]", "unknown field `channel`"),
    ];
    for (text, why) in cases {
        let error = Sandbox::builder().definition(text).err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    }
    let error = Sandbox::builder().tags("bot", ["id"]).start().await.err().unwrap().to_string();
    assert!(error.contains("tags.bot: there is no such record"), "{error}");
}

#[tokio::test]
async fn faults_can_target_requests() {
    let message =
        |text: &str, id: &str| NewMessage::new(CONVERSATION, USER, Text::new(text)).tag("id", id);
    let fault = || TargetedFault::new(Fault::Error { status: 418, stored: false });
    struct Case {
        fault: TargetedFault,
        /// Whether each of four messages fails (text, tag): a 1, a 2, b 1, and a 1 again.
        fails: [bool; 4],
    }
    let cases = [
        Case { fault: fault(), fails: [true, false, false, false] },
        Case { fault: fault().always(), fails: [true; 4] },
        Case { fault: fault().record("user").always(), fails: [false; 4] },
        Case { fault: fault().record("message"), fails: [true, false, false, false] },
        Case { fault: fault().tag("id", "1").always(), fails: [true, false, true, true] },
        Case { fault: fault().tag("id", "2"), fails: [false, true, false, false] },
        Case { fault: fault().text("say b"), fails: [false, false, true, false] },
        Case {
            fault: fault().text("say a").tag("id", "1").always(),
            fails: [true, false, false, true],
        },
    ];
    for Case { fault, fails } in cases {
        let sandbox = Sandbox::start().await.unwrap();
        let client = sandbox.client().retry(Retry::off()).build().unwrap();
        sandbox.fail_when(fault.clone());
        let mut failed = Vec::new();
        for (text, id) in [("say a", "1"), ("say a", "2"), ("say b", "1"), ("say a", "1")] {
            let result = client.get_or_create(&message(text, id)).await;
            failed.push(result.is_err_and(|error| error.status().unwrap() == 418));
        }
        assert_eq!(failed, fails, "{fault:?}");
    }

    // A request with a targeted fault uses none of the script.
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().retry(Retry::off()).build().unwrap();
    sandbox.fail_next([Some(Fault::Error { status: 500, stored: false })]);
    sandbox.fail_when(fault());
    for status in [418, 500] {
        assert_eq!(client.get_or_create(&hello()).await.unwrap_err().status().unwrap(), status);
    }
    client.get_or_create(&hello()).await.unwrap();
}

/// The example of the README.
#[tokio::test(start_paused = true)]
async fn paused_time_skips_waits() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    sandbox.fail_next([Some(Fault::Limited(20))]);
    let start = tokio::time::Instant::now();
    client.get_or_create(&NewUser::new().tag("id", "1")).await.unwrap();
    assert!(start.elapsed().as_secs() >= 20);
}

#[tokio::test(start_paused = true)]
async fn a_test_can_wait_for_messages() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    assert!(sandbox.wait_for_messages(0).await.is_empty());
    let sent = async {
        sandbox.fail_next([None, Some(Fault::Late(std::time::Duration::from_secs(1)))]);
        for id in ["1", "2"] {
            let retry_off = client.to_builder().retry(Retry::off()).build().unwrap();
            let _ = retry_off.get_or_create(&hello().tag("id", id)).await;
        }
    };
    let (messages, ()) = tokio::join!(sandbox.wait_for_messages(2), sent);
    assert_eq!(messages, sandbox.messages());
}

/// The same seed gives the same faults. A request that the rate limit rejects uses no fault.
#[tokio::test(start_paused = true)]
async fn storms_can_be_repeated() {
    let mut outcomes = Vec::new();
    for limit in [1_000, 1_000, 7] {
        let sandbox =
            Sandbox::builder().storm(7, 0.5).requests_per_second(limit).start().await.unwrap();
        let client = || quick(sandbox.client()).retry(Retry::off()).build().unwrap();
        let mut results = Vec::new();
        for number in 0..60 {
            let rejected = sandbox.rejected();
            let result = client().get_or_create(&hello().tag("id", number.to_string())).await;
            if sandbox.rejected() == rejected {
                results.push(result.err().map(|error| (error.status(), is_transport(&error))));
            } else {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
        outcomes.push(results);
    }
    assert!(outcomes[0].iter().flatten().count() > 15);
    assert_eq!(outcomes[0], outcomes[1]);
    assert!(outcomes[2].len() < 60 && outcomes[0].starts_with(&outcomes[2]));
}

#[tokio::test]
async fn a_dropped_sandbox_stops() {
    let sandbox = Sandbox::builder().token("t").bot_id("b").start().await.unwrap();
    let client = sandbox.client().retry(Retry::off()).build().unwrap();
    client.get_or_create(&hello()).await.unwrap();
    let port = sandbox.url().rsplit(':').next().unwrap().parse().unwrap();
    assert!(Sandbox::builder().port(port).start().await.is_err(), "the port is taken");
    drop(sandbox);
    tokio::task::yield_now().await;
    assert!(is_transport(&client.get_or_create(&hello()).await.unwrap_err()));
}

/// Each case is a request, its fault, and its line on the console after the time, with `ID` for ids.
#[tokio::test]
async fn each_request_is_one_line_on_the_console() {
    let message = |text: &str, tags: Value| {
        json!({
            "conversationId": CONVERSATION, "userId": USER, "type": "text",
            "payload": { "text": text }, "tags": tags, "discriminateByTags": ["id"],
        })
    };
    let ours = json!({ "id": "1", "b\u{1b}[31m": "\u{202e}\n" });
    let reset = |stored| Some(Fault::Reset { stored });
    let cases = [
        ("users", json!({ "tags": { "id": "U 5" } }), None, "user         created ID id=\"U 5\""),
        ("messages", message("a", json!({ "id": "1" })), None, "message      created ID id=\"1\""),
        ("messages", message("a", json!({ "id": "1" })), None, "message      found   ID id=\"1\""),
        (
            "messages",
            message("b", ours),
            reset(true),
            r#"message      found   ID b\u{1b}[31m="\u{202e}\n" id="1"; changed /payload/text, /tags/b\u{1b}[31m; fault: reset, stored"#,
        ),
        ("users", json!({ "tags": {} }), reset(false), "user         failed ; fault: reset"),
        (
            "users",
            json!({ "tags": { "id": "2" } }),
            Some(Fault::Limited(3)),
            "user         failed ; fault: limited for 3 s",
        ),
        (
            "conversations",
            json!({ "tags": {}, "channel": 1 }),
            reset(true),
            "conversation rejected 400 request/body/channel must be string",
        ),
        ("b\u{7}ots", json!({}), None, "POST /v1/chat/b%07ots/get-or-create rejected 404 no route"),
    ];
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&lines);
    let sandbox = Sandbox::builder().on_request(move |r| heard.lock().unwrap().push(r.to_string()));
    let sandbox = sandbox.start().await.unwrap();
    for (records, body, fault, line) in cases {
        sandbox.fail_next([fault]);
        let path = format!("/v1/chat/{records}/get-or-create");
        let _ = raw(&sandbox, Method::POST, &path).body(body.to_string()).send().await;
        let found = lines.lock().unwrap().pop().unwrap();
        let (time, found) = found.split_at(13);
        assert!(chrono::NaiveTime::parse_from_str(time, "%H:%M:%S%.3fZ").is_ok(), "{time}");
        let ids = sandbox.requests().pop().unwrap().outcome;
        let id = ids.stored().map_or("no id", |record| record["id"].as_str().unwrap());
        let found = found.trim_start().replace(id, "ID");
        assert!(found.starts_with(line), "{found}\n{line}");
    }
}

/// The list has everything that a test needs to know about a program's requests.
#[tokio::test(start_paused = true)]
async fn requests_are_listed_with_responses_and_faults() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = quick(sandbox.client()).header("cookie", "s=5ecret").build().unwrap();
    sandbox.fail_next([None, Some(Fault::Truncated), None, Some(Fault::Limited(2)), None]);
    client.get_or_create(&hello()).await.unwrap();
    let edited = NewMessage::new(CONVERSATION, USER, Text::new("edited")).tag("id", "1");
    client.get_or_create(&edited).await.unwrap();
    client.get_or_create(&NewUser::new().tag("id", "1")).await.unwrap();
    let _ = raw(&sandbox, Method::PUT, "/elsewhere").body("{").send().await;

    let requests = sandbox.requests();
    let seen = requests.iter().map(|request| {
        let Request { number, record, outcome, fault, response: answer, .. } = request;
        let outcome = json!(outcome)["outcome"].clone();
        let status = answer.as_ref().map(|answer| answer.status);
        (*number, *record, outcome.as_str().unwrap().to_owned(), *fault, status)
    });
    let message = Some("message");
    let expected = [
        (1, message, "created", None, Some(200)),
        (2, message, "found", Some(Fault::Truncated), Some(200)),
        (3, message, "found", None, Some(200)),
        (4, Some("user"), "failed", Some(Fault::Limited(2)), Some(429)),
        (5, Some("user"), "created", None, Some(200)),
        (6, None, "rejected", None, Some(404)),
    ];
    let expected = expected.map(|(n, r, outcome, f, s)| (n, r, outcome.to_owned(), f, s));
    assert_eq!(seen.collect::<Vec<_>>(), expected);

    let [first, second, third, fourth, .., last] = &requests[..] else { panic!() };
    assert_eq!((&first.method, first.path.as_str()), (&Method::POST, PATH));
    assert_eq!(first.body, json!(hello()));
    assert_eq!(first.headers["x-bot-id"], Sandbox::BOT_ID);
    let answer = first.response.as_ref().unwrap();
    assert_eq!(answer.body["message"], *first.outcome.stored().unwrap());
    assert_eq!(answer.headers["ratelimit-limit"], "100");
    let changes = |request: &Request| json!(request.outcome)["changes"].clone();
    let change = json!({ "path": "/payload/text", "before": "Hello", "after": "edited" });
    assert_eq!((changes(second), changes(third)), (json!([change]), json!([])));
    // Half of the body.
    assert!(second.response.as_ref().unwrap().body.as_str().unwrap().starts_with("{\"message\""));
    assert_eq!(fourth.response.as_ref().unwrap().headers["retry-after"], "2");
    assert_eq!((&last.method, last.path.as_str()), (&Method::PUT, "/elsewhere"));
    assert_eq!(last.body, "{", "a body that is not JSON is a text");

    // Neither JSON nor `Debug` shows a secret.
    for text in [json!(requests).to_string(), format!("{requests:?}")] {
        assert!(text.contains("[secret]") && !text.contains(Sandbox::TOKEN), "{text}");
        assert!(!text.contains("5ecret"), "{text}");
    }
}

/// The sandbox keeps the newest 1,000 requests, and none after a reset.
#[tokio::test]
async fn old_requests_are_forgotten() {
    let sandbox = Sandbox::builder().storm(3, 0.5).start().await.unwrap();
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let send = async || {
        let request = headed(http.post(sandbox.url() + "/v1/chat/users/get-or-create"));
        let answer = request.body(r#"{"tags":{}}"#).send().await;
        answer.ok().map(|answer| answer.status())
    };
    let outcomes = async || stream::iter(0..20).then(|_| send()).collect::<Vec<_>>().await;
    let first = outcomes().await;
    assert_ne!(first, outcomes().await);
    sandbox.fail_next([Some(Fault::Limited(1)); 1_000]);
    stream::iter(0..965).map(|_| send()).buffer_unordered(8).collect::<Vec<_>>().await;
    let numbers: Vec<_> = sandbox.requests().iter().map(|request| request.number).collect();
    assert_eq!(numbers, (6..=1_005).collect::<Vec<_>>());

    sandbox.reset();
    assert!(sandbox.users().is_empty() && sandbox.requests().is_empty());
    assert_eq!(outcomes().await, first, "the script is deleted, and the storm restarts");
    assert_eq!(sandbox.requests()[0].number, 1_006);
}
