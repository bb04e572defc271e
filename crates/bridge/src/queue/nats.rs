//! The queue in NATS JetStream: streams for messages, dead letters, pauses and the history.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::connection::State;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::{DiscardPolicy, RawMessageErrorKind, RetentionPolicy, Stream};
use async_nats::jetstream::{AckKind, Context, Message, stream};
use async_trait::async_trait;
use botpress_messages::Delivery;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::stores::{self, Chosen, Store};
use super::{
    DEAD_DUPLICATE_WINDOW, DeadLetter, FailureCounts, Kind, Lane, NOT_FIRST, NotStored,
    PartitionHead, Queue, SKIPPED, Settings, StreamSettings, TakenMessage, conversation,
};
use crate::Failure;
use crate::history::{self, Fact, Seen};
use crate::server::REQUEST;
use crate::watchdog::{Position, Watchdog};

/// Messages that wait: subject `webhooks.BOT.PARTITION`. A message is removed once it is acknowledged.
const WEBHOOKS: &str = "WEBHOOKS";
/// Dead letters: subject `dead.KIND.BOT`.
const DEAD: &str = "DEAD";

/// Bots that are paused: subject `paused.BOT`, an empty message for each.
const PAUSED: &str = "PAUSED";
const PAUSED_PREFIX: &str = "paused.";
/// What happened to each event: subject `history.BOT.DIGEST`.
const HISTORY: &str = "HISTORY";
/// How many bytes of the digest the subject has.
const DIGEST: usize = 8;

/// The size limits of new streams.
const MAX_BYTES: i64 = 256 << 20;
const DEAD_MAX_BYTES: i64 = 64 << 20;
const HISTORY_MAX_BYTES: i64 = 64 << 20;
const PAUSED_MAX_BYTES: i64 = 1 << 20;
const DUPLICATE_WINDOW: Duration = Duration::from_secs(900);
const HISTORY_MAX_AGE: Duration = Duration::from_secs(7 * 86_400);

/// How long a pull waits for a message.
const PULL: Duration = Duration::from_secs(5);
/// The client waits this much longer for a pull's message, and then gives up the pull.
const PULL_GRACE: Duration = Duration::from_secs(5);
/// A delivery starts within this time after its pull, or not at all.
const TAKEN_WITHIN: Duration = PULL.saturating_add(PULL_GRACE);
/// The time left after a delivery to report its outcome to the server.
const SETTLING: Duration = Duration::from_secs(2);
/// Bytes that a dead letter needs besides the message, for its headers.
const LETTER: usize = 4 << 10;

/// A new stream has this number of partitions for each bot. A message that waits holds up all conversations of its
/// partition.
const PARTITIONS: u16 = 64;

/// A connection to the server.
#[derive(Clone)]
pub struct Nats {
    context: Context,
    webhooks: Stream,
    dead: Stream,
    paused: Stream,
    history: Stream,
    partitions: usize,
}

impl StreamSettings {
    /// The stream of webhooks. It lists a subject for each partition, so that publishing into a partition that does
    /// not exist fails, instead of storing a message that nobody delivers.
    fn webhooks(&self, max_bytes: Option<i64>) -> Store {
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
            max_bytes,
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

    /// A stream that rejects new messages when it is full, instead of removing old ones.
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

impl Nats {
    /// Connects and creates missing streams. With `stop`, it waits for a server that cannot be reached yet.
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
                Err(Failure { code: 0, text: "ended before NATS could be reached".to_owned() })
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
            let url = settings.server.url();
            opened.map_err(|failure| Failure::new(format!("NATS at {url}: {}", failure.text)))
        };
        let streams = &settings.streams;
        let webhooks = open(streams.webhooks(settings.max_bytes)).await?;
        let partitions = webhooks.cached_info().config.subjects.len();
        let asked = streams.partitions.map(usize::from);
        if let Some(asked) = asked.filter(|asked| *asked != partitions) {
            return Err(Failure::settings(format!(
                "BRIDGE_PARTITIONS={asked}, but the stream {WEBHOOKS} has {partitions}: see README.md on how to change it"
            )));
        }
        let dead = open(streams.dead()).await?;
        let paused = open(streams.paused()).await?;
        let history = open(streams.history()).await?;
        Ok(Self { context: context.clone(), webhooks, dead, paused, history, partitions })
    }

