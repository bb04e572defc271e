//! Delivers recorded messages: one message per line in, one result per line out.
//!
//!     botpress-import [--concurrency N] [--failed FILE] FILE
//!
//! A line is a request body in the endpoint's JSON form. It can have a `user` and a `conversation` instead of
//! their ids, as `Client::deliver` takes them: a backlog from another system has no ids.

mod input;
mod output;
mod progress;
mod queue;
mod signals;

use std::fmt::Display;
use std::io::{self, Write};
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
use output::{Failed, Failure, Obstacle, Summary, remove_empty, report, writer};
use progress::Progress;
use queue::Queue;

/// Delivers recorded messages: each line of FILE is a request body in the endpoint's JSON form.
///
/// Instead of `userId` and `conversationId`, it can have a user and a conversation. They are found or created
/// first: `"user":{"tags":{"id":"U05"}}` and `"conversation":{"channel":"channel","tags":{"id":"C05"}}`.
///
/// Prints a JSON line for each message as it finishes. The messages of a conversation are sent one at a time, in the
/// order of the file. Settings come from BP_TOKEN, BP_BOT_ID, BP_INTEGRATION_ID and BP_API_URL. The import ends if
/// the API rejects the credentials, if a quota is used up, if the host cannot be reached, or on Ctrl-C, once the
/// messages in flight are reported. A second Ctrl-C quits at once.
#[derive(Parser)]
#[command(
    version,
    after_help = "\
Exit codes:
  0  all messages are stored, or valid
  1  some message is not stored, not known to be, not valid, or was not tried
  2  the import could not start, the credentials are rejected, a quota is used up, or the host is
     unreachable
130  a second Ctrl-C (143: SIGTERM)"
)]
struct Args {
    /// How many messages are in flight at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// A new file for the lines to import again: those that failed, unless sending them again could
    /// store a message twice, and those that were not tried
    #[arg(long, value_name = "FILE")]
    failed: Option<PathBuf>,
    /// Check the lines, and send nothing. No credentials are needed
    #[arg(long, conflicts_with = "failed")]
    check: bool,
    /// Shorten names of users that are longer than the contract allows. A name identifies nothing
    #[arg(long)]
    shorten_names: bool,
    /// The file to read; `-` is the standard input
    file: PathBuf,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    if args.check {
        exit(check(&args).await);
    }
    let client = Client::from_env().unwrap_or_else(|error| give_up(error));
    let input = Input::open(&args.file, args.shorten_names).await;
    let input = input.unwrap_or_else(|error| give_up(error));
    let failed =
        args.failed.map(|path| Failed::create(path).unwrap_or_else(|error| give_up(error)));
    let path = failed.as_ref().map(|failed| failed.path().to_owned());
    let cleanup = move || path.iter().for_each(|path| remove_empty(path));
    let signals = signals::watch(cleanup).unwrap_or_else(|error| give_up(error));
    let progress = Progress::start(input.size);
    let (results, writer) = writer(progress.clone());
    let mut import = Import {
        concurrency: args.concurrency.into(),
        shorten_names: args.shorten_names,
        endless: input.size.is_none(),
        failed,
        ..Import::new(client, progress, signals)
    };
    let mut lines = pin!(input.lines());
    import.deliver(lines.as_mut(), results).await;
    let untried = import.keep_untried(lines).await;
    // A slow reader of the results delays this until it has read the last one.
    let written = writer.join().expect("the writer does not panic");
    let code = import.conclude(untried, written).await;
    // Returning would wait for the standard input, which may never end.
    exit(code)
}

/// Reports the lines that are not valid. Returns the exit code.
async fn check(args: &Args) -> i32 {
    let input = Input::open(&args.file, args.shorten_names).await;
    let input = input.unwrap_or_else(|error| give_up(error));
    let mut lines = pin!(input.lines());
    let (mut summary, mut valid) = (Summary::default(), 0);
    while let Some(Line { number, text, .. }) = lines.next().await {
        let parsed = text.and_then(|text| {
            let parsed = parse(&text, args.shorten_names);
            parsed.map_err(|error| Failure::new(error, false, text))
        });
        match parsed {
            Ok(_) => valid += 1,
            Err(failure) => {
                let result = Err(failure);
                summary.count(number, &result);
                if let Err(error) = writeln!(io::stdout(), "{}", report(number, &result)) {
                    give_up(format_args!("no result can be written: {error}"));
                }
            }
        }
    }
    summary.print_checked(valid);
    i32::from(!summary.all_stored())
}

fn give_up(cause: impl Display) -> ! {
    eprintln!("error: {cause}");
    exit(2)
}

struct Import {
    client: Client,
    concurrency: usize,
    shorten_names: bool,
    /// The input is not a file, so it may have no end.
    endless: bool,
    queue: Queue,
    failed: Option<Failed>,
    progress: Progress,
    signals: watch::Receiver<Option<&'static str>>,
    summary: Summary,
    /// The cause that the newest failures share, or the one that ended the import.
    streak: Option<Streak>,
    stop: Option<Stop>,
    notice: Option<JoinHandle<()>>,
}

