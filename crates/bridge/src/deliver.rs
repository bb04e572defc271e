//! A worker: delivers what waits for one bot, a message of each conversation at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use botpress_messages::{Client, Error, ErrorKind, Message, Retry, Stored};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::breaker::Breaker;
use crate::metrics::Metrics;
use crate::queue::{self, Kind, Lane, Shared, Taken, ack_wait};
use crate::{Failure, bot_id};

pub const CLIENT_SETTINGS: &str = "\
Environment of the API's client:
  BP_TOKEN           The bot's token
  BP_INTEGRATION_ID  The integration that the messages belong to
  BP_API_URL         The API, or a sandbox; by default the real API";
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Settings of a worker. The API's client reads the others that it needs.
#[derive(clap::Args)]
#[command(after_help = CLIENT_SETTINGS)]
pub struct Settings {
    /// The bot whose messages are delivered
    #[arg(long, env = "BP_BOT_ID", value_parser = bot_id)]
    bot_id: String,
    #[command(flatten)]
    limits: Limits,
    /// Address and port for Prometheus; none by default
    #[arg(long, env = "BRIDGE_METRICS")]
    metrics: Option<String>,
}

/// How a worker delivers.
#[derive(clap::Args)]
pub struct Limits {
    /// How many seconds a delivery may take before it is put back; the same for all workers of a bot
    #[arg(long, env = "BRIDGE_DEADLINE", default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(2..=600))]
    deadline: u64,
    /// How many deliveries may be in flight at once
    #[arg(long, env = "BRIDGE_UNDER_WAY", default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=1_000))]
    under_way: u16,
    /// After this number of failures with one worker, a message that fails while others are stored becomes
    /// a dead letter
    #[arg(long, env = "BRIDGE_MAX_DELIVERIES", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(2..))]
    max_deliveries: u32,
}

pub async fn run(
    settings: Settings,
    queue: &queue::Settings,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let Settings { bot_id: bot, limits, metrics: address } = settings;
    let client = client(&bot, &limits)?;
    let (queue, metrics) = (queue.open(&stop).await?, Metrics::new());
    metrics.serve(address.as_deref(), &queue, std::slice::from_ref(&bot)).await?;
    let result = deliver(&limits, client, &bot, &queue, &metrics, &stop).await;
    // What was given back last may not have left yet.
    queue.flush().await;
    result
}

/// The API's client for a bot.
pub fn client(bot: &str, limits: &Limits) -> Result<Client, Failure> {
    let retry = Retry::default().deadline(Duration::from_secs(limits.deadline));
    Client::builder().env().bot_id(bot).retry(retry).build().map_err(Failure::settings)
}

/// Delivers until `stop`, or until something in here is broken.
pub async fn deliver(
    limits: &Limits,
    client: Client,
    bot: &str,
    queue: &Shared,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let deadline = Duration::from_secs(limits.deadline);
    let lanes = queue.lanes(bot, limits.under_way.into(), deadline);
    tracing::info!(bot, lanes = lanes.len(), "delivering");
    let worker = Arc::new(Worker {
        client,
        bot: bot.to_owned(),
        longest_wait: ack_wait(deadline) / 2,
        most_deliveries: limits.max_deliveries,
        under_way: Semaphore::new(limits.under_way.into()),
        metrics: metrics.clone(),
        breaker: Mutex::default(),
    });
    // It ends with a signal, or with the first lane that fails.
    let ending = stop.child_token();
    let mut tasks = JoinSet::new();
    for lane in lanes {
        tasks.spawn(Arc::clone(&worker).run(lane, ending.clone()));
    }
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        if let Err(panic) = ended {
            ending.cancel();
            result = result.and(Err(Failure::new(panic)));
        }
    }
    result
}

/// What the lanes share.
struct Worker {
    client: Client,
    bot: String,
    /// The longest that a message waits after a failure.
    longest_wait: Duration,
    most_deliveries: u32,
    /// More at once would only wait for the rate limit's window, and some for too long.
    under_way: Semaphore,
    metrics: Metrics,
    breaker: Mutex<Breaker>,
}

/// How a delivery ended.
enum End {
    Stored(Message),
    /// Delivering it again is right, after this wait.
    Again(Duration, String),
    Dead(Kind, String),
}

