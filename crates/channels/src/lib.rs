//! Verifies and parses the webhooks of channels, so that `botpress-messages` can deliver them.
//!
//! Each channel is a module with two functions: `verify` says whether the channel sent a webhook, and
//! `parse` says what it contains. Neither reads the clock, the environment or the network. [`Channel`] is a
//! channel with its secrets, for a program that serves several.
//!
//! Each channel has different tags for users, conversations and messages, so that one integration can serve
//! several channels without confusing two people. The page of each module lists these tags. The integration has
//! to declare them, and the channels of the conversations too.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use botpress_channels::slack::{parse, sign, verify};
//! use botpress_channels::{Event, SigningSecret};
//! use http::HeaderMap;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = SigningSecret::new("8d7f1c0a")?;
//!
//! // What Slack sends:
//! let body = br#"{"type": "event_callback", "event_id": "Ev1", "event": {"type": "message",
//!     "channel": "C05C6ACTLPQ", "user": "U05BPU9V1KQ", "text": "Hello", "ts": "1722441123.004619"}}"#;
//! let mut headers = HeaderMap::new();
//! headers.insert("x-slack-request-timestamp", "1722441124".parse()?);
//! headers.insert("x-slack-signature", sign(&secret, "1722441124", body).parse()?);
//!
//! // `SystemTime::now()` in a program:
//! let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_722_441_125);
//! verify(&secret, &headers, body, now)?;
//! let Event::Message { delivery, .. } = parse(body) else { panic!("a person wrote this") };
//! assert!(delivery.validate().is_ok());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod slack;
pub mod telegram;
pub mod whatsapp;

use std::error::Error;
use std::fmt;
use std::time::SystemTime;

use botpress_messages::Delivery;
use botpress_messages::content::{Audio, Bloc, BlocItem, Content, File, Image, Text, Video};
use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit};
use http::HeaderMap;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// A channel, with its secrets.
#[derive(Debug)]
pub enum Channel {
    /// Slack, with the signing secret of its app.
    Slack(SigningSecret),
    /// Telegram, with the `secret_token` that you passed to `setWebhook`.
    Telegram(SecretToken),
    /// WhatsApp.
    WhatsApp {
        /// The secret of the Meta app.
        app_secret: SigningSecret,
        /// The verify token that you set in the Meta app: see [`whatsapp::challenge`].
        verify_token: SecretToken,
    },
}

impl Channel {
    /// Its name in lower case, for paths and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Slack(_) => "slack",
            Self::Telegram(_) => "telegram",
            Self::WhatsApp { .. } => "whatsapp",
        }
    }

    /// Checks that the channel sent a webhook.
    ///
    /// # Errors
    ///
    /// [`Rejected`] with the cause.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), Rejected> {
        match self {
            Self::Slack(secret) => slack::verify(secret, headers, body, now),
            Self::Telegram(token) => telegram::verify(token, headers),
            Self::WhatsApp { app_secret, .. } => whatsapp::verify(app_secret, headers, body),
        }
    }

    /// Parses the body of a webhook that [`verify`](Self::verify) accepted. Returns at least one event; several are
    /// in the order of the body.
    pub fn parse(&self, body: &[u8]) -> Vec<Event> {
        match self {
            Self::Slack(_) => vec![slack::parse(body)],
            Self::Telegram(_) => vec![telegram::parse(body)],
            Self::WhatsApp { .. } => whatsapp::parse(body),
        }
    }
}

/// What a webhook contains. A channel sends a webhook again unless the status is 200, so respond with 200 unless
/// a message has to be sent again.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// Slack checks the URL. Respond with this text.
    Challenge(String),
    /// A person wrote a message, or edited one.
    Message {
        /// Identifies the event, for a queue that stores each event once: a repeated webhook has the same id, and
        /// an edit has another one.
        id: Option<String>,
        /// The id of the channel or chat, for the log; on WhatsApp, the id of the business's phone number.
        chat: String,
        /// Identifies the message in the chat, for the log.
        message_id: String,
        /// What to deliver.
        delivery: Box<Delivery>,
    },
    /// Nothing that a person wrote, or nothing new.
    Ignored {
        /// The cause, for the log.
        why: String,
    },
    /// A person wrote something that no message can represent. It is not delivered, so log it.
    Unsupported {
        /// The id of the channel or chat; on WhatsApp, the id of the business's phone number.
        chat: String,
        /// Identifies the message in the chat.
        message_id: String,
        /// Why no message can represent it.
        why: String,
    },
    /// Not the JSON that the channel documents. Sending it again would not help, so log it.
    Unreadable {
        /// The cause. It names what is wrong, and quotes nothing that a person wrote.
        why: String,
    },
}

