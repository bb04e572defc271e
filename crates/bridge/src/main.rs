//! Stores webhooks in a durable queue, and delivers them from there to Botpress.

mod both;
mod breaker;
mod config;
mod connections;
mod dead;
mod deliver;
mod head;
mod health;
mod history;
mod metrics;
mod pauses;
mod queue;
mod quota;
mod receive;
mod server;
mod watchdog;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fmt};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::ConfigFile;

/// Stores webhooks in a durable queue, and delivers them from there to Botpress.
///
/// A setting can be an option, an environment variable or a key of the --config file. An option wins over a
/// variable, and a variable over the file. An empty variable counts as missing.
#[derive(Parser)]
#[command(
    version,
    after_help = "\
Exit codes:
  0  the command succeeded; for run, receive and deliver: a signal ended it
  1  the command failed, or a second signal ended it at once
  2  a setting is wrong, the queue's file cannot be used, or NATS is too old, or rejects the credentials or a certificate"
)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// A TOML file with settings and bots
    #[arg(long, global = true, env = "BRIDGE_CONFIG")]
    config: Option<PathBuf>,
    /// Check all settings, print what they mean without secrets, and end: with code 0, or 2 if a setting is
    /// wrong
    #[arg(long, global = true)]
    check_config: bool,
    /// What to log: error, warn, info or debug
    #[arg(long, global = true, env = "BRIDGE_LOG", default_value_t = LevelFilter::INFO)]
    log: LevelFilter,
    #[command(flatten)]
    queue: queue::Settings,
}

#[derive(Subcommand)]
enum Role {
    /// Receive and deliver in one process
    Run(both::Settings),
    /// Take webhooks over HTTP and put them into the queue
    Receive(receive::Settings),
    /// Deliver messages from the queue; with NATS, in any number of processes
    Deliver(deliver::Settings),
    /// List, retry or remove the messages that cannot be delivered
    #[command(subcommand)]
    Dead(dead::Command),
    /// Show what happened to an event, as JSON lines
    Trace(history::Trace),
    /// Show the first message of each partition, as JSON lines
    Head(head::Head),
    /// Make the first message of a partition a dead letter, so that the others no longer wait for it
    Skip(head::Skip),
    /// Pause the delivery of a bot in all of its workers; webhooks are still received
    Pause(pauses::Pause),
    /// Resume the delivery of a bot
    Resume(pauses::Pause),
    /// Copy the queue's file, even while it is in use
    Backup {
        /// The new file
        to: PathBuf,
    },
    /// Move messages and dead letters from the file to the NATS server at NATS_URL
    Move,
}

/// Why the program ends, and with which exit code: 0 if a signal ended it.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn new(text: impl fmt::Display) -> Self {
        Self { code: 1, text: text.to_string() }
    }

    /// Trying again does not help until somebody changes the settings.
    fn settings(text: impl fmt::Display) -> Self {
        Self { code: 2, text: text.to_string() }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, text }) => {
            eprintln!("error: {text}");
            ExitCode::from(code)
        }
    }
}

async fn start() -> Result<(), Failure> {
    let arguments: Vec<_> = env::args_os().collect();
    let args = parse(Args::command(), &arguments);
    let command = Args::command();
    let file = args.config.as_deref().map(|path| ConfigFile::load(path, &command)).transpose()?;
    config::check_variables(&command, file.as_ref())?;
    let command = match &file {
        Some(file) => file.defaults(command)?,
        None => command,
    };
    let args = parse(command.clone(), &arguments);
    if args.check_config {
        return check(args, &command, arguments, file.as_ref());
    }
    let Args { role, log, queue, .. } = args;
    let Some(role) = role else {
        return Err(Failure::settings("no command: see --help"));
    };
    start_log(log);
    let file = file.as_ref();
    match role {
        Role::Run(settings) => both::run(settings, file, &queue, stop()?).await,
        Role::Receive(settings) => receive::run(settings, file, &queue, stop()?).await,
        Role::Deliver(settings) => deliver::run(settings, file, &queue, stop()?).await,
        Role::Dead(command) => dead::run(command, &queue).await,
        Role::Trace(trace) => history::run(trace, &queue).await,
        Role::Head(head) => head::show(head, &queue).await,
        Role::Skip(skip) => head::skip(skip, &queue).await,
        Role::Pause(bot) => pauses::run(bot, true, &queue).await,
        Role::Resume(bot) => pauses::run(bot, false, &queue).await,
        Role::Backup { to } => queue.back_up(to).await,
        Role::Move => queue::transfer(&queue).await.map(|moved| println!("{moved}")),
    }
}

fn parse(command: clap::Command, arguments: &[OsString]) -> Args {
    let matches = with_variables(command).get_matches_from(arguments);
    Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Checks the settings of one command, or those of `receive` and `deliver`.
fn check(
    args: Args,
    command: &clap::Command,
    arguments: Vec<OsString>,
    file: Option<&ConfigFile>,
) -> Result<(), Failure> {
    args.queue.check()?;
    let roles = match args.role {
        Some(role) => vec![role],
        None => ["receive", "deliver"]
            .into_iter()
            .filter_map(|name| {
                let mut arguments = arguments.clone();
                arguments.push(name.into());
                parse(command.clone(), &arguments).role
            })
            .collect(),
    };
    let mut lines = Vec::new();
    for role in roles {
        match role {
            Role::Run(settings) => lines.extend(settings.check(file)?),
            Role::Receive(settings) => lines.extend(settings.check(file)?),
            Role::Deliver(settings) => lines.extend(settings.check(file)?),
            _ => {}
        }
    }
    lines.push("the settings are valid".to_owned());
    lines.iter().try_for_each(|line| writeln!(std::io::stdout(), "{line}")).map_err(Failure::new)
}

/// Names variables in help and errors, but never shows their values, and ignores empty ones.
fn with_variables(command: clap::Command) -> clap::Command {
    let with_variable = |arg: clap::Arg| {
        let Some(name) = arg.get_env().map(|name| name.to_string_lossy().into_owned()) else {
            return arg;
        };
        let is_empty = env::var_os(&name).is_some_and(|value| value.is_empty());
        let arg = arg.hide_env_values(true).value_name(name);
        if is_empty { arg.env(None::<&str>) } else { arg }
    };
    command.mut_args(with_variable).mut_subcommands(with_variables)
}

/// Checks a bot's id, which is part of NATS subjects and consumer names.
fn bot_id(id: &str) -> Result<String, &'static str> {
    let id = id.trim();
    let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if id.is_empty() || !id.chars().all(is_legal) {
        return Err("a bot's id has only letters, digits, - and _");
    }
    Ok(id.to_owned())
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Logs to standard error. The NATS client logs at most warnings: at the level `trace`, it would show its
/// password.
fn start_log(level: LevelFilter) {
    let targets = Targets::new()
        .with_targets(["botpress_bridge", "botpress_messages"].map(|target| (target, level)))
        .with_target("async_nats", level.min(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(targets).with(lines).init();
}

/// A token that SIGINT or SIGTERM cancels: the program finishes what is in flight. A second signal ends the
/// program at once, which loses nothing either.
fn stop() -> Result<CancellationToken, Failure> {
    let listen =
        |kind| signal(kind).map_err(|e| Failure::new(format!("cannot listen for signals: {e}")));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stopped.is_cancelled() {
                std::process::exit(1);
            }
            stopped.cancel();
            tracing::info!("ending: waiting for what is in flight");
        }
    });
    Ok(stop)
}
