//! One request: who makes it, its headers, whether it left, and what came back.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use progenitor_client::{ClientHooks, ClientInfo, OperationInfo, ResponseValue};
use serde::de::DeserializeOwned;

use crate::error::{Answer, BoxError, ConfigError, ErrorKind, Secrets, TransportError};
use crate::generated::Operation;

/// The generated methods, as `tests/snapshots/client.rs` shows them.
#[allow(dead_code, unused_imports, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/client.rs"));
}

/// What the endpoints store: a [`Message`](crate::Message), a [`User`](crate::User) or a
/// [`Conversation`](crate::Conversation). Only this crate implements it, as the spec says.
pub trait Record: Sized + Send + Sync + 'static {
    #[doc(hidden)]
    const OPERATION: &'static Operation;
    #[doc(hidden)]
    type Body: DeserializeOwned + Send + Sync;
    #[doc(hidden)]
    type Answer: Send;

    /// Calls the generated method.
    #[doc(hidden)]
    fn call(
        client: &generated::Client,
        caller: &Caller,
        body: &Self::Body,
    ) -> impl Future<Output = Result<ResponseValue<Self::Answer>, generated::Error<()>>> + Send;

    /// The record, and whether the call created it.
    #[doc(hidden)]
    fn read(answer: Self::Answer) -> (Self, Option<bool>);

    /// The id that the API gave to it.
    fn id(&self) -> &str;
}

/// Who calls the API, and how.
pub struct Caller {
    pub(crate) http: reqwest::Client,
    pub(crate) base_url: String,
    pub(crate) bot_id: String,
    pub(crate) integration_id: Option<String>,
    pub(crate) integration_alias: Option<String>,
    /// What every request carries beside the headers that the generated method sets.
    pub(crate) headers: HeaderMap,
}

/// What stands before the token in its header.
pub(crate) const BEARER: &str = "Bearer ";

/// A record, whether the request created it, and the headers of the answer.
pub(crate) struct Answered<T> {
    pub(crate) record: T,
    pub(crate) created: Option<bool>,
    pub(crate) headers: HeaderMap,
}

impl Caller {
    /// Makes one request. `answered` hears of an answer, whatever it says.
    pub(crate) async fn attempt<T: Record>(
        &self,
        body: &T::Body,
        timeout: Duration,
        answered: impl FnOnce(StatusCode, &HeaderMap),
    ) -> Result<Answered<T>, ErrorKind> {
        let mut attempt = Attempt::new(self.headers.clone(), timeout);
        let _guard = attempt.guard();
        let client =
            generated::Client::new_with_client(&self.base_url, self.http.clone(), attempt.clone());
        let result = T::call(&client, self, body).await;
        drop(client);

        let error = match (result, attempt.take_answer()) {
            (Ok(response), _) => {
                answered(response.status(), response.headers());
                let headers = response.headers().clone();
                let (record, created) = T::read(response.into_inner());
                return Ok(Answered { record, created, headers });
            }
            (Err(error), Some(answer)) => {
                answered(answer.status, &answer.headers);
                let undecodable = match error {
                    generated::Error::InvalidResponsePayload(_, cause) => Some(cause),
                    _ => None,
                };
                ErrorKind::from_answer(answer, undecodable, &self.secrets())
            }
            (Err(generated::Error::CommunicationError(source)), None) => attempt.unanswered(source),
            // No header or URL can be at fault, the builder has checked them; but if so, it is told.
            (Err(other), None) => {
                ErrorKind::Config(ConfigError::new(format!("no request can be made: {other}")))
            }
        };
        Err(error)
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
        f.debug_struct("Caller")
            .field("base_url", &self.base_url)
            .field("bot_id", &self.bot_id)
            .field("integration_id", &self.integration_id)
            .field("integration_alias", &self.integration_alias)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// What the hooks of the generated client need to know of a request, and what they learn of it.
#[derive(Clone, Debug)]
pub struct Attempt {
    headers: HeaderMap,
    timeout: Duration,
    answer: Arc<OnceLock<Answer>>,
    body: Arc<Handover>,
}

impl Attempt {
    /// A request with these headers, beside those that the generated method sets.
    fn new(headers: HeaderMap, timeout: Duration) -> Self {
        Self { headers, timeout, answer: Arc::default(), body: Arc::default() }
    }

    /// What came back, once the generated client is gone.
    fn take_answer(&mut self) -> Option<Answer> {
        Arc::get_mut(&mut self.answer).and_then(OnceLock::take)
    }

    /// What the lack of an answer means. After this, not a byte of the body leaves any more.
    fn unanswered(&self, source: reqwest::Error) -> ErrorKind {
        let sent = !self.body.give_up() && !was_refused(&source);
        ErrorKind::Transport(TransportError { source, sent })
    }

    /// Has the body watched until the guard is dropped: what has not left by then never does.
    fn guard(&self) -> Guard {
        Guard(Arc::clone(&self.body))
    }
}

impl ClientHooks<Attempt> for generated::Client {
    /// Puts the headers right, and has the body watched.
    async fn pre<E>(
        &self,
        request: &mut reqwest::Request,
        _: &OperationInfo,
    ) -> Result<(), generated::Error<E>> {
        // The generator's own, which the contract does not know.
        request.headers_mut().remove("api-version");
        request.headers_mut().extend(self.inner().headers.clone());
        *request.timeout_mut() = Some(self.inner().timeout);
        if let Some(body) = request.body_mut().take() {
            let watched = Watched { body, handover: Arc::clone(&self.inner().body) };
            *request.body_mut() = Some(reqwest::Body::wrap(watched));
        }
        Ok(())
    }

    /// Reads the answer to its end or as far as it comes, and keeps it: what is decoded from it
    /// later, or fails to be, has neither status nor headers any more.
    async fn exec(
        &self,
        request: reqwest::Request,
        _: &OperationInfo,
    ) -> reqwest::Result<reqwest::Response> {
        let mut response = self.client().execute(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        let broken = read(&mut response, &mut body).await.err();
        let mut replayed = http::Response::new(body.clone());
        *replayed.status_mut() = status;
        *replayed.headers_mut() = headers.clone();
        let answer = Answer { status, headers, body, broken };
        // Each attempt executes one request, so the place is free.
        let _ = self.inner().answer.set(answer);
        Ok(replayed.into())
    }
}

/// Adds to `body` what comes of the answer, to its end if it has one.
async fn read(response: &mut reqwest::Response, body: &mut Vec<u8>) -> Result<(), BoxError> {
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            return Err(format!("the answer is longer than {LONGEST_ANSWER} bytes").into());
        }
    }
    Ok(())
}

/// No answer of the API comes near this: a message's payload may have 128 KB.
const LONGEST_ANSWER: usize = 8 << 20;

/// Whether the body left or the call gave up, whichever was first: the connection and the call run on
/// different threads, and only one of them can be.
#[derive(Debug, Default)]
struct Handover(AtomicU8);

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

/// Gives up when it is dropped, as a future is that nobody waits for any more.
struct Guard(Arc<Handover>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// A body that tells when it is asked for, which takes a connection. It cannot be sent twice, so an
/// attempt is one request.
struct Watched {
    body: reqwest::Body,
    handover: Arc<Handover>,
}

impl http_body::Body for Watched {
    type Data = <reqwest::Body as http_body::Body>::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        if !self.handover.take() {
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
