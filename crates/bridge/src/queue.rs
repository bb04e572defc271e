//! The streams in NATS JetStream: what waits, and what cannot be delivered.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::{DiscardPolicy, RawMessageErrorKind, RetentionPolicy, Stream};
use async_nats::jetstream::{Context, stream};
use botpress_messages::Delivery;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::history::{self, Fact};
use crate::server::{REQUEST, Server};
use crate::stores::{self, Chosen, Store};
use crate::watchdog::Position;

/// Webhooks that wait: subject `webhooks.BOT.PARTITION`, and each message is gone once it is
/// acknowledged.
const WEBHOOKS: &str = "WEBHOOKS";
/// What cannot be delivered: subject `dead.KIND.BOT`.
const DEAD: &str = "DEAD";
/// Bots that are paused: subject `paused.BOT`, an empty message for each.
const PAUSED: &str = "PAUSED";
/// What happened to each event: subject `history.BOT.DIGEST`.
const HISTORY: &str = "HISTORY";

const PARTITIONS: u16 = 16;
/// How large new streams may become.
const MAX_BYTES: i64 = 256 << 20;
const DEAD_MAX_BYTES: i64 = 64 << 20;
const HISTORY_MAX_BYTES: i64 = 64 << 20;
const PAUSED_MAX_BYTES: i64 = 1 << 20;
const DUPLICATE_WINDOW: Duration = Duration::from_secs(900);
const DEAD_DUPLICATE_WINDOW: Duration = Duration::from_secs(3_600);
const HISTORY_MAX_AGE: Duration = Duration::from_secs(7 * 86_400);

/// How long a pull waits for a message.
pub const PULL: Duration = Duration::from_secs(5);
/// The client gives up a pull so much later, and takes no message from it any more.
const PULL_GRACE: Duration = Duration::from_secs(5);
/// A delivery starts within this time after its pull, or not at all.
pub const TAKEN_WITHIN: Duration = PULL.saturating_add(PULL_GRACE);
/// What is left after a delivery to tell the server of its end.
const SETTLING: Duration = Duration::from_secs(2);
/// What a dead letter has beside the message: its headers.
const LETTER: usize = 4 << 10;

#[derive(Clone)]
pub struct Queue {
    pub(crate) context: Context,
    pub(crate) webhooks: Stream,
    pub(crate) dead: Stream,
    pub(crate) paused: Stream,
    pub(crate) history: Stream,
    pub partitions: usize,
}

/// The server, and what its streams are like when they are created.
#[derive(clap::Args)]
#[command(next_help_heading = "Queue")]
pub struct Settings {
    #[command(flatten)]
    server: Server,
    /// Into how many partitions each bot's conversations are divided: 16, or as the stream has it. It
    /// cannot be changed while messages wait
    #[arg(long, global = true, env = "BRIDGE_PARTITIONS",
        value_parser = clap::value_parser!(u16).range(1..=1_024))]
    partitions: Option<u16>,
    /// For how many seconds a repeated webhook is recognised: 900, or as the stream has it
    #[arg(long, global = true, env = "BRIDGE_DUPLICATE_WINDOW",
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duplicate_window: Option<u64>,
    /// How many bytes of webhooks may wait: 256 MiB, or as the stream has it; beyond that, none is taken
    #[arg(long, global = true, env = "BRIDGE_MAX_BYTES",
        value_parser = clap::value_parser!(i64).range(1 << 16..))]
    max_bytes: Option<i64>,
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
    /// What can be checked without a connection.
    pub fn check(&self) -> Result<(), Failure> {
        self.server.check_settings()
    }

    /// The stream of webhooks. One subject for each partition: what is published into another finds no
    /// stream, instead of nobody who delivers it.
    fn webhooks(&self) -> Store {
        let partitions = self.partitions.unwrap_or(PARTITIONS);
        let window = self.duplicate_window.map(Duration::from_secs);
        let config = stream::Config {
            name: WEBHOOKS.to_owned(),
            subjects: (0..partitions).map(|partition| format!("webhooks.*.{partition}")).collect(),
            retention: RetentionPolicy::WorkQueue,
            duplicate_window: window.unwrap_or(DUPLICATE_WINDOW),
            ..Default::default()
        };
        self.store(
            config,
            self.max_bytes,
            MAX_BYTES,
            Chosen { duplicate_window: window, ..Chosen::default() },
        )
    }

    fn dead(&self) -> Store {
        let config = stream::Config {
            name: DEAD.to_owned(),
            subjects: vec!["dead.*.*".to_owned()],
            duplicate_window: DEAD_DUPLICATE_WINDOW,
            max_age: self.dead_max_age.unwrap_or_default(),
            ..Default::default()
        };
        let chosen = Chosen { max_age: self.dead_max_age, ..Chosen::default() };
        self.store(config, self.dead_max_bytes, DEAD_MAX_BYTES, chosen)
    }

    fn history(&self) -> Store {
        let max_age = self.history_max_age.map(Duration::from);
        let config = stream::Config {
            name: HISTORY.to_owned(),
            subjects: vec!["history.*.*".to_owned()],
            max_age: max_age.unwrap_or(HISTORY_MAX_AGE),
            ..Default::default()
        };
        let chosen = Chosen { max_age, ..Chosen::default() };
        let mut store = self.store(config, self.history_max_bytes, HISTORY_MAX_BYTES, chosen);
        store.config.discard = DiscardPolicy::Old;
        store
    }

    fn paused(&self) -> Store {
        let config = stream::Config {
            name: PAUSED.to_owned(),
            subjects: vec!["paused.*".to_owned()],
            max_messages_per_subject: 1,
            ..Default::default()
        };
        self.store(config, None, PAUSED_MAX_BYTES, Chosen::default())
    }

    /// Full means that nothing more is taken. Nothing old makes room.
    fn store(
        &self,
        config: stream::Config,
        max_bytes: Option<i64>,
        default_max_bytes: i64,
        chosen: Chosen,
    ) -> Store {
        let replicas = self.replicas.map(usize::from);
        let config = stream::Config {
            max_bytes: max_bytes.unwrap_or(default_max_bytes),
            discard: DiscardPolicy::New,
            num_replicas: replicas.unwrap_or(1),
            ..config
        };
        Store { config, chosen: Chosen { max_bytes, replicas, ..chosen } }
    }
}

