//! A worker: delivers the messages of a bot, one message of each conversation at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use botpress_messages::{Client, Error, ErrorKind, Message, Retry, Stored};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::breaker::{Breaker, LONGEST_PAUSE};
use crate::config::{ConfigFile, Target};
use crate::metrics::Metrics;
use crate::pauses::Pauses;
use crate::queue::{self, Kind, Lane, Shared, TakenMessage, ack_wait};
use crate::{Failure, bot_id, config, history};

pub const CLIENT_SETTINGS: &str = "\
Environment of the API client:
  BP_TOKEN           The bot's token
  BP_INTEGRATION_ID  The integration that the messages belong to
  BP_API_URL         The URL of the API or of a sandbox; by default the real API";
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Settings of a worker. The API client reads its other settings from the environment.
#[derive(clap::Args)]
#[command(after_help = CLIENT_SETTINGS)]
pub struct Settings {
    /// The bot whose messages are delivered; by default all bots of the --config file
    #[arg(long, env = "BP_BOT_ID", value_parser = bot_id)]
    bot_id: Option<String>,
    #[command(flatten)]
    limits: Limits,
    /// Address and port for /metrics, /metrics/queue, /healthz and /readyz; none by default
    #[arg(long, env = "BRIDGE_METRICS")]
    metrics: Option<String>,
}

/// How a worker delivers.
#[derive(clap::Args)]
pub struct Limits {
    /// How many seconds a delivery can take before the message is put back; set the same for all workers of a bot
    #[arg(long, env = "BRIDGE_DEADLINE", default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(2..=600))]
    deadline: u64,
    /// How many deliveries of a bot can be in flight at once
    #[arg(long, env = "BRIDGE_IN_FLIGHT", default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=1_000))]
    in_flight: u16,
    /// After this number of failures with one worker, a message becomes a dead letter. A failure counts only if other
    /// messages of the bot were stored in the minute before it
    #[arg(long, env = "BRIDGE_MAX_DELIVERIES", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(2..))]
    max_deliveries: u32,
}

impl Limits {
    /// The bots whose messages are delivered.
    pub fn targets(
        &self,
        file: Option<&ConfigFile>,
        bot_id: Option<&str>,
    ) -> Result<Vec<Target>, Failure> {
        let retry = Retry::default().deadline(Duration::from_secs(self.deadline));
        config::targets(file, bot_id, retry)
    }
}

impl Settings {
    fn targets(&self, file: Option<&ConfigFile>) -> Result<Vec<Target>, Failure> {
        self.limits.targets(file, self.bot_id.as_deref())
    }

    /// Checks the settings, and describes what they mean.
    pub fn check(self, file: Option<&ConfigFile>) -> Result<Vec<String>, Failure> {
        Ok(self.targets(file)?.iter().map(describe).collect())
    }
}

/// Describes the settings of a bot.
pub fn describe(Target { bot, is_paused, .. }: &Target) -> String {
    let paused = if *is_paused { ", paused" } else { "" };
    format!("bot {bot}: delivers{paused}")
}

pub async fn run(
    settings: Settings,
    file: Option<&ConfigFile>,
    queue: &queue::Settings,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let targets = settings.targets(file)?;
    let Settings { limits, metrics: address, .. } = settings;
    let (queue, metrics) = (queue.open(&stop).await?, Metrics::new());
    let bots: Vec<_> = targets.iter().map(|target| target.bot.clone()).collect();
    metrics.serve(address.as_deref(), &queue, &bots).await?;
    let result = deliver(&limits, targets, &queue, &metrics, &stop).await;
    // The last replies to the queue may not have been sent yet.
    queue.flush().await;
    result
}

