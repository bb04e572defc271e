//! When another attempt is safe, how long to wait before it, and when it would make an outage worse.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use http::StatusCode;
use tokio::time::Instant;

use crate::error::ErrorKind;

/// Longer than anybody waits, and no more than a clock can count.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(1 << 32);

/// How a call that failed is repeated.
///
/// A call is repeated where that is safe:
///
/// | what happened | is repeated |
/// | --- | --- |
/// | it was not sent (no connection), or the server did not process it (429, 408, 425, a locked resource, HTTP/2's REFUSED_STREAM and GOAWAY) | always |
/// | it may be stored (reset, timeout, 5xx, an answer that is cut off) | if the record is [identified](crate::New::is_identified) |
/// | it was refused (any other 4xx), led elsewhere (3xx), or has a whole answer that is not the API's (200) | never |
///
/// The repetition for an identified record finds the first one. From API version 1.80 on it then updates
/// that record with the same values. If somebody else has changed it in between, a late repetition undoes
/// that change.
///
/// Before another attempt a call waits 0.1 to 0.2 seconds, then twice as long each time up to 4 to 8,
/// and not less than the answer [asks for](crate::Error::retry_after). After an attempt that may have
/// stored the record it waits at least 1 to 1.5 seconds, so that the server is done with it. An attempt
/// starts only if it has a second left (less if the timeout or a quarter of the deadline is less); where
/// no more can, the call ends at once.
///
/// Clones of a client share what they know. Calls for the same record take turns. No more requests
/// start than the rate limit's window has left. And when nearly nothing has succeeded for two minutes,
/// most repetitions are left out, so that an outage is not made worse: each then waits another turn,
/// which is no attempt.
#[must_use]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Retry {
    pub(crate) max_attempts: usize,
    pub(crate) deadline: Duration,
    pub(crate) waits_for_limit: bool,
}

impl Default for Retry {
    /// At most 20 attempts within 60 seconds.
    fn default() -> Self {
        Self { max_attempts: 20, deadline: Duration::from_secs(60), waits_for_limit: true }
    }
}

impl Retry {
    /// No repetition: every call is one attempt, though it may have to wait for the rate limit first.
    pub fn off() -> Self {
        Self::default().max_attempts(1)
    }

    /// How many attempts a call may make, the first one included; none is taken for one. Each is one
    /// request at most.
    pub fn max_attempts(mut self, attempts: usize) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// How long a call may take, with all its attempts and waits. Zero leaves no time for an attempt.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Ends a call at once where the rate limit is used up, in place of waiting for the next window: with
    /// [`ErrorKind::RateLimit`] if that is known before, and with the API's 429 if it is not.
    pub fn fail_fast_at_limit(mut self) -> Self {
        self.waits_for_limit = false;
        self
    }

    /// The waits before the second attempt, the third and so on.
    pub(crate) fn waits(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(4))
            .without_max_times()
            .with_jitter()
            .build()
    }
}

/// Whether another attempt can do no harm, and some good.
pub(crate) fn is_safe(error: &ErrorKind, identified: bool) -> bool {
    error.may_heal() && (identified || !error.maybe_stored())
}

/// How many requests were made lately and how many of them were accepted: the rule by which Google's
/// SRE book has clients throttle themselves, here for repetitions alone.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Option<Recent>>);

#[derive(Clone, Copy, Debug)]
struct Recent {
    requests: f64,
    accepted: f64,
    at: Instant,
}

impl Budget {
    /// What happened longer ago counts for less and less.
    const LATELY: Duration = Duration::from_secs(120);
    /// So many requests are made for each that is accepted,
    const FOR_ACCEPTED: f64 = 2.0;
    /// and so many in any case: of a few failures nothing follows.
    const FREE: f64 = 20.0;

    /// Counts a request, unless it failed for the rate limit: that is no outage.
    pub(crate) fn count(&self, result: Result<(), &ErrorKind>) {
        let accepted = match result {
            Ok(()) => true,
            Err(error) if error.status() == Some(StatusCode::TOO_MANY_REQUESTS) => return,
            Err(error) => error.status().is_some_and(|status| status.is_client_error()),
        };
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Recent { requests, accepted: before, at } = Self::recent(*recent);
        *recent = Some(Recent {
            requests: requests + 1.0,
            accepted: before + f64::from(u8::from(accepted)),
            at,
        });
    }

    /// Whether a repetition has to wait another turn.
    pub(crate) fn holds_back(&self) -> bool {
        let recent = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Recent { requests, accepted, .. } = Self::recent(recent);
        let excess = requests - Self::FOR_ACCEPTED * accepted - Self::FREE;
        fastrand::f64() < excess / (requests + 1.0)
    }

    /// The figures as they count now.
    fn recent(recent: Option<Recent>) -> Recent {
        let at = Instant::now();
        let Some(Recent { requests, accepted, at: before }) = recent else {
            return Recent { requests: 0.0, accepted: 0.0, at };
        };
        let age = (at - before).as_secs_f64() / Self::LATELY.as_secs_f64();
        let weight = (-age).exp();
        Recent { requests: requests * weight, accepted: accepted * weight, at }
    }
}
