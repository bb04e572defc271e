//! Notices a consumer that hands out nothing although its partition has messages.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

/// How far the consumer of a partition has come.
#[derive(Debug, PartialEq)]
pub struct Position {
    /// The first message that the stream has in the partition.
    pub first: u64,
    /// How many times the consumer has handed out a message.
    pub delivered: u64,
    /// When the consumer was created: a new one counts from 0.
    pub created: OffsetDateTime,
}

/// Compares what one worker sees of a partition over time.
#[derive(Default)]
pub struct Watchdog {
    seen: Option<(Position, Instant)>,
}

impl Watchdog {
    /// Whether the consumer has to be created again. `position` is `None` if no message waits.
    pub fn is_stuck(
        &mut self,
        position: Option<Position>,
        ack_wait: Duration,
        now: Instant,
    ) -> bool {
        let Some(position) = position else {
            self.seen = None;
            return false;
        };
        match &self.seen {
            Some((seen, since)) if *seen == position => now >= *since + 2 * ack_wait,
            _ => {
                self.seen = Some((position, now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACK_WAIT: Duration = Duration::from_secs(10);

    fn position(first: u64, delivered: u64) -> Option<Position> {
        Some(Position { first, delivered, created: OffsetDateTime::UNIX_EPOCH })
    }

    #[test]
    fn a_consumer_is_stuck_after_two_ack_waits_without_progress() {
        let (mut watchdog, start) = (Watchdog::default(), Instant::now());
        let mut is_stuck = |position, seconds| {
            watchdog.is_stuck(position, ACK_WAIT, start + Duration::from_secs(seconds))
        };
        assert!(!is_stuck(position(1, 1), 0));
        assert!(!is_stuck(position(1, 1), 19));
        // It was delivered again.
        assert!(!is_stuck(position(1, 2), 20));
        assert!(!is_stuck(position(1, 2), 39));
        assert!(is_stuck(position(1, 2), 40));
        // It was acknowledged.
        assert!(!is_stuck(position(2, 2), 41));
        // Nothing waits.
        assert!(!is_stuck(None, 100));
        assert!(!is_stuck(position(3, 2), 101));
        assert!(is_stuck(position(3, 2), 121));
        // It was created again.
        let again = Position { first: 3, delivered: 2, created: OffsetDateTime::now_utc() };
        assert!(!is_stuck(Some(again), 122));
    }
}
