//! The embedded queue: a SQLite file. Only one process at a time receives into it and delivers from it.
//!
//! One thread has the connection. It writes all changes that have been requested meanwhile in one transaction, and
//! reports them as done once they are on the disk: so many webhooks share the wait for the disk. The same thread hands
//! out messages. In memory it keeps a bounded number of conversations; the messages stay in the file.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use botpress_messages::Delivery;
use bytes::Bytes;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, TransactionBehavior, params,
};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    DeadLetter, FailureCounts, Kind, Lane, NOT_FIRST, NotStored, PartitionHead, Queue, SKIPPED,
    TakenMessage, conversation,
};
use crate::Failure;
use crate::history::{Fact, Seen};

/// Distinguishes the file from other SQLite files: "BpBr".
const APPLICATION: i32 = 0x4270_4272;
/// The version of the tables below.
const VERSION: i32 = 1;
/// `state` is `waiting`, or the outcome of the message: `stored`, `invalid`, `failing` or `skipped` (dead letters),
/// `dropped`, or `moved` to NATS. Only messages that wait and dead letters have a payload. The times are milliseconds
/// since 1970, for people and for the age of the history; no delivery depends on them.
const SCHEMA: &str = "
CREATE TABLE messages (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    bot TEXT NOT NULL,
    id TEXT NOT NULL,
    conversation INTEGER NOT NULL,
    received INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    ended INTEGER,
    message TEXT,
    reason TEXT,
    payload BLOB,
    UNIQUE (bot, id)
) STRICT;
CREATE TABLE paused (bot TEXT PRIMARY KEY) STRICT;
CREATE INDEX waiting ON messages (bot, sequence) WHERE state = 'waiting';
CREATE INDEX following ON messages (bot, conversation, sequence) WHERE state = 'waiting';
CREATE INDEX letters ON messages (sequence) WHERE state IN ('invalid', 'failing', 'skipped');
CREATE INDEX history ON messages (ended) WHERE state IN ('stored', 'dropped', 'moved');
";

/// The most changes that one transaction writes.
const GROUP: usize = 1_000;
/// The size limit of a message: what NATS allows by default minus what a dead letter adds, so that it can be moved.
const LARGEST: usize = (1 << 20) - (4 << 10);
/// Conversations are looked up until this number is ready.
const READY: usize = 1_000;
/// The most conversations in memory, ready or not.
const CONVERSATIONS: usize = 20_000;
/// How often to look for messages that another process has put into the file, such as `dead retry`.
const LOOK: Duration = Duration::from_secs(1);
/// How often to remove old history, in small steps so that nothing has to wait.
const PRUNE: Duration = Duration::from_secs(60);
const PRUNED_AT_ONCE: u32 = 500;
/// If the outcome of a message cannot be written, it is delivered again after this time.
const AFTER_ERROR: Duration = Duration::from_secs(5);
/// How long to wait for other processes that write, such as `dead retry`.
const BUSY: Duration = Duration::from_secs(5);
/// How long a lane waits for a message, before it reports that it is alive.
const TAKE: Duration = Duration::from_secs(10);
/// The most messages that `head` shows.
const HEADS: i64 = 1_000;
/// A message belongs to the process as long as the process runs.
const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);

/// The path of the file, and its limits.
pub struct QueueFile {
    pub path: PathBuf,
    pub max_bytes: u64,
    pub keep: Duration,
}

/// A handle for the thread that has the file.
#[derive(Clone)]
pub struct Sqlite {
    commands: Sender<Command>,
}

enum Command {
    Write(Change, oneshot::Sender<Result<bool, String>>),
    Take { bot: String, reply: Reply },
    Again { bot: String, conversation: i64, failure_counts: FailureCounts, wait: Duration },
    Run(Box<dyn FnOnce(&mut Connection) + Send>),
}

/// Receives a message with the number of its conversation.
type Reply = oneshot::Sender<Result<(i64, TakenMessage), Failure>>;

/// A change to write. Its result is whether it had been made before.
enum Change {
    New { bot: String, id: String, conversation: i64, payload: Bytes },
    End { bot: String, sequence: i64, conversation: i64, end: End },
}

/// The outcome of a message.
pub enum End {
    Stored { message_id: String },
    Dead(Kind, String),
}

/// A message that nobody has taken.
pub struct Waiting {
    pub sequence: i64,
    pub bot: String,
    pub id: String,
    pub conversation: i64,
    pub payload: Bytes,
}

