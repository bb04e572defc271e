//! Remembers the ids of users and conversations.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::record::{GetOrCreate, identity};

/// The number of ids. The cache splits it into parts that fill unevenly, so 50,000 fit.
const CAPACITY: usize = 60_000;

/// Ids by what identifies the record. An id is valid for the body that was sent last: a changed name is sent again.
#[derive(Debug)]
pub(crate) struct Memory {
    ids: Cache<(u64, u64), Remembered>,
    lifetime: Duration,
}

/// The key of a remembered id: hashes of the scope, of what identifies the record, and of the whole body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryKey {
    pub(crate) identity: (u64, u64),
    body: u64,
}

impl MemoryKey {
    /// `scope` is a hash of the target. The hasher has random keys: nobody can find tags that have the hash of
    /// another person's.
    pub(crate) fn new<R>(hasher: &RandomState, scope: u64, record: &R) -> Self
    where
        R: GetOrCreate + Hash,
    {
        let identity = (scope, identity(record, hasher).unwrap_or_default());
        Self { identity, body: hasher.hash_one(record) }
    }
}

#[derive(Clone, Debug)]
struct Remembered {
    id: String,
    body: u64,
    since: Instant,
}

impl Memory {
    /// Remembers each id for this time; nothing if it is zero.
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { ids: Cache::new(CAPACITY), lifetime }
    }

    pub(crate) fn recall(&self, key: &MemoryKey) -> Option<String> {
        let Remembered { id, body, since } = self.ids.get(&key.identity)?;
        (body == key.body && since.elapsed() < self.lifetime).then_some(id)
    }

    pub(crate) fn remember(&self, key: &MemoryKey, id: &str) {
        if !self.lifetime.is_zero() {
            let remembered =
                Remembered { id: id.to_owned(), body: key.body, since: Instant::now() };
            self.ids.insert(key.identity, remembered);
        }
    }

    /// Forgets this id, but not one that another call received meanwhile.
    pub(crate) fn forget(&self, key: &MemoryKey, id: &str) {
        self.ids.remove_if(&key.identity, |remembered| remembered.id == id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::NewUser;

    thread_local!(static HASHER: RandomState = RandomState::new());

    fn key(scope: u64, user: &NewUser) -> MemoryKey {
        HASHER.with(|hasher| MemoryKey::new(hasher, scope, user))
    }

    const DAY: Duration = Duration::from_secs(86_400);

    fn user(id: usize) -> NewUser {
        NewUser::new().tag("id", id.to_string())
    }

    #[test]
    fn fifty_thousand_ids_fit() {
        let memory = Memory::new(DAY);
        let keys: Vec<_> = (0..50_000).map(|id| key(1, &user(id))).collect();
        keys.iter().for_each(|key| memory.remember(key, "user_1"));
        assert_eq!(keys.iter().filter(|key| memory.recall(key).is_some()).count(), 50_000);
    }

    #[test]
    fn an_id_is_remembered_for_the_body_that_was_sent_last() {
        let memory = Memory::new(DAY);
        let [ann, on_leave] = ["Ann", "Ann (on leave)"].map(|name| key(1, &user(1).name(name)));
        memory.remember(&ann, "user_1");
        assert_eq!(memory.recall(&ann).as_deref(), Some("user_1"));
        assert_eq!(memory.recall(&on_leave), None);
        memory.remember(&on_leave, "user_1");
        assert_eq!(memory.recall(&ann), None);
        assert_eq!(memory.recall(&key(2, &user(1).name("Ann (on leave)"))), None);
    }

    #[test]
    fn an_id_that_another_call_received_is_not_forgotten() {
        let memory = Memory::new(DAY);
        let key = key(1, &user(1));
        memory.remember(&key, "user_2");
        memory.forget(&key, "user_1");
        assert_eq!(memory.recall(&key).as_deref(), Some("user_2"));
        memory.forget(&key, "user_2");
        assert_eq!(memory.recall(&key), None);
    }
}
