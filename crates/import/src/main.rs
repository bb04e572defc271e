//! Delivers recorded messages: a message a line in, a result a line out.
//!
//!     botpress-import [--concurrency N] [--failed FILE] FILE
//!
//! A line is a request body in the endpoint's JSON form. It may hold a `user` and a `conversation` in the
//! place of their ids, as `Client::deliver` takes them: a backlog from another system knows no ids.

mod input;
mod output;
mod progress;
mod queue;
mod signals;

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::process::exit;

use botpress_messages::{Client, Message, Stored};
use clap::Parser;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_blocking, unconstrained};

use input::{Input, Line, parse};
use output::{Failed, Failure, Summary, report, writer};
use progress::Progress;
use queue::Queue;

/// Delivers recorded messages: each line of FILE is a request body in the endpoint's JSON form.
///
/// In the place of `userId` and `conversationId` it may hold what identifies them, and they are found or
/// created first: `"user":{"tags":{"id":"U05"}}` and
/// `"conversation":{"channel":"channel","tags":{"id":"C05"}}`.
///
/// Prints a JSON line for each as it finishes. The messages of a conversation are sent one after the
/// other, in the order of the file. Credentials come from BP_TOKEN, BP_BOT_ID, BP_INTEGRATION_ID and
/// BP_API_URL; if the API refuses them, the import ends. An interrupt ends it too, once the messages
/// under way are reported; a second one leaves at once.
#[derive(Parser)]
#[command(
    version,
    after_help = "\
Exit codes:
  0  all messages are stored
  1  some message is not stored, or not known to be, or was not tried
  2  none could be tried, or the API refuses the credentials
130  a second interrupt (143: SIGTERM)"
)]
struct Args {
    /// How many messages are under way at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// A new file for the lines to import again: those that failed, unless sending them again could
    /// store a message twice, and those that were not tried
    #[arg(long, value_name = "FILE")]
    failed: Option<PathBuf>,
    /// The file to read; `-` is the standard input
    file: PathBuf,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    let signals = signals::watch().unwrap_or_else(|error| give_up(error));
    let client = Client::from_env().unwrap_or_else(|error| give_up(error));
    let input = Input::open(&args.file).await.unwrap_or_else(|error| give_up(error));
    let failed =
        args.failed.map(|path| Failed::create(path).unwrap_or_else(|error| give_up(error)));
    let progress = Progress::start(input.size);
    let (results, writer) = writer(progress.clone());
    let mut import = Import {
        concurrency: args.concurrency.into(),
        endless: input.size.is_none(),
        queue: Queue::default(),
        summary: Summary::default(),
        refusals: Vec::new(),
        stop: None,
        told: None,
        client,
        failed,
        progress,
        signals,
    };
    let mut lines = pin!(input.lines());
    import.deliver(lines.as_mut(), results).await;
    let untried = import.keep_untried(lines).await;
    // It ends when the last result is read, if that takes long.
    let written = writer.join().expect("the writer does not panic");
    let code = import.conclude(untried, written).await;
    // Returning would wait for the standard input, which may never end.
    exit(code)
}

fn give_up(cause: impl Display) -> ! {
    eprintln!("error: {cause}");
    exit(2)
}

struct Import {
    client: Client,
    concurrency: usize,
    /// The input is not a file, so it may have no end.
    endless: bool,
    queue: Queue,
    failed: Option<Failed>,
    progress: Progress,
    signals: watch::Receiver<Option<&'static str>>,
    summary: Summary,
    /// In which words the API refused the credentials since a message was stored.
    refusals: Vec<String>,
    stop: Option<Stop>,
    told: Option<JoinHandle<()>>,
}

/// Why no more lines are sent.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    Signal,
    /// The API refuses the credentials.
    Refused,
    /// Nobody takes the results, or no line that failed can be kept.
    Unwritable,
}

/// So many refusals in a row mean the credentials. Fewer may mean a conversation that they do not
/// reach: an import that ended there could never be resumed behind it.
const REFUSALS: usize = 3;

impl Import {
    /// Sends the lines and passes their results on, until all are sent or something stops it.
    async fn deliver(
        &mut self,
        mut lines: Pin<&mut impl Stream<Item = Line>>,
        results: mpsc::Sender<String>,
    ) {
        let client = self.client.clone();
        let mut signals = self.signals.clone();
        let mut under_way = FuturesUnordered::new();
        let mut all_read = false;
        loop {
            let goes_on = self.stop.is_none();
            if under_way.is_empty() && (!goes_on || all_read && !self.queue.is_ready()) {
                return;
            }
            let starts = goes_on && self.queue.is_ready() && under_way.len() < self.concurrency;
            let reads = goes_on && !all_read && self.queue.has_room();
            tokio::select! {
                Some((done, place)) = under_way.next() => {
                    mpsc::Permit::send(place, self.finish(done));
                }
                // With the place of its result: what is under way never waits for one.
                place = results.reserve(), if starts => match place {
                    Ok(place) => {
                        let line = self.queue.pop().map(|line| deliver(&client, line));
                        under_way.extend(line.map(|line| line.map(|done| (done, place))));
                    }
                    Err(_) => self.stop(Stop::Unwritable, "no result can be written"),
                },
                line = lines.next(), if reads => match line {
                    Some(line) => self.queue.push(line),
                    None => all_read = true,
                },
                Ok(name) = signals.wait_for(Option::is_some), if goes_on => {
                    let name = name.unwrap_or_default();
                    self.stop(Stop::Signal, &format!("{name} (again to leave at once)"));
                }
            }
        }
    }

