//! Figures as Prometheus text.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use time::OffsetDateTime;
use tokio::net::TcpListener;

use crate::Failure;
use crate::queue::Shared;

type Label = [(&'static str, &'static str); 1];

/// What a process counts. Clones count together.
#[derive(Clone)]
pub struct Metrics {
    received: Family<Label, Counter>,
    deliveries: Family<Label, Counter>,
    pub under_way: Gauge,
    pub took: Histogram,
    pub age: Histogram,
    pub pauses: Histogram,
    pub recreated: Counter,
    pub paused: Gauge,
    pub pauses_of_bot: Counter,
    registry: Arc<Registry>,
}

impl Metrics {
    pub fn new() -> Self {
        // From a millisecond to half an hour.
        let times = || Histogram::new(exponential_buckets(0.001, 4.0, 11));
        let (received, deliveries) = Default::default();
        let mut metrics = Self {
            received,
            deliveries,
            under_way: Gauge::default(),
            took: times(),
            age: times(),
            pauses: times(),
            recreated: Counter::default(),
            paused: Gauge::default(),
            pauses_of_bot: Counter::default(),
            registry: Arc::default(),
        };
        let mut registry = Registry::with_prefix("bridge");
        let Self {
            received,
            deliveries,
            under_way,
            took,
            age,
            pauses,
            recreated,
            paused,
            pauses_of_bot,
            ..
        } = &metrics;
        registry.register("received", "Webhooks, by what became of them", received.clone());
        registry.register("deliveries", "Deliveries, by how they ended", deliveries.clone());
        registry.register("under_way", "Deliveries in flight", under_way.clone());
        registry.register("delivery_seconds", "How long deliveries took", took.clone());
        registry.register(
            "age_seconds",
            "How old messages were once they were stored",
            age.clone(),
        );
        registry.register("pause_seconds", "Waits before a delivery is repeated", pauses.clone());
        registry.register(
            "consumers_recreated",
            "Consumers that handed out nothing although messages waited",
            recreated.clone(),
        );
        let text = "Whether delivery pauses because every message fails";
        registry.register("paused", text, paused.clone());
        let text = "Pauses because every message failed";
        registry.register("pauses", text, pauses_of_bot.clone());
        metrics.registry = Arc::new(registry);
        metrics
    }

    pub fn received(&self, outcome: &'static str) {
        self.received.get_or_create(&[("outcome", outcome)]).inc();
    }

    pub fn delivered(&self, outcome: &'static str) {
        self.deliveries.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Serves them on this address, if there is one, with what waits for these bots.
    pub async fn serve(
        &self,
        address: Option<&str>,
        queue: &Shared,
        bots: &[String],
    ) -> Result<(), Failure> {
        let Some(address) = address else { return Ok(()) };
        let listener = listen("BRIDGE_METRICS", address).await?;
        let shared = (self.clone(), queue.clone(), bots.to_vec());
        let router = Router::new().route("/metrics", get(show)).with_state(Arc::new(shared));
        tokio::spawn(async { axum::serve(listener, router).await });
        Ok(())
    }
}

pub async fn listen(variable: &str, address: &str) -> Result<TcpListener, Failure> {
    let failed = |e: io::Error| {
        let text = format!("{variable}={address:?}: cannot listen there: {e}");
        match e.kind() {
            ErrorKind::InvalidInput => Failure::settings(text),
            // The port may become free, and the name known.
            _ => Failure::new(text),
        }
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    tracing::info!("{variable} listens on {}", listener.local_addr().map_err(failed)?);
    Ok(listener)
}

type Shown = Arc<(Metrics, Shared, Vec<String>)>;

async fn show(State(shared): State<Shown>) -> Response {
    let (metrics, queue, bots) = &*shared;
    let mut text = String::new();
    // They are of this moment, so they have their own registry.
    let waiting = queue_figures(queue, bots).await.unwrap_or_else(|failure| {
        tracing::warn!("the queue's figures are missing: {}", failure.text);
        Registry::default()
    });
    let written = encode_registry(&mut text, &metrics.registry)
        .and_then(|()| encode_registry(&mut text, &waiting))
        .and_then(|()| encode_eof(&mut text));
    match written {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How much waits, as of now.
async fn queue_figures(queue: &Shared, bots: &[String]) -> Result<Registry, Failure> {
    let depths = Family::<[(&str, String); 1], Gauge>::default();
    let ages = Family::<[(&str, String); 1], Gauge>::default();
    for bot in bots {
        let (depth, oldest) = queue.backlog(bot).await?;
        let age = oldest.map_or(0, |time| (OffsetDateTime::now_utc() - time).whole_seconds());
        depths.get_or_create(&[("bot", bot.clone())]).set(depth as i64);
        ages.get_or_create(&[("bot", bot.clone())]).set(age.max(0));
    }
    let letters: Gauge = Gauge::default();
    letters.set(queue.letters().await?.0 as i64);
    let mut registry = Registry::with_prefix("bridge");
    registry.register("queue_depth", "Messages that wait or are in flight", depths);
    registry.register("queue_age_seconds", "How old the first of them is", ages);
    registry.register("dead_letters", "Messages that cannot be delivered", letters);
    Ok(registry)
}