impl Queue {
    /// Connects and creates what is missing. With `stop`, it waits for a server that is not there yet.
    pub async fn open(
        settings: &Settings,
        stop: Option<&CancellationToken>,
    ) -> Result<Self, Failure> {
        let open = async || Self::set_up(settings, &settings.server.connect().await?).await;
        let Some(stop) = stop else { return open().await };
        let opened = async {
            loop {
                match open().await {
                    Err(failure) if failure.code != 2 => {
                        tracing::warn!("{}; trying again", failure.text);
                    }
                    result => return result,
                }
                sleep(Duration::from_secs(1)).await;
            }
        };
        let opened = tokio::select! {
            result = opened => result,
            () = stop.cancelled() => {
                Err(Failure { code: 0, text: "ended before NATS was there".to_owned() })
            }
        };
        if let Ok(queue) = &opened {
            let streams = [&queue.webhooks, &queue.dead, &queue.paused, &queue.history];
            let configs = streams.map(|stream| stream.cached_info().config.clone());
            tokio::spawn(stores::keep(queue.context.clone(), configs.into(), stop.clone()));
        }
        opened
    }

    async fn set_up(settings: &Settings, context: &Context) -> Result<Self, Failure> {
        let open = async |store: Store| {
            let opened = stores::open(context, store).await;
            let url = &settings.server.url;
            opened.map_err(|failure| Failure::new(format!("NATS at {url}: {}", failure.text)))
        };
        let webhooks = open(settings.webhooks()).await?;
        let partitions = webhooks.cached_info().config.subjects.len();
        let asked = settings.partitions.map(usize::from);
        if let Some(asked) = asked.filter(|asked| *asked != partitions) {
            return Err(Failure::settings(format!(
                "BRIDGE_PARTITIONS={asked}, but the stream {WEBHOOKS} has {partitions}: see README.md on how to change it"
            )));
        }
        let dead = open(settings.dead()).await?;
        let paused = open(settings.paused()).await?;
        let history = open(settings.history()).await?;
        Ok(Self { context: context.clone(), webhooks, dead, paused, history, partitions })
    }

    /// Sends what waits to be sent.
    pub async fn flush(&self) {
        let _ = timeout(REQUEST, self.context.client().flush()).await;
    }

    pub fn is_connected(&self) -> bool {
        self.context.client().connection_state() == State::Connected
    }

    /// Whether the server has the stream and answers.
    pub async fn check(&self) -> Result<(), Failure> {
        let failed = |e| Failure::new(format!("the stream {WEBHOOKS} cannot be asked: {e}"));
        self.webhooks.get_info().await.map(drop).map_err(failed)
    }

