//! Delivers recorded messages: a request body a line in, a result a line out.
//!
//!     cargo run --example import -- [--concurrency N] FILE

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};

use botpress_messages::{Client, Error, ErrorKind, Message, NewMessage, Stored};
use clap::Parser;
use futures::{Stream, StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader, stdin};
use tokio::signal::ctrl_c;
use tokio::sync::Notify;

/// Delivers recorded messages: each line of FILE is a request body in the endpoint's JSON form.
///
/// Prints a JSON line for each as it finishes. Credentials come from BP_TOKEN, BP_BOT_ID,
/// BP_INTEGRATION_ID and BP_API_URL. Exits with 0 if all messages are stored, with 1 if any is not,
/// with 2 if none could be tried.
#[derive(Parser)]
struct Args {
    /// How many messages are under way at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// A new file for the lines that failed and can be imported again without storing a message twice
    #[arg(long, value_name = "FILE")]
    failed: Option<PathBuf>,
    /// The file to read; `-` is the standard input
    file: PathBuf,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    tokio::spawn(stop_on_interrupt());
    let client = Client::from_env().unwrap_or_else(|error| give_up(2, error));
    let input = open(&args.file).await.unwrap_or_else(|error| give_up(2, error));
    let mut failed = args.failed.as_deref().map(|path| {
        let file = std::fs::File::create_new(path);
        file.unwrap_or_else(|error| give_up(2, format!("{}: {error}", path.display())))
    });
    let progress = ProgressBar::new_spinner().with_style(
        ProgressStyle::with_template("{spinner} {pos} messages, {per_sec}, {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );

    let mut results = lines(input)
        .take_until(STOP.notified())
        .map(async |(line, text)| (line, deliver(&client, text).await))
        .buffer_unordered(args.concurrency.into())
        .boxed();
    let mut summary = Summary::default();
    while let Some((line, result)) = results.next().await {
        if let Err(error) =
            progress.suspend(|| writeln!(io::stdout(), "{}", report(line, &result)?))
        {
            stop(&format!("no result can be written: {error}"));
        }
        if let (Some(file), Err(Failure { again: Some(text), .. })) = (&mut failed, &result)
            && let Err(error) = file.write_all(text).and_then(|()| file.write_all(b"\n"))
        {
            stop(&format!("what failed cannot be written: {error}"));
        }
        summary.count(&result);
        progress.inc(1);
    }
    progress.finish_and_clear();
    summary.print();
    if let Some(path) = args.failed.filter(|path| path.metadata().is_ok_and(|file| file.len() == 0))
    {
        // An empty one would only be in the way of the next import.
        let _ = std::fs::remove_file(path);
    }
    // Returning would wait for the standard input, which may never end.
    exit(if summary.complete() { 0 } else { 1 });
}

fn give_up(code: i32, cause: impl std::fmt::Display) -> ! {
    eprintln!("error: {cause}");
    exit(code)
}

type Input = Pin<Box<dyn AsyncBufRead + Send>>;

async fn open(path: &Path) -> Result<Input, String> {
    if path == Path::new("-") {
        return Ok(Box::pin(BufReader::new(stdin())));
    }
    let file = File::open(path).await.map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(Box::pin(BufReader::new(file)))
}

/// Wakes the reader of the lines: what is under way finishes, nothing new begins.
static STOP: Notify = Notify::const_new();
static STOPPED: AtomicBool = AtomicBool::new(false);

fn stop(cause: &str) {
    if !STOPPED.swap(true, Ordering::Relaxed) {
        eprintln!("{cause}: waiting for the messages under way");
        STOP.notify_one();
    }
}

async fn stop_on_interrupt() {
    if ctrl_c().await.is_ok() {
        // Listens for the second one before it tells of the first.
        let told = async { stop("interrupted (again to leave at once)") };
        if tokio::join!(ctrl_c(), told).0.is_ok() {
            exit(130);
        }
    }
}

/// Why a line's message is not stored, or not known to be.
#[derive(Serialize)]
struct Failure {
    kind: &'static str,
    message: String,
    maybe_stored: bool,
    /// The line, if it can be imported again without harm.
    #[serde(skip)]
    again: Option<Vec<u8>>,
}

impl Failure {
    fn invalid(message: String, line: Option<Vec<u8>>) -> Self {
        Self { kind: "invalid", message, maybe_stored: false, again: line }
    }

    fn new(error: Error, message: &NewMessage, line: Vec<u8>) -> Self {
        let kind = match error.kind() {
            ErrorKind::Invalid(_) => "invalid",
            // A used up rate limit is what the API said, if to another call.
            ErrorKind::Api(_) | ErrorKind::RateLimit(_) => "api",
            ErrorKind::Answer(_) => "answer",
            _ => "transport",
        };
        let maybe_stored = error.maybe_stored();
        let harmless = !maybe_stored || message.is_identified();
        Self { kind, message: error.to_string(), maybe_stored, again: harmless.then_some(line) }
    }
}

/// No body that the endpoint takes comes near this, so memory stays bounded by lines of this length.
const LONGEST_LINE: usize = 8 << 20;

/// The lines that are not blank, with their numbers. After one that cannot be read there are no more.
fn lines(input: Input) -> impl Stream<Item = (usize, Result<Vec<u8>, Failure>)> {
    stream::unfold((Some(input), 0), async |(input, number)| {
        let mut input = input?;
        let mut number = number;
        loop {
            number += 1;
            match next_line(&mut input).await {
                Ok(None) => return None,
                Ok(Some(line)) if line.trim_ascii().is_empty() => continue,
                Ok(Some(line)) if line.len() > LONGEST_LINE => {
                    let failure = format!("the line is longer than {LONGEST_LINE} bytes");
                    let failure = Failure::invalid(failure, None);
                    return Some(((number, Err(failure)), (Some(input), number)));
                }
                Ok(Some(line)) => return Some(((number, Ok(line)), (Some(input), number))),
                Err(error) => {
                    let failure = format!("the input cannot be read any further: {error}");
                    return Some(((number, Err(Failure::invalid(failure, None))), (None, number)));
                }
            }
        }
    })
}

/// The next line; of one that is too long, just enough to see that.
async fn next_line(input: &mut Input) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = LONGEST_LINE as u64 + 1;
    if input.as_mut().take(limit).read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    let mut rest = Vec::new();
    while line.len() > LONGEST_LINE && !line.ends_with(b"\n") && !rest.ends_with(b"\n") {
        rest.clear();
        if input.as_mut().take(limit).read_until(b'\n', &mut rest).await? == 0 {
            break;
        }
    }
    Ok(Some(line))
}

async fn deliver(client: &Client, line: Result<Vec<u8>, Failure>) -> Result<Stored, Failure> {
    let line = line?.trim_ascii().to_vec();
    // Some programs put a byte order mark before the first line.
    let json = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
    let message: NewMessage = match serde_json::from_slice(json) {
        Ok(message) => message,
        Err(error) => {
            let cause = error.to_string().replace(" at line 1 column ", " at column ");
            return Err(Failure::invalid(format!("the line is not JSON: {cause}"), Some(line)));
        }
    };
    client.get_or_create(&message).await.map_err(|error| Failure::new(error, &message, line))
}

/// A line of the output.
#[derive(Serialize)]
#[serde(untagged)]
enum Report<'a> {
    Stored { line: usize, created: Option<bool>, message: &'a Message },
    Failed { line: usize, error: &'a Failure },
}

fn report(line: usize, result: &Result<Stored, Failure>) -> serde_json::Result<String> {
    serde_json::to_string(&match result {
        Ok(Stored { created, message, .. }) => Report::Stored { line, created: *created, message },
        Err(error) => Report::Failed { line, error },
    })
}

#[derive(Default)]
struct Summary {
    created: usize,
    found: usize,
    stored: usize,
    not_stored: usize,
    maybe_stored: usize,
}

impl Summary {
    fn count(&mut self, result: &Result<Stored, Failure>) {
        match result {
            Ok(Stored { created, .. }) => {
                self.stored += 1;
                self.created += usize::from(*created == Some(true));
                self.found += usize::from(*created == Some(false));
            }
            Err(Failure { maybe_stored: true, .. }) => self.maybe_stored += 1,
            Err(Failure { maybe_stored: false, .. }) => self.not_stored += 1,
        }
    }

    fn complete(&self) -> bool {
        self.not_stored + self.maybe_stored == 0 && !STOPPED.load(Ordering::Relaxed)
    }

    fn print(&self) {
        let Self { created, found, stored, not_stored, maybe_stored } = self;
        eprintln!(
            "{stored} stored ({created} created, {found} found), {not_stored} not stored, {maybe_stored} unknown"
        );
        if STOPPED.load(Ordering::Relaxed) {
            eprintln!("stopped before the end of the input: messages after these were not tried");
        }
    }
}
