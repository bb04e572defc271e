//! The server that takes webhooks: each is in the queue before it is answered.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use botpress_channels::{
    Channel, Event, InvalidSecret, Rejected, SecretToken, SigningSecret, slack, whatsapp,
};
use botpress_messages::Delivery;
use http_body_util::LengthLimitError;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::metrics::{Metrics, listen};
use crate::queue::{self, NotStored, Shared};
use crate::{Failure, bot_id, connections};

/// Slack waits three seconds for its answer.
const IN_TIME: Duration = Duration::from_millis(2_500);
/// A request may have 1 MB; the queue has its own limit.
const BODY_LIMIT: usize = 1 << 20;
/// From a request's headers to its answer.
const REQUEST_LASTS: Duration = Duration::from_secs(10);
const LONGEST_ID: usize = 200;

/// Settings of a receiver.
#[derive(clap::Args)]
pub struct Settings {
    /// Address and port for webhooks; a proxy in front adds TLS
    #[arg(long, env = "BRIDGE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,
    /// The ids of the bots that are served, with commas between them
    #[arg(long, env = "BRIDGE_BOTS", value_delimiter = ',', value_parser = bot_id,
        required_unless_present = "bot_id")]
    bots: Vec<String>,
    /// The bot that is served if there is no list of bots
    #[arg(long, env = "BP_BOT_ID", value_parser = bot_id)]
    bot_id: Option<String>,
    /// The bearer token for /BOT/messages, which is closed without it; a command line is public, so set
    /// the variable
    #[arg(long, env = "BRIDGE_KEY")]
    key: Option<String>,
    /// The secret of the Slack app, for /BOT/slack, which is closed without it; a command line is public,
    /// so set the variable
    #[arg(long, env = "SLACK_SIGNING_SECRET")]
    slack_signing_secret: Option<String>,
    /// The secret token of the webhook of the Telegram bot, for /BOT/telegram, which is closed without it; a
    /// command line is public, so set the variable
    #[arg(long, env = "TELEGRAM_SECRET_TOKEN")]
    telegram_secret_token: Option<String>,
    /// The secret of the Meta app, for /BOT/whatsapp, which is closed without it; a command line is public, so
    /// set the variable
    #[arg(long, env = "WHATSAPP_APP_SECRET", requires = "whatsapp_verify_token")]
    whatsapp_app_secret: Option<String>,
    /// What the Meta app was given to check the URL of /BOT/whatsapp; a command line is public, so set the
    /// variable
    #[arg(long, env = "WHATSAPP_VERIFY_TOKEN", requires = "whatsapp_app_secret")]
    whatsapp_verify_token: Option<String>,
    /// How many connections may be open at once; the next one waits
    #[arg(long, env = "BRIDGE_CONNECTIONS", default_value_t = 512,
        value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// How many bytes of webhooks may be in memory at once; a webhook beyond that is answered with 503
    #[arg(long, env = "BRIDGE_BUFFER", default_value_t = 64 << 20,
        value_parser = clap::value_parser!(u32).range(BODY_LIMIT as i64..))]
    buffer: u32,
    /// Address and port for Prometheus; none by default
    #[arg(long, env = "BRIDGE_METRICS")]
    pub metrics: Option<String>,
}

struct Receiver {
    queue: Shared,
    metrics: Metrics,
    bots: Vec<String>,
    slack_secret: Option<SigningSecret>,
    /// The other channels that are open.
    channels: Vec<Channel>,
    key: Option<String>,
    /// A permit for each byte of a body that is in memory.
    buffer: Semaphore,
}

pub async fn run(
    settings: Settings,
    queue: &queue::Settings,
    stop: CancellationToken,
) -> Result<(), Failure> {
    settings.slack_secret()?;
    settings.channels()?;
    let (queue, metrics) = (queue.open(&stop).await?, Metrics::new());
    metrics.serve(settings.metrics.as_deref(), &queue, &settings.bots()).await?;
    let served = serve(settings, queue.clone(), metrics, stop).await;
    queue.flush().await;
    served
}

impl Settings {
    pub fn bots(&self) -> Vec<String> {
        if self.bots.is_empty() { self.bot_id.iter().cloned().collect() } else { self.bots.clone() }
    }