impl QueueFile {
    /// Opens the file for receiving and delivering, and creates it if it is missing. Only one process at a time can
    /// do this.
    pub fn lock(&self) -> Result<Sqlite, Failure> {
        let lock = self.private_file("lock")?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(Failure::new(format!(
                    "another process uses the queue {}: only one at a time can receive or deliver; \
                     `botpress-bridge run` does both",
                    self.path.display()
                )));
            }
            Err(e) => return Err(self.unusable(e)),
        }
        // SQLite gives its other files the same permissions.
        self.private_file("")?;
        self.start(Some(lock))
    }

    /// Opens the file to read it and to change single messages, also while another process uses it.
    pub fn visit(&self) -> Result<Sqlite, Failure> {
        self.start(None)
    }

    fn start(&self, lock: Option<File>) -> Result<Sqlite, Failure> {
        self.start_with(lock, GROUP)
    }

    fn start_with(&self, lock: Option<File>, group: usize) -> Result<Sqlite, Failure> {
        let connection = self.connect(lock.is_some())?;
        let (commands, received) = channel();
        let file_thread = FileThread {
            connection,
            max_bytes: self.max_bytes,
            keep: self.keep,
            group,
            feeds: HashMap::new(),
            next_look: Instant::now(),
            next_prune: Instant::now(),
            has_lock: lock.is_some(),
        };
        let run = move || {
            file_thread.run(&received);
            // Release the lock only after the last write.
            drop(lock);
        };
        let thread = thread::Builder::new().name("queue".to_owned());
        thread.spawn(run).map_err(|e| self.unusable(e))?;
        Ok(Sqlite { commands })
    }

    /// Opens or creates a file that other users cannot read, since messages are private.
    fn private_file(&self, extension: &str) -> Result<File, Failure> {
        let mut path = self.path.clone().into_os_string();
        if !extension.is_empty() {
            path.push(".");
            path.push(extension);
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(path).map_err(|e| self.unusable(e))
    }

    /// An error that a restart does not solve: somebody has to change something.
    fn unusable(&self, cause: impl Display) -> Failure {
        Failure::settings(format!(
            "the queue {} (BRIDGE_FILE) cannot be used: {cause}",
            self.path.display()
        ))
    }

    fn failure(&self, error: &rusqlite::Error) -> Failure {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull) => {
                Failure::new(format!("the queue {}: {error}", self.path.display()))
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => self.unusable(format!(
                "it is damaged, or not a queue: {error}; see README.md on backups"
            )),
            _ => self.unusable(error),
        }
    }

    fn connect(&self, create: bool) -> Result<Connection, Failure> {
        let failed = |e: rusqlite::Error| self.failure(&e);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&self.path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        let number = |connection: &Connection, sql| {
            connection.query_row(sql, [], |row| row.get::<_, i32>(0)).map_err(failed)
        };
        let is_empty = number(&connection, "SELECT count(*) FROM sqlite_schema")? == 0;
        if is_empty && create {
            let new = connection.transaction().map_err(failed)?;
            new.execute_batch(SCHEMA).map_err(failed)?;
            new.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
            new.pragma_update(None, "user_version", VERSION).map_err(failed)?;
            new.commit().map_err(failed)?;
        }
        if number(&connection, "PRAGMA application_id")? != APPLICATION {
            return Err(self.unusable("it is not a queue of the bridge"));
        }
        let version = number(&connection, "PRAGMA user_version")?;
        if version != VERSION {
            return Err(self.unusable(format!(
                "it has version {version}, but this program needs version {VERSION}: use the program \
                 that wrote it"
            )));
        }
        let mode = "PRAGMA journal_mode = WAL";
        let mode: String = connection.query_row(mode, [], |row| row.get(0)).map_err(failed)?;
        if mode != "wal" {
            return Err(self.unusable(format!("the journal mode is {mode} instead of wal")));
        }
        // Nothing is confirmed before it is on the disk.
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20).map_err(failed)?;
        if create {
            let check = "PRAGMA quick_check(1)";
            let check: String =
                connection.query_row(check, [], |row| row.get(0)).map_err(failed)?;
            if check != "ok" {
                return Err(
                    self.unusable(format!("it is damaged: {check}; see README.md on backups"))
                );
            }
        }
        Ok(connection)
    }
}

impl Sqlite {
    async fn write(&self, change: Change) -> Result<bool, String> {
        let (reply, written) = oneshot::channel();
        let gone = || "the queue has ended".to_owned();
        self.commands.send(Command::Write(change, reply)).map_err(|_| gone())?;
        written.await.map_err(|_| gone())?
    }

    /// Runs a query or a change in the thread of the file.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, asked) = oneshot::channel();
        let run = move |connection: &mut Connection| {
            // The caller may be gone.
            let _ = reply.send(ask(connection));
        };
        let gone = || Failure::new("the queue has ended");
        self.commands.send(Command::Run(Box::new(run))).map_err(|_| gone())?;
        let answer = asked.await.map_err(|_| gone())?;
        answer.map_err(|e| Failure::new(format!("the queue's file cannot be read: {e}")))
    }

    /// The first messages that wait, of all bots, at most 100.
    pub async fn waiting(&self) -> Result<Vec<Waiting>, Failure> {
        self.ask(|connection| {
            let sql = "SELECT sequence, bot, id, conversation, payload FROM messages NOT INDEXED
                       WHERE state = 'waiting' ORDER BY sequence LIMIT 100";
            let waiting = |row: &Row<'_>| {
                Ok(Waiting {
                    sequence: row.get(0)?,
                    bot: row.get(1)?,
                    id: row.get(2)?,
                    conversation: row.get(3)?,
                    payload: row.get::<_, Vec<u8>>(4)?.into(),
                })
            };
            connection.prepare_cached(sql)?.query_map([], waiting)?.collect()
        })
        .await
    }

    /// Marks messages and letters that were moved to another queue.
    pub async fn mark_moved(&self, sequences: Vec<i64>) -> Result<(), Failure> {
        self.ask(move |connection| {
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let sql = "UPDATE messages SET state = 'moved', ended = ?, payload = NULL
                       WHERE sequence = ? AND state IN ('waiting', 'invalid', 'failing', 'skipped')";
            for sequence in sequences {
                change.prepare_cached(sql)?.execute(params![now(), sequence])?;
            }
            change.commit()
        })
        .await
    }

    /// Copies the file while it is in use.
    pub async fn back_up(&self, to: PathBuf) -> Result<(), Failure> {
        let failed = |e: &dyn Display| {
            Failure::new(format!("cannot write a backup to {}: {e}", to.display()))
        };
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&to);
        let file = file.map_err(|e| failed(&e))?;
        let Some(name) = to.to_str().map(str::to_owned) else {
            return Err(failed(&"the name is not UTF-8"));
        };
        let copied = self.ask(move |c| c.execute("VACUUM INTO ?", [name])).await;
        let copied = copied.map_err(|failure| failed(&failure.text));
        let synced = file.sync_all().map_err(|e| failed(&e));
        copied.map(drop).and(synced).inspect_err(|_| drop(std::fs::remove_file(&to)))
    }
}

