//! Plays random servers and clients against the library and checks what `guarantees` promises.
//!
//! Each seed is one story: a sandbox with random limits, latency and faults; clients with random deadlines, one
//! of them as another integration; and channels that send their webhooks again as `should_repeat` says. Time is
//! paused. A seed that fails is printed with its story:
//!
//!     MODEL_SEED=4711 cargo test -p conformance --test model
//!     MODEL_SEEDS=2000 cargo test -p conformance --test model

use std::env;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use botpress_messages::content::Text;
use botpress_messages::{Client, Delivery, Error, NewConversation, NewUser, Retry};
use botpress_sandbox::{Fault, Sandbox};
use fastrand::Rng;
use test_support::quick;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Seeds of an ordinary run.
const SEEDS: u64 = 60;
/// Faults of one story.
const MOST_FAULTS: usize = 30;
/// The longest that a sandbox stores after the connection broke; the library waits a second for that.
const LATE: u64 = 900;

/// What one channel does with one message.
struct Channel {
    sandbox: Arc<Sandbox>,
    client: Client,
    deadline: Duration,
    delivery: Delivery,
    tag: String,
    /// It stops waiting for each of its first deliveries after this time.
    drops_after: Vec<Duration>,
    rng: Rng,
}

fn seeds() -> Range<u64> {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match number("MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MODEL_SEEDS").unwrap_or(SEEDS),
    }
}

#[test]
fn every_story_keeps_the_promises() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        for seed in seeds() {
            play(seed).await;
        }
    });
}

fn fault(rng: &mut Rng) -> Option<Fault> {
    let stored = rng.bool();
    match rng.u8(..12) {
        0 => Some(Fault::Reset { stored }),
        1 => Some(Fault::Late(Duration::from_millis(rng.u64(..LATE)))),
        2 => Some(Fault::Silence { stored }),
        3 => Some(Fault::Page { status: [500, 502, 503, 504][rng.usize(..4)], stored }),
        4 => Some(Fault::Page { status: [403, 404, 413, 429][rng.usize(..4)], stored: false }),
        5 => Some(Fault::Error { status: [500, 503, 504][rng.usize(..3)], stored }),
        6 => Some(Fault::Error { status: [401, 403, 404, 408][rng.usize(..4)], stored: false }),
        7 => Some(Fault::Truncated),
        8 => Some(Fault::Limited(rng.u64(..3))),
        _ => None,
    }
}

async fn play(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut milliseconds = |most: u64| Duration::from_millis(rng.u64(..most));
    let (gap, latency) = (milliseconds(50), milliseconds(150));
    let limit = rng.u64(10..100);
    let sandbox = Sandbox::builder().lookup_gap(gap).latency(latency).requests_per_second(limit);
    let sandbox = Arc::new(sandbox.start().await.unwrap());
    let faults: Vec<_> = (0..rng.usize(..MOST_FAULTS)).map(|_| fault(&mut rng)).collect();
    let story = format!("seed {seed}: gap {gap:?}, latency {latency:?}, {limit}/s, {faults:?}");
    sandbox.fail_next(faults);

    let base = quick(sandbox.client()).build().unwrap();
    let mut channels = JoinSet::new();
    for number in 0..rng.usize(1..10) {
        let deadline = [2_500, 10_000, 60_000][rng.usize(..3)];
        let deadline = Duration::from_millis(deadline);
        let conversation = NewConversation::new("channel").tag("id", rng.u8(..3).to_string());
        let user = NewUser::new().tag("id", rng.u8(..4).to_string());
        let tag = number.to_string();
        let delivery = Delivery::new(conversation, user, Text::new(&tag)).tag("id", &tag);
        let drops = (0..rng.usize(..3)).map(|_| Duration::from_millis(rng.u64(10..4_000)));
        let channel = Channel {
            sandbox: Arc::clone(&sandbox),
            client: base.with_retry(Retry::default().deadline(deadline)),
            deadline,
            delivery,
            tag,
            drops_after: drops.collect(),
            rng: rng.fork(),
        };
        channels.spawn(channel.run());
    }
    while let Some(result) = channels.join_next().await {
        result.unwrap_or_else(|panic| panic!("{story}: {panic}"));
    }
    sleep(Duration::from_secs(5)).await;

    let messages = sandbox.messages();
    let mut tags: Vec<_> = messages.iter().map(|message| message.tags["id"].clone()).collect();
    tags.sort_unstable();
    let once = tags.windows(2).all(|pair| pair[0] != pair[1]);
    assert!(once, "{story}: stored twice: {tags:?}");
    assert!(sandbox.users().len() <= 4 && sandbox.conversations().len() <= 3, "{story}");
    // Whatever happened, the client works once the faults are over.
    let last = Delivery::new(
        NewConversation::new("channel").tag("id", "last"),
        NewUser::new().tag("id", "last"),
        Text::new("last"),
    );
    let last = last.tag("id", "last");
    for _ in 0..MOST_FAULTS {
        _ = base.get_or_create(&NewUser::new().tag("id", "last")).await;
    }
    let result = base.deliver(&last).await;
    assert!(result.is_ok(), "{story}: {result:?}");
}

impl Channel {
    /// Sends the webhook until the message is stored, or nobody should send it again.
    async fn run(mut self) {
        for attempt in 0_usize.. {
            assert!(attempt < 60, "{} is never stored", self.tag);
            if let Some(patience) = self.drops_after.get(attempt).copied()
                && let Ok(Ok(_)) = timeout(patience, self.client.deliver(&self.delivery)).await
            {
                return;
            }
            // The server finishes what an earlier delivery left there.
            sleep(Duration::from_secs(2)).await;
            let before = self.stored();
            let start = Instant::now();
            let result = self.client.deliver(&self.delivery).await;
            // A paused clock may jump by a quarter of a second while a socket reports.
            let late = start.elapsed().saturating_sub(self.deadline);
            assert!(late < Duration::from_secs(1), "{}: {late:?} late", self.tag);
            match result {
                Ok(stored) => {
                    assert_eq!(self.stored(), 1, "{}: is not stored", self.tag);
                    let is_true = stored.created.is_none_or(|created| created == (before == 0));
                    assert!(is_true, "{}: {:?}, {before} before", self.tag, stored.created);
                    return;
                }
                Err(error) => {
                    sleep(Duration::from_secs(2)).await;
                    self.check(&error, before);
                    if !error.should_repeat() {
                        return;
                    }
                }
            }
            sleep(Duration::from_millis(self.rng.u64(1_000..20_000))).await;
        }
    }

    /// How often the message is stored.
    fn stored(&self) -> usize {
        let messages = self.sandbox.messages();
        messages.iter().filter(|message| message.tags["id"] == self.tag).count()
    }

    fn check(&self, error: &Error, before: usize) {
        let stored = self.stored() - before;
        assert!(stored == 0 || error.maybe_stored(), "{}: is stored: {error:?}", self.tag);
        assert!(!error.maybe_stored() || error.attempts() > 0, "{}: {error:?}", self.tag);
        let is_final = error.status().is_some_and(|status| status.as_u16() == 413);
        assert!(error.should_repeat() || is_final, "{}: is lost: {error:?}", self.tag);
    }
}
