//! A worker: delivers what waits for one bot, a message of each partition at a time.
//!
//! All workers share the partitions' consumers, and the server gives a message to one of them. It
//! belongs to the worker for a time that is longer than the worker takes it to be, even if the process
//! stood still in between; after that, another worker gets it.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{AckKind, Message};
use botpress_messages::{Client, Error, ErrorKind, Retry, Stored};
use futures_util::StreamExt;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::breaker::{Breaker, LONGEST_PAUSE};
use crate::config::{ConfigFile, Target};
use crate::history::{self, Fact};
use crate::metrics::Metrics;
use crate::pauses::Pauses;
use crate::queue::{ID, Kind, Queue, TAKEN_WITHIN, ack_wait, place};
use crate::watchdog::Watchdog;
use crate::{Failure, bot_id, config, queue};

/// Settings of a worker. The API's client reads the others that it needs.
#[derive(clap::Args)]
#[command(after_help = "\
Environment of the API's client:
  BP_TOKEN           The bot's token
  BP_INTEGRATION_ID  The integration that the messages belong to
  BP_API_URL         The API, or a sandbox; by default the real API")]
pub struct Settings {
    /// The bot whose messages are delivered; without it, all bots of the file
    #[arg(long, env = "BP_BOT_ID", value_parser = bot_id)]
    bot_id: Option<String>,
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
    /// Address and port for /metrics, /metrics/queue, /healthz and /readyz; none by default
    #[arg(long, env = "BRIDGE_METRICS")]
    metrics: Option<String>,
}

impl Settings {
    fn targets(&self, file: Option<&ConfigFile>) -> Result<Vec<Target>, Failure> {
        let retry = Retry::default().deadline(Duration::from_secs(self.deadline));
        config::targets(file, self.bot_id.as_deref(), retry)
    }

    /// Checks them, and says what they mean.
    pub fn check(self, file: Option<&ConfigFile>) -> Result<Vec<String>, Failure> {
        let line = |Target { bot, is_paused, .. }| {
            let paused = if is_paused { ", paused" } else { "" };
            format!("bot {bot}: delivers{paused}")
        };
        Ok(self.targets(file)?.into_iter().map(line).collect())
    }
}

/// Delivers for each bot, until a signal.
pub async fn run(
    settings: Settings,
    file: Option<&ConfigFile>,
    queue: &queue::Settings,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let targets = settings.targets(file)?;
    let (queue, metrics) = (Queue::open(queue, Some(&stop)).await?, Metrics::new());
    let bots: Vec<_> = targets.iter().map(|target| target.bot.clone()).collect();
    metrics.serve(settings.metrics.as_deref(), &queue, &bots).await?;
    // All end with a signal, or with the first one that fails.
    let ending = stop.child_token();
    let paused = targets.iter().filter(|target| target.is_paused);
    let paused = paused.map(|target| target.bot.clone()).collect();
    let pauses = Pauses::follow(paused, queue.clone(), ending.clone()).await;
    let mut workers = JoinSet::new();
    for target in targets {
        let (queue, metrics, pauses) = (queue.clone(), metrics.clone(), pauses.clone());
        workers.spawn(deliver(target, &settings, queue, metrics, pauses, ending.clone()));
    }
    join(workers, &ending).await
}

/// Waits for all. The first failure ends the others.
async fn join(
    mut tasks: JoinSet<Result<(), Failure>>,
    ending: &CancellationToken,
) -> Result<(), Failure> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        if let Err(failure) = ended.unwrap_or_else(|panic| Err(Failure::new(panic))) {
            ending.cancel();
            result = result.and(Err(failure));
        }
    }
    result
}