    /// Stores a message of a bot, once for each id. Tells whether it was there already.
    pub async fn publish(
        &self,
        bot: &str,
        id: &str,
        delivery: &Delivery,
        payload: Bytes,
    ) -> Result<bool, PublishError> {
        // Also as a dead letter, a message has to fit.
        if payload.len() + LETTER > self.context.client().server_info().max_payload {
            return Err(PublishError::new(PublishErrorKind::MaxPayloadExceeded));
        }
        let id = format!("{bot} {id}");
        let publication = PublishMessage::build().message_id(&id).payload(payload);
        let stored = self.acknowledged(self.subject(bot, delivery), publication).await?;
        if !stored.duplicate {
            self.record(bot, &id, Fact::Queued { position: stored.sequence }).await;
        }
        Ok(stored.duplicate)
    }

    /// Stores the message of a dead letter again. Called twice, it is there once.
    pub async fn republish(
        &self,
        letter: &StreamMessage,
        delivery: &Delivery,
    ) -> Result<(), PublishError> {
        let (_, bot) = letter_subject(letter);
        // The stream may still know the message's own id, and would not take it.
        let retry = format!("retry {}", place(letter.sequence, letter.time));
        let mut publication =
            PublishMessage::build().message_id(retry).payload(letter.payload.clone());
        if let Some(id) = letter.headers.get(ID) {
            publication = publication.header(ID, id.clone());
        }
        let stored = self.acknowledged(self.subject(bot, delivery), publication).await?;
        if let Some(id) = history::id(letter) {
            self.record(bot, id, Fact::Retried { position: stored.sequence }).await;
        }
        Ok(())
    }

    fn subject(&self, bot: &str, delivery: &Delivery) -> String {
        format!("webhooks.{bot}.{}", partition(&json!(delivery), self.partitions))
    }

    /// Publishes and waits until the server has stored it.
    pub(crate) async fn acknowledged(
        &self,
        subject: String,
        publication: PublishMessage,
    ) -> Result<PublishAck, PublishError> {
        let acknowledgement = self.context.send_publish(subject, publication).await?;
        acknowledgement.await
    }

    /// The consumer of a partition, which all workers share. It has one message in flight at a time,
    /// also while a message waits to be delivered again: so they keep their order.
    pub async fn consumer(
        &self,
        bot: &str,
        partition: usize,
        deadline: Duration,
    ) -> Result<PullConsumer, Failure> {
        let name = format!("{bot}-{partition}");
        let config = pull::Config {
            durable_name: Some(name.clone()),
            filter_subject: format!("webhooks.{bot}.{partition}"),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ack_wait(deadline),
            max_ack_pending: 1,
            ..Default::default()
        };
        let failed = |e| Failure::new(format!("the consumer {name} cannot be had: {e}"));
        let consumer: PullConsumer =
            self.webhooks.get_or_create_consumer(&name, config.clone()).await.map_err(failed)?;
        if consumer.cached_info().config.ack_wait >= config.ack_wait {
            return Ok(consumer);
        }
        // Never less: a worker with a longer deadline may run.
        self.webhooks.create_consumer(config).await.map_err(failed)
    }

    /// How far the consumer of a partition is; `None` if nothing waits there.
    pub async fn position(&self, consumer: &PullConsumer) -> Result<Option<Position>, Failure> {
        let info = consumer.cached_info();
        let Some(first) = first(&self.webhooks, &info.config.filter_subject, 1).await? else {
            return Ok(None);
        };
        let failed = |e| Failure::new(format!("the consumer {} cannot be asked: {e}", info.name));
        let info = consumer.get_info().await.map_err(failed)?;
        let delivered = info.delivered.consumer_sequence;
        Ok(Some(Position { first: first.sequence, delivered, created: info.created }))
    }

    /// Removes a consumer. The next one of its partition begins with the first message that is left.
    pub async fn remove_consumer(&self, consumer: &PullConsumer) -> Result<(), Failure> {
        let name = &consumer.cached_info().name;
        let removed = self.webhooks.delete_consumer(name).await;
        removed.map(drop).map_err(|e| Failure::new(format!("the consumer {name} stays: {e}")))
    }

