//! When another attempt is safe, and how long to wait before it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::client::RateLimit;
use crate::error::{ErrorKind, retry_after, window_reset};

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
///
/// The rate limit is the matter of all clones of a client: when an answer says that it is used up,
/// none of their calls starts before the window does, be it for a first attempt or another, which then
/// counts for nothing but the deadline. They believe such an answer for ten minutes at most.
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
    /// No repetition: every call is one attempt, though it may have to wait for the rate limit first.
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

    /// Whether there may be a second attempt.
    pub(crate) fn repeats(&self) -> bool {
        self.max_attempts > 1
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
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    /// When the current window ends at the latest, by what its answers say. The figure is in whole
    /// seconds, so the first answer of a window tells it best.
    ends: Option<Instant>,
    /// Until when no call starts.
    closed: Option<Instant>,
}

impl Gate {
    /// Longer than this the gate stays closed for no answer: a wrong figure must not end a client.
    const LONGEST: Duration = Duration::from_secs(600);

    /// Closes if an answer says that the window is used up, until it starts anew.
    pub(crate) fn learn(&self, status: StatusCode, headers: &HeaderMap) {
        let now = Instant::now();
        let after = |wait: Duration| now + wait.min(Self::LONGEST);
        let refused = status == StatusCode::TOO_MANY_REQUESTS;
        let mut window = self.window();
        // Less than a second is sent as one or, by some, as none.
        let reset = window_reset(headers).map(|reset| after(reset.max(Duration::from_secs(1))));
        if let Some(reset) = reset {
            let known = window.ends.filter(|ends| *ends > now);
            window.ends = Some(known.map_or(reset, |ends| ends.min(reset)));
        }
        let asked = retry_after(headers).filter(|_| refused).map(after);
        let used_up = refused || RateLimit::read(headers).remaining == Some(0);
        let until = window.ends.filter(|_| used_up && reset.is_some()).max(asked);
        window.closed = window.closed.max(until);
    }

    /// How long it stays closed, if it is.
    pub(crate) fn closed_for(&self) -> Option<Duration> {
        let wait = self.window().closed.map(|end| end.saturating_duration_since(Instant::now()));
        wait.filter(|wait| !wait.is_zero())
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
