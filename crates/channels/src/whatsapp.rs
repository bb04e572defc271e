//! WhatsApp's Cloud API.
//!
//! | WhatsApp sends | becomes |
//! | --- | --- |
//! | a text, also a reply or a forwarded one | a text |
//! | a button or a list item that a person chose | a text, with the id of the choice as `value` |
//! | an image, a video, an audio or a document, with or without a caption | a bloc of the caption and the file, `whatsapp://media?id=...` |
//! | a location | a location |
//! | an edit | the tags of the message that is edited, with the new content |
//! | a reaction, a deletion, a change of number, the status of a message, anything else that nobody wrote | [`Event::Ignored`] |
//! | anything else that a person wrote, such as a sticker, a contact or an order | [`Event::Unsupported`], never an empty message |
//!
//! WhatsApp sends the id of a file and no lasting URL: ask the Graph API for a URL, with the token of the app. One
//! webhook can contain several messages, also from several people and to several numbers of the business.
//!
//! **Identity.** A message has the tags `wamid` and `phoneNumberId`, and is looked up by these two only. The second
//! is the business's phone number id, because two numbers of one bot can be in the same group. The user has the tag
//! `whatsappId`: the business-scoped id, which stays when a person hides the phone number, or the phone number if
//! there is no such id. The conversation has the tag `phoneNumberId` and either `whatsappId`, in the
//! channel `dm`, or `groupId`, in the channel `group`.
//!
//! **Edits.** From version 1.80 on, the API updates the payload of a message that it finds; before that,
//! the message stays as it was. WhatsApp sends edits only for some businesses; the others get a message of type
//! `unsupported`.

use botpress_messages::content::{Content, Location, Text};
use botpress_messages::{Delivery, NewConversation, NewUser};
use hmac::{Hmac, Mac};
use http::{HeaderMap, Uri};
use serde_json::Value;
use sha2::Sha256;

use crate::{
    Event, Rejected, SecretToken, SigningSecret, header, ignored, json, list, media, non_empty,
    other_keys, string, text_and_media, written,
};

const SIGNATURE: &str = "x-hub-signature-256";
const ALGORITHM: &str = "sha256=";

/// Where messages are, for errors.
const MESSAGES: &str = "entry.changes.value.messages.";

/// The types of messages that say nothing new, or that nobody wrote.
const IGNORED: [&str; 4] = ["reaction", "request_welcome", "revoke", "system"];

/// The keys of a change that are there with and without messages.
const ENVELOPE: [&str; 3] = ["contacts", "messaging_product", "metadata"];

/// Verifies the GET request by which WhatsApp checks a URL. Respond to it with the returned text.
///
/// # Errors
///
/// [`Rejected`] if the request does not come from an app that has this verify token.
pub fn challenge(token: &SecretToken, uri: &Uri) -> Result<String, Rejected> {
    let query = uri.query().unwrap_or_default().as_bytes();
    let parameter = |name: &'static str| {
        let mut pairs = form_urlencoded::parse(query);
        let value = pairs.find_map(|(key, value)| (key == name).then_some(value));
        value.ok_or(Rejected::InvalidParameter(name))
    };
    token.verify(&parameter("hub.verify_token")?)?;
    if parameter("hub.mode")? != "subscribe" {
        return Err(Rejected::InvalidParameter("hub.mode"));
    }
    Ok(parameter("hub.challenge")?.into_owned())
}

/// Checks that WhatsApp sent a webhook. The secret is the one of the Meta app.
///
/// # Errors
///
/// [`Rejected`] with the cause.
pub fn verify(secret: &SigningSecret, headers: &HeaderMap, body: &[u8]) -> Result<(), Rejected> {
    let signature = header(headers, SIGNATURE)?.strip_prefix(ALGORITHM);
    let signature = signature.and_then(|digits| hex::decode(digits).ok());
    let signature = signature.ok_or(Rejected::MalformedHeader(SIGNATURE))?;
    mac(secret, body).verify_slice(&signature).map_err(|_| Rejected::SignatureMismatch)
}

/// The signature that WhatsApp puts into `X-Hub-Signature-256`, for tests and for webhooks that you send by hand.
pub fn sign(secret: &SigningSecret, body: &[u8]) -> String {
    format!("{ALGORITHM}{}", hex::encode(mac(secret, body).finalize().into_bytes()))
}

