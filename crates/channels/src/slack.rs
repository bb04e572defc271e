//! Slack's Events API.
//!
//! | Slack sends | becomes |
//! | --- | --- |
//! | a text, also a `me_message` or a `thread_broadcast` | a text |
//! | files, with or without a text | a bloc of the text and each file |
//! | a file without a URL, such as one of another workspace | a file with a link that opens it in Slack, `slack://file?team=...&id=...` |
//! | a forwarded message | a text with its author in front, and its files |
//! | an edit | the same tags with the new content |
//! | a deletion, a link preview, what a bot wrote, someone who joins | [`Event::Ignored`] |
//! | anything else that a person wrote | [`Event::Unsupported`], never an empty message |
//!
//! To read a file at its URL, use the token of the Slack app.
//!
//! **Identity.** A message has the tags `ts` and `channelId`, and is looked up by these two only. The user
//! has the tag `id`. The conversation has the tag `id`, and in a thread also `thread`. Names are not among
//! the tags: a changed name would create a second user.
//!
//! **Edits.** From version 1.80 on, the API updates the payload of a message that it finds; before that,
//! the message stays as it was. The type of a stored message never changes, so a bloc stays a bloc when
//! only its text is left. If an edit overtakes the message itself, as it can when Slack repeats the
//! message after a failure, the old content overwrites the new one.

use std::time::{SystemTime, UNIX_EPOCH};

use botpress_messages::content::{Bloc, BlocItem, Content, File, Text};
use botpress_messages::{Delivery, NewConversation, NewUser};
use hmac::{Hmac, Mac};
use http::HeaderMap;
use serde_json::Value;
use sha2::Sha256;

use crate::{
    Event, Rejected, SigningSecret, header, ignored, json, list, media, non_empty, string, written,
};

const TIMESTAMP: &str = "x-slack-request-timestamp";
const SIGNATURE: &str = "x-slack-signature";
const VERSION: &str = "v0";

/// The largest accepted difference between the time of a signature and now, in seconds.
const MAX_CLOCK_DIFFERENCE: u64 = 5 * 60;

/// The kinds of messages that people write. Slack has many others, such as `channel_join`.
const BY_PEOPLE: [&str; 3] = ["file_share", "me_message", "thread_broadcast"];

/// Checks that Slack sent a webhook, and that it was signed within five minutes of `now`.
///
/// # Errors
///
/// [`Rejected`] with the cause. [`Rejected::ClockOff`] only if the signature is right.
pub fn verify(
    secret: &SigningSecret,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Result<(), Rejected> {
    let timestamp = header(headers, TIMESTAMP)?;
    let signed: i64 = timestamp.parse().map_err(|_| Rejected::MalformedHeader(TIMESTAMP))?;
    let signature = header(headers, SIGNATURE)?;
    let signature = signature.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('='));
    let signature = signature.and_then(|digits| hex::decode(digits).ok());
    let signature = signature.ok_or(Rejected::MalformedHeader(SIGNATURE))?;
    let expected = mac(secret, timestamp, body);
    expected.verify_slice(&signature).map_err(|_| Rejected::SignatureMismatch)?;

    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(signed);
    if seconds.unsigned_abs() > MAX_CLOCK_DIFFERENCE {
        return Err(Rejected::ClockOff { seconds });
    }
    Ok(())
}

/// The signature that Slack puts into `X-Slack-Signature`, for tests and for webhooks that you send by hand.
/// The timestamp is the one in `X-Slack-Request-Timestamp`: seconds since 1970.
pub fn sign(secret: &SigningSecret, timestamp: &str, body: &[u8]) -> String {
    let digest = mac(secret, timestamp, body).finalize().into_bytes();
    format!("{VERSION}={}", hex::encode(digest))
}

/// Parses the body of a webhook that [`verify`] accepted.
pub fn parse(body: &[u8]) -> Event {
    read(body).unwrap_or_else(|why| Event::Unreadable { why })
}

