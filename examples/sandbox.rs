//! Serves the endpoint on this machine until it is interrupted.
//!
//!     cargo run --example sandbox -- --port 8080

use std::process::ExitCode;

use botpress_messages::sandbox::Sandbox;
use clap::Parser;

/// Serves the endpoint on this machine until it is interrupted.
#[derive(Parser)]
struct Args {
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Answer 429 to what exceeds this number of requests in a second
    #[arg(long)]
    requests_per_second: Option<u64>,
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
    let mut sandbox = Sandbox::builder().port(args.port);
    if let Some(limit) = args.requests_per_second {
        sandbox = sandbox.requests_per_second(limit);
    }
    let sandbox = sandbox
        .start()
        .await
        .map_err(|e| format!("cannot listen on port {} of the loopback address: {e}", args.port))?;
    println!("The sandbox listens. Point a client at it with:");
    println!("export BP_API_URL={}", sandbox.url());
    println!("export BP_TOKEN={}", Sandbox::TOKEN);
    println!("export BP_BOT_ID={}", Sandbox::BOT_ID);
    println!("export BP_INTEGRATION_ID={}", Sandbox::INTEGRATION_ID);

    tokio::signal::ctrl_c().await.map_err(|e| format!("cannot wait for an interrupt: {e}"))?;
    println!("{} messages were stored and are gone now.", sandbox.messages().len());
    Ok(())
}