    /// Stores a message of this conversation, once for each id. Returns whether it was stored before.
    pub async fn store(
        &self,
        bot: &str,
        conversation: u64,
        id: &str,
        payload: Bytes,
    ) -> Result<bool, NotStored> {
        // The message must also fit as a dead letter.
        if payload.len() + LETTER > self.context.client().server_info().max_payload {
            return Err(NotStored::TooLarge);
        }
        let publication = PublishMessage::build().message_id(full_id(bot, id)).payload(payload);
        let stored = self.acknowledged(self.subject(bot, conversation), publication).await;
        let stored = stored.map_err(|e| {
            let is_too_large = e.kind() == PublishErrorKind::MaxPayloadExceeded;
            if is_too_large { NotStored::TooLarge } else { NotStored::Failed(e.to_string()) }
        })?;
        if !stored.duplicate {
            self.record(bot, id, Fact::Queued { position: stored.sequence }).await;
        }
        Ok(stored.duplicate)
    }

    /// Stores a dead letter of another queue, once.
    pub async fn take_letter(&self, letter: &DeadLetter) -> Result<(), Failure> {
        let DeadLetter { number, kind, bot, id, reason, since, payload } = letter;
        let place = place(*number, *since);
        let id = id.as_deref().unwrap_or_default();
        let taken = self.make_dead_letter(*kind, bot, &place, id, reason, payload.clone()).await;
        taken.map_err(|e| Failure::new(format!("letter {number} cannot be moved: {e}")))
    }

    fn subject(&self, bot: &str, conversation: u64) -> String {
        format!("webhooks.{bot}.{}", conversation % self.partitions as u64)
    }

    /// Publishes and waits until the server has stored it.
    async fn acknowledged(
        &self,
        subject: String,
        publication: PublishMessage,
    ) -> Result<PublishAck, PublishError> {
        let acknowledgement = self.context.send_publish(subject, publication).await?;
        acknowledgement.await
    }

    /// Records what happened to the event with this id. It does not wait until the record is stored, so that it does
    /// not slow down deliveries. If a record is missing, `trace` searches the queue and the dead letters.
    async fn record(&self, bot: &str, id: &str, fact: Fact) {
        let event = history::event(id).to_owned();
        let subject = history_subject(bot, &event);
        let record = json!(Record { event, fact }).to_string();
        // Without a connection, the client would buffer the record, and it would arrive in the wrong order.
        if self.is_connected()
            && let Err(e) = self.context.client().publish(subject, record.into()).await
        {
            tracing::debug!("a record of the history is lost: {e}");
        }
    }

    /// The consumer of a partition, which all workers share. It has one message in flight at a time, and a message
    /// that waits to be delivered again counts as in flight. So the messages keep their order.
    async fn consumer(
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
        let failed = |e| Failure::new(format!("the consumer {name} cannot be created: {e}"));
        let consumer: PullConsumer =
            self.webhooks.get_or_create_consumer(&name, config.clone()).await.map_err(failed)?;
        if consumer.cached_info().config.ack_wait >= config.ack_wait {
            return Ok(consumer);
        }
        // Only increase it: a worker with a longer deadline may be running.
        self.webhooks.create_consumer(config).await.map_err(failed)
    }

    /// How far the consumer of a partition has come; `None` if no message waits there.
    async fn position(&self, consumer: &PullConsumer) -> Result<Option<Position>, Failure> {
        let info = consumer.cached_info();
        let Some(first) = first(&self.webhooks, &info.config.filter_subject, 1).await? else {
            return Ok(None);
        };
        let failed = |e| Failure::new(format!("the consumer {} cannot be read: {e}", info.name));
        let info = consumer.get_info().await.map_err(failed)?;
        let delivered = info.delivered.consumer_sequence;
        Ok(Some(Position { first: first.sequence, delivered, created: info.created }))
    }

