//! The program: reads documents, prints findings.

use std::fmt::{Display, Write as _};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use contract_drift::{
    Client, Code, Document, Doubt, Finding, Ignore, Location, Options, Pin, Pins, Spec, Verdict,
    check, pin, pinned,
};
use serde_json::{Value, json};

/// Checks whether the client that a hand-written OpenAPI document describes still works against the vendor's
/// current document
///
/// Documents are OpenAPI 3.0 or 3.1, in YAML or JSON. `-` is the standard input. What the client does
/// beyond its document is in a file next to it, `api.drift.yaml` for `api.yaml`.
#[derive(Parser)]
#[command(name = "contract-drift", version)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(CheckArgs),
    Pin(PinArgs),
}

/// Compare our operations with the vendor's document
///
/// A BREAK means that a request could be rejected or a response could be unreadable. A NOTICE is any other
/// difference from the most similar pinned version.
#[derive(Args)]
#[command(after_help = "\
Exit codes:
  0  nothing breaks
  1  something breaks, or with `--fail-on notice`, there is a notice
  2  the documents could not be compared")]
struct CheckArgs {
    /// The hand-written document
    ours: PathBuf,
    /// The vendor's document
    theirs: PathBuf,
    /// Check only this operation; can be repeated
    #[arg(long = "operation", value_name = "ID")]
    operations: Vec<String>,
    /// The folder of pinned versions, one file VERSION.json each
    #[arg(long, value_name = "DIR")]
    pins: Option<PathBuf>,
    /// A list of findings to leave out
    #[arg(long, value_name = "FILE")]
    ignore: Option<PathBuf>,
    /// The vendor's document was made from the types of a client: compare only what types can express
    #[arg(long)]
    types: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The least severe verdict that gives the exit code 1
    #[arg(long, value_name = "VERDICT", value_enum, default_value_t = FailOn::Break)]
    fail_on: FailOn,
}

/// Write the vendor's operations in normal form
#[derive(Args)]
struct PinArgs {
    /// The vendor's document
    theirs: PathBuf,
    /// The folder to write VERSION.json to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The hand-written document: pin only its operations, and warn about what breaks
    #[arg(long)]
    ours: Option<PathBuf>,
    /// Pin only this operation; can be repeated
    #[arg(long = "operation", value_name = "ID")]
    operations: Vec<String>,
    /// The version, if not the one of the document
    #[arg(long = "as", value_name = "VERSION")]
    version: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum FailOn {
    Break,
    Notice,
}

/// What a command prints, and its exit code.
struct Report {
    text: String,
    code: u8,
}

/// The outcome of a check.
struct Outcome<'a> {
    args: &'a CheckArgs,
    theirs: &'a Document,
    pins: &'a Pins,
    /// The operations that were compared.
    operations: Vec<&'a str>,
    findings: Vec<Finding>,
    /// The pinned version that equals the document.
    pin: Option<&'a Pin>,
    /// The entries of `--ignore` that match nothing.
    unused: Vec<String>,
}

fn main() -> ExitCode {
    let report = match Program::parse().command {
        Command::Check(args) => compare(&args),
        Command::Pin(args) => write_pin(&args),
    };
    match report {
        Ok(Report { text, code }) => {
            // The reader can close the pipe early.
            let _ = io::stdout().write_all(text.as_bytes());
            code.into()
        }
        Err(cause) => {
            let _ = writeln!(io::stderr(), "drift: cannot compare: {cause}");
            2.into()
        }
    }
}

fn compare(args: &CheckArgs) -> Result<Report, String> {
    if args.ours == Path::new("-") && args.theirs == Path::new("-") {
        return Err("only one document can come from the standard input".into());
    }
    let ours = spec(&args.ours, &args.operations)?;
    let theirs = document(&args.theirs)?;
    let pins = args.pins.as_deref().map(Pins::read).transpose().map_err(|e| e.to_string())?;
    let ignore = match &args.ignore {
        Some(path) => Ignore::parse(&text_of(path)?).map_err(|e| in_file(path, e))?,
        None => Ignore::default(),
    };
    let options =
        Options { pins: pins.unwrap_or_default(), client: client(&args.ours)?, types: args.types };
    let mut findings = check(&ours, &theirs, &options);
    if let Some(finding) = findings.iter().find(|finding| finding.code == Code::TooComplex) {
        let Finding { operation, place, text, .. } = finding;
        let at = format!("{operation} {place}");
        return Err(in_file(&args.theirs, format!("{}: {text}", at.trim_end())));
    }
    let unused = ignore.take_from(&mut findings);
    let outcome = Outcome {
        args,
        theirs: &theirs,
        pins: &options.pins,
        operations: ours.operations().collect(),
        findings,
        pin: pinned(&ours, &theirs, &options),
        unused,
    };
    let least = match args.fail_on {
        FailOn::Break => Verdict::Break,
        FailOn::Notice => Verdict::Notice,
    };
    let code = u8::from(outcome.findings.iter().any(|finding| finding.verdict >= least));
    let text = if args.json { outcome.to_json()? } else { outcome.to_text() };
    Ok(Report { text, code })
}

