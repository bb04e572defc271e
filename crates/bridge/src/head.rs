//! The first message of each partition: it is the one that all others of the partition wait for.

use std::io::Write;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::RawMessageErrorKind;
use futures_util::TryStreamExt;
use serde_json::{Value, json};

use crate::history::{self, id};
use crate::queue::{self, Kind, Queue, first, place};
use crate::{Failure, bot_id};

const REASON: &str = "skipped by command";

#[derive(clap::Args)]
pub struct Head {
    /// Only of this bot
    #[arg(long, value_parser = bot_id)]
    bot: Option<String>,
}

#[derive(clap::Args)]
pub struct Skip {
    /// The position of a message, as head prints it
    position: u64,
}

/// Prints a JSON line for the first message of each partition.
pub async fn show(Head { bot }: Head, settings: &queue::Settings) -> Result<(), Failure> {
    let queue = Queue::open(settings, None).await?;
    for message in queue.heads(bot.as_deref().unwrap_or("*")).await? {
        print(&message)?;
    }
    Ok(())
}

/// Makes a message a dead letter, so that others need not wait for it.
pub async fn skip(Skip { position }: Skip, settings: &queue::Settings) -> Result<(), Failure> {
    let queue = Queue::open(settings, None).await?;
    let result = queue.skip(position).await;
    queue.flush().await;
    result
}

impl Queue {
    async fn heads(&self, bot: &str) -> Result<Vec<StreamMessage>, Failure> {
        let failed = |e| Failure::new(format!("the partitions cannot be read: {e}"));
        let subjects = self.webhooks.info_with_subjects(format!("webhooks.{bot}.*"));
        let mut subjects: Vec<_> =
            subjects.await.map_err(failed)?.try_collect().await.map_err(failed)?;
        subjects.sort();
        let mut heads = Vec::new();
        for (subject, _) in subjects {
            // It may be gone by now.
            heads.extend(first(&self.webhooks, &subject, 1).await?);
        }
        Ok(heads)
    }

    async fn skip(&self, position: u64) -> Result<(), Failure> {
        let stays = |e: &dyn std::fmt::Display| {
            Failure::new(format!("the message at position {position} stays: {e}"))
        };
        let message = match self.webhooks.get_raw_message(position).await {
            Ok(message) => message,
            Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => {
                return Err(Failure::new(format!("there is no message at position {position}")));
            }
            Err(e) => return Err(stays(&e)),
        };
        let head = first(&self.webhooks, &message.subject, 1).await?;
        if head.is_some_and(|head| head.sequence != position) {
            return Err(stays(&"it is not the first of its partition"));
        }
        let bot = bot_and_partition(&message).0;
        let letter = place(position, message.time);
        let id = id(&message).unwrap_or(&letter);
        let buried = self.bury(Kind::Skipped, bot, &letter, id, REASON, message.payload.clone());
        buried.await.map_err(|e| stays(&e))?;
        self.webhooks.delete_message(position).await.map(drop).map_err(|e| stays(&e))
    }
}

fn bot_and_partition(message: &StreamMessage) -> (&str, &str) {
    let rest = message.subject.strip_prefix("webhooks.").unwrap_or_default();
    rest.split_once('.').unwrap_or_default()
}

fn print(message: &StreamMessage) -> Result<(), Failure> {
    let (bot, partition) = bot_and_partition(message);
    let content = serde_json::from_slice(&message.payload)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&message.payload)));
    let line = json!({
        "position": message.sequence,
        "partition": partition,
        "bot": bot,
        "event": id(message).map(history::event),
        "since": message.time.unix_timestamp(),
        "message": content,
    });
    writeln!(std::io::stdout(), "{line}").map_err(Failure::new)
}
