//! Limits how many messages of a bot can wait, so that one bot does not fill the queue for all.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::queue::Shared;

/// How long a count is used. The messages that this process stores meanwhile are added; those of other processes are
/// seen with the next count.
const COUNT_LASTS: Duration = Duration::from_secs(1);

pub struct Quota {
    most: u64,
    count: Mutex<Option<Count>>,
}

struct Count {
    messages: u64,
    until: Instant,
}

impl Quota {
    pub fn new(most: u64) -> Self {
        Self { most, count: Mutex::default() }
    }

    /// Takes a place for a message. Returns whether there was one; `true` if the queue does not respond.
    pub async fn take(&self, queue: &Shared, bot: &str) -> bool {
        let mut count = self.count.lock().await;
        let now = Instant::now();
        if count.as_ref().is_none_or(|count| now >= count.until) {
            let Ok((messages, _)) = queue.backlog(bot).await else { return true };
            *count = Some(Count { messages, until: now + COUNT_LASTS });
        }
        let Some(Count { messages, .. }) = &mut *count else { return true };
        let has_place = *messages < self.most;
        *messages += u64::from(has_place);
        has_place
    }
}
