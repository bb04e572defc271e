//! The first message of each partition, which all others of the partition wait for.

use std::io::Write;

use serde_json::json;

use crate::queue::{self, PartitionHead};
use crate::{Failure, bot_id, history};

#[derive(clap::Args)]
pub struct Head {
    /// Only messages of this bot
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
    let queue = settings.visit().await?;
    queue.heads(bot.as_deref()).await?.iter().try_for_each(print)
}

/// Makes a message a dead letter, so that others do not wait for it.
pub async fn skip(Skip { position }: Skip, settings: &queue::Settings) -> Result<(), Failure> {
    let queue = settings.visit().await?;
    let result = queue.skip(position).await;
    queue.flush().await;
    result
}

fn print(message: &PartitionHead) -> Result<(), Failure> {
    let line = json!({
        "position": message.position,
        "partition": message.partition,
        "bot": message.bot,
        "event": message.id.as_deref().map(history::event),
        "since": message.since.unix_timestamp(),
        "message": queue::shown(&message.payload),
    });
    writeln!(std::io::stdout(), "{line}").map_err(Failure::new)
}
