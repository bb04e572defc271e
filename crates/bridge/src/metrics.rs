//! Metrics as Prometheus text, and whether the process is alive and ready.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::try_join_all;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::Failure;
use crate::health::Health;
use crate::queue::Shared;

/// How long a page waits for the queue.
const ANSWERS_WITHIN: Duration = Duration::from_millis(800);

type Label = [(&'static str, &'static str); 1];
type OfBot = [(&'static str, String); 2];

/// The metrics of a process. Clones share their counters.
#[derive(Clone)]
pub struct Metrics {
    received: Family<Label, Counter>,
    deliveries: Family<OfBot, Counter>,
    pub in_flight: Gauge,
    pub took: Histogram,
    pub age: Histogram,
    pub pauses: Histogram,
    pub recreated: Counter,
    paused: Family<OfBot, Gauge>,
    pauses_of_bot: Family<[(&'static str, String); 1], Counter>,
    pub health: Arc<Health>,
    registry: Arc<Registry>,
}

impl Metrics {
    pub fn new() -> Self {
        // From a millisecond to half an hour.
        let times = || Histogram::new(exponential_buckets(0.001, 4.0, 11));
        let received = Family::default();
        let (deliveries, paused, pauses_of_bot) = Default::default();
        let mut metrics = Self {
            received,
            deliveries,
            in_flight: Gauge::default(),
            took: times(),
            age: times(),
            pauses: times(),
            recreated: Counter::default(),
            paused,
            pauses_of_bot,
            health: Arc::default(),
            registry: Arc::default(),
        };
        let mut registry = Registry::with_prefix("bridge");
        let Self {
            received,
            deliveries,
            in_flight,
            took,
            age,
            pauses,
            recreated,
            paused,
            pauses_of_bot,
            ..
        } = &metrics;
        registry.register("received", "Webhooks, by outcome", received.clone());
        registry.register("deliveries", "Deliveries, by outcome", deliveries.clone());
        registry.register("in_flight", "Deliveries in flight", in_flight.clone());
        registry.register("delivery_seconds", "Duration of deliveries", took.clone());
        registry.register(
            "age_seconds",
            "Time from receiving a message to storing it in the API",
            age.clone(),
        );
        registry.register("pause_seconds", "Waits before a delivery is repeated", pauses.clone());
        registry.register(
            "consumers_recreated",
            "Consumers created again, because they handed out nothing although messages waited",
            recreated.clone(),
        );
        let text = "Whether the worker pauses, because every message fails or by command";
        registry.register("paused", text, paused.clone());
        let text = "Pauses because every message failed";
        registry.register("pauses", text, pauses_of_bot.clone());
        metrics.registry = Arc::new(registry);
        metrics
    }

    pub fn received(&self, outcome: &'static str) {
        self.received.get_or_create(&[("outcome", outcome)]).inc();
    }

    pub fn delivered(&self, bot: &str, outcome: &'static str) {
        let labels = [("outcome", outcome.to_owned()), ("bot", bot.to_owned())];
        self.deliveries.get_or_create(&labels).inc();
    }

    /// Every message of a bot fails, for this reason.
    pub fn pauses(&self, bot: &str, reason: &str) {
        self.set_paused(bot, "failures", true);
        self.pauses_of_bot.get_or_create(&[("bot", bot.to_owned())]).inc();
        self.health.paused(bot, Some(reason));
    }

    pub fn resumes(&self, bot: &str) {
        self.set_paused(bot, "failures", false);
        self.health.paused(bot, None);
    }

    pub fn set_paused(&self, bot: &str, reason: &str, is_paused: bool) {
        let labels = [("bot", bot.to_owned()), ("reason", reason.to_owned())];
        self.paused.get_or_create(&labels).set(is_paused.into());
    }

    /// Serves the metrics on this address, if there is one, together with the backlog of these bots.
    pub async fn serve(
        &self,
        address: Option<&str>,
        queue: &Shared,
        bots: &[String],
    ) -> Result<(), Failure> {
        let Some(address) = address else { return Ok(()) };
        let listener = listen("BRIDGE_METRICS", address).await?;
        let shared = (self.clone(), queue.clone(), bots.to_vec());
        let router = Router::new()
            .route("/metrics", get(show))
            .route("/metrics/queue", get(show_queue))
            .route("/healthz", get(async || "alive\n"))
            .route("/readyz", get(ready))
            .with_state(Arc::new(shared));
        tokio::spawn(async { axum::serve(listener, router).await });
        Ok(())
    }
}

pub async fn listen(variable: &str, address: &str) -> Result<TcpListener, Failure> {
    let failed = |e: io::Error| {
        let text = format!("{variable}={address:?}: cannot listen on this address: {e}");
        match e.kind() {
            ErrorKind::InvalidInput => Failure::settings(text),
            // The port may become free, and the name may become resolvable.
            _ => Failure::new(text),
        }
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    tracing::info!("listening on {} ({variable})", listener.local_addr().map_err(failed)?);
    Ok(listener)
}

type Shown = Arc<(Metrics, Shared, Vec<String>)>;

/// The metrics of this process, which can be summed over processes.
async fn show(State(shared): State<Shown>) -> Response {
    encoded(&shared.0.registry)
}

/// The metrics of the queue, which are the same from each process.
async fn show_queue(State(shared): State<Shown>) -> Response {
    let (_, queue, bots) = &*shared;
    match answered(queue, queue_figures(queue, bots)).await {
        Ok(figures) => encoded(&figures),
        Err(problem) => unavailable(&[problem]),
    }
}

/// Whether the queue responds, and deliveries are possible.
async fn ready(State(shared): State<Shown>) -> Response {
    let (metrics, queue, _) = &*shared;
    let mut problems = metrics.health.problems(Instant::now());
    problems.extend(answered(queue, queue.check()).await.err());
    if problems.is_empty() { "ready\n".into_response() } else { unavailable(&problems) }
}

/// The queue's response, or why there is none.
async fn answered<T>(
    queue: &Shared,
    question: impl Future<Output = Result<T, Failure>>,
) -> Result<T, String> {
    if !queue.is_connected() {
        // The request would wait until the queue is connected.
        return Err(format!("{} is not reachable", queue.name()));
    }
    match timeout(ANSWERS_WITHIN, question).await {
        Ok(answer) => answer.map_err(|failure| failure.text),
        Err(_) => Err(format!("{} does not respond in time", queue.name())),
    }
}

fn unavailable(problems: &[String]) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n").into_response()
}

fn encoded(registry: &Registry) -> Response {
    let mut text = String::new();
    match encode_registry(&mut text, registry).and_then(|()| encode_eof(&mut text)) {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The backlog of each bot and the number of dead letters.
async fn queue_figures(queue: &Shared, bots: &[String]) -> Result<Registry, Failure> {
    let depths = Family::<[(&str, String); 1], Gauge>::default();
    let ages = Family::<[(&str, String); 1], Gauge>::default();
    let backlogs = bots.iter().map(async |bot| queue.backlog(bot).await.map(|found| (bot, found)));
    for (bot, (depth, oldest)) in try_join_all(backlogs).await? {
        let age = oldest.map_or(0, |time| (OffsetDateTime::now_utc() - time).whole_seconds());
        depths.get_or_create(&[("bot", bot.clone())]).set(depth as i64);
        ages.get_or_create(&[("bot", bot.clone())]).set(age.max(0));
    }
    let letters: Gauge = Gauge::default();
    letters.set(queue.letters().await?.0 as i64);
    let mut registry = Registry::with_prefix("bridge");
    registry.register("queue_depth", "Messages that wait or are in flight", depths);
    registry.register("queue_age_seconds", "Age of the oldest of these messages", ages);
    registry.register("dead_letters", "Messages that cannot be delivered", letters);
    Ok(registry)
}