#[async_trait]
impl Queue for Sqlite {
    fn name(&self) -> &'static str {
        "the queue"
    }

    async fn check(&self) -> Result<(), Failure> {
        self.ask(|connection| connection.query_row("SELECT 1", [], |_| Ok(()))).await
    }

    fn is_connected(&self) -> bool {
        true
    }

    async fn publish(
        &self,
        bot: &str,
        id: &str,
        delivery: &Delivery,
        payload: Bytes,
    ) -> Result<bool, NotStored> {
        if payload.len() > LARGEST {
            return Err(NotStored::TooLarge);
        }
        let (bot, id) = (bot.to_owned(), id.to_owned());
        let conversation = conversation(delivery) as i64;
        let new = Change::New { bot, id, conversation, payload };
        self.write(new).await.map_err(NotStored::Failed)
    }

    /// Twice as many lanes as parallel deliveries, so that the next messages are ready.
    fn lanes(&self, bot: &str, at_once: usize, _deadline: Duration) -> Vec<Box<dyn Lane>> {
        let lane =
            || Box::new(FileLane { queue: self.clone(), bot: bot.to_owned(), conversation: 0 });
        (0..2 * at_once).map(|_| lane() as _).collect()
    }

    async fn flush(&self) {
        // Empties the -wal file, so that the main file alone is complete.
        let merge = "PRAGMA wal_checkpoint(TRUNCATE)";
        let _ = self.ask(move |c| c.query_row(merge, [], |_| Ok(()))).await;
    }

    async fn backlog(&self, bot: &str) -> Result<(u64, Option<OffsetDateTime>), Failure> {
        let bot = bot.to_owned();
        self.ask(move |connection| {
            let count = "SELECT count(*) FROM messages WHERE bot = ? AND state = 'waiting'";
            let count: i64 =
                connection.prepare_cached(count)?.query_row([&bot], |row| row.get(0))?;
            let oldest = "SELECT received FROM messages WHERE bot = ? AND state = 'waiting'
                          ORDER BY sequence LIMIT 1";
            let mut oldest = connection.prepare_cached(oldest)?;
            let oldest = oldest.query_row([&bot], |row| time(row, 0)).optional()?;
            Ok((count as u64, oldest))
        })
        .await
    }

    async fn letter(&self, from: u64) -> Result<Option<DeadLetter>, Failure> {
        self.ask(move |connection| {
            let sql = "SELECT sequence, state, bot, id, reason, ended, payload FROM messages
                       WHERE state IN ('invalid', 'failing', 'skipped') AND sequence >= ?
                       ORDER BY sequence LIMIT 1";
            let letter = |row: &Row<'_>| {
                Ok(DeadLetter {
                    number: row.get::<_, i64>(0)? as u64,
                    kind: Kind::from_name(row.get_ref(1)?.as_str()?),
                    bot: row.get(2)?,
                    id: row.get(3)?,
                    reason: row.get::<_, Option<_>>(4)?.unwrap_or_default(),
                    since: time(row, 5)?,
                    payload: row.get::<_, Vec<u8>>(6)?.into(),
                })
            };
            connection.prepare_cached(sql)?.query_row([number(from)], letter).optional()
        })
        .await
    }

    async fn letters(&self) -> Result<(u64, u64), Failure> {
        self.ask(|connection| {
            let sql = "SELECT count(*), ifnull(max(sequence), 0) FROM messages
                       WHERE state IN ('invalid', 'failing', 'skipped')";
            let pair =
                |row: &Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64));
            connection.prepare_cached(sql)?.query_row([], pair)
        })
        .await
    }

    /// A letter becomes a waiting message in the same row, so it is never both.
    async fn retry_letter(&self, letter: &DeadLetter, _delivery: &Delivery) -> Result<(), Failure> {
        let letter = number(letter.number);
        let retried = self.ask(move |connection| {
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // A new number that no message ever had.
            let end = "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'messages' RETURNING seq";
            let end: i64 = change.query_row(end, [], |row| row.get(0))?;
            let sql = "UPDATE messages
                       SET sequence = ?, state = 'waiting', received = ?, ended = NULL, reason = NULL
                       WHERE sequence = ? AND state IN ('invalid', 'failing', 'skipped')";
            let count = change.execute(sql, params![end, now(), letter])?;
            change.commit()?;
            Ok(count)
        });
        expect_one(letter, retried.await?)
    }

    async fn remove_letter(&self, letter: &DeadLetter) -> Result<(), Failure> {
        let letter = number(letter.number);
        let removed = self.ask(move |connection| {
            let sql = "UPDATE messages SET state = 'dropped', payload = NULL, ended = ?
                       WHERE sequence = ? AND state IN ('invalid', 'failing', 'skipped')";
            connection.execute(sql, params![now(), letter])
        });
        expect_one(letter, removed.await?)
    }

    /// The oldest ones, if there are more than `HEADS`.
    async fn heads(&self, bot: Option<&str>) -> Result<Vec<PartitionHead>, Failure> {
        let bot = bot.map(str::to_owned);
        self.ask(move |connection| {
            let sql = "SELECT sequence, conversation, bot, id, received, payload FROM messages
                       WHERE sequence IN (
                           SELECT min(sequence) FROM messages
                           WHERE state = 'waiting' AND (bot = ?1 OR ?1 IS NULL)
                           GROUP BY bot, conversation)
                       ORDER BY sequence LIMIT ?2";
            let first = |row: &Row<'_>| {
                Ok(PartitionHead {
                    position: row.get::<_, i64>(0)? as u64,
                    partition: (row.get::<_, i64>(1)? as u64).to_string(),
                    bot: row.get(2)?,
                    id: row.get(3)?,
                    since: time(row, 4)?,
                    payload: row.get::<_, Vec<u8>>(5)?.into(),
                })
            };
            connection.prepare(sql)?.query_map(params![bot, HEADS], first)?.collect()
        })
        .await
    }

    async fn skip(&self, position: u64) -> Result<(), Failure> {
        let sequence = number(position);
        let skipped = self.ask(move |connection| {
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let first = "SELECT min(other.sequence) FROM messages JOIN messages AS other
                         ON other.bot = messages.bot AND other.conversation = messages.conversation
                         WHERE messages.sequence = ? AND messages.state = 'waiting'
                         AND other.state = 'waiting'";
            let first: Option<i64> = change.query_row(first, [sequence], |row| row.get(0))?;
            if first == Some(sequence) {
                let end = End::Dead(Kind::Skipped, SKIPPED.to_owned());
                let (bot, conversation) = (String::new(), 0);
                apply(&change, &Change::End { bot, sequence, conversation, end })?;
                change.commit()?;
            }
            Ok(first)
        });
        match skipped.await? {
            None => Err(Failure::new(format!("there is no message at position {position}"))),
            Some(first) if first == sequence => Ok(()),
            Some(_) => Err(Failure::new(format!(
                "the message at position {position} cannot be skipped: {NOT_FIRST}"
            ))),
        }
    }

    async fn set_paused(&self, bot: &str, is_paused: bool) -> Result<(), Failure> {
        let bot = bot.to_owned();
        let sql = if is_paused {
            "INSERT INTO paused (bot) VALUES (?) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM paused WHERE bot = ?"
        };
        self.ask(move |connection| connection.execute(sql, [bot])).await.map(drop)
    }

    async fn paused(&self) -> Result<BTreeSet<String>, Failure> {
        self.ask(|connection| {
            let mut bots = connection.prepare_cached("SELECT bot FROM paused")?;
            bots.query_map([], |row| row.get(0))?.collect()
        })
        .await
    }

    /// A row has only the latest outcome of a message.
    async fn trace(&self, event: &str, bot: Option<&str>) -> Result<Vec<Seen>, Failure> {
        let (event, bot) = (event.to_owned(), bot.map(str::to_owned));
        self.ask(move |connection| {
            let sql = "SELECT sequence, bot, state, received, ended, message, reason, (
                           SELECT min(sequence) FROM messages AS other
                           WHERE other.bot = messages.bot
                           AND other.conversation = messages.conversation
                           AND other.state = 'waiting')
                       FROM messages
                       WHERE substr(id, instr(id, ' ') + 1) = ?1 AND (bot = ?2 OR ?2 IS NULL)
                       ORDER BY sequence";
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query(params![event, bot])?;
            let mut seen = Vec::new();
            while let Some(row) = rows.next()? {
                let (position, bot) = (row.get::<_, i64>(0)? as u64, row.get::<_, String>(1)?);
                let text = |column| {
                    Ok::<_, rusqlite::Error>(row.get::<_, Option<_>>(column)?.unwrap_or_default())
                };
                let (received, ended) = (time(row, 3)?, row.get::<_, Option<i64>>(4)?);
                let ended = if ended.is_some() { time(row, 4)? } else { received };
                let fact = match row.get_ref(2)?.as_str()? {
                    "stored" => Fact::Delivered { message: text(5)? },
                    "dropped" => Fact::Dropped,
                    "moved" => Fact::Moved,
                    "waiting" => Fact::Waiting {
                        position,
                        first_of_its_partition: row.get::<_, i64>(7)? as u64,
                    },
                    kind => Fact::Dead { kind: kind.to_owned(), reason: text(6)? },
                };
                let queued = Fact::Queued { position };
                seen.push(Seen { bot: bot.clone(), time: received, fact: queued });
                seen.push(Seen { bot, time: ended, fact });
            }
            Ok(seen)
        })
        .await
    }
}

