//! One request: who makes it, its headers, whether it left, and what came back.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use progenitor_client::{ClientHooks, ClientInfo, OperationInfo};
use reqwest::Url;
use serde::de::DeserializeOwned;

// Generated types call it by this path.
pub(crate) use crate::date::date;
use crate::error::{Answer, BoxError, ConfigError, ErrorKind, TransportError};
use crate::generated::{OPERATIONS, Operation};
use crate::headers::RateLimit;
use crate::redaction::Secrets;

/// The generated methods, as `tests/snapshots/client.rs` shows them.
#[allow(dead_code, private_interfaces, unused_imports, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/client.rs"));
}

/// What stands before the token in its header.
pub(crate) const BEARER: &str = "Bearer ";

/// No answer of the API comes near this: a message's payload may have 128 KB.
const LONGEST_ANSWER: usize = 8 << 20;

/// What the endpoints store: a [`Message`](crate::Message), a [`User`](crate::User) or a
/// [`Conversation`](crate::Conversation). Only this crate implements it, as the spec says.
pub trait Record: Sized + Send + Sync + 'static {
    #[doc(hidden)]
    const OPERATION: &'static Operation;
    #[doc(hidden)]
    type Answer: DeserializeOwned + Send;

    /// Calls the generated method.
    #[doc(hidden)]
    fn call(
        client: &generated::Client,
        body: Bytes,
    ) -> impl Future<Output = Result<reqwest::Response, generated::Error<()>>> + Send;

    /// The record, and whether the call created it.
    #[doc(hidden)]
    fn read(answer: Self::Answer) -> (Self, Option<bool>);

    /// The id that the API gave to it.
    fn id(&self) -> &str;
}

/// Who calls the API, and how.
pub(crate) struct Caller {
    pub(crate) http: reqwest::Client,
    /// Where each operation is.
    pub(crate) urls: [Url; OPERATIONS.len()],
    /// What every request carries.
    pub(crate) headers: HeaderMap,
}

/// What an endpoint made of a request.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Stored<T> {
    /// The record as it is stored.
    pub record: T,
    /// Whether this call created it: `None` if the API does not say, as before version 1.80.
    pub created: Option<bool>,
    /// How much of the rate limit is left.
    pub rate_limit: RateLimit,
}

/// What the hooks of the generated client need to know of a request.
#[derive(Clone, Debug)]
struct Attempt {
    caller: Arc<Caller>,
    operation: &'static Operation,
    timeout: Duration,
    body_left: Arc<Handover>,
}

/// Whether the body left or the call gave up, whichever was first: the connection and the call run on
/// different threads, and only one of them can be.
#[derive(Debug, Default)]
struct Handover(AtomicU8);

/// Gives up when it is dropped, as a future is that nobody waits for any more.
struct Guard<'a>(&'a Handover);

/// A body that tells when it is asked for, which takes a connection. It cannot be sent twice, so an
/// attempt is one request.
struct Watched {
    body: reqwest::Body,
    left: Arc<Handover>,
}

impl<T> Stored<T> {
    /// An answer for tests, without figures of a rate limit. Records deserialise from what the API sends:
    ///
    /// ```
    /// use botpress_messages::{Stored, User, serde_json::json};
    ///
    /// let user: User = serde_json::from_value(json!({
    ///     "id": "user_010NFASW4XK2YJ5RVY7B6JMC28",
    ///     "createdAt": "2026-08-19T10:00:00Z",
    ///     "updatedAt": "2026-08-19T10:00:00Z",
    ///     "tags": { "id": "U05BPU9V1KQ" },
    /// }))?;
    /// assert_eq!(Stored::new(user, Some(true)).created, Some(true));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn new(record: T, created: Option<bool>) -> Self {
        Self { record, created, rate_limit: RateLimit::default() }
    }

    /// The same, after attempts that may have stored the record: what is found now may be theirs.
    pub(crate) fn following(self, maybe_stored: bool) -> Self {
        let created = self.created.filter(|created| *created || !maybe_stored);
        Self { created, ..self }
    }
}

