//! What cannot be delivered: shown, put into the queue again, or removed.

use std::fmt::Display;
use std::io::Write;

use async_nats::jetstream::message::StreamMessage;
use clap::Subcommand;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::history::{self, Fact};
use crate::queue::{self, Kind, Queue, REASON, letter_subject};
use crate::{Failure, bot_id};

#[derive(Subcommand)]
pub enum Command {
    /// Print a JSON line for each dead letter
    List(Filter),
    /// Put dead letters into the queue again
    Retry(Letters),
    /// Remove dead letters
    Drop(Letters),
}

#[derive(clap::Args)]
pub struct Filter {
    /// Only those of this bot
    #[arg(long, value_parser = bot_id)]
    bot: Option<String>,
    /// Only those of this kind
    #[arg(long)]
    kind: Option<Kind>,
    /// Only those that are older than this, such as 90s, 12h or 7days
    #[arg(long)]
    older_than: Option<humantime::Duration>,
}

#[derive(clap::Args)]
pub struct Letters {
    /// Their numbers, as list prints them
    #[arg(conflicts_with_all = ["all", "bot", "kind", "older_than"])]
    numbers: Vec<u64>,
    /// All there are
    #[arg(long, conflicts_with_all = ["bot", "kind", "older_than"])]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Print them as list does, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Filter {
    fn has(&self, letter: &StreamMessage, now: OffsetDateTime) -> bool {
        let (kind, bot) = letter_subject(letter);
        let is_old = |limit: &humantime::Duration| now - letter.time > **limit;
        self.bot.as_ref().is_none_or(|wanted| wanted == bot)
            && self.kind.is_none_or(|wanted| wanted.to_string() == kind)
            && self.older_than.as_ref().is_none_or(is_old)
    }

    fn is_empty(&self) -> bool {
        self.bot.is_none() && self.kind.is_none() && self.older_than.is_none()
    }
}

impl Letters {
    fn check(&self) -> Result<(), Failure> {
        if self.numbers.is_empty() && !self.all && self.filter.is_empty() {
            let text = "which letters? Name numbers, --bot, --kind, --older-than or --all";
            return Err(Failure::settings(text));
        }
        Ok(())
    }
}

pub async fn run(command: Command, settings: &queue::Settings) -> Result<(), Failure> {
    if let Command::Retry(letters) | Command::Drop(letters) = &command {
        letters.check()?;
    }
    let queue = Queue::open(settings, None).await?;
    let result = match command {
        Command::List(filter) => matching(&queue, &filter, async |letter| print(&letter)).await,
        Command::Drop(letters) => {
            for_each(&queue, &letters, async |letter| drop(&queue, &letters, letter).await).await
        }
        Command::Retry(letters) => {
            for_each(&queue, &letters, async |letter| retry(&queue, &letters, letter).await).await
        }
    };
    queue.flush().await;
    result
}

/// Goes through letters by number, or through those that match by now.
async fn for_each(
    queue: &Queue,
    letters: &Letters,
    act: impl AsyncFn(StreamMessage) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if letters.numbers.is_empty() {
        return matching(queue, &letters.filter, act).await;
    }
    for number in &letters.numbers {
        match queue.letter(*number).await? {
            Some(letter) if letter.sequence == *number => act(letter).await?,
            _ => return Err(Failure::new(format!("there is no letter {number}"))),
        }
    }
    Ok(())
}

async fn matching(
    queue: &Queue,
    filter: &Filter,
    act: impl AsyncFn(StreamMessage) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (now, (_, last)) = (OffsetDateTime::now_utc(), queue.letters().await?);
    let mut from = 1;
    while let Some(letter) = queue.letter(from).await?.filter(|letter| letter.sequence <= last) {
        from = letter.sequence + 1;
        if filter.has(&letter, now) {
            act(letter).await?;
        }
    }
    Ok(())
}

async fn drop(queue: &Queue, letters: &Letters, letter: StreamMessage) -> Result<(), Failure> {
    if letters.dry_run {
        return print(&letter);
    }
    queue.remove_letter(letter.sequence).await?;
    if let Some(id) = history::id(&letter) {
        queue.record(letter_subject(&letter).1, id, Fact::Dropped).await;
    }
    Ok(())
}

/// Puts a letter at the end of the queue. Interrupted, it can be called again: the queue takes it once.
async fn retry(queue: &Queue, letters: &Letters, letter: StreamMessage) -> Result<(), Failure> {
    let number = letter.sequence;
    let stays = |e: &dyn Display| Failure::new(format!("letter {number} stays: {e}"));
    let message = match queue::read(&letter.payload) {
        Ok(message) => message,
        // Of those that match, those are meant that can be delivered.
        Err(e) if letters.numbers.is_empty() => {
            eprintln!("{}", stays(&e).text);
            return Ok(());
        }
        Err(e) => return Err(stays(&e)),
    };
    if letters.dry_run {
        return print(&letter);
    }
    queue.republish(&letter, &message).await.map_err(|e| stays(&e))?;
    queue.remove_letter(number).await
}

fn print(letter: &StreamMessage) -> Result<(), Failure> {
    let (kind, bot) = letter_subject(letter);
    let message = serde_json::from_slice(&letter.payload)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&letter.payload)));
    let line = json!({
        "number": letter.sequence,
        "kind": kind,
        "bot": bot,
        "event": history::id(letter).map(history::event),
        "since": letter.time.unix_timestamp(),
        "reason": letter.headers.get(REASON).map(|reason| reason.as_str()),
        "message": message,
    });
    writeln!(std::io::stdout(), "{line}").map_err(Failure::new)
}
