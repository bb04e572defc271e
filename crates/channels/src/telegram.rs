//! Telegram's Bot API.
//!
//! | Telegram sends | becomes |
//! | --- | --- |
//! | a text, also a reply | a text |
//! | a photo, a video, a voice message or a file, with or without a caption | a bloc of the caption and the file, `telegram://file?id=...` |
//! | a forwarded text or caption | a text with its author in front |
//! | a location, also a live one, or a venue | a location |
//! | an edit, or the next position of a live location | the same tags with the new content |
//! | a reaction, a pressed button, a post in a broadcast channel, what a bot wrote, a service message such as a new member | [`Event::Ignored`] |
//! | anything else that a person wrote, such as a sticker, a contact or a poll | [`Event::Unsupported`], never an empty message |
//!
//! Telegram sends the id of a file and no URL: `getFile` returns a path, and the URL of the path contains the
//! token of the Telegram bot. The files of an album are separate messages. Formatting and mentions are left out,
//! and so is the message that a reply replies to.
//!
//! **Identity.** Telegram numbers messages per chat, so a message has the tags `messageId` and `chatId`, and is
//! looked up by these two only. The user has the tag `telegramId`; if somebody writes in the name of a group or a
//! channel, the user is that group or channel. The conversation has the tag `chatId`, and in a topic of a group also
//! `topicId`. Its channel is `dm`, `group` or `topic`. In private chats and in small groups, another Telegram bot
//! can use the same numbers, so use one Telegram bot for each Botpress bot.
//!
//! **Edits.** From version 1.80 on, the API updates the payload of a message that it finds; before that,
//! the message stays as it was. The type of a stored message never changes. An edit does not say what the
//! message was before. So if an edit adds a file to a text, the message keeps its type but has the payload of a bloc.

use botpress_messages::content::{BlocItem, Content, Location, Text};
use botpress_messages::{Delivery, NewConversation, NewUser};
use http::HeaderMap;
use serde_json::Value;

use crate::{
    Event, Rejected, SecretToken, header, ignored, json, list, media, non_empty, other_keys,
    text_and_media, written,
};

const TOKEN: &str = "x-telegram-bot-api-secret-token";

/// The updates that contain a message.
const MESSAGES: [&str; 2] = ["message", "edited_message"];

/// The kinds of files. An animation comes as a document too, for old bots.
const FILES: [&str; 7] =
    ["photo", "animation", "video", "video_note", "audio", "voice", "document"];

/// What the keys of service messages start with.
const SERVICE: [&str; 20] = [
    "boost_added",
    "channel_chat_created",
    "chat_background_set",
    "connected_website",
    "delete_chat_photo",
    "forum_topic_",
    "general_forum_topic_",
    "giveaway_",
    "group_chat_created",
    "left_chat_",
    "message_auto_delete_timer_changed",
    "migrate_",
    "new_chat_",
    "pinned_message",
    "proximity_alert_triggered",
    "refunded_payment",
    "successful_payment",
    "supergroup_chat_created",
    "video_chat_",
    "write_access_allowed",
];

/// The keys of a message that say nothing about its content.
const ENVELOPE: [&str; 7] =
    ["message_id", "message_thread_id", "is_topic_message", "from", "sender_chat", "chat", "date"];

/// Checks that Telegram sent a webhook: it has the `secret_token` that you passed to `setWebhook`.
///
/// # Errors
///
/// [`Rejected`] with the cause.
pub fn verify(token: &SecretToken, headers: &HeaderMap) -> Result<(), Rejected> {
    token.verify(header(headers, TOKEN)?)
}

/// Parses the body of a webhook that [`verify`] accepted.
pub fn parse(body: &[u8]) -> Event {
    read(body).unwrap_or_else(|why| Event::Unreadable { why })
}

