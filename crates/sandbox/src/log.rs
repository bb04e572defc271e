//! The newest requests, the outcome of each, and their subscribers.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::response::Response;
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, PROXY_AUTHORIZATION};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::sync::broadcast;

use super::{Fault, lock};

/// A request and its outcome. Its `Display` form is one line.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Request {
    /// Its place in the order of arrival; the first is 1.
    pub number: u64,
    /// When it arrived.
    pub at: DateTime<Utc>,
    /// Its method.
    #[serde(serialize_with = "text")]
    pub method: Method,
    /// Its path.
    pub path: String,
    /// The kind of record to find or create (`user`, `conversation` or `message`), if the path names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<&'static str>,
    /// Its headers, without the token.
    #[serde(serialize_with = "headers")]
    pub headers: HeaderMap,
    /// Its body: JSON, or a text if it was not JSON; null if it was too large or not received completely.
    pub body: Value,
    /// Its outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The fault that made it fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// The response, unless a fault suppressed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<RecordedResponse>,
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
#[non_exhaustive]
pub enum Outcome {
    /// The request is in flight.
    Open,
    /// It created a record.
    Created {
        /// The record.
        stored: Value,
    },
    /// It found a record, and updated it.
    Found {
        /// The record as it is now.
        stored: Value,
        /// What the request changed.
        changes: Vec<Change>,
    },
    /// It was rejected, for example because it violates the contract or exceeds the rate limit.
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The error message of the API.
        reason: String,
    },
    /// A fault came first: no record was looked up.
    Failed,
}

/// What an update changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// Where in the record, as a JSON Pointer: `/payload/text`.
    pub path: String,
    /// The value before, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value now, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// A response as it was sent.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RecordedResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers that the sandbox sets.
    #[serde(serialize_with = "headers")]
    pub headers: HeaderMap,
    /// The body: JSON, or a text if it is not JSON or was cut off.
    pub body: Value,
}

impl Outcome {
    /// Its name in JSON.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Created { .. } => "created",
            Self::Found { .. } => "found",
            Self::Rejected { .. } => "rejected",
            Self::Failed => "failed",
        }
    }

    /// The record that was created or found.
    pub fn stored(&self) -> Option<&Value> {
        match self {
            Self::Created { stored } | Self::Found { stored, .. } => Some(stored),
            _ => None,
        }
    }
}

impl RecordedResponse {
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self::new(status, "application/json", body)
    }

    pub(super) fn new(status: u16, media_type: &'static str, body: Value) -> Self {
        let media_type = (CONTENT_TYPE, HeaderValue::from_static(media_type));
        Self { status, headers: HeaderMap::from_iter([media_type]), body }
    }

    /// The body as it is sent.
    pub(super) fn text(&self) -> String {
        match &self.body {
            Value::String(text) => text.clone(),
            json => json.to_string(),
        }
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.text()));
        let status = StatusCode::from_u16(self.status);
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = self.headers;
        response
    }
}

/// A line for the console: time, record, outcome, id, tags, what an update changed, fault.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = match self.record {
            Some(record) => record.to_owned(),
            None => format!("{} {}", self.method, plain(&self.path)),
        };
        write!(f, "{} {asked:<12} ", self.at.format("%H:%M:%S%.3fZ"))?;
        match &self.outcome {
            Outcome::Open => write!(f, "open")?,
            Outcome::Created { .. } => write!(f, "created")?,
            Outcome::Found { .. } => write!(f, "found  ")?,
            Outcome::Rejected { status, reason } => {
                write!(f, "rejected {status} {}", plain(reason))?
            }
            Outcome::Failed => write!(f, "failed ")?,
        }
        if let Some(record) = self.outcome.stored() {
            write!(f, " {}", record["id"].as_str().unwrap_or_default())?;
            for (name, value) in record["tags"].as_object().into_iter().flatten() {
                write!(f, " {}={}", plain(name), plain(&value.to_string()))?;
            }
        }
        if let Some(schedule) = self.body["schedule"].as_object() {
            for (name, value) in schedule {
                write!(f, "; scheduled: {name} {}", plain(&value.to_string()))?;
            }
        }
        if let Some(origin) = self.body["origin"].as_str() {
            write!(f, "; origin: {}", plain(origin))?;
        }
        if let Outcome::Found { changes, .. } = &self.outcome {
            for (index, change) in changes.iter().enumerate() {
                let before = if index == 0 { "; changed" } else { "," };
                write!(f, "{before} {}", plain(&change.path))?;
            }
        }
        self.fault.iter().try_for_each(|fault| write!(f, "; fault: {fault}"))
    }
}

