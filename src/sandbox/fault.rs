//! How requests to the sandbox fail: by a script, request by request, or by chance.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{Html, IntoResponse, Response};
use futures_util::Stream;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};

use super::refusal::{code, refusal};
use crate::generated::types::ErrorType;

/// A way in which a request fails. `stored` says whether the message is stored before it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection closes without an answer.
    Reset {
        /// Whether the message is stored.
        stored: bool,
    },
    /// The connection closes without an answer. The message is looked for then, and stored so long
    /// afterwards.
    Late(Duration),
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

    /// What comes back instead of `answer`, which is there if the message is stored.
    pub(super) async fn instead_of(self, answer: Option<Response>) -> Response {
        match self {
            Self::Reset { .. } | Self::Late(_) => Response::new(cut(None)),
            Self::Silence { .. } => std::future::pending().await,
            Self::Page { status, .. } => {
                (code(status), Html("<html>\n<h1>Gateway</h1>\n</html>")).into_response()
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
                refusal(status, type_, "the sandbox was told to fail").into_response()
            }
            Self::Truncated => {
                let (mut head, body) = answer.unwrap_or_default().into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
                head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
                Response::from_parts(head, cut(Some(body.slice(..body.len() / 2))))
            }
            Self::Limited(seconds) => {
                let refusal = refusal(429, ErrorType::RateLimited, "too many requests");
                let mut response = refusal.into_response();
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
                response
            }
        }
    }
}

/// Which of the next requests fail, and how.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) script: VecDeque<Option<Fault>>,
    /// The source of chance, and how likely a fault is.
    pub(super) storm: Option<(fastrand::Rng, f64)>,
}

impl Faults {
    /// What the storm is made of.
    const STORM: [Fault; 8] = [
        Fault::Reset { stored: false },
        Fault::Reset { stored: true },
        Fault::Page { status: 502, stored: false },
        Fault::Page { status: 503, stored: true },
        Fault::Error { status: 500, stored: true },
        Fault::Error { status: 504, stored: false },
        Fault::Truncated,
        Fault::Limited(1),
    ];

    /// The fate of the next request: by the script as long as it lasts, then by chance.
    pub(super) fn next(&mut self) -> Option<Fault> {
        if let Some(scripted) = self.script.pop_front() {
            return scripted;
        }
        let (random, probability) = self.storm.as_mut()?;
        let strikes = random.f64() < *probability;
        strikes.then(|| random.choice(Self::STORM)).flatten()
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
