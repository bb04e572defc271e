//! How many requests the API's rate limit allows, counted here between responses.
//!
//! Every response says how many requests its window has left. Each request in flight may take one of
//! these, so another starts only if more are left than are in flight. A window without a response lets a few start, and
//! more if their responses are slow.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::error::ErrorKind;
use crate::headers::{RateLimit, retry_after, window_reset};

/// Requests that a window lets start before its first response.
const FEW: u64 = 8;
/// The same after a window that was used up: the next one may not have begun at the server.
const FEWER: u64 = 2;
/// Without a response, twice as many start after each of these periods.
const GRACE: Duration = Duration::from_millis(200);
/// The window that the API documents. It reports whole seconds, and some servers report less than one as 0.
const WINDOW: Duration = Duration::from_secs(1);
/// If no request is allowed, one starts anyway after this time without any: a wrong number must not
/// prevent the response that would correct it.
const PROBE: Duration = Duration::from_secs(10);
/// A waiting call asks again after this time, even if nothing wakes it.
const RECHECK: Duration = Duration::from_secs(1);
/// Bounds of `Window::margin`.
const MARGINS: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(200)];
/// A longer `Retry-After` is cut to this: a wrong value must not stop a client for long.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// The rate limit as the clones of a client share it.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    /// Wakes the waiting call that came first.
    changed: Notify,
    window: Mutex<Window>,
}

/// The right to make one request. It counts as in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    limit: &'a Limit,
    slot: Slot,
}

/// The window in which requests start now. It has no clock: the caller passes the time.
#[derive(Debug, Default)]
struct Window {
    /// Distinguishes its requests from those of earlier windows.
    number: u64,
    /// When its first request started, and when the next window begins.
    span: Option<(Instant, Instant)>,
    /// Requests that start before its first response.
    few: u64,
    /// The lowest number that its responses reported as left.
    remaining: Option<u64>,
    /// How many requests of all windows had started when that number arrived.
    remaining_at: u64,
    /// Its requests without a response. One that is dropped or breaks may have been counted by the server, so
    /// it stays here until the window ends.
    in_flight: u64,
    /// When the last request of all windows started.
    last_start: Option<Instant>,
    /// The requests of all windows that are in flight.
    all_in_flight: u64,
    /// The requests of all windows that have started.
    all_started: u64,
    /// How many requests a window allows, by the last response.
    limit: Option<u64>,
    /// Responses report no numbers, so there is nothing to count.
    unlimited: bool,
    /// A call has to wait for the next window.
    used_up: bool,
    /// How much later the next window begins here than at the server, because some requests take longer
    /// to arrive than others.
    margin: Duration,
    /// A response asked to send no request before this time.
    closed: Option<Instant>,
}

/// A request that a window let start.
#[derive(Clone, Copy, Debug)]
struct Slot {
    window: u64,
    start: Instant,
    /// How many requests of all windows had started before.
    index: u64,
    /// How many of them were in flight.
    in_flight: u64,
}

/// No request is allowed to start now.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Wait {
    /// When to ask again.
    ask_again: Instant,
    /// When more requests are allowed, as far as is known.
    until: Instant,
    /// A response said that the limit is used up.
    used_up: bool,
}

/// What a response says about the limit.
#[derive(Clone, Copy, Debug, Default)]
struct Report {
    /// The status is 429.
    rejected: bool,
    /// The status is 2xx, so the API sent it.
    accepted: bool,
    rate_limit: RateLimit,
    /// Until the next window, from any of the headers that report it.
    reset: Option<Duration>,
    /// `Retry-After` of a 429.
    retry_after: Option<Duration>,
}

