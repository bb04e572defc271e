//! When another attempt is safe, and how long to wait before it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::client::RateLimit;
use crate::error::{ErrorKind, hint};

/// How a call that failed is repeated.
///
/// A call is repeated where that is safe:
///
/// | what happened | is repeated |
/// | --- | --- |
/// | it was not sent (no connection), or refused before processing (429) | always |
/// | it may be stored (reset, timeout, 5xx, an answer that is cut or not the API's) | if the message is [identified](crate::NewMessage::is_identified) |
/// | it was refused (any other 4xx), or led elsewhere (3xx) | never |
///
/// The repetition of an identified message finds the first one. From API version 1.80 on it then
/// updates that message's tags and payload with its own. They are the same, unless somebody else has
/// changed the message in between: then a late repetition undoes that change.
///
/// Before another attempt it waits 0.1 to 0.2 seconds, then twice as long each time up to 4 to 8, and
/// not less than the answer [asks for](crate::Error::retry_after). If the deadline comes before the
/// end of that time, the call ends at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    max_attempts: usize,
    pub(crate) deadline: Duration,
}

impl Default for Retry {
    /// At most 10 attempts within 60 seconds.
    fn default() -> Self {
        Self { max_attempts: 10, deadline: Duration::from_secs(60) }
    }
}

impl Retry {
    /// No repetition: every call is one attempt.
    pub fn off() -> Self {
        Self::default().max_attempts(1)
    }

    /// How many attempts a call may make, the first one included; none is taken for one.
    pub fn max_attempts(mut self, attempts: usize) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// How long a call may take, with all its attempts and waits.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The waits before the second attempt, the third and so on.
    pub(crate) fn waits(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(4))
            .with_max_times(self.max_attempts - 1)
            .with_jitter()
            .build()
    }
}

/// Whether another attempt can do no harm, and some good.
pub(crate) fn is_safe(error: &ErrorKind, identified: bool) -> bool {
    let harmless = identified || !error.maybe_stored();
    match error {
        ErrorKind::Config(_) | ErrorKind::Invalid(_) | ErrorKind::RateLimit(_) => false,
        ErrorKind::Transport(_) => harmless,
        ErrorKind::Api(_) | ErrorKind::Answer(_) => error.status().is_some_and(|status| {
            let may_heal = status.is_success() || status.is_server_error();
            status == StatusCode::TOO_MANY_REQUESTS || (may_heal && harmless)
        }),
    }
}

/// What the clones of a client share: no call starts while the API's rate limit is used up.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    opens: Mutex<Option<Instant>>,
}

impl Gate {
    /// Closes if an answer says that the window is used up, until it starts anew.
    pub(crate) fn learn(&self, status: StatusCode, headers: &HeaderMap) {
        let limit = RateLimit::read(headers);
        let refused = status == StatusCode::TOO_MANY_REQUESTS;
        let wait = if refused { hint(status, headers) } else { limit.reset };
        if let Some(wait) = wait.filter(|_| refused || limit.remaining == Some(0)) {
            let mut opens = self.opens();
            *opens = Instant::now().checked_add(wait).max(*opens);
        }
    }

    /// How long it stays closed, if it is.
    pub(crate) fn closed_for(&self) -> Option<Duration> {
        let wait = self.opens().map(|opens| opens.saturating_duration_since(Instant::now()));
        wait.filter(|wait| !wait.is_zero())
    }

    fn opens(&self) -> MutexGuard<'_, Option<Instant>> {
        self.opens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
