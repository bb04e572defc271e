//! The sandbox over HTTP, for tests in other languages and for its page: `openapi.yaml`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::future::ready;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::endpoint::{Endpoint, read};
use super::fault::{Fault, Storm, milliseconds};
use super::lock;
use super::log::{KEPT, News};
use super::refusal::{Refusal, refusal};
use botpress_messages::ErrorType;

/// What stands under `/_sandbox`.
pub(super) fn router() -> Router<Arc<Endpoint>> {
    let list = |name: &'static str, record: &'static str| {
        get(async move |State(endpoint): State<Arc<Endpoint>>| {
            let records: Vec<_> = lock(&endpoint.store).all(record).cloned().collect();
            Json(json!({ name: records }))
        })
    };
    Router::new()
        .route("/users", list("users", "user"))
        .route("/conversations", list("conversations", "conversation"))
        .route("/messages", list("messages", "message"))
        .route("/requests", get(requests))
        .route("/settings", get(settings).patch(change))
        .route("/reset", post(reset))
        .route("/events", get(events))
        .fallback(async || refusal(404, ErrorType::ResourceNotFound, "there is nothing here"))
        .method_not_allowed_fallback(async || {
            refusal(405, ErrorType::MethodNotFound, "another method is needed")
        })
        .layer(from_fn(guard))
}

async fn requests(State(endpoint): State<Arc<Endpoint>>) -> Response {
    Json(json!({ "requests": endpoint.log.newest() })).into_response()
}

async fn settings(State(endpoint): State<Arc<Endpoint>>) -> Json<Settings> {
    Json(Settings::of(&endpoint))
}

async fn change(
    State(endpoint): State<Arc<Endpoint>>,
    request: Request,
) -> Result<Json<Settings>, Refusal> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if media_type.and_then(|m| m.split(';').next()).map(str::trim) != Some("application/json") {
        let message = "settings have to be application/json";
        return Err(refusal(415, ErrorType::UnsupportedMediaType, message));
    }
    let invalid = |message| refusal(400, ErrorType::InvalidPayload, message);
    let body = read(request.into_body()).await?;
    let patch = Patch::read(&body).map_err(invalid)?;
    patch.apply(&endpoint);
    Ok(Json(Settings::of(&endpoint)))
}

async fn reset(State(endpoint): State<Arc<Endpoint>>) -> StatusCode {
    endpoint.reset();
    StatusCode::NO_CONTENT
}

/// How the sandbox behaves, as it can be changed while it runs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    faults: Vec<Option<Fault>>,
    storm: Option<Weather>,
    latency_milliseconds: u64,
    requests_per_second: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weather {
    seed: u64,
    probability: f64,
}

impl Settings {
    fn of(endpoint: &Endpoint) -> Self {
        let requests_per_second = lock(&endpoint.window).limit;
        let faults = lock(&endpoint.faults);
        let storm = faults.storm.as_ref();
        Self {
            faults: faults.script.iter().copied().collect(),
            storm: storm.map(|&Storm { seed, probability, .. }| Weather { seed, probability }),
            latency_milliseconds: milliseconds(faults.latency),
            requests_per_second,
        }
    }
}

/// New settings. What is missing stays as it is; what may be null is turned off by it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Patch {
    #[serde(default, deserialize_with = "given")]
    faults: Option<Vec<Option<Fault>>>,
    #[serde(default, deserialize_with = "given")]
    storm: Option<Option<Weather>>,
    #[serde(default, deserialize_with = "given")]
    latency_milliseconds: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    requests_per_second: Option<Option<u64>>,
}

/// Tells null from nothing.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

impl Patch {
    fn read(body: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        // serde would take a list for an object.
        let lists = |(name, value): (&String, &Value)| match value {
            Value::Array(faults) if name == "faults" => faults.iter().any(has_list),
            value => has_list(value),
        };
        if body.as_object().is_none_or(|settings| settings.iter().any(lists)) {
            return Err("settings have to be an object, and only faults a list".into());
        }
        let patch = Self::deserialize(body).map_err(|e| e.to_string())?;
        patch.check()?;
        Ok(patch)
    }

