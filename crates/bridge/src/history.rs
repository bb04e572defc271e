//! What happened to each event, for `trace`.

use std::io::Write;

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use crate::{Failure, bot_id, queue};

/// What happened to an event.
#[derive(Deserialize, Serialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Fact {
    /// Its webhook was stored in the queue at this position.
    Queued { position: u64 },
    /// Its dead letter was put into the queue again at this position.
    Retried { position: u64 },
    /// It waits in the queue.
    Waiting { position: u64, first_of_its_partition: u64 },
    /// The API stored it as the message with this id.
    Delivered { message: String },
    /// It is a dead letter.
    Dead { kind: String, reason: String },
    /// Its dead letter was removed.
    Dropped,
    /// It was moved to another queue.
    Moved,
}

/// What happened to an event of a bot, and when.
pub struct Seen {
    pub bot: String,
    pub time: OffsetDateTime,
    pub fact: Fact,
}

/// The event to look for.
#[derive(clap::Args)]
pub struct Trace {
    /// The id of the event: Slack's event_id, Telegram's update_id, WhatsApp's phone number id and message id with
    /// a space between them, the Idempotency-Key, or the SHA-256 of the body
    event: String,
    /// Only events of this bot
    #[arg(long, value_parser = bot_id)]
    bot: Option<String>,
}

/// The event in an id of the form `KIND EVENT`.
pub fn event(id: &str) -> &str {
    id.split_once(' ').map_or(id, |(_, event)| event)
}

/// Prints a JSON line for each thing that happened to an event, and one for where it is now.
pub async fn run(trace: Trace, settings: &queue::Settings) -> Result<(), Failure> {
    let queue = settings.visit().await?;
    let Trace { event, bot } = &trace;
    let seen = queue.trace(event, bot.as_deref()).await?;
    for Seen { bot, time, fact } in &seen {
        let mut line = json!(fact);
        line["time"] = json!(time.unix_timestamp());
        line["bot"] = json!(bot);
        writeln!(std::io::stdout(), "{line}").map_err(Failure::new)?;
    }
    if seen.is_empty() {
        let text = format!("event {event} was never seen, or is older than the history");
        return Err(Failure::new(text));
    }
    // The records of two processes can arrive in any order, so look at all of them.
    let is_queued = |seen: &Seen| matches!(seen.fact, Fact::Queued { .. } | Fact::Retried { .. });
    if seen.iter().all(is_queued) {
        let text = format!("event {event} has left the queue, but its outcome is not known");
        return Err(Failure::new(text));
    }
    Ok(())
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
            Case { id: "slack Ev1", event: "Ev1" },
            Case { id: "key with spaces in it", event: "with spaces in it" },
            Case { id: "slack body 12", event: "body 12" },
            Case { id: "place 12 34", event: "12 34" },
            Case { id: "", event: "" },
        ] {
            assert_eq!(event(id), expected);
        }
    }
}
