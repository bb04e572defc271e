//! Where messages wait: what the bridge needs from a queue, and its two kinds.

mod nats;
mod sqlite;
mod stores;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use botpress_messages::Delivery;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use nats::ack_wait;
pub use transfer::transfer;

use crate::Failure;
use crate::history::Seen;
use crate::server::Server;

/// The size limit of the file by default.
const FILE_MAX_BYTES: u64 = 1 << 30;
/// For this time, NATS recognises a dead letter that is stored again.
const DEAD_DUPLICATE_WINDOW: Duration = Duration::from_secs(3_600);

/// The reason of a dead letter that was skipped.
const SKIPPED: &str = "skipped by command";
/// Why a message cannot be skipped.
const NOT_FIRST: &str = "it is not the first of its partition";

/// The queue of a process.
pub type Shared = Arc<dyn Queue>;

/// Stores webhooks and hands them out, each once and in order within its conversation. It knows nothing about the
/// API: workers decide what happens to a message.
#[async_trait]
pub trait Queue: Send + Sync {
    /// The name of the queue in logs and responses.
    fn name(&self) -> &'static str;

    /// Whether the queue can be reached at the moment.
    fn is_connected(&self) -> bool;

    /// Checks that the queue responds.
    async fn check(&self) -> Result<(), Failure>;

    /// Stores a message of a bot, once for each id. Returns whether it was stored before.
    async fn publish(
        &self,
        bot: &str,
        id: &str,
        delivery: &Delivery,
        payload: Bytes,
    ) -> Result<bool, NotStored>;

    /// The lanes that hand out the messages of a bot to a worker, each one message at a time. The worker delivers
    /// `at_once` messages in parallel, and each delivery takes at most `deadline`.
    fn lanes(&self, bot: &str, at_once: usize, deadline: Duration) -> Vec<Box<dyn Lane>>;

    /// Waits for a short time until all earlier requests to the queue are done.
    async fn flush(&self);

    /// How many messages of a bot wait or are in flight, and when the oldest of them was stored.
    async fn backlog(&self, bot: &str) -> Result<(u64, Option<OffsetDateTime>), Failure>;

    /// The first dead letter with this number or a higher one.
    async fn letter(&self, from: u64) -> Result<Option<DeadLetter>, Failure>;

    /// How many dead letters there are, and an upper bound of their numbers.
    async fn letters(&self) -> Result<(u64, u64), Failure>;

    /// Puts a dead letter at the end of the queue. If it is called again after an interruption, the queue still has the
    /// message once.
    async fn retry_letter(&self, letter: &DeadLetter, delivery: &Delivery) -> Result<(), Failure>;

    async fn remove_letter(&self, letter: &DeadLetter) -> Result<(), Failure>;

    /// The first message of each partition, which the others wait for; of one bot or of all.
    async fn heads(&self, bot: Option<&str>) -> Result<Vec<PartitionHead>, Failure>;

    /// Makes the first message of a partition a dead letter.
    async fn skip(&self, position: u64) -> Result<(), Failure>;

    /// Stores whether an operator has paused a bot.
    async fn set_paused(&self, bot: &str, is_paused: bool) -> Result<(), Failure>;

    /// The bots that operators have paused.
    async fn paused(&self) -> Result<BTreeSet<String>, Failure>;

    /// What happened to an event and where it is now, oldest first; empty if the event is not known.
    async fn trace(&self, event: &str, bot: Option<&str>) -> Result<Vec<Seen>, Failure>;
}

/// Hands out one message after the other. A message belongs to its worker until `stored`, `retry_later` or `make_dead_letter` is
/// called: no other message of its conversation is handed out before that.
#[async_trait]
pub trait Lane: Send {
    /// Waits for a message. `None` if none comes for a while, or if `ending` is cancelled.
    async fn next(&mut self, ending: &CancellationToken) -> Result<Option<TakenMessage>, Failure>;

    /// Called when no message came although delivery is not paused. Returns whether something had to be
    /// repaired.
    async fn check(&mut self) -> Result<bool, Failure> {
        Ok(false)
    }

    /// Called when delivery is paused.
    fn pause(&mut self) {}

    /// The message is stored, as the API's message with this id: it leaves the queue.
    async fn stored(&mut self, taken: TakenMessage, message_id: &str);

    /// The message is handed out again after this time.
    async fn retry_later(&mut self, taken: TakenMessage, wait: Duration);

    /// The message becomes a dead letter.
    async fn make_dead_letter(&mut self, taken: TakenMessage, kind: Kind, reason: &str);
}

