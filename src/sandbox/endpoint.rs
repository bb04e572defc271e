//! The endpoint: checks, refuses, finds and stores as the API does, or fails as told.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::fault::{Fault, Faults};
use super::refusal::{Refusal, refusal};
use super::store::Store;
use super::{Builder, Request, lock};
use crate::attempt::BEARER;
use crate::generated::types::ErrorType;
use crate::generated::{OPERATIONS, Operation};
use crate::validate::{Path, Rule, Violation, check};

/// What one sandbox serves.
pub(super) struct Endpoint {
    pub(super) settings: Builder,
    store: Mutex<Store>,
    pub(super) window: Mutex<Window>,
    pub(super) faults: Mutex<Faults>,
}

/// The answer to any request.
pub(super) async fn answer(
    State(endpoint): State<Arc<Endpoint>>,
    request: axum::extract::Request,
) -> Response {
    let (allowed, figures) = endpoint.count();
    let fault = allowed.then(|| lock(&endpoint.faults).next()).flatten();
    let gap = endpoint.settings.lookup_gap;
    let result = match (allowed, fault) {
        (false, _) => {
            let message = "too many requests, wait for the next window";
            Err(refusal(429, ErrorType::RateLimited, message))
        }
        (true, None) => endpoint.get_or_create(request, gap).await,
        (true, Some(fault @ Fault::Late(after))) => {
            let endpoint = Arc::clone(&endpoint);
            // The body has to be read before the connection closes.
            let (head, body) = request.into_parts();
            let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
            tokio::spawn(async move {
                endpoint
                    .get_or_create(axum::extract::Request::from_parts(head, body.into()), after)
                    .await
                    .is_ok()
            });
            Ok(fault.instead_of(None).await)
        }
        (true, Some(fault)) if !fault.stores() => Ok(fault.instead_of(None).await),
        (true, Some(fault)) => match endpoint.get_or_create(request, gap).await {
            Ok(answer) => Ok(fault.instead_of(Some(answer)).await),
            refusal => refusal,
        },
    };
    tokio::time::sleep(endpoint.settings.latency).await;
    let mut response = result.unwrap_or_else(Refusal::into_response);
    response.headers_mut().extend(figures);
    response
}

impl Endpoint {
    pub(super) fn new(settings: Builder) -> Self {
        let window = Window { start: Instant::now(), requests: 0, refused: 0 };
        let storm =
            settings.storm.map(|(seed, probability)| (fastrand::Rng::with_seed(seed), probability));
        let faults = Faults { storm, ..Faults::default() };
        Self {
            settings,
            store: Mutex::default(),
            window: Mutex::new(window),
            faults: Mutex::new(faults),
        }
    }

    /// Looks a record up and, if there is a gap, stores it as much later.
    async fn get_or_create(
        &self,
        request: axum::extract::Request,
        gap: Duration,
    ) -> Result<Response, Refusal> {
        let (head, body) = request.into_parts();
        let operation = route(&head.method, head.uri.path())?;
        let integration = self.check_headers(&head.headers)?;
        let too_large = |_| refusal(413, ErrorType::PayloadTooLarge, "request entity too large");
        let body = to_bytes(body, BODY_LIMIT).await.map_err(too_large)?;

        let invalid = |message| refusal(400, ErrorType::InvalidPayload, message);
        let body: Value = serde_json::from_slice(&body)
            .map_err(|e| invalid(format!("request/body must be JSON: {e}")))?;
        let mut violations = Vec::new();
        check(&operation.body, &Path::Root, &body, &[], &mut violations);
        if !violations.is_empty() {
            let words: Vec<_> = violations.iter().map(in_api_words).collect();
            return Err(invalid(words.join(", ")));
        }

        let mut headers = head.headers;
        headers.insert(AUTHORIZATION, HeaderValue::from_static("[secret]"));
        let request = Request { record: operation.record, headers, body: body.clone() };
        let bot_id = &self.settings.bot_id;
        let found = {
            let mut store = self.store();
            if self.settings.strict {
                store.check_ids(&body, bot_id)?;
            }
            store.requests.push(request);
            store.find(operation, &body, &integration)
        };
        let (record, created) = if gap.is_zero() {
            let mut store = self.store();
            let found = store.find(operation, &body, &integration);
            store.put(operation, found, body, &integration, bot_id)?
        } else {
            tokio::time::sleep(gap).await;
            self.store().put(operation, found, body, &integration, bot_id)?
        };
        let answer = json!({ operation.record: record, "meta": { "created": created } });
        Ok(Json(answer).into_response())
    }

