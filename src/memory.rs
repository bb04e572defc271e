//! Remembered ids: those that the API gave to users and conversations.

use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

/// In bytes: enough for about 50,000 ids.
const CAPACITY: u64 = 16 << 20;
const EXPECTED_IDS: usize = 50_000;
/// Bytes that an entry takes besides its texts, roughly.
const OVERHEAD: usize = 96;

/// Ids by scope and the whole request, so that a changed name is requested anew.
#[derive(Debug)]
pub(crate) struct Memory {
    ids: Cache<String, Remembered, Size>,
    lasts: Duration,
}

#[derive(Clone, Debug)]
struct Remembered {
    id: String,
    since: Instant,
}

#[derive(Clone)]
struct Size;

impl Memory {
    /// Remembers each id for this time; nothing at all if it is zero.
    pub(crate) fn new(lasts: Duration) -> Self {
        Self { ids: Cache::with_weighter(EXPECTED_IDS, CAPACITY, Size), lasts }
    }

    pub(crate) fn recall(&self, request: &str) -> Option<String> {
        let Remembered { id, since } = self.ids.get(request)?;
        (since.elapsed() < self.lasts).then_some(id)
    }

    pub(crate) fn remember(&self, request: String, id: &str) {
        if !self.lasts.is_zero() {
            self.ids.insert(request, Remembered { id: id.to_owned(), since: Instant::now() });
        }
    }

    /// Forgets this id, but not one that another call received meanwhile.
    pub(crate) fn forget(&self, request: &str, id: &str) {
        self.ids.remove_if(request, |remembered| remembered.id == id);
    }
}

impl Weighter<String, Remembered> for Size {
    fn weight(&self, request: &String, remembered: &Remembered) -> u64 {
        (request.len() + remembered.id.len() + OVERHEAD) as u64
    }
}
