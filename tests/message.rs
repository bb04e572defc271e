//! What a message can say, and every way in which it can break the contract.
#![allow(clippy::type_complexity)] // tables of cases

use std::time::{Duration, SystemTime};

use botpress_messages::content::*;
use botpress_messages::{Message, NewConversation, NewMessage, NewUser, Rule, Schedule};
use chrono::{DateTime, FixedOffset, Utc};
use serde_json::{Map, Value, json};
use test_support::*;

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
    let cases: Vec<(Content, &str, Value)> = vec![
        (Text::new("").into(), "text", json!({ "text": "" })),
        (
            Text::new("a").extra("mentions", json!([])).into(),
            "text",
            json!({ "text": "a", "mentions": [] }),
        ),
        (Markdown::new("*a*").into(), "markdown", json!({ "markdown": "*a*" })),
        (Image::new("u").into(), "image", json!({ "imageUrl": "u" })),
        (Image::new("u").title("t").into(), "image", json!({ "imageUrl": "u", "title": "t" })),
        (Audio::new("u").title("t").into(), "audio", json!({ "audioUrl": "u", "title": "t" })),
        (Video::new("u").title("t").into(), "video", json!({ "videoUrl": "u", "title": "t" })),
        (
            File::new("u").extra("filename", "f").into(),
            "file",
            json!({ "fileUrl": "u", "filename": "f" }),
        ),
        (
            Location::new(45.5, -73.25).title("t").address("a").into(),
            "location",
            json!({ "latitude": 45.5, "longitude": -73.25, "title": "t", "address": "a" }),
        ),
        (card().into(), "card", card_json.clone()),
        (
            Card::new("t", []).subtitle("s").image_url("u").into(),
            "card",
            json!({ "title": "t", "subtitle": "s", "imageUrl": "u", "actions": [] }),
        ),
        (Carousel::new([card()]).into(), "carousel", json!({ "items": [card_json] })),
        (
            Choice::new("q", options()).into(),
            "choice",
            json!({ "text": "q", "options": options_json }),
        ),
        (Dropdown::new("q", []).into(), "dropdown", json!({ "text": "q", "options": [] })),
        (
            Bloc::new([
                BlocItem::from(Text::new("a")),
                Image::new("u").into(),
                Location::new(0.5, 1.5).into(),
            ])
            .into(),
            "bloc",
            json!({ "items": [
                { "type": "text", "payload": { "text": "a" } },
                { "type": "image", "payload": { "imageUrl": "u" } },
                { "type": "location", "payload": { "latitude": 0.5, "longitude": 1.5 } },
            ]}),
        ),
    ];
    for (content, kind, payload) in cases {
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
    let cases = [
        (
            hello().tag("hitl#upstream", "").with_tags([("a", "b")]),
            "/tags",
            json!({ "id": "1", "hitl#upstream": "", "a": "b" }),
        ),
        (hello().discriminate_by(["id"]), "/discriminateByTags", json!(["id"])),
        (hello().synthetic(), "/origin", json!("synthetic")),
        (hello().schedule(date), "/schedule", json!({ "dateTime": "2027-01-01T00:00:00.123Z" })),
        (
            hello().schedule(date.with_timezone(&FixedOffset::east_opt(3_600).unwrap())),
            "/schedule",
            json!({ "dateTime": "2027-01-01T00:00:00.123Z" }),
        ),
        (
            hello().schedule(SystemTime::UNIX_EPOCH),
            "/schedule",
            json!({ "dateTime": "1970-01-01T00:00:00.000Z" }),
        ),
        (hello().schedule(Duration::ZERO), "/schedule", json!({ "delay": 0 })),
        (hello().schedule(Duration::from_millis(1500)), "/schedule", json!({ "delay": 1500 })),
        (hello().schedule(Duration::from_micros(2500)), "/schedule", json!({ "delay": 2.5 })),
        (
            hello().schedule(Duration::ZERO).schedule(Schedule::DateTime(date)),
            "/schedule",
            json!({ "dateTime": "2027-01-01T00:00:00.123Z" }),
        ),
        (NewMessage::custom(CONVERSATION, USER, "own", payload), "/payload", own),
        (NewMessage::custom(CONVERSATION, USER, "", Map::new()), "/type", json!("")),
    ];
    for (message, pointer, expected) in cases {
        assert_eq!(body(&message).pointer(pointer), Some(&expected));
        message.validate().unwrap();
    }
}

