//! How requests to the sandbox fail: by a script, request by request, or by chance.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::Stream;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Builder;
use super::log::Answer;
use super::refusal::refusal;
use botpress_messages::ErrorType;

/// A way in which a request fails. `stored` says whether the message is stored before it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fault {
    /// The connection closes without an answer.
    Reset {
        /// Whether the message is stored.
        stored: bool,
    },
    /// The connection closes without an answer. The message is looked for then, and stored so long
    /// afterwards.
    Late(#[serde(with = "as_milliseconds")] Duration),
    /// The connection stays open without an answer.
    Silence {
        /// Whether the message is stored.
        stored: bool,
    },
    /// A gateway answers in HTML.
    Page {
        /// The HTTP status, such as 502.
        status: u16,
        /// Whether the message is stored.
        stored: bool,
    },
    /// The API answers with an error of its own.
    Error {
        /// The HTTP status, such as 500.
        status: u16,
        /// Whether the message is stored.
        stored: bool,
    },
    /// The answer is a 200 and ends in the middle. The message is stored.
    Truncated,
    /// The API answers 429 and asks to wait so many seconds. Nothing is stored.
    Limited(u64),
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

    /// What goes out instead of `answer`, which is there if the message is stored.
    pub(super) fn instead_of(self, answer: Option<Answer>) -> Option<Answer> {
        match self {
            Self::Reset { .. } | Self::Late(_) | Self::Silence { .. } => None,
            Self::Page { status, .. } => {
                let page = "<html>\n<h1>Gateway</h1>\n</html>".into();
                Some(Answer::new(status, "text/html; charset=utf-8", page))
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
                Some(refusal(status, type_, "the sandbox was told to fail").answer())
            }
            Self::Truncated => answer.map(|mut answer| {
                let mut text = answer.text();
                answer.headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
                let half = (0..=text.len() / 2).rev().find(|end| text.is_char_boundary(*end));
                text.truncate(half.unwrap_or_default());
                Answer { body: Value::String(text), ..answer }
            }),
            Self::Limited(seconds) => {
                let refusal = refusal(429, ErrorType::RateLimited, "too many requests");
                let mut answer = refusal.answer();
                answer.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
                Some(answer)
            }
        }
    }
}

/// Sends an answer, in the way of the fault if there is one; without an answer, the connection breaks.
pub(super) async fn send(answer: Option<Answer>, fault: Option<Fault>) -> Response {
    match (answer, fault) {
        (_, Some(Fault::Silence { .. })) => std::future::pending().await,
        (Some(answer), Some(Fault::Truncated)) => {
            let start = answer.text().into();
            let mut response = answer.into_response();
            *response.body_mut() = cut(Some(start));
            response
        }
        (Some(answer), _) => answer.into_response(),
        (None, _) => Response::new(cut(None)),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset { .. } => write!(f, "reset")?,
            Self::Late(after) => write!(f, "stored {after:?} after a reset")?,
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

/// A time as JSON has it.
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
    pub(super) script: VecDeque<Option<Fault>>,
    pub(super) storm: Option<Storm>,
    /// How much later an answer leaves.
    pub(super) latency: Duration,
}

/// Faults by chance.
pub(super) struct Storm {
    pub(super) seed: u64,
    pub(super) probability: f64,
    random: fastrand::Rng,
}

impl Storm {
    /// What it is made of.
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
        let strikes = self.random.f64() < self.probability;
        strikes.then(|| self.random.choice(Self::FAULTS)).flatten()
    }
}

impl Faults {
    pub(super) fn new(settings: &Builder) -> Self {
        let storm = settings.storm.map(|(seed, probability)| Storm::new(seed, probability));
        Self { script: VecDeque::new(), storm, latency: settings.latency }
    }

    /// The fate of the next request: by the script as long as it lasts, then by chance.
    pub(super) fn next(&mut self) -> Option<Fault> {
        match self.script.pop_front() {
            Some(scripted) => scripted,
            None => self.storm.as_mut()?.next(),
        }
    }
}

/// A body whose connection breaks after its start, or without one before anything is sent.
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
            // The server sends what it has while it waits.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }
}