fn expect_one(letter: i64, count: usize) -> Result<(), Failure> {
    match count {
        0 => Err(Failure::new(format!("there is no letter {letter}"))),
        _ => Ok(()),
    }
}

/// Takes messages of any conversation that has none in flight.
struct FileLane {
    queue: Sqlite,
    bot: String,
    /// The conversation of the message in flight.
    conversation: i64,
}

#[async_trait]
impl Lane for FileLane {
    async fn next(&mut self, ending: &CancellationToken) -> Result<Option<TakenMessage>, Failure> {
        let (reply, mut taken) = oneshot::channel();
        let gone = || Failure::new("the queue has ended");
        let take = Command::Take { bot: self.bot.clone(), reply };
        self.queue.commands.send(take).map_err(|_| gone())?;
        let waits = async {
            tokio::select! {
                () = ending.cancelled() => {}
                () = sleep(TAKE) => {}
            }
        };
        let answer = tokio::select! {
            answer = &mut taken => answer.map_err(|_| gone())?,
            () = waits => {
                // A message may have come at this moment.
                taken.close();
                match taken.try_recv() {
                    Ok(answer) => answer,
                    Err(_) => return Ok(None),
                }
            }
        };
        let (conversation, taken) = answer?;
        self.conversation = conversation;
        Ok(Some(taken))
    }

    async fn stored(&mut self, taken: TakenMessage, message_id: &str) {
        self.end(taken, End::Stored { message_id: message_id.to_owned() }).await;
    }

    async fn retry_later(&mut self, taken: TakenMessage, wait: Duration) {
        let (bot, conversation) = (self.bot.clone(), self.conversation);
        let again =
            Command::Again { bot, conversation, failure_counts: taken.failure_counts, wait };
        // If the queue has ended, the process ends too.
        let _ = self.queue.commands.send(again);
    }

