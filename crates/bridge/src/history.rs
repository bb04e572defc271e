//! What happened to each event, for `trace`.
//!
//! A record is sent before the message leaves the queue, and not waited for: it must not slow down deliveries. If
//! one is missing, `trace` looks through the queue and the dead letters.

use std::io::Write;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::queue::{self, ID, Queue, REASON, first, letter_subject};
use crate::{Failure, bot_id};

/// Events whose first bytes of a digest are the same are told apart by their records.
const DIGEST: usize = 8;

/// What happened to an event.
#[derive(Deserialize, Serialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Fact {
    /// Its webhook was stored in the queue, here.
    Queued { position: u64 },
    /// Its dead letter was put into the queue again, here.
    Retried { position: u64 },
    /// The API has it, as this message.
    Delivered { message: String },
    /// It is a dead letter.
    Dead { kind: String, reason: String },
    /// Its dead letter was removed.
    Dropped,
}

#[derive(Deserialize, Serialize)]
struct Record {
    event: String,
    #[serde(flatten)]
    fact: Fact,
}

/// Which event is meant.
#[derive(clap::Args)]
pub struct Trace {
    /// The id of the event: Slack's event_id, the Idempotency-Key, or the SHA-256 of the body
    event: String,
    /// Only of this bot
    #[arg(long, value_parser = bot_id)]
    bot: Option<String>,
}

/// The event in the id of a message, which is `BOT KIND EVENT`.
pub fn event(id: &str) -> &str {
    id.splitn(3, ' ').nth(2).unwrap_or(id)
}

/// The id of a message, if it has one.
pub fn id(message: &StreamMessage) -> Option<&str> {
    let headers = &message.headers;
    headers.get(ID).or(headers.get(NATS_MESSAGE_ID)).map(|id| id.as_str())
}

fn subject(bot: &str, event: &str) -> String {
    let digest = Sha256::digest(event);
    format!("history.{bot}.{}", hex::encode(&digest[..DIGEST]))
}

impl Queue {
    /// Notes what happened to the event of the message with this id.
    pub async fn record(&self, bot: &str, id: &str, fact: Fact) {
        let event = event(id).to_owned();
        let subject = subject(bot, &event);
        let record = json!(Record { event, fact }).to_string();
        // From a buffer, it would come in the wrong order.
        if self.is_connected()
            && let Err(e) = self.context.client().publish(subject, record.into()).await
        {
            tracing::debug!("the history misses a record: {e}");
        }
    }
}

/// Prints a JSON line for each thing that happened to an event, and where it is.
pub async fn run(trace: Trace, settings: &queue::Settings) -> Result<(), Failure> {
    let queue = Queue::open(settings, None).await?;
    let Trace { event: wanted, bot } = &trace;
    let bot = bot.as_deref().unwrap_or("*");
    let (mut last, mut has_left, mut from) = (None, false, 1);
    while let Some(message) = first(&queue.history, &subject(bot, wanted), from).await? {
        from = message.sequence + 1;
        let Ok(record) = serde_json::from_slice::<Record>(&message.payload) else { continue };
        if record.event == *wanted {
            print(&message, json!(record.fact))?;
            has_left |= !matches!(record.fact, Fact::Queued { .. } | Fact::Retried { .. });
            last = Some(record.fact);
        }
    }
    let from = match last {
        Some(Fact::Queued { position } | Fact::Retried { position }) => position,
        Some(Fact::Delivered { .. } | Fact::Dead { .. } | Fact::Dropped) => return Ok(()),
        None => 1,
    };
    let is_wanted = |message: &StreamMessage| id(message).is_some_and(|id| event(id) == wanted);
    let waiting = format!("webhooks.{bot}.*");
    if let Some(message) = find(&queue.webhooks, &waiting, from, is_wanted).await? {
        let first = first(&queue.webhooks, &message.subject, 1).await?;
        let first = first.map_or(message.sequence, |first| first.sequence);
        let fact = json!({
            "is": "waiting", "position": message.sequence, "first_of_its_partition": first,
        });
        return print(&message, fact);
    }
    let letters = format!("dead.*.{bot}");
    if let Some(letter) = find(&queue.dead, &letters, 1, is_wanted).await? {
        let reason = letter.headers.get(REASON).map(|reason| reason.as_str());
        let kind = letter_subject(&letter).0;
        return print(&letter, json!({ "is": "dead", "kind": kind, "reason": reason }));
    }
    if has_left {
        // The records of two processes can come in another order.
        return Ok(());
    }
    Err(Failure::new(match last {
        Some(_) => format!("event {wanted} has left the queue, and how is not known"),
        None => format!("event {wanted} was never seen, or not within the history"),
    }))
}

/// The first message like this, from a position on.
async fn find(
    stream: &Stream,
    subject: &str,
    mut from: u64,
    is_wanted: impl Fn(&StreamMessage) -> bool,
) -> Result<Option<StreamMessage>, Failure> {
    while let Some(message) = first(stream, subject, from).await? {
        if is_wanted(&message) {
            return Ok(Some(message));
        }
        from = message.sequence + 1;
    }
    Ok(None)
}

fn print(message: &StreamMessage, mut fact: Value) -> Result<(), Failure> {
    let mut tokens = message.subject.split('.');
    let bot = match tokens.next() {
        Some("dead") => tokens.nth(1),
        _ => tokens.next(),
    };
    fact["time"] = json!(message.time.unix_timestamp());
    fact["bot"] = json!(bot);
    writeln!(std::io::stdout(), "{fact}").map_err(Failure::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_the_rest_of_an_id() {
        struct Case {
            id: &'static str,
            event: &'static str,
        }
        for Case { id, event: expected } in [
            Case { id: "bot slack Ev1", event: "Ev1" },
            Case { id: "bot key with spaces in it", event: "with spaces in it" },
            Case { id: "bot slack body 12", event: "body 12" },
            Case { id: "12 34", event: "12 34" },
            Case { id: "", event: "" },
        ] {
            assert_eq!(event(id), expected);
        }
    }
}