    /// Returns which integration calls.
    fn check_headers(&self, headers: &HeaderMap) -> Result<String, Refusal> {
        let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let token = header(AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix(BEARER));
        if token != Some(&self.settings.token) {
            return Err(refusal(401, ErrorType::Unauthorized, "the token is missing or not valid"));
        }
        let bot_id = header("x-bot-id").ok_or_else(|| {
            let message = "request/headers must have required property 'x-bot-id'";
            refusal(400, ErrorType::InvalidPayload, message)
        })?;
        if bot_id != self.settings.bot_id {
            let message = "the token gives no access to this bot";
            return Err(refusal(403, ErrorType::Forbidden, message));
        }
        let integration = header("x-integration-id").or(header("x-integration-alias"));
        let integration = integration.filter(|name| !name.is_empty()).ok_or_else(|| {
            refusal(403, ErrorType::Forbidden, "a bot alone may not do this: name an integration")
        })?;
        let media_type = header(CONTENT_TYPE.as_str()).unwrap_or("undefined");
        let json = media_type.split(';').next().is_some_and(|m| m.trim() == "application/json");
        if !json {
            let message = format!("unsupported media type {media_type}");
            return Err(refusal(415, ErrorType::UnsupportedMediaType, message));
        }
        Ok(integration.to_owned())
    }

    /// Counts a request: whether the limit allows it, and the figures for its answer.
    fn count(&self) -> (bool, HeaderMap) {
        let mut window = lock(&self.window);
        if window.start.elapsed() >= WINDOW {
            (window.start, window.requests) = (Instant::now(), 0);
        }
        window.requests += 1;
        let (limit, requests) = match self.settings.requests_per_second {
            Some(limit) => (limit, window.requests),
            None => (DOCUMENTED_LIMIT, 1),
        };
        let reset = WINDOW.saturating_sub(window.start.elapsed()).as_secs_f64().ceil();
        let figures = [
            ("ratelimit-limit", limit),
            ("ratelimit-remaining", limit.saturating_sub(requests)),
            ("ratelimit-reset", reset as u64),
        ];
        let figures = figures.map(|(name, figure)| (HeaderName::from_static(name), figure.into()));
        window.refused += u64::from(requests > limit);
        (requests <= limit, HeaderMap::from_iter(figures))
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }
}

/// A request's size may be 1 MB.
const BODY_LIMIT: usize = 1 << 20;
/// The requests a second that the API's documentation names.
const DOCUMENTED_LIMIT: u64 = 100;
const WINDOW: Duration = Duration::from_secs(1);

/// The requests of the current second, and those that were refused in all.
pub(super) struct Window {
    start: Instant,
    requests: u64,
    pub(super) refused: u64,
}

/// The operation that a request asks for.
fn route(method: &Method, path: &str) -> Result<&'static Operation, Refusal> {
    let operation = OPERATIONS.iter().find(|operation| operation.path == path);
    match operation {
        Some(operation) if method == Method::POST => Ok(operation),
        Some(_) => {
            let message = format!("method {method} not allowed");
            Err(refusal(405, ErrorType::MethodNotFound, message))
        }
        None => {
            let message = format!("no route for {method} {path}");
            Err(refusal(404, ErrorType::ResourceNotFound, message))
        }
    }
}

/// A violation as the API words it.
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
