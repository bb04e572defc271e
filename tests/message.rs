//! What a message can say, and every way in which it can break the contract.

use std::time::{Duration, SystemTime};

use botpress_messages::content::*;
use botpress_messages::{Message, NewConversation, NewMessage, NewUser, Rule, Schedule};
use chrono::{DateTime, FixedOffset, Utc};
use serde_json::{Map, Value, json};
use test_support::*;

/// The path of a violation, its rule, and a part of the value.
type Expected<'a> = (&'a str, Rule, &'a str);

fn body(message: &NewMessage) -> Value {
    serde_json::to_value(message).unwrap()
}

/// Every content of the contract, with and without what is optional, and with a key of one's own.
#[test]
fn each_content_has_a_constructor() {
    let card = || {
        Card::new(
            "t",
            [CardAction::new("say", "l", "v"), CardAction::new(CardActionKind::Url, "l", "v")],
        )
    };
    let card_json = json!({ "title": "t", "actions": [
        { "action": "say", "label": "l", "value": "v" }, { "action": "url", "label": "l", "value": "v" },
    ]});
    let options = || [ChoiceOption::new("l", "v")];
    let options_json = json!([{ "label": "l", "value": "v" }]);
    struct Case {
        content: Content,
        kind: &'static str,
        payload: Value,
    }
    let cases = [
        Case { content: Text::new("").into(), kind: "text", payload: json!({ "text": "" }) },
        Case {
            content: Text::new("a").extra("mentions", json!([])).into(),
            kind: "text",
            payload: json!({ "text": "a", "mentions": [] }),
        },
        Case {
            content: Markdown::new("*a*").into(),
            kind: "markdown",
            payload: json!({ "markdown": "*a*" }),
        },
        Case {
            content: Image::new("u").into(),
            kind: "image",
            payload: json!({ "imageUrl": "u" }),
        },
        Case {
            content: Image::new("u").title("t").into(),
            kind: "image",
            payload: json!({ "imageUrl": "u", "title": "t" }),
        },
        Case {
            content: Audio::new("u").title("t").into(),
            kind: "audio",
            payload: json!({ "audioUrl": "u", "title": "t" }),
        },
        Case {
            content: Video::new("u").title("t").into(),
            kind: "video",
            payload: json!({ "videoUrl": "u", "title": "t" }),
        },
        Case {
            content: File::new("u").extra("filename", "f").into(),
            kind: "file",
            payload: json!({ "fileUrl": "u", "filename": "f" }),
        },
        Case {
            content: Location::new(45.5, -73.25).title("t").address("a").into(),
            kind: "location",
            payload: json!({ "latitude": 45.5, "longitude": -73.25, "title": "t", "address": "a" }),
        },
        Case { content: card().into(), kind: "card", payload: card_json.clone() },
        Case {
            content: Card::new("t", []).subtitle("s").image_url("u").into(),
            kind: "card",
            payload: json!({ "title": "t", "subtitle": "s", "imageUrl": "u", "actions": [] }),
        },
        Case {
            content: Carousel::new([card()]).into(),
            kind: "carousel",
            payload: json!({ "items": [card_json] }),
        },
        Case {
            content: Choice::new("q", options()).into(),
            kind: "choice",
            payload: json!({ "text": "q", "options": options_json }),
        },
        Case {
            content: Dropdown::new("q", []).into(),
            kind: "dropdown",
            payload: json!({ "text": "q", "options": [] }),
        },
        Case {
            content: Bloc::new([
                BlocItem::from(Text::new("a")),
                Image::new("u").into(),
                Location::new(0.5, 1.5).into(),
            ])
            .into(),
            kind: "bloc",
            payload: json!({ "items": [
                { "type": "text", "payload": { "text": "a" } },
                { "type": "image", "payload": { "imageUrl": "u" } },
                { "type": "location", "payload": { "latitude": 0.5, "longitude": 1.5 } },
            ]}),
        },
    ];
    for Case { content, kind, payload } in cases {
        let message = NewMessage::new(CONVERSATION, USER, content.clone());
        let expected = json!({
            "conversationId": CONVERSATION, "userId": USER, "type": kind, "payload": payload, "tags": {},
        });
        assert_eq!(body(&message), expected);
        assert!(message.validate().is_ok(), "{kind}");
        assert_eq!(
            serde_json::from_value::<Content>(json!({ "type": kind, "payload": payload })).unwrap(),
            content
        );
    }
}