fn write_pin(args: &PinArgs) -> Result<Report, String> {
    let theirs = document(&args.theirs)?;
    let version = args.version.as_deref().or(theirs.version());
    let version = version.ok_or("the document has no version: give one with --as")?.to_owned();
    let mut text = String::new();
    let contracts = match &args.ours {
        None => {
            let all = Spec::only(theirs, &args.operations).map_err(|e| in_file(&args.theirs, e))?;
            all.contracts().clone()
        }
        Some(path) => {
            let ours = spec(path, &args.operations)?;
            let options = Options { client: client(path)?, ..Options::default() };
            let findings = check(&ours, &theirs, &options);
            if !findings.is_empty() {
                text += "WARNING the client does not work against the pinned contract:\n";
            }
            text += &lines(&findings, path, &args.theirs);
            pin(&theirs, &ours).map_err(|e| in_file(&args.theirs, e))?
        }
    };
    if contracts.is_empty() {
        return Err(in_file(&args.theirs, "it has none of the operations"));
    }
    let path = Pin { version, contracts }.write(&args.out).map_err(|e| e.to_string())?;
    let _ = writeln!(text, "pinned as {}", path.display());
    Ok(Report { text, code: 0 })
}

impl Outcome<'_> {
    fn to_text(&self) -> String {
        let Self { args, operations, findings, pin, .. } = self;
        let mut text = self.age().unwrap_or_default();
        for entry in &self.unused {
            let _ = writeln!(text, "WARNING no finding matches the entry of --ignore: {entry}");
        }
        text += &lines(findings, &args.ours, &args.theirs);
        let _ = writeln!(text, "drift: {}", self.verdict());
        let names = operations.join(", ");
        let _ = match (findings.is_empty(), pin) {
            (true, Some(pin)) => {
                writeln!(text, "The document agrees with pin {}: {names}.", pin.version)
            }
            (true, None) => writeln!(text, "The client works with: {names}."),
            (false, _) => writeln!(text, "{}", self.next()),
        };
        text
    }

    fn to_json(&self) -> Result<String, String> {
        let place = |location: &Option<Location>| {
            location
                .as_ref()
                .map(|Location { pointer, line, .. }| json!({ "pointer": pointer, "line": line }))
        };
        let finding = |finding: &Finding| {
            json!({
                "verdict": finding.verdict.to_string().to_lowercase(),
                "code": finding.code.name(),
                "operation": finding.operation,
                "place": finding.place.to_string(),
                "text": finding.text,
                "ours": place(&finding.ours),
                "theirs": place(&finding.theirs),
            })
        };
        let outcome = json!({
            "verdict": self.verdict(),
            "title": self.theirs.title(),
            "version": self.theirs.version(),
            "pin": self.pin.map(|pin| &pin.version),
            "operations": self.operations,
            "findings": self.findings.iter().map(finding).collect::<Value>(),
            "unused": self.unused,
        });
        let text = serde_json::to_string_pretty(&outcome).map_err(|e| e.to_string())?;
        Ok(text + "\n")
    }

    fn verdict(&self) -> &'static str {
        match self.findings.iter().map(|finding| finding.verdict).max() {
            Some(Verdict::Break) => "break",
            Some(Verdict::Notice) => "notice",
            None => "none",
        }
    }

    /// The version of a document, and a warning if it may be outdated.
    fn age(&self) -> Option<String> {
        let newest = &self.pins.newest()?.version;
        let title = self.theirs.title().unwrap_or("unknown");
        let version = self.theirs.version().unwrap_or("unknown");
        let old = match self.pins.doubt(self.theirs) {
            None => {
                let known = format!("version {version}; the newest pin is {newest}");
                return Some(format!("INFO {title}: {known}.\n"));
            }
            Some(Doubt::Outdated) => "is older than",
            Some(Doubt::Unversioned) => "cannot be compared with",
        };
        Some(format!(
            "WARNING {title}: version {version} {old} the newest pin, {newest}. So this check does not \
             show what the vendor serves today.\n"
        ))
    }

    /// What to do about findings.
    fn next(&self) -> String {
        let CheckArgs { ours, theirs, pins, types, .. } = self.args;
        let change = "Change the spec until no BREAK is left";
        match pins {
            None => format!("{change}."),
            Some(_) if *types => {
                format!("{change}. Pin what is new by hand, since types have no bounds.")
            }
            Some(pins) => format!(
                "{change}, then pin the document:\ncontract-drift pin {} --out {} --ours {}",
                theirs.display(),
                pins.display(),
                ours.display(),
            ),
        }
    }
}

/// A line for each finding, with its lines in both documents.
fn lines(findings: &[Finding], ours: &Path, theirs: &Path) -> String {
    let mut text = String::new();
    for finding in findings {
        let sides = [(ours, &finding.ours), (theirs, &finding.theirs)];
        let sides = sides.into_iter().filter_map(|(path, location)| {
            Some(format!("{}:{}", path.display(), location.as_ref()?.line?))
        });
        let sides: Vec<_> = sides.collect();
        let _ = match sides.as_slice() {
            [] => writeln!(text, "{finding}"),
            sides => writeln!(text, "{finding} ({})", sides.join(", ")),
        };
    }
    text
}

fn spec(path: &Path, operations: &[String]) -> Result<Spec, String> {
    Spec::only(document(path)?, operations).map_err(|e| in_file(path, e))
}

/// The description of the client in the file next to a spec.
fn client(spec: &Path) -> Result<Client, String> {
    let path = spec.with_extension("drift.yaml");
    if !path.exists() {
        return Ok(Client::default());
    }
    Client::parse(&text_of(&path)?).map_err(|e| in_file(&path, e))
}

fn document(path: &Path) -> Result<Document, String> {
    Document::parse(&text_of(path)?).map_err(|e| in_file(path, e))
}

fn text_of(path: &Path) -> Result<String, String> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    text.map_err(|e| in_file(path, e))
}

fn in_file(path: &Path, cause: impl Display) -> String {
    format!("{}: {cause}", path.display())
}