    /// Stores a message that cannot be delivered, once for each `letter`, with the message's id.
    pub async fn bury(
        &self,
        kind: Kind,
        bot: &str,
        letter: &str,
        id: &str,
        reason: &str,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        let publication = PublishMessage::build()
            .message_id(letter)
            .header(ID, id)
            .header(REASON, one_line(reason))
            .payload(payload);
        self.acknowledged(format!("dead.{kind}.{bot}"), publication).await?;
        let (kind, reason) = (kind.to_string(), one_line(reason));
        self.record(bot, id, Fact::Dead { kind, reason }).await;
        Ok(())
    }

    /// The dead letters, from this number on: the first of them.
    pub async fn letter(&self, from: u64) -> Result<Option<StreamMessage>, Failure> {
        first(&self.dead, "dead.>", from).await
    }

    pub async fn remove_letter(&self, number: u64) -> Result<(), Failure> {
        let removed = self.dead.delete_message(number).await;
        removed.map(drop).map_err(|e| Failure::new(format!("letter {number} stays: {e}")))
    }

    /// How many messages of a bot wait, and since when the first of them does.
    pub async fn backlog(&self, bot: &str) -> Result<(u64, Option<OffsetDateTime>), Failure> {
        let subject = format!("webhooks.{bot}.*");
        let failed = |e| Failure::new(format!("the stream {WEBHOOKS} cannot be asked: {e}"));
        let mut subjects = self.webhooks.info_with_subjects(&subject).await.map_err(failed)?;
        let mut depth = 0;
        while let Some(count) = subjects.next().await {
            depth += count.map_err(failed)?.1 as u64;
        }
        let oldest = first(&self.webhooks, &subject, 1).await?;
        Ok((depth, oldest.map(|message| message.time)))
    }

    /// How many dead letters there are, and the number of the last.
    pub async fn letters(&self) -> Result<(u64, u64), Failure> {
        let info = self.dead.get_info().await;
        let failed = |e| Failure::new(format!("the stream {DEAD} cannot be asked: {e}"));
        let state = info.map_err(failed)?.state;
        Ok((state.messages, state.last_sequence))
    }
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
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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

/// The kind of a dead letter, and its bot.
pub fn letter_subject(letter: &StreamMessage) -> (&str, &str) {
    let rest = letter.subject.strip_prefix("dead.").unwrap_or_default();
    rest.split_once('.').unwrap_or_default()
}

/// Where a message is in its stream, and since when: one that is made anew counts from 1 again.
pub fn place(sequence: u64, stored: OffsetDateTime) -> String {
    format!("{sequence} {}", stored.unix_timestamp_nanos())
}

/// Why a dead letter is one.
pub const REASON: &str = "Bridge-Reason";
/// The id of the event that a message is from, where the stream knows it by another.
pub const ID: &str = "Bridge-Id";

/// How long a message belongs to the worker that pulled it. Counted from before the pull, so
/// it is over for the worker earlier than for the server.
pub fn ack_wait(deadline: Duration) -> Duration {
    TAKEN_WITHIN + deadline + SETTLING
}

/// The partition in which a message's conversation keeps its order.
fn partition(message: &Value, partitions: usize) -> usize {
    let digest = Sha256::digest(conversation(message).to_string());
    let number = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    (number % partitions as u64) as usize
}

/// Tells a conversation from others, by what the endpoint looks for it: an id, or the channel and the
/// tags that discriminate.
fn conversation(message: &Value) -> Value {
    let conversation = &message["conversation"];
    let names = conversation["discriminateByTags"].as_array().filter(|names| !names.is_empty());
    let listed = |name: &str| names.is_none_or(|names| names.iter().any(|listed| listed == name));
    let tags = conversation["tags"].as_object().into_iter().flatten();
    // Sorted, however the webhook orders them.
    let tags: BTreeMap<_, _> = tags.filter(|(name, _)| listed(name)).collect();
    json!([message["conversationId"], conversation["channel"], tags])
}

/// A header's value may have one line alone, and is to leave room for the message.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut bytes = 0;
    let fits = |c: &char| {
        bytes += c.len_utf8();
        bytes <= 2_000
    };
    line.chars().filter(|c| !c.is_control()).take_while(fits).collect()
}

/// The first message with this subject, from this sequence on.
pub(crate) async fn first(
    stream: &Stream,
    subject: &str,
    from: u64,
) -> Result<Option<StreamMessage>, Failure> {
    match stream.get_first_raw_message_by_subject(subject, from).await {
        Ok(message) => Ok(Some(message)),
        Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(e) => Err(Failure::new(format!("no message can be read: {e}"))),
    }
}
