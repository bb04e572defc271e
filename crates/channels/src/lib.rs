//! Verifies and parses the webhooks of channels, so that `botpress-messages` can deliver them.
//!
//! Each channel is a module with two functions: `verify` says whether the channel sent a webhook, and
//! `parse` says what it contains. Neither reads the clock, the environment or the network.
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

use std::error::Error;
use std::fmt;

use botpress_messages::Delivery;
use hmac::{Hmac, KeyInit};
use http::HeaderMap;
use serde_json::Value;
use sha2::Sha256;

/// What a webhook contains. A channel sends a webhook again unless the status is 200, so answer 200 to all
/// but a message that was not stored.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// Slack checks the URL. Answer with this text.
    Challenge(String),
    /// A person wrote a message, or edited one.
    Message {
        /// What identifies the webhook, for a queue that stores each webhook once: the channel repeats it
        /// with the same id, and an edit has another one.
        id: Option<String>,
        /// The id of the channel, chat or group, for the log.
        chat: String,
        /// What identifies the message there, for the log.
        message_id: String,
        /// What to deliver.
        delivery: Box<Delivery>,
    },
    /// Nothing that a person wrote, or nothing new.
    Ignored {
        /// The cause, for the log.
        why: String,
    },
    /// A person wrote something that no message can represent. Nobody sends it again, so log it.
    Unsupported {
        /// The id of the channel, chat or group.
        chat: String,
        /// What identifies the message there.
        message_id: String,
        /// What is missing.
        why: String,
    },
    /// Not the JSON that the channel documents. Sent again, it would be no better, so log it.
    Unreadable {
        /// The cause. It names what is wrong, and quotes nothing that a person wrote.
        why: String,
    },
}

/// The secret with which a channel signs its webhooks. It is in no output.
#[derive(Clone)]
pub struct SigningSecret(pub(crate) Hmac<Sha256>);

impl SigningSecret {
    /// Checks the secret, so that a copying mistake shows when a program starts.
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
        let secret = secret.as_ref();
        if secret.is_empty() {
            return Err(InvalidSecret("is empty"));
        }
        if secret.trim() != secret {
            return Err(InvalidSecret("has white space around it"));
        }
        let key = Hmac::new_from_slice(secret.as_bytes());
        key.map(Self).map_err(|_| InvalidSecret("has a length that cannot be used"))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(_)")
    }
}

/// Why a signing secret cannot be used. The secret is not part of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidSecret(&'static str);

impl fmt::Display for InvalidSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the signing secret {}", self.0)
    }
}

impl Error for InvalidSecret {}

/// Why a webhook is not accepted. Answer 401 and log the cause; the sender need not know it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rejected {
    /// The webhook lacks this header.
    MissingHeader(&'static str),
    /// This header does not have the form that the channel gives it.
    MalformedHeader(&'static str),
    /// The channel signed the webhook, but with another secret or another body.
    SignatureMismatch,
    /// The signature is right, but too far from the time on this machine. Either a clock is off, or
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
            Self::SignatureMismatch => {
                f.write_str("signature mismatch: it is not of this body, or not by this secret")
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

/// A string that has to be there; `path` is where `value` is, for the error.
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

fn ignored(why: impl Into<String>) -> Event {
    Event::Ignored { why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_secrets_are_rejected_and_not_shown() {
        struct Case {
            secret: &'static str,
            error: &'static str,
        }
        let padded = "the signing secret has white space around it";
        let cases = [
            Case { secret: "", error: "the signing secret is empty" },
            Case { secret: " \t", error: padded },
            Case { secret: "5ecret\n", error: padded },
            Case { secret: " 5ecret", error: padded },
            Case { secret: "5ecret\u{a0}", error: padded },
        ];
        for Case { secret, error } in cases {
            assert_eq!(SigningSecret::new(secret).unwrap_err().to_string(), error, "{secret:?}");
        }
        let secret = SigningSecret::new("5ecret with a space in it").unwrap();
        assert_eq!(format!("{secret:?}"), "SigningSecret(_)");
    }
}