fn mac(secret: &SigningSecret, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    secret.0.clone().chain_update(format!("{VERSION}:{timestamp}:")).chain_update(body)
}

fn read(body: &[u8]) -> Result<Event, String> {
    let webhook = json(body)?;
    match string(&webhook, "", "type")? {
        "url_verification" => Ok(Event::Challenge(string(&webhook, "", "challenge")?.to_owned())),
        "event_callback" => read_event(&webhook),
        other => Ok(ignored(format!("a webhook of type {other}"))),
    }
}

fn read_event(webhook: &Value) -> Result<Event, String> {
    let event = &webhook["event"];
    let kind = string(event, "event.", "type")?;
    if kind != "message" {
        return Ok(ignored(format!("an event of type {kind}")));
    }
    // An edit contains the message as it is now, and as it was.
    let is_edit = event["subtype"] == "message_changed";
    let (path, message) =
        if is_edit { ("event.message.", &event["message"]) } else { ("event.", event) };
    if !message["bot_id"].is_null() {
        return Ok(ignored("a bot wrote it"));
    }
    if let Some(subtype) = message["subtype"].as_str().filter(|kind| !BY_PEOPLE.contains(kind)) {
        return Ok(ignored(format!("a message of subtype {subtype}")));
    }
    let channel = string(event, "event.", "channel")?;
    let ts = string(message, path, "ts")?;
    let user = string(message, path, "user")?;

    let team = webhook["team_id"].as_str();
    let before = if is_edit { items(&event["previous_message"], team) } else { Vec::new() };
    let now = items(message, team);
    let content = match content(&before, now) {
        Ok(content) => content,
        Err(NoContent::Unchanged) => return Ok(ignored("an edit that changes no content")),
        Err(NoContent::Unsupported(why)) => {
            let (chat, message_id) = (channel.to_owned(), ts.to_owned());
            return Ok(Event::Unsupported { chat, message_id, why: why.to_owned() });
        }
    };

    let thread = message["thread_ts"].as_str().filter(|start| *start != ts);
    let conversation = match (thread, event["channel_type"].as_str()) {
        (Some(start), _) => NewConversation::new("thread").tag("thread", start),
        (None, Some("im")) => NewConversation::new("dm"),
        (None, _) => NewConversation::new("channel"),
    };
    let delivery =
        Delivery::new(conversation.tag("id", channel), NewUser::new().tag("id", user), content)
            .tag("ts", ts)
            .tag("channelId", channel)
            .discriminate_by_tags(["ts", "channelId"]);
    let id = non_empty(&webhook["event_id"]).map(str::to_owned);
    Ok(Event::Message {
        id,
        chat: channel.to_owned(),
        message_id: ts.to_owned(),
        delivery: Box::new(delivery),
    })
}

