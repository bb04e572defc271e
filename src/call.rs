//! One call: its turn, and its attempts in four steps: admit, attempt, classify, wait.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};

use crate::attempt::Stored;
use crate::config::CallContext;
use crate::error::{Error, ErrorKind};
use crate::limit::{LONGEST_PAUSE, Permit};
use crate::record::{GetOrCreate, identity, is_identified};
use crate::retry::{FOR_EVER, Retry, Waits, is_safe};
use crate::trace;
use crate::turns::{Key, SETTLES, Turn};

/// The minimum time worth starting an attempt with.
const MIN_ATTEMPT: Duration = Duration::from_secs(1);
/// A call waits for up to this many times `SETTLES` before it retries a request that may have stored its record.
const LONGEST_SETTLING: f64 = 1.2;

/// One call, or the calls of one delivery, which share a deadline.
pub(crate) struct Call<'a> {
    pub(crate) context: &'a CallContext,
    retry: &'a Retry,
    headers: &'a HeaderMap,
    /// The deadline.
    end: Instant,
    /// When the last attempt is allowed to start.
    latest: Instant,
    /// The attempts that failed.
    failed: AtomicU32,
}

/// A call in progress.
struct Attempts<'c, 'a, R> {
    call: &'c Call<'a>,
    record: &'c R,
    turn: Turn,
    /// The record names an id that the API returned a moment ago, and that some of its servers may not know yet.
    has_new_id: bool,
    waits: Waits,
    count: u32,
    maybe_stored: &'c mut bool,
}

impl<'a> Call<'a> {
    /// Starts the time until the deadline.
    pub(crate) fn start(
        context: &'a CallContext,
        retry: &'a Retry,
        headers: &'a HeaderMap,
    ) -> Self {
        let time = retry.deadline.min(FOR_EVER);
        let end = Instant::now() + time;
        // With less time left, an attempt would probably time out, and only leave the outcome uncertain.
        let least = MIN_ATTEMPT.min(retry.time_for_attempt(time, false)).min(time / 4);
        let (latest, failed) = (end - least, AtomicU32::new(0));
        Self { context, retry, headers, end, latest, failed }
    }

    /// The attempts that failed so far.
    pub(crate) fn failed(&self) -> u32 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Gets or creates one record.
    pub(crate) async fn get_or_create<R: GetOrCreate>(
        &self,
        record: &R,
    ) -> Result<Stored<R::Record>, Error> {
        let mut maybe_stored = false;
        let result = match self.turn_of(record).await {
            Ok(turn) => self.attempts(record, turn, false, &mut maybe_stored).await,
            Err(reason) => Err(reason),
        };
        result.map_err(|kind| {
            Error::new(kind)
                .with_attempts(self.failed())
                .with_maybe_stored(maybe_stored)
                .with_identified(is_identified(record))
                .of(R::OPERATION.record)
        })
    }

    /// Waits until no other call for this record is in flight.
    pub(crate) async fn turn_of(&self, record: &impl GetOrCreate) -> Result<Turn, ErrorKind> {
        let CallContext { shared, bot, .. } = self.context;
        self.turn(identity(record, &shared.hasher).map(|identity| (*bot, identity))).await
    }

    /// Waits until no other call with this key is in flight, if there is a key.
    pub(crate) async fn turn(&self, key: Option<Key>) -> Result<Turn, ErrorKind> {
        if self.retry.deadline.is_zero() {
            return Err(ErrorKind::Deadline);
        }
        let turn = self.context.shared.turns.take(key);
        let turn = self.unless_closed(timeout_at(self.latest, turn));
        match trace::wait("another call for the same record or conversation", pin!(turn)).await {
            Some(Ok(turn)) => Ok(turn),
            Some(Err(_)) => Err(ErrorKind::Deadline),
            None => Err(ErrorKind::Closed),
        }
    }

    /// Makes attempts until one succeeds, or none can follow. Sets `maybe_stored` if one that failed may have stored
    /// the record.
    pub(crate) async fn attempts<R: GetOrCreate>(
        &self,
        record: &R,
        turn: Turn,
        has_new_id: bool,
        maybe_stored: &mut bool,
    ) -> Result<Stored<R::Record>, ErrorKind> {
        let (waits, count) = (self.retry.waits(), 0);
        Attempts { call: self, record, turn, has_new_id, waits, count, maybe_stored }.run().await
    }

