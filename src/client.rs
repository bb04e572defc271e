//! The client and its one call.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, sleep};

use crate::builder::{BEARER, Builder};
use crate::error::{ConfigError, Error, ErrorKind, TransportError};
use crate::generated;
use crate::generated::types::{GetOrCreateMessageBody, GetOrCreateMessageResponse, Message};
use crate::hooks::{Answer, Call};
use crate::message::NewMessage;
use crate::retry::{Gate, Retry, is_safe};

/// A client for the endpoint. Clones are cheap; they share their connections, and what they hear of
/// the rate limit.
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
    pub(crate) gate: Gate,
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

/// The rate limit as an answer tells it; a figure that it lacks is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RateLimit {
    /// How many requests a window allows (`RateLimit-Limit`).
    pub limit: Option<u64>,
    /// How many are left in this one (`RateLimit-Remaining`).
    pub remaining: Option<u64>,
    /// How long until the window starts anew (`RateLimit-Reset`, sent in whole seconds).
    pub reset: Option<Duration>,
}

impl Client {
    /// A client to be set up value by value; a token and a bot id it needs.
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
    /// safe, as [`Retry`] tells.
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
        let call = self.call(&body, message.is_identified());
        #[cfg(feature = "tracing")]
        let call = tracing::Instrument::instrument(call, tracing::info_span!(OPERATION));
        call.await
    }

    /// The attempts of a call, and the waits between them.
    async fn call(&self, body: &GetOrCreateMessageBody, identified: bool) -> Result<Stored, Error> {
        let Settings { retry, timeout, gate, .. } = &*self.settings;
        let start = Instant::now();
        let left = || retry.deadline.saturating_sub(start.elapsed());
        let mut waits = retry.waits();
        let mut maybe_stored = false;
        let mut attempt = 0;
        let mut last = None;
        loop {
            while let Some(wait) = gate.closed_for() {
                let waits = wait < left();
                trace(attempt, None, waits.then_some(wait), "the rate limit is used up");
                if !waits {
                    let error = last.unwrap_or(ErrorKind::RateLimit(wait));
                    return Err(Error::after(attempt, error, maybe_stored));
                }
                sleep(wait).await;
            }
            attempt += 1;
            let error = match self.attempt(body, left().min(*timeout)).await {
                Ok(mut stored) => {
                    trace(attempt, Some(StatusCode::OK), None, "stored");
                    // What is found now may be what an earlier attempt created.
                    stored.created = stored.created.filter(|created| *created || !maybe_stored);
                    return Ok(stored);
                }
                Err(error) => error,
            };
            maybe_stored |= error.maybe_stored();
            let refused = error.status() == Some(StatusCode::TOO_MANY_REQUESTS);
            let wait = match is_safe(&error, identified) && retry.repeats() {
                false => None,
                // The gate says how long, and lets all the others wait as well.
                true if refused && gate.closed_for().is_some() => Some(Duration::ZERO),
                true => waits.next().map(|wait| wait.max(error.retry_after().unwrap_or_default())),
            };
            let wait = wait.filter(|wait| *wait < left());
            trace(attempt, error.status(), wait, "failed");
            match wait {
                Some(wait) => sleep(wait).await,
                None => return Err(Error::after(attempt, error, maybe_stored)),
            }
            last = Some(error);
        }
    }

    /// One request.
    async fn attempt(
        &self,
        body: &GetOrCreateMessageBody,
        timeout: Duration,
    ) -> Result<Stored, ErrorKind> {
        let Settings { http, base_url, bot_id, integration_id, integration_alias, .. } =
            &*self.settings;
        let (answer, sent) = (Arc::default(), Arc::<AtomicBool>::default());
        let call = Call {
            settings: self.settings.clone(),
            timeout,
            answer: Arc::clone(&answer),
            sent: Arc::clone(&sent),
        };
        let generated = generated::Client::new_with_client(base_url, http.clone(), call);
        let (alias, id) = (integration_alias.as_deref(), integration_id.as_deref());
        let result = generated.get_or_create_message(bot_id, alias, id, body).await;
        drop(generated);

        let answer = Arc::into_inner(answer).and_then(OnceLock::into_inner);
        if let Some(Answer { status, headers, .. }) = &answer {
            self.settings.gate.learn(*status, headers);
        }
        let error = match result {
            Ok(response) => return Ok(Stored::from(response)),
            Err(error) => error,
        };
        Err(match (answer, error) {
            (Some(answer), error) => {
                let undecodable = match error {
                    generated::Error::InvalidResponsePayload(_, cause) => Some(cause),
                    _ => None,
                };
                ErrorKind::from_answer(answer, undecodable, &self.settings.secrets())
            }
            (None, generated::Error::CommunicationError(source)) => {
                ErrorKind::Transport(TransportError { source, sent: sent.load(Ordering::Relaxed) })
            }
            // No header or URL can be at fault, the builder has checked them; but if so, it is told.
            (None, other) => {
                ErrorKind::Config(ConfigError::new(format!("no request can be made: {other}")))
            }
        })
    }
}

#[cfg(feature = "tracing")]
const OPERATION: &str = "get_or_create_message";

/// Tells subscribers how an attempt ended; never the token or what the message says.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
fn trace(attempt: u32, status: Option<StatusCode>, wait: Option<Duration>, what: &str) {
    #[cfg(feature = "tracing")]
    {
        let status = status.map(|status| status.as_u16());
        let wait_ms = wait.map(|wait| wait.as_millis() as u64);
        tracing::debug!(operation = OPERATION, status, attempt, wait_ms, "{what}");
    }
}

impl RateLimit {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let figure =
            |name| -> Option<u64> { headers.get(name)?.to_str().ok()?.trim().parse().ok() };
        Self {
            limit: figure("ratelimit-limit"),
            remaining: figure("ratelimit-remaining"),
            reset: figure("ratelimit-reset").map(Duration::from_secs),
        }
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
    /// What no error may show. A shorter value is no secret, and would be found in any text.
    fn secrets(&self) -> Vec<&str> {
        let values = self.headers.values().filter(|value| value.is_sensitive());
        let texts = values.filter_map(|value| value.to_str().ok());
        let texts = texts.map(|text| text.strip_prefix(BEARER).unwrap_or(text));
        texts.filter(|text| text.len() >= 8).collect()
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