fn read(body: &[u8]) -> Result<Event, String> {
    let update = json(body)?;
    let id = integer(&update, "", "update_id")?;
    let Some(kind) = MESSAGES.into_iter().find(|kind| !update[kind].is_null()) else {
        return Ok(ignored(format!("an update of type {}", other_keys(&update, &["update_id"]))));
    };
    let message = &update[kind];
    let message_id = integer(message, &format!("{kind}."), "message_id")?;
    let chat = integer(&message["chat"], &format!("{kind}.chat."), "id")?;

    // In a message in the name of a chat, `from` is one of Telegram's own bots.
    let in_name_of_chat = !message["sender_chat"].is_null();
    let author = if in_name_of_chat { "sender_chat" } else { "from" };
    if message[author]["is_bot"] == true {
        return Ok(ignored("a bot wrote it"));
    }
    let user = integer(&message[author], &format!("{kind}.{author}."), "id")?;
    if let Some(service) = service(message) {
        return Ok(ignored(format!("a service message: {service}")));
    }
    let Some(content) = content(message) else {
        let keys = other_keys(message, &ENVELOPE);
        let why = format!("it has no text, file or location, but: {keys}");
        return Ok(Event::Unsupported { chat, message_id, why });
    };

    let conversation = match message["chat"]["type"].as_str() {
        _ if message["is_topic_message"] == true => {
            let topic = integer(message, &format!("{kind}."), "message_thread_id")?;
            NewConversation::new("topic").tag("topicId", topic)
        }
        Some("private") => NewConversation::new("dm"),
        _ => NewConversation::new("group"),
    };
    let user = NewUser::new().tag("telegramId", user);
    let user = name(&message[author]).into_iter().fold(user, NewUser::name);
    let delivery = Delivery::new(conversation.tag("chatId", &chat), user, content)
        .tag("messageId", &message_id)
        .tag("chatId", &chat)
        .discriminate_by_tags(["messageId", "chatId"]);
    Ok(Event::Message { id: Some(id), chat, message_id, delivery: Box::new(delivery) })
}

/// The key that shows that a message is a service message.
fn service(message: &Value) -> Option<&str> {
    let keys = message.as_object()?.keys().map(String::as_str);
    keys.filter(|key| SERVICE.iter().any(|start| key.starts_with(start))).min()
}

/// What people see of a message. `None` for what no message can represent.
fn content(message: &Value) -> Option<Content> {
    if let Some(location) = location(message) {
        return Some(location.into());
    }
    let text = written(&message["text"]).or(written(&message["caption"]));
    let text = text.map(|text| match author(&message["forward_origin"]) {
        Some(author) => Text::new(format!("{author}: {text}")),
        None => Text::new(text),
    });
    text_and_media(text, file(message))
}

fn location(message: &Value) -> Option<Location> {
    let venue = &message["venue"];
    let point = &message["location"];
    let location = Location::new(point["latitude"].as_f64()?, point["longitude"].as_f64()?);
    let location = non_empty(&venue["title"]).into_iter().fold(location, Location::title);
    Some(non_empty(&venue["address"]).into_iter().fold(location, Location::address))
}

fn file(message: &Value) -> Option<BlocItem> {
    let kind = FILES.into_iter().find(|kind| !message[kind].is_null())?;
    // A photo comes in several sizes.
    let file = list(&message[kind]).max_by_key(|size| size["width"].as_u64());
    let file = file.unwrap_or(&message[kind]);
    let url = format!("telegram://file?id={}", non_empty(&file["file_id"])?);
    let title = non_empty(&file["file_name"]).or(non_empty(&file["title"]));
    let kind = match kind {
        "photo" => "image",
        "voice" => "audio",
        "animation" | "video_note" => "video",
        kind => kind,
    };
    Some(media(kind, url, title))
}

/// The author of a forwarded message.
fn author(origin: &Value) -> Option<String> {
    let hidden = non_empty(&origin["sender_user_name"]).map(str::to_owned);
    let known =
        ["sender_user", "sender_chat", "chat"].into_iter().find_map(|key| name(&origin[key]));
    hidden.or(known)
}

/// The name of a person or a chat.
fn name(of: &Value) -> Option<String> {
    let name =
        ["title", "first_name", "last_name"].into_iter().filter_map(|key| non_empty(&of[key]));
    Some(name.collect::<Vec<_>>().join(" ")).filter(|name| !name.is_empty())
}

