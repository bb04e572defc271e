//! Takes Slack's events and hands what people write to a bot: each message once, however often Slack
//! repeats it.
//!
//!     export SLACK_SIGNING_SECRET=... BP_TOKEN=... BP_BOT_ID=... BP_INTEGRATION_ID=...
//!     cargo run --example webhook
//!
//! It listens on `127.0.0.1:3000`, or on the address and port in `LISTEN`.
//!
//! The Slack app needs an https URL that leads to `/slack`, and subscriptions to `message.*` events. Slack
//! repeats an event three times within about six minutes. To survive a longer outage, use a durable queue:
//! `crates/bridge` is one.
//!
//! To try it without Slack and Botpress, start `cargo run -p botpress-sandbox`, export what it prints and
//! any signing secret, start this, and send an event that you sign yourself, twice:
//!
//!     body='{"type":"event_callback","event":{"type":"message","channel":"C1","user":"U1","text":"Hello","ts":"1722441123.004619"}}'
//!     time=$(date +%s)
//!     signature=$(printf %s "v0:$time:$body" | openssl dgst -sha256 -hmac "$SLACK_SIGNING_SECRET" -r | cut -d ' ' -f 1)
//!     curl -i localhost:3000/slack -H "X-Slack-Request-Timestamp: $time" -H "X-Slack-Signature: v0=$signature" -d "$body"

use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use std::{env, error::Error, io};

use axum::http::{HeaderMap, StatusCode};
use axum::{Router, body::Bytes, extract::State, routing::post};
use botpress_channels::{Event, SigningSecret, slack};
use botpress_messages::{Client, Delivery, Retry};
use tokio::{net::TcpListener, time::sleep};
use tracing::{debug, error, warn};

/// Slack repeats what is not answered within three seconds.
const DEADLINE: Duration = Duration::from_millis(2_500);

/// What every request needs.
#[derive(Clone)]
struct App {
    client: Client,
    secret: SigningSecret,
}

type Answer = Result<String, (StatusCode, &'static str)>;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let Err(error) = serve().await else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let secret = variable("SLACK_SIGNING_SECRET")
        .ok_or("SLACK_SIGNING_SECRET is missing: Slack shows it with the app")?;
    let secret = SigningSecret::new(secret).map_err(|e| format!("SLACK_SIGNING_SECRET: {e}"))?;
    let client = Client::from_env()?.with_retry(Retry::default().deadline(DEADLINE));

    let address = variable("LISTEN").unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address).await;
    let listener = listener.map_err(|e| format!("cannot listen on {address}: {e}"))?;
    println!("Listening on http://{}/slack", listener.local_addr()?);
    let router = Router::new().route("/slack", post(receive)).with_state(App { client, secret });
    tokio::select! {
        result = axum::serve(listener, router).with_graceful_shutdown(stopped()) => Ok(result?),
        // Every delivery in flight has ended before that.
        () = async { stopped().await; sleep(2 * DEADLINE).await } => Ok(()),
    }
}

/// A variable that is set, and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Answers Slack: 200 if it is done with an event, 503 if it is to send it again.
async fn receive(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer {
    if let Err(cause) = slack::verify(&app.secret, &headers, &body, SystemTime::now()) {
        warn!(%cause, "rejected");
        return Err((StatusCode::UNAUTHORIZED, "Slack did not sign this in the last five minutes"));
    }
    match slack::parse(&body) {
        Event::Message { chat, message_id, delivery, .. } => {
            return deliver(&app.client, &chat, &message_id, &delivery).await;
        }
        Event::Challenge(text) => return Ok(text),
        Event::Ignored { why } => debug!(why, "ignored"),
        Event::Unsupported { chat, message_id, why } => warn!(chat, message_id, why, "not stored"),
        Event::Unreadable { why } => warn!(why, "cannot be read"),
    }
    Ok(String::new())
}

async fn deliver(client: &Client, chat: &str, message_id: &str, delivery: &Delivery) -> Answer {
    let Err(error) = client.deliver(delivery).await else { return Ok(String::new()) };
    if error.should_repeat() {
        warn!(chat, message_id, %error, "not known to be stored, so Slack is to repeat it");
        return Err((StatusCode::SERVICE_UNAVAILABLE, "send it again"));
    }
    error!(chat, message_id, %error, "given up: nobody sends it again");
    Ok(String::new())
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
