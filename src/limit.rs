//! How many requests the API's rate limit lets through, counted down here between its answers.
//!
//! Every answer says how many requests its window has left. Of these, the requests under way may take
//! one each, so no more start than are left beside them. A window of which no answer is known yet lets
//! a few through, and more if they take long to be answered.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::error::ErrorKind;
use crate::headers::{RateLimit, retry_after, window_reset};

/// What the clones of a client share of the rate limit.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    /// Calls wait in the order in which they came: only the first of them watches the window.
    queue: tokio::sync::Mutex<()>,
    changed: Notify,
    window: Mutex<Window>,
}

/// The window in which requests start now.
#[derive(Debug, Default)]
struct Window {
    /// Tells its requests from those of earlier windows.
    number: u64,
    /// When its first request started, and from when a request is one of the next window.
    span: Option<(Instant, Instant)>,
    /// So many requests start before its first answer.
    few: u64,
    /// The lowest figure that its answers told, and how many requests had started by then.
    remaining: Option<u64>,
    told: u64,
    /// Its requests that are under way.
    under_way: u64,
    /// The requests of all windows: those under way, and how many have started.
    all_under_way: u64,
    started: u64,
    /// How many requests a window allows, by the last answer.
    limit: Option<u64>,
    /// The API answers without figures, so there is nothing to count.
    unlimited: bool,
    /// A call has to wait for the next window.
    used_up: bool,
    /// How much later than by its own clock the next window starts, because requests take different
    /// times to arrive.
    margin: Duration,
    /// Until when an answer asked for no request at all.
    closed: Option<Instant>,
}

/// The right to make one request. It counts as under way until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    limit: &'a Limit,
    window: u64,
    start: Instant,
    /// How many requests had started before, and how many of them were under way.
    index: u64,
    beside: u64,
}

/// So many requests of a window start before its first answer,
const FEW: u64 = 8;
/// or so many if the window before it was used up: the next may not have begun at the server.
const FEWER: u64 = 2;
/// As long as there is no answer, twice as many start after each of these times.
const GRACE: Duration = Duration::from_millis(200);
/// The window that the API documents. Its figure is in whole seconds, and some say less than one as 0.
const WINDOW: Duration = Duration::from_secs(1);
/// A reset is believed up to here, near the window that the API documents.
const LONGEST_WINDOW: Duration = Duration::from_secs(2);
const MARGINS: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(200)];
/// `Retry-After` is believed for so long: a wrong figure must not end a client.
const LONGEST: Duration = Duration::from_secs(600);

