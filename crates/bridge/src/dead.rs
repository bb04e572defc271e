//! Dead letters: shows them, puts them into the queue again, or removes them.

use std::fmt::Display;
use std::io::Write;

use clap::Subcommand;
use serde_json::json;
use time::OffsetDateTime;

use crate::queue::{self, DeadLetter, Kind, Shared};
use crate::{Failure, bot_id, history};

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
    /// Only letters of this bot
    #[arg(long, value_parser = bot_id)]
    bot: Option<String>,
    /// Only letters of this kind
    #[arg(long)]
    kind: Option<Kind>,
    /// Only letters that are older than this, such as 90s, 12h or 7days
    #[arg(long)]
    older_than: Option<humantime::Duration>,
}

#[derive(clap::Args)]
pub struct Letters {
    /// The numbers of the letters, as list prints them
    #[arg(conflicts_with_all = ["all", "bot", "kind", "older_than"])]
    numbers: Vec<u64>,
    /// All letters
    #[arg(long, conflicts_with_all = ["bot", "kind", "older_than"])]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Print the letters as list does, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Filter {
    fn has(&self, letter: &DeadLetter, now: OffsetDateTime) -> bool {
        let is_old = |limit: &humantime::Duration| now - letter.since > **limit;
        self.bot.as_ref().is_none_or(|wanted| *wanted == letter.bot)
            && self.kind.is_none_or(|wanted| wanted == letter.kind)
            && self.older_than.as_ref().is_none_or(is_old)
    }

    fn is_empty(&self) -> bool {
        self.bot.is_none() && self.kind.is_none() && self.older_than.is_none()
    }
}

impl Letters {
    fn check(&self) -> Result<(), Failure> {
        if self.numbers.is_empty() && !self.all && self.filter.is_empty() {
            let text =
                "no letters chosen: name numbers, or use --bot, --kind, --older-than or --all";
            return Err(Failure::settings(text));
        }
        Ok(())
    }
}

pub async fn run(command: Command, settings: &queue::Settings) -> Result<(), Failure> {
    if let Command::Retry(letters) | Command::Drop(letters) = &command {
        letters.check()?;
    }
    let queue = settings.visit().await?;
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

/// Goes through the letters with these numbers, or through those that match now.
async fn for_each(
    queue: &Shared,
    letters: &Letters,
    act: impl AsyncFn(DeadLetter) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if letters.numbers.is_empty() {
        return matching(queue, &letters.filter, act).await;
    }
    for number in &letters.numbers {
        match queue.letter(*number).await? {
            Some(letter) if letter.number == *number => act(letter).await?,
            _ => return Err(Failure::new(format!("there is no letter {number}"))),
        }
    }
    Ok(())
}

async fn matching(
    queue: &Shared,
    filter: &Filter,
    act: impl AsyncFn(DeadLetter) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (now, (_, last)) = (OffsetDateTime::now_utc(), queue.letters().await?);
    let mut from = 1;
    while let Some(letter) = queue.letter(from).await?.filter(|letter| letter.number <= last) {
        from = letter.number + 1;
        if filter.has(&letter, now) {
            act(letter).await?;
        }
    }
    Ok(())
}

async fn drop(queue: &Shared, letters: &Letters, letter: DeadLetter) -> Result<(), Failure> {
    if letters.dry_run {
        return print(&letter);
    }
    queue.remove_letter(&letter).await
}

/// Puts a letter at the end of the queue. After an interruption it can be called again: the queue stores it once.
async fn retry(queue: &Shared, letters: &Letters, letter: DeadLetter) -> Result<(), Failure> {
    let number = letter.number;
    let failed = |e: &dyn Display| Failure::new(format!("letter {number} cannot be retried: {e}"));
    let message = match queue::read(&letter.payload) {
        Ok(message) => message,
        // A filter chooses only the letters that can be delivered.
        Err(e) if letters.numbers.is_empty() => {
            eprintln!("{}", failed(&e).text);
            return Ok(());
        }
        Err(e) => return Err(failed(&e)),
    };
    if letters.dry_run {
        return print(&letter);
    }
    queue.retry_letter(&letter, &message).await.map_err(|e| failed(&e.text))
}

fn print(letter: &DeadLetter) -> Result<(), Failure> {
    let line = json!({
        "number": letter.number,
        "kind": letter.kind.name(),
        "bot": letter.bot,
        "event": letter.id.as_deref().map(history::event),
        "since": letter.since.unix_timestamp(),
        "reason": letter.reason,
        "message": queue::shown(&letter.payload),
    });
    writeln!(std::io::stdout(), "{line}").map_err(Failure::new)
}
