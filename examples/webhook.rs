//! Takes Slack's events and hands what people write to a bot: each message once, however often Slack
//! repeats it.
//!
//!     export SLACK_SIGNING_SECRET=... BP_TOKEN=... BP_BOT_ID=... BP_INTEGRATION_ID=...
//!     cargo run --example webhook -- --port 3000
//!
//! Slack's app wants an https URL that leads to `/slack`, and subscriptions to `message.*` events. Slack
//! repeats an event three times within about six minutes, then it is gone: what has to outlive a longer
//! outage needs a queue of your own.
//!
//! To try it without Slack and Botpress, start `cargo run --example sandbox`, export what it prints and
//! any signing secret, start this, and send an event that you sign yourself, twice:
//!
//!     body='{"type":"event_callback","event":{"type":"message","channel":"C1","user":"U1","text":"Hello","ts":"1722441123.004619"}}'
//!     time=$(date +%s)
//!     signature=$(printf %s "v0:$time:$body" | openssl dgst -sha256 -hmac "$SLACK_SIGNING_SECRET" -r | cut -d ' ' -f 1)
//!     curl -i localhost:3000/slack -H "X-Slack-Request-Timestamp: $time" -H "X-Slack-Signature: v0=$signature" -d "$body"

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use std::{env, error::Error, io};

use axum::http::{HeaderMap, StatusCode};
use axum::{Router, body::Bytes, extract::State, routing::post};
use botpress_messages::content::{Audio, Bloc, BlocItem, Content, File, Image, Text, Video};
use botpress_messages::{Client, NewConversation, NewMessage, NewUser, Retry};
use clap::Parser;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use tokio::{net::TcpListener, time::sleep};
use tracing::{error, warn};

/// Takes Slack's events at `/slack` and hands their messages to a bot.
#[derive(Parser)]
struct Args {
    /// The port to listen on; 0 takes a free one
    #[arg(long, env = "PORT", default_value_t = 3000)]
    port: u16,
    /// The address to listen on: that of this machine alone, unless told otherwise
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into())]
    bind: IpAddr,
}

/// What every request needs.
#[derive(Clone)]
struct App {
    client: Client,
    signature: Hmac<Sha256>,
}

/// Slack repeats what is not answered within three seconds.
const DEADLINE: Duration = Duration::from_millis(2_500);

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let Err(error) = serve(Args::parse()).await else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn serve(Args { port, bind }: Args) -> Result<(), Box<dyn Error>> {
    let secret = env::var("SLACK_SIGNING_SECRET").ok().filter(|secret| !secret.is_empty());
    let secret = secret.ok_or("SLACK_SIGNING_SECRET is missing: Slack shows it with the app")?;
    let signature = Hmac::new_from_slice(secret.as_bytes())?;
    let client = Client::from_env()?.with_retry(Retry::default().deadline(DEADLINE));

    let listener = TcpListener::bind((bind, port)).await;
    let listener = listener.map_err(|e| format!("cannot listen on {bind}, port {port}: {e}"))?;
    println!("Listening on http://{}/slack", listener.local_addr()?);
    let router = Router::new().route("/slack", post(receive)).with_state(App { client, signature });
    tokio::select! {
        result = axum::serve(listener, router).with_graceful_shutdown(stopped()) => Ok(result?),
        // What is under way has been answered by then.
        () = async { stopped().await; sleep(2 * DEADLINE).await } => Ok(()),
    }
}