    /// Checks how webhooks are authenticated.
    pub fn slack_secret(&self) -> Result<Option<SigningSecret>, Failure> {
        let Self { key, slack_signing_secret: secret, .. } = self;
        let secret = secret.clone().map(SigningSecret::new).transpose();
        let secret = secret.map_err(|e| Failure::settings(format!("SLACK_SIGNING_SECRET: {e}")))?;
        if secret.is_none() && self.channels()?.is_empty() && key.is_none() {
            let text = "no authentication configured: set BRIDGE_KEY or the secrets of a channel";
            return Err(Failure::settings(text));
        }
        let fits_a_header = |key: &str| key.trim() == key && key.bytes().all(is_printable);
        if key.as_ref().is_some_and(|key| !fits_a_header(key)) {
            let text =
                "BRIDGE_KEY may have only printable ASCII characters, and no space at its ends";
            return Err(Failure::settings(text));
        }
        Ok(secret)
    }
}

/// Takes webhooks until `stop`, and then what is in flight.
pub async fn serve(
    settings: Settings,
    queue: Shared,
    metrics: Metrics,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let (bots, slack_secret) = (settings.bots(), settings.slack_secret()?);
    let listener = listen("BRIDGE_LISTEN", &settings.listen).await?;
    let buffer = Semaphore::new(settings.buffer as usize);
    let channels = settings.channels()?;
    let receiver =
        Receiver { queue, metrics, bots, slack_secret, channels, key: settings.key, buffer };
    let router = Router::new()
        .route("/{bot}/slack", post(slack))
        .route("/{bot}/messages", post(messages))
        .route("/{bot}/{channel}", post(webhook).get(check_url))
        .layer(from_fn(in_time))
        .with_state(Arc::new(receiver));
    connections::serve(listener, router, settings.connections.into(), REQUEST_LASTS, stop).await;
    Ok(())
}

impl Settings {
    /// The channels other than Slack whose secrets are set.
    fn channels(&self) -> Result<Vec<Channel>, Failure> {
        fn secret<S>(
            name: &str,
            value: &Option<String>,
            new: fn(String) -> Result<S, InvalidSecret>,
        ) -> Result<Option<S>, Failure> {
            let secret = value.clone().map(new).transpose();
            secret.map_err(|e| Failure::settings(format!("{name}: {e}")))
        }
        let telegram =
            secret("TELEGRAM_SECRET_TOKEN", &self.telegram_secret_token, SecretToken::new)?;
        let app_secret =
            secret("WHATSAPP_APP_SECRET", &self.whatsapp_app_secret, SigningSecret::new)?;
        let verify_token =
            secret("WHATSAPP_VERIFY_TOKEN", &self.whatsapp_verify_token, SecretToken::new)?;
        let whatsapp = app_secret.zip(verify_token);
        let whatsapp = whatsapp
            .map(|(app_secret, verify_token)| Channel::WhatsApp { app_secret, verify_token });
        Ok(telegram.map(Channel::Telegram).into_iter().chain(whatsapp).collect())
    }
}

/// Answers in time, also a client that does not get to the end of a request.
async fn in_time(request: Request, next: Next) -> Response {
    let answer = timeout(REQUEST_LASTS, next.run(request)).await;
    answer.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}

/// What a webhook is answered, and under which name it is counted.
struct Answer {
    outcome: &'static str,
    status: StatusCode,
    text: String,
}

fn answer(outcome: &'static str, status: u16, text: impl Into<String>) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer { outcome, status, text: text.into() }
}

fn refused(status: u16, text: impl Into<String>) -> Answer {
    answer("refused", status, text)
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// The id of an event becomes a header of NATS, where only some characters are safe.
fn event_id<'a>(name: &str, id: &'a [u8]) -> Result<&'a str, Answer> {
    match str::from_utf8(id).ok().filter(|id| id.bytes().all(is_printable)) {
        None => Err(refused(400, format!("{name} has a character other than printable ASCII"))),
        Some(id) if id.is_empty() || id.len() > LONGEST_ID => {
            let text = format!("{name} must have 1 to {LONGEST_ID} characters");
            Err(refused(400, text))
        }
        Some(id) => Ok(id),
    }
}

fn unsigned(bot: &str, cause: &Rejected) -> Answer {
    tracing::warn!(bot, %cause, "a webhook of Slack is rejected");
    refused(401, "the signature is missing, wrong or old")
}

fn unverified(bot: &str, channel: &str, cause: &Rejected) -> Answer {
    tracing::warn!(bot, channel, %cause, "a webhook is rejected");
    refused(401, "the signature or the secret token is missing or wrong")
}