    /// Removes a consumer. The next one of its partition begins with the first message that is left.
    async fn remove_consumer(&self, consumer: &PullConsumer) -> Result<(), Failure> {
        let name = &consumer.cached_info().name;
        let removed = self.webhooks.delete_consumer(name).await;
        removed
            .map(drop)
            .map_err(|e| Failure::new(format!("the consumer {name} cannot be removed: {e}")))
    }

    async fn delete_letter(&self, number: u64) -> Result<(), Failure> {
        let removed = self.dead.delete_message(number).await;
        removed
            .map(drop)
            .map_err(|e| Failure::new(format!("letter {number} cannot be removed: {e}")))
    }

    /// Stores a dead letter, once for each `place`, with the id of its event.
    pub async fn make_dead_letter(
        &self,
        kind: Kind,
        bot: &str,
        place: &str,
        id: &str,
        reason: &str,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        let publication = PublishMessage::build()
            .message_id(place)
            .header(ID, full_id(bot, id))
            .header(REASON, one_line(reason))
            .payload(payload);
        self.acknowledged(format!("dead.{kind}.{bot}"), publication).await?;
        let (kind, reason) = (kind.to_string(), one_line(reason));
        self.record(bot, id, Fact::Dead { kind, reason }).await;
        Ok(())
    }
}

