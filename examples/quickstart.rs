//! Creates a message, repeats it, and has an invalid one refused.
//!
//!     cargo run --example quickstart
//!
//! needs no account: it talks to a sandbox that it starts itself. With `BP_TOKEN` and `BP_BOT_ID` set
//! it talks to the real API, about a conversation and a user of yours:
//!
//!     cargo run --example quickstart -- conv_... user_...

use std::env;
use std::error::Error;
use std::process::ExitCode;

use botpress_messages::{Client, NewMessage, content::Text, sandbox::Sandbox};
use chrono::Utc;

#[tokio::main]
async fn main() -> ExitCode {
    match quickstart().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn quickstart() -> Result<(), Box<dyn Error>> {
    let sandbox;
    let client = if ["BP_TOKEN", "BP_BOT_ID"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
    {
        println!("Talking to the API that the environment names.\n");
        Client::from_env()?
    } else {
        sandbox = Sandbox::start().await?;
        println!(
            "Neither BP_TOKEN nor BP_BOT_ID is set: talking to a sandbox at {}.\n",
            sandbox.url()
        );
        sandbox.client().build()?
    };

    let mut arguments = env::args().skip(1);
    let conversation = arguments.next().unwrap_or("conv_01KDF2QM9Z2CK5XYT0RD4E7J5K".into());
    let user = arguments.next().unwrap_or("user_010NFASW4XK2YJ5RVY7B6JMC28".into());

    println!("1. A webhook arrives; its id is the tag that identifies the message.");
    let webhook_id = format!("quickstart-{}", Utc::now().timestamp_millis());
    let message = NewMessage::new(conversation, user, Text::new("Hello from the quickstart"))
        .tag("id", webhook_id)
        .discriminate_by(["id"]);
    let first = client.get_or_create(&message).await?;
    println!("   {}: {}", first.record.id, outcome(first.created));

    println!("2. The channel repeats the webhook: same tag, same message.");
    let second = client.get_or_create(&message).await?;
    println!("   {}: {}", second.record.id, outcome(second.created));
    if first.record.id != second.record.id {
        return Err("the API stored the message twice".into());
    }

    println!("3. What is stored can be read back by its type:");
    println!("   {:?}", second.record.content());

    println!(
        "4. A message that breaks the contract is not sent. Everything wrong with it is told:"
    );
    let invalid = NewMessage::new("conv_1", "canny-system", Text::new("Dark mode"))
        .tag("id", "x".repeat(501))
        .discriminate_by(["id", "channelId"]);
    let Err(refused) = client.get_or_create(&invalid).await else {
        return Err("the invalid message was accepted".into());
    };
    for violation in refused.violations() {
        println!("   {violation}");
    }

    if let (Some(remaining), Some(limit)) = (second.rate_limit.remaining, second.rate_limit.limit) {
        println!("\n{remaining} of {limit} requests are left in this window.");
    }
    Ok(())
}

fn outcome(created: Option<bool>) -> &'static str {
    match created {
        Some(true) => "created",
        Some(false) => "found",
        None => "stored (this version of the API does not say whether by this call)",
    }
}