/// A key of one's own with a name of the contract's takes its place, in the body and alone.
#[test]
fn extra_replaces_what_the_type_names() {
    let text = Text::new("a").extra("text", json!({ "b": 1 }));
    assert_eq!(serde_json::to_string(&text).unwrap(), r#"{"text":{"b":1}}"#);
    let body = serde_json::to_string(&NewMessage::new(CONVERSATION, USER, text)).unwrap();
    assert_eq!(body.matches(r#""text":"#).count(), 1, "{body}");
    let image = Image::new("u").title("t").extra("title", json!(null));
    assert_eq!(serde_json::to_string(&image).unwrap(), r#"{"imageUrl":"u","title":null}"#);
}

#[test]
fn a_record_tells_what_it_holds() {
    let message =
        NewMessage::new(NewConversation::new("dm").tag("id", "C"), USER, Text::new("5ecret"))
            .tag("id", "1")
            .optional_tag("thread", Some("2"))
            .optional_tag("none", None::<String>)
            .discriminate_by(["id"]);
    assert_eq!(message.tags().collect::<Vec<_>>(), [("id", "1"), ("thread", "2")]);
    assert_eq!(message.discriminators().collect::<Vec<_>>(), ["id"]);
    assert_eq!((message.conversation_id(), message.user_id()), (None, Some(USER)));
    assert_eq!(message.conversation().unwrap().channel(), Some("dm"));
    assert!(message.user().is_none());
    let content = Content::from(Text::new("5ecret"));
    assert_eq!(message.content(), Some(content.clone()));
    assert_eq!(NewMessage::from(body(&message)).content(), Some(content));

    let shown = format!("{message:?} {:?}", NewMessage::from(body(&message)));
    assert!(
        !shown.contains("5ecret") && shown.contains("dm") && shown.contains("thread"),
        "{shown}"
    );
    let stored: Message = serde_json::from_value(stored()["message"].clone()).unwrap();
    let shown = format!("{stored:?}");
    assert!(!shown.contains("Hello") && shown.contains(&stored.id), "{shown}");
}

#[test]
fn strict_reading_takes_valid_records_alone() {
    for text in ["", "{", "\"x\"", "null", "[1]", "{}", r#"{"tags":{"id":7}}"#] {
        let error = NewUser::from_json(text).unwrap_err();
        assert!(error.is_invalid() && !error.violations().is_empty(), "{text}: {error}");
    }
    let error = NewUser::from_json("{\n\"tags\": x}").unwrap_err();
    assert_eq!(error.violations()[0].rule, Rule::Json { line: 2, column: 9 });
    let text = body(&hello()).to_string();
    assert_eq!(NewMessage::from_json(&text).unwrap(), hello());
}

#[test]
fn the_other_fields_are_set_as_told() {
    let own = json!({ "any": [1, null], "type": "own" });
    let Value::Object(payload) = own.clone() else { unreachable!() };
    let date: DateTime<Utc> = "2027-01-01T00:00:00.123456789Z".parse().unwrap();
    struct Case {
        message: NewMessage,
        pointer: &'static str,
        expected: Value,
    }
    let cases = [
        Case {
            message: hello().tag("hitl#upstream", "").with_tags([("a", "b")]),
            pointer: "/tags",
            expected: json!({ "id": "1", "hitl#upstream": "", "a": "b" }),
        },
        Case {
            message: hello().discriminate_by(["id"]),
            pointer: "/discriminateByTags",
            expected: json!(["id"]),
        },
        Case { message: hello().synthetic(), pointer: "/origin", expected: json!("synthetic") },
        Case {
            message: hello().schedule(date),
            pointer: "/schedule",
            expected: json!({ "dateTime": "2027-01-01T00:00:00.123Z" }),
        },
        Case {
            message: hello().schedule(date.with_timezone(&FixedOffset::east_opt(3_600).unwrap())),
            pointer: "/schedule",
            expected: json!({ "dateTime": "2027-01-01T00:00:00.123Z" }),
        },
        Case {
            message: hello().schedule(SystemTime::UNIX_EPOCH),
            pointer: "/schedule",
            expected: json!({ "dateTime": "1970-01-01T00:00:00.000Z" }),
        },
        Case {
            message: hello().schedule(Duration::ZERO),
            pointer: "/schedule",
            expected: json!({ "delay": 0 }),
        },
        Case {
            message: hello().schedule(Duration::from_millis(1500)),
            pointer: "/schedule",
            expected: json!({ "delay": 1500 }),
        },
        Case {
            message: hello().schedule(Duration::from_micros(2500)),
            pointer: "/schedule",
            expected: json!({ "delay": 2.5 }),
        },
        Case {
            message: hello().schedule(Duration::ZERO).schedule(Schedule::DateTime(date)),
            pointer: "/schedule",
            expected: json!({ "dateTime": "2027-01-01T00:00:00.123Z" }),
        },
        Case {
            message: NewMessage::custom(CONVERSATION, USER, "own", payload),
            pointer: "/payload",
            expected: own,
        },
        Case {
            message: NewMessage::custom(CONVERSATION, USER, "", Map::new()),
            pointer: "/type",
            expected: json!(""),
        },
    ];
    for Case { message, pointer, expected } in cases {
        assert_eq!(body(&message).pointer(pointer), Some(&expected));
        message.validate().unwrap();
    }
}

/// Each case changes a legal body.
#[test]
fn every_violation_is_reported_at_once() {
    let long = "é".repeat(501);
    struct Case {
        change: Value,
        violations: Vec<Expected<'static>>,
    }
    let cases = [
        Case {
            change: json!({ "userId": "canny-system" }),
            violations: vec![("/userId", Rule::MinLength(28), "\"canny-system\" (12 characters)")],
        },
        Case {
            change: json!({ "userId": "é".repeat(37) }),
            violations: vec![("/userId", Rule::MaxLength(36), "(37 characters)")],
        },
        Case {
            change: json!({ "type": "t".repeat(201) }),
            violations: vec![("/type", Rule::MaxLength(200), "(201 characters)")],
        },
        Case {
            change: json!({ "tags": { "a/b~": long } }),
            violations: vec![("/tags/a~1b~0", Rule::MaxLength(500), "(501 characters)")],
        },
        Case {
            change: json!({ "tags": { "a": null } }),
            violations: vec![("/tags/a", Rule::Type("string"), "null")],
        },
        Case {
            change: json!({ "tags": [] }),
            violations: vec![("/tags", Rule::Type("object"), "[]")],
        },
        Case {
            change: json!({ "payload": "hi" }),
            violations: vec![("/payload", Rule::Type("object"), "\"hi\"")],
        },
        Case {
            change: json!({ "origin": "human" }),
            violations: vec![("/origin", Rule::Values(&["synthetic"]), "\"human\"")],
        },
        Case {
            change: json!({ "discriminateByTags": ["id", "nope"] }),
            violations: vec![("/discriminateByTags/1", Rule::NameOfTag, "\"nope\"")],
        },
        Case {
            change: json!({ "discriminateByTags": [1] }),
            violations: vec![("/discriminateByTags/0", Rule::Type("string"), "1")],
        },
        Case {
            change: json!({ "discriminateByTags": {} }),
            violations: vec![("/discriminateByTags", Rule::Type("array"), "{}")],
        },
        Case {
            change: json!({ "schedule": { "delay": -0.5 } }),
            violations: vec![("/schedule/delay", Rule::Minimum(0.0), "-0.5")],
        },
        Case {
            change: json!({ "schedule": { "delay": "1" } }),
            violations: vec![("/schedule/delay", Rule::Type("number"), "\"1\"")],
        },
        Case {
            change: json!({ "schedule": {} }),
            violations: vec![("/schedule", Rule::OneOf(vec!["dateTime", "delay"]), "{}")],
        },
        Case {
            change: json!({ "schedule": { "delay": 1, "dateTime": "2027-01-01T00:00:00.000Z" } }),
            violations: vec![(
                "/schedule",
                Rule::OneOf(vec!["dateTime", "delay"]),
                "{\"dateTime\"",
            )],
        },
        Case {
            change: json!({ "schedule": { "dateTime": "2027-01-01T00:00:00Z" } }),
            violations: vec![("/schedule/dateTime", Rule::MinLength(24), "(20 characters)")],
        },
        Case {
            change: json!({ "schedule": { "dateTime": "the first of January, 2027" } }),
            violations: vec![(
                "/schedule/dateTime",
                Rule::DateTime,
                "\"the first of January, 2027\"",
            )],
        },
        Case { change: json!({ "later": 1 }), violations: vec![("/later", Rule::Unknown, "1")] },
        Case {
            change: json!({ "conversationId": 1, "userId": "", "type": null, "tags": { "x": 1 }, "extra": {} }),
            violations: vec![
                ("/conversationId", Rule::Type("string"), "1"),
                ("/userId", Rule::MinLength(28), "\"\" (0 characters)"),
                ("/type", Rule::Type("string"), "null"),
                ("/tags/x", Rule::Type("string"), "1"),
                ("/extra", Rule::Unknown, "{}"),
            ],
        },
        Case {
            change: json!({ "discriminateByTags": [long] }),
            violations: vec![
                ("/discriminateByTags/0", Rule::MaxLength(500), "(501 characters)"),
                ("/discriminateByTags/0", Rule::NameOfTag, "(501 characters)"),
            ],
        },
    ];
    for Case { change, violations } in cases {
        let mut body = body(&hello());
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        expect(&NewMessage::from(body), &violations);
    }
}

#[test]
fn missing_properties_are_reported() {
    let missing = ["conversationId", "userId", "type", "payload", "tags"];
    let paths = missing.map(|name| format!("/{name}"));
    let expected: Vec<_> = paths.iter().map(|path| (path.as_str(), Rule::Required, "")).collect();
    expect(&NewMessage::from(json!({})), &expected);
    for other in [json!(null), json!([]), json!("text"), json!(1)] {
        expect(
            &NewMessage::from(other.clone()).tag("a", "b"),
            &[("", Rule::Type("object"), &other.to_string())],
        );
    }
}

/// JSON has no such number, so it would be sent as null.
#[test]
fn a_place_that_is_not_finite_is_refused() {
    let nowhere = || Location::new(f64::NAN, f64::INFINITY);
    let cases = [
        (Content::from(nowhere()), "/payload"),
        (Bloc::new([nowhere()]).into(), "/payload/items/0/payload"),
    ];
    for (content, path) in cases {
        let [latitude, longitude] = ["latitude", "longitude"].map(|name| format!("{path}/{name}"));
        let expected =
            [(latitude.as_str(), Rule::Finite, "NaN"), (&longitude, Rule::Finite, "inf")];
        let message = NewMessage::new(CONVERSATION, USER, content);
        expect(&message, &expected);
        // Nor does it become a message of nulls on its way through a queue.
        let cause = serde_json::to_string(&message).unwrap_err().to_string();
        assert!(cause.contains("/latitude has to be a finite number"), "{cause}");
        assert!(Value::try_from(message).unwrap_err().is_invalid());
    }
}

/// The payload is open: what one writes into it oneself is sent.
#[test]
fn a_key_of_ones_own_may_replace_a_typed_one() {
    let message = NewMessage::new(
        CONVERSATION,
        USER,
        Text::new("a").extra("text", 5).extra("n", json!(null)),
    );
    assert_eq!(body(&message)["payload"], json!({ "text": 5, "n": null }));
    assert!(message.validate().is_ok());
}

#[test]
fn a_tag_on_a_recorded_body_without_tags_is_kept() {
    let mut recorded = body(&hello());
    recorded.as_object_mut().unwrap().remove("tags");
    let message = NewMessage::from(recorded).tag("id", "2");
    assert_eq!(body(&message)["tags"], json!({ "id": "2" }));
}

#[test]
fn dates_are_iso_8601() {
    let good = [
        "2027-01-01T00:00:00.000Z",
        "2027-01-01T00:00:00,000Z",
        "2027-01-01T00:00:00+01:00",
        "2027-01-01T00:00:00+0100",
        "2027-01-01T00:00:00.0000",
        "2028-02-29T23:59:59.999999Z",
    ];
    let bad = [
        "2027-02-29T00:00:00.000Z",
        "2027-01-01T24:01:00.000Z",
        "2027-01-01 00:00:00.000Z",
        "2027-1-1T0:0:0.000000000Z",
        "2027 - 01 - 01 T 0 : 0 : 0",
        "   2027-01-01T00:00:00.000",
        "2027-01-01T00:00:00.000   ",
        "2027-01-01T00:00:00.000 UTC",
        "2027-01-01T00:00:00.000\u{e9}",
    ];
    for (dates, legal) in [(&good[..], true), (&bad[..], false)] {
        for date in dates {
            assert!((24..=28).contains(&date.chars().count()), "{date}");
            let mut body = body(&hello());
            body["schedule"] = json!({ "dateTime": date });
            assert_eq!(NewMessage::from(body).validate().is_ok(), legal, "{date}");
        }
    }
}

fn expect(message: &NewMessage, expected: &[Expected<'_>]) {
    let error = message.validate().unwrap_err();
    assert!(error.is_invalid() && !error.maybe_stored());
    let mut found = error.violations().to_vec();
    for (path, rule, given) in expected {
        let place = found
            .iter()
            .position(|v| v.path == *path && v.rule == *rule && v.given.contains(given));
        let violation =
            found.remove(place.unwrap_or_else(|| panic!("{path} {rule}: not among {found:?}")));
        assert!(error.to_string().contains(&violation.to_string()), "{error}");
    }
    assert!(found.is_empty(), "unexpected: {found:?}");
    assert!(!error.to_string().contains('\n'));
}
