//! What is told of each line, and of all of them.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::{fmt, fs};

use botpress_messages::{Error, ErrorKind, Message, Stored};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::progress::Progress;

/// Why a line's message is not stored, or not known to be.
#[derive(Serialize)]
pub struct Failure {
    kind: &'static str,
    pub message: String,
    pub maybe_stored: bool,
    /// The API, not a gateway, does not accept the token, or not for this bot.
    #[serde(skip)]
    pub refused: bool,
    /// The line, if it can be imported again without harm.
    #[serde(skip)]
    pub again: Option<Vec<u8>>,
}

impl Failure {
    pub fn invalid(message: String, line: Option<Vec<u8>>) -> Self {
        Self { kind: "invalid", message, maybe_stored: false, refused: false, again: line }
    }

    pub fn new(error: Error, is_identified: bool, line: Vec<u8>) -> Self {
        let kind = match error.kind() {
            ErrorKind::Invalid(_) => "invalid",
            // A used up rate limit is what the API said, if to another call.
            ErrorKind::Api(_) | ErrorKind::RateLimit(_) => "api",
            ErrorKind::Response(_) => "response",
            ErrorKind::Closed => "closed",
            _ => "transport",
        };
        let maybe_stored = error.maybe_stored();
        let harmless = !maybe_stored || is_identified;
        Self {
            kind,
            message: error.to_string(),
            maybe_stored,
            refused: error.is_auth(),
            again: harmless.then_some(line),
        }
    }
}

/// A line of the output.
#[derive(Serialize)]
#[serde(untagged)]
enum Report<'a> {
    Stored { line: usize, created: Option<bool>, message: &'a Message },
    Failed { line: usize, error: &'a Failure },
}

pub fn report(line: usize, result: &Result<Stored<Message>, Failure>) -> String {
    let report = match result {
        Ok(Stored { created, record, .. }) => {
            Report::Stored { line, created: *created, message: record }
        }
        Err(error) => Report::Failed { line, error },
    };
    serde_json::to_string(&report).expect("all keys are strings")
}

/// So many results may wait for a slow reader. A line is not sent without a place for its result.
const RESULTS: usize = 256;

/// Writes results in a thread of its own: whoever reads them may be slow, and the messages under way
/// must not wait for that. The thread ends when the sender is dropped or nothing can be written.
pub fn writer(progress: Progress) -> (mpsc::Sender<String>, JoinHandle<io::Result<()>>) {
    let (sender, mut results) = mpsc::channel::<String>(RESULTS);
    let write = move || {
        let mut stdout = io::stdout();
        while let Some(result) = results.blocking_recv() {
            // On a terminal the bar stands in the way.
            match stdout.is_terminal() {
                true => progress.suspend(|| writeln!(stdout, "{result}"))?,
                false => writeln!(stdout, "{result}")?,
            }
        }
        Ok(())
    };
    (sender, thread::spawn(write))
}

/// The file for the lines to be imported again.
///
/// A line that failed is written at once, so that an import that is killed leaves it there too. What
/// was not tried follows in the end. A conversation's lines keep their order by this: one that failed
/// was sent before those of its conversation that were not tried.
pub struct Failed {
    file: fs::File,
    path: PathBuf,
}

impl Failed {
    pub fn create(path: PathBuf) -> Result<Self, String> {
        match fs::File::create_new(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    pub fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(&[line, b"\n"].concat())
    }

    /// Removes an empty file: it would only be in the way of the next import.
    pub fn close(self) {
        if self.file.metadata().is_ok_and(|file| file.len() == 0) {
            let _ = fs::remove_file(self.path);
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

#[derive(Default)]
pub struct Summary {
    created: usize,
    found: usize,
    pub stored: usize,
    not_stored: usize,
    maybe_stored: usize,
}

impl Summary {
    pub fn count(&mut self, result: &Result<Stored<Message>, Failure>) {
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

    pub fn all_stored(&self) -> bool {
        self.not_stored + self.maybe_stored == 0
    }

    pub fn print(&self) {
        let Self { created, found, stored, not_stored, maybe_stored } = self;
        eprintln!(
            "{stored} stored ({created} created, {found} found), {not_stored} not stored, {maybe_stored} unknown"
        );
    }
}