type Answer = Result<String, (StatusCode, &'static str)>;

/// Answers Slack: 200 if it is done with an event, 5xx if it is to send it again.
async fn receive(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer {
    let unsigned = (StatusCode::UNAUTHORIZED, "Slack did not sign this in the last five minutes");
    verify(app.signature, &headers, &body).ok_or(unsigned)?;
    let unread = |error| {
        warn!(%error, "cannot be read");
        (StatusCode::BAD_REQUEST, "this is no event of Slack")
    };
    let webhook: Webhook = serde_json::from_slice(&body).map_err(unread)?;
    let event = webhook.event.filter(is_of_person);
    // What verifies the URL is a challenge, to be sent back.
    let Some(event) = event else { return Ok(webhook.challenge.unwrap_or_default()) };
    let (channel, ts) = (&event["channel"], &event["ts"]);
    let message = message(Message::deserialize(&event).map_err(unread)?);
    let Err(error) = app.client.deliver(&message).await else { return Ok(String::new()) };
    if error.should_repeat() {
        warn!(%channel, %ts, %error, "not known to be stored, so Slack is to repeat it");
        return Err((StatusCode::SERVICE_UNAVAILABLE, "send it again"));
    }
    error!(%channel, %ts, %error, "given up: nobody sends it again");
    Ok(String::new())
}

/// `None` if Slack did not sign this body, or not within five minutes: that may be a replay.
fn verify(signature: Hmac<Sha256>, headers: &HeaderMap, body: &[u8]) -> Option<()> {
    let time = headers.get("x-slack-request-timestamp")?.to_str().ok()?;
    let now = SystemTime::UNIX_EPOCH.elapsed().ok()?.as_secs();
    let recent = now.abs_diff(time.parse().ok()?) <= 5 * 60;
    let given = headers.get("x-slack-signature")?.to_str().ok()?.strip_prefix("v0=")?;
    let right = signature.chain_update(format!("v0:{time}:")).chain_update(body);
    right.verify_slice(&hex::decode(given).ok()?).ok().filter(|()| recent)
}

/// Whether a person wrote it. With bots and edits among them, answers would be answered for ever.
fn is_of_person(event: &Value) -> bool {
    let kinds = [None, Some("file_share"), Some("me_message"), Some("thread_broadcast")];
    let known = kinds.contains(&event["subtype"].as_str());
    event["type"] == "message" && event["bot_id"].is_null() && known
}

#[derive(Deserialize)]
struct Webhook {
    challenge: Option<String>,
    event: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    channel: String,
    channel_type: Option<String>,
    user: String,
    text: Option<String>,
    ts: String,
    thread_ts: Option<String>,
    files: Option<Vec<Upload>>,
}

#[derive(Deserialize)]
struct Upload {
    name: Option<String>,
    mimetype: Option<String>,
    url_private: Option<String>,
}

/// The tags are what never changes: with a name among them, a new name would make a new person.
fn message(event: Message) -> NewMessage {
    let thread = event.thread_ts.filter(|start| *start != event.ts);
    let conversation = match (thread, event.channel_type.as_deref()) {
        (Some(start), _) => NewConversation::new("thread").tag("thread", start),
        (_, Some("im")) => NewConversation::new("dm"),
        _ => NewConversation::new("channel"),
    };
    let conversation = conversation.tag("id", &event.channel);
    let user = NewUser::new().tag("id", event.user);
    let content = content(event.text.unwrap_or_default(), event.files.unwrap_or_default());
    let message = NewMessage::new(conversation, user, content);
    let message = message.tag("ts", event.ts).tag("channelId", event.channel);
    message.discriminate_by(["ts", "channelId"])
}

/// A text, or a bloc of it and the files, whose addresses open with the token of the Slack app.
fn content(text: String, files: Vec<Upload>) -> Content {
    let files: Vec<_> = files.into_iter().filter_map(item).collect();
    if files.is_empty() {
        return Text::new(text).into();
    }
    let text = (!text.is_empty()).then(|| Text::new(text).into());
    Bloc::new(text.into_iter().chain(files)).into()
}

/// `None` for a file without an address: it is deleted, or another workspace's.
fn item(file: Upload) -> Option<BlocItem> {
    let (url, name) = (file.url_private?, file.name.unwrap_or_default());
    Some(match file.mimetype.unwrap_or_default().split('/').next() {
        Some("image") => Image::new(url).title(name).into(),
        Some("audio") => Audio::new(url).title(name).into(),
        Some("video") => Video::new(url).title(name).into(),
        _ => File::new(url).title(name).into(),
    })
}

/// Ends when the process is to stop.
async fn stopped() {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate()).expect("it is a signal").recv().await
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}
