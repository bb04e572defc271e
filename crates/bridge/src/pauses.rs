//! Bots that an operator has paused. The pauses are stored, so all workers obey them, also after a restart.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::queue::{self, Shared};
use crate::{Failure, bot_id};

/// A worker asks this often which bots are paused.
const ASKS_EVERY: Duration = Duration::from_secs(1);

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
    settings.visit().await?.set_paused(&bot, is_paused).await
}

/// Which bots are paused, as of now.
#[derive(Clone)]
pub struct Pauses {
    by_file: Arc<BTreeSet<String>>,
    by_command: watch::Receiver<BTreeSet<String>>,
}

impl Pauses {
    /// Follows the stored pauses until `stop`. Returns once it has read them for the first time, or with `stop`.
    pub async fn follow(by_file: BTreeSet<String>, queue: Shared, stop: CancellationToken) -> Self {
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
                                tracing::info!(?bots, "the list of paused bots changed");
                            }
                            *before = bots;
                            is_new
                        });
                    }
                    // The last known pauses stay valid.
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