#[async_trait]
impl Queue for Nats {
    fn name(&self) -> &'static str {
        "NATS"
    }

    async fn check(&self) -> Result<(), Failure> {
        let failed = |e| Failure::new(format!("the stream {WEBHOOKS} cannot be read: {e}"));
        self.webhooks.get_info().await.map(drop).map_err(failed)
    }

    fn is_connected(&self) -> bool {
        self.context.client().connection_state() == State::Connected
    }

    async fn publish(
        &self,
        bot: &str,
        id: &str,
        delivery: &Delivery,
        payload: Bytes,
    ) -> Result<bool, NotStored> {
        self.store(bot, conversation(delivery), id, payload).await
    }

    /// One lane for each partition.
    fn lanes(&self, bot: &str, _at_once: usize, deadline: Duration) -> Vec<Box<dyn Lane>> {
        let lane = |partition| Partition {
            queue: self.clone(),
            bot: bot.to_owned(),
            number: partition,
            deadline,
            consumer: None,
            current: None,
            failure_counts: Default::default(),
            watchdog: Watchdog::default(),
        };
        (0..self.partitions).map(|partition| Box::new(lane(partition)) as _).collect()
    }

    async fn flush(&self) {
        let _ = timeout(REQUEST, self.context.client().flush()).await;
    }

    async fn backlog(&self, bot: &str) -> Result<(u64, Option<OffsetDateTime>), Failure> {
        let subject = format!("webhooks.{bot}.*");
        let failed = |e| Failure::new(format!("the stream {WEBHOOKS} cannot be read: {e}"));
        let mut subjects = self.webhooks.info_with_subjects(&subject).await.map_err(failed)?;
        let mut depth = 0;
        while let Some(count) = subjects.next().await {
            depth += count.map_err(failed)?.1 as u64;
        }
        let oldest = first(&self.webhooks, &subject, 1).await?;
        Ok((depth, oldest.map(|message| message.time)))
    }

    async fn letter(&self, from: u64) -> Result<Option<DeadLetter>, Failure> {
        Ok(first(&self.dead, "dead.>", from).await?.map(letter))
    }

    async fn letters(&self) -> Result<(u64, u64), Failure> {
        let info = self.dead.get_info().await;
        let failed = |e| Failure::new(format!("the stream {DEAD} cannot be read: {e}"));
        let state = info.map_err(failed)?.state;
        Ok((state.messages, state.last_sequence))
    }

    async fn retry_letter(&self, letter: &DeadLetter, delivery: &Delivery) -> Result<(), Failure> {
        // The stream may still recognise the event's id, and would drop the message as a duplicate.
        let id = format!("retry {}", place(letter.number, letter.since));
        let mut publication =
            PublishMessage::build().message_id(id).payload(letter.payload.clone());
        if let Some(id) = &letter.id {
            publication = publication.header(ID, full_id(&letter.bot, id));
        }
        let subject = self.subject(&letter.bot, conversation(delivery));
        let stored = self.acknowledged(subject, publication).await.map_err(Failure::new)?;
        if let Some(id) = &letter.id {
            self.record(&letter.bot, id, Fact::Retried { position: stored.sequence }).await;
        }
        self.delete_letter(letter.number).await
    }

    async fn remove_letter(&self, letter: &DeadLetter) -> Result<(), Failure> {
        self.delete_letter(letter.number).await?;
        if let Some(id) = &letter.id {
            self.record(&letter.bot, id, Fact::Dropped).await;
        }
        Ok(())
    }

    async fn heads(&self, bot: Option<&str>) -> Result<Vec<PartitionHead>, Failure> {
        let failed = |e| Failure::new(format!("the partitions cannot be read: {e}"));
        let bot = bot.unwrap_or("*");
        let subjects = self.webhooks.info_with_subjects(format!("webhooks.{bot}.*"));
        let mut subjects: Vec<_> =
            subjects.await.map_err(failed)?.try_collect().await.map_err(failed)?;
        subjects.sort();
        let mut heads = Vec::new();
        for (subject, _) in subjects {
            // The message may have been removed since then.
            let Some(message) = first(&self.webhooks, &subject, 1).await? else { continue };
            let (bot, partition) = bot_and_partition(&message);
            heads.push(PartitionHead {
                position: message.sequence,
                partition: partition.to_owned(),
                bot: bot.to_owned(),
                id: event_id(&message.headers, bot),
                since: message.time,
                payload: message.payload.clone(),
            });
        }
        Ok(heads)
    }

    async fn skip(&self, position: u64) -> Result<(), Failure> {
        let failed = |e: &dyn Display| {
            Failure::new(format!("the message at position {position} cannot be skipped: {e}"))
        };
        let message = match self.webhooks.get_raw_message(position).await {
            Ok(message) => message,
            Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => {
                return Err(Failure::new(format!("there is no message at position {position}")));
            }
            Err(e) => return Err(failed(&e)),
        };
        let head = first(&self.webhooks, &message.subject, 1).await?;
        if head.is_some_and(|head| head.sequence != position) {
            return Err(failed(&NOT_FIRST));
        }
        let bot = bot_and_partition(&message).0;
        let place = place(position, message.time);
        let id = event_id(&message.headers, bot).unwrap_or_else(|| id_of_place(&place));
        let payload = message.payload.clone();
        let stored = self.make_dead_letter(Kind::Skipped, bot, &place, &id, SKIPPED, payload);
        stored.await.map_err(|e| failed(&e))?;
        self.webhooks.delete_message(position).await.map(drop).map_err(|e| failed(&e))
    }

    async fn set_paused(&self, bot: &str, is_paused: bool) -> Result<(), Failure> {
        let failed = |e: &dyn Display| {
            Failure::new(format!("the pause of bot {bot} cannot be changed: {e}"))
        };
        let subject = format!("{PAUSED_PREFIX}{bot}");
        if is_paused {
            let publication = PublishMessage::build();
            return self.acknowledged(subject, publication).await.map(drop).map_err(|e| failed(&e));
        }
        self.paused.purge().filter(subject).await.map(drop).map_err(|e| failed(&e))
    }

    async fn paused(&self) -> Result<BTreeSet<String>, Failure> {
        let failed = |e| Failure::new(format!("the paused bots cannot be read: {e}"));
        let subjects =
            self.paused.info_with_subjects(format!("{PAUSED_PREFIX}>")).await.map_err(failed)?;
        let bot = |(subject, _): (String, usize)| {
            subject.strip_prefix(PAUSED_PREFIX).unwrap_or_default().to_owned()
        };
        subjects.map_ok(bot).try_collect().await.map_err(failed)
    }

    async fn trace(&self, event: &str, bot: Option<&str>) -> Result<Vec<Seen>, Failure> {
        let bot = bot.unwrap_or("*");
        let (mut seen, mut from) = (Vec::new(), 1);
        while let Some(message) = first(&self.history, &history_subject(bot, event), from).await? {
            from = message.sequence + 1;
            let Ok(record) = serde_json::from_slice::<Record>(&message.payload) else { continue };
            if record.event == event {
                let bot = message.subject.split('.').nth(1).unwrap_or_default().to_owned();
                seen.push(Seen { bot, time: message.time, fact: record.fact });
            }
        }
        let from = match seen.last().map(|seen| &seen.fact) {
            Some(Fact::Queued { position } | Fact::Retried { position }) => *position,
            Some(_) => return Ok(seen),
            None => 1,
        };
        let is_wanted = |message: &StreamMessage| {
            let bot = bot_and_partition(message).0;
            event_id(&message.headers, bot).is_some_and(|id| history::event(&id) == event)
        };
        let waiting = format!("webhooks.{bot}.*");
        if let Some(message) = find(&self.webhooks, &waiting, from, is_wanted).await? {
            let head = first(&self.webhooks, &message.subject, 1).await?;
            let fact = Fact::Waiting {
                position: message.sequence,
                first_of_its_partition: head.map_or(message.sequence, |head| head.sequence),
            };
            let bot = bot_and_partition(&message).0.to_owned();
            seen.push(Seen { bot, time: message.time, fact });
            return Ok(seen);
        }
        let mut from = 1;
        while let Some(message) = first(&self.dead, &format!("dead.*.{bot}"), from).await? {
            from = message.sequence + 1;
            let DeadLetter { bot, id, kind, reason, since, .. } = letter(message);
            if id.is_some_and(|id| history::event(&id) == event) {
                let fact = Fact::Dead { kind: kind.to_string(), reason };
                seen.push(Seen { bot, time: since, fact });
                break;
            }
        }
        Ok(seen)
    }
}

