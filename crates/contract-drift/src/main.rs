//! The program: reads documents, prints findings.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use contract_drift::{
    Client, Document, Doubt, Error, Finding, Options, Pin, Pins, Spec, Verdict, check, pin, pinned,
};

/// Does the client that a hand-written OpenAPI document describes still work against the vendor's
/// current document?
///
/// Documents are OpenAPI 3.0 or 3.1, in YAML or JSON. `-` is the standard input.
#[derive(Parser)]
#[command(name = "contract-drift", version)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(Check),
    Pin(PinOne),
}

/// Compare our operations with the vendor's document
///
/// A BREAK means that a request may be rejected or a response may not be read. A NOTICE is any other
/// difference from the nearest pinned version.
#[derive(Args)]
#[command(after_help = "\
Exit codes:
  0  nothing breaks, and with --pins, the contract is a pinned one
  1  something breaks, or with --pins, differs from every pinned version
  2  the documents could not be compared")]
struct Check {
    /// The hand-written document
    ours: PathBuf,
    /// The vendor's document
    theirs: PathBuf,
    /// The folder of pinned versions, one file VERSION.json each
    #[arg(long, value_name = "DIR")]
    pins: Option<PathBuf>,
    /// The vendor's document was made from the types of a client: compare only what types can say
    #[arg(long)]
    types: bool,
}

/// Write the vendor's operations in normal form
#[derive(Args)]
struct PinOne {
    /// The vendor's document
    theirs: PathBuf,
    /// The folder to write VERSION.json to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The hand-written document: pin its operations only, and warn of what breaks
    #[arg(long)]
    ours: Option<PathBuf>,
    /// The version, if not the one of the document
    #[arg(long = "as", value_name = "VERSION")]
    version: Option<String>,
}

/// What a command prints, and whether it found something.
struct Report {
    text: String,
    code: u8,
}

fn main() -> ExitCode {
    let report = match Program::parse().command {
        Command::Check(args) => compare(&args),
        Command::Pin(args) => write_pin(&args),
    };
    match report {
        Ok(Report { text, code }) => {
            // A reader that closed the pipe has seen enough.
            let _ = io::stdout().write_all(text.as_bytes());
            code.into()
        }
        Err(cause) => {
            let _ = writeln!(io::stderr(), "drift: cannot compare: {cause}");
            2.into()
        }
    }
}

fn compare(args: &Check) -> Result<Report, String> {
    let Check { ours: our_path, theirs: their_path, pins, types } = args;
    if our_path == Path::new("-") && their_path == Path::new("-") {
        return Err("only one document can come from the standard input".into());
    }
    let ours = spec(our_path)?;
    let theirs = read(their_path)?;
    let pins = pins.as_deref().map(Pins::read).transpose().map_err(|e| e.to_string())?;
    let options =
        Options { pins: pins.unwrap_or_default(), client: client(our_path)?, types: *types };

    let findings = check(&ours, &theirs, &options);
    let mut text = age(&theirs, &options.pins);
    text += &lines(&findings);
    let names: Vec<_> = ours.operations().collect();
    let names = names.join(", ");
    let verdict = match findings.iter().map(|finding| finding.verdict).max() {
        Some(Verdict::Break) => "break",
        Some(Verdict::Notice) => "notice",
        None => "none",
    };
    let _ = writeln!(text, "drift: {verdict}");
    match (findings.is_empty(), pinned(&ours, &theirs, &options)) {
        (true, Some(pin)) => {
            let _ = writeln!(text, "It agrees with the pin {}: {names}.", pin.version);
        }
        (true, None) => {
            let _ = writeln!(text, "The client works: {names}.");
        }
        (false, _) => text += &next(args),
    }
    Ok(Report { text, code: u8::from(!findings.is_empty()) })
}

fn write_pin(args: &PinOne) -> Result<Report, String> {
    let ours = args.ours.as_deref().map(spec).transpose()?;
    let theirs = read(&args.theirs)?;
    let version = args.version.as_deref().or(theirs.version());
    let version = version.ok_or("the document has no version: give one with --as")?.to_owned();
    let contracts = pin(&theirs, ours.as_ref()).map_err(|e| in_file(&args.theirs, e))?;
    if contracts.is_empty() {
        return Err(in_file(&args.theirs, "it has none of the operations"));
    }
    let path = Pin { version, contracts }.write(&args.out).map_err(|e| e.to_string())?;
    let mut text = String::new();
    if let Some(ours) = ours {
        let client = args.ours.as_deref().map(client).transpose()?.unwrap_or_default();
        let options = Options { client, ..Options::default() };
        let findings = check(&ours, &theirs, &options);
        if !findings.is_empty() {
            text += "WARNING the client does not work against what is pinned:\n";
        }
        text += &lines(&findings);
    }
    let _ = writeln!(text, "pinned as {}", path.display());
    Ok(Report { text, code: 0 })
}

fn spec(path: &Path) -> Result<Spec, String> {
    Spec::new(&read(path)?).map_err(|e| in_file(path, e))
}

/// What the file next to a spec says about the client: `api.drift.yaml` for `api.yaml`.
fn client(spec: &Path) -> Result<Client, String> {
    let path = spec.with_extension("drift.yaml");
    match fs::read_to_string(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Client::default()),
        Err(cause) => Err(in_file(&path, cause)),
        Ok(text) => Client::parse(&text).map_err(|e| in_file(&path, e)),
    }
}

fn read(path: &Path) -> Result<Document, String> {
    let read_all = || match path.to_str() {
        Some("-") => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map(|_| text)
        }
        _ => fs::read_to_string(path),
    };
    let text = read_all().map_err(|e| in_file(path, e))?;
    Document::parse(&text).map_err(|e: Error| in_file(path, e))
}

fn in_file(path: &Path, cause: impl std::fmt::Display) -> String {
    format!("{}: {cause}", path.display())
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

/// The version of a document, and a warning if it proves little.
fn age(document: &Document, pins: &Pins) -> String {
    let Some(newest) = pins.newest() else { return String::new() };
    let newest = &newest.version;
    let title = document.title().unwrap_or("unknown");
    let version = document.version().unwrap_or("unknown");
    let old = match pins.doubt(document) {
        None => {
            return format!("INFO {title}: version {version}; the newest pin is {newest}.\n");
        }
        Some(Doubt::Outdated) => "is older than",
        Some(Doubt::Unversioned) => "cannot be compared with",
    };
    format!(
        "WARNING {title}: version {version} {old} the newest pin, {newest}. It shows only that the \
         past has not changed, not what the vendor serves today.\n"
    )
}

/// What to do about findings.
fn next(args: &Check) -> String {
    let Check { ours, theirs, pins, types } = args;
    let Some(pins) = pins else { return "Change the spec until no BREAK is left.\n".into() };
    if *types {
        return "Change the spec until no BREAK is left. Pin what is new by hand, since types have \
                no bounds.\n"
            .into();
    }
    format!(
        "Change the spec until no BREAK is left, then pin the document:\ncontract-drift pin {} --out {} \
         --ours {}\n",
        theirs.display(),
        pins.display(),
        ours.display(),
    )
}
