//! Whether a process can do its work, for `/readyz`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What the workers of this process report.
#[derive(Default)]
pub struct Health {
    bots: Mutex<BTreeMap<String, Bot>>,
}

struct Bot {
    /// Why the worker has paused the bot, if it has.
    pause: Option<String>,
    /// When each partition last heard from the queue.
    heard: Vec<Instant>,
    /// A partition that has heard nothing for longer than this is stuck.
    longest: Duration,
}

impl Health {
    pub fn add(&self, bot: &str, partitions: usize, longest: Duration, now: Instant) {
        let worker = Bot { pause: None, heard: vec![now; partitions], longest };
        self.bots().insert(bot.to_owned(), worker);
    }

    pub fn heard(&self, bot: &str, partition: usize, now: Instant) {
        let mut bots = self.bots();
        if let Some(heard) = bots.get_mut(bot).and_then(|bot| bot.heard.get_mut(partition)) {
            *heard = now;
        }
    }

    pub fn paused(&self, bot: &str, reason: Option<&str>) {
        if let Some(bot) = self.bots().get_mut(bot) {
            bot.pause = reason.map(str::to_owned);
        }
    }

    /// A line for each problem.
    pub fn problems(&self, now: Instant) -> Vec<String> {
        let mut problems = Vec::new();
        for (id, bot) in &*self.bots() {
            if let Some(reason) = &bot.pause {
                problems.push(format!("bot {id}: every message fails: {reason}"));
            }
            let is_stuck = |heard: &&Instant| now > **heard + bot.longest;
            let stuck = bot.heard.iter().filter(is_stuck).count();
            if stuck > 0 {
                let all = bot.heard.len();
                problems.push(format!("bot {id}: {stuck} of {all} partitions are stuck"));
            }
        }
        problems
    }

    fn bots(&self) -> MutexGuard<'_, BTreeMap<String, Bot>> {
        self.bots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_and_silent_partitions_are_problems() {
        let (health, start) = (Health::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(health.problems(at(0)).is_empty());
        health.add("a", 2, Duration::from_secs(10), at(0));
        health.add("b", 1, Duration::from_secs(99), at(0));
        assert!(health.problems(at(10)).is_empty());
        health.heard("a", 1, at(10));
        assert_eq!(health.problems(at(11)), ["bot a: 1 of 2 partitions are stuck"]);
        health.heard("a", 0, at(11));
        health.paused("b", Some("401"));
        assert_eq!(health.problems(at(11)), ["bot b: every message fails: 401"]);
        health.paused("b", None);
        assert!(health.problems(at(11)).is_empty());
    }
}
