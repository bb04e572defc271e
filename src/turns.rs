//! One call at a time per record: the API does not say what two at the same time would do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};

/// How long a request may still run at the server after the client has dropped it.
pub(crate) const SETTLES: Duration = Duration::from_secs(1);
/// How many locks can be added, at least, before those that nobody needs are removed.
const SPARE: usize = 64;

/// The calls in flight of a client and all clients derived from it, by record.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<KeyLocks>);

#[derive(Debug, Default)]
struct KeyLocks {
    by_key: HashMap<Key, KeyLock>,
    /// From this size on, locks that nobody needs any more are removed.
    full: usize,
}

/// A hash of the bot, and the identity of the record.
pub(crate) type Key = (u64, u64);

/// Locked by the call whose turn it is. Contains the time until which the request of an earlier call
/// may still run at the server, if it may.
type KeyLock = Arc<tokio::sync::Mutex<Option<Instant>>>;

/// The turn of a call, until it is dropped.
pub(crate) struct Turn {
    until: OwnedMutexGuard<Option<Instant>>,
    /// Whether a request may still run at the server.
    pub(crate) in_flight: bool,
}

impl Turns {
    /// Waits until no other call with this key is in flight, first come first served. Without a key, no other call
    /// is for the same record.
    pub(crate) async fn take(&self, key: Option<Key>) -> Turn {
        let lock = key.map(|key| self.locks().get(key)).unwrap_or_default();
        // Earlier versions of tokio do not queue a task whose budget is spent: others would overtake it.
        let until = unconstrained(lock.lock_owned()).await;
        let mut turn = Turn { until, in_flight: false };
        if let Some(until) = *turn.until {
            sleep_until(until).await;
            *turn.until = None;
        }
        turn
    }

    fn locks(&self) -> MutexGuard<'_, KeyLocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyLocks {
    fn get(&mut self, key: Key) -> KeyLock {
        if self.by_key.len() >= self.full {
            self.remove_unneeded(Instant::now());
        }
        Arc::clone(self.by_key.entry(key).or_default())
    }

    fn remove_unneeded(&mut self, now: Instant) {
        self.by_key.retain(|_, lock| is_needed(lock, now));
        self.full = 2 * self.by_key.len() + SPARE;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.in_flight {
            *self.until = Some(Instant::now() + SETTLES);
        }
    }
}

/// Whether a call holds the lock or waits for it, or has to wait until the time in it.
fn is_needed(lock: &KeyLock, now: Instant) -> bool {
    Arc::strong_count(lock) > 1
        || lock.try_lock().is_ok_and(|until| until.is_some_and(|until| until > now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_needed_locks_are_kept() {
        struct Case {
            name: &'static str,
            /// In seconds from now.
            until: Option<u64>,
            locked: bool,
            awaited: bool,
            kept: bool,
        }
        let cases = [
            Case { name: "unused", until: None, locked: false, awaited: false, kept: false },
            Case { name: "held", until: None, locked: true, awaited: false, kept: true },
            Case { name: "awaited", until: None, locked: false, awaited: true, kept: true },
            Case { name: "settling", until: Some(1), locked: false, awaited: false, kept: true },
            Case { name: "settled", until: Some(0), locked: false, awaited: false, kept: false },
        ];
        let now = Instant::now();
        for Case { name, until, locked, awaited, kept } in cases {
            let mut locks = KeyLocks::default();
            let lock = locks.get((0, 1));
            *lock.try_lock().unwrap() = until.map(|seconds| now + Duration::from_secs(seconds));
            let holder = locked.then(|| Arc::clone(&lock).try_lock_owned().unwrap());
            let waiter = awaited.then(|| Arc::clone(&lock));
            drop(lock);
            locks.remove_unneeded(now);
            assert_eq!(locks.by_key.contains_key(&(0, 1)), kept, "{name}");
            drop((holder, waiter));
        }
    }

    #[tokio::test]
    async fn a_lock_is_kept_while_the_next_call_has_to_wait() {
        let turns = Turns::default();
        for number in 0..10_000 {
            let mut turn = turns.take(Some((0, number))).await;
            turn.in_flight = number == 0;
        }
        let locks = turns.locks();
        assert!(locks.by_key.contains_key(&(0, 0)));
        assert!(locks.by_key.len() <= 2 + SPARE, "{}", locks.by_key.len());
    }

    #[tokio::test]
    async fn calls_without_a_key_do_not_wait_for_each_other() {
        let turns = Turns::default();
        let _first = turns.take(None).await;
        let _second = turns.take(None).await;
        assert!(turns.locks().by_key.is_empty());
    }
}
