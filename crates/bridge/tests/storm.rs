//! Everything fails at once: a third of the requests, the workers, and the NATS server.

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use botpress_sandbox::Sandbox;
use serde_json::{Value, json};
use support::{Nats, Process, Receiver, Setup, drained, figure, signed};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

struct Storm {
    webhooks: usize,
    conversations: usize,
    partitions: usize,
    /// How long it takes to send all webhooks.
    sending: Duration,
    kill_every: Duration,
    most_kills: usize,
    /// How many times the NATS server is killed.
    server_kills: u32,
}

/// A storm of less than a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_storm() {
    let storm = Storm {
        webhooks: 300,
        conversations: 60,
        partitions: 64,
        sending: Duration::from_secs(6),
        kill_every: Duration::from_secs(5),
        most_kills: 3,
        server_kills: 1,
    };
    storm.rage().await;
}

/// 20,000 webhooks, each sent twice: about half an hour.
///
///     cargo test -p botpress-bridge --release --test storm -- --ignored --nocapture the_storm
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half an hour"]
async fn the_storm() {
    let storm = Storm {
        webhooks: 20_000,
        conversations: 2_000,
        partitions: 64,
        sending: Duration::from_secs(200),
        kill_every: Duration::from_secs(8),
        most_kills: usize::MAX,
        server_kills: 8,
    };
    storm.rage().await;
}

/// The kind of the webhook with this number.
#[derive(PartialEq)]
enum Sort {
    Slack,
    Json,
    /// It breaks the contract.
    Invalid,
}

fn sort(number: usize) -> Sort {
    match number {
        _ if number % 97 == 5 => Sort::Invalid,
        _ if number.is_multiple_of(2) => Sort::Slack,
        _ => Sort::Json,
    }
}

impl Storm {
    async fn rage(self) {
        let Some(mut nats) = Nats::start().await else { return };
        let sandbox = Sandbox::builder().storm(7, 0.3).strict().start().await.unwrap();
        let setup = Setup::new(&nats, &sandbox)
            .with("BRIDGE_PARTITIONS", self.partitions)
            .with("BRIDGE_DEADLINE", 4)
            .with("BRIDGE_LOG", "error");
        let (_process, receiver) = setup.receiver().await;
        let start = Instant::now();
        let mut workers: Vec<_> = (0..3).map(|_| setup.worker()).collect();
        let mut kills = 0;
        let mut server_kills = 0;
        let mut sending = self.send(&receiver);
        let mut next_kill = interval(self.kill_every);
        next_kill.tick().await;
        let mut looks = interval(Duration::from_secs(1));
        // Runs until all webhooks are sent and no message waits.
        loop {
            tokio::select! {
                _ = next_kill.tick(), if kills < self.most_kills => {
                    let worker: &mut Process = &mut workers[kills % 3];
                    worker.kill();
                    *worker = setup.worker();
                    kills += 1;
                }
                _ = looks.tick() => {
                    let next_server_kill = self.sending * (server_kills + 1) / (self.server_kills + 1);
                    if server_kills < self.server_kills && start.elapsed() > next_server_kill {
                        nats.kill();
                        sleep(Duration::from_secs(1)).await;
                        nats.resume().await;
                        server_kills += 1;
                    }
                    while let Some(sent) = sending.try_join_next() {
                        sent.unwrap();
                    }
                    let depth = figure(&setup.metrics, "bridge_queue_depth").await;
                    if server_kills == self.server_kills && sending.is_empty() && depth == Some(0.0) {
                        break;
                    }
                    assert!(start.elapsed() < 12 * self.sending + Duration::from_secs(120), "{depth:?} messages are left");
                }
            }
        }
        drained(&setup, Duration::from_secs(5)).await;
        let took = start.elapsed();
        self.check(&sandbox, &setup);
        let duplicates =
            figure(&setup.metrics, "bridge_received_total{outcome=\"duplicate\"}").await;
        println!(
            "{} webhooks, each sent twice ({} stored before), in {took:.0?}: {:.0} per second; \
             {kills} workers killed, the NATS server killed {server_kills} times",
            self.webhooks,
            duplicates.unwrap_or_default(),
            self.webhooks as f64 / took.as_secs_f64(),
        );
    }

    /// Sends each webhook until it is accepted, and then once more; in order within a conversation.
    fn send(&self, receiver: &Receiver) -> JoinSet<()> {
        const TASKS: usize = 20;
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let Self { webhooks, conversations, sending, .. } = *self;
            let mine = (0..webhooks).filter(move |number| number % conversations % TASKS == task);
            let (mine, receiver): (Vec<_>, _) = (mine.collect(), receiver.clone());
            let pause = sending / mine.len() as u32;
            tasks.spawn(async move {
                let mut pace = interval(pause);
                // The repetition is sent immediately, or after this number of other webhooks.
                let lag = task % 6;
                for (index, number) in mine.iter().enumerate() {
                    pace.tick().await;
                    send(&receiver, *number, conversations).await;
                    if let Some(earlier) = index.checked_sub(lag) {
                        send(&receiver, mine[earlier], conversations).await;
                    }
                }
                for number in &mine[mine.len().saturating_sub(lag)..] {
                    send(&receiver, *number, conversations).await;
                }
            });
        }
        tasks
    }

    /// Checks that each valid message is stored once and in order.
    fn check(&self, sandbox: &Sandbox, setup: &Setup) {
        let mut copies = BTreeMap::<usize, usize>::new();
        let mut last = BTreeMap::<String, usize>::new();
        for message in sandbox.messages() {
            let number = message.payload["text"].as_str().unwrap().parse().unwrap();
            *copies.entry(number).or_default() += 1;
            let before = last.insert(message.conversation_id.clone(), number);
            assert!(before.is_none_or(|before| before < number), "{number} came after {before:?}");
        }
        assert_eq!(last.len(), self.conversations);
        let dead = setup.dead();
        assert!(dead.is_empty(), "{dead:?}");
        for number in 0..self.webhooks {
            let stored = copies.remove(&number).unwrap_or_default();
            let expected = usize::from(sort(number) != Sort::Invalid);
            assert_eq!(stored, expected, "{number}");
        }
        assert!(copies.is_empty());
    }
}

