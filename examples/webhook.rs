//! Takes Slack's events and hands their messages to a bot, each once, however often Slack repeats them.
//!
//!     export SLACK_SIGNING_SECRET=...     # of the Slack app
//!     export BP_TOKEN=... BP_BOT_ID=... BP_INTEGRATION_ID=...
//!     cargo run --example webhook -- --port 3000
//!
//! To try it without Slack and Botpress, start `cargo run --example sandbox -- --port 8080`, export what it
//! prints, and send an event that you sign yourself:
//!
//!     body='{"type":"event_callback","event":{"type":"message","channel":"C1","channel_type":"channel",
//!       "user":"U1","text":"Hello","ts":"1722441123.004619"}}'
//!     time=$(date +%s)
//!     sign=$(printf %s "v0:$time:$body" | openssl dgst -sha256 -hmac "$SLACK_SIGNING_SECRET" | sed 's/.* //')
//!     curl -i localhost:3000/slack -d "$body" -H "x-slack-request-timestamp: $time" \
//!       -H "x-slack-signature: v0=$sign"

use std::env;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use botpress_messages::content::{Bloc, BlocItem, Content, File, Image, Text};
use botpress_messages::{Client, NewConversation, NewMessage, NewUser, Retry};
use clap::Parser;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;

/// Takes Slack's events at `/slack` and hands their messages to a bot.
#[derive(Parser)]
struct Args {
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// The address to listen on
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into())]
    bind: IpAddr,
}

/// What every request needs.
struct App {
    client: Client,
    signing_secret: String,
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

async fn serve(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let signing_secret = env::var("SLACK_SIGNING_SECRET").ok().filter(|secret| !secret.is_empty());
    let signing_secret = signing_secret.ok_or("SLACK_SIGNING_SECRET is missing")?;
    // Slack repeats what is not answered within three seconds.
    let retry = Retry::default().deadline(Duration::from_millis(2_500));
    let client = Client::builder().env().retry(retry).build()?;
    let app = App { client, signing_secret };

    let listener = TcpListener::bind((args.bind, args.port)).await?;
    println!("listening on http://{}/slack", listener.local_addr()?);
    let router = Router::new().route("/slack", post(receive)).with_state(Arc::new(app));
    Ok(axum::serve(listener, router).with_graceful_shutdown(interrupted()).await?)
}

/// The answer to Slack: 200 if it is done with the event, 5xx if it should send it again.
async fn receive(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_signed(&app.signing_secret, &headers, &body) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let message = match serde_json::from_slice(&body) {
        Ok(Envelope::UrlVerification { challenge }) => {
            return Json(json!({ "challenge": challenge })).into_response();
        }
        Ok(Envelope::EventCallback { event }) => {
            serde_json::from_value::<Event>(event).ok().and_then(message)
        }
        Ok(Envelope::Other) => None,
        Err(_) => return StatusCode::BAD_REQUEST.into_response(),
    };
    // Not everything is a message of a person.
    let Some(message) = message else { return StatusCode::OK.into_response() };
    match app.client.deliver(&message).await {
        Ok(_) => StatusCode::OK.into_response(),
        Err(error) => {
            eprintln!("{error}");
            match error.should_repeat() {
                true => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                false => StatusCode::OK.into_response(),
            }
        }
    }
}

/// Whether Slack signed this body, within the last five minutes: an older one may be a replay.
fn is_signed(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    const RECENT: u64 = 5 * 60;
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let check = || {
        let time = header("x-slack-request-timestamp")?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        let signature = hex::decode(header("x-slack-signature")?.strip_prefix("v0=")?).ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
        mac.update(format!("v0:{time}:").as_bytes());
        mac.update(body);
        let recent = now.abs_diff(time.parse().ok()?) <= RECENT;
        Some(recent && mac.verify_slice(&signature).is_ok())
    };
    check() == Some(true)
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Envelope {
    UrlVerification {
        challenge: String,
    },
    EventCallback {
        event: Value,
    },
    #[serde(other)]
    Other,
}

/// A message, as far as it is needed here.
#[derive(Deserialize)]
struct Event {
    r#type: String,
    subtype: Option<String>,
    bot_id: Option<String>,
    channel: String,
    channel_type: Option<String>,
    user: String,
    #[serde(default)]
    text: String,
    ts: String,
    thread_ts: Option<String>,
    #[serde(default)]
    files: Vec<Upload>,
}

#[derive(Deserialize)]
struct Upload {
    #[serde(default)]
    mimetype: String,
    url_private: String,
}

/// What a person wrote, if this is it: answering to bots and to edits would never end.
fn message(event: Event) -> Option<NewMessage> {
    let by_person = event.bot_id.is_none()
        && matches!(event.subtype.as_deref(), None | Some("file_share" | "thread_broadcast"));
    if event.r#type != "message" || !by_person {
        return None;
    }
    // What identifies each is what Slack never changes.
    let conversation = match (event.thread_ts, event.channel_type.as_deref()) {
        (Some(thread), _) => NewConversation::new("thread").tag("thread", thread),
        (None, Some("im")) => NewConversation::new("dm"),
        (None, _) => NewConversation::new("channel"),
    };
    let conversation = conversation.tag("id", &event.channel);
    let user = NewUser::new().tag("id", event.user);
    let message = NewMessage::new(conversation, user, content(event.text, event.files));
    Some(
        message
            .tag("ts", event.ts)
            .tag("channelId", event.channel)
            .discriminate_by(["ts", "channelId"]),
    )
}

fn content(text: String, files: Vec<Upload>) -> Content {
    if files.is_empty() {
        return Text::new(text).into();
    }
    let text = Some(text).filter(|text| !text.is_empty()).map(|text| Text::new(text).into());
    let files = files.into_iter().map(|file| match file.mimetype.starts_with("image/") {
        true => BlocItem::from(Image::new(file.url_private)),
        false => File::new(file.url_private).into(),
    });
    Bloc::new(text.into_iter().chain(files)).into()
}

/// Ends when the process is to stop. What is under way by then is answered.
async fn interrupted() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
        tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
}