/// Takes the messages of a partition, one at a time. All workers share the consumer of a partition, and the server
/// gives each message to one of them. The message belongs to that worker until the ack wait is over; after that,
/// another worker gets it. The worker counts the ack wait from before its pull, so it gives up the message earlier
/// than the server does, even if the process stalled in between.
struct Partition {
    queue: Nats,
    bot: String,
    number: usize,
    deadline: Duration,
    consumer: Option<PullConsumer>,
    current: Option<Current>,
    /// The failures of the message with this sequence.
    failure_counts: (u64, FailureCounts),
    watchdog: Watchdog,
}

/// The message that belongs to the worker now.
struct Current {
    message: Message,
    until: Instant,
}

#[async_trait]
impl Lane for Partition {
    /// A pull in flight is never cancelled: its message would still belong to this worker, but nobody would deliver
    /// it until the ack wait is over.
    async fn next(&mut self, _ending: &CancellationToken) -> Result<Option<TakenMessage>, Failure> {
        if !self.queue.is_connected() {
            // Requests would pile up until the server is back, and would then be useless.
            sleep(Duration::from_secs(1)).await;
            return Ok(None);
        }
        let taken = self.pull().await;
        if taken.is_err() {
            self.consumer = None;
        }
        taken
    }

    /// Removes a consumer that hands out nothing although messages wait; the next pull creates it again.
    async fn check(&mut self) -> Result<bool, Failure> {
        let Some(consumer) = &self.consumer else { return Ok(false) };
        let position = self.queue.position(consumer).await?;
        let ack_wait = consumer.cached_info().config.ack_wait;
        if !self.watchdog.is_stuck(position, ack_wait, Instant::now()) {
            return Ok(false);
        }
        let name = &consumer.cached_info().name;
        tracing::warn!(
            consumer = name,
            "the consumer handed out nothing for two ack waits although messages wait; it is created again"
        );
        self.queue.remove_consumer(consumer).await?;
        self.consumer = None;
        Ok(true)
    }

