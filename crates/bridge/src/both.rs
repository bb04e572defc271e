//! Receives and delivers in one process.

use tokio_util::sync::CancellationToken;

use crate::config::{Access, ConfigFile, Target};
use crate::metrics::Metrics;
use crate::{Failure, deliver, queue, receive};

#[derive(clap::Args)]
// Two groups cannot have the same name.
#[group(skip)]
#[command(after_help = deliver::CLIENT_SETTINGS)]
pub struct Settings {
    #[command(flatten)]
    receive: receive::Settings,
    #[command(flatten)]
    limits: deliver::Limits,
}

impl Settings {
    fn bots(&mut self, file: Option<&ConfigFile>) -> Result<(Vec<Access>, Vec<Target>), Failure> {
        let only = self.receive.bot_id().map(str::to_owned);
        let access = self.receive.access(file)?;
        if file.is_some_and(ConfigFile::has_bots) {
            return Ok((access, self.limits.targets(file, only.as_deref())?));
        }
        let [Access { bot, .. }] = &access[..] else {
            let text = "without bots in a settings file, run serves one bot: set only BP_BOT_ID, or use --config";
            return Err(Failure::settings(text));
        };
        let targets = self.limits.targets(file, Some(bot))?;
        Ok((access, targets))
    }

    /// Checks the settings, and describes what they mean.
    pub fn check(mut self, file: Option<&ConfigFile>) -> Result<Vec<String>, Failure> {
        let (access, targets) = self.bots(file)?;
        let access = access.iter().map(receive::describe);
        Ok(access.chain(targets.iter().map(deliver::describe)).collect())
    }
}

pub async fn run(
    mut settings: Settings,
    file: Option<&ConfigFile>,
    queue: &queue::Settings,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let (access, targets) = settings.bots(file)?;
    let Settings { receive, limits } = settings;
    let (queue, metrics) = (queue.open(&stop).await?, Metrics::new());
    let bots: Vec<_> = access.iter().map(|access| access.bot.clone()).collect();
    metrics.serve(receive.metrics.as_deref(), &queue, &bots).await?;
    // If one of the two ends, the other ends as well.
    let ending = stop.child_token();
    let end_other = |result: Result<(), Failure>| {
        ending.cancel();
        result
    };
    let receiving = receive::serve(receive, access, queue.clone(), metrics.clone(), ending.clone());
    let delivering = deliver::deliver(&limits, targets, &queue, &metrics, &ending);
    let (received, delivered) =
        tokio::join!(async { end_other(receiving.await) }, async { end_other(delivering.await) });
    queue.flush().await;
    received.and(delivered)
}
