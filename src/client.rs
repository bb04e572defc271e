//! The client and its one call.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use crate::attempt::Attempt;
use crate::builder::{BEARER, Builder};
use crate::error::{ConfigError, Error, ErrorKind, Secrets};
use crate::generated;
use crate::generated::types::{GetOrCreateMessageBody, GetOrCreateMessageResponse, Message};
use crate::limit::{Limit, Permit, RateLimit};
use crate::message::NewMessage;
use crate::retry::{Budget, Retry, is_safe};
use crate::turn::{SETTLES, Turns};

/// A client for the endpoint. Clones are cheap; they share their connections, their count of the rate
/// limit, and the turns of calls for the same message.
///
/// ```no_run
/// # async fn example() -> Result<(), botpress_messages::Error> {
/// use botpress_messages::{Client, NewMessage, content::Text};
///
/// let client = Client::from_env()?;
/// let message = NewMessage::new(
///     "conv_01KDF2QM9Z2CK5XYT0RD4E7J5K",
///     "user_010NFASW4XK2YJ5RVY7B6JMC28",
///     Text::new("Hello"),
/// )
/// .tag("id", "wamid.HBgLMTUx");
/// let stored = client.get_or_create(&message).await?;
/// println!("{} created: {:?}", stored.message.id, stored.created);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) settings: Arc<Settings>,
}

/// What the clones of a client share.
pub(crate) struct Settings {
    pub(crate) http: reqwest::Client,
    pub(crate) base_url: String,
    pub(crate) bot_id: String,
    pub(crate) integration_id: Option<String>,
    pub(crate) integration_alias: Option<String>,
    /// What every request carries beside the headers that the generated method sets.
    pub(crate) headers: HeaderMap,
    /// For an attempt.
    pub(crate) timeout: Duration,
    pub(crate) retry: Retry,
    pub(crate) shared: Shared,
}

/// What calls have to know of each other.
pub(crate) struct Shared {
    limit: Limit,
    turns: Turns,
    budget: Budget,
    /// Has no permits: whoever waits for one waits until it is closed.
    open: Semaphore,
}

impl Default for Shared {
    fn default() -> Self {
        let (limit, turns, budget) = Default::default();
        Self { limit, turns, budget, open: Semaphore::new(0) }
    }
}

/// What the endpoint made of a message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stored {
    /// The message as it is stored.
    pub message: Message,
    /// Whether this call created it: `None` if the API does not say, as before version 1.80.
    pub created: Option<bool>,
    /// How much of the rate limit is left.
    pub rate_limit: RateLimit,
}

