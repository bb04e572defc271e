//! Receives and delivers in one process.

use tokio_util::sync::CancellationToken;

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

pub async fn run(
    settings: Settings,
    queue: &queue::Settings,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let Settings { receive, limits } = settings;
    receive.slack_secret()?;
    let bots = receive.bots();
    let [bot] = &bots[..] else {
        let text = "run delivers one bot: set BP_BOT_ID alone, or use receive and deliver";
        return Err(Failure::settings(text));
    };
    let client = deliver::client(bot, &limits)?;
    let (queue, metrics) = (queue.open(&stop).await?, Metrics::new());
    metrics.serve(receive.metrics.as_deref(), &queue, &bots).await?;
    // One that fails ends the other.
    let ending = stop.child_token();
    let ends = |result: Result<(), Failure>| {
        ending.cancel();
        result
    };
    let receiving = receive::serve(receive, queue.clone(), metrics.clone(), ending.clone());
    let delivering = deliver::deliver(&limits, client, bot, &queue, &metrics, &ending);
    let (received, delivered) =
        tokio::join!(async { ends(receiving.await) }, async { ends(delivering.await) });
    queue.flush().await;
    received.and(delivered)
}