    async fn make_dead_letter(&mut self, taken: TakenMessage, kind: Kind, reason: &str) {
        self.end(taken, End::Dead(kind, reason.to_owned())).await;
    }
}

impl FileLane {
    async fn end(&mut self, taken: TakenMessage, end: End) {
        let (bot, conversation) = (self.bot.clone(), self.conversation);
        let sequence = number(taken.sequence);
        let written = self.queue.write(Change::End { bot, sequence, conversation, end }).await;
        if let Err(cause) = written {
            tracing::warn!(
                sequence,
                "the outcome cannot be written: {cause}; the message will be delivered again"
            );
            self.retry_later(taken, AFTER_ERROR).await;
        }
    }
}

/// The state of the thread that has the file.
struct FileThread {
    connection: Connection,
    max_bytes: u64,
    keep: Duration,
    /// The most changes that one transaction writes.
    group: usize,
    feeds: HashMap<String, BotFeed>,
    next_look: Instant,
    next_prune: Instant,
    has_lock: bool,
}

/// The messages of a bot that can be handed out. It knows only the first one of each conversation.
struct BotFeed {
    bot: String,
    /// Messages up to here have been seen.
    seen: i64,
    /// Whether there may be messages after that.
    has_more: bool,
    conversations: HashMap<i64, Head>,
    /// Conversations whose first message can be handed out, by the position of that message.
    ready: BTreeMap<i64, i64>,
    /// Conversations that wait, with the end of the wait.
    resting: BTreeSet<(Instant, i64)>,
    takers: VecDeque<Reply>,
}

/// The first message of a conversation.
#[derive(Default)]
struct Head {
    sequence: i64,
    delivered: u32,
    failure_counts: FailureCounts,
}

impl FileThread {
    /// Runs until all handles are dropped.
    fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let first = match commands.recv_timeout(self.idle()) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let others = commands.try_iter().take(self.group - 1);
            self.handle(first.into_iter().chain(others).collect());
            self.hand_out();
            if self.has_lock && Instant::now() >= self.next_prune {
                self.prune();
            }
        }
    }

    /// How long the thread can wait for commands.
    fn idle(&self) -> Duration {
        let first = self.feeds.values().filter_map(|feed| feed.resting.first());
        let next = first.map(|(until, _)| *until).fold(self.next_look, Instant::min);
        next.saturating_duration_since(Instant::now())
    }

    fn handle(&mut self, commands: Vec<Command>) {
        let (mut changes, mut replies) = (Vec::new(), Vec::new());
        let mut others = Vec::new();
        for command in commands {
            match command {
                Command::Write(change, reply) => {
                    changes.push(change);
                    replies.push(reply);
                }
                other => others.push(other),
            }
        }
        if !changes.is_empty() {
            self.write(&changes, replies);
        }
        for command in others {
            match command {
                Command::Write(..) => {}
                Command::Take { bot, reply } => self.feed(&bot).takers.push_back(reply),
                Command::Again { bot, conversation, failure_counts, wait } => {
                    self.feed(&bot).rest(conversation, failure_counts, wait);
                }
                Command::Run(run) => run(&mut self.connection),
            }
        }
    }

    fn feed(&mut self, bot: &str) -> &mut BotFeed {
        self.feeds.entry(bot.to_owned()).or_insert_with(|| BotFeed {
            bot: bot.to_owned(),
            seen: 0,
            has_more: true,
            conversations: HashMap::new(),
            ready: BTreeMap::new(),
            resting: BTreeSet::new(),
            takers: VecDeque::new(),
        })
    }

    /// Writes all changes or none, and replies with the results.
    fn write(&mut self, changes: &[Change], replies: Vec<oneshot::Sender<Result<bool, String>>>) {
        let is_full = self.is_full(changes);
        let written = is_full.and_then(|is_full| {
            if is_full {
                self.next_prune = Instant::now();
            }
            let written = commit(&mut self.connection, changes, is_full)?;
            for change in changes {
                match change {
                    Change::New { bot, .. } => {
                        if let Some(feed) = self.feeds.get_mut(bot) {
                            feed.has_more = true;
                        }
                    }
                    Change::End { bot, conversation, .. } => {
                        if let Some(feed) = self.feeds.get_mut(bot) {
                            feed.advance(&self.connection, *conversation)?;
                        }
                    }
                }
            }
            Ok(written)
        });
        match written {
            Ok(written) => {
                for (reply, written) in replies.into_iter().zip(written) {
                    let full = || {
                        format!("the file has reached {} bytes (BRIDGE_MAX_BYTES)", self.max_bytes)
                    };
                    // The caller may be gone.
                    let _ = reply.send(written.ok_or_else(full));
                }
            }
            Err(e) => {
                for reply in replies {
                    let _ = reply.send(Err(e.to_string()));
                }
            }
        }
    }

    /// Whether new messages no longer fit.
    fn is_full(&self, changes: &[Change]) -> rusqlite::Result<bool> {
        let new = changes.iter().map(|change| match change {
            Change::New { payload, .. } => payload.len() as u64,
            Change::End { .. } => 0,
        });
        Ok(used(&self.connection)? + new.sum::<u64>() > self.max_bytes)
    }

    fn hand_out(&mut self) {
        let now = Instant::now();
        let looks = now >= self.next_look;
        if looks {
            self.next_look = now + LOOK;
        }
        for feed in self.feeds.values_mut() {
            feed.has_more |= looks;
            feed.wake(now);
            if let Err(e) = feed.hand_out(&self.connection) {
                let failure = || Failure::new(format!("the queue's file cannot be read: {e}"));
                for taker in feed.takers.drain(..) {
                    let _ = taker.send(Err(failure()));
                }
            }
        }
    }

    /// Removes a part of the history: rows that are too old, and the oldest ones while the file is more than half full.
    fn prune(&mut self) {
        let oldest = now().saturating_sub(self.keep.as_millis() as i64);
        let pruned = used(&self.connection).and_then(|used| {
            let limit = if used > self.max_bytes / 2 { i64::MAX } else { oldest };
            let sql = "DELETE FROM messages WHERE sequence IN (
                           SELECT sequence FROM messages
                           WHERE state IN ('stored', 'dropped', 'moved') AND ended < ?
                           ORDER BY ended LIMIT ?)";
            self.connection.execute(sql, params![limit, PRUNED_AT_ONCE])
        });
        let is_done = pruned.inspect_err(|e| tracing::warn!("old history cannot be removed: {e}"));
        if is_done.is_ok_and(|pruned| pruned == PRUNED_AT_ONCE as usize) {
            return;
        }
        self.next_prune = Instant::now() + PRUNE;
    }
}

