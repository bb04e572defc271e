//! The sandbox over HTTP, for tests in other languages and for its page: `openapi.yaml`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::future::ready;
use futures_util::{StreamExt, stream};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::endpoint::{Endpoint, answer, read};
use super::fault::{Fault, Storm, milliseconds};
use super::log::{Answer, KEPT, News, SECRET};
use super::openapi;
use super::refusal::{Refusal, refusal};
use super::{Builder, Sandbox, lock};
use botpress_messages::ErrorType;

/// The longest wait for a response to a request that the sandbox sends itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// Everything below `/_sandbox`.
pub(super) fn router(settings: &Builder) -> Router<Arc<Endpoint>> {
    let list = |name: &'static str, record: &'static str| {
        get(async move |State(endpoint): State<Arc<Endpoint>>| {
            let records: Vec<_> = lock(&endpoint.store).all(record).cloned().collect();
            Json(json!({ name: records }))
        })
    };
    let index = || get(async || Json(openapi::index()));
    let hosts = Arc::<[String]>::from(settings.allowed_hosts.clone());
    let guard = from_fn(move |request: Request, next: Next| guard(hosts.clone(), request, next));
    let control = Router::new()
        .route("/", index())
        .route("/health", get(async || Json(json!({ "status": "ok" }))))
        .route("/openapi.json", get(async || Json(openapi::document())))
        .route("/users", list("users", "user"))
        .route("/conversations", list("conversations", "conversation"))
        .route("/messages", list("messages", "message"))
        .route("/requests", get(requests))
        .route("/send", post(send))
        .route("/settings", get(settings_now).patch(change))
        .route("/reset", post(reset))
        .route("/events", get(events))
        .fallback(async || refusal(404, ErrorType::ResourceNotFound, "there is nothing here"))
        .method_not_allowed_fallback(async || {
            refusal(405, ErrorType::MethodNotFound, "another method is needed")
        });
    // A nested router has no path that ends in a slash.
    Router::new().route("/_sandbox/", index()).nest("/_sandbox", control).layer(guard)
}

async fn requests(State(endpoint): State<Arc<Endpoint>>) -> Response {
    Json(json!({ "requests": endpoint.log.newest() })).into_response()
}

async fn settings_now(State(endpoint): State<Arc<Endpoint>>) -> Json<Settings> {
    Json(Settings::of(&endpoint))
}

async fn change(
    State(endpoint): State<Arc<Endpoint>>,
    request: Request,
) -> Result<Json<Settings>, Refusal> {
    let body = read_json(request).await?;
    let patch = Patch::read(&body).map_err(invalid)?;
    patch.apply(&endpoint);
    Ok(Json(Settings::of(&endpoint)))
}

async fn read_json(request: Request) -> Result<Bytes, Refusal> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if media_type.and_then(|m| m.split(';').next()).map(str::trim) != Some("application/json") {
        let message = "the content type must be application/json";
        return Err(refusal(415, ErrorType::UnsupportedMediaType, message));
    }
    read(request.into_body()).await
}

fn invalid(message: String) -> Refusal {
    refusal(400, ErrorType::InvalidPayload, message)
}

/// Sends the sandbox a request as a client would, with its token. So the page needs no token.
async fn send(
    State(endpoint): State<Arc<Endpoint>>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let body = read_json(request).await?;
    let request = NewRequest::read(&body).and_then(|request| request.build(&endpoint));
    let request = request.map_err(invalid)?;
    let response = async {
        let (head, body) = answer(State(endpoint), request).await.into_parts();
        // It fails if a fault breaks the connection.
        let body = read(body).await.ok()?;
        let text = || String::from_utf8_lossy(&body).into();
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| text());
        Some(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    let response = tokio::time::timeout(PATIENCE, response).await.ok().flatten();
    Ok(Json(json!({ "response": response })))
}

/// A request for the sandbox to send itself, in the form in which the log shows one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRequest {
    #[serde(default, deserialize_with = "given")]
    method: Option<String>,
    path: String,
    #[serde(default, deserialize_with = "given")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "given")]
    body: Option<Value>,
}

impl NewRequest {
    fn read(body: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        // serde would take a list for an object.
        if !body.is_object() {
            return Err("a request must be an object".into());
        }
        let request = Self::deserialize(body).map_err(|e| e.to_string())?;
        let in_path = |byte: u8| byte.is_ascii_graphic() && !b"#<>?`".contains(&byte);
        if !request.path.starts_with('/') || !request.path.bytes().all(in_path) {
            return Err("path must begin with a slash, be percent-encoded and have no query".into());
        }
        let is_method = |method: &String| method.bytes().all(|byte| byte.is_ascii_uppercase());
        if !request.method.iter().all(is_method) {
            return Err("method must be in capital letters".into());
        }
        Ok(request)
    }

    fn build(self, endpoint: &Endpoint) -> Result<Request, String> {
        let body = match self.body {
            Some(Value::String(text)) => Body::from(text),
            Some(json) => Body::from(json.to_string()),
            None => Body::empty(),
        };
        let request = Request::builder().method(self.method.as_deref().unwrap_or("POST"));
        let mut request = request.uri(self.path).body(body).map_err(|e| e.to_string())?;
        let headers = self.headers.unwrap_or_else(|| usual_headers(&endpoint.settings.bot_id));
        for (name, mut value) in headers {
            let Ok(name) = name.parse::<HeaderName>() else { continue };
            if name == AUTHORIZATION && value == SECRET {
                value = format!("Bearer {}", endpoint.settings.token);
            }
            let Ok(value) = value.parse() else { continue };
            request.headers_mut().insert(name, value);
        }
        // The body may have another length now.
        request.headers_mut().remove(CONTENT_LENGTH);
        Ok(request)
    }
}

/// The headers of the sandbox's own clients.
fn usual_headers(bot_id: &str) -> BTreeMap<String, String> {
    let headers = [
        ("authorization", SECRET),
        ("x-bot-id", bot_id),
        ("x-integration-id", Sandbox::INTEGRATION_ID),
        ("content-type", "application/json"),
    ];
    headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
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

/// Keeps the pages of other origins out, which a browser would let in: their forms and scripts send an
/// `Origin`, and a name of theirs that leads here has a dot.
async fn guard(allowed: Arc<[String]>, request: Request, next: Next) -> Response {
    match check_access(request.headers(), &allowed) {
        Ok(()) => next.run(request).await,
        Err(message) => refusal(403, ErrorType::Forbidden, message).into_response(),
    }
}

fn check_access(headers: &HeaderMap, allowed: &[String]) -> Result<(), String> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    let authority = host.parse::<Authority>().map_err(|_| "the header host is missing or wrong")?;
    let name = authority.host();
    let is_local = name.starts_with('[')
        || name.parse::<std::net::Ipv4Addr>().is_ok()
        || !name.contains('.')
        || name.ends_with(".localhost");
    if !is_local && !allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)) {
        return Err(format!(
            "the host name {name:?} has no access: start the sandbox with --allow-host {name}, \
             or with Builder::allow_host in Rust"
        ));
    }
    let is_same = |origin: &str| origin.split_once("://").is_some_and(|(_, origin)| origin == host);
    if headers.contains_key(ORIGIN) && !text(ORIGIN).is_some_and(is_same) {
        return Err("pages of other origins have no access".into());
    }
    Ok(())
}