    /// Counts a line that was tried, keeps it if it failed, and returns its report.
    fn finish(&mut self, done: Done) -> String {
        let report = report(done.number, &done.result);
        self.queue.finished(done.conversation);
        self.summary.count(&done.result);
        self.progress.count(done.result.is_ok(), done.size);
        match done.result {
            Ok(_) => self.refusals.clear(),
            Err(failure) => {
                if let Some(line) = &failure.again {
                    self.keep(line);
                }
                if failure.refused {
                    self.refusals.push(failure.message);
                }
            }
        }
        if self.refusals.len() >= REFUSALS {
            self.stop(Stop::Refused, "the API refuses the credentials");
        }
        report
    }

    fn stop(&mut self, stop: Stop, cause: &str) {
        if self.stop.is_none() {
            self.stop = Some(stop);
            self.client.close();
            let (progress, cause) = (self.progress.clone(), cause.to_owned());
            // In another thread, for who reads this may be slow as well.
            self.told = Some(spawn_blocking(move || {
                progress.suspend(|| eprintln!("{cause}: waiting for the messages under way"));
            }));
        }
    }

    /// Writes a line to the file of those that failed, if there is one.
    fn keep(&mut self, line: &[u8]) {
        if let Some(Err(error)) = self.failed.as_mut().map(|failed| failed.write(line)) {
            self.failed = None;
            self.stop(Stop::Unwritable, &format!("what failed cannot be written: {error}"));
        }
    }

    /// Keeps what was not tried: the lines that were read, and the rest of the input. Returns how
    /// many lines that are, as far as it knows.
    async fn keep_untried(&mut self, mut lines: Pin<&mut impl Stream<Item = Line>>) -> usize {
        let mut untried = 0;
        for line in self.queue.drain() {
            untried += 1;
            self.keep_line(line);
        }
        let mut signals = self.signals.clone();
        if let Some(failed) = self.failed.as_ref().filter(|_| self.waits_for_rest()) {
            let rest = format!("the rest of the input goes to {failed} (an interrupt ends that)");
            self.progress.suspend(|| eprintln!("{rest}"));
        }
        while self.stop.is_some() && self.failed.is_some() {
            let next = lines.next();
            let line = if self.waits_for_rest() {
                tokio::select! {
                    line = next => line,
                    _ = signals.wait_for(Option::is_some) => None,
                }
            } else if self.endless {
                // What waits in the buffer is read already; more may never come.
                unconstrained(next).now_or_never().flatten()
            } else {
                next.await
            };
            let Some(line) = line else { break };
            untried += 1;
            self.keep_line(line);
        }
        untried
    }

    /// Nobody asked to end, so an input that may have no end is taken to have one.
    fn waits_for_rest(&self) -> bool {
        self.endless && matches!(self.stop, Some(Stop::Refused | Stop::Unwritable))
    }

    fn keep_line(&mut self, line: Line) {
        match line.text {
            Ok(text) => self.keep(&text),
            Err(failure) => eprintln!("line {} is not kept: {}", line.number, failure.message),
        }
    }

    /// Tells how it went, and returns the exit code.
    async fn conclude(self, untried: usize, written: io::Result<()>) -> i32 {
        self.progress.finish();
        if let Some(told) = self.told {
            let _ = told.await;
        }
        self.summary.print();
        if self.stop.is_some() {
            let them = match &self.failed {
                Some(failed) => format!("{untried} lines, now in {failed},"),
                None => "messages after these".to_owned(),
            };
            eprintln!("stopped before the end of the input: {them} were not tried");
        }
        if let Err(error) = &written {
            eprintln!("error: no result can be written: {error}");
        }
        if let Some(failed) = self.failed {
            failed.close();
        }
        let refused = self.stop == Some(Stop::Refused) || self.summary.stored == 0;
        match self.refusals.last().filter(|_| refused) {
            Some(refusal) => {
                eprintln!("error: {refusal}");
                2
            }
            None if self.stop.is_none() && written.is_ok() && self.summary.all_stored() => 0,
            None => 1,
        }
    }
}

/// A line that was tried.
struct Done {
    number: usize,
    size: u64,
    conversation: Option<u64>,
    result: Result<Stored<Message>, Failure>,
}

async fn deliver(client: &Client, line: Line) -> Done {
    let Line { number, size, text, conversation } = line;
    let result = match text {
        Ok(text) => send(client, text).await,
        Err(failure) => Err(failure),
    };
    Done { number, size, conversation, result }
}

async fn send(client: &Client, line: Vec<u8>) -> Result<Stored<Message>, Failure> {
    let delivery = match parse(&line) {
        Ok(delivery) => delivery,
        Err(error) => return Err(Failure::new(error, false, line)),
    };
    let is_identified = delivery.is_identified();
    client.deliver(&delivery).await.map_err(|error| Failure::new(error, is_identified, line))
}
