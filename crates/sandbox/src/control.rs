//! The sandbox over HTTP, for tests in other languages and for its page: `openapi.yaml`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use futures_util::future::ready;
use futures_util::{StreamExt, stream};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::endpoint::{Behavior, Endpoint, read, respond};
use super::fault::{Fault, Storm, TargetedFault, given, has_text, milliseconds};
use super::log::{self, KEPT, News, RecordedResponse, SECRET};
use super::openapi;
use super::rejection::{Rejection, rejection};
use super::{Builder, Sandbox, lock};
use botpress_messages::ErrorType;
use botpress_messages::contract::OPERATIONS;

/// The longest wait for a response to a request that the sandbox sends itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest latency and lookup gap, in milliseconds.
const LONGEST: u64 = 60_000;
/// The largest integer that JavaScript represents exactly.
const JAVASCRIPT_MAX: u64 = (1 << 53) - 1;
/// The settings that are lists.
const LISTS: [&str; 2] = ["faults", "targetedFaults"];

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
        .route("/records/{id}", delete(delete_record))
        .route("/requests", get(requests))
        .route("/send", post(send))
        .route("/settings", get(settings_now).patch(change))
        .route("/reset", post(reset))
        .route("/events", get(events))
        .fallback(async || rejection(404, ErrorType::ResourceNotFound, "no such path"))
        .method_not_allowed_fallback(async || {
            rejection(405, ErrorType::MethodNotFound, "this method is not allowed")
        });
    // A nested router has no path that ends in a slash.
    Router::new().route("/_sandbox/", index()).nest("/_sandbox", control).layer(guard)
}