/// The secret with which a channel signs its webhooks. It is never printed.
#[derive(Clone)]
pub struct SigningSecret(pub(crate) Hmac<Sha256>);

impl SigningSecret {
    /// Checks the secret, so that a copying mistake is found when a program starts.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] if the secret is empty or has white space around it.
    ///
    /// ```
    /// use botpress_channels::SigningSecret;
    ///
    /// let error = SigningSecret::new("8d7f1c0a\n").unwrap_err();
    /// assert_eq!(error.to_string(), "the signing secret has white space around it");
    /// ```
    pub fn new(secret: impl AsRef<str>) -> Result<Self, InvalidSecret> {
        let invalid = |why| InvalidSecret { what: "signing secret", why };
        let secret = checked(secret.as_ref()).map_err(invalid)?;
        let key = Hmac::new_from_slice(secret.as_bytes());
        key.map(Self).map_err(|_| invalid("has a length that cannot be used"))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(_)")
    }
}

/// A token that a channel sends to show that a request is its own. It is never printed.
pub struct SecretToken(CtOutput<Sha256>);

impl SecretToken {
    /// Checks the token, so that a copying mistake is found when a program starts.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] if the token is empty or has white space around it.
    pub fn new(token: impl AsRef<str>) -> Result<Self, InvalidSecret> {
        let invalid = |why| InvalidSecret { what: "secret token", why };
        checked(token.as_ref()).map(Self::of).map_err(invalid)
    }

    fn of(token: &str) -> Self {
        Self(CtOutput::new(Sha256::digest(token)))
    }

    /// Takes the same time for all tokens of the same length, so that nobody can guess a token step by step.
    fn verify(&self, given: &str) -> Result<(), Rejected> {
        if self.0 == Self::of(given).0 { Ok(()) } else { Err(Rejected::TokenMismatch) }
    }
}

impl fmt::Debug for SecretToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretToken(_)")
    }
}

fn checked(secret: &str) -> Result<&str, &'static str> {
    match secret {
        "" => Err("is empty"),
        secret if secret.trim() != secret => Err("has white space around it"),
        secret => Ok(secret),
    }
}

/// Why a signing secret or a secret token cannot be used. The secret is not part of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidSecret {
    what: &'static str,
    why: &'static str,
}

impl fmt::Display for InvalidSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {}", self.what, self.why)
    }
}

impl Error for InvalidSecret {}

/// Why a webhook is rejected. Respond with 401 and log the cause; the sender does not need to know it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rejected {
    /// The webhook lacks this header.
    MissingHeader(&'static str),
    /// This header is malformed.
    MalformedHeader(&'static str),
    /// The webhook's URL lacks this parameter, or its value is wrong.
    InvalidParameter(&'static str),
    /// The signature was made for another body or with another secret.
    SignatureMismatch,
    /// The request has another secret token.
    TokenMismatch,
    /// The signature is right, but its time is too far from the time on this machine. Either a clock is wrong, or
    /// somebody replays an old webhook.
    ClockOff {
        /// How many seconds this machine is ahead of the signature; negative if it is behind.
        seconds: i64,
    },
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingHeader(name) => write!(f, "the header {name} is missing"),
            Self::MalformedHeader(name) => write!(f, "the header {name} is malformed"),
            Self::InvalidParameter(name) => {
                write!(f, "the parameter {name} is missing or invalid")
            }
            Self::SignatureMismatch => {
                f.write_str("signature mismatch: it is for another body or by another secret")
            }
            Self::TokenMismatch => {
                f.write_str("token mismatch: the request has another secret token")
            }
            Self::ClockOff { seconds } => {
                let side = if *seconds < 0 { "behind" } else { "ahead of" };
                let seconds = seconds.unsigned_abs();
                write!(f, "clock off by {seconds} seconds: this machine is {side} the signature")
            }
        }
    }
}

impl Error for Rejected {}

fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, Rejected> {
    let value = headers.get(name).ok_or(Rejected::MissingHeader(name))?;
    value.to_str().map_err(|_| Rejected::MalformedHeader(name))
}

// Fields are read one by one. A decoder of whole structs would quote what people wrote in its errors.
fn json(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))
}

/// A required string; `path` is the place of `value`, for the error.
fn string<'a>(value: &'a Value, path: &str, key: &str) -> Result<&'a str, String> {
    non_empty(&value[key]).ok_or_else(|| format!("{path}{key} is missing or not a string"))
}