    /// While nothing is pulled, the consumer is not stuck.
    fn pause(&mut self) {
        self.watchdog = Watchdog::default();
    }

    async fn stored(&mut self, taken: TakenMessage, message_id: &str) {
        let Some(Current { message, until }) = self.current.take() else { return };
        let fact = Fact::Delivered { message: message_id.to_owned() };
        self.queue.record(&self.bot, &taken.id, fact).await;
        insist(taken.sequence, until, || message.double_ack()).await;
    }

    /// If this request is lost, the server still hands out the message again, only later. The request must not arrive
    /// after that, as it could from the client's buffer: another worker may have the message then.
    async fn retry_later(&mut self, taken: TakenMessage, wait: Duration) {
        self.failure_counts = (taken.sequence, taken.failure_counts);
        let Some(Current { message, until }) = self.current.take() else { return };
        if Instant::now() < until
            && self.queue.is_connected()
            && let Err(e) =
                message.ack_with(AckKind::Nak(Some(wait).filter(|wait| !wait.is_zero()))).await
        {
            tracing::warn!("the message cannot be put back: {e}");
        }
    }

    async fn make_dead_letter(&mut self, taken: TakenMessage, kind: Kind, reason: &str) {
        let Some(Current { message, until }) = self.current.take() else { return };
        let TakenMessage { sequence, id, payload, received, .. } = taken;
        // If the worker is lost before the acknowledgement, the letter is written again with the same id, and the
        // stream keeps it once.
        let place = place(sequence, received);
        let store =
            || self.queue.make_dead_letter(kind, &self.bot, &place, &id, reason, payload.clone());
        if insist(sequence, until, store).await.is_some() {
            insist(sequence, until, || message.double_ack_with(AckKind::Term)).await;
        }
    }
}

impl Partition {
    async fn pull(&mut self) -> Result<Option<TakenMessage>, Failure> {
        let consumer = match &mut self.consumer {
            Some(consumer) => consumer,
            None => {
                let consumer = self.queue.consumer(&self.bot, self.number, self.deadline).await?;
                self.consumer.insert(consumer)
            }
        };
        let failed = |e: &dyn Display| Failure::new(format!("no message can be pulled: {e}"));
        let start = Instant::now();
        let batch = consumer.batch().max_messages(1).expires(PULL).messages().await;
        let Some(message) = batch.map_err(|e| failed(&e))?.next().await else { return Ok(None) };
        let message = message.map_err(|e| failed(&e))?;
        let info = message.info().map_err(|e| failed(&e))?;
        let (sequence, received) = (info.stream_sequence, info.published);
        let delivered = info.delivered.try_into().unwrap_or(u32::MAX);
        let id = message.headers.as_ref().and_then(|headers| event_id(headers, &self.bot));
        let id = id.unwrap_or_else(|| id_of_place(&place(sequence, received)));
        let payload = message.payload.clone();
        let (known, failure_counts) = self.failure_counts;
        let failure_counts =
            if known == sequence { failure_counts } else { FailureCounts::default() };
        self.current = Some(Current { message, until: start + ack_wait(self.deadline) });
        let latest = start + TAKEN_WITHIN;
        Ok(Some(TakenMessage {
            sequence,
            id,
            payload,
            delivered,
            received,
            latest,
            failure_counts,
        }))
    }
}