impl Worker {
    /// Delivers the messages of a lane, one after the other.
    async fn run(self: Arc<Self>, mut lane: Box<dyn Lane>, ending: CancellationToken) {
        while !ending.is_cancelled() {
            let paused_until = self.breaker().paused_until(Instant::now());
            if let Some(until) = paused_until {
                lane.pause();
                tokio::select! {
                    () = sleep_until(until) => {}
                    () = ending.cancelled() => {}
                }
                continue;
            }
            let failure = match lane.next(&ending).await {
                Ok(Some(taken)) => {
                    let place = timeout_at(taken.latest, self.under_way.acquire()).await;
                    if place.is_ok() && !ending.is_cancelled() {
                        self.handle(&mut *lane, taken).await;
                    } else {
                        lane.again(taken, Duration::ZERO).await;
                    }
                    continue;
                }
                Ok(None) => match self.check(&mut *lane).await {
                    Ok(()) => continue,
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            tracing::warn!(bot = self.bot, "{}; trying again", failure.text);
            tokio::select! {
                () = ending.cancelled() => {}
                () = sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    async fn check(&self, lane: &mut dyn Lane) -> Result<(), Failure> {
        if !self.breaker().is_closed() {
            lane.pause();
        } else if lane.check().await? {
            self.metrics.recreated.inc();
        }
        Ok(())
    }

    /// Delivers a message, and reports the outcome to the queue.
    async fn handle(&self, lane: &mut dyn Lane, mut taken: Taken) {
        let delivery = match queue::read(&taken.payload) {
            Ok(delivery) => delivery,
            Err(reason) => return self.settle(lane, taken, End::Dead(Kind::Invalid, reason)).await,
        };
        if !self.breaker().admits(taken.sequence, Instant::now()) {
            return lane.again(taken, SHORTEST_WAIT).await;
        }
        if Instant::now() >= taken.latest {
            // It belongs to another worker by now, or will.
            self.breaker().unsent(taken.sequence, Instant::now());
            return lane.again(taken, Duration::ZERO).await;
        }
        self.metrics.under_way.inc();
        let start = Instant::now();
        let result = self.client.deliver(&delivery).await;
        self.metrics.took.observe(start.elapsed().as_secs_f64());
        self.metrics.under_way.dec();
        let end = self.judge(&mut taken, result);
        self.settle(lane, taken, end).await;
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What follows from a delivery.
    fn judge(&self, taken: &mut Taken, result: Result<Stored<Message>, Error>) -> End {
        let Taken { sequence, trouble, .. } = taken;
        let sequence = *sequence;
        let (mut breaker, now) = (self.breaker(), Instant::now());
        let error = match result {
            Ok(stored) => {
                if breaker.stored(now) {
                    self.metrics.paused.set(0);
                    tracing::info!(bot = self.bot, "the API accepts messages: delivery resumes");
                }
                return End::Stored(stored.record);
            }
            Err(error) => error,
        };
        let text = error.to_string();
        let hint = error.retry_after().unwrap_or_default().min(self.longest_wait);
        // What was not sent did not fail: it had no turn, and need not wait longer and longer for one.
        if error.is_rate_limited() || error.attempts() == 0 {
            breaker.unsent(sequence, now);
            return End::Again(hint.max(SHORTEST_WAIT), text);
        }
        // The API has read the message, so the settings are right.
        if matches!(error.kind(), ErrorKind::Api(_)) && !error.should_repeat() {
            breaker.unsent(sequence, now);
            return End::Dead(Kind::Invalid, text);
        }
        trouble.failures += 1;
        // One that always fails would hold up its conversation for ever. In an outage, all fail.
        trouble.alone += u32::from(breaker.works(now));
        if let Some(pause) = breaker.failed(sequence, &cause(&error), now) {
            self.metrics.paused.set(1);
            self.metrics.pauses_of_bot.inc();
            tracing::warn!(
                bot = self.bot,
                ?pause,
                "every message fails, so delivery pauses: {text}"
            );
        }
        if trouble.alone >= self.most_deliveries {
            return End::Dead(Kind::Failing, text);
        }
        End::Again(wait(trouble.failures).min(self.longest_wait).max(hint), text)
    }

    async fn settle(&self, lane: &mut dyn Lane, taken: Taken, end: End) {
        let Taken { sequence, delivered, .. } = taken;
        match end {
            End::Stored(message) => {
                self.metrics.delivered("stored");
                let age = OffsetDateTime::now_utc() - taken.received;
                self.metrics.age.observe(age.as_seconds_f64().max(0.0));
                tracing::debug!(sequence, delivered, "stored");
                lane.stored(taken, &message.id).await;
            }
            End::Again(wait, reason) => {
                self.metrics.delivered("again");
                self.metrics.pauses.observe(wait.as_secs_f64());
                tracing::warn!(sequence, delivered, ?wait, "not stored yet: {reason}");
                lane.again(taken, wait).await;
            }
            End::Dead(kind, reason) => {
                self.metrics.delivered(kind.name());
                tracing::warn!(sequence, delivered, %kind, "a dead letter: {reason}");
                lane.bury(taken, kind, &reason).await;
            }
        }
    }
}

/// What two failures have in common that are for the same reason.
fn cause(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Api(e) => format!("{} {}", e.status.as_u16(), e.type_),
        ErrorKind::Response(e) => format!("a response with {}", e.status.as_u16()),
        _ => "no response".to_owned(),
    }
}

/// A second, and twice as long after each failure.
fn wait(failures: u32) -> Duration {
    SHORTEST_WAIT * (1 << failures.saturating_sub(1).min(10))
}
