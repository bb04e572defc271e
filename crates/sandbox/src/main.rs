//! Serves the endpoints on this machine until it is interrupted, and prints a line for each request.
//!
//!     botpress-sandbox --port 8080

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use botpress_sandbox::Sandbox;
use clap::Parser;
use serde_json::{Map, Value};

/// Serves the endpoints on this machine until it is interrupted, and prints a line for each request.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The address to listen on, or `localhost`. Anyone who can reach it can see and control everything
    #[arg(long, default_value = "127.0.0.1", value_parser = address)]
    bind: IpAddr,
    /// Another host name with access to the control API below /_sandbox, such as host.docker.internal; can be
    /// repeated
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// The only token to accept
    #[arg(long, default_value = Sandbox::TOKEN)]
    token: String,
    /// The only bot to serve
    #[arg(long, value_name = "ID", default_value = Sandbox::BOT_ID)]
    bot_id: String,
    /// Respond 429 to requests beyond this number in a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests_per_second: Option<u64>,
    /// Send every response this many milliseconds later
    #[arg(long, default_value_t = 0, value_name = "MILLISECONDS")]
    latency: u64,
    /// Let this many milliseconds pass between looking for a record and storing it
    #[arg(long, default_value_t = 0, value_name = "MILLISECONDS")]
    lookup_gap: u64,
    /// Make requests fail at random, with probability P; the same seed gives the same faults
    #[arg(long, value_name = "SEED:P", value_parser = storm)]
    storm: Option<(u64, f64)>,
    /// Reject messages whose user or conversation the sandbox did not create
    #[arg(long)]
    strict: bool,
    /// The channels and tags that your integration declares, in YAML or JSON: other names are rejected
    #[arg(long, value_name = "FILE")]
    definition: Option<PathBuf>,
    /// Print no lines for requests
    #[arg(long)]
    quiet: bool,
    /// Print JSON: a line with the settings of a client, then a line for each request, as /_sandbox/requests
    /// lists it
    #[arg(long)]
    json: bool,
}

fn address(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse().map_err(|_| "it must be an IP address or localhost".into())
}

fn storm(text: &str) -> Result<(u64, f64), String> {
    let (seed, probability) =
        text.split_once(':').ok_or("expected a seed, a colon and a number")?;
    let seed = seed.parse().map_err(|e| format!("the seed: {e}"))?;
    let probability = probability.parse().map_err(|e| format!("the probability: {e}"))?;
    if !(0.0..=1.0).contains(&probability) {
        return Err("the probability must be between 0 and 1".into());
    }
    Ok((seed, probability))
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> Result<(), String> {
    let stop = stop_signal().map_err(|e| format!("cannot wait for signals: {e}"))?;
    let (port, bind, json, quiet) = (args.port, args.bind, args.json, args.quiet);
    let variables = |url: String| {
        [
            ("BP_API_URL", url),
            ("BP_TOKEN", args.token.clone()),
            ("BP_BOT_ID", args.bot_id.clone()),
            ("BP_INTEGRATION_ID", Sandbox::INTEGRATION_ID.to_owned()),
        ]
    };
    let mut sandbox = Sandbox::builder()
        .port(port)
        .bind(bind)
        .token(&args.token)
        .bot_id(&args.bot_id)
        .latency(Duration::from_millis(args.latency))
        .lookup_gap(Duration::from_millis(args.lookup_gap));
    for host in &args.allow_host {
        sandbox = sandbox.allow_host(host);
    }
    if let Some(limit) = args.requests_per_second {
        sandbox = sandbox.requests_per_second(limit);
    }
    if let Some((seed, probability)) = args.storm {
        sandbox = sandbox.storm(seed, probability);
    }
    if args.strict {
        sandbox = sandbox.strict();
    }
    match &args.definition {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let defined = text.and_then(|text| sandbox.definition(&text));
            sandbox = defined.map_err(|e| format!("{}: {e}", path.display()))?;
        }
        None => eprintln!(
            "warning: every channel and tag is accepted; the API accepts only those that the integration \
             declares (--definition)"
        ),
    }
    if !quiet {
        sandbox = sandbox.on_request(move |request| {
            let as_json = || serde_json::to_string(request).unwrap_or_default();
            print(&if json { as_json() } else { request.to_string() });
        });
    }
    let sandbox = sandbox
        .start()
        .await
        .map_err(|e| format!("cannot listen on port {port} of {bind}: {e}"))?;
    let url = sandbox.url();
    if json {
        let variables = variables(url).map(|(name, value)| (name.to_owned(), Value::from(value)));
        print(&Value::Object(Map::from_iter(variables)).to_string());
    } else {
        print(&format!("Sandbox running. Open {url}/"));
        print("Settings for a client:");
        for (name, value) in variables(url) {
            print(&format!("export {name}={value}"));
        }
    }

    stop.await;
    if !quiet && !json {
        let count = sandbox.messages().len();
        print(&format!("Messages stored: {count}. They were in memory only."));
    }
    Ok(())
}

/// Ignores errors, so the program keeps running after the reader of its output is gone.
fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Waits for Ctrl-C or SIGTERM. The first process of a container gets only signals that it has a handler for.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(windows)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move { drop(interrupt.recv().await) })
}
