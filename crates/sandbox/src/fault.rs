//! How requests to the sandbox fail: by target, by a script, or at random.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::Stream;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::Builder;
use super::log::RecordedResponse;
use super::rejection::rejection;
use botpress_messages::ErrorType;

/// A way in which a request fails. `stored` says whether the record is stored before it fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fault {
    /// The connection closes without a response.
    Reset {
        /// Whether the record is stored.
        stored: bool,
    },
    /// The connection closes without a response. The record is looked up now and stored this much later.
    Late(#[serde(with = "as_milliseconds")] Duration),
    /// The connection stays open without a response.
    Silence {
        /// Whether the record is stored.
        stored: bool,
    },
    /// A gateway responds with an HTML page.
    Page {
        /// The HTTP status, such as 502.
        status: u16,
        /// Whether the record is stored.
        stored: bool,
    },
    /// The API responds with an error.
    Error {
        /// The HTTP status, such as 500.
        status: u16,
        /// Whether the record is stored.
        stored: bool,
    },
    /// The response is a 200 and ends in the middle. The record is stored.
    Truncated,
    /// The API responds 429 and asks to wait this number of seconds. Nothing is stored.
    Limited(u64),
}

/// A [`Fault`] for requests that match everything that is set here. It happens once, unless
/// [`always`](Self::always) is set.
///
/// ```
/// # use botpress_sandbox::{Fault, Sandbox, TargetedFault};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let sandbox = Sandbox::start().await?;
/// let unavailable = Fault::Page { status: 503, stored: false };
/// sandbox.fail_when(TargetedFault::new(unavailable).record("message").text("Hello").always());
/// # Ok(())
/// # }
/// ```
#[must_use]
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetedFault {
    pub(super) fault: Fault,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub(super) record: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default)]
    always: bool,
}

impl TargetedFault {
    /// A fault for the next request of any kind.
    pub fn new(fault: Fault) -> Self {
        Self { fault, record: None, tags: BTreeMap::new(), text: None, always: false }
    }

    /// For requests for a `message`, a `user` or a `conversation`.
    pub fn record(mut self, record: impl Into<String>) -> Self {
        self.record = Some(record.into());
        self
    }

    /// For requests with this tag.
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(name.into(), value.into());
        self
    }

    /// For requests with this text somewhere in a value of the body.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// For every request that matches, not just the first.
    pub fn always(mut self) -> Self {
        self.always = true;
        self
    }

    fn matches(&self, record: Option<&str>, body: &Value) -> bool {
        (self.record.is_none() || self.record.as_deref() == record)
            && self.tags.iter().all(|(name, value)| body["tags"][name] == **value)
            && self.text.as_ref().is_none_or(|text| has_text(body, text))
    }
}

/// Whether a value contains a text, in one of its strings.
pub(super) fn has_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(string) => string.contains(text),
        Value::Array(items) => items.iter().any(|item| has_text(item, text)),
        Value::Object(object) => object.values().any(|value| has_text(value, text)),
        _ => false,
    }
}

impl Fault {
    pub(super) fn stores(self) -> bool {
        match self {
            Self::Reset { stored }
            | Self::Silence { stored }
            | Self::Page { stored, .. }
            | Self::Error { stored, .. } => stored,
            Self::Truncated => true,
            Self::Late(_) | Self::Limited(_) => false,
        }
    }

    /// The response to send instead of `response`, which exists if the record is stored.
    pub(super) fn instead_of(self, response: Option<RecordedResponse>) -> Option<RecordedResponse> {
        match self {
            Self::Reset { .. } | Self::Late(_) | Self::Silence { .. } => None,
            Self::Page { status, .. } => {
                let page = "<html>\n<h1>Gateway</h1>\n</html>".into();
                Some(RecordedResponse::new(status, "text/html; charset=utf-8", page))
            }
            Self::Error { status, .. } => {
                let type_ = match status {
                    400 => ErrorType::InvalidPayload,
                    401 => ErrorType::Unauthorized,
                    403 => ErrorType::Forbidden,
                    404 => ErrorType::ResourceNotFound,
                    409 => ErrorType::AlreadyExists,
                    429 => ErrorType::RateLimited,
                    504 => ErrorType::OperationTimeout,
                    _ => ErrorType::Internal,
                };
                Some(rejection(status, type_, "error injected by the sandbox").response())
            }
            Self::Truncated => response.map(|mut response| {
                let mut text = response.text();
                response.headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
                let half = (0..=text.len() / 2).rev().find(|end| text.is_char_boundary(*end));
                text.truncate(half.unwrap_or_default());
                RecordedResponse { body: Value::String(text), ..response }
            }),
            Self::Limited(seconds) => {
                let rejection = rejection(429, ErrorType::RateLimited, "too many requests");
                let mut response = rejection.response();
                response.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
                Some(response)
            }
        }
    }
}