/// What is changed in a legal body, and the violations that follow: path, rule, what is given.
#[test]
fn every_violation_is_told_at_once() {
    let long = "é".repeat(501);
    let cases: [(Value, &[(&str, Rule, &str)]); 20] = [
        (
            json!({ "userId": "canny-system" }),
            &[("/userId", Rule::MinLength(28), "\"canny-system\" (12 characters)")],
        ),
        (
            json!({ "userId": "é".repeat(37) }),
            &[("/userId", Rule::MaxLength(36), "(37 characters)")],
        ),
        (
            json!({ "type": "t".repeat(201) }),
            &[("/type", Rule::MaxLength(200), "(201 characters)")],
        ),
        (
            json!({ "tags": { "a/b~": long } }),
            &[("/tags/a~1b~0", Rule::MaxLength(500), "(501 characters)")],
        ),
        (json!({ "tags": { "a": null } }), &[("/tags/a", Rule::Type("string"), "null")]),
        (json!({ "tags": [] }), &[("/tags", Rule::Type("object"), "[]")]),
        (json!({ "payload": "hi" }), &[("/payload", Rule::Type("object"), "\"hi\"")]),
        (json!({ "origin": "human" }), &[("/origin", Rule::Values(&["synthetic"]), "\"human\"")]),
        (
            json!({ "discriminateByTags": ["id", "nope"] }),
            &[("/discriminateByTags/1", Rule::NameOfTag, "\"nope\"")],
        ),
        (
            json!({ "discriminateByTags": [1] }),
            &[("/discriminateByTags/0", Rule::Type("string"), "1")],
        ),
        (
            json!({ "discriminateByTags": {} }),
            &[("/discriminateByTags", Rule::Type("array"), "{}")],
        ),
        (
            json!({ "schedule": { "delay": -0.5 } }),
            &[("/schedule/delay", Rule::Minimum(0.0), "-0.5")],
        ),
        (
            json!({ "schedule": { "delay": "1" } }),
            &[("/schedule/delay", Rule::Type("number"), "\"1\"")],
        ),
        (json!({ "schedule": {} }), &[("/schedule", Rule::OneOf(vec!["dateTime", "delay"]), "{}")]),
        (
            json!({ "schedule": { "delay": 1, "dateTime": "2027-01-01T00:00:00.000Z" } }),
            &[("/schedule", Rule::OneOf(vec!["dateTime", "delay"]), "{\"dateTime\"")],
        ),
        (
            json!({ "schedule": { "dateTime": "2027-01-01T00:00:00Z" } }),
            &[("/schedule/dateTime", Rule::MinLength(24), "(20 characters)")],
        ),
        (
            json!({ "schedule": { "dateTime": "the first of January, 2027" } }),
            &[("/schedule/dateTime", Rule::DateTime, "\"the first of January, 2027\"")],
        ),
        (json!({ "later": 1 }), &[("/later", Rule::Unknown, "1")]),
        (
            json!({ "conversationId": 1, "userId": "", "type": null, "tags": { "x": 1 }, "extra": {} }),
            &[
                ("/conversationId", Rule::Type("string"), "1"),
                ("/userId", Rule::MinLength(28), "\"\" (0 characters)"),
                ("/type", Rule::Type("string"), "null"),
                ("/tags/x", Rule::Type("string"), "1"),
                ("/extra", Rule::Unknown, "{}"),
            ],
        ),
        (
            json!({ "discriminateByTags": [long] }),
            &[
                ("/discriminateByTags/0", Rule::MaxLength(500), "(501 characters)"),
                ("/discriminateByTags/0", Rule::NameOfTag, "(501 characters)"),
            ],
        ),
    ];
    for (change, expected) in cases {
        let mut body = body(&hello());
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        expect(&NewMessage::from(body), expected);
    }
}

#[test]
fn what_is_missing_is_told_too() {
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

fn expect(message: &NewMessage, expected: &[(&str, Rule, &str)]) {
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
