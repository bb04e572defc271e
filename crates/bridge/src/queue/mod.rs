//! Where messages wait: what the bridge needs of a queue, and the two that there are.

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

/// How large the file may become.
const FILE_MAX_BYTES: u64 = 1 << 30;
/// For so long, NATS recognises a dead letter that is stored again.
const DEAD_DUPLICATE_WINDOW: Duration = Duration::from_secs(3_600);

/// The reason of a dead letter that was skipped.
const SKIPPED: &str = "skipped by command";
/// Why a message is not skipped.
const NOT_FIRST: &str = "it is not the first of its partition";

/// The queue of a process.
pub type Shared = Arc<dyn Queue>;

/// Stores webhooks and hands them out, each once and in order within its conversation. Knows nothing of the
/// API, and decides nothing about a message.
#[async_trait]
pub trait Queue: Send + Sync {
    /// What it is called in logs and answers.
    fn name(&self) -> &'static str;

    /// Whether the queue can be asked at the moment.
    fn is_connected(&self) -> bool;

    /// Whether it answers.
    async fn check(&self) -> Result<(), Failure>;

    /// Stores a message of a bot, once for each id. Returns whether it was there already.
    async fn publish(
        &self,
        bot: &str,
        id: &str,
        delivery: &Delivery,
        payload: Bytes,
    ) -> Result<bool, NotStored>;

    /// Where a worker takes the messages of a bot from. Each lane has one at a time. `at_once` is how many
    /// the worker delivers in parallel, and `deadline` is for how long it delivers one.
    fn lanes(&self, bot: &str, at_once: usize, deadline: Duration) -> Vec<Box<dyn Lane>>;

    /// Waits, but not for long, until everything so far is done.
    async fn flush(&self);

    /// How many messages of a bot wait or are in flight, and since when the first of them does.
    async fn backlog(&self, bot: &str) -> Result<(u64, Option<OffsetDateTime>), Failure>;

    /// The first dead letter from this number on.
    async fn letter(&self, from: u64) -> Result<Option<Letter>, Failure>;

    /// How many dead letters there are, and a number that none of them exceeds.
    async fn letters(&self) -> Result<(u64, u64), Failure>;

    /// Puts a dead letter at the end of the queue. Called again after an interruption, it is there once.
    async fn retry_letter(&self, letter: &Letter, delivery: &Delivery) -> Result<(), Failure>;

    async fn remove_letter(&self, letter: &Letter) -> Result<(), Failure>;

    /// The messages that others wait for, of one bot or of all: the first of each partition.
    async fn heads(&self, bot: Option<&str>) -> Result<Vec<First>, Failure>;

    /// Makes the first message of a partition a dead letter.
    async fn skip(&self, position: u64) -> Result<(), Failure>;

    /// Stores whether an operator pauses the delivery of a bot.
    async fn set_paused(&self, bot: &str, is_paused: bool) -> Result<(), Failure>;

    /// The bots that operators pause.
    async fn paused(&self) -> Result<BTreeSet<String>, Failure>;

    /// What happened to an event and where it is, oldest first; nothing if it is not known.
    async fn trace(&self, event: &str, bot: Option<&str>) -> Result<Vec<Seen>, Failure>;
}

/// Hands out one message after the other. Each belongs to its worker until one of the last three methods is
/// called: no other message of its conversation is handed out before that.
#[async_trait]
pub trait Lane: Send {
    /// Waits for a message. `None` if none comes for a while, or before `ending`.
    async fn next(&mut self, ending: &CancellationToken) -> Result<Option<Taken>, Failure>;

    /// Called when no message came although delivery is not paused. Returns whether something had to be
    /// repaired.
    async fn check(&mut self) -> Result<bool, Failure> {
        Ok(false)
    }

    /// Called when delivery is paused.
    fn pause(&mut self) {}

    /// The message is stored, as the API's message with this id: it leaves the queue.
    async fn stored(&mut self, taken: Taken, message_id: &str);

    /// The message comes again after this time.
    async fn again(&mut self, taken: Taken, wait: Duration);

    /// The message becomes a dead letter.
    async fn bury(&mut self, taken: Taken, kind: Kind, reason: &str);
}

/// A message that belongs to a worker.
pub struct Taken {
    /// Its place in the queue.
    pub sequence: u64,
    /// The id of its event: which kind of id it is, a space, and the id.
    pub id: String,
    pub payload: Bytes,
    /// How many times it was handed out.
    pub delivered: u32,
    /// When it was stored, by the clock of that time: for people only.
    pub received: OffsetDateTime,
    /// From then on, a delivery could take longer than the message belongs to the worker.
    pub latest: Instant,
    /// What the worker noted when it put the message back.
    pub trouble: Trouble,
}

/// How a message fared with this worker. It is in memory only.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trouble {
    /// The number of times that it was sent and not stored,
    pub failures: u32,
    /// and of these, the number of times that others were stored.
    pub alone: u32,
}

/// The first message of its partition. In a file, each conversation is a partition.
pub struct First {
    pub position: u64,
    pub partition: String,
    pub bot: String,
    /// The id of the event.
    pub id: Option<String>,
    pub since: OffsetDateTime,
    pub payload: Bytes,
}

/// A message that cannot be delivered.
pub struct Letter {
    pub number: u64,
    pub kind: Kind,
    pub bot: String,
    /// The id of the event.
    pub id: Option<String>,
    pub reason: String,
    pub since: OffsetDateTime,
    pub payload: Bytes,
}

/// Why a webhook is not stored.
#[derive(Debug, Clone)]
pub enum NotStored {
    TooLarge,
    /// It can be repeated.
    Failed(String),
}

