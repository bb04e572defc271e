//! One call at a time for each identity: what two at once would do, the API does not promise.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};

/// What is under way in the clones of a client, by identity.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    by_identity: HashMap<Identity, Place>,
    /// From this size on, those that nobody needs any more are looked for.
    full: usize,
}

/// Whose call it is, and for which record, as numbers.
type Identity = (usize, u64);

/// Locked by the call whose turn it is. Holds until when the request of an earlier one may go on at the
/// server, if it may.
type Place = Arc<tokio::sync::Mutex<Option<Instant>>>;

/// How long a request may go on at the server after the call has lost sight of it.
pub(crate) const SETTLES: Duration = Duration::from_secs(1);

impl Turns {
    /// Waits until no other call of this identity is under way, first come first served.
    pub(crate) async fn take(&self, identity: Identity) -> Turn<'_> {
        let place = self.places().get(identity);
        // Earlier versions of tokio do not queue a task whose budget is spent: it would be overtaken.
        let until = unconstrained(place.lock_owned()).await;
        let mut turn = Turn { turns: self, identity, until, under_way: false };
        if let Some(until) = *turn.until {
            sleep_until(until).await;
            *turn.until = None;
        }
        turn
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn get(&mut self, identity: Identity) -> Place {
        if self.by_identity.len() >= self.full {
            let now = Instant::now();
            self.by_identity.retain(|_, place| is_needed(place, now));
            self.full = 2 * self.by_identity.len() + 64;
        }
        match self.by_identity.get(&identity) {
            Some(place) => Arc::clone(place),
            None => {
                let place = Place::default();
                self.by_identity.insert(identity, Arc::clone(&place));
                place
            }
        }
    }
}

/// Whether a call uses the place or waits for it, or has to wait for what it tells.
fn is_needed(place: &Place, now: Instant) -> bool {
    Arc::strong_count(place) > 1
        || place.try_lock().is_ok_and(|until| until.is_some_and(|until| until > now))
}

/// The turn of a call, until it is dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    identity: Identity,
    until: OwnedMutexGuard<Option<Instant>>,
    /// Whether a request may go on at the server.
    pub(crate) under_way: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.under_way {
            *self.until = Some(Instant::now() + SETTLES);
        }
        // The map has the place and so has the turn; any more are calls that wait for it.
        let mut places = self.turns.places();
        let waited_for = Arc::strong_count(OwnedMutexGuard::mutex(&self.until)) > 2;
        if self.until.is_none() && !waited_for {
            places.by_identity.remove(&self.identity);
        }
    }
}