impl Caller {
    /// Makes one request. `answered` hears of an answer, whatever it says.
    pub(crate) async fn attempt<T: Record>(
        self: &Arc<Self>,
        body: Bytes,
        timeout: Duration,
        answered: impl FnOnce(StatusCode, &HeaderMap) -> RateLimit,
    ) -> Result<Stored<T>, ErrorKind> {
        let body_left = Arc::new(Handover::default());
        let _guard = Guard(&body_left);
        let attempt = Attempt {
            caller: Arc::clone(self),
            operation: T::OPERATION,
            timeout,
            body_left: Arc::clone(&body_left),
        };
        let client = generated::Client::new_with_client("", self.http.clone(), attempt);
        let response = T::call(&client, body).await.map_err(|error| match error {
            generated::Error::CommunicationError(source) => {
                let sent = !body_left.give_up() && !was_refused(&source);
                ErrorKind::Transport(TransportError { source, sent })
            }
            // No header or URL can be at fault, the builder has checked them; but if so, it is told.
            other => {
                ErrorKind::Config(ConfigError::new(format!("no request can be made: {other}")))
            }
        })?;
        let rate_limit = answered(response.status(), response.headers());
        let answer = read(response).await;
        let mut undecodable = None;
        if answer.status == StatusCode::OK && answer.broken.is_none() {
            match serde_json::from_slice(&answer.body) {
                Ok(decoded) => {
                    let (record, created) = T::read(decoded);
                    return Ok(Stored { record, created, rate_limit });
                }
                Err(error) => undecodable = Some(error),
            }
        }
        Err(ErrorKind::from_answer(answer, undecodable, &self.secrets()))
    }

    fn secrets(&self) -> Secrets {
        let values = self.headers.values().filter(|value| value.is_sensitive());
        let texts = values.filter_map(|value| value.to_str().ok());
        Secrets::new(texts.map(|text| text.strip_prefix(BEARER).unwrap_or(text)))
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the HTTP client: its default headers may be secrets.
        f.debug_struct("Caller").field("headers", &self.headers).finish_non_exhaustive()
    }
}

impl Attempt {
    fn url(&self) -> Url {
        self.caller.urls[self.operation.index].clone()
    }
}

impl ClientHooks<Attempt> for generated::Client {
    /// Puts the headers right, and has the body watched.
    async fn pre<E>(
        &self,
        request: &mut reqwest::Request,
        _: &OperationInfo,
    ) -> Result<(), generated::Error<E>> {
        let Attempt { caller, timeout, body_left, .. } = self.inner();
        // All but the generator's own, which the contract does not know.
        *request.headers_mut() = caller.headers.clone();
        *request.timeout_mut() = Some(*timeout);
        if let Some(body) = request.body_mut().take() {
            let watched = Watched { body, left: Arc::clone(body_left) };
            *request.body_mut() = Some(reqwest::Body::wrap(watched));
        }
        Ok(())
    }
}

impl Handover {
    const OPEN: u8 = 0;
    const TAKEN: u8 = 1;
    const GIVEN_UP: u8 = 2;

    fn decide(&self, outcome: u8) -> bool {
        let (first, then) = (Ordering::AcqRel, Ordering::Acquire);
        match self.0.compare_exchange(Self::OPEN, outcome, first, then) {
            Ok(_) => true,
            Err(decided) => decided == outcome,
        }
    }

    /// Whether the body may leave.
    fn take(&self) -> bool {
        self.decide(Self::TAKEN)
    }

    /// Whether the body did not leave, and never will.
    fn give_up(&self) -> bool {
        self.decide(Self::GIVEN_UP)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl http_body::Body for Watched {
    type Data = <reqwest::Body as http_body::Body>::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        if !self.left.take() {
            return Poll::Ready(Some(Err("the call gave up before its body was sent".into())));
        }
        Pin::new(&mut self.body).poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// Reads an answer to its end, or as far as it comes.
async fn read(mut response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let (mut body, mut broken) = (Bytes::new(), None);
    while broken.is_none() {
        match response.chunk().await {
            Ok(None) => break,
            Err(error) => broken = Some(error.into()),
            Ok(Some(chunk)) if body.is_empty() => body = chunk,
            Ok(Some(chunk)) => {
                let mut longer = BytesMut::from(body);
                longer.extend_from_slice(&chunk);
                body = longer.freeze();
            }
        }
        if body.len() > LONGEST_ANSWER {
            let cause = format!("the answer is longer than {LONGEST_ANSWER} bytes");
            broken = Some(cause.into());
        }
    }
    Answer { status, headers, body, broken }
}

/// Whether the server says by HTTP/2 that it did not process the request: it refused the stream, or it
/// shuts down and the stream came after the last one that it takes.
fn was_refused(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            let leaving = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            return error.is_remote() && (refused || leaving);
        }
        cause = error.source();
    }
    false
}
