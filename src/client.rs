//! The client, and the attempts of a call.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use crate::attempt::{Caller, Record, Stored};
use crate::config::{Builder, Checked, Shared, Target};
use crate::error::{Error, ErrorKind};
use crate::generated::Operation;
use crate::limit::Limit;
use crate::memory::Memory;
use crate::record::New;
use crate::retry::{Budget, FOR_EVER, Retry, is_safe};
use crate::trace;
use crate::turns::{SETTLES, Turn};

/// A client for the endpoints. Clones are cheap; they share their connections, their count of the rate
/// limit, and the turns of calls for the same record.
///
/// ```no_run
/// # async fn example() -> Result<(), botpress_messages::Error> {
/// use botpress_messages::{Client, NewConversation, NewMessage, NewUser, content::Text};
///
/// let client = Client::from_env()?;
/// let message = NewMessage::new(
///     NewConversation::new("channel").tag("id", "C05C6ACTLPQ"),
///     NewUser::new().tag("id", "U05BPU9V1KQ"),
///     Text::new("Hello"),
/// )
/// .tag("ts", "1722441123.004619");
/// let stored = client.deliver(&message).await?;
/// println!("{} created: {:?}", stored.record.id, stored.created);
/// # Ok(())
/// # }
/// ```
///
/// # Runtime
///
/// Calls run in a tokio runtime that has its timers and its I/O enabled, as `#[tokio::main]` has. They
/// panic without one: in another runtime, or in one that was built without `enable_all`. The client is
/// built and shared anywhere; a program without a runtime can make one and `block_on` a call.
#[derive(Clone)]
pub struct Client {
    settings: Arc<Settings>,
    retry: Retry,
}

/// What the clones of a client share.
struct Settings {
    builder: Builder,
    target: Target,
    caller: Arc<Caller>,
    timeout: Duration,
    limit: Limit,
    budget: Budget,
    memory: Arc<Memory>,
    shared: Arc<Shared>,
    /// Tells what it asks for from what clients of other bots do.
    scope: usize,
}

impl Client {
    /// A client to be set up value by value; it needs a token, a bot id and an integration.
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