/// A message that belongs to a worker.
pub struct TakenMessage {
    /// Its position in the queue.
    pub sequence: u64,
    /// The id of its event: the kind of the id, a space, and the id itself.
    pub id: String,
    pub payload: Bytes,
    /// How many times it was handed out, including this time.
    pub delivered: u32,
    /// When it was stored. Only shown to people: the clock may have been changed since then.
    pub received: OffsetDateTime,
    /// The latest start of a delivery that ends while the message still belongs to the worker.
    pub latest: Instant,
    /// The failures that the worker counted before it put the message back.
    pub failure_counts: FailureCounts,
}

/// How often a message failed with this worker. Kept only in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FailureCounts {
    /// How many times it was sent but not stored.
    pub failures: u32,
    /// How many of these times other messages were stored.
    pub alone: u32,
}

/// The first message of its partition. In a file, each conversation is a partition.
pub struct PartitionHead {
    pub position: u64,
    pub partition: String,
    pub bot: String,
    /// The id of the event.
    pub id: Option<String>,
    pub since: OffsetDateTime,
    pub payload: Bytes,
}

/// A message that cannot be delivered.
pub struct DeadLetter {
    pub number: u64,
    pub kind: Kind,
    pub bot: String,
    /// The id of the event.
    pub id: Option<String>,
    pub reason: String,
    pub since: OffsetDateTime,
    pub payload: Bytes,
}

/// Why a webhook could not be stored.
#[derive(Debug, Clone)]
pub enum NotStored {
    TooLarge,
    /// A retry may succeed.
    Failed(String),
}

/// Why a message cannot be delivered.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub enum Kind {
    /// It breaks the contract, or the API rejected it permanently.
    Invalid,
    /// It failed again and again, while other messages were stored.
    Failing,
    /// An operator has skipped it.
    Skipped,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Failing => "failing",
            Self::Skipped => "skipped",
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "failing" => Self::Failing,
            "skipped" => Self::Skipped,
            _ => Self::Invalid,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which queue to use, and its limits.
#[derive(clap::Args)]
#[command(next_help_heading = "Queue")]
pub struct Settings {
    #[command(flatten)]
    server: Server,
    /// The queue's file, if NATS_URL is not set; on a local disk
    #[arg(long, global = true, env = "BRIDGE_FILE", default_value = "botpress-bridge.db")]
    file: PathBuf,
    /// For how many days the file keeps the outcome of an event
    #[arg(long, global = true, env = "BRIDGE_KEEP_DAYS", default_value_t = 7,
        value_parser = clap::value_parser!(u16).range(1..=3_650))]
    keep_days: u16,
    /// The most bytes of the queue: by default 256 MiB with NATS, or what the stream has; 1 GiB for the file. Beyond
    /// that, webhooks get a 503
    #[arg(long, global = true, env = "BRIDGE_MAX_BYTES",
        value_parser = clap::value_parser!(i64).range(1 << 16..))]
    max_bytes: Option<i64>,
    #[command(flatten)]
    streams: StreamSettings,
}

/// The settings of the NATS streams.
#[derive(clap::Args)]
#[command(next_help_heading = "NATS streams")]
struct StreamSettings {
    /// Into how many partitions NATS divides each bot's conversations: by default 64, or what the stream has. Cannot be
    /// changed while messages wait
    #[arg(long, global = true, env = "BRIDGE_PARTITIONS",
        value_parser = clap::value_parser!(u16).range(1..=1_024))]
    partitions: Option<u16>,
    /// For how many seconds a repeated webhook is recognised: by default 900, or what the stream has
    #[arg(long, global = true, env = "BRIDGE_DUPLICATE_WINDOW",
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duplicate_window: Option<u64>,
    /// How many bytes of dead letters are kept: by default 64 MiB, or what the stream has. Beyond that, partitions that
    /// need to write a dead letter stall
    #[arg(long, global = true, env = "BRIDGE_DEAD_MAX_BYTES",
        value_parser = clap::value_parser!(i64).range(1 << 16..))]
    dead_max_bytes: Option<i64>,
    /// For how long a dead letter is kept, such as 30days, at least 1h: by default forever, or what the stream has
    #[arg(long, global = true, env = "BRIDGE_DEAD_MAX_AGE", value_parser = dead_max_age)]
    dead_max_age: Option<Duration>,
    /// How many bytes of the history of events are kept: by default 64 MiB, or what the stream has. Beyond that, the
    /// oldest records are removed
    #[arg(long, global = true, env = "BRIDGE_HISTORY_MAX_BYTES",
        value_parser = clap::value_parser!(i64).range(1 << 16..))]
    history_max_bytes: Option<i64>,
    /// For how long the history of an event is kept: by default 7days, or what the stream has
    #[arg(long, global = true, env = "BRIDGE_HISTORY_MAX_AGE")]
    history_max_age: Option<humantime::Duration>,
    /// How many servers of a cluster keep the streams: by default 1, or what the streams have
    #[arg(long, global = true, env = "BRIDGE_REPLICAS",
        value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: Option<u8>,
}