/// Parses the body of a webhook that [`verify`] accepted. The events are in the order in which WhatsApp
/// lists them; there is at least one.
pub fn parse(body: &[u8]) -> Vec<Event> {
    read(body).unwrap_or_else(|why| vec![Event::Unreadable { why }])
}

fn mac(secret: &SigningSecret, body: &[u8]) -> Hmac<Sha256> {
    secret.0.clone().chain_update(body)
}

fn read(body: &[u8]) -> Result<Vec<Event>, String> {
    let webhook = json(body)?;
    let object = string(&webhook, "", "object")?;
    if object != "whatsapp_business_account" {
        return Ok(vec![ignored(format!("a webhook about a {object}"))]);
    }
    let changes = list(&webhook["entry"]).flat_map(|entry| list(&entry["changes"]));
    let events: Vec<_> = changes.flat_map(read_change).collect();
    if events.is_empty() { Err("entry.changes is missing or empty".to_owned()) } else { Ok(events) }
}

fn read_change(change: &Value) -> Vec<Event> {
    let value = &change["value"];
    let messages: Vec<_> = list(&value["messages"]).collect();
    match change["field"].as_str() {
        Some("messages") if messages.is_empty() => {
            vec![ignored(format!("no messages, but: {}", other_keys(value, &ENVELOPE)))]
        }
        Some("messages") => messages
            .into_iter()
            .map(|message| read_message(value, message))
            .map(|event| event.unwrap_or_else(|why| Event::Unreadable { why }))
            .collect(),
        field => vec![ignored(format!("a change of {}", field.unwrap_or("no field")))],
    }
}

fn read_message(value: &Value, message: &Value) -> Result<Event, String> {
    let kind = string(message, MESSAGES, "type")?;
    if IGNORED.contains(&kind) {
        return Ok(ignored(format!("a message of type {kind}")));
    }
    let number = string(&value["metadata"], "entry.changes.value.metadata.", "phone_number_id")?;
    let id = string(message, MESSAGES, "id")?;
    let contact = contact(value, message);
    let user = non_empty(&message["from_user_id"]).or(non_empty(&contact["user_id"]));
    let user = user.map_or_else(|| string(message, MESSAGES, "from"), Ok)?;
    let conversation = match non_empty(&message["group_id"]) {
        Some(group) => NewConversation::new("group").tag("groupId", group),
        None => NewConversation::new("dm").tag("whatsappId", user),
    };
    let (wamid, written) = match kind {
        "edit" => {
            let edit = &message["edit"];
            let original =
                string(edit, "entry.changes.value.messages.edit.", "original_message_id")?;
            (original, &edit["message"])
        }
        _ => (id, message),
    };
    // The log gets the id of the business's number: the person's number is private.
    let (chat, message_id) = (number.to_owned(), wamid.to_owned());
    let Some(content) = content(written) else {
        let why = format!("a message of type {}", written["type"].as_str().unwrap_or(kind));
        return Ok(Event::Unsupported { chat, message_id, why });
    };

    let user = NewUser::new().tag("whatsappId", user);
    let user = non_empty(&contact["profile"]["name"]).into_iter().fold(user, NewUser::name);
    let delivery = Delivery::new(conversation.tag("phoneNumberId", number), user, content)
        .tag("wamid", wamid)
        .tag("phoneNumberId", number)
        .discriminate_by_tags(["wamid", "phoneNumberId"]);
    // Two numbers of the business can be in one group, and get the same message.
    let (id, delivery) = (Some(format!("{number} {id}")), Box::new(delivery));
    Ok(Event::Message { id, chat, message_id, delivery })
}

/// What the webhook says about the person who wrote a message.
fn contact<'a>(value: &'a Value, message: &Value) -> &'a Value {
    let is_same = |a: &Value, b: &Value| non_empty(a).is_some() && a == b;
    let mut contacts = list(&value["contacts"]);
    let contact = contacts.find(|contact| {
        is_same(&contact["user_id"], &message["from_user_id"])
            || is_same(&contact["wa_id"], &message["from"])
    });
    contact.unwrap_or(&Value::Null)
}

