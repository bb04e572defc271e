//! The contents of messages, and every way in which a message can break the contract.

use std::time::{Duration, SystemTime};

use botpress_messages::content::*;
use botpress_messages::{
    Delivery, Error, Message, NewConversation, NewMessage, NewMessageOrigin, NewUser, Rule,
};
use chrono::{DateTime, FixedOffset, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use test_support::*;

/// The path of a violation, its rule, and a part of the value.
type Expected<'a> = (&'a str, Rule, &'a str);

fn body(message: &NewMessage) -> Value {
    serde_json::to_value(message).unwrap()
}

/// Every content of the contract, with and without optional properties, and with a custom key.
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

/// A custom key with a name from the contract replaces that property, so the body has the name once.
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
fn a_record_shows_nothing_private() {
    let user = NewUser::new().tag("id", "U").name("Ann Petit").picture_url("data:5ecret");
    let delivery =
        Delivery::new(NewConversation::new("dm").tag("id", "C"), user, Text::new("5ecret"))
            .tag("id", "1")
            .optional_tag("thread", Some("2"))
            .optional_tag("none", None::<String>);
    let message = delivery.message();
    assert_eq!(
        message.tags,
        [("id", "1"), ("thread", "2")].map(|(n, v)| (n.into(), v.into())).into()
    );
    assert_eq!(message.content(), Some(Content::from(Text::new("5ecret"))));

    let shown = format!("{delivery:?}");
    assert!(!shown.contains("5ecret") && !shown.contains("Ann"), "{shown}");
    assert!(shown.contains("dm") && shown.contains("thread"), "{shown}");
    let stored: Message = serde_json::from_value(stored()["message"].clone()).unwrap();
    let shown = format!("{stored:?}");
    assert!(!shown.contains("Hello") && shown.contains(&stored.id), "{shown}");
}

#[test]
fn a_stored_payload_is_read_as_any_type() {
    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Order {
        number: u32,
    }
    let sent = NewMessage::custom(CONVERSATION, USER, "order", &Order { number: 7 }).unwrap();
    assert_eq!(sent.payload["number"], 7);
    let mut stored = stored()["message"].clone();
    (stored["type"], stored["payload"]) = (json!("order"), json!(sent.payload));
    let stored: Message = serde_json::from_value(stored).unwrap();
    assert_eq!(stored.payload_as::<Order>().unwrap(), Order { number: 7 });
    assert!(stored.payload_as::<Text>().is_err() && stored.content().is_none());
}

#[test]
fn a_payload_that_is_not_an_object_is_rejected() {
    for payload in [json!(1), json!("text"), json!([1]), json!(null)] {
        let error = NewMessage::custom(CONVERSATION, USER, "own", payload).unwrap_err();
        assert_eq!(error.violations()[0].path, "/payload");
        assert_eq!(error.violations()[0].rule, Rule::Type("object"));
    }
}

#[test]
fn only_valid_records_are_read() {
    for text in ["", "{", "\"x\"", "null", "[1]", "{}", r#"{"tags":{"id":7}}"#] {
        for error in [NewUser::from_json(text).err(), Delivery::from_json(text).err()] {
            let error = error.unwrap();
            assert!(is_invalid(&error) && !error.violations().is_empty(), "{text}: {error}");
        }
    }
    let error = NewUser::from_json("{\n\"tags\": x}").unwrap_err();
    assert_eq!(error.violations()[0].rule, Rule::Json { line: 2, column: 9 });
    let text = body(&hello()).to_string();
    assert_eq!(NewMessage::from_json(&text).unwrap(), hello());
}

#[test]
fn the_other_fields_can_be_set() {
    let own = json!({ "any": [1, null], "type": "own" });
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
            message: hello().discriminate_by_tags(["id"]),
            pointer: "/discriminateByTags",
            expected: json!(["id"]),
        },
        Case {
            message: hello().origin(NewMessageOrigin::Synthetic),
            pointer: "/origin",
            expected: json!("synthetic"),
        },
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
            message: hello().schedule(Duration::ZERO).schedule(date),
            pointer: "/schedule",
            expected: json!({ "dateTime": "2027-01-01T00:00:00.123Z" }),
        },
        Case {
            message: NewMessage::custom(CONVERSATION, USER, "own", &own).unwrap(),
            pointer: "/payload",
            expected: own.clone(),
        },
        Case {
            message: NewMessage::custom(CONVERSATION, USER, "", json!({})).unwrap(),
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
            violations: vec![("/tags", Rule::Type("object"), "an array")],
        },
        Case {
            change: json!({ "payload": "hi" }),
            violations: vec![("/payload", Rule::Type("object"), "a string")],
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
            violations: vec![("/discriminateByTags/0", Rule::Type("string"), "a number")],
        },
        Case {
            change: json!({ "discriminateByTags": {} }),
            violations: vec![("/discriminateByTags", Rule::Type("array"), "an object")],
        },
        Case {
            change: json!({ "schedule": { "delay": -0.5 } }),
            violations: vec![("/schedule/delay", Rule::Minimum(0.0), "-0.5")],
        },
        Case {
            change: json!({ "schedule": { "delay": "1" } }),
            violations: vec![("/schedule/delay", Rule::Type("number"), "a string")],
        },
        Case {
            change: json!({ "schedule": {} }),
            violations: vec![("/schedule", Rule::OneOf(vec!["dateTime", "delay"]), "")],
        },
        Case {
            change: json!({ "schedule": { "delay": 1, "dateTime": "2027-01-01T00:00:00.000Z" } }),
            violations: vec![("/schedule", Rule::OneOf(vec!["dateTime", "delay"]), "")],
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
        Case { change: json!({ "later": 1 }), violations: vec![("/later", Rule::Unknown, "")] },
        Case {
            change: json!({ "conversationId": 1, "userId": "", "type": null, "tags": { "x": 1 }, "extra": {} }),
            violations: vec![
                ("/conversationId", Rule::Type("string"), "a number"),
                ("/userId", Rule::MinLength(28), "\"\" (0 characters)"),
                ("/type", Rule::Type("string"), "null"),
                ("/tags/x", Rule::Type("string"), "a number"),
                ("/extra", Rule::Unknown, ""),
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
        expect(NewMessage::from_json(body.to_string()).unwrap_err(), &violations);
    }
}

#[test]
fn missing_properties_are_reported() {
    let missing = ["conversationId", "userId", "type", "payload", "tags"];
    let paths = missing.map(|name| format!("/{name}"));
    let expected: Vec<_> = paths.iter().map(|path| (path.as_str(), Rule::Required, "")).collect();
    expect(NewMessage::from_json("{}").unwrap_err(), &expected);
    for (other, kind) in
        [("null", "null"), ("[]", "an array"), ("\"text\"", "a string"), ("1", "a number")]
    {
        let error = NewMessage::from_json(other).unwrap_err();
        expect(error, &[("", Rule::Type("object"), kind)]);
    }
}

/// JSON has no such numbers, so they would be sent as null.
#[test]
fn coordinates_that_are_not_finite_are_rejected() {
    let nowhere = || Location::new(f64::NAN, f64::INFINITY);
    let cases = [
        (Content::from(nowhere()), "/payload"),
        (Bloc::new([nowhere()]).into(), "/payload/items/0/payload"),
    ];
    for (content, path) in cases {
        let [latitude, longitude] = ["latitude", "longitude"].map(|name| format!("{path}/{name}"));
        let expected = [(latitude.as_str(), Rule::Finite, ""), (&longitude, Rule::Finite, "")];
        let message = NewMessage::new(CONVERSATION, USER, content);
        expect(message.validate().unwrap_err(), &expected);
        // Serialised for a queue, they are null, which is rejected too.
        expect(NewMessage::from_json(body(&message).to_string()).unwrap_err(), &expected);
    }
}

/// The payload is open: custom keys are sent.
#[test]
fn custom_keys_are_sent() {
    let message = NewMessage::new(
        CONVERSATION,
        USER,
        Text::new("a").extra("text", 5).extra("n", json!(null)),
    );
    assert_eq!(body(&message)["payload"], json!({ "text": 5, "n": null }));
    assert!(message.validate().is_ok());
}

/// A response nests the payload deeper, so the client could not read it.
#[test]
fn a_payload_nested_too_deep_is_rejected() {
    let nested = |levels: usize| (0..levels).fold(json!(null), |inner, _| json!([inner]));
    let message = |levels| {
        NewMessage::custom(CONVERSATION, USER, "own", json!({ "a": nested(levels) })).unwrap()
    };
    assert!(message(98).validate().is_ok());
    let error = message(99).validate().unwrap_err();
    assert_eq!(error.violations()[0].rule, Rule::Depth(100));
    assert_eq!(error.violations().len(), 1);
    assert!(NewMessage::from_json(body(&message(99)).to_string()).is_err());
}

/// No error contains what people write.
#[test]
fn violations_do_not_show_what_people_write() {
    let body = json!({
        "conversationId": CONVERSATION, "userId": USER, "type": 5, "payload": "Dear diary",
        "tags": { "id": ["Dear diary"] }, "text": "Dear diary", "schedule": "Dear diary",
    });
    let user = json!({ "tags": {}, "name": "Dear diary".repeat(30), "email": "Dear diary" });
    for error in [
        NewMessage::from_json(body.to_string()).unwrap_err(),
        NewUser::from_json(user.to_string()).unwrap_err(),
    ] {
        assert!(!format!("{error} {error:?}").contains("Dear"), "{error}");
        assert!(error.violations().len() > 1, "{error}");
    }
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
            assert_eq!(NewMessage::from_json(body.to_string()).is_ok(), legal, "{date}");
        }
    }
}

fn expect(error: Error, expected: &[Expected<'_>]) {
    assert!(is_invalid(&error) && !error.maybe_stored());
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
