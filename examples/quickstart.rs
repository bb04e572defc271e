//! A person writes, the channel sends the webhook twice, and one message is stored.
//!
//!     cargo run --example quickstart --no-default-features
//!
//! This needs no account: it talks to a sandbox that it starts itself, without TLS. With `BP_TOKEN`, `BP_BOT_ID`
//! and `BP_INTEGRATION_ID` set, and with the default features, it talks to the real API. FIRST_MESSAGE.md explains
//! where to get these values.

use std::env;
use std::error::Error;
use std::process::ExitCode;

use botpress_messages::{
    Client, Delivery, ErrorKind, ErrorType, NewConversation, NewUser, content::Text,
};
use botpress_sandbox::Sandbox;
use chrono::Utc;

#[tokio::main]
async fn main() -> ExitCode {
    match quickstart().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(advice) = error.downcast_ref().and_then(advice) {
                eprintln!("{advice}; see FIRST_MESSAGE.md");
            }
            ExitCode::FAILURE
        }
    }
}

/// What to check at the real API.
fn advice(error: &botpress_messages::Error) -> Option<&'static str> {
    let api = match error.kind() {
        ErrorKind::Api(api) => api,
        ErrorKind::Response(_) => return Some("check BP_API_URL: something else responds there"),
        _ => return None,
    };
    // A used-up quota can be a 403, too.
    match (&api.type_, api.status.as_u16()) {
        (ErrorType::QuotaExceeded, _) | (_, 402) => {
            Some("check the plan and the quotas of the workspace")
        }
        (_, 401) => Some("check BP_TOKEN"),
        (_, 403) => Some(
            "check BP_BOT_ID and BP_INTEGRATION_ID, and whether the integration is installed in the bot",
        ),
        (_, 400) => {
            Some("check whether the integration declares the channel `channel` and the tag `id`")
        }
        _ => None,
    }
}

async fn quickstart() -> Result<(), Box<dyn Error>> {
    let sandbox;
    let client = if ["BP_TOKEN", "BP_BOT_ID"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
    {
        println!("Talking to the API with the settings from the environment.\n");
        Client::from_env()?
    } else {
        sandbox = Sandbox::start().await?;
        println!(
            "Neither BP_TOKEN nor BP_BOT_ID is set: talking to a sandbox at {}.\n",
            sandbox.url()
        );
        sandbox.client().build()?
    };

    println!("1. A person writes. The webhook has the channel's ids; the API returns its own:");
    let webhook_id = format!("quickstart-{}", Utc::now().timestamp_millis());
    let delivery = Delivery::new(
        NewConversation::new("channel").tag("id", "C05C6ACTLPQ"),
        NewUser::new().tag("id", "U05BPU9V1KQ").name("Ann Petit"),
        Text::new("Hello from the quickstart"),
    )
    .tag("id", webhook_id);
    let first = client.deliver(&delivery).await?;
    println!("   {} in {}", first.record.user_id, first.record.conversation_id);
    println!("   {}: {}", first.record.id, outcome(first.created));

    println!("2. The channel sends the webhook again: same tag, same message.");
    let second = client.deliver(&delivery).await?;
    println!("   {}: {}", second.record.id, outcome(second.created));
    if first.record.id != second.record.id {
        return Err("the API stored the message twice".into());
    }

    println!("3. The stored message has typed content:");
    println!("   {:?}", second.record.content());

    println!("4. An invalid message is not sent. The error lists every violation:");
    let no_tag_value = NewUser::new().tag("id", "");
    let invalid = Delivery::new("conv_1", no_tag_value, Text::new("Dark mode"))
        .tag("id", "x".repeat(501))
        .discriminate_by_tags(["id", "channelId"]);
    let Err(rejected) = client.deliver(&invalid).await else {
        return Err("the invalid message was accepted".into());
    };
    for violation in rejected.violations() {
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
        None => "stored (it is not known whether this call created it)",
    }
}
