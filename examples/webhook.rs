//! Receives the webhooks of Slack, Telegram and WhatsApp, and passes each message to a bot once.
//!
//!     export TELEGRAM_SECRET_TOKEN=... BP_TOKEN=... BP_BOT_ID=... BP_INTEGRATION_ID=...
//!     cargo run --example webhook
//!
//! It listens on `127.0.0.1:3000`, or on the address and port in `LISTEN`. Each channel whose secrets are set
//! has a path. The channel needs an https URL for it:
//!
//! | path | secrets | in the channel |
//! | --- | --- | --- |
//! | `/slack` | `SLACK_SIGNING_SECRET` | subscribe to `message.*` events |
//! | `/telegram` | `TELEGRAM_SECRET_TOKEN` | call `setWebhook` with the same token as `secret_token` |
//! | `/whatsapp` | `WHATSAPP_APP_SECRET`, `WHATSAPP_VERIFY_TOKEN` | subscribe to `messages`, with the same verify token |
//!
//! Channels send an event again for a limited time; Slack only for about six minutes. To survive a longer outage,
//! use a durable queue: `crates/bridge` is one.
//!
//! To try it without a channel and without Botpress, start `cargo run -p botpress-sandbox`. Export what it prints
//! and any `TELEGRAM_SECRET_TOKEN`, start this, and send a message twice:
//!
//!     curl -i localhost:3000/telegram -H "X-Telegram-Bot-Api-Secret-Token: $TELEGRAM_SECRET_TOKEN" -d '{"update_id":1,
//!       "message":{"message_id":2,"chat":{"id":3,"type":"private"},"from":{"id":3},"text":"Hello"}}'

use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use std::{env, error::Error, io, sync::Arc};

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::{Router, body::Bytes, extract::State, routing::post};
use botpress_channels::{Channel, Event, InvalidSecret, Rejected, SecretToken, SigningSecret};
use botpress_messages::{Client, Delivery, Retry};
use tokio::{net::TcpListener, time::sleep};
use tracing::{debug, error, warn};

/// Slack sends a webhook again if it gets no response within three seconds; the others wait longer.
const DEADLINE: Duration = Duration::from_millis(2_500);

const NO_CHANNEL: &str = "no channel: set SLACK_SIGNING_SECRET, TELEGRAM_SECRET_TOKEN, or WHATSAPP_APP_SECRET and WHATSAPP_VERIFY_TOKEN";

/// What every request on a path needs.
struct App {
    client: Client,
    channel: Channel,
}

type Reply = Result<String, (StatusCode, &'static str)>;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let Err(error) = serve().await else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let channels = channels()?;
    channels.first().ok_or(NO_CHANNEL)?;
    let client = Client::from_env()?.with_retry(Retry::default().deadline(DEADLINE));

    let address = variable("LISTEN").unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address).await;
    let listener = listener.map_err(|e| format!("cannot listen on {address}: {e}"))?;
    let mut router = Router::new();
    for channel in channels {
        let path = format!("/{}", channel.name());
        println!("Listening on http://{}{path}", listener.local_addr()?);
        let app = Arc::new(App { client: client.clone(), channel });
        router = router.route(&path, post(receive).get(check).with_state(app));
    }
    tokio::select! {
        result = axum::serve(listener, router).with_graceful_shutdown(stopped()) => Ok(result?),
        // After this time, every delivery in flight has ended.
        () = async { stopped().await; sleep(2 * DEADLINE).await } => Ok(()),
    }
}

/// The channels whose secrets are set.
fn channels() -> Result<Vec<Channel>, String> {
    let slack = secret("SLACK_SIGNING_SECRET", SigningSecret::new)?.map(Channel::Slack);
    let telegram = secret("TELEGRAM_SECRET_TOKEN", SecretToken::new)?.map(Channel::Telegram);
    let app_secret = secret("WHATSAPP_APP_SECRET", SigningSecret::new)?;
    let verify_token = secret("WHATSAPP_VERIFY_TOKEN", SecretToken::new)?;
    let whatsapp = match (app_secret, verify_token) {
        (Some(app_secret), Some(verify_token)) => {
            Some(Channel::WhatsApp { app_secret, verify_token })
        }
        (None, None) => None,
        _ => return Err("set WHATSAPP_APP_SECRET and WHATSAPP_VERIFY_TOKEN, or neither".to_owned()),
    };
    Ok([slack, telegram, whatsapp].into_iter().flatten().collect())
}

fn secret<S>(name: &str, new: fn(String) -> Result<S, InvalidSecret>) -> Result<Option<S>, String> {
    variable(name).map(new).transpose().map_err(|e| format!("{name}: {e}"))
}

/// A variable that is set, and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Responds with 200, with 401 if the webhook cannot be verified, or with 503 if the channel has to send it again.
async fn receive(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Reply {
    app.channel.verify(&headers, &body, SystemTime::now()).map_err(rejected)?;
    for event in app.channel.parse(&body) {
        match event {
            // If one has to be sent again, the rest is not delivered: the channel sends all of them again, in order.
            Event::Message { chat, message_id, delivery, .. } => {
                deliver(&app.client, &chat, &message_id, &delivery).await?;
            }
            Event::Challenge(text) => return Ok(text),
            Event::Ignored { why } => debug!(why, "ignored"),
            Event::Unsupported { chat, message_id, why } => {
                warn!(chat, message_id, why, "not stored")
            }
            Event::Unreadable { why } => warn!(why, "cannot be read"),
        }
    }
    Ok(String::new())
}

/// Responds when WhatsApp checks the URL.
async fn check(State(app): State<Arc<App>>, uri: Uri) -> Reply {
    let Channel::WhatsApp { verify_token, .. } = &app.channel else {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "send a POST request"));
    };
    botpress_channels::whatsapp::challenge(verify_token, &uri).map_err(rejected)
}

fn rejected(cause: Rejected) -> (StatusCode, &'static str) {
    warn!(%cause, "rejected");
    (StatusCode::UNAUTHORIZED, "the signature or the secret token is missing, wrong or old")
}

async fn deliver(client: &Client, chat: &str, message_id: &str, delivery: &Delivery) -> Reply {
    let Err(error) = client.deliver(delivery).await else { return Ok(String::new()) };
    if error.should_repeat() {
        warn!(chat, message_id, %error, "perhaps not stored, so the channel has to send it again");
        return Err((StatusCode::SERVICE_UNAVAILABLE, "send it again"));
    }
    error!(chat, message_id, %error, "given up: the channel does not send it again");
    Ok(String::new())
}

/// Completes when the process gets a signal to stop.
async fn stopped() {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate()).expect("SIGTERM can be handled").recv().await
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}
