//! Takes webhooks into a durable queue, and delivers them from it to Botpress.

mod dead;
mod deliver;
mod env;
mod metrics;
mod queue;
mod receive;
mod slack;

use std::fmt;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Takes webhooks into a durable queue, and delivers them from it to Botpress.
///
/// Everything is set by the environment; README.md lists the variables.
#[derive(Parser)]
#[command(after_help = "\
Exit codes:
  0  everything asked for is done; for receive and deliver, once a signal ended them
  1  it could not be done
  2  a setting is wrong, or the API refuses the token or the bot")]
struct Args {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Take webhooks over HTTP and put them into the queue
    Receive,
    /// Deliver one bot's messages from the queue; any number of these may run
    Deliver,
    /// Look after the messages that cannot be delivered
    #[command(subcommand)]
    Dead(dead::Command),
}

/// Why the program ends, and with which code: 0 if that is what somebody wanted.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn new(text: impl fmt::Display) -> Self {
        Self { code: 1, text: text.to_string() }
    }

    /// Trying again is of no use until somebody changes the settings.
    fn settings(text: impl fmt::Display) -> Self {
        Self { code: 2, text: text.to_string() }
    }
}

/// Becomes true when the program is to end, and stays so.
type Stop = watch::Receiver<bool>;

#[tokio::main]
async fn main() -> ExitCode {
    let role = Args::parse().role;
    match run(role).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, text }) => {
            eprintln!("error: {text}");
            ExitCode::from(code)
        }
    }
}

async fn run(role: Role) -> Result<(), Failure> {
    log()?;
    match role {
        Role::Receive => receive::run(stop()?).await,
        Role::Deliver => deliver::run(stop()?).await,
        Role::Dead(command) => dead::run(command).await,
    }
}

/// Logs to the standard error what `BRIDGE_LOG` asks for. At the level `trace` the NATS client would
/// show its password, so it never gets there.
fn log() -> Result<(), Failure> {
    let level = env::parsed("BRIDGE_LOG", LevelFilter::INFO)?;
    let targets = Targets::new()
        .with_targets(["bridge", "botpress_messages"].map(|target| (target, level)))
        .with_target("async_nats", level.min(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(targets).with(lines).init();
    Ok(())
}

/// Hears of an interrupt or SIGTERM: what is under way ends then. A second one leaves at once, which
/// loses nothing either.
fn stop() -> Result<Stop, Failure> {
    let listen = |kind| signal(kind).map_err(|e| Failure::new(format!("no signal is heard: {e}")));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let (sender, stop) = watch::channel(false);
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send_replace(true) {
                std::process::exit(1);
            }
            tracing::info!("ending: what is under way is waited for");
        }
    });
    Ok(stop)
}