/// Repeats a request until the server confirms it, or until this time.
async fn insist<F, T, E>(sequence: u64, until: Instant, ask: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, E>>,
    E: Display,
{
    let mut cause = "no time left".to_owned();
    // Do not ask after that: the message may belong to another worker.
    while Instant::now() < until {
        match timeout_at(until, ask()).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(e)) => cause = e.to_string(),
            Err(_) => cause = "no response".to_owned(),
        }
        sleep(Duration::from_millis(200)).await;
    }
    tracing::warn!(
        sequence,
        "NATS does not confirm the outcome: {cause}; the message will be delivered again"
    );
    None
}

fn letter(message: StreamMessage) -> DeadLetter {
    let rest = message.subject.strip_prefix("dead.").unwrap_or_default();
    let (kind, bot) = rest.split_once('.').unwrap_or_default();
    let header = |name| message.headers.get(name).map(|value| value.to_string());
    let id = header(ID).map(|id| without_bot(&id, bot).to_owned());
    DeadLetter {
        number: message.sequence,
        kind: Kind::from_name(kind),
        bot: bot.to_owned(),
        id,
        reason: header(REASON).unwrap_or_default(),
        since: message.time,
        payload: message.payload,
    }
}

/// Identifies a message by its position in the stream and its time: a stream that is created again counts from 1.
fn place(sequence: u64, stored: OffsetDateTime) -> String {
    format!("{sequence} {}", stored.unix_timestamp_nanos())
}

/// The id of the event of a message, if it has one.
fn event_id(headers: &HeaderMap, bot: &str) -> Option<String> {
    let id = headers.get(ID).or(headers.get(NATS_MESSAGE_ID))?;
    Some(without_bot(id.as_str(), bot).to_owned())
}

/// An event's id with its bot: the stream has the messages of all bots.
fn full_id(bot: &str, id: &str) -> String {
    format!("{bot} {id}")
}

fn without_bot<'a>(id: &'a str, bot: &str) -> &'a str {
    let rest = id.strip_prefix(bot).and_then(|rest| rest.strip_prefix(' '));
    rest.unwrap_or(id)
}

/// The id for a message that has no event id.
fn id_of_place(place: &str) -> String {
    format!("place {place}")
}

fn bot_and_partition(message: &StreamMessage) -> (&str, &str) {
    let rest = message.subject.strip_prefix("webhooks.").unwrap_or_default();
    rest.split_once('.').unwrap_or_default()
}

/// The first wanted message with this subject, at this position or after it.
async fn find(
    stream: &Stream,
    subject: &str,
    mut from: u64,
    is_wanted: impl Fn(&StreamMessage) -> bool,
) -> Result<Option<StreamMessage>, Failure> {
    while let Some(message) = first(stream, subject, from).await? {
        if is_wanted(&message) {
            return Ok(Some(message));
        }
        from = message.sequence + 1;
    }
    Ok(None)
}

#[derive(Deserialize, Serialize)]
struct Record {
    event: String,
    #[serde(flatten)]
    fact: Fact,
}

/// Events can share the first bytes of their digests, so each record has the event's id as well.
fn history_subject(bot: &str, event: &str) -> String {
    let digest = Sha256::digest(event);
    format!("history.{bot}.{}", hex::encode(&digest[..DIGEST]))
}

/// The header with the reason why a message is a dead letter.
const REASON: &str = "Bridge-Reason";
/// The header with the event's id, for messages that the stream identifies by another id.
const ID: &str = "Bridge-Id";

/// How long a message belongs to the worker that pulled it. The worker counts from before the pull, so for it the time
/// is over earlier than for the server.
pub fn ack_wait(deadline: Duration) -> Duration {
    TAKEN_WITHIN + deadline + SETTLING
}

/// A header's value must be a single line, and short enough to leave room for the message.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut bytes = 0;
    let fits = |c: &char| {
        bytes += c.len_utf8();
        bytes <= 2_000
    };
    line.chars().filter(|c| !c.is_control()).take_while(fits).collect()
}

/// The first message with this subject, at this sequence or after it.
async fn first(
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
