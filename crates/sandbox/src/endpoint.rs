//! The endpoint: checks, rejects, finds and stores as the API does, or fails on demand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures_util::StreamExt;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::fault::{Fault, Faults, send};
use super::log::{Log, News, Outcome, RecordedResponse};
use super::rejection::{Rejection, rejection};
use super::store::{Caller, Store, returned};
use super::{Builder, lock};
use botpress_messages::ErrorType;
use botpress_messages::contract::{OPERATIONS, Operation};
use botpress_messages::contract::{Path, check};
use botpress_messages::{Rule, Violation};

/// The state of one sandbox.
pub(super) struct Endpoint {
    /// The settings it was started with.
    pub(super) settings: Builder,
    pub(super) store: Mutex<Store>,
    pub(super) window: Mutex<Window>,
    pub(super) faults: Mutex<Faults>,
    pub(super) behavior: Mutex<Behavior>,
    pub(super) log: Log,
    /// Ends when the sandbox stops.
    running: watch::Receiver<()>,
}

/// Settings that can be changed while it runs, besides faults and the rate limit.
#[derive(Clone, Copy, Default)]
pub(super) struct Behavior {
    /// The delay of every response.
    pub(super) latency: Duration,
    /// The time between looking for a record and storing it.
    pub(super) lookup_gap: Duration,
    /// Whether it rejects ids that it did not give out.
    pub(super) strict: bool,
}

/// Responds to every request that is not for the page or the control API.
pub(super) async fn respond(
    State(endpoint): State<Arc<Endpoint>>,
    request: axum::extract::Request,
) -> Response {
    let (allowed, figures) = lock(&endpoint.window).count();
    let (head, body) = request.into_parts();
    let body = read(body).await;
    let operation = OPERATIONS.iter().find(|operation| operation.path == head.uri.path());
    let record = operation.map(|operation| operation.record);
    let shown = shown(&body);
    let fault = if allowed { endpoint.next_fault(record, &shown) } else { None };
    let request = endpoint.log.begin(&head, record, shown);

    let Behavior { latency, lookup_gap, strict } = *lock(&endpoint.behavior);
    let result = match fault {
        _ if !allowed => {
            let message = "too many requests, wait for the next window";
            Err(rejection(429, ErrorType::RateLimited, message))
        }
        Some(Fault::Late(after)) => {
            let endpoint = Arc::clone(&endpoint);
            tokio::spawn(async move {
                let result = endpoint.get_or_create(operation, &head, body, after, strict).await;
                endpoint.log.end(&request, result.unwrap_or_else(Rejection::into), fault, None);
            });
            tokio::time::sleep(latency).await;
            return send(None, fault).await;
        }
        Some(fault) if !fault.stores() => Ok(Outcome::Failed),
        _ => endpoint.get_or_create(operation, &head, body, lookup_gap, strict).await,
    };
    let (outcome, fault, response) = match result {
        Ok(outcome) => {
            let usual = usual(record, &outcome);
            let response = match fault {
                Some(fault) => fault.instead_of(usual),
                None => usual,
            };
            (outcome, fault, response)
        }
        Err(rejection) => {
            let mut response = rejection.response();
            if response.status == 405 {
                response.headers.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            (rejection.into(), None, Some(response))
        }
    };
    let response = response.map(|mut response| {
        response.headers.extend(figures);
        response
    });
    endpoint.log.end(&request, outcome, fault, response.clone());
    tokio::time::sleep(latency).await;
    send(response, fault).await
}

/// The API's response for this outcome.
fn usual(record: Option<&'static str>, outcome: &Outcome) -> Option<RecordedResponse> {
    let created = matches!(outcome, Outcome::Created { .. });
    let record = record?;
    let body =
        json!({ (record): returned(record, outcome.stored()?), "meta": { "created": created } });
    Some(RecordedResponse::json(200, body))
}

impl Endpoint {
    pub(super) fn new(settings: Builder, running: watch::Receiver<()>) -> Self {
        Self {
            store: Mutex::default(),
            window: Mutex::new(Window::new(&settings)),
            faults: Mutex::new(Faults::new(&settings)),
            behavior: Mutex::new(settings.behavior),
            log: Log::new(settings.observer.clone()),
            settings,
            running,
        }
    }

    /// Waits until the sandbox stops.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut running = self.running.clone();
        async move { while running.changed().await.is_ok() {} }
    }

    pub(super) fn reset(&self) {
        *lock(&self.store) = Store::default();
        *lock(&self.window) = Window::new(&self.settings);
        *lock(&self.faults) = Faults::new(&self.settings);
        *lock(&self.behavior) = self.settings.behavior;
        self.log.reset();
    }

    /// Deletes a record. Returns whether it existed.
    pub(super) fn delete(&self, id: &str) -> bool {
        let deleted = lock(&self.store).delete(id);
        if deleted {
            self.log.publish(News::State);
        }
        deleted
    }

    /// The fault of the next request, if any.
    fn next_fault(&self, record: Option<&str>, body: &Value) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        let left = faults.left();
        let fault = faults.next(record, body);
        if faults.left() != left {
            self.log.publish(News::Settings);
        }
        fault
    }

    /// Looks up a record and stores it, after the gap if there is one.
    async fn get_or_create(
        &self,
        operation: Option<&'static Operation>,
        head: &Parts,
        body: Result<Bytes, Rejection>,
        gap: Duration,
        strict: bool,
    ) -> Result<Outcome, Rejection> {
        let (method, path) = (&head.method, head.uri.path());
        let Some(operation) = operation else {
            let message = format!("no route for {method} {path}");
            return Err(rejection(404, ErrorType::ResourceNotFound, message));
        };
        if method != Method::POST {
            let message = format!("method {method} not allowed");
            return Err(rejection(405, ErrorType::MethodNotFound, message));
        }
        let integration = self.check_headers(&head.headers)?;

        let invalid = |message: String| rejection(400, ErrorType::InvalidPayload, message);
        let body: Value = serde_json::from_slice(&body?)
            .map_err(|e| invalid(format!("request/body must be JSON: {e}")))?;
        let mut violations = Vec::new();
        check(&operation.body, &Path::Root, &body, &[], &mut violations);
        if !violations.is_empty() {
            let texts: Vec<_> = violations.iter().map(in_api_words).collect();
            return Err(invalid(texts.join(", ")));
        }
        let undeclared = self.settings.definition.undeclared(operation, &body);
        if !undeclared.is_empty() {
            return Err(invalid(undeclared.join(", ")));
        }

        let caller = Caller { integration: &integration, bot_id: &self.settings.bot_id };
        let found = {
            let mut store = lock(&self.store);
            if strict {
                store.check_ids(operation, &body, caller.bot_id)?;
            }
            let found = store.find(operation, &body, caller.integration);
            if gap.is_zero() {
                return store.put(operation, found, body, caller);
            }
            found
        };
        tokio::time::sleep(gap).await;
        lock(&self.store).put(operation, found, body, caller)
    }

    /// Returns the id or alias of the calling integration.
    fn check_headers(&self, headers: &HeaderMap) -> Result<String, Rejection> {
        let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let token = header(AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
        if token != Some(&self.settings.token) {
            return Err(rejection(
                401,
                ErrorType::Unauthorized,
                "the token is missing or not valid",
            ));
        }
        let bot_id = header("x-bot-id").ok_or_else(|| {
            let message = "request/headers must have required property 'x-bot-id'";
            rejection(400, ErrorType::InvalidPayload, message)
        })?;
        if bot_id != self.settings.bot_id {
            let message = "the token gives no access to this bot";
            return Err(rejection(403, ErrorType::Forbidden, message));
        }
        let integration = header("x-integration-id").or(header("x-integration-alias"));
        let integration = integration.filter(|name| !name.is_empty()).ok_or_else(|| {
            rejection(
                403,
                ErrorType::Forbidden,
                "a bot alone is not allowed to do this: name an integration",
            )
        })?;
        let media_type = header(CONTENT_TYPE.as_str()).unwrap_or("undefined");
        let json = media_type.split(';').next().is_some_and(|m| m.trim() == "application/json");
        if !json {
            let message = format!("unsupported media type {media_type}");
            return Err(rejection(415, ErrorType::UnsupportedMediaType, message));
        }
        Ok(integration.to_owned())
    }
}