    fn check(&self) -> Result<(), String> {
        let at_most = |name: &str, value: u64, most: u64| match value <= most {
            true => Ok(()),
            false => Err(format!("{name} may be at most {most}")),
        };
        if let Some(Some(storm)) = &self.storm {
            // What JavaScript can count to.
            at_most("storm.seed", storm.seed, (1 << 53) - 1)?;
            if !(0.0..=1.0).contains(&storm.probability) {
                return Err("storm.probability has to be between 0 and 1".into());
            }
        }
        at_most("latencyMilliseconds", self.latency_milliseconds.unwrap_or_default(), 60_000)?;
        let limit = self.requests_per_second.flatten().unwrap_or_default();
        at_most("requestsPerSecond", limit, 1_000_000)?;
        let faults = self.faults.iter().flatten();
        at_most("the number of faults", faults.clone().count() as u64, 1_000)?;
        faults.flatten().try_for_each(|fault| match fault {
            Fault::Page { status, .. } | Fault::Error { status, .. } => match status {
                200..=599 => Ok(()),
                _ => Err("the status of a fault has to be between 200 and 599".into()),
            },
            Fault::Late(after) => at_most("late", milliseconds(*after), 60_000),
            Fault::Limited(seconds) => at_most("limited", *seconds, 3_600),
            _ => Ok(()),
        })
    }

    fn apply(self, endpoint: &Endpoint) {
        if let Some(limit) = self.requests_per_second {
            lock(&endpoint.window).limit = limit;
        }
        let mut faults = lock(&endpoint.faults);
        if let Some(script) = self.faults {
            faults.script = script.into();
        }
        if let Some(storm) = self.storm {
            faults.storm = storm.map(|storm| Storm::new(storm.seed, storm.probability));
        }
        if let Some(latency) = self.latency_milliseconds {
            faults.latency = Duration::from_millis(latency);
        }
        drop(faults);
        endpoint.log.tell(News::Settings);
    }
}

fn has_list(value: &Value) -> bool {
    match value {
        Value::Array(_) => true,
        Value::Object(object) => object.values().any(has_list),
        _ => false,
    }
}

/// What is there, then what happens. Whoever falls behind gets what is there again.
async fn events(State(endpoint): State<Arc<Endpoint>>) -> Response {
    // In this order nothing is missed. What is told twice is told as it is last.
    let news = endpoint.log.follow();
    let state = event("state", &state(&endpoint));
    let stopped = endpoint.stopped();
    let later = stream::unfold((endpoint, news), async |(endpoint, mut news)| {
        let event = match news.recv().await {
            Ok(News::Request(request)) => event("request", &*request),
            Ok(News::Settings) => event("settings", &Settings::of(&endpoint)),
            Ok(News::Reset) | Err(RecvError::Lagged(_)) => event("state", &self::state(&endpoint)),
            Err(RecvError::Closed) => return None,
        };
        Some((event, (endpoint, news)))
    });
    let events = stream::once(ready(state)).chain(later).take_until(stopped);
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

fn event(name: &str, data: &impl Serialize) -> Result<Event, axum::Error> {
    Event::default().event(name).json_data(data)
}

/// The newest of everything.
fn state(endpoint: &Endpoint) -> Value {
    let newest = |record| {
        let store = lock(&endpoint.store);
        let mut records: Vec<_> = store.all(record).rev().take(KEPT).cloned().collect();
        records.reverse();
        records
    };
    json!({
        "users": newest("user"),
        "conversations": newest("conversation"),
        "messages": newest("message"),
        "requests": endpoint.log.newest(),
        "settings": Settings::of(endpoint),
    })
}

/// Keeps the pages of other origins out, which a browser would let in: their forms and scripts say an
/// `Origin`, and a name of theirs that leads here has a dot.
async fn guard(request: Request, next: Next) -> Response {
    if !is_from_here(request.headers()) {
        let message = "pages of other origins have no access";
        return refusal(403, ErrorType::Forbidden, message).into_response();
    }
    next.run(request).await
}

fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(host) = text(HOST) else { return false };
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let local = name.starts_with('[')
        || name.parse::<std::net::Ipv4Addr>().is_ok()
        || !name.contains('.')
        || name.ends_with(".localhost");
    let same = |origin: &str| origin.split_once("://").is_some_and(|(_, origin)| origin == host);
    local && (!headers.contains_key(ORIGIN) || text(ORIGIN).is_some_and(same))
}