/// The server requires that it keeps a letter at least as long as it recognises a repeated one.
fn dead_max_age(text: &str) -> Result<Duration, String> {
    let age: humantime::Duration = text.parse().map_err(|e| format!("{e}"))?;
    if *age < DEAD_DUPLICATE_WINDOW { Err("at least 1h".to_owned()) } else { Ok(age.into()) }
}

impl Settings {
    /// Checks everything that does not need the queue to be open.
    pub fn check(&self) -> Result<(), Failure> {
        if self.uses_nats() { self.server.check_settings() } else { Ok(()) }
    }

    fn sqlite(&self) -> sqlite::QueueFile {
        sqlite::QueueFile {
            path: self.file.clone(),
            max_bytes: self.max_bytes.map_or(FILE_MAX_BYTES, i64::unsigned_abs),
            keep: Duration::from_secs(86_400) * self.keep_days.into(),
        }
    }

    fn uses_nats(&self) -> bool {
        self.server.url.is_some()
    }

    /// Opens the queue for a process that receives or delivers. It waits for a NATS server that cannot be reached yet.
    pub async fn open(&self, stop: &CancellationToken) -> Result<Shared, Failure> {
        if self.uses_nats() {
            return Ok(Arc::new(nats::Nats::open(self, Some(stop)).await?));
        }
        Ok(Arc::new(self.sqlite().lock()?))
    }

    /// Copies the file of the queue while it is in use.
    pub async fn back_up(&self, to: PathBuf) -> Result<(), Failure> {
        if self.uses_nats() {
            return Err(Failure::settings("only a queue in a file can be copied: unset NATS_URL"));
        }
        self.sqlite().visit()?.back_up(to).await
    }

    /// Opens the queue for other commands, while other processes may receive and deliver.
    pub async fn visit(&self) -> Result<Shared, Failure> {
        if self.uses_nats() {
            return Ok(Arc::new(nats::Nats::open(self, None).await?));
        }
        Ok(Arc::new(self.sqlite().visit()?))
    }
}

/// Parses a message, or returns why it cannot be delivered.
pub fn read(payload: &[u8]) -> Result<Delivery, String> {
    let delivery = Delivery::from_json(payload).map_err(|e| e.to_string())?;
    if !delivery.is_identified() {
        return Err("no tag identifies the message: it could be stored twice".to_owned());
    }
    Ok(delivery)
}

/// A message to show to people: as JSON, or as text if it is not valid JSON.
pub fn shown(payload: &[u8]) -> Value {
    serde_json::from_slice(payload)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(payload)))
}

/// A number for a conversation, computed from what the endpoint identifies it by: its id, or its channel and the tags
/// that discriminate. It must be the same in each version of the program, since queues store it.
fn conversation(delivery: &Delivery) -> u64 {
    let message = json!(delivery);
    let conversation = &message["conversation"];
    let names = conversation["discriminateByTags"].as_array().filter(|names| !names.is_empty());
    let listed = |name: &str| names.is_none_or(|names| names.iter().any(|listed| listed == name));
    let tags = conversation["tags"].as_object().into_iter().flatten();
    // Sorted, so the order in the webhook does not matter.
    let tags: BTreeMap<_, _> = tags.filter(|(name, _)| listed(name)).collect();
    let identity: Value = json!([message["conversationId"], conversation["channel"], tags]);
    let digest = Sha256::digest(identity.to_string());
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_keeps_its_number() {
        let number = |record: Value| {
            let message = json!({
                "conversation": record, "user": { "tags": { "id": "U1" } },
                "type": "text", "payload": { "text": "hello" }, "tags": { "id": "1" },
            });
            conversation(&read(message.to_string().as_bytes()).unwrap())
        };
        // Files and streams store this number.
        const KNOWN: u64 = 411_002_368_258_604_353;
        let tags = json!({ "id": "C1" });
        assert_eq!(number(json!({ "channel": "channel", "tags": tags })), KNOWN);
        let tags = json!({ "topic": "news", "id": "C1" });
        let of_id = json!({ "channel": "channel", "tags": tags, "discriminateByTags": ["id"] });
        assert_eq!(number(of_id), KNOWN, "the topic does not identify it");
        assert_ne!(number(json!({ "channel": "channel", "tags": tags })), KNOWN);
        assert_ne!(number(json!({ "channel": "dm", "tags": { "id": "C1" } })), KNOWN);
    }
}