/// Why a message cannot be delivered.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub enum Kind {
    /// It breaks the contract, or the API rejects it for good.
    Invalid,
    /// The API fails on it again and again, but not on others.
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

/// Which queue, and what it is like when it is created.
#[derive(clap::Args)]
#[command(next_help_heading = "Queue")]
pub struct Settings {
    #[command(flatten)]
    server: Server,
    /// The file of the queue, if NATS_URL is not set; on a local disk
    #[arg(long, global = true, env = "BRIDGE_FILE", default_value = "botpress-bridge.db")]
    file: PathBuf,
    /// For how many days the file keeps what became of an event
    #[arg(long, global = true, env = "BRIDGE_KEEP_DAYS", default_value_t = 7,
        value_parser = clap::value_parser!(u16).range(1..=3_650))]
    keep_days: u16,
    /// How many bytes of webhooks may wait with NATS: 256 MiB, or as the stream has it. How large the file
    /// may become: 1 GiB. Beyond that, no webhook is taken
    #[arg(long, global = true, env = "BRIDGE_MAX_BYTES",
        value_parser = clap::value_parser!(i64).range(1 << 16..))]
    max_bytes: Option<i64>,
    #[command(flatten)]
    streams: StreamSettings,
}

/// What the streams of NATS are like.
#[derive(clap::Args)]
#[command(next_help_heading = "Streams of NATS")]
struct StreamSettings {
    /// Into how many partitions NATS divides each bot's conversations: 64, or as the stream has it. It
    /// cannot be changed while messages wait
    #[arg(long, global = true, env = "BRIDGE_PARTITIONS",
        value_parser = clap::value_parser!(u16).range(1..=1_024))]
    partitions: Option<u16>,
    /// For how many seconds a repeated webhook is recognised: 900, or as the stream has it
    #[arg(long, global = true, env = "BRIDGE_DUPLICATE_WINDOW",
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duplicate_window: Option<u64>,
    /// How many bytes of dead letters are kept: 64 MiB, or as the stream has it; beyond that, partitions
    /// with another one stall
    #[arg(long, global = true, env = "BRIDGE_DEAD_MAX_BYTES",
        value_parser = clap::value_parser!(i64).range(1 << 16..))]
    dead_max_bytes: Option<i64>,
    /// For how long a dead letter is kept, such as 30days, at least 1h: for ever, or as the stream has it
    #[arg(long, global = true, env = "BRIDGE_DEAD_MAX_AGE", value_parser = dead_max_age)]
    dead_max_age: Option<Duration>,
    /// How many bytes of the history of events are kept: 64 MiB, or as the stream has it; beyond that, the
    /// oldest is forgotten
    #[arg(long, global = true, env = "BRIDGE_HISTORY_MAX_BYTES",
        value_parser = clap::value_parser!(i64).range(1 << 16..))]
    history_max_bytes: Option<i64>,
    /// For how long the history of an event is kept: 7days, or as the stream has it
    #[arg(long, global = true, env = "BRIDGE_HISTORY_MAX_AGE")]
    history_max_age: Option<humantime::Duration>,
    /// How many servers of a cluster keep the streams: 1, or as the streams have it
    #[arg(long, global = true, env = "BRIDGE_REPLICAS",
        value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: Option<u8>,
}

/// The server demands that a letter is kept for as long as it recognises a repeated one.
fn dead_max_age(text: &str) -> Result<Duration, String> {
    let age: humantime::Duration = text.parse().map_err(|e| format!("{e}"))?;
    if *age < DEAD_DUPLICATE_WINDOW { Err("at least 1h".to_owned()) } else { Ok(age.into()) }
}

impl Settings {
    /// What can be checked without opening the queue.
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

    /// Opens the queue for a process that receives or delivers. It waits for a server that is not there yet.
    pub async fn open(&self, stop: &CancellationToken) -> Result<Shared, Failure> {
        if self.uses_nats() {
            return Ok(Arc::new(nats::Nats::open(self, Some(stop)).await?));
        }
        Ok(Arc::new(self.sqlite().lock()?))
    }

    /// Copies the file of the queue while it is in use.
    pub async fn back_up(&self, to: PathBuf) -> Result<(), Failure> {
        if self.uses_nats() {
            return Err(Failure::settings(
                "only the file of a queue can be copied: unset NATS_URL",
            ));
        }
        self.sqlite().visit()?.back_up(to).await
    }

    /// Opens the queue beside the processes that receive and deliver.
    pub async fn visit(&self) -> Result<Shared, Failure> {
        if self.uses_nats() {
            return Ok(Arc::new(nats::Nats::open(self, None).await?));
        }
        Ok(Arc::new(self.sqlite().visit()?))
    }
}

/// Reads a message that can be delivered, or says why it cannot.
pub fn read(payload: &[u8]) -> Result<Delivery, String> {
    let delivery = Delivery::from_json(payload).map_err(|e| e.to_string())?;
    if !delivery.is_identified() {
        return Err("no tag identifies the message: it could be stored twice".to_owned());
    }
    Ok(delivery)
}

/// A message for people: as JSON, or as text if it is none.
pub fn shown(payload: &[u8]) -> Value {
    serde_json::from_slice(payload)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(payload)))
}

/// A number for a conversation, by what the endpoint looks for it: an id, or the channel and the tags that
/// discriminate. It is the same in each version of the program, since queues remember it.
fn conversation(delivery: &Delivery) -> u64 {
    let message = json!(delivery);
    let conversation = &message["conversation"];
    let names = conversation["discriminateByTags"].as_array().filter(|names| !names.is_empty());
    let listed = |name: &str| names.is_none_or(|names| names.iter().any(|listed| listed == name));
    let tags = conversation["tags"].as_object().into_iter().flatten();
    // Sorted, however the webhook orders them.
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
        // Files and streams remember it.
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
