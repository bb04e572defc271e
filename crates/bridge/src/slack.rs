//! Slack's webhooks: whether they are genuine, and what they say.

use axum::body::Bytes;
use axum::http::HeaderMap;
use botpress_messages::{NewConversation, NewMessage, NewUser, content::Text};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// What a webhook is.
pub enum Webhook {
    /// Slack asks whether this is the right address, and wants this text back.
    Challenge(String),
    /// Somebody wrote.
    Message { event: String, message: NewMessage },
    /// Anything else, such as an edit, or what a bot wrote.
    Other,
}

/// A webhook is taken for so long after it was signed, in seconds.
const FRESH: i64 = 300;

/// Whether Slack signed this, by the secret of the app, and lately.
pub fn is_genuine(secret: &str, headers: &HeaderMap, body: &Bytes, now: i64) -> bool {
    let header = |name| headers.get(name)?.to_str().ok();
    let (Some(timestamp), Some(signature)) = (
        header("x-slack-request-timestamp"),
        header("x-slack-signature").and_then(|signature| unhex(signature.strip_prefix("v0=")?)),
    ) else {
        return false;
    };
    let fresh = timestamp.parse().is_ok_and(|signed: i64| now.abs_diff(signed) <= FRESH as u64);
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(format!("v0:{timestamp}:").as_bytes());
    mac.update(body);
    fresh && mac.verify_slice(&signature).is_ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = (0..text.len()).step_by(2).map(|at| text.get(at..at + 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

/// Reads a webhook; the error says what it lacks.
pub fn read(body: &[u8]) -> Result<Webhook, String> {
    let webhook: Value = serde_json::from_slice(body).map_err(|e| format!("not JSON: {e}"))?;
    match webhook["type"].as_str() {
        Some("url_verification") => {
            let challenge = webhook["challenge"].as_str().ok_or("challenge is missing")?;
            return Ok(Webhook::Challenge(challenge.to_owned()));
        }
        Some("event_callback") => {}
        _ => return Ok(Webhook::Other),
    }
    let event = &webhook["event"];
    let written = event["type"] == "message"
        && matches!(event["subtype"].as_str(), None | Some("file_share" | "thread_broadcast"))
        && event["bot_id"].is_null();
    if !written {
        return Ok(Webhook::Other);
    }
    let id =
        webhook["event_id"].as_str().filter(|id| !id.is_empty()).ok_or("event_id is missing")?;
    Ok(Webhook::Message { event: id.to_owned(), message: message(event)? })
}

fn message(event: &Value) -> Result<NewMessage, String> {
    let text = |key: &str| {
        let text = event[key].as_str().filter(|text| !text.is_empty());
        text.ok_or(format!("event.{key} is missing"))
    };
    let (channel, ts) = (text("channel")?, text("ts")?);
    let conversation =
        match (text("thread_ts").ok().filter(|thread| *thread != ts), &event["channel_type"]) {
            (Some(thread), _) => NewConversation::new("thread").tag("thread", thread),
            (None, kind) if kind == "im" => NewConversation::new("dm"),
            _ => NewConversation::new("channel"),
        };
    let message = NewMessage::new(
        conversation.tag("id", channel),
        NewUser::new().tag("id", text("user")?),
        Text::new(event["text"].as_str().unwrap_or_default()),
    );
    Ok(message.tag("ts", ts).tag("channelId", channel))
}