/// Delivers what waits for one bot.
fn deliver(
    target: Target,
    settings: &Settings,
    queue: Queue,
    metrics: Metrics,
    pauses: Pauses,
    stop: CancellationToken,
) -> impl Future<Output = Result<(), Failure>> + use<> {
    let Target { bot, client, .. } = target;
    let partitions = queue.partitions;
    let worker = Arc::new(Worker {
        queue,
        client,
        bot,
        deadline: Duration::from_secs(settings.deadline),
        most_deliveries: settings.max_deliveries,
        under_way: Semaphore::new(settings.under_way.into()),
        metrics,
        breaker: Mutex::default(),
        pauses,
    });
    async move {
        let Worker { metrics, bot, deadline, .. } = &*worker;
        let longest = ack_wait(*deadline) + LONGEST_PAUSE;
        metrics.health.add(bot, partitions, longest, Instant::now());
        tracing::info!(bot, partitions, "delivering");
        let ending = stop.child_token();
        let mut tasks = JoinSet::new();
        for number in 0..partitions {
            let (worker, ending) = (Arc::clone(&worker), ending.clone());
            let (trouble, watchdog) = (Trouble::default(), Watchdog::default());
            tasks.spawn(Partition { worker, number, ending, trouble, watchdog }.run());
        }
        let result = join(tasks, &ending).await;
        // What was given back last may not have left yet.
        worker.queue.flush().await;
        result
    }
}

/// What the partitions share.
struct Worker {
    queue: Queue,
    client: Client,
    bot: String,
    deadline: Duration,
    most_deliveries: u32,
    /// More at once would only wait for the rate limit's window, and some for too long.
    under_way: Semaphore,
    metrics: Metrics,
    breaker: Mutex<Breaker>,
    pauses: Pauses,
}

struct Partition {
    worker: Arc<Worker>,
    number: usize,
    ending: CancellationToken,
    trouble: Trouble,
    watchdog: Watchdog,
}

/// How the message of a partition fared with this worker: what the server counts are also deliveries
/// that never began.
#[derive(Default)]
struct Trouble {
    sequence: u64,
    /// So often it was not stored, although it was sent,
    failures: u32,
    /// and so often of these, others were stored.
    alone: u32,
}

/// A message that belongs to this worker.
struct Pulled {
    message: Message,
    id: String,
    delivered: u32,
    received: OffsetDateTime,
    sequence: u64,
    /// From when on a delivery could take longer than the message belongs to this worker.
    latest: Instant,
    until: Instant,
}

/// How a delivery ended.
enum End {
    /// With this id.
    Stored(String),
    /// Delivering it again is right, after this wait.
    Again(Duration, String),
    Dead(Kind, String),
}