impl BotFeed {
    /// Hands out a message again after this time.
    fn rest(&mut self, conversation: i64, failure_counts: FailureCounts, wait: Duration) {
        let Some(head) = self.conversations.get_mut(&conversation) else { return };
        head.failure_counts = failure_counts;
        self.resting.insert((Instant::now() + wait, conversation));
    }

    /// Makes conversations ready whose wait is over.
    fn wake(&mut self, now: Instant) {
        while let Some((until, conversation)) = self.resting.pop_first() {
            if until > now {
                self.resting.insert((until, conversation));
                return;
            }
            if let Some(head) = self.conversations.get(&conversation) {
                self.ready.insert(head.sequence, conversation);
            }
        }
    }

    /// Goes to the next message of a conversation.
    fn advance(&mut self, connection: &Connection, conversation: i64) -> rusqlite::Result<()> {
        let sql = "SELECT sequence FROM messages
                   WHERE bot = ? AND conversation = ? AND state = 'waiting' AND sequence <= ?
                   ORDER BY sequence LIMIT 1";
        let mut next = connection.prepare_cached(sql)?;
        let next = next.query_row(params![self.bot, conversation, self.seen], |row| row.get(0));
        match next.optional()? {
            Some(sequence) => {
                self.conversations.insert(conversation, Head { sequence, ..Head::default() });
                self.ready.insert(sequence, conversation);
            }
            // `look` will find messages that were not seen yet.
            None => drop(self.conversations.remove(&conversation)),
        }
        Ok(())
    }

    /// Looks for conversations with messages that were not seen yet.
    fn look(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "SELECT sequence, conversation FROM messages
                   WHERE bot = ? AND state = 'waiting' AND sequence > ? ORDER BY sequence LIMIT ?";
        let mut statement = connection.prepare_cached(sql)?;
        while self.has_more && self.ready.len() < READY && self.conversations.len() < CONVERSATIONS
        {
            let mut rows = statement.query(params![self.bot, self.seen, READY as i64])?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let (sequence, conversation) = (row.get(0)?, row.get(1)?);
                self.seen = sequence;
                count += 1;
                self.conversations.entry(conversation).or_insert_with(|| {
                    self.ready.insert(sequence, conversation);
                    Head { sequence, ..Head::default() }
                });
            }
            self.has_more = count == READY;
        }
        Ok(())
    }

    fn hand_out(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.takers.retain(|taker| !taker.is_closed());
        while !self.takers.is_empty() {
            self.look(connection)?;
            let Some((&sequence, &conversation)) = self.ready.first_key_value() else { break };
            let Some(taken) = self.read(connection, sequence, conversation)? else {
                // Another process has removed it.
                self.ready.remove(&sequence);
                self.advance(connection, conversation)?;
                continue;
            };
            let Some(taker) = self.takers.pop_front() else { break };
            if taker.send(Ok((conversation, taken))).is_ok() {
                self.ready.remove(&sequence);
                if let Some(head) = self.conversations.get_mut(&conversation) {
                    head.delivered += 1;
                }
            }
        }
        Ok(())
    }

    fn read(
        &self,
        connection: &Connection,
        sequence: i64,
        conversation: i64,
    ) -> rusqlite::Result<Option<TakenMessage>> {
        let sql = "SELECT id, received, payload FROM messages
                   WHERE sequence = ? AND state = 'waiting'";
        let head = self.conversations.get(&conversation);
        let taken = |row: &Row<'_>| {
            Ok(TakenMessage {
                sequence: sequence as u64,
                id: row.get(0)?,
                received: time(row, 1)?,
                payload: row.get::<_, Vec<u8>>(2)?.into(),
                delivered: head.map_or(0, |head| head.delivered) + 1,
                latest: (Instant::now() + FOR_EVER).into(),
                failure_counts: head.map(|head| head.failure_counts).unwrap_or_default(),
            })
        };
        connection.prepare_cached(sql)?.query_row([sequence], taken).optional()
    }
}

/// Makes the changes in one transaction. Returns for each whether it had been made before, or `None` if there was no
/// room.
fn commit(
    connection: &mut Connection,
    changes: &[Change],
    is_full: bool,
) -> rusqlite::Result<Vec<Option<bool>>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut written = Vec::with_capacity(changes.len());
    for change in changes {
        written.push(match change {
            Change::New { .. } if is_full => None,
            change => Some(apply(&transaction, change)?),
        });
    }
    transaction.commit()?;
    Ok(written)
}

