//! One call: its deadline, its turn, its attempts, and the waits between them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, sleep, timeout_at};

use crate::api;
use crate::attempt::{Caller, Stored};
use crate::config::Shared;
use crate::error::{Error, ErrorKind};
use crate::limit::Limit;
use crate::record::{New, Record};
use crate::retry::{Budget, FOR_EVER, Retry, is_safe};
use crate::trace;
use crate::turns::{SETTLES, Turn};

/// Minimum time worth starting an attempt with.
const LEAST: Duration = Duration::from_secs(1);

/// What the calls of a client and its clones share.
pub(crate) struct CallContext {
    caller: Arc<Caller>,
    /// For one attempt.
    pub(crate) timeout: Duration,
    limit: Limit,
    budget: Budget,
    pub(crate) shared: Arc<Shared>,
    /// Keeps turns and remembered ids apart from those of other bots.
    pub(crate) scope: usize,
}

/// One call, or the calls of one delivery: they share a deadline.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) context: &'a CallContext,
    retry: &'a Retry,
    deadline: CallDeadline,
}

#[derive(Clone, Copy)]
struct CallDeadline {
    end: Instant,
    /// When the last attempt is allowed to start.
    latest: Instant,
    none: bool,
}

/// What is known of a call so far.
struct SoFar {
    attempts: u32,
    maybe_stored: bool,
    last: Option<ErrorKind>,
}

impl CallContext {
    pub(crate) fn new(
        caller: Caller,
        timeout: Duration,
        shared: Arc<Shared>,
        scope: usize,
    ) -> Self {
        let (limit, budget) = Default::default();
        Self { caller: Arc::new(caller), timeout, limit, budget, shared, scope }
    }

    /// The generated client.
    pub(crate) fn api(&self) -> api::Client {
        self.caller.api(self.timeout)
    }
}

impl<'a> Call<'a> {
    /// Starts the clock.
    pub(crate) fn start(context: &'a CallContext, retry: &'a Retry) -> Self {
        Self { context, retry, deadline: CallDeadline::new(retry.deadline, context.timeout) }
    }

    /// Waits until no other call for the same record is in flight, if the record has an identity.
    pub(crate) async fn turn<T: Record>(
        &self,
        identity: Option<u64>,
    ) -> Result<Option<Turn<'a>>, Error> {
        let unsent = |kind| Err(Error::unsent(kind).at(T::OPERATION.record));
        if self.deadline.none {
            return unsent(ErrorKind::Deadline);
        }
        let Some(identity) = identity else { return Ok(None) };
        let turn = self.context.shared.turns.take((self.context.scope, identity));
        match self.unless_closed(timeout_at(self.deadline.latest, turn)).await {
            Some(Ok(turn)) => Ok(Some(turn)),
            Some(Err(_)) => unsent(ErrorKind::Deadline),
            None => unsent(ErrorKind::Closed),
        }
    }

    /// Makes attempts and waits between them. With a turn, the record is identified.
    pub(crate) async fn attempts<T: Record>(
        &self,
        body: &New<T>,
        mut turn: Option<Turn<'_>>,
    ) -> Result<Stored<T>, Error> {
        let Self { context, retry, deadline } = *self;
        let CallContext { caller, timeout, limit, budget, .. } = context;
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
        let mut waits = retry.waits();
        loop {
            let permit =
                match self.unless_closed(limit.admit(deadline.latest, retry.waits_for_limit)).await
                {
                    Some(Ok(permit)) => permit,
                    Some(Err(reason)) => return Err(end(so_far, reason)),
                    None => return Err(end(so_far, ErrorKind::Closed)),
                };
            so_far.attempts += 1;
            if let Some(turn) = &mut turn {
                turn.in_flight = true;
            }
            let left = deadline.end.saturating_duration_since(Instant::now()).min(*timeout);
            let answered = |status, headers: &_| permit.answered(status, headers);
            let result = caller.attempt(body, left, answered).await;
            drop(permit);
            budget.count(result.as_ref().map(drop));
            if let Some(turn) = &mut turn {
                turn.in_flight = result.as_ref().is_err_and(ErrorKind::maybe_stored);
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
                && (so_far.attempts as usize) < retry.max_attempts
                && (retry.waits_for_limit || error.status() != Some(StatusCode::TOO_MANY_REQUESTS));
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
                Instant::now().checked_add(*wait).is_some_and(|then| then <= deadline.latest)
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

    /// Waits, unless the client is closed before that.
    async fn unless_closed<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        let closed = &self.context.shared.closed;
        // Pinned, the wait is not moved. Where both happen at once, being closed counts.
        closed.run_until_cancelled(pin!(wait)).await.filter(|_| !closed.is_cancelled())
    }
}

impl CallDeadline {
    fn new(time: Duration, timeout: Duration) -> Self {
        let start = Instant::now();
        let end = start.checked_add(time).unwrap_or(start + FOR_EVER);
        // With less time than this left, an attempt would only make a certain outcome uncertain.
        let least = LEAST.min(timeout).min(time / 4);
        Self { end, latest: end - least, none: time.is_zero() }
    }
}
