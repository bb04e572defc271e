//! One call: its turn, its attempts, and the waits between them.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::{Instant, sleep, timeout_at};

use crate::attempt::{Record, Stored};
use crate::client::{Client, Settings};
use crate::error::{Error, ErrorKind};
use crate::retry::{FOR_EVER, is_safe};
use crate::trace;
use crate::turns::{SETTLES, Turn};

/// An attempt with less time is of no use.
const LEAST: Duration = Duration::from_secs(1);

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

impl Client {
    /// The time that a call has from now on.
    pub(crate) fn time(&self) -> Time {
        let start = Instant::now();
        let deadline = self.retry.deadline;
        let end = start.checked_add(deadline).unwrap_or(start + FOR_EVER);
        // With less time than this left, an attempt would only make an end that is certain uncertain.
        let least = LEAST.min(self.settings.timeout).min(deadline / 4);
        Time { end, latest: end - least, none: deadline.is_zero() }
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