fn apply(connection: &Connection, change: &Change) -> rusqlite::Result<bool> {
    const NEW: &str = "INSERT INTO messages (bot, id, conversation, received, payload)
                       VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    const STORED: &str =
        "UPDATE messages SET state = 'stored', message = ?, ended = ?, payload = NULL
                          WHERE sequence = ? AND state = 'waiting'";
    const DEAD: &str = "UPDATE messages SET state = ?, reason = ?, ended = ?
                        WHERE sequence = ? AND state = 'waiting'";
    let run = |sql, params: &[&dyn rusqlite::ToSql]| {
        connection.prepare_cached(sql)?.execute(params).map(|count| count == 0)
    };
    match change {
        Change::New { bot, id, conversation, payload } => {
            run(NEW, params![bot, id, conversation, now(), payload.as_ref()])
        }
        Change::End { sequence, end, .. } => match end {
            End::Stored { message_id } => run(STORED, params![message_id, now(), sequence]),
            End::Dead(kind, reason) => run(DEAD, params![kind.name(), reason, now(), sequence]),
        },
    }
}

/// How many bytes of the file are in use.
fn used(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok((pages * number("page_size")?) as u64)
}

fn number(sequence: u64) -> i64 {
    sequence.try_into().unwrap_or(i64::MAX)
}

