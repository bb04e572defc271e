//! Moves messages and dead letters from the file to NATS.

use std::fmt;

use super::nats::Nats;
use super::sqlite::{Sqlite, Waiting};
use super::{NotStored, Queue, Settings};
use crate::Failure;

/// How much was moved.
#[derive(Default)]
pub struct Moved {
    messages: u64,
    letters: u64,
    /// How many of the messages NATS had before.
    known: u64,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, letters, known } = self;
        write!(
            f,
            "messages moved: {messages}, of which NATS had {known} before; dead letters moved: {letters}"
        )
    }
}

/// Moves messages and dead letters one by one, so that they keep their order. A message stays in the file until
/// NATS has it. After an interruption, NATS recognises by the event ids which messages it has.
pub async fn transfer(settings: &Settings) -> Result<Moved, Failure> {
    if !settings.uses_nats() {
        return Err(Failure::settings("set NATS_URL: the messages are moved there"));
    }
    let source = settings.sqlite();
    if !source.path.exists() {
        return Err(Failure::settings(format!("there is no queue file {}", source.path.display())));
    }
    let file = source.lock()?;
    let nats = Nats::open(settings, None).await?;
    let mut moved = Moved::default();
    let result = transfer_all(&file, &nats, &mut moved).await;
    file.flush().await;
    result.map_err(|failure| Failure {
        text: format!("{moved}; then it failed: {}", failure.text),
        ..failure
    })?;
    Ok(moved)
}

async fn transfer_all(file: &Sqlite, nats: &Nats, moved: &mut Moved) -> Result<(), Failure> {
    loop {
        let group = file.waiting().await?;
        if group.is_empty() {
            break;
        }
        let mut done = Vec::new();
        let mut result = Ok(());
        for waiting in group {
            let Waiting { sequence, bot, id, conversation, payload } = &waiting;
            match nats.store(bot, *conversation as u64, id, payload.clone()).await {
                Ok(known) => moved.known += u64::from(known),
                Err(e) => {
                    let cause = match e {
                        NotStored::TooLarge => "it is larger than NATS allows".to_owned(),
                        NotStored::Failed(cause) => cause,
                    };
                    let text = format!(
                        "message {sequence} of {bot}, event {id:?}, cannot be moved: {cause}"
                    );
                    result = Err(Failure::new(text));
                    break;
                }
            }
            moved.messages += 1;
            done.push(*sequence);
        }
        file.mark_moved(done).await?;
        result?;
    }
    while let Some(letter) = file.letter(0).await? {
        nats.take_letter(&letter).await?;
        file.mark_moved(vec![letter.number as i64]).await?;
        moved.letters += 1;
    }
    Ok(())
}
