//! Pauses the delivery of a bot while the API rejects all of its messages in the same way.
//!
//! It counts failures in a row with the same cause. After a few of these, it opens: no message is sent. After a
//! pause, it lets one message through as a probe; if that fails too, the next pause is twice as long. As soon as a
//! message is stored, it closes.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

/// It opens after this number of failures in a row with the same cause.
const FAILURES: u32 = 3;
/// It opens only if this number of messages failed: one that always fails says nothing about the others.
const MESSAGES: usize = 2;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// While a probe is in flight, the others check this often whether it has ended.
const PROBE: Duration = Duration::from_millis(500);
/// For this time after a pause, only a message that has not failed yet can be the probe: one that always fails
/// would hold up the others.
const OTHERS_FIRST: Duration = Duration::from_secs(5);
/// A bot works if a message was stored within this time.
const RECENTLY: Duration = Duration::from_secs(60);

/// What a worker knows of its bot. It identifies messages by their numbers.
#[derive(Default)]
pub struct Breaker {
    state: State,
    /// The messages that failed since one was last stored.
    failed: BTreeSet<u64>,
    stored_last: Option<Instant>,
}

enum State {
    /// All messages are sent. This is the cause and the number of the latest failures in a row.
    Closed { cause: String, failures: u32 },
    /// Nothing is sent until `until`.
    Open { until: Instant, pause: Duration },
    /// Only this message is sent, as a probe after this pause.
    Probing { message: u64, pause: Duration },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { cause: String::new(), failures: 0 }
    }
}

impl Breaker {
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// If nothing may be sent now, when to ask again.
    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Open { until, .. } if now < until => Some(until),
            State::Probing { .. } => Some(now + PROBE),
            _ => None,
        }
    }

    /// Whether this message is allowed to be sent now. If so, `stored`, `failed` or `unsent` must be called next.
    pub fn admits(&mut self, message: u64, now: Instant) -> bool {
        let State::Open { until, pause } = self.state else { return self.is_closed() };
        let may_probe = !self.failed.contains(&message) || now >= until + OTHERS_FIRST;
        if now < until || !may_probe {
            return false;
        }
        self.state = State::Probing { message, pause };
        true
    }

    /// A message was stored. Returns whether this ends a pause.
    pub fn stored(&mut self, now: Instant) -> bool {
        let was_closed = self.is_closed();
        *self = Self { stored_last: Some(now), ..Self::default() };
        !was_closed
    }

    /// A message failed. Returns the length of the pause, if one begins.
    pub fn failed(&mut self, message: u64, cause: &str, now: Instant) -> Option<Duration> {
        self.failed.insert(message);
        let pause = match &mut self.state {
            State::Closed { cause: last, failures } => {
                let in_a_row = if last == cause { *failures + 1 } else { 1 };
                (*failures, *last) = (in_a_row, cause.to_owned());
                let fails_for_all = in_a_row >= FAILURES && self.failed.len() >= MESSAGES;
                fails_for_all.then_some(FIRST_PAUSE)?
            }
            State::Probing { message: probe, pause } if *probe == message => {
                (*pause * 2).min(LONGEST_PAUSE)
            }
            // The message was sent before the pause.
            State::Open { .. } | State::Probing { .. } => return None,
        };
        self.state = State::Open { until: now + pause, pause };
        Some(pause)
    }

    /// A message that was admitted does not show whether the bot works: another one can be the probe.
    pub fn unsent(&mut self, message: u64, now: Instant) {
        if let State::Probing { message: probe, pause } = self.state
            && probe == message
        {
            self.state = State::Open { until: now, pause };
        }
    }

    /// Whether other messages of the bot are stored, so that the message itself is the cause of a failure.
    pub fn works(&self, now: Instant) -> bool {
        self.is_closed() && self.stored_last.is_some_and(|last| now < last + RECENTLY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "401 Unauthorized";

    /// A breaker that has just opened: messages 1 to 3 have failed.
    fn open(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for message in 1..=3 {
            assert!(breaker.admits(message, now));
            let pause = breaker.failed(message, TOKEN, now);
            assert_eq!(pause, (message == 3).then_some(FIRST_PAUSE), "{message}");
        }
        breaker
    }

    #[test]
    fn breaker_opens_only_after_consecutive_failures_with_one_cause() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for (message, cause) in (1..).zip([TOKEN, TOKEN, "403", "403", TOKEN, TOKEN]) {
            assert_eq!(breaker.failed(message, cause, now), None);
        }
        assert!(!breaker.stored(now));
        for _ in 0..9 {
            assert_eq!(breaker.failed(1, TOKEN, now), None, "it is one message");
        }
        assert!(breaker.is_closed() && breaker.admits(1, now));
        assert_eq!(breaker.failed(2, TOKEN, now), Some(FIRST_PAUSE));
        assert!(!breaker.is_closed() && !breaker.admits(2, now));
        assert_eq!(breaker.paused_until(now), Some(now + FIRST_PAUSE));
    }

    #[test]
    fn each_failed_probe_doubles_the_pause() {
        let mut now = Instant::now();
        let mut breaker = open(now);
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            let until = breaker.paused_until(now).unwrap();
            assert!(!breaker.admits(4, until - Duration::from_millis(1)));
            now = until + OTHERS_FIRST;
            assert_eq!(breaker.paused_until(now), None);
            assert!(breaker.admits(4, now));
            assert!(!breaker.admits(5, now), "one probe at a time");
            assert_eq!(breaker.paused_until(now), Some(now + PROBE));
            assert_eq!(breaker.failed(5, TOKEN, now), None, "5 was sent before");
            let pause = breaker.failed(4, "any cause", now);
            assert_eq!(pause, Some(Duration::from_secs(seconds)));
        }
        now += LONGEST_PAUSE + OTHERS_FIRST;
        assert!(breaker.admits(4, now));
        assert!(breaker.stored(now), "it resumes");
        assert!(breaker.admits(5, now) && breaker.admits(6, now));
        assert!(!breaker.stored(now));
    }

    #[test]
    fn messages_that_have_not_failed_probe_first() {
        let start = Instant::now();
        let mut breaker = open(start);
        let now = start + FIRST_PAUSE;
        assert!(!breaker.admits(1, now), "1 has failed");
        assert!(breaker.admits(4, now));
        breaker.failed(4, TOKEN, now);
        let later = now + 2 * FIRST_PAUSE + OTHERS_FIRST;
        assert!(!breaker.admits(4, later - Duration::from_millis(1)));
        assert!(breaker.admits(4, later), "no other message came");
    }

    #[test]
    fn another_message_probes_if_the_probe_was_not_sent() {
        let start = Instant::now();
        let mut breaker = open(start);
        let now = start + FIRST_PAUSE;
        assert!(breaker.admits(4, now));
        breaker.unsent(5, now);
        assert!(!breaker.admits(5, now));
        breaker.unsent(4, now);
        assert!(breaker.admits(5, now));
    }

    #[test]
    fn a_bot_works_if_a_message_was_stored_recently() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        assert!(!breaker.works(now));
        breaker.stored(now);
        assert!(breaker.works(now + RECENTLY - Duration::from_millis(1)));
        assert!(!breaker.works(now + RECENTLY));
        for message in 1..=3 {
            breaker.failed(message, TOKEN, now);
        }
        assert!(!breaker.works(now), "nothing is sent");
    }
}