impl Limit {
    /// Waits for the right to make a request, first come first served, but not beyond `latest`, and not at
    /// all for the next window if the call is not to wait for one.
    ///
    /// # Errors
    ///
    /// How long the limit stays used up, if an answer said that it is, or else that the time is.
    pub(crate) async fn admit(
        &self,
        latest: Instant,
        waits: bool,
    ) -> Result<Permit<'_>, ErrorKind> {
        let used_up =
            |opens: Instant| ErrorKind::RateLimit(opens.saturating_duration_since(Instant::now()));
        let too_late = |opens: Instant| opens > latest || !waits;
        if let Some(closed) = self.window().closed
            && closed > Instant::now()
            && too_late(closed)
        {
            return Err(used_up(closed));
        }
        let _first = match self.queue.try_lock() {
            Ok(first) => first,
            Err(_) if !waits && self.window().used_up => return Err(ErrorKind::RateLimit(WINDOW)),
            Err(_) => match timeout_at(latest, self.queue.lock()).await {
                Ok(first) => first,
                Err(_) if self.window().used_up => return Err(ErrorKind::RateLimit(WINDOW)),
                Err(_) => return Err(ErrorKind::Deadline),
            },
        };
        loop {
            let changed = self.changed.notified();
            let opens = match self.start() {
                Ok(permit) if permit.start <= latest => return Ok(permit),
                Err((opens, true)) if too_late(opens) => return Err(used_up(opens)),
                Err((opens, _)) if Instant::now() < latest => opens,
                _ => return Err(ErrorKind::Deadline),
            };
            // Either way, the window is looked at again.
            let _ = timeout_at(opens.min(latest), changed).await;
        }
    }

    /// Starts a request now, or tells when to look again, and whether an answer said so.
    fn start(&self) -> Result<Permit<'_>, (Instant, bool)> {
        let now = Instant::now();
        let mut window = self.window();
        if let Some(closed) = window.closed.filter(|closed| *closed > now) {
            return Err((closed, true));
        }
        if window.span.is_none_or(|(_, end)| now >= end + window.margin) {
            window.begin(now);
        }
        let (allowed, opens) = window.allowed(now);
        if window.under_way >= allowed {
            window.used_up |= window.remaining.is_some();
            return Err((opens, window.used_up));
        }
        let permit = Permit {
            limit: self,
            window: window.number,
            start: now,
            index: window.started,
            beside: window.all_under_way,
        };
        window.under_way += 1;
        window.all_under_way += 1;
        window.started += 1;
        Ok(permit)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// A new window, as far as can be known here.
    fn begin(&mut self, now: Instant) {
        self.few = if self.used_up { FEWER } else { FEW };
        self.number += 1;
        self.span = Some((now, now + WINDOW));
        (self.remaining, self.under_way, self.used_up) = (None, 0, false);
    }

    /// How many requests may be under way now, and when there may be more.
    fn allowed(&self, now: Instant) -> (u64, Instant) {
        let (began, end) = self.span.unwrap_or((now, now));
        let end = end + self.margin;
        match self.remaining {
            _ if self.unlimited => (u64::MAX, end),
            Some(remaining) => (remaining, end),
            None => {
                let graces = (now - began).as_millis() / GRACE.as_millis();
                let graces = u32::try_from(graces).unwrap_or(u32::MAX);
                let few = self.few.saturating_mul(2_u64.saturating_pow(graces));
                let more = began + GRACE.saturating_mul(graces.saturating_add(1));
                (few.min(self.limit.unwrap_or(u64::MAX)), end.min(more))
            }
        }
    }

    /// Counts by the figures of an answer.
    fn learn(&mut self, permit: &Permit<'_>, refused: bool, told: RateLimit, reset: Duration) {
        let sample = self.remaining.is_none();
        let remaining = if refused { Some(0) } else { told.remaining };
        self.limit = told.limit.or(self.limit);
        self.unlimited = remaining.is_none() && self.limit.is_none();
        let (Some(remaining), true) = (remaining, permit.window == self.number) else { return };

        // Answers overtake each other, but not more of them than were under way at the same time. A
        // figure that is higher than that explains, or that was asked for later, is a new window's.
        let lowest = self.remaining.unwrap_or(u64::MAX);
        let overtaken = permit.beside + (self.started - permit.index - 1);
        let new = remaining > lowest
            && (permit.index >= self.told || remaining > lowest.saturating_add(overtaken));
        let ends = permit.start + reset.clamp(WINDOW, LONGEST_WINDOW);
        if let Some((_, end)) = &mut self.span {
            *end = if sample || new { ends } else { ends.min(*end) };
        }
        if sample {
            let margin = if refused { self.margin * 2 } else { self.margin * 9 / 10 };
            self.margin = margin.clamp(MARGINS[0], MARGINS[1]);
        }
        if sample || new || remaining <= lowest {
            (self.remaining, self.told) = (Some(remaining), self.started);
        }
    }
}

impl Permit<'_> {
    /// Learns from the answer to the request.
    pub(crate) fn answered(&self, status: StatusCode, headers: &HeaderMap) -> RateLimit {
        let refused = status == StatusCode::TOO_MANY_REQUESTS;
        let told = RateLimit::read(headers);
        let reset = told.reset.filter(|reset| *reset <= LONGEST_WINDOW);
        let reset = reset.or_else(|| window_reset(headers));
        let mut window = self.limit.window();
        if refused && let Some(asked) = retry_after(headers) {
            window.closed = window.closed.max(Some(Instant::now() + asked.min(LONGEST)));
        }
        // A gateway's refusal that says nothing of a window tells nothing about it.
        if !refused || reset.is_some() {
            window.learn(self, refused, told, reset.unwrap_or(WINDOW));
        }
        told
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut window = self.limit.window();
        window.all_under_way = window.all_under_way.saturating_sub(1);
        if window.number == self.window {
            window.under_way = window.under_way.saturating_sub(1);
        }
        drop(window);
        self.limit.changed.notify_one();
    }
}