/// Milliseconds since 1970.
fn now() -> i64 {
    (OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000) as i64
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<OffsetDateTime> {
    let time = i128::from(row.get::<_, i64>(column)?) * 1_000_000;
    Ok(OffsetDateTime::from_unix_timestamp_nanos(time).unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;
    use tokio::task::JoinSet;

    use super::*;

    const BOT: &str = "bot";

    fn file(folder: &TempDir) -> QueueFile {
        let (path, keep) = (folder.path().join("queue.db"), Duration::from_secs(3_600));
        QueueFile { path, max_bytes: 1 << 30, keep }
    }

    async fn publish(queue: &Sqlite, conversation: usize, number: usize) -> bool {
        let message = json!({
            "conversation": { "channel": "channel", "tags": { "id": conversation.to_string() } },
            "user": { "tags": { "id": "1" } },
            "type": "text",
            "payload": { "text": number.to_string() }, "tags": { "id": number.to_string() },
        });
        let payload = Bytes::from(message.to_string());
        let delivery = super::super::read(&payload).unwrap();
        queue.publish(BOT, &number.to_string(), &delivery, payload).await.unwrap()
    }

    async fn next(lane: &mut Box<dyn Lane>) -> TakenMessage {
        lane.next(&CancellationToken::new()).await.unwrap().unwrap()
    }

    async fn is_idle(queue: &Sqlite, lane: &mut Box<dyn Lane>) -> bool {
        let ending = CancellationToken::new();
        let end = async {
            // The queue replies to the first before it hands out messages, and to the second after that.
            queue.flush().await;
            queue.flush().await;
            ending.cancel();
        };
        tokio::join!(lane.next(&ending), end).0.unwrap().is_none()
    }

    #[tokio::test]
    async fn a_conversation_has_one_message_in_flight_and_keeps_its_order() {
        let folder = TempDir::new().unwrap();
        let queue = file(&folder).lock().unwrap();
        for number in 0..6 {
            assert!(!publish(&queue, number % 2, number).await);
            assert!(publish(&queue, number % 2, number).await, "it was stored before");
        }
        let mut lanes = queue.lanes(BOT, 2, Duration::ZERO);
        let [a, b, c, _] = &mut lanes[..] else { panic!() };
        let (first, second) = (next(a).await, next(b).await);
        assert_eq!((&*first.id, &*second.id), ("0", "1"));
        assert!(is_idle(&queue, c).await, "both conversations have one in flight");
        // It is handed out again before the rest of its conversation, with the failures that were counted.
        let failure_counts = FailureCounts { failures: 3, alone: 2 };
        a.retry_later(TakenMessage { failure_counts, ..first }, Duration::from_millis(1)).await;
        let again = next(a).await;
        assert_eq!((&*again.id, again.delivered, again.failure_counts), ("0", 2, failure_counts));
        b.stored(second, "msg").await;
        let third = next(b).await;
        assert_eq!(
            (&*third.id, third.delivered, third.failure_counts),
            ("3", 1, FailureCounts::default())
        );
        a.make_dead_letter(again, Kind::Invalid, "a reason").await;
        assert_eq!(next(a).await.id, "2");
        assert_eq!(queue.letters().await.unwrap(), (1, 1));
        let letter = queue.letter(0).await.unwrap().unwrap();
        assert_eq!((letter.id.as_deref(), &*letter.reason), (Some("0"), "a reason"));
        assert_eq!(queue.backlog(BOT).await.unwrap().0, 4);
    }

    /// This works even while a worker has the message.
    #[tokio::test]
    async fn the_first_message_of_a_conversation_is_shown_traced_and_skipped() {
        let folder = TempDir::new().unwrap();
        let queue = file(&folder).lock().unwrap();
        for number in 0..4 {
            publish(&queue, number % 2, number).await;
        }
        let visitor = file(&folder).visit().unwrap();
        let positions = async |bot| {
            let heads = visitor.heads(bot).await.unwrap();
            heads.iter().map(|first| first.position).collect::<Vec<_>>()
        };
        let facts = async |event| {
            let seen = visitor.trace(event, Some(BOT)).await.unwrap();
            seen.iter().map(|seen| json!(seen.fact)).collect::<Vec<_>>()
        };
        let mut lanes = queue.lanes(BOT, 1, Duration::ZERO);
        let taken = next(&mut lanes[0]).await;
        assert_eq!((taken.sequence, positions(None).await), (1, vec![1, 2]));
        assert!(positions(Some("other")).await.is_empty());
        for position in [3, 9] {
            assert!(visitor.skip(position).await.is_err(), "{position}");
        }
        visitor.skip(1).await.unwrap();
        assert_eq!(positions(Some(BOT)).await, [2, 3]);
        lanes[0].retry_later(taken, Duration::ZERO).await;
        let ids = [next(&mut lanes[0]).await.id, next(&mut lanes[1]).await.id];
        assert_eq!(ids, ["1", "2"]);
        let letter = visitor.letter(0).await.unwrap().unwrap();
        assert_eq!((letter.number, letter.kind, &*letter.reason), (1, Kind::Skipped, SKIPPED));
        let queued = |position: u64| json!({ "is": "queued", "position": position });
        let dead = json!({ "is": "dead", "kind": "skipped", "reason": SKIPPED });
        assert_eq!(facts("0").await, [queued(1), dead]);
        let waiting = json!({ "is": "waiting", "position": 4, "first_of_its_partition": 2 });
        assert_eq!(facts("3").await, [queued(4), waiting]);
        visitor.remove_letter(&letter).await.unwrap();
        assert_eq!(facts("0").await[1], json!({ "is": "dropped" }));
        assert!(visitor.trace("0", Some("other")).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn other_processes_see_when_a_pause_begins_and_ends() {
        let folder = TempDir::new().unwrap();
        let queue = file(&folder).lock().unwrap();
        let visitor = file(&folder).visit().unwrap();
        for bot in ["a", "b", "b"] {
            visitor.set_paused(bot, true).await.unwrap();
        }
        assert_eq!(queue.paused().await.unwrap(), ["a", "b"].map(str::to_owned).into());
        visitor.set_paused("b", false).await.unwrap();
        assert_eq!(queue.paused().await.unwrap(), ["a".to_owned()].into());
    }

    #[tokio::test]
    async fn a_long_backlog_of_one_conversation_does_not_hold_up_others() {
        let folder = TempDir::new().unwrap();
        let queue = file(&folder).lock().unwrap();
        let mut sending = JoinSet::new();
        for number in 0..3 * READY {
            let queue = queue.clone();
            sending.spawn(async move { publish(&queue, 0, number).await });
        }
        sending.join_all().await;
        publish(&queue, 1, 3 * READY).await;
        let mut lanes = queue.lanes(BOT, 1, Duration::ZERO);
        let [a, b] = &mut lanes[..] else { panic!() };
        assert_eq!(next(a).await.sequence, 1);
        assert_eq!(next(b).await.id, (3 * READY).to_string());
    }

    /// Messages that were in flight when the process ended are handed out again, before the others.
    #[tokio::test]
    async fn messages_in_flight_are_handed_out_again_after_a_restart() {
        let folder = TempDir::new().unwrap();
        let queue = file(&folder).lock().unwrap();
        for number in 0..2 {
            publish(&queue, 0, number).await;
        }
        let mut lanes = queue.lanes(BOT, 1, Duration::ZERO);
        assert_eq!(next(&mut lanes[0]).await.id, "0");
        drop((queue, lanes));
        let queue = loop {
            // Wait until the thread of the first queue has ended.
            match file(&folder).lock() {
                Ok(queue) => break queue,
                Err(failure) => assert!(failure.text.contains("another process"), "{failure:?}"),
            }
            tokio::task::yield_now().await;
        };
        let mut lanes = queue.lanes(BOT, 1, Duration::ZERO);
        assert_eq!(next(&mut lanes[0]).await.id, "0");
    }

    #[tokio::test]
    async fn history_is_removed_when_it_is_old_or_large() {
        struct Case {
            keep: Duration,
            max_bytes: u64,
            left: i64,
        }
        let (hour, large) = (Duration::from_secs(3_600), 1 << 30);
        for Case { keep, max_bytes, left } in [
            Case { keep: hour, max_bytes: large, left: 4 },
            Case { keep: Duration::ZERO, max_bytes: large, left: 1 },
            Case { keep: hour, max_bytes: 1, left: 1 },
        ] {
            let folder = TempDir::new().unwrap();
            let queue = file(&folder).lock().unwrap();
            for number in 0..4 {
                publish(&queue, 0, number).await;
            }
            let mut lanes = queue.lanes(BOT, 1, Duration::ZERO);
            for _ in 0..3 {
                let taken = next(&mut lanes[0]).await;
                lanes[0].stored(taken, "msg").await;
            }
            drop((queue, lanes));
            let mut file_thread = FileThread {
                connection: file(&folder).connect(true).unwrap(),
                max_bytes,
                keep,
                group: GROUP,
                feeds: HashMap::new(),
                next_look: Instant::now(),
                next_prune: Instant::now(),
                has_lock: true,
            };
            // Wait for the next millisecond after the last delivery.
            while now()
                <= file_thread
                    .connection
                    .query_row("SELECT max(ended) FROM messages", [], |row| row.get(0))
                    .unwrap()
            {}
            file_thread.prune();
            let count = "SELECT count(*) FROM messages";
            let count: i64 = file_thread.connection.query_row(count, [], |row| row.get(0)).unwrap();
            assert_eq!(count, left, "{keep:?} {max_bytes}");
        }
    }

    /// How many webhooks per second are stored, alone and in groups: for the README.
    ///
    ///     cargo test -p botpress-bridge --release -- --ignored --nocapture grouping
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "measures"]
    async fn grouping() {
        for (group, senders, count) in [(1, 64, 6_400), (GROUP, 1, 1_000), (GROUP, 64, 64_000)] {
            let folder = TempDir::new().unwrap();
            file(&folder).private_file("").unwrap();
            let queue =
                file(&folder).start_with(Some(tempfile::tempfile().unwrap()), group).unwrap();
            let start = Instant::now();
            let mut sending = JoinSet::new();
            for sender in 0..senders {
                let queue = queue.clone();
                sending.spawn(async move {
                    for number in 0..count / senders {
                        publish(&queue, number, number * senders + sender).await;
                    }
                });
            }
            sending.join_all().await;
            let rate = count as f64 / start.elapsed().as_secs_f64();
            println!(
                "{senders} senders, at most {group} in a transaction: {rate:.0} webhooks per second"
            );
        }
    }
}