fn non_empty(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// A text that people can see.
fn written(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.trim().is_empty())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The keys of an object that are not in `known`, for a cause. The channel chooses keys, so none quotes a person.
fn other_keys(value: &Value, known: &[&str]) -> String {
    let keys = value.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
    let mut keys: Vec<_> = keys.filter(|key| !known.contains(key)).collect();
    keys.sort_unstable();
    keys.join(", ")
}

/// A file of this kind: an image, an audio or a video, or else any file.
fn media(kind: &str, url: impl Into<String>, title: Option<&str>) -> BlocItem {
    let title = title.into_iter();
    match kind {
        "image" => title.fold(Image::new(url), Image::title).into(),
        "audio" => title.fold(Audio::new(url), Audio::title).into(),
        "video" => title.fold(Video::new(url), Video::title).into(),
        _ => title.fold(File::new(url), File::title).into(),
    }
}

/// A text, or a bloc if there is a file. A file alone is a bloc too, since an edit can add a text to it.
fn text_and_media(text: Option<Text>, media: Option<BlocItem>) -> Option<Content> {
    let Some(media) = media else { return text.map(Content::from) };
    Some(Bloc::new(text.map(BlocItem::from).into_iter().chain([media])).into())
}

fn ignored(why: impl Into<String>) -> Event {
    Event::Ignored { why: why.into() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    /// Checks that the events of a file in `tests/cases` have the outcomes that are recorded with them. A body with
    /// several events has a list of outcomes.
    pub(crate) fn check_recorded(
        file: &str,
        identity: [&str; 2],
        parse: impl Fn(&[u8]) -> Vec<Event>,
    ) {
        let path = format!("{}/../../tests/cases/{file}", env!("CARGO_MANIFEST_DIR"));
        for line in fs::read_to_string(path).unwrap().lines() {
            let mut case: Value = serde_json::from_str(line).unwrap();
            let (name, body) = (case["name"].take(), case["event"].take().to_string());
            let events = parse(body.as_bytes()).into_iter();
            let actual: Vec<_> = events.map(|event| outcome(event, identity)).collect();
            let expected = match case["outcomes"].take() {
                Value::Array(outcomes) => outcomes.into_iter().map(expected).collect(),
                _ => vec![expected(case)],
            };
            assert_eq!(json!(actual), json!(expected), "{name}");
        }
    }

    /// An outcome without the keys that only other tests need. Parsing does not depend on whether a message is
    /// stored already.
    fn expected(mut outcome: Value) -> Value {
        let outcome = outcome.as_object_mut().unwrap();
        outcome.retain(|key, _| !["name", "event", "outcomes"].contains(&key.as_str()));
        if let Some(updated) = outcome.remove("updated") {
            outcome.insert("stored".to_owned(), updated);
        }
        json!(outcome)
    }

    fn outcome(event: Event, identity: [&str; 2]) -> Value {
        match event {
            Event::Message { id, chat, message_id, delivery } => {
                let stored = stored(&delivery, identity);
                json!({ "id": id, "chat": chat, "messageId": message_id, "stored": stored })
            }
            Event::Unsupported { chat, message_id, why } => {
                json!({ "chat": chat, "messageId": message_id, "unsupported": why })
            }
            Event::Ignored { why } => json!({ "ignored": why }),
            Event::Unreadable { why } => json!({ "unreadable": why }),
            Event::Challenge(text) => json!({ "challenge": text }),
        }
    }

    /// A message as the recorded events have it.
    pub(crate) fn stored(delivery: &Delivery, identity: [&str; 2]) -> Value {
        assert!(delivery.validate().is_ok() && delivery.is_identified());
        assert_eq!(delivery.message().discriminate_by_tags, identity);
        let message = json!(delivery);
        json!({
            "channel": message["conversation"]["channel"],
            "conversation": message["conversation"]["tags"],
            "user": message["user"]["tags"],
            "type": message["type"],
            "payload": message["payload"],
            "tags": message["tags"],
        })
    }

    #[test]
    fn invalid_secrets_are_rejected_and_not_shown() {
        struct Case {
            secret: &'static str,
            error: &'static str,
        }
        let padded = "has white space around it";
        let cases = [
            Case { secret: "", error: "is empty" },
            Case { secret: " \t", error: padded },
            Case { secret: "5ecret\n", error: padded },
            Case { secret: " 5ecret", error: padded },
            Case { secret: "5ecret\u{a0}", error: padded },
        ];
        for Case { secret, error } in cases {
            let signing = SigningSecret::new(secret).unwrap_err().to_string();
            assert_eq!(signing, format!("the signing secret {error}"), "{secret:?}");
            let token = SecretToken::new(secret).unwrap_err().to_string();
            assert_eq!(token, format!("the secret token {error}"), "{secret:?}");
        }
        let secret = SigningSecret::new("5ecret with a space in it").unwrap();
        assert_eq!(format!("{secret:?}"), "SigningSecret(_)");
        let token = SecretToken::new("5ecret with a space in it").unwrap();
        assert_eq!(format!("{token:?}"), "SecretToken(_)");
    }
}
