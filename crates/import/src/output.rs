//! The report of each line, and the summary of all.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::{fmt, fs};

use botpress_messages::{Error, ErrorKind, ErrorType, Message, Stored, Violation};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::input::{kept_line, longest_name};
use crate::progress::Progress;

/// The number of results that can wait for a slow reader. A line is sent only if there is room for its result.
const RESULTS: usize = 256;
/// The number of reasons that the summary lists.
const REASONS: usize = 20;
/// Errors of the account.
const ACCOUNT: [ErrorType; 2] = [ErrorType::PaymentRequired, ErrorType::QuotaExceeded];

/// Why a line's message is not stored, or not known to be stored.
#[derive(Serialize)]
pub struct Failure {
    kind: &'static str,
    pub message: String,
    pub maybe_stored: bool,
    /// The cause that groups it with other failed lines.
    #[serde(skip)]
    reason: String,
    /// Why other lines would fail as well.
    #[serde(skip)]
    pub obstacle: Option<Obstacle>,
    /// The line, if it can be imported again without harm.
    #[serde(skip)]
    pub again: Option<Vec<u8>>,
}

/// A cause that affects all lines. After several such failures in a row, the import ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Obstacle {
    /// The API, not a gateway, rejects the token, or rejects it for this bot.
    Credentials,
    /// The plan or the quota of the workspace is used up.
    Account,
    /// The host cannot be reached.
    Host,
}

impl Obstacle {
    fn of(error: &Error) -> Option<Self> {
        match error.kind() {
            _ if error.is_auth() => Some(Self::Credentials),
            ErrorKind::Api(e) if ACCOUNT.contains(&e.type_) => Some(Self::Account),
            // No attempt sent anything.
            ErrorKind::Transport(_) if !error.maybe_stored() => Some(Self::Host),
            _ => None,
        }
    }

    /// The number of failures in a row that end the import. Fewer can be caused by one conversation that the
    /// credentials do not cover: an import that ended there could never get past it.
    pub fn threshold(self) -> usize {
        match self {
            Self::Credentials | Self::Account => 3,
            Self::Host => 10,
        }
    }

    pub fn cause(self) -> &'static str {
        match self {
            Self::Credentials => "the API rejects the credentials",
            Self::Account => "a quota or the plan of the workspace is used up",
            Self::Host => "the host cannot be reached",
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Credentials => "correct BP_TOKEN, BP_BOT_ID or BP_INTEGRATION_ID",
            Self::Account => {
                "raise the quota of the workspace, upgrade its plan, or wait for its renewal"
            }
            Self::Host => "check the network, the proxy and BP_API_URL",
        }
    }
}

impl Failure {
    pub fn invalid(message: String, line: Option<Vec<u8>>) -> Self {
        let reason = "invalid".to_owned();
        Self { kind: "invalid", message, maybe_stored: false, reason, obstacle: None, again: line }
    }

    pub fn is_invalid(&self) -> bool {
        self.kind == "invalid"
    }

    pub fn new(error: Error, is_identified: bool, line: Vec<u8>) -> Self {
        let kind = match error.kind() {
            ErrorKind::Invalid(_) => "invalid",
            // The API reported the used-up rate limit, possibly to another call.
            ErrorKind::Api(_) | ErrorKind::RateLimit(_) => "api",
            ErrorKind::Response(_) => "response",
            ErrorKind::Closed => "closed",
            _ => "transport",
        };
        let maybe_stored = error.maybe_stored();
        let harmless = !maybe_stored || is_identified;
        let mut message = error.to_string();
        if longest_name(&error).is_some() {
            message += "; --shorten-names shortens the name, which identifies nothing";
        }
        Self {
            kind,
            message,
            maybe_stored,
            reason: reason(&error, kind),
            obstacle: Obstacle::of(&error),
            again: harmless.then_some(line),
        }
    }
}