    /// The settings of this client, for another bot, token or integration. What is built from them takes
    /// turns with this client and ends with it. It uses the same connections and remembered ids, unless
    /// it is told to connect or remember in another way, and counts a rate limit of its own.
    ///
    /// ```
    /// # use botpress_messages::{Client, Error};
    /// # fn example(client: &Client) -> Result<(), Error> {
    /// let other = client.to_builder().bot_id("another bot").token("its token").build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn to_builder(&self) -> Builder {
        self.settings.builder.clone().retry(self.retry)
    }

    /// The same client with another deadline or number of attempts: a webhook has three seconds, a
    /// backlog has a minute. They share everything else, also the count of the rate limit.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use botpress_messages::{Client, Retry};
    /// # fn example(client: &Client) {
    /// let webhooks = client.with_retry(Retry::default().deadline(Duration::from_secs(2)));
    /// # }
    /// ```
    #[must_use]
    pub fn with_retry(&self, retry: Retry) -> Self {
        Self { settings: Arc::clone(&self.settings), retry }
    }

    /// Finds the record by its tags or creates it: a [`NewMessage`](crate::NewMessage), a
    /// [`NewUser`](crate::NewUser) or a [`NewConversation`](crate::NewConversation). An attempt that
    /// fails is repeated where that is safe, as [`Retry`] tells. Calls of this client and its clones for
    /// the same record take turns: the second finds what the first created.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] before anything is sent; any other [`ErrorKind`] after the last attempt.
    /// [`Error::maybe_stored`] tells whether the record may be stored all the same.
    ///
    /// # Cancellation
    ///
    /// The future can be dropped at any time: nothing goes on without it, and the client stays as it
    /// is. What was sent by then may be stored.
    pub async fn get_or_create<T: Record>(&self, record: &New<T>) -> Result<Stored<T>, Error> {
        let call = async {
            record.check()?;
            let time = self.time();
            let turn = self.turn::<T>(record.identity(), time).await?;
            self.attempts::<T>(record.sent().bytes()?, turn, time).await
        };
        let conversation = record.text("conversationId");
        trace::call(T::OPERATION.name, self.bot_id(), conversation, call).await
    }

    /// The bot that it calls for.
    pub fn bot_id(&self) -> &str {
        &self.settings.target.bot_id
    }

    /// Ends the waits of this client, its clones, and all clients that were made from it, for a program
    /// that has to stop. Attempts under way go on to their end, and none starts any more: calls that
    /// would wait for another one end with the error of the last, calls without one with
    /// [`ErrorKind::Closed`].
    pub fn close(&self) {
        self.settings.shared.open.close();
    }

    /// The time that a call has from now on.
    pub(crate) fn time(&self) -> Time {
        let start = Instant::now();
        let deadline = self.retry.deadline;
        let end = start.checked_add(deadline).unwrap_or(start + FOR_EVER);
        // With less time than this left, an attempt would only make an end that is certain uncertain.
        let least = LEAST.min(self.settings.timeout).min(deadline / 4);
        Time { end, latest: end - least, none: deadline.is_zero() }
    }

    /// The ids that it remembers.
    pub(crate) fn memory(&self) -> &Memory {
        &self.settings.memory
    }

    /// The key of the id that this request asks for.
    pub(crate) fn memory_key(&self, operation: &Operation, body: &Value) -> String {
        format!("{} {} {body}", self.settings.scope, operation.record)
    }

    /// Waits until no other call is under way for the same, if that can be said.
    pub(crate) async fn turn<T: Record>(
        &self,
        identity: Option<u64>,
        time: Time,
    ) -> Result<Option<Turn<'_>>, Error> {
        let unsent = |kind| Err(Error::unsent(kind).at(T::OPERATION.record));
        if time.none {
            return unsent(ErrorKind::Deadline);
        }
        let Some(identity) = identity else { return Ok(None) };
        let turn = self.settings.shared.turns.take((self.settings.scope, identity));
        match self.unless_closed(timeout_at(time.latest, turn)).await {
            Some(Ok(turn)) => Ok(Some(turn)),
            Some(Err(_)) => unsent(ErrorKind::Deadline),
            None => unsent(ErrorKind::Closed),
        }
    }

    /// The attempts of a call, and the waits between them. With a turn, the record is identified.
    pub(crate) async fn attempts<T: Record>(
        &self,
        body: Bytes,
        mut turn: Option<Turn<'_>>,
        time: Time,
    ) -> Result<Stored<T>, Error> {
        let Settings { caller, limit, budget, timeout, .. } = &*self.settings;
        let identified = turn.is_some();
        let mut so_far = SoFar { attempts: 0, maybe_stored: false, last: None };
        let fail = |so_far: SoFar, error| {
            Error::after(so_far.attempts, error, so_far.maybe_stored, identified)
                .at(T::OPERATION.record)
        };
        // The call ends before another attempt: for this reason, if there was none.
        let end = |mut so_far: SoFar, reason| {
            let error = so_far.last.take().unwrap_or(reason);
            fail(so_far, error)
        };
        let mut waits = self.retry.waits();
        loop {
            let permit = match self
                .unless_closed(limit.admit(time.latest, self.retry.waits_for_limit))
                .await
            {
                Some(Ok(permit)) => permit,
                Some(Err(reason)) => return Err(end(so_far, reason)),
                None => return Err(end(so_far, ErrorKind::Closed)),
            };
            so_far.attempts += 1;
            if let Some(turn) = &mut turn {
                turn.under_way = true;
            }
            let left = time.end.saturating_duration_since(Instant::now()).min(*timeout);
            let answered = |status, headers: &_| permit.answered(status, headers);
            let result = caller.attempt::<T>(body.clone(), left, answered).await;
            drop(permit);
            budget.count(result.as_ref().map(drop));
            if let Some(turn) = &mut turn {
                turn.under_way = result.as_ref().is_err_and(ErrorKind::maybe_stored);
            }
            let error = match result {
                Ok(stored) => {
                    trace::attempt::<T>(so_far.attempts, None, None);
                    return Ok(stored.following(so_far.maybe_stored));
                }
                Err(error) => error,
            };
            so_far.maybe_stored |= error.maybe_stored();
            let again = is_safe(&error, identified)
                && (so_far.attempts as usize) < self.retry.max_attempts
                && (self.retry.waits_for_limit
                    || error.status() != Some(StatusCode::TOO_MANY_REQUESTS));
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
            let in_time = |wait: &Duration| {
                Instant::now().checked_add(*wait).is_some_and(|then| then <= time.latest)
            };
            trace::attempt::<T>(so_far.attempts, Some(&error), wait.filter(in_time));
            loop {
                wait = wait.filter(in_time);
                let Some(time) = wait else {
                    return Err(fail(so_far, error));
                };
                if self.unless_closed(sleep(time)).await.is_none() {
                    return Err(fail(so_far, error));
                }
                if !budget.holds_back() {
                    break;
                }
                wait = waits.next();
            }
            so_far.last = Some(error);
        }
    }

    /// Waits as long as the client is open.
    async fn unless_closed<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        let open = &self.settings.shared.open;
        let mut wait = pin!(wait);
        let mut closed = pin!(open.acquire());
        poll_fn(|context| {
            if open.is_closed() {
                return Poll::Ready(None);
            }
            // Most waits are over at once, and need not hear of the end.
            match wait.as_mut().poll(context) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending => closed.as_mut().poll(context).map(|_| None),
            }
        })
        .await
    }
}

impl Builder {
    /// Checks the settings and makes the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), which names the setting that is missing or
    /// unusable.
    pub fn build(self) -> Result<Client, Error> {
        let Checked { settings: builder, target, caller, timeout, memory, shared } =
            self.check()?;
        let (retry, caller, scope) = (builder.retry, Arc::new(caller), shared.place(&target));
        let (limit, budget) = Default::default();
        let settings =
            Settings { builder, target, caller, timeout, limit, budget, memory, shared, scope };
        Ok(Client { settings: Arc::new(settings), retry })
    }
}

/// The time that a call has.
#[derive(Clone, Copy)]
pub(crate) struct Time {
    end: Instant,
    /// When the last attempt may start.
    latest: Instant,
    none: bool,
}

/// What is true of a call by now.
struct SoFar {
    attempts: u32,
    maybe_stored: bool,
    last: Option<ErrorKind>,
}

/// An attempt with less time is of no use.
const LEAST: Duration = Duration::from_secs(1);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { target, timeout, .. } = &*self.settings;
        f.debug_struct("Client")
            .field("target", target)
            .field("timeout", timeout)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
