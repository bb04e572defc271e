//! Bots whose delivery an operator has paused. That is stored, so all workers obey, also after a restart.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use futures_util::TryStreamExt;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::queue::{self, Queue};
use crate::{Failure, bot_id};

/// A worker asks this often which bots are paused.
const ASKS_EVERY: Duration = Duration::from_secs(1);
const PREFIX: &str = "paused.";

#[derive(clap::Args)]
pub struct Pause {
    /// The bot
    #[arg(value_parser = bot_id)]
    bot: String,
}

pub async fn run(
    Pause { bot }: Pause,
    is_paused: bool,
    settings: &queue::Settings,
) -> Result<(), Failure> {
    Queue::open(settings, None).await?.set_paused(&bot, is_paused).await
}

impl Queue {
    pub async fn set_paused(&self, bot: &str, is_paused: bool) -> Result<(), Failure> {
        let failed = |e: &dyn std::fmt::Display| {
            Failure::new(format!("whether bot {bot} is paused cannot be stored: {e}"))
        };
        let subject = format!("{PREFIX}{bot}");
        if is_paused {
            let publication = PublishMessage::build();
            return self.acknowledged(subject, publication).await.map(drop).map_err(|e| failed(&e));
        }
        self.paused.purge().filter(subject).await.map(drop).map_err(|e| failed(&e))
    }

    /// The bots that are paused.
    pub async fn paused(&self) -> Result<BTreeSet<String>, Failure> {
        let failed = |e| Failure::new(format!("the paused bots cannot be read: {e}"));
        let subjects =
            self.paused.info_with_subjects(format!("{PREFIX}>")).await.map_err(failed)?;
        let bot = |(subject, _): (String, usize)| {
            subject.strip_prefix(PREFIX).unwrap_or_default().to_owned()
        };
        subjects.map_ok(bot).try_collect().await.map_err(failed)
    }
}

/// Which bots are paused, as of now.
#[derive(Clone)]
pub struct Pauses {
    by_file: Arc<BTreeSet<String>>,
    by_command: watch::Receiver<BTreeSet<String>>,
}

impl Pauses {
    /// Follows what is stored until `stop`. Returns once it knows, or with `stop`.
    pub async fn follow(by_file: BTreeSet<String>, queue: Queue, stop: CancellationToken) -> Self {
        let (sender, by_command) = watch::channel(BTreeSet::new());
        let known = CancellationToken::new();
        let first = known.clone();
        tokio::spawn(async move {
            while !stop.is_cancelled() {
                match queue.paused().await {
                    Ok(bots) => {
                        known.cancel();
                        sender.send_if_modified(|before| {
                            let is_new = *before != bots;
                            if is_new {
                                tracing::info!(?bots, "these bots are paused now");
                            }
                            *before = bots;
                            is_new
                        });
                    }
                    // What was known last still counts.
                    Err(failure) => tracing::debug!("{}", failure.text),
                }
                tokio::select! {
                    () = sleep(ASKS_EVERY) => {}
                    () = stop.cancelled() => {}
                }
            }
            known.cancel();
        });
        first.cancelled().await;
        Self { by_file: Arc::new(by_file), by_command }
    }

    pub fn has(&self, bot: &str) -> bool {
        self.by_file.contains(bot) || self.by_command.borrow().contains(bot)
    }
}