/// Reads a body, up to the size limit.
pub(super) async fn read(body: Body) -> Result<Bytes, Rejection> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let ended = |_| rejection(400, ErrorType::InvalidPayload, "the body ended too early");
        bytes.extend(chunk.map_err(ended)?);
        if bytes.len() > BODY_LIMIT {
            return Err(rejection(413, ErrorType::PayloadTooLarge, "request entity too large"));
        }
    }
    Ok(bytes.into())
}

/// A body as the log shows it.
fn shown(body: &Result<Bytes, Rejection>) -> Value {
    let Ok(body) = body else { return Value::Null };
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into())
}

/// The largest request body: 1 MB.
const BODY_LIMIT: usize = 1 << 20;
/// The requests per second that the API's documentation states.
const DOCUMENTED_LIMIT: u64 = 100;
const WINDOW: Duration = Duration::from_secs(1);

/// The requests of the current second, and the total number of rejected ones.
pub(super) struct Window {
    /// The number of requests allowed in a second.
    pub(super) limit: Option<u64>,
    start: Instant,
    requests: u64,
    pub(super) rejected: u64,
}

impl Window {
    fn new(settings: &Builder) -> Self {
        let limit = settings.requests_per_second;
        Self { limit, start: Instant::now(), requests: 0, rejected: 0 }
    }

    /// Counts a request. Returns whether the limit allows it, and the rate limit headers of its response.
    fn count(&mut self) -> (bool, HeaderMap) {
        if self.start.elapsed() >= WINDOW {
            (self.start, self.requests) = (Instant::now(), 0);
        }
        self.requests += 1;
        let (limit, requests) = match self.limit {
            Some(limit) => (limit, self.requests),
            None => (DOCUMENTED_LIMIT, 1),
        };
        let reset = WINDOW.saturating_sub(self.start.elapsed()).as_secs_f64().ceil();
        let figures = [
            ("ratelimit-limit", limit),
            ("ratelimit-remaining", limit.saturating_sub(requests)),
            ("ratelimit-reset", reset as u64),
        ];
        let figures = figures.map(|(name, figure)| (HeaderName::from_static(name), figure.into()));
        self.rejected += u64::from(requests > limit);
        (requests <= limit, HeaderMap::from_iter(figures))
    }
}

/// A violation in the API's words.
fn in_api_words(violation: &Violation) -> String {
    let path = &violation.path;
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    match &violation.rule {
        Rule::Required => format!("request/body{parent} must have required property '{name}'"),
        Rule::Unknown => format!("request/body{parent} must NOT have additional properties"),
        Rule::Type(name) => format!("request/body{path} must be {name}"),
        Rule::MinLength(min) => {
            format!("request/body{path} must NOT have fewer than {min} characters")
        }
        Rule::MaxLength(max) => {
            format!("request/body{path} must NOT have more than {max} characters")
        }
        Rule::Minimum(min) => format!("request/body{path} must be >= {min}"),
        Rule::Values(_) => format!("request/body{path} must be equal to one of the allowed values"),
        Rule::OneOf(_) => format!("request/body{path} must match exactly one schema in oneOf"),
        other => format!("request/body{path} {other}"),
    }
}