/// Sends a response, or what the fault leaves of it. Without a response, the connection breaks.
pub(super) async fn send(response: Option<RecordedResponse>, fault: Option<Fault>) -> Response {
    match (response, fault) {
        (_, Some(Fault::Silence { .. })) => std::future::pending().await,
        (Some(response), Some(Fault::Truncated)) => {
            let start = response.text().into();
            let mut response = response.into_response();
            *response.body_mut() = cut(Some(start));
            response
        }
        (Some(response), _) => response.into_response(),
        (None, _) => Response::new(cut(None)),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset { .. } => write!(f, "reset")?,
            Self::Late(after) => write!(f, "reset, stored {after:?} later")?,
            Self::Silence { .. } => write!(f, "silence")?,
            Self::Page { status, .. } => write!(f, "page {status}")?,
            Self::Error { status, .. } => write!(f, "error {status}")?,
            Self::Truncated => write!(f, "truncated")?,
            Self::Limited(seconds) => write!(f, "limited for {seconds} s")?,
        }
        if self.stores() { write!(f, ", stored") } else { Ok(()) }
    }
}

pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Distinguishes an explicit `null` from a missing field.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// A time in JSON, in milliseconds.
mod as_milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(super::milliseconds(*time))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// Which of the next requests fail, and how.
pub(super) struct Faults {
    pub(super) targeted: Vec<TargetedFault>,
    pub(super) script: VecDeque<Option<Fault>>,
    pub(super) storm: Option<Storm>,
}

/// Random faults.
pub(super) struct Storm {
    pub(super) seed: u64,
    pub(super) probability: f64,
    random: fastrand::Rng,
}

impl Storm {
    /// The faults to choose from.
    const FAULTS: [Fault; 8] = [
        Fault::Reset { stored: false },
        Fault::Reset { stored: true },
        Fault::Page { status: 502, stored: false },
        Fault::Page { status: 503, stored: true },
        Fault::Error { status: 500, stored: true },
        Fault::Error { status: 504, stored: false },
        Fault::Truncated,
        Fault::Limited(1),
    ];

    pub(super) fn new(seed: u64, probability: f64) -> Self {
        Self { seed, probability, random: fastrand::Rng::with_seed(seed) }
    }

    fn next(&mut self) -> Option<Fault> {
        let fails = self.random.f64() < self.probability;
        fails.then(|| self.random.choice(Self::FAULTS)).flatten()
    }
}

impl Faults {
    pub(super) fn new(settings: &Builder) -> Self {
        let storm = settings.storm.map(|(seed, probability)| Storm::new(seed, probability));
        Self { targeted: Vec::new(), script: VecDeque::new(), storm }
    }

    /// How many faults are prepared.
    pub(super) fn left(&self) -> usize {
        self.targeted.len() + self.script.len()
    }

    /// The fault of the next request: the first targeted one that matches it, else the next of the script, else a
    /// random one once the script is used up.
    pub(super) fn next(&mut self, record: Option<&str>, body: &Value) -> Option<Fault> {
        if let Some(index) = self.targeted.iter().position(|fault| fault.matches(record, body)) {
            let TargetedFault { fault, always, .. } = self.targeted[index];
            if !always {
                drop(self.targeted.remove(index));
            }
            return Some(fault);
        }
        match self.script.pop_front() {
            Some(scripted) => scripted,
            None => self.storm.as_mut()?.next(),
        }
    }
}

/// A body whose connection breaks after `start`, or before anything is sent if there is none.
fn cut(start: Option<Bytes>) -> Body {
    Body::from_stream(Cut { flushed: start.is_none(), start })
}

struct Cut {
    start: Option<Bytes>,
    flushed: bool,
}

impl Stream for Cut {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(start) = self.start.take() {
            return Poll::Ready(Some(Ok(start)));
        }
        if !self.flushed {
            // The server sends `start` while this is pending.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }
}