/// A text from outside, escaped so that it cannot control a terminal.
fn plain(text: &str) -> String {
    let quoted = |c: char| match c {
        '"' | '\'' | '\\' => c.to_string(),
        c => c.escape_debug().to_string(),
    };
    text.chars().map(quoted).collect()
}

fn text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// An object. The values of a repeated header are joined.
fn headers<S: Serializer>(headers: &HeaderMap, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.keys().map(|name| {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
        (name.as_str(), values.collect::<Vec<_>>().join(", "))
    }))
}

/// A function that is called with each completed request.
pub(super) type Observer = Arc<dyn Fn(&Request) + Send + Sync>;

/// Events sent to log subscribers.
#[derive(Clone)]
pub(super) enum News {
    /// A request arrived, or its outcome is known.
    Request(Arc<Request>),
    /// The settings changed.
    Settings,
    /// A record was deleted, or everything was.
    State,
}

/// The newest requests.
pub(super) struct Log {
    entries: Mutex<Entries>,
    news: broadcast::Sender<News>,
    observer: Option<Observer>,
}

#[derive(Default)]
struct Entries {
    newest: VecDeque<Arc<Request>>,
    count: u64,
}

/// Stands for the token and other secrets.
pub(super) const SECRET: &str = "[secret]";
/// The number of records of each kind, and of requests, that are shown.
pub(super) const KEPT: usize = 1_000;
/// The number of events that a subscriber can lag behind.
const MAX_LAG: usize = 256;

impl Log {
    pub(super) fn new(observer: Option<Observer>) -> Self {
        Self { entries: Mutex::default(), news: broadcast::Sender::new(MAX_LAG), observer }
    }

    /// Records a request that arrived.
    pub(super) fn begin(
        &self,
        head: &Parts,
        record: Option<&'static str>,
        body: Value,
    ) -> Arc<Request> {
        let mut headers = head.headers.clone();
        for name in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE] {
            if headers.contains_key(&name) {
                headers.insert(name, HeaderValue::from_static(SECRET));
            }
        }
        let mut entries = lock(&self.entries);
        entries.count += 1;
        let request = Arc::new(Request {
            number: entries.count,
            at: Utc::now(),
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            record,
            headers,
            body,
            outcome: Outcome::Open,
            fault: None,
            response: None,
        });
        entries.newest.push_back(Arc::clone(&request));
        if entries.newest.len() > KEPT {
            entries.newest.pop_front();
        }
        self.publish(News::Request(Arc::clone(&request)));
        request
    }

    /// Records the outcome of a request.
    pub(super) fn end(
        &self,
        request: &Request,
        outcome: Outcome,
        fault: Option<Fault>,
        response: Option<RecordedResponse>,
    ) {
        let request = Arc::new(Request { outcome, fault, response, ..request.clone() });
        let mut entries = lock(&self.entries);
        let mut newest = entries.newest.iter_mut().rev();
        if let Some(entry) = newest.find(|entry| entry.number == request.number) {
            *entry = Arc::clone(&request);
            self.publish(News::Request(Arc::clone(&request)));
        }
        drop(entries);
        if let Some(observer) = &self.observer {
            observer(&request);
        }
    }

    pub(super) fn newest(&self) -> Vec<Request> {
        lock(&self.entries).newest.iter().map(|request| Request::clone(request)).collect()
    }

    /// Forgets the requests but keeps counting, so that no number is used twice.
    pub(super) fn reset(&self) {
        let mut entries = lock(&self.entries);
        entries.newest.clear();
        self.publish(News::State);
    }

    /// Sends an event to all subscribers. Requests are published under the lock, in the order of their recording.
    pub(super) fn publish(&self, news: News) {
        // It fails if there are no subscribers.
        let _ = self.news.send(news);
    }

    pub(super) fn follow(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }
}