/// What people see of a message. `None` for what no message can represent.
fn content(message: &Value) -> Option<Content> {
    let kind = message["type"].as_str()?;
    let part = &message[kind];
    let text = |value: &Value| written(value).map(Text::new);
    let choice = |title: &Value, id: &Value| Some(text(title)?.extra("value", id.clone()).into());
    match kind {
        "text" => text_and_media(text(&part["body"]), None),
        "button" => choice(&part["text"], &part["payload"]),
        "interactive" => {
            let reply = &part[part["type"].as_str()?];
            choice(&reply["title"], &reply["id"])
        }
        "location" => {
            let place = Location::new(part["latitude"].as_f64()?, part["longitude"].as_f64()?);
            let place = non_empty(&part["name"]).into_iter().fold(place, Location::title);
            Some(non_empty(&part["address"]).into_iter().fold(place, Location::address).into())
        }
        "image" | "audio" | "video" | "document" => {
            let url = format!("whatsapp://media?id={}", non_empty(&part["id"])?);
            let file = media(kind, url, non_empty(&part["filename"]));
            text_and_media(text(&part["caption"]), Some(file))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;
    use crate::tests::check_recorded;

    const SECRET: &str = "5ecret_of_an_app";
    const BODY: &[u8] = b"{}";
    /// `printf '{}' | openssl dgst -sha256 -hmac 5ecret_of_an_app`
    const SIGNED: &str = "sha256=0e5269f48c71204a0ddad5c2810ed14503b466da6dabf25cc390836eaf2f8a18";

    fn secret() -> SigningSecret {
        SigningSecret::new(SECRET).unwrap()
    }

    #[test]
    fn signatures_are_those_of_another_implementation() {
        assert_eq!(sign(&secret(), BODY), SIGNED);
    }

    #[test]
    fn only_signatures_of_the_app_are_accepted() {
        struct Case {
            signature: Option<String>,
            expected: Result<(), Rejected>,
        }
        let case = |signature: &str, expected| Case { signature: Some(signature.into()), expected };
        let (mismatch, malformed) =
            (Rejected::SignatureMismatch, Rejected::MalformedHeader(SIGNATURE));
        let other = SigningSecret::new("5ecret_of_another").unwrap();
        let cases = [
            case(SIGNED, Ok(())),
            case(&SIGNED.to_uppercase().replace("SHA", "sha"), Ok(())),
            case(&sign(&secret(), b"{} "), Err(mismatch.clone())),
            case(&sign(&other, BODY), Err(mismatch.clone())),
            case(&SIGNED[..39], Err(mismatch.clone())),
            case("sha256=", Err(mismatch)),
            case(&SIGNED["sha256=".len()..], Err(malformed.clone())),
            case(&SIGNED.replace("256", "1"), Err(malformed.clone())),
            case("sha256=signature", Err(malformed.clone())),
            case("sha256=é", Err(malformed.clone())),
            case("", Err(malformed)),
            Case { signature: None, expected: Err(Rejected::MissingHeader(SIGNATURE)) },
        ];
        for Case { signature, expected } in cases {
            let value = signature.as_ref().map(|s| HeaderValue::from_bytes(s.as_bytes()).unwrap());
            let headers = value.map(|value| (HeaderName::from_static(SIGNATURE), value));
            let verified = verify(&secret(), &headers.into_iter().collect(), BODY);
            assert_eq!(verified, expected, "{signature:?}");
        }
    }

    #[test]
    fn only_an_app_with_the_token_gets_its_challenge_back() {
        struct Case {
            query: &'static str,
            expected: Result<&'static str, Rejected>,
        }
        let rejected = |query, rejected| Case { query, expected: Err(rejected) };
        let invalid = Rejected::InvalidParameter;
        let (mode, sent) = ("hub.mode", "hub.challenge");
        let cases = [
            Case {
                query: "?hub.mode=subscribe&hub.challenge=1158&hub.verify_token=a%20%26+b",
                expected: Ok("1158"),
            },
            Case {
                query: "?hub.verify_token=a+%26+b&x&hub.challenge=%3C1%3E&hub.mode=subscribe",
                expected: Ok("<1>"),
            },
            rejected(
                "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=a",
                Rejected::TokenMismatch,
            ),
            rejected(
                "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
                Rejected::TokenMismatch,
            ),
            rejected("?hub.mode=subscribe&hub.challenge=1", invalid("hub.verify_token")),
            rejected("?hub.mode=unsubscribe&hub.verify_token=a+%26+b", invalid(mode)),
            rejected("?hub.challenge=1&hub.verify_token=a+%26+b", invalid(mode)),
            rejected("?hub.mode=subscribe&hub.verify_token=a+%26+b", invalid(sent)),
            rejected("?", invalid("hub.verify_token")),
            rejected("", invalid("hub.verify_token")),
        ];
        let token = SecretToken::new("a & b").unwrap();
        for Case { query, expected } in cases {
            let uri = format!("/whatsapp{query}").parse().unwrap();
            assert_eq!(challenge(&token, &uri), expected.map(str::to_owned), "{query}");
        }
    }

    #[test]
    fn recorded_events_become_what_is_recorded() {
        check_recorded("whatsapp-events.ndjson", ["wamid", "phoneNumberId"], parse);
    }

    fn webhook(value: Value) -> String {
        let changes = json!([{ "field": "messages", "value": value }]);
        let entry = json!([{ "id": "1", "changes": changes }]);
        json!({ "object": "whatsapp_business_account", "entry": entry }).to_string()
    }

    #[test]
    fn people_have_the_names_of_their_own_contacts() {
        let contact = |name: &str, number: &str, id: &str| {
            let profile = json!({ "name": name });
            json!({ "profile": profile, "wa_id": number, "user_id": id })
        };
        let message = |from: Value, id: Value| {
            let mut message =
                json!({ "id": "wamid.1", "type": "text", "text": { "body": "Hello" } });
            (message["from"], message["from_user_id"]) = (from, id);
            message
        };
        let no_ids = json!({ "profile": { "name": "Cleo" } });
        let body = webhook(json!({
            "metadata": { "phone_number_id": "1" },
            "contacts": [contact("Ann", "41", "AT.1"), contact("Ben", "42", "DE.2"), no_ids],
            "messages": [
                message(json!("42"), json!(null)),
                message(json!("42"), json!("DE.2")),
                message(json!(null), json!("AT.1")),
                message(json!("43"), json!(null)),
            ],
        }));
        let names = parse(body.as_bytes()).into_iter().map(|event| {
            let Event::Message { delivery, .. } = event else { panic!("{event:?}") };
            delivery.user().unwrap().name.clone()
        });
        let expected = [Some("Ben"), Some("Ben"), Some("Ann"), None];
        assert_eq!(names.collect::<Vec<_>>(), expected.map(|name| name.map(str::to_owned)));
    }

    /// A message that cannot be read does not affect the others.
    #[test]
    fn unreadable_messages_name_what_is_wrong_and_quote_nothing() {
        struct Case {
            message: Value,
            lacks: &'static str,
        }
        let text = |mut message: Value| {
            message["type"] = json!("text");
            message["text"] = json!({ "body": "private" });
            message
        };
        let edit = json!({ "type": "edit", "id": "wamid.1", "from": "43", "edit": {} });
        let cases = [
            Case { message: json!({ "id": "wamid.1" }), lacks: "type" },
            Case { message: text(json!({ "from": "43" })), lacks: "id" },
            Case { message: text(json!({ "id": "wamid.1" })), lacks: "from" },
            Case { message: text(json!({ "id": "wamid.1", "from": 43 })), lacks: "from" },
            Case { message: edit, lacks: "edit.original_message_id" },
        ];
        let unreadable = |why: &str| Event::Unreadable { why: why.to_owned() };
        for Case { message, lacks } in cases {
            let messages = json!([message, { "type": "reaction" }]);
            let metadata = json!({ "phone_number_id": "1" });
            let body = webhook(json!({ "metadata": metadata, "messages": messages }));
            let why = format!("entry.changes.value.messages.{lacks} is missing or not a string");
            let expected = [unreadable(&why), ignored("a message of type reaction")];
            assert_eq!(parse(body.as_bytes()), expected, "{body}");
        }

        struct Body {
            body: String,
            why: &'static str,
        }
        let text = text(json!({ "id": "wamid.1", "from": "43" }));
        let bodies = [
            Body {
                body: webhook(json!({ "messages": [text] })),
                why: "entry.changes.value.metadata.phone_number_id is missing or not a string",
            },
            Body {
                body: "{".to_owned(),
                why: "the body is not JSON: EOF while parsing an object at line 1 column 1",
            },
            Body { body: "[]".to_owned(), why: "object is missing or not a string" },
            Body {
                body: json!({ "object": "whatsapp_business_account" }).to_string(),
                why: "entry.changes is missing or empty",
            },
        ];
        for Body { body, why } in bodies {
            assert_eq!(parse(body.as_bytes()), [unreadable(why)], "{body}");
        }
    }
}