fn digest(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

async fn slack(
    State(receiver): State<Arc<Receiver>>,
    Path(bot): Path<String>,
    request: Request,
) -> Response {
    receiver.count(&bot, receiver.slack(&bot, request).await)
}

async fn messages(
    State(receiver): State<Arc<Receiver>>,
    Path(bot): Path<String>,
    request: Request,
) -> Response {
    receiver.count(&bot, receiver.message(&bot, request).await)
}

async fn webhook(
    State(receiver): State<Arc<Receiver>>,
    Path((bot, channel)): Path<(String, String)>,
    request: Request,
) -> Response {
    receiver.count(&bot, receiver.webhook(&bot, &channel, request).await)
}

async fn check_url(
    State(receiver): State<Arc<Receiver>>,
    Path((bot, channel)): Path<(String, String)>,
    uri: Uri,
) -> Response {
    receiver.count(&bot, receiver.challenge(&bot, &channel, &uri))
}

impl Receiver {
    fn count(&self, bot: &str, result: Result<Answer, Answer>) -> Response {
        let Answer { outcome, status, text } = result.unwrap_or_else(|answer| answer);
        if status.is_client_error() {
            tracing::warn!(bot, status = status.as_u16(), "a webhook is rejected: {text}");
        }
        self.metrics.received(outcome);
        let mut response = (status, text).into_response();
        if !matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST) {
            // The body may not have been read, so the connection takes no other request.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// A webhook of Slack's. Slack repeats all that is not answered with 200, so a webhook that is of no
    /// use is one that Slack need not repeat.
    async fn slack(&self, bot: &str, request: Request) -> Result<Answer, Answer> {
        let Some(secret) = &self.slack_secret else {
            return Err(refused(404, "SLACK_SIGNING_SECRET is not set here"));
        };
        let (head, body) = request.into_parts();
        let headers = &head.headers;
        // If the headers of the signature are missing or malformed, the body need not be read.
        match slack::verify(secret, headers, b"", SystemTime::now()) {
            Ok(()) | Err(Rejected::SignatureMismatch) => {}
            Err(cause) => return Err(unsigned(bot, &cause)),
        }
        let (body, _permit) = self.read(headers, body).await?;
        let body = &body;
        if let Err(cause) = slack::verify(secret, headers, body, SystemTime::now()) {
            return Err(unsigned(bot, &cause));
        }
        self.check(bot)?;
        self.take(bot, "slack", body, slack::parse(body)).await
    }

    /// A webhook of one of the other channels.
    async fn webhook(&self, bot: &str, name: &str, request: Request) -> Result<Answer, Answer> {
        let channel = self.channel(name)?;
        let unverified = |cause| unverified(bot, name, &cause);
        let (head, body) = request.into_parts();
        // The body need not be read if it cannot be what is wrong.
        match channel.verify(&head.headers, b"", SystemTime::now()) {
            Ok(()) | Err(Rejected::SignatureMismatch) => {}
            Err(cause) => return Err(unverified(cause)),
        }
        let (body, _permit) = self.read(&head.headers, body).await?;
        channel.verify(&head.headers, &body, SystemTime::now()).map_err(unverified)?;
        self.check(bot)?;
        let mut events = channel.parse(&body);
        let last = events.pop().ok_or_else(|| refused(400, "the webhook has no event"))?;
        // If one is not stored, the channel repeats the whole webhook. So those after it keep their order.
        for event in events {
            let Answer { outcome, .. } = self.take(bot, name, &body, event).await?;
            self.metrics.received(outcome);
        }
        self.take(bot, name, &body, last).await
    }

    /// A request by which WhatsApp checks the URL.
    fn challenge(&self, bot: &str, name: &str, uri: &Uri) -> Result<Answer, Answer> {
        let Channel::WhatsApp { verify_token, .. } = self.channel(name)? else {
            return Err(refused(405, "send a POST request"));
        };
        let challenge = whatsapp::challenge(verify_token, uri);
        let text = challenge.map_err(|cause| unverified(bot, name, &cause))?;
        self.check(bot)?;
        Ok(answer("challenge", 200, text))
    }

    fn channel(&self, name: &str) -> Result<&Channel, Answer> {
        let channel = self.channels.iter().find(|channel| channel.name() == name);
        channel.ok_or_else(|| refused(404, "the secrets of this channel are not set here"))
    }

    /// Stores what an event says, if it is a message.
    async fn take(
        &self,
        bot: &str,
        channel: &str,
        body: &Bytes,
        event: Event,
    ) -> Result<Answer, Answer> {
        match event {
            Event::Challenge(text) => Ok(answer("challenge", 200, text)),
            Event::Message { id, delivery, .. } => {
                let id = match &id {
                    Some(id) => event_id("event_id", id.as_bytes())?.to_owned(),
                    None => format!("body {}", digest(body)),
                };
                let message = json!(delivery).to_string().into();
                self.store(bot, &format!("{channel} {id}"), &delivery, message).await
            }
            Event::Ignored { why } => Ok(answer("ignored", 200, why)),
            Event::Unsupported { chat, message_id, why } => {
                tracing::warn!(
                    bot,
                    channel,
                    chat,
                    message_id,
                    why,
                    "a message cannot be represented"
                );
                Ok(answer("unsupported", 200, why))
            }
            Event::Unreadable { why } => {
                tracing::warn!(bot, channel, why, "a webhook cannot be read");
                Ok(answer("unreadable", 200, why))
            }
        }
    }

    /// A message in the endpoint's JSON form, with user and conversation or their ids.
    async fn message(&self, bot: &str, request: Request) -> Result<Answer, Answer> {
        let Some(key) = &self.key else {
            return Err(refused(404, "BRIDGE_KEY is not set here"));
        };
        let (head, body) = request.into_parts();
        let headers = &head.headers;
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = header.and_then(|value| value.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        // The time that a comparison of digests takes reveals nothing.
        if given.is_none_or(|(_, given)| Sha256::digest(given.trim()) != Sha256::digest(key)) {
            return Err(refused(401, "the bearer token is not BRIDGE_KEY"));
        }
        self.check(bot)?;
        let (body, _permit) = self.read(headers, body).await?;
        let delivery = Delivery::from_json(&body).map_err(|e| {
            let violations: Vec<_> = e.violations().iter().map(ToString::to_string).collect();
            refused(400, format!("the message breaks the contract: {}", violations.join("; ")))
        })?;
        if !delivery.is_identified() {
            let text =
                "no tag identifies the message, so a repetition would be stored twice: set a tag";
            return Err(refused(400, text));
        }
        let id = match headers.get("idempotency-key") {
            Some(key) => format!("key {}", event_id("Idempotency-Key", key.as_bytes())?),
            // The same request with the same identity is a repetition.
            None => format!("body {}", digest(&body)),
        };
        self.store(bot, &id, &delivery, body).await
    }

    /// Reads a body, as soon as it is certain that there is memory for it.
    async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Bytes, SemaphorePermit<'_>), Answer> {
        let too_large = || refused(413, format!("the body is larger than {BODY_LIMIT} bytes"));
        // Without a length, it may be as large as any.
        let length =
            headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let length: usize = length.unwrap_or(BODY_LIMIT);
        if length > BODY_LIMIT {
            return Err(too_large());
        }
        let permit = self
            .buffer
            .try_acquire_many(length as u32)
            .map_err(|_| answer("failed", 503, "too many webhooks at once: repeat it"))?;
        let body = to_bytes(body, BODY_LIMIT).await.map_err(|e| {
            let is_too_large = e.into_inner().is::<LengthLimitError>();
            if is_too_large { too_large() } else { refused(400, "the body is cut off") }
        })?;
        Ok((body, permit))
    }

    fn check(&self, bot: &str) -> Result<(), Answer> {
        let is_served = self.bots.iter().any(|served| served == bot);
        if is_served { Ok(()) } else { Err(refused(404, "this bot is not served here")) }
    }

    async fn store(
        &self,
        bot: &str,
        id: &str,
        delivery: &Delivery,
        body: Bytes,
    ) -> Result<Answer, Answer> {
        let failed = |cause: &str| {
            tracing::warn!(bot, "a webhook is not stored, the channel has to repeat it: {cause}");
            answer("failed", 503, "not stored: repeat it")
        };
        if !self.queue.is_connected() {
            return Err(failed("the queue is not there"));
        }
        match timeout(IN_TIME, self.queue.publish(bot, id, delivery, body)).await {
            Ok(Ok(false)) => Ok(answer("stored", 200, "stored")),
            Ok(Ok(true)) => Ok(answer("duplicate", 200, "stored before")),
            Ok(Err(NotStored::TooLarge)) => Err(refused(413, "larger than the queue takes")),
            Ok(Err(NotStored::Failed(cause))) => Err(failed(&cause)),
            Err(_) => Err(failed("no acknowledgement in time")),
        }
    }
}
