//! When a retry is safe, how long to wait before it, and when it would make an outage worse.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use http::StatusCode;
use tokio::time::Instant;

use crate::error::ErrorKind;

/// Longer than any call takes, and short enough to be added to the time of any clock.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(1 << 32);

/// The longest time for an attempt by default.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(20);

/// How fast the budget forgets: a request weighs 1/e after this time.
const MEMORY: Duration = Duration::from_secs(120);
/// Requests allowed per accepted one.
const REQUESTS_PER_ACCEPTED: f64 = 2.0;
/// Requests always allowed; a few failures are not evidence.
const FREE_REQUESTS: f64 = 20.0;

/// When a call that failed is retried.
///
/// A call is retried where that is safe:
///
/// | what happened | is retried |
/// | --- | --- |
/// | it was not sent (no connection), or the server did not process it (429, 408, 425, a locked resource, HTTP/2's REFUSED_STREAM and GOAWAY) | always |
/// | it may be stored (reset, timeout, 5xx, a response that is cut off) | if tags identify the record |
/// | it was rejected (any other 4xx) or redirected (3xx), or a complete 200 did not come from the API | never, except for an unknown id |
///
/// If the API does not know an id that [`deliver`](crate::Client::deliver) remembered, `deliver` requests the id again
/// and repeats the message, once. If the API has just returned both ids, `deliver` repeats the message like one that
/// was not processed.
///
/// A retry for an identified record finds the first one. From API version 1.80 on it then updates that record
/// with the same values. If somebody else has changed it in between, a late retry undoes that change.
///
/// Before the second attempt a call waits 0.1 to 0.2 seconds. Each further wait is twice as long, up to 4 to 8
/// seconds. A call waits at least as long as the response [asks for](crate::Error::retry_after), up to two minutes.
/// After an attempt that may have stored the record it waits at least 1 to 1.2 seconds, so that the server can finish
/// it. An attempt starts only if a second is left (less if the attempt timeout or a quarter of the deadline is less);
/// otherwise the call ends immediately.
///
/// Clones share the limits and outages that they see. Calls for the same record take turns. No more requests start
/// than the rate limit's window has left, except for a few; a window can last up to two minutes. When most requests
/// have failed for two minutes, most retries wait longer, so that an outage is not made worse.
#[must_use]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Retry {
    pub(crate) max_attempts: usize,
    pub(crate) deadline: Duration,
    attempt_timeout: Option<Duration>,
    pub(crate) waits_for_limit: bool,
}

/// The waits between the attempts of a call.
pub(crate) type Waits = ExponentialBackoff;

/// Holds retries back while the server accepts few requests: the client-side throttling of Google's SRE
/// book, but only for retries.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Recent>);

/// How many requests were made recently, and how many of them were accepted. It has no clock and no
/// random numbers: the caller passes both.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    requests: f64,
    accepted: f64,
    /// When this was counted.
    at: Option<Instant>,
    /// Since when too few requests are accepted.
    outage_since: Option<Instant>,
}

impl Default for Retry {
    /// At most 20 attempts within 60 seconds.
    fn default() -> Self {
        let (max_attempts, deadline) = (20, Duration::from_secs(60));
        Self { max_attempts, deadline, attempt_timeout: None, waits_for_limit: true }
    }
}

impl Retry {
    /// No retries: one attempt for each record, which may have to wait for the rate limit first.
    pub fn off() -> Self {
        Self::default().max_attempts(1)
    }

    /// The number of attempts for one record, with the first; zero counts as one. Each is at most one request. A
    /// [delivery](crate::Client::deliver) has this number for each of its records;
    /// [`Error::attempts`](crate::Error::attempts) counts the failed attempts of all of them.
    pub fn max_attempts(mut self, attempts: usize) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// The time for a call, with all its attempts and waits. Zero leaves no time for an attempt.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The longest time for an attempt, from connecting to the end of the response. By default it is a fifth of the
    /// [deadline](Self::deadline), so that an attempt without a response leaves time for another. If there is no time
    /// for another anyway, it is all the time that is left. Either way it is at most 20 seconds.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Ends a call immediately if the rate limit is used up, instead of waiting for the next window: with
    /// [`ErrorKind::RateLimit`] if that is known before a request, otherwise with the API's 429.
    pub fn fail_fast_at_limit(mut self) -> Self {
        self.waits_for_limit = false;
        self
    }

    /// The time for an attempt, at most the time that is `left`.
    pub(crate) fn time_for_attempt(&self, left: Duration, is_last: bool) -> Duration {
        let share = if is_last { left } else { self.deadline / 5 };
        self.attempt_timeout.unwrap_or(share.min(LONGEST_ATTEMPT)).min(left)
    }