async fn send(receiver: &Receiver, number: usize, conversations: usize) {
    let place = format!("C{}", number % conversations);
    let person = format!("U{}", number % 20);
    let ts = format!("{}.000100", 1_700_000_000 + number);
    let text = number.to_string();
    let mut message = json!({
        "conversation": { "channel": "channel", "tags": { "id": place } },
        "user": { "tags": { "id": person } },
        "type": "text",
        "payload": { "text": text },
        "tags": { "id": text },
    });
    match sort(number) {
        Sort::Slack => {
            let event = json!({
                "type": "message", "channel": place, "channel_type": "channel",
                "user": person, "text": text, "ts": ts,
            });
            let id = format!("Ev{number}");
            message = json!({ "type": "event_callback", "event_id": id, "event": event });
        }
        Sort::Json => {}
        Sort::Invalid => {
            message["payload"] = json!("no object");
        }
    }
    loop {
        let (status, answer) = match sort(number) {
            Sort::Slack => {
                let body = message.to_string();
                receiver.post("slack", signed(&body, 0), body).await
            }
            _ => receiver.message(&message, None).await,
        };
        match status {
            200 if sort(number) != Sort::Invalid => return,
            400 if sort(number) == Sort::Invalid => return,
            // The receiver cannot reach the queue at the moment.
            0 | 503 => sleep(Duration::from_millis(300)).await,
            _ => panic!("{status} {answer}"),
        }
    }
}

/// How many messages per second one or more workers deliver: for the table in the README.
///
///     cargo test -p botpress-bridge --release --test storm -- --ignored --nocapture growth
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn growth() {
    let Some(nats) = Nats::start().await else { return };
    drop(nats);
    println!("partitions workers limit/s | messages/s rejected");
    #[derive(Clone, Copy)]
    struct Case {
        /// `None` if the queue is a file.
        partitions: Option<u16>,
        workers: usize,
        /// How many requests per second the sandbox allows.
        limit: Option<u64>,
        messages: usize,
    }
    let file = Case { partitions: None, workers: 1, limit: None, messages: 12_000 };
    let unlimited = |partitions, workers| Case { partitions: Some(partitions), workers, ..file };
    let limited = |workers| Case { limit: Some(100), messages: 1_500, ..unlimited(64, workers) };
    for Case { partitions, workers, limit, messages } in [
        file,
        unlimited(64, 1),
        unlimited(64, 2),
        unlimited(64, 4),
        unlimited(16, 1),
        unlimited(16, 2),
        unlimited(16, 4),
        unlimited(256, 1),
        limited(1),
        limited(2),
        limited(4),
    ] {
        let (nats, folder) = (Nats::start().await.unwrap(), TempDir::new().unwrap());
        let sandbox = Sandbox::builder().latency(Duration::from_millis(10));
        let sandbox = limit.map_or(sandbox.clone(), |limit| sandbox.requests_per_second(limit));
        let sandbox = sandbox.start().await.unwrap();
        let setup = match partitions {
            Some(partitions) => Setup::new(&nats, &sandbox).with("BRIDGE_PARTITIONS", partitions),
            None => Setup::on_file(&folder.path().join("queue.db"), &sandbox),
        };
        let setup = setup.with("BRIDGE_DEADLINE", 20).with("BRIDGE_LOG", "error");
        let (process, receiver) = setup.receiver().await;
        let conversations = if limit.is_some() { 50 } else { 640 };
        let mut sending = JoinSet::new();
        for task in 0..16 {
            let receiver = receiver.clone();
            sending.spawn(async move {
                for number in (0..messages).filter(|number| number % 16 == task) {
                    send_plain(&receiver, number, conversations).await;
                }
            });
        }
        sending.join_all().await;
        drop(process);
        let workers_running: Vec<_> = (0..workers).map(|_| setup.worker()).collect();
        let stored = || sandbox.messages().len();
        // Measures from when all workers deliver.
        while stored() < messages / 5 {
            sleep(Duration::from_millis(500)).await;
        }
        let (start, first) = (Instant::now(), stored());
        while stored() < messages {
            sleep(Duration::from_millis(500)).await;
        }
        let rate = (messages - first) as f64 / start.elapsed().as_secs_f64();
        let rejected = sandbox.rejected();
        let limit = limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
        let partitions =
            partitions.map_or_else(|| "a file".to_owned(), |partitions| partitions.to_string());
        println!("{partitions:>10} {workers:7} {limit:>7} | {rate:10.0} {rejected:8}");
        drop(workers_running);
        assert_eq!(sandbox.messages().len(), messages);
    }
}

async fn send_plain(receiver: &Receiver, number: usize, conversations: usize) {
    let message: Value = json!({
        "conversation": { "channel": "channel", "tags": { "id": format!("C{}", number % conversations) } },
        "user": { "tags": { "id": format!("U{}", number % conversations) } },
        "type": "text",
        "payload": { "text": number.to_string() },
        "tags": { "id": number.to_string() },
    });
    assert_eq!(receiver.message(&message, None).await.0, 200);
}