/// Why there is no content to deliver.
enum NoContent {
    Unchanged,
    Unsupported(&'static str),
}

/// The content of a message, unless an edit left it as it was.
fn content(before: &[BlocItem], now: Vec<BlocItem>) -> Result<Content, NoContent> {
    let was_text = matches!(before, [BlocItem::Text(_)]);
    match now.as_slice() {
        [] => Err(NoContent::Unsupported("it has no text, file or forwarded message")),
        now if now == before => Err(NoContent::Unchanged),
        [BlocItem::Text(text)] if was_text || before.is_empty() => Ok(text.clone().into()),
        _ if was_text => {
            Err(NoContent::Unsupported("the edit adds to a text, and a text cannot become a bloc"))
        }
        _ => Ok(Bloc::new(now).into()),
    }
}

/// What people see of a message, in order.
fn items(message: &Value, team: Option<&str>) -> Vec<BlocItem> {
    let files = |of: &Value| list(&of["files"]).filter_map(|file| item(file, team)).collect();
    let mut items: Vec<BlocItem> = files(message);
    if let Some(text) = written(&message["text"]) {
        items.insert(0, Text::new(text).into());
    }
    for shared in list(&message["attachments"]).filter(|shared| shared["is_share"] == true) {
        let mut files: Vec<BlocItem> = files(shared);
        let text = match (written(&shared["text"]), written(&shared["author_name"])) {
            (Some(text), Some(author)) => Some(format!("{author}: {text}")),
            (Some(text), None) => Some(text.to_owned()),
            // What Slack shows in place of a text, with the author in it.
            (None, _) if files.is_empty() => written(&shared["fallback"]).map(str::to_owned),
            (None, _) => None,
        };
        items.extend(text.map(|text| Text::new(text).into()));
        items.append(&mut files);
    }
    items
}

/// A file, by its URL or else by its id. `None` for one that was deleted.
fn item(file: &Value, team: Option<&str>) -> Option<BlocItem> {
    if file["mode"] == "tombstone" {
        return None;
    }
    let id = non_empty(&file["id"]);
    let title = non_empty(&file["name"]).or(non_empty(&file["title"])).or(id).unwrap_or_default();
    let Some(url) = non_empty(&file["url_private"]) else {
        let team = team.map(|team| format!("team={team}&")).unwrap_or_default();
        return Some(File::new(format!("slack://file?{team}id={}", id?)).title(title).into());
    };
    let mimetype = file["mimetype"].as_str().unwrap_or_default();
    let kind = mimetype.split('/').next().unwrap_or_default();
    Some(media(kind, url, Some(title)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use http::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::tests::stored;

    const IDENTITY: [&str; 2] = ["ts", "channelId"];
    const SECRET: &str = "5lack_5igning_5ecret";
    const NOW: i64 = 1_722_441_123;
    const BODY: &[u8] = b"{}";
    /// `printf 'v0:1722441123:{}' | openssl dgst -sha256 -hmac 5lack_5igning_5ecret`
    const SIGNATURE_NOW: &str =
        "v0=173079aff6fe1368b836ac903a38289ed889fc1a16f7a76e7592bd29dc61f373";

    fn secret() -> SigningSecret {
        SigningSecret::new(SECRET).unwrap()
    }

    fn signed_at(time: i64) -> String {
        sign(&secret(), &time.to_string(), BODY)
    }

    #[test]
    fn signatures_are_those_of_another_implementation() {
        assert_eq!(signed_at(NOW), SIGNATURE_NOW);
    }

    #[test]
    fn only_fresh_signatures_of_slack_are_accepted() {
        struct Case {
            name: &'static str,
            timestamp: Option<String>,
            signature: Option<String>,
            expected: Result<(), Rejected>,
        }
        let case = |name, time: i64, expected| Case {
            name,
            timestamp: Some(time.to_string()),
            signature: Some(signed_at(time)),
            expected,
        };
        let wrong = |name, signature: &str, rejected| Case {
            signature: Some(signature.to_owned()),
            ..case(name, NOW, Err(rejected))
        };
        let malformed = Rejected::MalformedHeader;
        let off = |seconds| Err(Rejected::ClockOff { seconds });
        let (digits, others) = (&SIGNATURE_NOW[3..], signed_at(NOW - 1));
        let cases = [
            case("now", NOW, Ok(())),
            case("five minutes ago", NOW - 300, Ok(())),
            case("in five minutes", NOW + 300, Ok(())),
            case("a clock ahead", NOW - 301, off(301)),
            case("a clock behind", NOW + 301, off(-301)),
            case("before 1970", i64::MIN, off(i64::MAX)),
            case("far too late", i64::MAX, off(NOW - i64::MAX)),
            wrong("of another time", &others, Rejected::SignatureMismatch),
            wrong("too short", &SIGNATURE_NOW[..35], Rejected::SignatureMismatch),
            wrong("of no digits", "v0=", Rejected::SignatureMismatch),
            wrong("without a version", digits, malformed(SIGNATURE)),
            wrong("of another version", &format!("v1={digits}"), malformed(SIGNATURE)),
            wrong("not hexadecimal", "v0=signature", malformed(SIGNATURE)),
            wrong("not ASCII", "v0=é", malformed(SIGNATURE)),
            wrong("empty", "", malformed(SIGNATURE)),
            Case {
                signature: None,
                ..case("no signature", NOW, Err(Rejected::MissingHeader(SIGNATURE)))
            },
            Case {
                timestamp: None,
                ..case("no timestamp", NOW, Err(Rejected::MissingHeader(TIMESTAMP)))
            },
            Case {
                timestamp: Some("now".into()),
                ..case("no time", NOW, Err(malformed(TIMESTAMP)))
            },
            Case {
                timestamp: Some("".into()),
                ..case("an empty time", NOW, Err(malformed(TIMESTAMP)))
            },
        ];
        let now = UNIX_EPOCH + Duration::from_secs(NOW as u64);
        for Case { name, timestamp, signature, expected } in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in [(TIMESTAMP, timestamp), (SIGNATURE, signature)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
                }
            }
            assert_eq!(verify(&secret(), &headers, BODY, now), expected, "{name}");
        }
    }

    #[test]
    fn a_rejection_says_whether_the_clock_or_the_secret_is_wrong() {
        struct Case {
            rejected: Rejected,
            text: &'static str,
        }
        let cases = [
            Case {
                rejected: Rejected::ClockOff { seconds: 310 },
                text: "clock off by 310 seconds: this machine is ahead of the signature",
            },
            Case {
                rejected: Rejected::ClockOff { seconds: -310 },
                text: "clock off by 310 seconds: this machine is behind the signature",
            },
            Case {
                rejected: Rejected::SignatureMismatch,
                text: "signature mismatch: it is for another body or by another secret",
            },
            Case {
                rejected: Rejected::TokenMismatch,
                text: "token mismatch: the request has another secret token",
            },
            Case {
                rejected: Rejected::InvalidParameter("hub.mode"),
                text: "the parameter hub.mode is missing or invalid",
            },
            Case {
                rejected: Rejected::MissingHeader(SIGNATURE),
                text: "the header x-slack-signature is missing",
            },
            Case {
                rejected: Rejected::MalformedHeader(TIMESTAMP),
                text: "the header x-slack-request-timestamp is malformed",
            },
        ];
        for Case { rejected, text } in cases {
            assert_eq!(rejected.to_string(), text);
        }
    }

    /// Each recorded event has its outcome: a message that is stored, one that is updated, or a cause.
    #[test]
    fn recorded_events_become_what_is_recorded() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cases/slack-events.ndjson");
        for line in fs::read_to_string(path).unwrap().lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let event = &case["event"]["event"];
            let message = if event["message"].is_null() { event } else { &event["message"] };
            let (name, why) = (&case["name"], |key: &str| case[key].as_str().map(str::to_owned));
            match parse(case["event"].to_string().as_bytes()) {
                Event::Message { id, chat, message_id, delivery: parsed } => {
                    assert_eq!(id.as_deref(), case["event"]["event_id"].as_str(), "{name}");
                    let place = (&json!(chat), &json!(message_id));
                    assert_eq!((&event["channel"], &message["ts"]), place, "{name}");
                    let expected = case.get("stored").or(case.get("updated"));
                    assert_eq!(expected, Some(&stored(&parsed, IDENTITY)), "{name}");
                }
                Event::Unsupported { chat, message_id, why: cause } => {
                    let place = (&json!(chat), &json!(message_id));
                    assert_eq!((&event["channel"], &message["ts"]), place, "{name}");
                    assert_eq!(why("unsupported"), Some(cause), "{name}");
                }
                Event::Ignored { why: cause } => assert_eq!(why("ignored"), Some(cause), "{name}"),
                event => panic!("{name}: {event:?}"),
            }
        }
    }

    #[test]
    fn a_challenge_is_returned() {
        let body = json!({ "type": "url_verification", "challenge": "c-41d8cd98", "token": "" });
        assert_eq!(parse(body.to_string().as_bytes()), Event::Challenge("c-41d8cd98".to_owned()));
    }

    #[test]
    fn unreadable_bodies_name_what_is_wrong_and_quote_nothing() {
        struct Case {
            body: Value,
            why: &'static str,
        }
        let event = |event: Value| json!({ "type": "event_callback", "event": event });
        let cases = [
            Case { body: json!([]), why: "type is missing or not a string" },
            Case {
                body: json!({ "type": "url_verification" }),
                why: "challenge is missing or not a string",
            },
            Case {
                body: json!({ "type": "event_callback" }),
                why: "event.type is missing or not a string",
            },
            Case {
                body: event(json!({ "type": "message", "text": "private" })),
                why: "event.channel is missing or not a string",
            },
            Case {
                body: event(
                    json!({ "type": "message", "channel": "C", "ts": 1, "text": "private" }),
                ),
                why: "event.ts is missing or not a string",
            },
            Case {
                body: event(json!({ "type": "message", "channel": "C", "ts": "1", "user": "" })),
                why: "event.user is missing or not a string",
            },
            Case {
                body: event(
                    json!({ "type": "message", "subtype": "message_changed", "channel": "C" }),
                ),
                why: "event.message.ts is missing or not a string",
            },
        ];
        for Case { body, why } in cases {
            let expected = Event::Unreadable { why: why.to_owned() };
            assert_eq!(parse(body.to_string().as_bytes()), expected, "{body}");
        }
        let why = "the body is not JSON: EOF while parsing an object at line 1 column 1";
        assert_eq!(parse(b"{"), Event::Unreadable { why: why.to_owned() });
        assert!(matches!(parse(b""), Event::Unreadable { .. }));
        assert!(matches!(parse(b"\"\xff\""), Event::Unreadable { .. }));
    }

    /// Messages that are not as Slack documents them, but can be read.
    #[test]
    fn unusual_messages_are_read() {
        struct Case {
            name: &'static str,
            event: Value,
            payload: Option<Value>,
        }
        let file = |url: &str| json!({ "id": "F1", "url_private": url });
        let cases = [
            Case {
                name: "no id of the event or the team",
                event: json!({ "files": [file("")] }),
                payload: Some(json!({ "items": [{
                    "type": "file", "payload": { "fileUrl": "slack://file?id=F1", "title": "F1" },
                }] })),
            },
            Case {
                name: "a URL alone",
                event: json!({ "files": [file("https://files.slack.example/a")] }),
                payload: Some(json!({ "items": [{
                    "type": "file",
                    "payload": { "fileUrl": "https://files.slack.example/a", "title": "F1" },
                }] })),
            },
            Case {
                name: "two forwarded messages, one of which cannot be previewed",
                event: json!({ "attachments": [
                    { "is_share": true, "text": "without an author" },
                    { "is_share": true, "text": "", "fallback": "[no preview available]" },
                    { "text": "a link's preview" },
                ] }),
                payload: Some(json!({ "items": [
                    { "type": "text", "payload": { "text": "without an author" } },
                    { "type": "text", "payload": { "text": "[no preview available]" } },
                ] })),
            },
            Case { name: "blank", event: json!({ "text": " \n" }), payload: None },
            Case {
                name: "of other types",
                event: json!({ "text": 1, "files": {} }),
                payload: None,
            },
            Case { name: "an empty file", event: json!({ "files": [{}, null, 1] }), payload: None },
        ];
        for Case { name, mut event, payload } in cases {
            for (key, value) in [("type", "message"), ("channel", "C"), ("user", "U"), ("ts", "1")]
            {
                event[key] = json!(value);
            }
            let parsed =
                parse(json!({ "type": "event_callback", "event": event }).to_string().as_bytes());
            match payload {
                Some(payload) => {
                    let Event::Message { id: None, delivery, .. } = parsed else {
                        panic!("{name}: {parsed:?}")
                    };
                    assert_eq!(stored(&delivery, IDENTITY)["payload"], payload, "{name}");
                }
                None => assert!(matches!(parsed, Event::Unsupported { .. }), "{name}: {parsed:?}"),
            }
        }
    }
}