impl Limit {
    /// Waits for the right to make a request, but not beyond `latest`, and for the next window only if `waits`.
    /// A call that is polled makes progress, even if others are not polled.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RateLimit`] if a response said that the limit is used up, otherwise [`ErrorKind::Deadline`].
    pub(crate) async fn admit(
        &self,
        latest: Instant,
        waits: bool,
    ) -> Result<Permit<'_>, ErrorKind> {
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            if now > latest {
                return Err(ErrorKind::Deadline);
            }
            let wait = match self.start(now) {
                Ok(permit) => {
                    // The next call may start, too.
                    self.changed.notify_one();
                    return Ok(permit);
                }
                Err(wait) => wait,
            };
            if wait.used_up && (wait.until > latest || !waits) {
                return Err(ErrorKind::RateLimit(wait.until.saturating_duration_since(now)));
            }
            if now == latest {
                return Err(ErrorKind::Deadline);
            }
            // Another call may have taken the notification and not be polled any more.
            let ask_again = wait.ask_again.min(now + RECHECK).min(latest);
            // Either way, the window is asked again.
            let _ = timeout_at(ask_again, changed).await;
        }
    }

    fn start(&self, now: Instant) -> Result<Permit<'_>, Wait> {
        let slot = self.window().start(now)?;
        Ok(Permit { limit: self, slot })
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Learns from the response to the request.
    pub(crate) fn on_response(&self, status: StatusCode, headers: &HeaderMap) -> RateLimit {
        let report = Report::read(status, headers);
        let mut window = self.limit.window();
        window.learn(self.slot, report, Instant::now());
        report.rate_limit
    }

    /// The request was not sent, so the server did not count it.
    pub(crate) fn unused(&self) {
        self.limit.window().give_back(self.slot);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.limit.window().finish();
        self.limit.changed.notify_one();
    }
}

impl Report {
    fn read(status: StatusCode, headers: &HeaderMap) -> Self {
        let rejected = status == StatusCode::TOO_MANY_REQUESTS;
        Self {
            rejected,
            accepted: status.is_success(),
            rate_limit: RateLimit::read(headers),
            reset: window_reset(headers),
            retry_after: rejected.then(|| retry_after(headers)).flatten(),
        }
    }
}

impl Window {
    /// Lets a request start, or says when to ask again.
    fn start(&mut self, now: Instant) -> Result<Slot, Wait> {
        if let Some(until) = self.closed.filter(|closed| *closed > now) {
            return Err(Wait { ask_again: until, until, used_up: true });
        }
        if self.span.is_none_or(|(_, end)| now >= end + self.margin) {
            self.begin(now);
        }
        let (allowed, until) = self.allowed(now);
        let probe = self.last_start.map_or(now, |last| last + PROBE);
        if self.in_flight >= allowed && now < probe {
            self.used_up |= self.remaining.is_some();
            return Err(Wait { ask_again: until.min(probe), until, used_up: self.used_up });
        }
        let slot = Slot {
            window: self.number,
            start: now,
            index: self.all_started,
            in_flight: self.all_in_flight,
        };
        self.last_start = Some(now);
        self.in_flight += 1;
        self.all_in_flight += 1;
        self.all_started += 1;
        Ok(slot)
    }

    /// Begins a window, about which nothing is known yet.
    fn begin(&mut self, now: Instant) {
        self.few = if self.used_up { FEWER } else { FEW };
        self.number += 1;
        self.span = Some((now, now + WINDOW));
        (self.remaining, self.in_flight, self.used_up) = (None, 0, false);
    }

    /// How many requests are allowed in flight now, and when there may be more.
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

    /// Learns from the response to a request.
    fn learn(&mut self, slot: Slot, report: Report, now: Instant) {
        let Report { rejected, accepted, rate_limit, reset, retry_after } = report;
        self.give_back(slot);
        if let Some(pause) = retry_after {
            self.closed = self.closed.max(Some(now + pause.min(LONGEST_PAUSE)));
        }
        // A gateway's 429 without a window says nothing about the API's.
        if rejected && reset.is_none() && rate_limit.remaining.is_none() {
            return;
        }
        let first = self.remaining.is_none();
        let remaining = if rejected { Some(0) } else { rate_limit.remaining };
        // A limit of zero would leave no request to report another one.
        self.limit = rate_limit.limit.filter(|limit| *limit > 0).or(self.limit);
        // A gateway's page has no numbers, even if the API sends some.
        self.unlimited =
            remaining.is_none() && self.limit.is_none() && (accepted || self.unlimited);
        let (Some(remaining), true) = (remaining, slot.window == self.number) else { return };

        // Responses overtake each other, but only those in flight at the same time. A number that is
        // higher than that explains, or that belongs to a later request, is from a new window.
        let lowest = self.remaining.unwrap_or(u64::MAX);
        let overtaken = slot.in_flight + (self.all_started - slot.index - 1);
        let new = remaining > lowest
            && (slot.index >= self.remaining_at || remaining > lowest.saturating_add(overtaken));
        let ends = slot.start + reset.unwrap_or(WINDOW).max(WINDOW);
        if let Some((_, end)) = &mut self.span {
            *end = if first || new { ends } else { ends.min(*end) };
        }
        if first {
            let margin = if rejected { self.margin * 2 } else { self.margin * 9 / 10 };
            self.margin = margin.clamp(MARGINS[0], MARGINS[1]);
        }
        if first || new || remaining <= lowest {
            (self.remaining, self.remaining_at) = (Some(remaining), self.all_started);
        }
    }

