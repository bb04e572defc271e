//! The ids that the API gave to users and conversations, remembered for a while.

use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::retry::FOR_EVER;

/// By bot, integration and the whole request, so that a changed name asks anew.
#[derive(Debug)]
pub(crate) struct Memory {
    ids: Cache<String, Remembered, Size>,
    lasts: Duration,
}

#[derive(Clone, Debug)]
struct Remembered {
    id: String,
    until: Instant,
}

#[derive(Clone)]
struct Size;

impl Weighter<String, Remembered> for Size {
    fn weight(&self, request: &String, remembered: &Remembered) -> u64 {
        const OVERHEAD: usize = 96;
        (request.len() + remembered.id.len() + OVERHEAD) as u64
    }
}

impl Memory {
    /// In bytes, about: room for some fifty thousand ids.
    const ROOM: u64 = 16 << 20;
    const EXPECTED: usize = 50_000;

    /// Remembers each id for so long; for no time at all if it is zero.
    pub(crate) fn new(lasts: Duration) -> Self {
        Self { ids: Cache::with_weighter(Self::EXPECTED, Self::ROOM, Size), lasts }
    }

    pub(crate) fn recall(&self, request: &str) -> Option<String> {
        let Remembered { id, until } = self.ids.get(request)?;
        (Instant::now() < until).then_some(id)
    }

    pub(crate) fn remember(&self, request: String, id: &str) {
        if !self.lasts.is_zero() {
            let now = Instant::now();
            let until = now.checked_add(self.lasts).unwrap_or(now + FOR_EVER);
            self.ids.insert(request, Remembered { id: id.to_owned(), until });
        }
    }

    /// Forgets this id, but not one that another call was given meanwhile.
    pub(crate) fn forget(&self, request: &str, id: &str) {
        self.ids.remove_if(request, |remembered| remembered.id == id);
    }
}