/// The part of an error that several lines have in common.
fn reason(error: &Error, kind: &str) -> String {
    let what = match error.kind() {
        ErrorKind::Invalid(violations) => {
            let rule = |Violation { path, rule, .. }: &Violation| {
                format!("{} {rule}", if path.is_empty() { "the line" } else { path })
            };
            violations.first().map_or_else(|| kind.to_owned(), rule)
        }
        ErrorKind::Api(e) => format!("{} {}", e.status.as_u16(), e.type_),
        ErrorKind::Response(e) => format!("{} not from the API", e.status.as_u16()),
        _ => kind.to_owned(),
    };
    match error.step() {
        Some(step) => format!("{step}: {what}"),
        None => what,
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

/// Writes results in their own thread, so that a slow reader does not delay messages in flight. The thread ends
/// when the sender is dropped or nothing can be written.
pub fn writer(progress: Progress) -> (mpsc::Sender<String>, JoinHandle<io::Result<()>>) {
    let (sender, mut results) = mpsc::channel::<String>(RESULTS);
    let write = move || {
        let mut stdout = io::stdout();
        while let Some(result) = results.blocking_recv() {
            // On a terminal, the bar is hidden while a line is written.
            if stdout.is_terminal() {
                progress.suspend(|| writeln!(stdout, "{result}"))?;
            } else {
                writeln!(stdout, "{result}")?;
            }
        }
        Ok(())
    };
    (sender, thread::spawn(write))
}

/// The file for the lines to import again.
///
/// A line that failed is written at once, so that it survives a killed import. Lines that were not tried
/// follow at the end. This keeps the order of each conversation: its failed lines were sent before its
/// untried ones.
pub struct Failed {
    file: fs::File,
    path: PathBuf,
}

impl Failed {
    pub fn create(path: PathBuf) -> Result<Self, String> {
        match fs::File::create_new(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(format!(
                "{0} exists already, perhaps from an earlier import: import {0} first, or name another \
                 file with --failed",
                path.display()
            )),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Writes a line with its number, so that another import reports the same one.
    pub fn write(&mut self, number: usize, line: &[u8]) -> io::Result<()> {
        self.file.write_all(&kept_line(number, line))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes a file if it is empty, because the next import would reject it.
pub fn remove_empty(path: &Path) {
    if fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        let _ = fs::remove_file(path);
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
    reasons: BTreeMap<String, Reason>,
}

/// The lines that failed for one reason.
struct Reason {
    count: usize,
    /// The first of them, and its error.
    line: usize,
    message: String,
}

impl Summary {
    pub fn count(&mut self, line: usize, result: &Result<Stored<Message>, Failure>) {
        match result {
            Ok(Stored { created, .. }) => {
                self.stored += 1;
                self.created += usize::from(*created == Some(true));
                self.found += usize::from(*created == Some(false));
            }
            Err(failure) => {
                self.maybe_stored += usize::from(failure.maybe_stored);
                self.not_stored += usize::from(!failure.maybe_stored);
                self.note(line, failure);
            }
        }
    }

    fn note(&mut self, line: usize, failure: &Failure) {
        let is_known = self.reasons.contains_key(&failure.reason);
        let reason =
            if is_known || self.reasons.len() < REASONS { &failure.reason } else { "other" };
        let first = || Reason { count: 0, line, message: failure.message.clone() };
        self.reasons.entry(reason.to_owned()).or_insert_with(first).count += 1;
    }

    pub fn all_stored(&self) -> bool {
        self.not_stored + self.maybe_stored == 0
    }

    pub fn print(&self) {
        let Self { created, found, stored, not_stored, maybe_stored, .. } = self;
        eprintln!(
            "{stored} stored ({created} created, {found} found), {not_stored} not stored, {maybe_stored} unknown"
        );
        self.print_reasons();
    }

    /// The summary of an import that only checks.
    pub fn print_checked(&self, valid: usize) {
        eprintln!("{valid} valid, {} not valid", self.not_stored);
        self.print_reasons();
    }

    fn print_reasons(&self) {
        for (reason, Reason { count, line, message }) in &self.reasons {
            eprintln!("  {count} because of: {reason} (line {line}: {message})");
        }
    }
}