/// Why no more lines are sent.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    Signal,
    /// All lines would fail.
    Obstacle,
    /// The results or the failed lines cannot be written.
    Unwritable,
}

/// Lines in a row that failed for the same cause.
struct Streak {
    obstacle: Obstacle,
    count: usize,
    /// The error of the newest one.
    message: String,
}

impl Import {
    /// An import that sends one line at a time, from a file.
    fn new(
        client: Client,
        progress: Progress,
        signals: watch::Receiver<Option<&'static str>>,
    ) -> Self {
        Self {
            client,
            concurrency: 1,
            shorten_names: false,
            endless: false,
            queue: Queue::default(),
            failed: None,
            progress,
            signals,
            summary: Summary::default(),
            streak: None,
            stop: None,
            notice: None,
        }
    }

    /// Sends the lines and reports their results, until all are sent or the import is stopped.
    async fn deliver(
        &mut self,
        mut lines: Pin<&mut impl Stream<Item = Line>>,
        results: mpsc::Sender<String>,
    ) {
        let (client, shorten_names) = (self.client.clone(), self.shorten_names);
        let mut signals = self.signals.clone();
        let mut in_flight = FuturesUnordered::new();
        let mut all_read = false;
        loop {
            let continues = self.stop.is_none();
            if in_flight.is_empty() && (!continues || all_read && !self.queue.is_ready()) {
                return;
            }
            let starts = continues && self.queue.is_ready() && in_flight.len() < self.concurrency;
            let reads = continues && !all_read && self.queue.has_room();
            tokio::select! {
                Some((done, permit)) = in_flight.next() => {
                    mpsc::Permit::send(permit, self.finish(done));
                }
                // The result's permit is reserved first, so a line in flight never waits for one.
                permit = results.reserve(), if starts => match permit {
                    Ok(permit) => {
                        let line = self.queue.pop().map(|line| deliver(&client, line, shorten_names));
                        in_flight.extend(line.map(|line| line.map(|done| (done, permit))));
                    }
                    Err(_) => self.stop(Stop::Unwritable, "no result can be written"),
                },
                line = lines.next(), if reads => match line {
                    Some(line) => self.queue.push(line),
                    None => all_read = true,
                },
                Ok(name) = signals.wait_for(Option::is_some), if continues => {
                    let name = name.unwrap_or_default();
                    self.stop(Stop::Signal, &format!("{name} (press Ctrl-C again to quit now)"));
                }
            }
        }
    }

    /// Counts a line that was tried, keeps it if it failed, and returns its report.
    fn finish(&mut self, done: Done) -> String {
        let report = report(done.number, &done.result);
        self.queue.finished(done.conversation);
        self.summary.count(done.number, &done.result);
        self.progress.count(done.result.is_ok(), done.size);
        match done.result {
            // The cause that ended the import is kept.
            Ok(_) if self.stop == Some(Stop::Obstacle) => {}
            Ok(_) => self.streak = None,
            Err(failure) => {
                if let Some(line) = &failure.again {
                    self.keep(done.number, line);
                }
                self.note(failure);
            }
        }
        report
    }

    /// Stops the import if enough lines in a row have failed for the same cause.
    fn note(&mut self, failure: Failure) {
        if self.stop == Some(Stop::Obstacle) {
            return;
        }
        let Some(obstacle) = failure.obstacle else {
            // A line that was not sent says nothing about the API.
            if !failure.is_invalid() {
                self.streak = None;
            }
            return;
        };
        let before = self.streak.take().filter(|streak| streak.obstacle == obstacle);
        let count = before.map_or(0, |streak| streak.count) + 1;
        self.streak = Some(Streak { obstacle, count, message: failure.message });
        if count >= obstacle.threshold() {
            self.stop(Stop::Obstacle, obstacle.cause());
        }
    }

    fn stop(&mut self, stop: Stop, cause: &str) {
        if self.stop.is_none() {
            self.stop = Some(stop);
            self.client.close();
            let (progress, cause) = (self.progress.clone(), cause.to_owned());
            // In another thread, because the reader of standard error can be slow too.
            self.notice = Some(spawn_blocking(move || {
                progress.suspend(|| eprintln!("{cause}: waiting for the messages in flight"));
            }));
        }
    }

    /// Writes a line to the file of those that failed, if there is one.
    fn keep(&mut self, number: usize, line: &[u8]) {
        if let Some(Err(error)) = self.failed.as_mut().map(|failed| failed.write(number, line)) {
            self.failed = None;
            self.stop(Stop::Unwritable, &format!("failed lines cannot be written: {error}"));
        }
    }