/// Delivers the messages of each bot until `stop`, or until a lane panics.
pub async fn deliver(
    limits: &Limits,
    targets: Vec<Target>,
    queue: &Shared,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    // Cancelled by a signal, or by the first lane that panics.
    let ending = stop.child_token();
    let paused = targets.iter().filter(|target| target.is_paused);
    let paused = paused.map(|target| target.bot.clone()).collect();
    let pauses = Pauses::follow(paused, queue.clone(), ending.clone()).await;
    let deadline = Duration::from_secs(limits.deadline);
    let mut tasks = JoinSet::new();
    for Target { bot, client, .. } in targets {
        let lanes = queue.lanes(&bot, limits.in_flight.into(), deadline);
        let longest = ack_wait(deadline) + LONGEST_PAUSE;
        metrics.health.add(&bot, lanes.len(), longest, Instant::now());
        tracing::info!(bot, lanes = lanes.len(), "delivering");
        let worker = Arc::new(Worker {
            client,
            bot,
            longest_wait: ack_wait(deadline) / 2,
            most_deliveries: limits.max_deliveries,
            in_flight: Semaphore::new(limits.in_flight.into()),
            metrics: metrics.clone(),
            breaker: Mutex::default(),
            pauses: pauses.clone(),
        });
        for (number, lane) in lanes.into_iter().enumerate() {
            tasks.spawn(Arc::clone(&worker).run(number, lane, ending.clone()));
        }
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
    /// Limits deliveries in flight: more would only wait for the rate limit's window, some of them too long.
    in_flight: Semaphore,
    metrics: Metrics,
    breaker: Mutex<Breaker>,
    pauses: Pauses,
}

/// How a delivery ended.
enum End {
    Stored(Message),
    /// Deliver it again after this wait.
    Again(Duration, String),
    Dead(Kind, String),
}

impl Worker {
    /// Delivers the messages of a lane, one after the other.
    async fn run(
        self: Arc<Self>,
        number: usize,
        mut lane: Box<dyn Lane>,
        ending: CancellationToken,
    ) {
        let Self { metrics, bot, .. } = &*self;
        while !ending.is_cancelled() {
            let is_paused = self.is_paused();
            metrics.set_paused(bot, "command", is_paused);
            let by_breaker = self.breaker().paused_until(Instant::now());
            let until =
                if is_paused { Some(Instant::now() + Duration::from_secs(1)) } else { by_breaker };
            if let Some(until) = until {
                metrics.health.heard(bot, number, Instant::now());
                lane.pause();
                tokio::select! {
                    () = sleep_until(until) => {}
                    () = ending.cancelled() => {}
                }
                continue;
            }
            let next = lane.next(&ending).await;
            if next.is_ok() {
                metrics.health.heard(bot, number, Instant::now());
            }
            let failure = match next {
                Ok(Some(taken)) => {
                    let place = timeout_at(taken.latest, self.in_flight.acquire()).await;
                    let is_ending = ending.is_cancelled() || self.is_paused();
                    if place.is_ok() && !is_ending {
                        let span = self.span(&taken);
                        self.handle(&mut *lane, taken).instrument(span).await;
                    } else {
                        lane.retry_later(taken, Duration::ZERO).await;
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
        if self.is_paused() || !self.breaker().is_closed() {
            lane.pause();
        } else if lane.check().await? {
            self.metrics.recreated.inc();
        }
        Ok(())
    }

    /// Log lines about a message name its event, and its id once the API has stored it.
    fn span(&self, taken: &TakenMessage) -> Span {
        let (event, position) = (history::event(&taken.id), taken.sequence);
        tracing::error_span!("message", bot = self.bot, event, position, id = Empty)
    }

    /// Delivers a message, and reports the outcome to the queue.
    async fn handle(&self, lane: &mut dyn Lane, mut taken: TakenMessage) {
        let delivery = match queue::read(&taken.payload) {
            Ok(delivery) => delivery,
            Err(reason) => return self.settle(lane, taken, End::Dead(Kind::Invalid, reason)).await,
        };
        if !self.breaker().admits(taken.sequence, Instant::now()) {
            return lane.retry_later(taken, SHORTEST_WAIT).await;
        }
        if Instant::now() >= taken.latest {
            // It belongs to another worker now, or soon will.
            self.breaker().unsent(taken.sequence, Instant::now());
            return lane.retry_later(taken, Duration::ZERO).await;
        }
        self.metrics.in_flight.inc();
        let start = Instant::now();
        let result = self.client.deliver(&delivery).await;
        self.metrics.took.observe(start.elapsed().as_secs_f64());
        self.metrics.in_flight.dec();
        let end = self.judge(&mut taken, result);
        self.settle(lane, taken, end).await;
    }

    fn is_paused(&self) -> bool {
        self.pauses.has(&self.bot)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides what happens to a message after a delivery.
    fn judge(&self, taken: &mut TakenMessage, result: Result<Stored<Message>, Error>) -> End {
        let TakenMessage { sequence, failure_counts, .. } = taken;
        let sequence = *sequence;
        let (mut breaker, now) = (self.breaker(), Instant::now());
        let error = match result {
            Ok(stored) => {
                Span::current().record("id", &stored.record.id);
                if breaker.stored(now) {
                    self.metrics.resumes(&self.bot);
                    tracing::info!(
                        bot = self.bot,
                        "delivery resumes, because the API accepts messages"
                    );
                }
                return End::Stored(stored.record);
            }
            Err(error) => error,
        };
        let text = error.to_string();
        let hint = error.retry_after().unwrap_or_default().min(self.longest_wait);
        // A message that was not sent did not fail, so its wait does not grow.
        if error.is_rate_limited() || error.attempts() == 0 {
            breaker.unsent(sequence, now);
            return End::Again(hint.max(SHORTEST_WAIT), text);
        }
        // The API read the message and rejected it, so the bot's settings are right.
        if matches!(error.kind(), ErrorKind::Api(_)) && !error.should_repeat() {
            breaker.unsent(sequence, now);
            return End::Dead(Kind::Invalid, text);
        }
        failure_counts.failures += 1;
        // A message that always fails would hold up its conversation forever. In an outage, all messages fail.
        failure_counts.alone += u32::from(breaker.works(now));
        if let Some(pause) = breaker.failed(sequence, &cause(&error), now) {
            self.metrics.pauses(&self.bot, &text);
            tracing::warn!(
                bot = self.bot,
                ?pause,
                "delivery pauses, because every message fails: {text}"
            );
        }
        if failure_counts.alone >= self.most_deliveries {
            return End::Dead(Kind::Failing, text);
        }
        End::Again(wait(failure_counts.failures).min(self.longest_wait).max(hint), text)
    }

    async fn settle(&self, lane: &mut dyn Lane, taken: TakenMessage, end: End) {
        let delivered = taken.delivered;
        match end {
            End::Stored(message) => {
                self.metrics.delivered(&self.bot, "stored");
                let age = OffsetDateTime::now_utc() - taken.received;
                self.metrics.age.observe(age.as_seconds_f64().max(0.0));
                tracing::debug!(delivered, "stored");
                lane.stored(taken, &message.id).await;
            }
            End::Again(wait, reason) => {
                self.metrics.delivered(&self.bot, "again");
                self.metrics.pauses.observe(wait.as_secs_f64());
                tracing::warn!(delivered, ?wait, "not stored yet: {reason}");
                lane.retry_later(taken, wait).await;
            }
            End::Dead(kind, reason) => {
                self.metrics.delivered(&self.bot, kind.name());
                tracing::warn!(delivered, %kind, "becomes a dead letter: {reason}");
                lane.make_dead_letter(taken, kind, &reason).await;
            }
        }
    }
}

/// Failures with the same cause count as failures in a row.
fn cause(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Api(e) => format!("{} {}", e.status.as_u16(), e.type_),
        ErrorKind::Response(e) => format!("a response with {}", e.status.as_u16()),
        _ => "no response".to_owned(),
    }
}

/// The wait after a number of failures: one second at first, then twice as long each time, up to 1,024 seconds.
fn wait(failures: u32) -> Duration {
    SHORTEST_WAIT * (1 << failures.saturating_sub(1).min(10))
}