    fn time_for_attempt(&self) -> Duration {
        let (now, retry) = (Instant::now(), self.retry);
        let left = self.end.saturating_duration_since(now);
        let settled = now + retry.time_for_attempt(left, false) + SETTLES.mul_f64(LONGEST_SETTLING);
        retry.time_for_attempt(left, retry.max_attempts == 1 || settled > self.latest)
    }

    /// Waits, unless the client is closed before that.
    async fn unless_closed<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        let closed = &self.context.shared.closed;
        // Pinning avoids moving the wait. If both happen at the same time, the client counts as closed.
        closed.run_until_cancelled(pin!(wait)).await.filter(|_| !closed.is_cancelled())
    }
}

impl<'a, R: GetOrCreate> Attempts<'_, 'a, R> {
    async fn run(mut self) -> Result<Stored<R::Record>, ErrorKind> {
        let mut last = None;
        loop {
            let permit = match self.admit().await {
                Ok(permit) => permit,
                Err(reason) => return Err(last.unwrap_or(reason)),
            };
            let error = match self.attempt(permit).await {
                Ok(stored) => {
                    trace::attempt(R::OPERATION.name, self.count, None, None);
                    return Ok(stored.following(*self.maybe_stored));
                }
                Err(error) => error,
            };
            let wait = self.classify(&error);
            trace::attempt(R::OPERATION.name, self.count, Some(&error), wait);
            match wait {
                Some(wait) if self.wait(wait).await => last = Some(error),
                _ => return Err(error),
            }
        }
    }

    /// Waits for the rate limit.
    async fn admit(&self) -> Result<Permit<'a>, ErrorKind> {
        let Call { context, retry, latest, .. } = *self.call;
        let permit = self.call.unless_closed(context.limit.admit(latest, retry.waits_for_limit));
        let permit = trace::wait("the rate limit", pin!(permit)).await;
        permit.unwrap_or(Err(ErrorKind::Closed))
    }

    /// Makes one request.
    async fn attempt(&mut self, permit: Permit<'_>) -> Result<Stored<R::Record>, ErrorKind> {
        let Call { context, headers, ref failed, .. } = *self.call;
        self.count += 1;
        // If the call is dropped from here on, the request may still run at the server.
        self.turn.in_flight = true;
        let timeout = self.call.time_for_attempt();
        let on_response = |status, headers: &_| permit.on_response(status, headers);
        let result = context.caller.attempt(self.record, timeout, headers, on_response).await;
        if matches!(&result, Err(error @ ErrorKind::Transport(_)) if !error.maybe_stored()) {
            permit.unused();
        }
        drop(permit);
        context.budget.count(result.as_ref().map(drop));
        failed.fetch_add(u32::from(result.is_err()), Ordering::Relaxed);
        let may_run = result.as_ref().is_err_and(ErrorKind::maybe_stored);
        self.turn.in_flight = may_run;
        *self.maybe_stored |= may_run;
        result
    }

    /// How long to wait for another attempt; `None` if none can follow.
    fn classify(&mut self, error: &ErrorKind) -> Option<Duration> {
        let retry = self.call.retry;
        let is_new = self.has_new_id && error.is_unknown_id();
        let is_limited = error.status() == Some(StatusCode::TOO_MANY_REQUESTS);
        let can_follow = (is_new || is_safe(error, is_identified(self.record)))
            && (self.count as usize) < retry.max_attempts
            && (retry.waits_for_limit || !is_limited);
        if !can_follow {
            return None;
        }
        let settles = if error.maybe_stored() {
            SETTLES.mul_f64(fastrand::f64() * (LONGEST_SETTLING - 1.0) + 1.0)
        } else {
            Duration::ZERO
        };
        let wait = self.waits.next().unwrap_or_default();
        let asked = error.retry_after().unwrap_or_default().min(LONGEST_PAUSE);
        Some(wait.max(settles).max(asked)).filter(|wait| self.is_in_time(*wait))
    }

    /// Waits before another attempt, longer in an outage. Returns whether there is time for one.
    async fn wait(&mut self, wait: Duration) -> bool {
        let mut next = Some(wait);
        while let Some(wait) = next.filter(|wait| self.is_in_time(*wait)) {
            if self.call.unless_closed(sleep(wait)).await.is_none() {
                return false;
            }
            if !self.call.context.budget.holds_back() {
                return true;
            }
            next = self.waits.next();
        }
        false
    }

    fn is_in_time(&self, wait: Duration) -> bool {
        Instant::now() + wait <= self.call.latest
    }
}