async fn requests(
    State(endpoint): State<Arc<Endpoint>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Rejection> {
    let filter = Filter::read(query.as_deref().unwrap_or_default()).map_err(invalid)?;
    let mut requests = endpoint.log.newest();
    requests.retain(|request| filter.matches(request));
    let rejected = lock(&endpoint.window).rejected;
    Ok(Json(json!({ "requests": requests, "rejectedByLimit": rejected })))
}

/// Selects the requests to list: those that match every given field.
#[derive(Default)]
struct Filter {
    record: Option<String>,
    outcome: Option<String>,
    tag: Option<(String, String)>,
    text: Option<String>,
    after: u64,
}

impl Filter {
    const OUTCOMES: [&str; 5] = ["open", "created", "found", "rejected", "failed"];

    fn read(query: &str) -> Result<Self, String> {
        let (mut filter, mut names) = (Self::default(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            if names.contains(&name) {
                return Err(format!("{name} must be given once"));
            }
            names.push(name.clone());
            match &*name {
                "record" => filter.record = Some(known_record("record", value)?),
                "outcome" if Self::OUTCOMES.contains(&&*value) => filter.outcome = Some(value),
                "outcome" => {
                    return Err(format!("outcome must be one of {}", Self::OUTCOMES.join(", ")));
                }
                "tag" => {
                    let (name, value) =
                        value.split_once('=').ok_or("tag must be a name, = and a value")?;
                    filter.tag = Some((name.to_owned(), value.to_owned()));
                }
                "text" => filter.text = Some(value),
                "after" => {
                    filter.after = value.parse().map_err(|e| format!("after: {e}"))?;
                    at_most("after", filter.after, JAVASCRIPT_MAX)?;
                }
                other => return Err(format!("{other}: no such filter")),
            }
        }
        Ok(filter)
    }

    fn matches(&self, request: &log::Request) -> bool {
        let Self { record, outcome, tag, text, after } = self;
        let body = &request.body;
        request.number > *after
            && (record.is_none() || record.as_deref() == request.record)
            && outcome.as_ref().is_none_or(|outcome| outcome == request.outcome.name())
            && tag.as_ref().is_none_or(|(name, value)| body["tags"][name] == **value)
            && text.as_ref().is_none_or(|text| has_text(body, text))
    }
}

/// Checks the name of a record.
fn known_record(field: &str, name: String) -> Result<String, String> {
    if OPERATIONS.iter().any(|operation| operation.record == name) {
        return Ok(name);
    }
    let records = OPERATIONS.each_ref().map(|operation| operation.record).join(", ");
    Err(format!("{field} must be one of {records}"))
}

async fn delete_record(
    State(endpoint): State<Arc<Endpoint>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Rejection> {
    if endpoint.delete(&id) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(rejection(404, ErrorType::ResourceNotFound, format!("id: no record has the id {id:?}")))
}

async fn settings_now(State(endpoint): State<Arc<Endpoint>>) -> Json<Settings> {
    Json(Settings::of(&endpoint))
}

async fn change(
    State(endpoint): State<Arc<Endpoint>>,
    request: Request,
) -> Result<Json<Settings>, Rejection> {
    let body = read_json(request).await?;
    let patch = Patch::read(&body).map_err(invalid)?;
    patch.apply(&endpoint);
    Ok(Json(Settings::of(&endpoint)))
}

async fn read_json(request: Request) -> Result<Bytes, Rejection> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if media_type.and_then(|m| m.split(';').next()).map(str::trim) != Some("application/json") {
        let message = "the content type must be application/json";
        return Err(rejection(415, ErrorType::UnsupportedMediaType, message));
    }
    read(request.into_body()).await
}

fn invalid(message: String) -> Rejection {
    rejection(400, ErrorType::InvalidPayload, message)
}

/// Sends a request to the sandbox as a client would, with its token, so that the page needs no token.
async fn send(
    State(endpoint): State<Arc<Endpoint>>,
    request: Request,
) -> Result<Json<Value>, Rejection> {
    let body = read_json(request).await?;
    let request = NewRequest::read(&body).and_then(|request| request.build(&endpoint));
    let request = request.map_err(invalid)?;
    let response = async {
        let (head, body) = respond(State(endpoint), request).await.into_parts();
        // It fails if a fault breaks the connection.
        let body = read(body).await.ok()?;
        let text = || String::from_utf8_lossy(&body).into();
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| text());
        Some(RecordedResponse { status: head.status.as_u16(), headers: head.headers, body })
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
        let request: Self = serde_path_to_error::deserialize(body).map_err(|e| e.to_string())?;
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
        // The length of the body may have changed.
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

/// The settings that can be changed while the sandbox runs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    faults: Vec<Option<Fault>>,
    targeted_faults: Vec<TargetedFault>,
    storm: Option<StormSettings>,
    latency_milliseconds: u64,
    lookup_gap_milliseconds: u64,
    requests_per_second: Option<u64>,
    strict: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StormSettings {
    seed: u64,
    probability: f64,
}

impl Settings {
    fn of(endpoint: &Endpoint) -> Self {
        let requests_per_second = lock(&endpoint.window).limit;
        let Behavior { latency, lookup_gap, strict } = *lock(&endpoint.behavior);
        let faults = lock(&endpoint.faults);
        let storm = faults.storm.as_ref();
        Self {
            faults: faults.script.iter().copied().collect(),
            storm: storm
                .map(|&Storm { seed, probability, .. }| StormSettings { seed, probability }),
            targeted_faults: faults.targeted.clone(),
            latency_milliseconds: milliseconds(latency),
            lookup_gap_milliseconds: milliseconds(lookup_gap),
            requests_per_second,
            strict,
        }
    }
}

/// New settings. Missing ones keep their values; null turns off the storm or the limit.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Patch {
    #[serde(default, deserialize_with = "given")]
    faults: Option<Vec<Option<Fault>>>,
    #[serde(default, deserialize_with = "given")]
    targeted_faults: Option<Vec<TargetedFault>>,
    #[serde(default, deserialize_with = "given")]
    storm: Option<Option<StormSettings>>,
    #[serde(default, deserialize_with = "given")]
    latency_milliseconds: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    lookup_gap_milliseconds: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    requests_per_second: Option<Option<u64>>,
    #[serde(default, deserialize_with = "given")]
    strict: Option<bool>,
}

impl Patch {
    fn read(body: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        // serde would take a list for an object.
        let settings = body.as_object().ok_or("settings must be an object")?;
        for (name, value) in settings {
            let has_list = match value {
                Value::Array(faults) if LISTS.contains(&&**name) => faults.iter().any(has_list),
                value => has_list(value),
            };
            if has_list {
                return Err(format!("{name}: expected an object, found a list"));
            }
        }
        let patch: Self = serde_path_to_error::deserialize(body).map_err(|e| e.to_string())?;
        patch.check()?;
        Ok(patch)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(Some(storm)) = &self.storm {
            at_most("storm.seed", storm.seed, JAVASCRIPT_MAX)?;
            if !(0.0..=1.0).contains(&storm.probability) {
                return Err("storm.probability must be between 0 and 1".into());
            }
        }
        let times = [
            ("latencyMilliseconds", self.latency_milliseconds),
            ("lookupGapMilliseconds", self.lookup_gap_milliseconds),
        ];
        for (name, time) in times {
            at_most(name, time.unwrap_or_default(), LONGEST)?;
        }
        let limit = self.requests_per_second.flatten().unwrap_or_default();
        at_most("requestsPerSecond", limit, 1_000_000)?;
        let scripted = self.faults.as_deref().unwrap_or_default();
        let targeted = self.targeted_faults.as_deref().unwrap_or_default();
        for (list, length) in LISTS.into_iter().zip([scripted.len(), targeted.len()]) {
            at_most(&format!("the length of {list}"), length as u64, 1_000)?;
        }
        for (index, fault) in scripted.iter().enumerate() {
            fault.map_or(Ok(()), |fault| check_fault(fault, &format!("faults[{index}]")))?;
        }
        for (index, TargetedFault { fault, record, .. }) in targeted.iter().enumerate() {
            let at = format!("targetedFaults[{index}]");
            check_fault(*fault, &format!("{at}.fault"))?;
            if let Some(record) = record {
                known_record(&format!("{at}.record"), record.clone())?;
            }
        }
        Ok(())
    }

    fn apply(self, endpoint: &Endpoint) {
        if let Some(limit) = self.requests_per_second {
            lock(&endpoint.window).limit = limit;
        }
        let mut faults = lock(&endpoint.faults);
        if let Some(script) = self.faults {
            faults.script = script.into();
        }
        if let Some(targeted) = self.targeted_faults {
            faults.targeted = targeted;
        }
        if let Some(storm) = self.storm {
            faults.storm = storm.map(|storm| Storm::new(storm.seed, storm.probability));
        }
        drop(faults);
        let mut behavior = lock(&endpoint.behavior);
        let Behavior { latency, lookup_gap, strict } = *behavior;
        *behavior = Behavior {
            latency: self.latency_milliseconds.map_or(latency, Duration::from_millis),
            lookup_gap: self.lookup_gap_milliseconds.map_or(lookup_gap, Duration::from_millis),
            strict: self.strict.unwrap_or(strict),
        };
        drop(behavior);
        endpoint.log.publish(News::Settings);
    }
}

fn check_fault(fault: Fault, at: &str) -> Result<(), String> {
    match fault {
        Fault::Page { status, .. } | Fault::Error { status, .. } => match status {
            200..=599 => Ok(()),
            _ => Err(format!("{at}: the status must be between 200 and 599")),
        },
        Fault::Late(after) => at_most(&format!("{at}.late"), milliseconds(after), LONGEST),
        Fault::Limited(seconds) => at_most(&format!("{at}.limited"), seconds, 3_600),
        _ => Ok(()),
    }
}

fn at_most(name: &str, value: u64, most: u64) -> Result<(), String> {
    if value <= most { Ok(()) } else { Err(format!("{name} must be at most {most}")) }
}

fn has_list(value: &Value) -> bool {
    match value {
        Value::Array(_) => true,
        Value::Object(object) => object.values().any(has_list),
        _ => false,
    }
}

/// Streams a snapshot, then updates. A reader that falls behind gets a new snapshot.
async fn events(State(endpoint): State<Arc<Endpoint>>) -> Response {
    // Subscribing first misses nothing. An update that is sent twice is sent in its newest form.
    let news = endpoint.log.follow();
    let state = event("state", &state(&endpoint));
    let stopped = endpoint.stopped();
    let later = stream::unfold((endpoint, news), async |(endpoint, mut news)| {
        let event = match news.recv().await {
            Ok(News::Request(request)) => event("request", &*request),
            Ok(News::Settings) => event("settings", &Settings::of(&endpoint)),
            Ok(News::State) | Err(RecvError::Lagged(_)) => event("state", &self::state(&endpoint)),
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

/// Rejects pages of other origins, which a browser would allow: their forms and scripts send an `Origin`, and a
/// domain of theirs that resolves to this machine has a dot.
async fn guard(allowed: Arc<[String]>, request: Request, next: Next) -> Response {
    match check_access(request.headers(), &allowed) {
        Ok(()) => next.run(request).await,
        Err(message) => rejection(403, ErrorType::Forbidden, message).into_response(),
    }
}

fn check_access(headers: &HeaderMap, allowed: &[String]) -> Result<(), String> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    let authority =
        host.parse::<Authority>().map_err(|_| "the header host is missing or invalid")?;
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
