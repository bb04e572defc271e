//! What cannot be delivered: shown, put into the queue again, or removed.

use std::io::Write;

use async_nats::jetstream::message::StreamMessage;
use botpress_messages::Delivery;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::Failure;
use crate::history::{self, Fact};
use crate::queue::{self, Queue, REASON, letter_subject};

#[derive(Subcommand)]
pub enum Command {
    /// Print a JSON line for each dead letter
    List,
    /// Put dead letters into the queue again
    Retry(Letters),
    /// Remove dead letters
    Drop(Letters),
}

#[derive(clap::Args)]
#[group(required = true)]
pub struct Letters {
    /// Their numbers, as list prints them
    numbers: Vec<u64>,
    /// All there are
    #[arg(long, conflicts_with = "numbers")]
    all: bool,
}

pub async fn run(command: Command, settings: &queue::Settings) -> Result<(), Failure> {
    let queue = Queue::open(settings, None).await?;
    let result = match command {
        Command::List => for_each(&queue, None, async |letter| print(&letter)).await,
        Command::Drop(letters) => {
            for_each(&queue, Some(&letters), async |letter| {
                queue.remove_letter(letter.sequence).await?;
                if let Some(id) = history::id(&letter) {
                    queue.record(letter_subject(&letter).1, id, Fact::Dropped).await;
                }
                Ok(())
            })
            .await
        }
        Command::Retry(letters) => {
            for_each(&queue, Some(&letters), async |letter| {
                match repeatable(&letter) {
                    Ok(message) => retry(&queue, &letter, &message).await,
                    // Of all, those are meant that can be.
                    Err(failure) if letters.all => {
                        eprintln!("{}", failure.text);
                        Ok(())
                    }
                    Err(failure) => Err(failure),
                }
            })
            .await
        }
    };
    queue.flush().await;
    result
}

/// Goes through letters by number, or through all that there are by now.
async fn for_each(
    queue: &Queue,
    letters: Option<&Letters>,
    act: impl AsyncFn(StreamMessage) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if let Some(Letters { numbers, all: false }) = letters {
        for number in numbers {
            match queue.letter(*number).await? {
                Some(letter) if letter.sequence == *number => act(letter).await?,
                _ => return Err(Failure::new(format!("there is no letter {number}"))),
            }
        }
        return Ok(());
    }
    let (_, last) = queue.letters().await?;
    let mut from = 1;
    while let Some(letter) = queue.letter(from).await?.filter(|letter| letter.sequence <= last) {
        from = letter.sequence + 1;
        act(letter).await?;
    }
    Ok(())
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

/// The message of a letter, if it can be sent again.
fn repeatable(letter: &StreamMessage) -> Result<Delivery, Failure> {
    queue::read(&letter.payload)
        .map_err(|e| Failure::new(format!("letter {} stays: {e}", letter.sequence)))
}

/// Puts a letter at the end of the queue. Interrupted, it can be called again: the queue takes it once.
async fn retry(queue: &Queue, letter: &StreamMessage, message: &Delivery) -> Result<(), Failure> {
    let number = letter.sequence;
    let queued = queue.republish(letter, message).await;
    queued.map_err(|e| Failure::new(format!("letter {number} stays: {e}")))?;
    queue.remove_letter(number).await
}