    /// The waits before the second attempt, the third and so on.
    pub(crate) fn waits(&self) -> Waits {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(4))
            .without_max_times()
            .with_jitter()
            .build()
    }
}

impl Budget {
    /// Counts a request, unless it failed because of the rate limit: that is no outage.
    pub(crate) fn count(&self, result: Result<(), &ErrorKind>) {
        if let Some(accepted) = was_accepted(result) {
            self.recent().count(accepted, Instant::now());
        }
    }

    /// Whether a retry has to wait once more.
    pub(crate) fn holds_back(&self) -> bool {
        self.recent().holds_back(fastrand::f64(), Instant::now())
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn count(&mut self, accepted: bool, now: Instant) {
        *self = self.aged(now);
        self.requests += 1.0;
        self.accepted += f64::from(u8::from(accepted));
        // A burst of failures is no outage yet.
        self.outage_since = (self.excess() > 0.0).then(|| self.outage_since.unwrap_or(now));
    }

    /// Whether a retry has to wait once more, for a random `draw` from 0 to 1.
    fn holds_back(&self, draw: f64, now: Instant) -> bool {
        let aged = self.aged(now);
        let lasts = aged.outage_since.map_or(Duration::ZERO, |since| now - since);
        lasts >= MEMORY && draw < aged.excess() / (aged.requests + 1.0)
    }

    /// The requests beyond those that the accepted ones allow.
    fn excess(&self) -> f64 {
        self.requests - REQUESTS_PER_ACCEPTED * self.accepted - FREE_REQUESTS
    }

    /// The counts as they weigh now.
    fn aged(&self, now: Instant) -> Self {
        let age = self.at.map_or(Duration::ZERO, |at| now - at);
        let weight = (-age.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        let (requests, accepted) = (self.requests * weight, self.accepted * weight);
        Self { requests, accepted, at: Some(now), outage_since: self.outage_since }
    }
}

/// Whether another attempt does no harm and may succeed.
pub(crate) fn is_safe(error: &ErrorKind, identified: bool) -> bool {
    error.is_transient() && (identified || !error.maybe_stored())
}

/// Whether the server was up for a request; `None` if the result says nothing about that.
fn was_accepted(result: Result<(), &ErrorKind>) -> Option<bool> {
    match result {
        Ok(()) => Some(true),
        Err(error) if error.status() == Some(StatusCode::TOO_MANY_REQUESTS) => None,
        Err(error) => Some(error.status().is_some_and(|status| status.is_client_error())),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::api::types::ErrorType;
    use crate::error::{ApiError, ConfigError, RawResponse, ResponseError, TransportError};
    use crate::redaction::Secrets;

    fn api(status: u16, type_: ErrorType) -> ErrorKind {
        let status = StatusCode::from_u16(status).unwrap();
        ErrorKind::Api(Box::new(ApiError::new(status, type_, "")))
    }

    fn page(status: u16) -> ErrorKind {
        let status = StatusCode::from_u16(status).unwrap();
        ErrorKind::Response(Box::new(ResponseError::new(status, "")))
    }

    fn cut_page(status: u16) -> ErrorKind {
        let status = StatusCode::from_u16(status).unwrap();
        let (headers, body, broken) = (HeaderMap::new(), Bytes::new(), Some("cut".into()));
        let response = RawResponse { status, headers, body, broken };
        ErrorKind::from_response(response, None, &Secrets::new([].into_iter()))
    }

    fn transport(sent: bool) -> ErrorKind {
        ErrorKind::Transport(TransportError::new("reset", sent))
    }

    #[test]
    fn a_retry_is_safe_if_it_cannot_store_twice_and_may_succeed() {
        enum Safe {
            Always,
            IfIdentified,
            Never,
        }
        use Safe::{Always, IfIdentified, Never};
        struct Case {
            name: &'static str,
            error: ErrorKind,
            safe: Safe,
        }
        let cases = [
            Case { name: "config", error: ErrorKind::Config(ConfigError::new("")), safe: Never },
            Case { name: "invalid", error: ErrorKind::Invalid(Vec::new()), safe: Never },
            Case { name: "limit", error: ErrorKind::RateLimit(Duration::ZERO), safe: Never },
            Case { name: "deadline", error: ErrorKind::Deadline, safe: Never },
            Case { name: "closed", error: ErrorKind::Closed, safe: Never },
            Case { name: "400", error: api(400, ErrorType::InvalidPayload), safe: Never },
            Case { name: "401", error: api(401, ErrorType::Unauthorized), safe: Never },
            Case { name: "404", error: api(404, ErrorType::ResourceNotFound), safe: Never },
            Case { name: "408", error: api(408, ErrorType::OperationTimeout), safe: Always },
            Case { name: "409", error: api(409, ErrorType::AlreadyExists), safe: Never },
            Case { name: "lock", error: api(409, ErrorType::ResourceLockedConflict), safe: Always },
            Case { name: "425", error: api(425, ErrorType::Unknown), safe: Always },
            Case { name: "429", error: api(429, ErrorType::RateLimited), safe: Always },
            Case { name: "500", error: api(500, ErrorType::Internal), safe: IfIdentified },
            Case { name: "504", error: api(504, ErrorType::OperationTimeout), safe: IfIdentified },
            Case { name: "200 page", error: page(200), safe: Never },
            Case { name: "200 page, cut", error: cut_page(200), safe: IfIdentified },
            Case { name: "302 page", error: page(302), safe: Never },
            Case { name: "404 page", error: page(404), safe: Never },
            Case { name: "404 page, cut", error: cut_page(404), safe: Never },
            Case { name: "408 page", error: page(408), safe: Always },
            Case { name: "425 page", error: page(425), safe: Always },
            Case { name: "429 page", error: page(429), safe: Always },
            Case { name: "502 page", error: page(502), safe: IfIdentified },
            Case { name: "no connection", error: transport(false), safe: Always },
            Case { name: "broken connection", error: transport(true), safe: IfIdentified },
        ];
        for Case { name, error, safe } in cases {
            let expected = match safe {
                Always => [true, true],
                IfIdentified => [true, false],
                Never => [false, false],
            };
            assert_eq!(
                [true, false].map(|identified| is_safe(&error, identified)),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn only_an_outage_counts_against_the_server() {
        struct Case {
            name: &'static str,
            result: Result<(), ErrorKind>,
            accepted: Option<bool>,
        }
        let cases = [
            Case { name: "stored", result: Ok(()), accepted: Some(true) },
            Case { name: "rejected", result: Err(page(400)), accepted: Some(true) },
            Case { name: "rate limited", result: Err(page(429)), accepted: None },
            Case { name: "failed", result: Err(page(503)), accepted: Some(false) },
            Case { name: "no response", result: Err(transport(true)), accepted: Some(false) },
        ];
        for Case { name, result, accepted } in cases {
            assert_eq!(was_accepted(result.as_ref().map(drop)), accepted, "{name}");
        }
    }

    #[test]
    fn retries_are_held_back_in_an_outage() {
        struct Case {
            name: &'static str,
            /// Each second.
            accepted: u32,
            failed: u32,
            seconds: u64,
            held_back: bool,
        }
        let cases = [
            Case { name: "no requests", accepted: 0, failed: 0, seconds: 300, held_back: false },
            Case { name: "a burst", accepted: 0, failed: 2_000, seconds: 1, held_back: false },
            Case { name: "a minute", accepted: 0, failed: 50, seconds: 60, held_back: false },
            Case { name: "two minutes", accepted: 0, failed: 50, seconds: 130, held_back: true },
            Case { name: "most fail", accepted: 1, failed: 9, seconds: 300, held_back: true },
            Case { name: "half fail", accepted: 5, failed: 5, seconds: 300, held_back: false },
            Case { name: "few", accepted: 0, failed: 1, seconds: 15, held_back: false },
        ];
        let start = Instant::now();
        for Case { name, accepted, failed, seconds, held_back } in cases {
            let (mut recent, mut now) = (Recent::default(), start);
            for _ in 0..seconds {
                now += Duration::from_secs(1);
                (0..accepted).for_each(|_| recent.count(true, now));
                (0..failed).for_each(|_| recent.count(false, now));
            }
            assert_eq!(recent.holds_back(0.2, now), held_back, "{name}");
            assert!(!recent.holds_back(0.2, now + Duration::from_secs(900)), "{name}: long ago");
        }
    }

    #[test]
    fn old_requests_weigh_less() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        recent.count(true, now);
        recent.count(false, now + MEMORY);
        let weight = (-1.0_f64).exp();
        assert!((recent.requests - (1.0 + weight)).abs() < 1e-9, "{recent:?}");
        assert!((recent.accepted - weight).abs() < 1e-9, "{recent:?}");
    }

    #[test]
    fn waits_double_from_a_tenth_of_a_second() {
        let waits = Retry::default().waits().take(20).map(|wait| wait.as_secs_f64());
        for (attempt, wait) in (0..).zip(waits) {
            let shortest = (0.1 * 2_f64.powi(attempt)).min(4.0);
            assert!((shortest..=2.0 * shortest).contains(&wait), "{attempt}: {wait}");
        }
    }
}