    /// A request does not count any more, apart from what its response reported.
    fn give_back(&mut self, slot: Slot) {
        if self.number == slot.window {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
    }

    /// A request is over, whatever its outcome.
    fn finish(&mut self) {
        self.all_in_flight = self.all_in_flight.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOO_MANY: Report = Report {
        rejected: true,
        accepted: false,
        rate_limit: RateLimit { limit: None, remaining: None, reset: None },
        reset: Some(WINDOW),
        retry_after: None,
    };

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn left(remaining: u64) -> Report {
        let rate_limit = RateLimit { remaining: Some(remaining), ..RateLimit::default() };
        Report { rate_limit, accepted: true, ..Report::default() }
    }

    /// Starts as many requests as are allowed now.
    fn start_all(window: &mut Window, now: Instant) -> (Vec<Slot>, Wait) {
        let mut slots = Vec::new();
        loop {
            match window.start(now) {
                Ok(slot) => slots.push(slot),
                Err(wait) => return (slots, wait),
            }
        }
    }

    #[test]
    fn more_requests_start_the_longer_responses_take() {
        struct Case {
            after: u64,
            in_flight: usize,
            ask_again_after: u64,
        }
        let cases = [
            Case { after: 0, in_flight: 8, ask_again_after: 200 },
            Case { after: 199, in_flight: 8, ask_again_after: 200 },
            Case { after: 200, in_flight: 16, ask_again_after: 400 },
            Case { after: 400, in_flight: 32, ask_again_after: 600 },
            Case { after: 999, in_flight: 128, ask_again_after: 1_000 },
        ];
        for Case { after, in_flight, ask_again_after } in cases {
            let (mut window, begin) = (Window::default(), Instant::now());
            let first = window.start(begin).unwrap();
            assert_eq!((first.index, first.in_flight), (0, 0));
            let (slots, wait) = start_all(&mut window, begin + ms(after));
            assert_eq!(1 + slots.len(), in_flight, "after {after} ms");
            let until = begin + ms(ask_again_after);
            assert_eq!(wait, Wait { ask_again: until, until, used_up: false }, "after {after} ms");
        }
    }

    #[tokio::test]
    async fn a_call_after_its_deadline_starts_no_request() {
        let limit = Limit::default();
        let result = limit.admit(Instant::now() - ms(1), true).await;
        assert!(matches!(result, Err(ErrorKind::Deadline)), "{result:?}");
        assert_eq!(limit.window().all_started, 0);
    }

    #[test]
    fn a_known_limit_bounds_requests_before_the_first_response() {
        let (mut window, now) = (Window { limit: Some(3), ..Window::default() }, Instant::now());
        assert_eq!(start_all(&mut window, now).0.len(), 3);
    }

    #[test]
    fn responses_bound_the_requests_in_flight() {
        struct Case {
            name: &'static str,
            /// The number of one of eight requests that are in flight, and its response.
            responses: Vec<(usize, Report)>,
            allowed: u64,
        }
        let gateway = Report { reset: None, ..TOO_MANY };
        let no_numbers = Report { accepted: true, ..Report::default() };
        let cases = [
            Case { name: "no response", responses: vec![], allowed: 8 },
            Case {
                name: "responses in order",
                responses: vec![(0, left(99)), (7, left(92))],
                allowed: 92,
            },
            Case {
                name: "responses overtake each other",
                responses: vec![(7, left(92)), (0, left(99))],
                allowed: 92,
            },
            Case {
                name: "a higher number than overtaking explains",
                responses: vec![(7, left(92)), (0, left(100))],
                allowed: 100,
            },
            Case { name: "used up", responses: vec![(0, left(0))], allowed: 0 },
            Case { name: "429", responses: vec![(0, TOO_MANY)], allowed: 0 },
            Case {
                name: "429 after a number",
                responses: vec![(0, left(99)), (1, TOO_MANY)],
                allowed: 0,
            },
            Case {
                name: "429 without a window",
                responses: vec![(0, left(99)), (1, gateway)],
                allowed: 99,
            },
            Case { name: "no numbers", responses: vec![(0, no_numbers)], allowed: u64::MAX },
            Case { name: "a page", responses: vec![(0, Report::default())], allowed: 8 },
            Case {
                name: "numbers after none",
                responses: vec![(0, no_numbers), (1, left(98))],
                allowed: 98,
            },
        ];
        for Case { name, responses, allowed } in cases {
            let (mut window, now) = (Window::default(), Instant::now());
            let (slots, _) = start_all(&mut window, now);
            for (number, report) in responses {
                window.learn(slots[number], report, now);
            }
            assert_eq!(window.allowed(now).0, allowed, "{name}");
        }
    }

    #[test]
    fn a_number_that_rises_for_a_later_request_is_from_a_new_window() {
        let (mut window, now) = (Window::default(), Instant::now());
        let earlier = window.start(now).unwrap();
        window.learn(earlier, left(10), now);
        let later = window.start(now).unwrap();
        window.learn(later, left(11), now);
        assert_eq!(window.allowed(now).0, 11);
    }

    #[test]
    fn the_next_window_begins_when_a_response_says() {
        struct Case {
            name: &'static str,
            reset: Option<u64>,
            ends_after: u64,
        }
        let cases = [
            Case { name: "not reported", reset: None, ends_after: 1_000 },
            Case { name: "less than a second, reported as 0", reset: Some(0), ends_after: 1_000 },
            Case { name: "in between", reset: Some(1_500), ends_after: 1_500 },
        ];
        for Case { name, reset, ends_after } in cases {
            let (mut window, begin) = (Window::default(), Instant::now());
            let slot = window.start(begin).unwrap();
            window.learn(slot, Report { reset: reset.map(ms), ..left(0) }, begin);
            let until = begin + ms(ends_after) + MARGINS[0];
            assert_eq!(
                window.start(until - ms(1)).unwrap_err(),
                Wait { ask_again: until, until, used_up: true }
            );
            assert_eq!(window.start(until).unwrap().window, slot.window + 1, "{name}");
            // The window before may not have ended at the server.
            assert_eq!(window.allowed(until).0, FEWER, "{name}");
        }
    }

    #[test]
    fn a_later_response_can_only_shorten_a_window() {
        let (mut window, begin) = (Window::default(), Instant::now());
        let (slots, _) = start_all(&mut window, begin);
        for (slot, reset) in slots.iter().zip([1_500, 1_200, 1_800]) {
            window.learn(*slot, Report { reset: Some(ms(reset)), ..left(0) }, begin);
        }
        assert_eq!(window.span, Some((begin, begin + ms(1_200))));
    }

    #[test]
    fn retry_after_stops_all_requests() {
        struct Case {
            retry_after: u64,
            closed_for: u64,
        }
        let cases = [
            Case { retry_after: 7_000, closed_for: 7_000 },
            Case { retry_after: 3_600_000, closed_for: 120_000 },
        ];
        for Case { retry_after, closed_for } in cases {
            let (mut window, now) = (Window::default(), Instant::now());
            let slot = window.start(now).unwrap();
            let report = Report { retry_after: Some(ms(retry_after)), ..TOO_MANY };
            window.learn(slot, report, now);
            // A shorter one does not reopen it.
            window.learn(slot, Report { retry_after: Some(ms(1)), ..TOO_MANY }, now);
            let until = now + ms(closed_for);
            assert_eq!(
                window.start(until - ms(1)).unwrap_err(),
                Wait { ask_again: until, until, used_up: true }
            );
            assert!(window.start(until).is_ok(), "{retry_after}");
        }
    }

    #[test]
    fn the_margin_doubles_when_a_window_begins_too_early_and_shrinks_otherwise() {
        struct Case {
            before: u64,
            first: Report,
            after: u64,
        }
        let cases = [
            Case { before: 0, first: left(99), after: 5 },
            Case { before: 5, first: left(99), after: 5 },
            Case { before: 100, first: left(99), after: 90 },
            Case { before: 50, first: TOO_MANY, after: 100 },
            Case { before: 150, first: TOO_MANY, after: 200 },
        ];
        for Case { before, first, after } in cases {
            let (mut window, now) =
                (Window { margin: ms(before), ..Window::default() }, Instant::now());
            let slot = window.start(now).unwrap();
            window.learn(slot, first, now);
            window.learn(slot, TOO_MANY, now);
            assert_eq!(window.margin, ms(after), "{before} ms, then {first:?}");
        }
    }

    #[test]
    fn requests_of_an_earlier_window_do_not_count_in_the_next() {
        let (mut window, begin) = (Window::default(), Instant::now());
        let early = window.start(begin).unwrap();
        let late = window.start(begin + WINDOW).unwrap();
        assert_eq!((late.window, late.index, late.in_flight), (early.window + 1, 1, 1));
        window.learn(early, left(0), begin + WINDOW);
        window.finish();
        assert_eq!((window.remaining, window.in_flight, window.all_in_flight), (None, 1, 1));
        window.learn(late, Report::default(), begin + WINDOW);
        window.finish();
        assert_eq!((window.in_flight, window.all_in_flight), (0, 0));
    }

    #[test]
    fn a_request_without_a_response_counts_until_the_window_ends() {
        let (mut window, begin) = (Window::default(), Instant::now());
        let first = window.start(begin).unwrap();
        window.learn(first, left(2), begin);
        let (lost, _) = start_all(&mut window, begin);
        assert_eq!(lost.len(), 2);
        lost.iter().for_each(|_| window.finish());
        assert!(window.start(begin).is_err(), "the server may have counted them");
        window.give_back(lost[0]);
        assert!(window.start(begin).is_ok(), "this one was not sent");
        assert!(window.start(begin + WINDOW + MARGINS[0]).is_ok(), "in the next window");
    }

    #[test]
    fn a_long_window_is_probed() {
        let (mut window, begin) = (Window::default(), Instant::now());
        let slot = window.start(begin).unwrap();
        let minute = Report { reset: Some(ms(60_000)), ..left(0) };
        window.learn(slot, minute, begin);
        let until = begin + ms(60_000) + MARGINS[0];
        let wait = window.start(begin + ms(9_999)).unwrap_err();
        assert_eq!(wait, Wait { ask_again: begin + PROBE, until, used_up: true });
        // One request every ten seconds; a response corrects a wrong number.
        let probe = window.start(begin + PROBE).unwrap();
        assert!(window.start(begin + PROBE).is_err());
        window.learn(probe, left(50), begin + PROBE);
        assert_eq!(start_all(&mut window, begin + PROBE).0.len(), 50);
    }

    #[test]
    fn a_limit_of_zero_does_not_stop_a_client() {
        let (mut window, begin) = (Window::default(), Instant::now());
        let slot = window.start(begin).unwrap();
        let zero = RateLimit { limit: Some(0), ..RateLimit::default() };
        window.learn(slot, Report { rate_limit: zero, ..left(0) }, begin);
        assert!(window.start(begin + WINDOW + MARGINS[0]).is_ok());
    }

    #[test]
    fn reports_are_read_from_status_and_headers() {
        struct Case {
            status: StatusCode,
            headers: &'static [(&'static str, &'static str)],
            reset: Option<u64>,
            retry_after: Option<u64>,
        }
        let (ok, too_many) = (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS);
        let cases = [
            Case { status: ok, headers: &[], reset: None, retry_after: None },
            Case {
                status: ok,
                headers: &[("ratelimit-reset", "1"), ("retry-after", "7")],
                reset: Some(1),
                retry_after: None,
            },
            Case {
                status: too_many,
                headers: &[("x-ratelimit-reset", "1"), ("retry-after", "7")],
                reset: Some(1),
                retry_after: Some(7),
            },
            Case {
                status: too_many,
                headers: &[("ratelimit-reset", "8")],
                reset: Some(8),
                retry_after: None,
            },
        ];
        for Case { status, headers, reset, retry_after } in cases {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            let report = Report::read(status, &map);
            assert_eq!(report.rejected, status == too_many);
            assert_eq!(report.reset, reset.map(Duration::from_secs), "{headers:?}");
            assert_eq!(report.retry_after, retry_after.map(Duration::from_secs), "{headers:?}");
        }
    }
}