impl Partition {
    /// Delivers its messages, one after the other, until the worker ends.
    async fn run(mut self) -> Result<(), Failure> {
        let mut consumer = None;
        while !self.ending.is_cancelled() {
            let pulled = self.pull(&mut consumer).await;
            if pulled.is_ok() {
                let Worker { metrics, bot, .. } = &*self.worker;
                metrics.health.heard(bot, self.number, Instant::now());
            }
            match pulled {
                Ok(None) => self.watch(&mut consumer).await,
                Ok(Some(pulled)) => {
                    let place = timeout_at(pulled.latest, self.worker.under_way.acquire()).await;
                    let is_ending = self.ending.is_cancelled() || self.worker.is_paused();
                    if place.is_ok() && !is_ending {
                        let span = self.worker.span(&pulled);
                        self.worker.handle(&pulled, &mut self.trouble).instrument(span).await;
                    } else {
                        self.worker.nak(&pulled, None).await;
                    }
                }
                Err(failure) => {
                    tracing::warn!(
                        bot = self.worker.bot,
                        partition = self.number,
                        "{}; trying again",
                        failure.text
                    );
                    consumer = None;
                    tokio::select! {
                        () = self.ending.cancelled() => {}
                        () = sleep(Duration::from_secs(1)) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Has a consumer that hands out nothing created again, if messages wait.
    async fn watch(&mut self, consumer: &mut Option<PullConsumer>) {
        if self.worker.is_paused() || !self.worker.breaker().is_closed() {
            // Nothing is pulled, so nothing is stuck.
            self.watchdog = Watchdog::default();
            return;
        }
        let Some(known) = consumer else { return };
        let Worker { queue, metrics, .. } = &*self.worker;
        let position = match queue.position(known).await {
            Ok(position) => position,
            Err(failure) => return tracing::warn!("{}", failure.text),
        };
        let ack_wait = known.cached_info().config.ack_wait;
        if !self.watchdog.is_stuck(position, ack_wait, Instant::now()) {
            return;
        }
        let name = &known.cached_info().name;
        tracing::warn!(
            consumer = name,
            "no message of it came for two ack waits although some wait; it is created again"
        );
        match queue.remove_consumer(known).await {
            Ok(()) => {
                metrics.recreated.inc();
                *consumer = None;
            }
            Err(failure) => tracing::warn!("{}", failure.text),
        }
    }

    /// Waits for a message. A pull that is in flight is never given up: its message would belong to
    /// nobody for as long as it belonged to this worker.
    async fn pull(&self, consumer: &mut Option<PullConsumer>) -> Result<Option<Pulled>, Failure> {
        let Worker { queue, bot, deadline, .. } = &*self.worker;
        if !queue.is_connected() {
            // Requests would pile up until the server is back, and be of no use then.
            sleep(Duration::from_secs(1)).await;
            return Ok(None);
        }
        let is_paused = self.worker.is_paused();
        self.worker.metrics.set_paused(bot, "command", is_paused);
        if is_paused {
            tokio::select! {
                () = sleep(Duration::from_secs(1)) => {}
                () = self.ending.cancelled() => {}
            }
            return Ok(None);
        }
        let paused_until = self.worker.breaker().paused_until(Instant::now());
        if let Some(until) = paused_until {
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.ending.cancelled() => {}
            }
            return Ok(None);
        }
        let consumer = match consumer {
            Some(consumer) => consumer,
            None => consumer.insert(queue.consumer(bot, self.number, *deadline).await?),
        };
        let failed = |e: &dyn Display| Failure::new(format!("no message can be pulled: {e}"));
        let start = Instant::now();
        let batch = consumer.batch().max_messages(1).expires(queue::PULL).messages().await;
        let Some(message) = batch.map_err(|e| failed(&e))?.next().await else { return Ok(None) };
        let message = message.map_err(|e| failed(&e))?;
        let info = message.info().map_err(|e| failed(&e))?;
        let sequence = info.stream_sequence;
        let headers = message.headers.as_ref();
        let id = headers.and_then(|headers| headers.get(ID).or(headers.get(NATS_MESSAGE_ID)));
        Ok(Some(Pulled {
            id: id.map_or_else(|| place(sequence, info.published), |id| id.to_string()),
            delivered: info.delivered.try_into().unwrap_or(u32::MAX),
            received: info.published,
            sequence,
            latest: start + TAKEN_WITHIN,
            until: start + ack_wait(*deadline),
            message,
        }))
    }
}

impl Worker {
    /// What is logged about a message names its event, and its id once the API has it.
    fn span(&self, pulled: &Pulled) -> Span {
        let (event, position) = (history::event(&pulled.id), pulled.sequence);
        tracing::error_span!("message", bot = self.bot, event, position, id = Empty)
    }

    /// Delivers a message, and reports the outcome to the server.
    async fn handle(&self, pulled: &Pulled, trouble: &mut Trouble) {
        if trouble.sequence != pulled.sequence {
            *trouble = Trouble { sequence: pulled.sequence, ..Trouble::default() };
        }
        let delivery = match queue::read(&pulled.message.payload) {
            Ok(delivery) => delivery,
            Err(reason) => return self.settle(pulled, End::Dead(Kind::Invalid, reason)).await,
        };
        if !self.breaker().admits(pulled.sequence, Instant::now()) {
            return self.nak(pulled, Some(SHORTEST_WAIT)).await;
        }
        if Instant::now() >= pulled.latest {
            // It belongs to another worker by now, or will.
            return self.breaker().unsent(pulled.sequence, Instant::now());
        }
        self.metrics.under_way.inc();
        let start = Instant::now();
        let result = self.client.deliver(&delivery).await;
        self.metrics.took.observe(start.elapsed().as_secs_f64());
        self.metrics.under_way.dec();
        let end = self.judge(pulled.sequence, trouble, result);
        self.settle(pulled, end).await;
    }

    fn is_paused(&self) -> bool {
        self.pauses.has(&self.bot)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What follows from a delivery.
    fn judge(
        &self,
        sequence: u64,
        trouble: &mut Trouble,
        result: Result<Stored<botpress_messages::Message>, Error>,
    ) -> End {
        let (mut breaker, now) = (self.breaker(), Instant::now());
        let error = match result {
            Ok(stored) => {
                Span::current().record("id", &stored.record.id);
                if breaker.stored(now) {
                    self.metrics.resumes(&self.bot);
                    tracing::info!(bot = self.bot, "the API accepts messages: delivery resumes");
                }
                return End::Stored(stored.record.id);
            }
            Err(error) => error,
        };
        let text = error.to_string();
        // The watchdog takes a consumer that waits longer for stuck.
        let longest = ack_wait(self.deadline) / 2;
        let hint = error.retry_after().unwrap_or_default().min(longest);
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
        // One that always fails would hold up its partition for ever. In an outage, all fail.
        trouble.alone += u32::from(breaker.works(now));
        if let Some(pause) = breaker.failed(sequence, &cause(&error), now) {
            self.metrics.pauses(&self.bot, &text);
            tracing::warn!(
                bot = self.bot,
                ?pause,
                "every message fails, so delivery pauses: {text}"
            );
        }
        if trouble.alone >= self.most_deliveries {
            return End::Dead(Kind::Failing, text);
        }
        End::Again(wait(trouble.failures).min(longest).max(hint), text)
    }

    async fn settle(&self, pulled: &Pulled, end: End) {
        let Pulled { sequence, delivered, .. } = pulled;
        match end {
            End::Stored(message) => {
                self.queue.record(&self.bot, &pulled.id, Fact::Delivered { message }).await;
                self.metrics.delivered(&self.bot, "stored");
                let age = OffsetDateTime::now_utc() - pulled.received;
                self.metrics.age.observe(age.as_seconds_f64().max(0.0));
                tracing::debug!(delivered, "stored");
                self.insist(pulled.until, || pulled.message.double_ack()).await;
            }
            End::Again(wait, reason) => {
                self.metrics.delivered(&self.bot, "again");
                self.metrics.pauses.observe(wait.as_secs_f64());
                tracing::warn!(delivered, ?wait, "not stored yet: {reason}");
                self.nak(pulled, Some(wait)).await;
            }
            End::Dead(kind, reason) => {
                self.metrics.delivered(&self.bot, kind.name());
                tracing::warn!(delivered, %kind, "a dead letter: {reason}");
                // Twice the same, if the worker is lost in between: the id is of this message alone.
                let letter = place(*sequence, pulled.received);
                let Pulled { id, message, .. } = pulled;
                let bury = || {
                    let payload = message.payload.clone();
                    self.queue.bury(kind, &self.bot, &letter, id, &reason, payload)
                };
                if self.insist(pulled.until, bury).await.is_some() {
                    let end = || pulled.message.double_ack_with(AckKind::Term);
                    self.insist(pulled.until, end).await;
                }
            }
        }
    }

    /// Gives a message back, to be delivered again after a while. If that gets lost, the server gives
    /// it away by itself, only later. And it must not come later than that, as it would from a buffer:
    /// another worker may have the message then.
    async fn nak(&self, pulled: &Pulled, wait: Option<Duration>) {
        if Instant::now() < pulled.until
            && self.queue.is_connected()
            && let Err(e) = pulled.message.ack_with(AckKind::Nak(wait)).await
        {
            tracing::warn!("a message is not given back: {e}");
        }
    }

    /// Asks the server for something until it confirms that, but not for ever.
    async fn insist<F, T, E>(&self, until: Instant, ask: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, E>>,
        E: Display,
    {
        let mut cause = "there was no time".to_owned();
        // Not even once after that: it could belong to another worker by then.
        while Instant::now() < until {
            match timeout_at(until, ask()).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(e)) => cause = e.to_string(),
                Err(_) => cause = "no answer".to_owned(),
            }
            sleep(Duration::from_millis(200)).await;
        }
        tracing::warn!("NATS does not confirm: {cause}; it comes again");
        None
    }
}

const SHORTEST_WAIT: Duration = Duration::from_secs(1);

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
