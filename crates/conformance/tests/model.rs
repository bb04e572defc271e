//! Plays random servers and clients against the library and checks what `guarantees` promises.
//!
//! Each seed is one story. It has two bots, each with its own server, whose limits, latency and faults are random. Its
//! clients are derived from one another: with other deadlines, as another integration, for the other bot. Its channels
//! send their webhooks again as `should_repeat` says, some of them twice at the same time or several in order. They
//! also stop waiting and close their clients. Time is paused. A seed that fails is printed with its story:
//!
//!     MODEL_SEED=4711 cargo test -p conformance --test model
//!     MODEL_SEEDS=100000 cargo test --release -p conformance --test model

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{env, thread};

use botpress_messages::content::Text;
use botpress_messages::{
    Client, Delivery, Error, ErrorKind, ErrorType, Message, NewConversation, NewUser, Retry, Stored,
};
use botpress_sandbox::{Fault, Sandbox};
use fastrand::Rng;
use futures_util::future::{join, join_all};
use test_support::quick;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Seeds of an ordinary run.
const SEEDS: u64 = 200;
/// Stories that one thread plays at a time. They share its clock.
const AT_ONCE: usize = 24;
/// The most faults of one server.
const MOST_FAULTS: usize = 30;
/// The longest that a server stores after the connection broke; the library waits a second for that.
const LATE: u64 = 900;
/// The time in which a server finishes work after a call is over.
const SETTLES: Duration = Duration::from_secs(2);
/// The other integration.
const OTHER: &str = "other";

/// A bot, at its server.
struct Bot {
    id: &'static str,
    sandbox: Sandbox,
}

/// What one channel does with one message.
struct Channel {
    bots: [Arc<Bot>; 2],
    clients: Vec<Client>,
    /// Which of the clients it uses.
    chosen: usize,
    deadline: Duration,
    delivery: Delivery,
    tag: String,
    /// It sends each webhook twice at the same time, the second time with this client.
    again: Option<usize>,
    /// It stops waiting for each of its first deliveries after this time.
    drops_after: Vec<Duration>,
    /// It closes its clients after this time, and goes on with new ones.
    closes_after: Option<Duration>,
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
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().start_paused(true).build().unwrap();
                runtime.block_on(play_all(take));
            });
        }
    });
}