impl Client {
    /// A client to be set up value by value; it needs a token and a bot id.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A client with the settings of the environment, as [`Builder::env`] reads them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`], which names the variable that is missing or unusable.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().env().build()
    }

    /// Finds the message by its tags or creates it. An attempt that fails is repeated where that is
    /// safe, as [`Retry`] tells. Calls of this client and its clones for the same message (the same
    /// conversation, and the same tags by which it is looked for) take turns: the second finds what
    /// the first created.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] before anything is sent; any other [`ErrorKind`] after the last attempt.
    /// [`Error::maybe_stored`] tells whether the message may be stored all the same.
    ///
    /// # Cancellation
    ///
    /// The future can be dropped at any time: nothing goes on without it, and the client stays as it
    /// is. What was sent by then may be stored.
    pub async fn get_or_create(&self, message: &NewMessage) -> Result<Stored, Error> {
        let body = message.to_body()?;
        let call = self.call(&body, message.identity());
        #[cfg(feature = "tracing")]
        let call = tracing::Instrument::instrument(call, tracing::info_span!(OPERATION));
        call.await
    }

    /// Ends the waits of this client and its clones, for a program that has to stop. Attempts under way
    /// go on to their end, and none starts any more: calls that would wait for another one end with the
    /// error of the last, calls without one with [`ErrorKind::Closed`].
    pub fn close(&self) {
        self.settings.shared.open.close();
    }

    /// The attempts of a call, and the waits between them.
    async fn call(
        &self,
        body: &GetOrCreateMessageBody,
        identity: Option<String>,
    ) -> Result<Stored, Error> {
        let Settings { retry, timeout, shared, .. } = &*self.settings;
        let start = Instant::now();
        let end = start.checked_add(retry.deadline).unwrap_or(start + FOR_EVER);
        // With less time than this left, an attempt would only make an end that is certain uncertain.
        let least = LEAST.min(*timeout).min(retry.deadline / 4);
        let latest = end - least;
        let identified = identity.is_some();
        let mut so_far = SoFar::default();
        if retry.deadline.is_zero() {
            return Err(so_far.end(ErrorKind::Deadline));
        }

        let mut turn = None;
        if let Some(identity) = identity {
            match self.unless_closed(timeout_at(latest, shared.turns.take(identity))).await {
                Some(Ok(taken)) => turn = Some(taken),
                Some(Err(_)) => return Err(so_far.end(ErrorKind::Deadline)),
                None => return Err(so_far.end(ErrorKind::Closed)),
            }
        }
        let mut waits = retry.waits();
        loop {
            let permit = match self.unless_closed(shared.limit.admit(latest)).await {
                Some(Ok(permit)) => permit,
                Some(Err(wait)) => return Err(so_far.end(ErrorKind::RateLimit(wait))),
                None => return Err(so_far.end(ErrorKind::Closed)),
            };
            so_far.attempts += 1;
            if let Some(turn) = &mut turn {
                turn.under_way = true;
            }
            let left = end.saturating_duration_since(Instant::now());
            let result = self.attempt(body, permit, left.min(*timeout)).await;
            shared.budget.count(result.as_ref().map(drop));
            if let Some(turn) = &mut turn {
                turn.under_way = result.as_ref().is_err_and(ErrorKind::maybe_stored);
            }
            let error = match result {
                Ok(mut stored) => {
                    trace(so_far.attempts, Some(StatusCode::OK), None, None);
                    // What is found now may be what an earlier attempt created.
                    stored.created =
                        stored.created.filter(|created| *created || !so_far.maybe_stored);
                    return Ok(stored);
                }
                Err(error) => error,
            };
            so_far.maybe_stored |= error.maybe_stored();
            let again =
                is_safe(&error, identified) && (so_far.attempts as usize) < retry.max_attempts;
            let mut wait = again.then(|| {
                let settles = match error.maybe_stored() {
                    true => SETTLES.mul_f64(1.0 + fastrand::f64() / 2.0),
                    false => Duration::ZERO,
                };
                waits
                    .next()
                    .unwrap_or_default()
                    .max(settles)
                    .max(error.retry_after().unwrap_or_default())
            });
            loop {
                wait = wait.filter(|wait| {
                    Instant::now().checked_add(*wait).is_some_and(|then| then <= latest)
                });
                trace(so_far.attempts, error.status(), wait, Some(&error));
                let Some(time) = wait else {
                    return Err(so_far.fail(error));
                };
                if self.unless_closed(sleep(time)).await.is_none() {
                    return Err(so_far.fail(error));
                }
                if !shared.budget.holds_back() {
                    break;
                }
                wait = waits.next();
            }
            so_far.last = Some(error);
        }
    }

    /// Waits as long as the client is open.
    async fn unless_closed<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        let mut wait = pin!(wait);
        let mut closed = pin!(self.settings.shared.open.acquire());
        poll_fn(|context| match closed.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => wait.as_mut().poll(context).map(Some),
        })
        .await
    }

    /// One request.
    async fn attempt(
        &self,
        body: &GetOrCreateMessageBody,
        permit: Permit<'_>,
        timeout: Duration,
    ) -> Result<Stored, ErrorKind> {
        let Settings { http, base_url, bot_id, integration_id, integration_alias, headers, .. } =
            &*self.settings;
        let mut attempt = Attempt::new(headers.clone(), timeout);
        let _guard = attempt.guard();
        let generated = generated::Client::new_with_client(base_url, http.clone(), attempt.clone());
        let (alias, id) = (integration_alias.as_deref(), integration_id.as_deref());
        let result = generated.get_or_create_message(bot_id, alias, id, body).await;
        drop(generated);

        let error = match (result, attempt.take_answer()) {
            (Ok(response), _) => {
                permit.answered(response.status(), response.headers());
                return Ok(Stored::from(response));
            }
            (Err(error), Some(answer)) => {
                permit.answered(answer.status, &answer.headers);
                let undecodable = match error {
                    generated::Error::InvalidResponsePayload(_, cause) => Some(cause),
                    _ => None,
                };
                ErrorKind::from_answer(answer, undecodable, &self.settings.secrets())
            }
            (Err(generated::Error::CommunicationError(source)), None) => attempt.unanswered(source),
            // No header or URL can be at fault, the builder has checked them; but if so, it is told.
            (Err(other), None) => {
                ErrorKind::Config(ConfigError::new(format!("no request can be made: {other}")))
            }
        };
        Err(error)
    }
}

/// What is true of a call by now.
#[derive(Default)]
struct SoFar {
    attempts: u32,
    maybe_stored: bool,
    last: Option<ErrorKind>,
}

impl SoFar {
    /// The call ends before another attempt: for this reason, if there was none.
    fn end(mut self, reason: ErrorKind) -> Error {
        let error = self.last.take().unwrap_or(reason);
        self.fail(error)
    }

    fn fail(self, error: ErrorKind) -> Error {
        Error::after(self.attempts, error, self.maybe_stored)
    }
}

/// An attempt with less time is of no use.
const LEAST: Duration = Duration::from_secs(1);
/// Longer than any call.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);

#[cfg(feature = "tracing")]
const OPERATION: &str = "get_or_create_message";

/// Tells subscribers how an attempt ended; never the token or what the message says.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
fn trace(
    attempt: u32,
    status: Option<StatusCode>,
    wait: Option<Duration>,
    error: Option<&ErrorKind>,
) {
    #[cfg(feature = "tracing")]
    {
        let status = status.map(|status| status.as_u16());
        let wait_ms = wait.map(|wait| wait.as_millis() as u64);
        let what = if error.is_some() { "failed" } else { "stored" };
        let error = error.map(tracing::field::display);
        tracing::debug!(operation = OPERATION, status, attempt, wait_ms, error, "{what}");
    }
}

impl From<generated::ResponseValue<GetOrCreateMessageResponse>> for Stored {
    fn from(response: generated::ResponseValue<GetOrCreateMessageResponse>) -> Self {
        let rate_limit = RateLimit::read(response.headers());
        let GetOrCreateMessageResponse { message, meta } = response.into_inner();
        Self { message, created: meta.map(|meta| meta.created), rate_limit }
    }
}

impl Settings {
    fn secrets(&self) -> Secrets {
        let values = self.headers.values().filter(|value| value.is_sensitive());
        let texts = values.filter_map(|value| value.to_str().ok());
        Secrets::new(texts.map(|text| text.strip_prefix(BEARER).unwrap_or(text)))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the HTTP client: one of the caller's own shows its default headers.
        f.debug_struct("Settings")
            .field("base_url", &self.base_url)
            .field("bot_id", &self.bot_id)
            .field("integration_id", &self.integration_id)
            .field("integration_alias", &self.integration_alias)
            .field("headers", &self.headers)
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
