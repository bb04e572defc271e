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
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, error, io};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::post;
use botpress_messages::content::{Audio, Bloc, BlocItem, Content, File, Image, Text, Video};
use botpress_messages::{Client, NewConversation, NewMessage, NewUser, Retry};
use clap::Parser;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{error, info, warn};

/// Takes Slack's events at /slack and hands what people write to a bot.
#[derive(Parser)]
struct Args {
    /// The port to listen on; 0 takes a free one
    #[arg(long, env = "PORT", default_value_t = 3000)]
    port: u16,
    /// The address to listen on: that of this machine alone, unless told otherwise
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into())]
    host: IpAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    match serve(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Slack repeats what is not answered by then.
const SLACK_WAITS: Duration = Duration::from_secs(3);

async fn serve(args: Args) -> Result<(), Box<dyn error::Error>> {
    let secret = env::var("SLACK_SIGNING_SECRET").ok().filter(|secret| !secret.is_empty());
    let secret =
        secret.ok_or("SLACK_SIGNING_SECRET is missing: it is one of the app's credentials")?;
    // Half a second is for the way from Slack and back.
    let retry = Retry::default().deadline(SLACK_WAITS - Duration::from_millis(500));
    let client = Client::from_env()?.with_retry(retry);
    let app = App { client, signature: Hmac::new_from_slice(secret.as_bytes())? };

    let router = Router::new().route("/slack", post(receive)).with_state(app);
    let listener = TcpListener::bind((args.host, args.port)).await?;
    println!("Listening on http://{}/slack", listener.local_addr()?);
    let (stop, stopped) = oneshot::channel::<()>();
    let server =
        axum::serve(listener, router).with_graceful_shutdown(async { drop(stopped.await) });
    let server = tokio::spawn(server.into_future());

    asked_to_stop().await?;
    drop(stop);
    // What is under way is answered by then; a connection that only stands open is not waited for.
    let _ = timeout(SLACK_WAITS, server).await;
    Ok(())
}

/// Waits for Ctrl-C, or for SIGTERM where there is one.
async fn asked_to_stop() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

#[derive(Clone)]
struct App {
    client: Client,
    /// Made with the signing secret, of nothing yet.
    signature: Hmac<Sha256>,
}

type Answer = Result<String, (StatusCode, &'static str)>;

/// Answers Slack: 200 if it is done with an event, 5xx if it is to send it again.
async fn receive(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer {
    app.verify(&headers, &body).map_err(|cause| (StatusCode::UNAUTHORIZED, cause))?;
    let message = match serde_json::from_slice(&body) {
        Ok(Webhook::UrlVerification { challenge }) => return Ok(challenge),
        Ok(Webhook::EventCallback { event: Event::Message(message) }) => message,
        Ok(_) => return Ok(String::new()),
        Err(error) => {
            warn!(%error, "cannot be read");
            return Err((StatusCode::BAD_REQUEST, "this is no event of Slack"));
        }
    };
    let Some(inbound) = message.of_a_person() else { return Ok(String::new()) };
    let Message { channel, ts, .. } = *message;
    match app.client.deliver(&inbound).await {
        Ok(stored) => info!(channel, ts, id = stored.record.id, created = stored.created, "stored"),
        Err(error) if error.should_repeat() => {
            warn!(channel, ts, %error, "not known to be stored, so Slack is to repeat it");
            return Err((StatusCode::SERVICE_UNAVAILABLE, "send it again"));
        }
        Err(error) => error!(channel, ts, %error, "given up: nobody sends it again"),
    }
    Ok(String::new())
}

impl App {
    /// Whether Slack signed this body, and lately: an older one may be a replay.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), &'static str> {
        const LATELY: u64 = 5 * 60;
        let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let time = header("x-slack-request-timestamp").unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if !time.parse().is_ok_and(|time: u64| now.abs_diff(time) <= LATELY) {
            return Err("the timestamp is not of the last five minutes");
        }
        let signature = header("x-slack-signature").and_then(|text| text.strip_prefix("v0="));
        let signature = hex::decode(signature.unwrap_or_default()).unwrap_or_default();
        let signed = self.signature.clone().chain_update(format!("v0:{time}:")).chain_update(body);
        signed.verify_slice(&signature).map_err(|_| "the signature is missing or wrong")
    }
}

/// What Slack sends, as far as it matters here.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Webhook {
    UrlVerification {
        challenge: String,
    },
    EventCallback {
        event: Event,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    Message(Box<Message>),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Message {
    subtype: Option<String>,
    bot_id: Option<String>,
    user: Option<String>,
    channel: String,
    channel_type: Option<String>,
    ts: String,
    thread_ts: Option<String>,
    text: Option<String>,
    files: Option<Vec<Upload>>,
}

#[derive(Deserialize)]
struct Upload {
    name: Option<String>,
    mimetype: Option<String>,
    url_private: Option<String>,
}

impl Message {
    /// The message for the bot, if a person wrote it. Two bots would answer each other for ever, and an
    /// edit or a topic is not a new message.
    fn of_a_person(&self) -> Option<NewMessage> {
        let subtype = self.subtype.as_deref();
        let new = matches!(subtype, None | Some("file_share" | "me_message" | "thread_broadcast"));
        let user = self.user.as_deref().filter(|_| new && self.bot_id.is_none())?;
        // A tag identifies, so it holds nothing that may change, such as a name.
        let thread = self.thread_ts.as_deref().filter(|thread| *thread != self.ts);
        let conversation = match (thread, self.channel_type.as_deref()) {
            (Some(thread), _) => NewConversation::new("thread").tag("thread", thread),
            (None, Some("im")) => NewConversation::new("dm"),
            (None, _) => NewConversation::new("channel"),
        };
        let conversation = conversation.tag("id", &self.channel);
        let message = NewMessage::new(conversation, NewUser::new().tag("id", user), self.content());
        // The bot may have added further tags when the event comes again.
        let message = message.tag("ts", &self.ts).tag("channelId", &self.channel);
        Some(message.discriminate_by(["ts", "channelId"]))
    }

    fn content(&self) -> Content {
        let text = Text::new(self.text.as_deref().unwrap_or_default());
        let files: Vec<_> = self.files.iter().flatten().filter_map(Upload::item).collect();
        if files.is_empty() {
            return text.into();
        }
        let text = (!text.text.is_empty()).then(|| text.into());
        Bloc::new(text.into_iter().chain(files)).into()
    }
}

impl Upload {
    /// The file, unless Slack keeps its address from the app. To read it, the bot needs Slack's token.
    fn item(&self) -> Option<BlocItem> {
        let (url, name) = (self.url_private.as_deref()?, self.name.as_deref().unwrap_or_default());
        Some(match self.mimetype.as_deref().and_then(|mimetype| mimetype.split('/').next()) {
            Some("image") => Image::new(url).title(name).into(),
            Some("audio") => Audio::new(url).title(name).into(),
            Some("video") => Video::new(url).title(name).into(),
            _ => File::new(url).title(name).into(),
        })
    }
}
