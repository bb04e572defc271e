//! Serves the endpoints on this machine until it is interrupted, and prints a line for each request.
//!
//!     botpress-sandbox --port 8080

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::Duration;

use botpress_sandbox::Sandbox;
use clap::Parser;

/// Serves the endpoints on this machine until it is interrupted, and prints a line for each request.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The address to listen on. Anyone who can reach it can see and control everything
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into())]
    bind: IpAddr,
    /// Answer 429 to what exceeds this number of requests in a second
    #[arg(long)]
    requests_per_second: Option<u64>,
    /// Let every answer leave this many milliseconds later
    #[arg(long, default_value_t = 0, value_name = "MILLISECONDS")]
    latency: u64,
    /// Have requests fail by chance, with probability P; the same seed gives the same faults
    #[arg(long, value_name = "SEED:P", value_parser = storm)]
    storm: Option<(u64, f64)>,
    /// Refuse messages of users and conversations that it did not give out
    #[arg(long)]
    strict: bool,
}

fn storm(text: &str) -> Result<(u64, f64), String> {
    let (seed, probability) =
        text.split_once(':').ok_or("it takes a seed, a colon and a number")?;
    let seed = seed.parse().map_err(|e| format!("the seed: {e}"))?;
    let probability = probability.parse().map_err(|e| format!("the probability: {e}"))?;
    match (0.0..=1.0).contains(&probability) {
        true => Ok((seed, probability)),
        false => Err("the probability has to be between 0 and 1".into()),
    }
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
    let mut sandbox = Sandbox::builder()
        .port(args.port)
        .bind(args.bind)
        .latency(Duration::from_millis(args.latency))
        // It serves on if nobody reads the lines any more.
        .on_request(|request| drop(writeln!(io::stdout(), "{request}")));
    if let Some(limit) = args.requests_per_second {
        sandbox = sandbox.requests_per_second(limit);
    }
    if let Some((seed, probability)) = args.storm {
        sandbox = sandbox.storm(seed, probability);
    }
    if args.strict {
        sandbox = sandbox.strict();
    }
    let sandbox = sandbox
        .start()
        .await
        .map_err(|e| format!("cannot listen on port {} of {}: {e}", args.port, args.bind))?;
    println!("The sandbox listens. See what arrives at {}/", sandbox.url());
    println!("Point a client at it with:");
    println!("export BP_API_URL={}", sandbox.url());
    println!("export BP_TOKEN={}", Sandbox::TOKEN);
    println!("export BP_BOT_ID={}", Sandbox::BOT_ID);
    println!("export BP_INTEGRATION_ID={}", Sandbox::INTEGRATION_ID);

    tokio::signal::ctrl_c().await.map_err(|e| format!("cannot wait for an interrupt: {e}"))?;
    println!("{} messages were stored and are gone now.", sandbox.messages().len());
    Ok(())
}