    /// Keeps the lines that were not tried: those already read, and the rest of the input. Returns the
    /// known number of such lines.
    async fn keep_untried(&mut self, mut lines: Pin<&mut impl Stream<Item = Line>>) -> usize {
        let mut untried = 0;
        for line in self.queue.drain() {
            untried += 1;
            self.keep_line(line);
        }
        let mut signals = self.signals.clone();
        if let Some(failed) = self.failed.as_ref().filter(|_| self.waits_for_rest()) {
            let rest = format!("writing the rest of the input to {failed} (press Ctrl-C to stop)");
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
                // Take only buffered lines; more may never arrive.
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

    /// Whether to read an input of unknown length to its end: only if no signal asked to stop.
    fn waits_for_rest(&self) -> bool {
        self.endless && matches!(self.stop, Some(Stop::Obstacle | Stop::Unwritable))
    }

    fn keep_line(&mut self, line: Line) {
        match line.text {
            Ok(text) => self.keep(line.number, &text),
            Err(failure) => eprintln!("line {} is not kept: {}", line.number, failure.message),
        }
    }

    /// Reports the outcome, and returns the exit code.
    async fn conclude(self, untried: usize, written: io::Result<()>) -> i32 {
        self.progress.finish();
        if let Some(notice) = self.notice {
            let _ = notice.await;
        }
        self.summary.print();
        if self.stop.is_some() {
            let them = match &self.failed {
                Some(failed) => format!("{untried} lines, now in {failed},"),
                None => "the remaining lines".to_owned(),
            };
            eprintln!("stopped before the end of the input: {them} were not tried");
        }
        if let Err(error) = &written {
            eprintln!("error: no result can be written: {error}");
        }
        if let Some(failed) = &self.failed {
            remove_empty(failed.path());
        }
        let is_blocked = self.stop == Some(Stop::Obstacle) || self.summary.stored == 0;
        match self.streak.filter(|_| is_blocked) {
            Some(Streak { obstacle, message, .. }) => {
                eprintln!("error: {message}");
                eprintln!("{}: {}, then import again", obstacle.cause(), obstacle.advice());
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

async fn deliver(client: &Client, line: Line, shorten_names: bool) -> Done {
    let Line { number, size, text, conversation } = line;
    let result = match text {
        Ok(text) => send(client, text, shorten_names).await,
        Err(failure) => Err(failure),
    };
    Done { number, size, conversation, result }
}

async fn send(
    client: &Client,
    line: Vec<u8>,
    shorten_names: bool,
) -> Result<Stored<Message>, Failure> {
    let delivery = match parse(&line, shorten_names) {
        Ok(delivery) => delivery,
        Err(error) => return Err(Failure::new(error, false, line)),
    };
    let is_identified = delivery.is_identified();
    client.deliver(&delivery).await.map_err(|error| Failure::new(error, is_identified, line))
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use test_support::{builder, time_for_sockets};

    use super::*;

    fn import(client: Client) -> Import {
        let signals = watch::channel(None).1;
        Import { concurrency: 4, ..Import::new(client, Progress::start(None), signals) }
    }

    fn line(number: usize, text: &str) -> Line {
        Line { number, size: 0, text: Ok(text.into()), conversation: Some(number as u64) }
    }

    /// Each line is tried until the call's deadline, which takes no real time: the clock is paused.
    #[tokio::test(start_paused = true)]
    async fn an_unreachable_host_ends_the_import() {
        // Nobody listens on a port that was free just now.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        time_for_sockets();
        let mut import = import(builder(&url).build().unwrap());
        let text = serde_json::to_string(&test_support::hello()).unwrap();
        let lines = stream::iter((1..=100).map(|number| line(number, &text))).fuse();
        let (sender, mut results) = mpsc::channel(1_000);
        import.deliver(pin!(lines), sender).await;
        assert!(import.stop == Some(Stop::Obstacle));
        let streak = import.streak.as_ref().unwrap();
        assert_eq!(streak.obstacle, Obstacle::Host);
        assert!(streak.message.contains("Connection refused"), "{}", streak.message);
        let mut count = 0;
        while results.recv().await.is_some() {
            count += 1;
        }
        assert!((10..20).contains(&count), "{count}");
        assert_eq!(import.conclude(0, Ok(())).await, 2);
    }

    #[tokio::test]
    async fn only_failures_in_a_row_end_the_import() {
        use botpress_messages::{Error, ErrorKind, TransportError};
        let mut import = import(builder("http://127.0.0.1:1").build().unwrap());
        let unreachable = |sent| {
            let cause = TransportError::new("refused", sent);
            Failure::new(Error::new(ErrorKind::Transport(cause)), true, Vec::new())
        };
        for _ in 0..9 {
            import.note(unreachable(false));
            import.note(Failure::invalid("a line that is not sent".into(), None));
        }
        import.note(unreachable(true));
        for _ in 0..9 {
            import.note(unreachable(false));
        }
        assert!(import.stop.is_none(), "a request that was sent reached the host");
        import.note(unreachable(false));
        assert!(import.stop == Some(Stop::Obstacle));
    }
}