async fn play_all(take: impl Fn() -> Option<u64>) {
    let mut stories = JoinSet::new();
    loop {
        while stories.len() < AT_ONCE
            && let Some(seed) = take()
        {
            stories.spawn(play(seed));
        }
        let Some(result) = stories.join_next().await else { return };
        result.expect("a story keeps the promises");
    }
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

/// A server with its bot, and what it does.
async fn bot(rng: &mut Rng, id: &'static str) -> (Arc<Bot>, String) {
    let mut milliseconds = |most: u64| Duration::from_millis(rng.u64(..most));
    let (gap, latency) = (milliseconds(50), milliseconds(150));
    let limit = rng.u64(10..100);
    let faults: Vec<_> = (0..rng.usize(..MOST_FAULTS)).map(|_| fault(rng)).collect();
    let story = format!("bot {id}: gap {gap:?}, latency {latency:?}, {limit}/s, {faults:?}");
    let sandbox = Sandbox::builder().bot_id(id).lookup_gap(gap).latency(latency);
    let sandbox = sandbox.requests_per_second(limit).start().await.unwrap();
    sandbox.fail_next(faults);
    (Arc::new(Bot { id, sandbox }), story)
}

/// The clients of a process: of each bot as each of two integrations, all derived from one another.
fn clients(bots: &[Arc<Bot>; 2], deadline: Duration) -> Vec<Client> {
    let retry = Retry::default().deadline(deadline).attempt_timeout(deadline / 5);
    let first = quick(bots[0].sandbox.client()).retry(retry).build().unwrap();
    let client = |bot: &Arc<Bot>, integration: &str| {
        let builder = first.to_builder().integration_id(integration);
        builder.base_url(bot.sandbox.url()).bot_id(bot.id).build().unwrap()
    };
    let of_bot = |bot| [client(bot, Sandbox::INTEGRATION_ID), client(bot, OTHER)];
    bots.iter().flat_map(of_bot).collect()
}

async fn play(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let (one, story) = bot(&mut rng, "one").await;
    let (two, other) = bot(&mut rng, "two").await;
    let story = format!("seed {seed}: {story}; {other}");
    let bots = [one, two];
    let shared = clients(&bots, Duration::from_secs(60));
    // Channels that close their clients have separate clients, so they must have no records in common.
    let closes = rng.u8(..4) == 0;
    let mut channels = JoinSet::new();
    for number in 0..rng.usize(1..10) {
        let deadline = Duration::from_millis([2_500, 10_000, 60_000][rng.usize(..3)]);
        let mut one_of =
            |count: u8| if closes { number.to_string() } else { rng.u8(..count).to_string() };
        let conversation = NewConversation::new("channel").tag("id", one_of(3));
        let user = NewUser::new().tag("id", one_of(4));
        let tag = number.to_string();
        let delivery = Delivery::new(conversation, user, Text::new(&tag)).tag("id", &tag);
        let drops: Vec<_> =
            (0..rng.usize(..3)).map(|_| Duration::from_millis(rng.u64(10..4_000))).collect();
        let chosen = rng.usize(..shared.len());
        let same_bot = [chosen, chosen ^ 1][rng.usize(..2)];
        let of_process = if closes {
            clients(&bots, deadline)
        } else {
            let retry = Retry::default().deadline(deadline);
            shared.iter().map(|client| client.with_retry(retry)).collect()
        };
        let channel = Channel {
            bots: bots.clone(),
            clients: of_process,
            chosen,
            deadline,
            delivery,
            tag,
            again: (rng.u8(..3) == 0).then_some(same_bot),
            drops_after: drops,
            closes_after: closes.then(|| Duration::from_millis(rng.u64(..5_000))),
            rng: rng.fork(),
        };
        channels.spawn(channel.run());
    }
    for (bot, client) in bots.iter().zip([&shared[0], &shared[2]]) {
        channels.spawn(send_in_order(Arc::clone(bot), client.clone(), rng.usize(..6)));
    }
    if rng.u8(..4) == 0 {
        channels.spawn(give_up_soon(rng.fork()));
    }
    while let Some(result) = channels.join_next().await {
        result.unwrap_or_else(|panic| panic!("{story}: {panic}"));
    }
    sleep(Duration::from_secs(5)).await;
    for (bot, client) in bots.iter().zip([&shared[0], &shared[2]]) {
        bot.check(&story);
        works_again(client, &story).await;
    }
}

/// Starts many calls and stops waiting for each before its response comes: the server has counted them.
async fn give_up_soon(mut rng: Rng) {
    let (limit, latency) = (rng.u64(9..30), Duration::from_millis(rng.u64(50..200)));
    let sandbox = Sandbox::builder().requests_per_second(limit).latency(latency);
    let sandbox = sandbox.start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    let user = |number: usize| NewUser::new().tag("id", number.to_string());
    client.get_or_create(&user(0)).await.unwrap();
    for number in 1..60 {
        let patience = Duration::from_millis(rng.u64(10..40));
        _ = timeout(patience, client.get_or_create(&user(number))).await;
    }
    client.get_or_create(&user(60)).await.unwrap();
    let rejected = sandbox.rejected();
    assert!(rejected <= 2, "{rejected} rejected of {limit}/s at {latency:?}");
}

/// Starts deliveries to the same conversation together: they are stored in this order.
async fn send_in_order(bot: Arc<Bot>, client: Client, count: usize) {
    let tags: Vec<_> = (0..count).map(|number| format!("ordered {number}")).collect();
    let send = async |tag: &String| {
        let conversation = NewConversation::new("channel").tag("id", "ordered");
        let user = NewUser::new().tag("id", "ordered");
        let delivery = Delivery::new(conversation, user, Text::new("")).tag("id", tag);
        client.deliver(&delivery).await
    };
    let results = join_all(tags.iter().map(send)).await;
    let place = |tag: &String| bot.tags().iter().position(|stored| stored == tag);
    let delivered = tags.iter().zip(&results).filter(|(_, result)| result.is_ok());
    let places: Vec<_> = delivered.map(|(tag, _)| place(tag)).collect();
    assert!(places.is_sorted(), "out of order: {places:?}");
    assert!(places.iter().all(Option::is_some), "not stored: {places:?}");
}

/// In any case, a client works again once the faults are over.
async fn works_again(client: &Client, story: &str) {
    let user = NewUser::new().tag("id", "last");
    for _ in 0..MOST_FAULTS {
        _ = client.get_or_create(&user).await;
    }
    let conversation = NewConversation::new("channel").tag("id", "last");
    let last = Delivery::new(conversation, user, Text::new("last")).tag("id", "last");
    let result = client.deliver(&last).await;
    assert!(result.is_ok(), "{story}: {result:?}");
}

impl Bot {
    /// The tags of the messages, in the order in which they were stored.
    fn tags(&self) -> Vec<String> {
        self.sandbox.messages().iter().map(|message| message.tags["id"].clone()).collect()
    }

    /// How often a message is stored.
    fn stored(&self, tag: &str) -> usize {
        self.tags().iter().filter(|stored| *stored == tag).count()
    }

    fn check(&self, story: &str) {
        let mut tags = self.tags();
        tags.sort_unstable();
        let once = tags.windows(2).all(|pair| pair[0] != pair[1]);
        assert!(once, "{story}: stored twice: {tags:?}");
        let users = self.sandbox.users();
        let mut users: Vec<_> = users.iter().map(|user| user.tags["id"].clone()).collect();
        users.sort_unstable();
        // Each of two integrations has its own.
        let twice = users.windows(3).all(|three| three[0] != three[2]);
        assert!(twice, "{story}: users are stored twice: {users:?}");
        let rejected = self.sandbox.rejected();
        assert!(rejected < 20, "{story}: {rejected} requests were beyond the limit");
    }
}

impl Channel {
    /// Sends the webhook until the message is stored, or must not be sent again.
    async fn run(mut self) {
        for attempt in 0_usize.. {
            assert!(attempt < 60, "{} is never stored", self.tag);
            if let Some(patience) = self.drops_after.get(attempt).copied()
                && let Ok(Ok(_)) =
                    timeout(patience, self.clients[self.chosen].deliver(&self.delivery)).await
            {
                return;
            }
            // The server finishes the requests of an earlier delivery.
            sleep(SETTLES).await;
            let before = self.bot().stored(&self.tag);
            let webhooks = [Some(self.chosen), self.again].into_iter().flatten();
            let results = webhooks.map(|client| self.deliver(client));
            let (results, closed) = join(join_all(results), self.close()).await;
            if let Some(closed) = closed {
                let late = closed.elapsed().saturating_sub(self.deadline / 5);
                assert!(late < Duration::from_secs(1), "{}: {late:?} after closing", self.tag);
            }
            sleep(SETTLES).await;
            if self.is_over(&results, before) {
                return;
            }
            if self.closes_after.take().is_some() {
                self.clients = clients(&self.bots, self.deadline);
            }
            sleep(Duration::from_millis(self.rng.u64(1_000..20_000))).await;
        }
    }

    async fn deliver(&self, client: usize) -> Result<Stored<Message>, Error> {
        let start = Instant::now();
        let result = self.clients[client].deliver(&self.delivery).await;
        // A paused clock may jump by a quarter of a second while a socket reports.
        let late = start.elapsed().saturating_sub(self.deadline);
        assert!(late < Duration::from_secs(1), "{}: {late:?} late", self.tag);
        result
    }

    async fn close(&self) -> Option<Instant> {
        sleep(self.closes_after?).await;
        self.clients[self.chosen].close();
        Some(Instant::now())
    }

    fn bot(&self) -> &Bot {
        &self.bots[self.chosen / 2]
    }

    /// Checks what the calls for one webhook reported. Returns whether it should not be sent again.
    fn is_over(&self, results: &[Result<Stored<Message>, Error>], before: usize) -> bool {
        let (tag, stored) = (&self.tag, self.bot().stored(&self.tag));
        let was_created = stored > before;
        let created = |result: &&Result<Stored<Message>, Error>| {
            result.as_ref().is_ok_and(|stored| stored.created == Some(true))
        };
        let count = results.iter().filter(created).count();
        assert!(count <= usize::from(was_created), "{tag}: {count} calls created it: {results:?}");
        let is_known = |result: &Result<Stored<Message>, Error>| match result {
            Ok(stored) => stored.created.is_some(),
            Err(error) => !error.maybe_stored(),
        };
        let somebody = count == 1 || !was_created || !results.iter().all(is_known);
        assert!(somebody, "{tag}: nobody reports that it is stored: {results:?}");
        let mut is_over = false;
        for result in results {
            match result {
                Ok(_) => assert_eq!(stored, 1, "{tag} is not stored"),
                Err(error) => {
                    let uncertain = error.maybe_stored();
                    assert!(!uncertain || error.attempts() > 0, "{tag}: {error:?}");
                    let exists = matches!(error.kind(), ErrorKind::Api(e) if e.type_ == ErrorType::AlreadyExists);
                    let is_too_large = error.status().is_some_and(|status| status.as_u16() == 413);
                    let is_final = is_too_large || (exists && stored == 1);
                    assert!(error.should_repeat() || is_final, "{tag} is lost: {error:?}");
                }
            }
            is_over |= !matches!(result, Err(error) if error.should_repeat());
        }
        is_over
    }
}