/// A required integer; `path` is the place of `value`, for the error.
fn integer(value: &Value, path: &str, key: &str) -> Result<String, String> {
    let number = value[key].as_i64().map(|number| number.to_string());
    number.ok_or_else(|| format!("{path}{key} is missing or not an integer"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::tests::check_recorded;

    #[test]
    fn only_webhooks_with_the_token_are_accepted() {
        struct Case {
            token: Option<&'static [u8]>,
            expected: Result<(), Rejected>,
        }
        let rejected = |token, rejected| Case { token, expected: Err(rejected) };
        let cases = [
            Case { token: Some(b"5ecret_token-1"), expected: Ok(()) },
            rejected(Some(b"5ecret_token-2"), Rejected::TokenMismatch),
            rejected(Some(b"5ecret_token-"), Rejected::TokenMismatch),
            rejected(Some(b"5ecret_token-11"), Rejected::TokenMismatch),
            rejected(Some(b"5ECRET_TOKEN-1"), Rejected::TokenMismatch),
            rejected(Some(b""), Rejected::TokenMismatch),
            rejected(Some(b"\xe9"), Rejected::MalformedHeader(TOKEN)),
            rejected(None, Rejected::MissingHeader(TOKEN)),
        ];
        let secret = SecretToken::new("5ecret_token-1").unwrap();
        for Case { token, expected } in cases {
            let value = token.map(|token| HeaderValue::from_bytes(token).unwrap());
            let headers = value.map(|value| (http::HeaderName::from_static(TOKEN), value));
            assert_eq!(verify(&secret, &headers.into_iter().collect()), expected, "{token:?}");
        }
    }

    #[test]
    fn recorded_events_become_what_is_recorded() {
        let identity = ["messageId", "chatId"];
        check_recorded("telegram-events.ndjson", identity, |body| vec![parse(body)]);
    }

    #[test]
    fn people_and_chats_have_names() {
        struct Case {
            name: Option<&'static str>,
            of: Value,
        }
        let cases = [
            Case {
                name: Some("Ann Petit"),
                of: json!({ "first_name": "Ann", "last_name": "Petit" }),
            },
            Case { name: Some("Ann"), of: json!({ "first_name": "Ann", "last_name": "" }) },
            Case { name: Some("Lunch"), of: json!({ "title": "Lunch" }) },
            Case { name: None, of: json!({ "username": "annp" }) },
        ];
        for Case { name, mut of } in cases {
            of["id"] = json!(1);
            let message = json!({ "message_id": 2, "chat": of, "from": of, "text": "Hello" });
            let body = json!({ "update_id": 3, "message": message }).to_string();
            let Event::Message { delivery, .. } = parse(body.as_bytes()) else { panic!("{body}") };
            assert_eq!(delivery.user().unwrap().name.as_deref(), name);
        }
    }

    #[test]
    fn unreadable_bodies_name_what_is_wrong_and_quote_nothing() {
        struct Case {
            body: Value,
            why: &'static str,
        }
        let message = |message: Value| json!({ "update_id": 1, "message": message });
        let cases = [
            Case { body: json!([]), why: "update_id is missing or not an integer" },
            Case {
                body: message(json!({ "text": "private" })),
                why: "message.message_id is missing or not an integer",
            },
            Case {
                body: message(json!({ "message_id": "private" })),
                why: "message.message_id is missing or not an integer",
            },
            Case {
                body: json!({ "update_id": 1, "edited_message": { "message_id": 2, "chat": 3 } }),
                why: "edited_message.chat.id is missing or not an integer",
            },
            Case {
                body: message(json!({ "message_id": 2, "chat": { "id": 3 }, "text": "private" })),
                why: "message.from.id is missing or not an integer",
            },
            Case {
                body: message(json!({ "message_id": 2, "chat": { "id": 3 }, "sender_chat": {} })),
                why: "message.sender_chat.id is missing or not an integer",
            },
            Case {
                body: message(json!({
                    "message_id": 2, "chat": { "id": 3 }, "from": { "id": 4 }, "text": "private",
                    "is_topic_message": true,
                })),
                why: "message.message_thread_id is missing or not an integer",
            },
        ];
        for Case { body, why } in cases {
            let expected = Event::Unreadable { why: why.to_owned() };
            assert_eq!(parse(body.to_string().as_bytes()), expected, "{body}");
        }
        let why = "the body is not JSON: EOF while parsing an object at line 1 column 1";
        assert_eq!(parse(b"{"), Event::Unreadable { why: why.to_owned() });
    }
}
