//! The server that receives webhooks: it stores each one in the queue before it responds.

use std::collections::BTreeMap;
use std::mem;
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
use botpress_channels::{Channel, Event, Rejected, SigningSecret, slack, whatsapp};
use botpress_messages::Delivery;
use http_body_util::LengthLimitError;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::config::{Access, ConfigFile, OneBot};
use crate::metrics::{Metrics, listen};
use crate::queue::{self, NotStored, Shared};
use crate::quota::Quota;
use crate::{Failure, config, connections, is_printable};

/// How long storing a message may take: Slack waits three seconds for the response.
const IN_TIME: Duration = Duration::from_millis(2_500);
/// The size limit of a request's body; the queue has its own limit for messages.
const BODY_LIMIT: usize = 1 << 20;
/// The time from a request's headers to the response.
const REQUEST_LASTS: Duration = Duration::from_secs(10);
const LONGEST_ID: usize = 200;

/// Settings of a receiver.
#[derive(clap::Args)]
pub struct Settings {
    /// Address and port for webhooks; a proxy in front adds TLS
    #[arg(long, env = "BRIDGE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,
    #[command(flatten)]
    one: OneBot,
    /// How many connections can be open at once; the next one waits
    #[arg(long, env = "BRIDGE_CONNECTIONS", default_value_t = 512,
        value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// How many bytes of webhooks can be in memory at once; a webhook beyond that gets a 503
    #[arg(long, env = "BRIDGE_BUFFER", default_value_t = 64 << 20,
        value_parser = clap::value_parser!(u32).range(BODY_LIMIT as i64..))]
    buffer: u32,
    /// Address and port for /metrics, /metrics/queue, /healthz and /readyz; none by default
    #[arg(long, env = "BRIDGE_METRICS")]
    pub metrics: Option<String>,
}

struct Receiver {
    queue: Shared,
    metrics: Metrics,
    bots: BTreeMap<String, Bot>,
    /// Has a permit for each byte of `BRIDGE_BUFFER`. A body in memory holds as many permits as it has bytes.
    buffer: Semaphore,
}

struct Bot {
    access: Access,
    quota: Option<Quota>,
}

impl Settings {
    pub fn bot_id(&self) -> Option<&str> {
        self.one.bot_id.as_deref()
    }

    /// The bots that webhooks are received for, with their secrets.
    pub fn access(&mut self, file: Option<&ConfigFile>) -> Result<Vec<Access>, Failure> {
        config::access(file, mem::take(&mut self.one))
    }

    /// Checks the settings, and describes what they mean.
    pub fn check(mut self, file: Option<&ConfigFile>) -> Result<Vec<String>, Failure> {
        Ok(self.access(file)?.iter().map(describe).collect())
    }
}

/// Describes the settings of a bot.
pub fn describe(access: &Access) -> String {
    let Access { bot, slack_secrets, channels, keys, max_messages } = access;
    let (slack_secrets, keys) = (slack_secrets.len(), keys.len());
    let channels: String =
        channels.iter().map(|channel| format!(" {}: open,", channel.name())).collect();
    let most = max_messages.map_or("no limit".to_owned(), |most| most.to_string());
    format!(
        "bot {bot}: receives; Slack secrets: {slack_secrets},{channels} keys: {keys}, messages that may wait: {most}"
    )
}

pub async fn run(
    mut settings: Settings,
    file: Option<&ConfigFile>,
    queue: &queue::Settings,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let access = settings.access(file)?;
    let bots: Vec<_> = access.iter().map(|access| access.bot.clone()).collect();
    let (queue, metrics) = (queue.open(&stop).await?, Metrics::new());
    metrics.serve(settings.metrics.as_deref(), &queue, &bots).await?;
    let served = serve(settings, access, queue.clone(), metrics, stop).await;
    queue.flush().await;
    served
}

/// Receives webhooks until `stop`, and then finishes those in flight.
pub async fn serve(
    settings: Settings,
    access: Vec<Access>,
    queue: Shared,
    metrics: Metrics,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let listener = listen("BRIDGE_LISTEN", &settings.listen).await?;
    let bot = |access: Access| {
        let quota = access.max_messages.map(Quota::new);
        (access.bot.clone(), Bot { access, quota })
    };
    let bots = access.into_iter().map(bot).collect();
    let buffer = Semaphore::new(settings.buffer as usize);
    let receiver = Receiver { queue, metrics, bots, buffer };
    let router = Router::new()
        .route("/{bot}/slack", post(slack))
        .route("/{bot}/messages", post(messages))
        .route("/{bot}/{channel}", post(webhook).get(check_url))
        .layer(from_fn(in_time))
        .with_state(Arc::new(receiver));
    connections::serve(listener, router, settings.connections.into(), REQUEST_LASTS, stop).await;
    Ok(())
}

/// Responds in time, even if the client does not finish its request.
async fn in_time(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = timeout(REQUEST_LASTS, next.run(request)).await;
    response.unwrap_or_else(|_| {
        tracing::warn!(path, "a webhook is rejected: its body did not arrive in time");
        StatusCode::REQUEST_TIMEOUT.into_response()
    })
}

/// The response to a webhook, and the outcome under which it is counted.
struct Reply {
    outcome: &'static str,
    status: StatusCode,
    text: String,
}

fn reply(outcome: &'static str, status: u16, text: impl Into<String>) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Reply { outcome, status, text: text.into() }
}

fn rejected(status: u16, text: impl Into<String>) -> Reply {
    reply("rejected", status, text)
}

/// Checks the id of an event: it becomes a NATS header, where only some characters are safe.
fn event_id<'a>(name: &str, id: &'a [u8]) -> Result<&'a str, Reply> {
    match str::from_utf8(id).ok().filter(|id| id.bytes().all(is_printable)) {
        None => Err(rejected(400, format!("{name} has a character other than printable ASCII"))),
        Some(id) if id.is_empty() || id.len() > LONGEST_ID => {
            let text = format!("{name} must have 1 to {LONGEST_ID} characters");
            Err(rejected(400, text))
        }
        Some(id) => Ok(id),
    }
}

fn unsigned(cause: &Rejected) -> Reply {
    tracing::warn!(%cause, "a webhook of Slack is rejected");
    rejected(401, "the signature is missing, wrong or old")
}

fn unverified(channel: &str, cause: &Rejected) -> Reply {
    tracing::warn!(channel, %cause, "a webhook is rejected");
    rejected(401, "the signature or the secret token is missing or wrong")
}

/// Checks the signature with each secret: two are valid while one is replaced.
fn verify(secrets: &[SigningSecret], headers: &HeaderMap, body: &[u8]) -> Result<(), Rejected> {
    let mut result = Err(Rejected::SignatureMismatch);
    for secret in secrets {
        result = slack::verify(secret, headers, body, SystemTime::now());
        if result.is_ok() {
            break;
        }
    }
    result
}

fn digest(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Log lines about a webhook name its event, once that is known.
fn span(bot: &str) -> Span {
    tracing::error_span!("webhook", bot, event = Empty)
}

/// The span of one event: webhooks of some channels have several.
fn event_span() -> Span {
    tracing::error_span!("message", event = Empty)
}

fn record_event(event: &str) {
    Span::current().record("event", event);
}

async fn slack(
    State(receiver): State<Arc<Receiver>>,
    Path(bot): Path<String>,
    request: Request,
) -> Response {
    let span = span(&bot);
    async { receiver.count(receiver.slack(&bot, request).await) }.instrument(span).await
}

async fn messages(
    State(receiver): State<Arc<Receiver>>,
    Path(bot): Path<String>,
    request: Request,
) -> Response {
    let span = span(&bot);
    async { receiver.count(receiver.message(&bot, request).await) }.instrument(span).await
}

async fn webhook(
    State(receiver): State<Arc<Receiver>>,
    Path((bot, channel)): Path<(String, String)>,
    request: Request,
) -> Response {
    let span = span(&bot);
    let counted = async { receiver.count(receiver.webhook(&bot, &channel, request).await) };
    counted.instrument(span).await
}

async fn check_url(
    State(receiver): State<Arc<Receiver>>,
    Path((bot, channel)): Path<(String, String)>,
    uri: Uri,
) -> Response {
    span(&bot).in_scope(|| receiver.count(receiver.challenge(&bot, &channel, &uri)))
}

impl Receiver {
    fn count(&self, result: Result<Reply, Reply>) -> Response {
        let Reply { outcome, status, text } = result.unwrap_or_else(|reply| reply);
        if status.is_client_error() {
            tracing::warn!(status = status.as_u16(), "a webhook is rejected: {text}");
        }
        self.metrics.received(outcome);
        let mut response = (status, text).into_response();
        if !matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST) {
            // The body may be unread, so the connection cannot be used for another request.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// A webhook of Slack. Slack repeats every webhook that does not get a 200, so a webhook without a message
    /// gets a 200 too.
    async fn slack(&self, bot: &str, request: Request) -> Result<Reply, Reply> {
        let secrets = &self.bot(bot)?.access.slack_secrets;
        if secrets.is_empty() {
            return Err(rejected(404, "no Slack signing secret is configured for this bot"));
        }
        let (head, body) = request.into_parts();
        let headers = &head.headers;
        // If the headers of the signature are missing or malformed, do not read the body.
        match verify(secrets, headers, b"") {
            Ok(()) | Err(Rejected::SignatureMismatch) => {}
            Err(cause) => return Err(unsigned(&cause)),
        }
        let (body, _permit) = self.read(headers, body).await?;
        let body = &body;
        verify(secrets, headers, body).map_err(|cause| unsigned(&cause))?;
        self.take(bot, "slack", body, slack::parse(body)).await
    }

    /// A webhook of one of the other channels.
    async fn webhook(&self, bot: &str, name: &str, request: Request) -> Result<Reply, Reply> {
        let channel = self.channel(bot, name)?;
        let unverified = |cause| unverified(name, &cause);
        let (head, body) = request.into_parts();
        // If the headers alone are wrong, do not read the body.
        match channel.verify(&head.headers, b"", SystemTime::now()) {
            Ok(()) | Err(Rejected::SignatureMismatch) => {}
            Err(cause) => return Err(unverified(cause)),
        }
        let (body, _permit) = self.read(&head.headers, body).await?;
        channel.verify(&head.headers, &body, SystemTime::now()).map_err(unverified)?;
        let mut events = channel.parse(&body);
        let last = events.pop().ok_or_else(|| rejected(400, "the webhook has no event"))?;
        // If an event is not stored, stop: the channel repeats the whole webhook, so the events keep their order.
        for event in events {
            let taken = self.take(bot, name, &body, event).instrument(event_span()).await;
            self.metrics.received(taken?.outcome);
        }
        self.take(bot, name, &body, last).instrument(event_span()).await
    }

    /// The request with which WhatsApp checks the URL.
    fn challenge(&self, bot: &str, name: &str, uri: &Uri) -> Result<Reply, Reply> {
        let Channel::WhatsApp { verify_token, .. } = self.channel(bot, name)? else {
            return Err(rejected(405, "send a POST request"));
        };
        let challenge = whatsapp::challenge(verify_token, uri);
        let text = challenge.map_err(|cause| unverified(name, &cause))?;
        Ok(reply("challenge", 200, text))
    }

    fn channel(&self, bot: &str, name: &str) -> Result<&Channel, Reply> {
        let mut channels = self.bot(bot)?.access.channels.iter();
        let channel = channels.find(|channel| channel.name() == name);
        channel.ok_or_else(|| rejected(404, "this channel is not configured for this bot"))
    }

    /// Stores the message of an event, if it has one.
    async fn take(
        &self,
        bot: &str,
        channel: &str,
        body: &Bytes,
        event: Event,
    ) -> Result<Reply, Reply> {
        match event {
            Event::Challenge(text) => Ok(reply("challenge", 200, text)),
            Event::Message { id, delivery, .. } => {
                let id = match &id {
                    Some(id) => event_id("event_id", id.as_bytes())?.to_owned(),
                    None => digest(body),
                };
                record_event(&id);
                let message = json!(delivery).to_string().into();
                self.store(bot, &format!("{channel} {id}"), &delivery, message).await
            }
            Event::Ignored { why } => Ok(reply("ignored", 200, why)),
            Event::Unsupported { chat, message_id, why } => {
                tracing::warn!(channel, chat, message_id, why, "a message cannot be represented");
                Ok(reply("unsupported", 200, why))
            }
            Event::Unreadable { why } => {
                tracing::warn!(channel, why, "a webhook cannot be read");
                Ok(reply("unreadable", 200, why))
            }
        }
    }

    /// A message in the JSON form of `Delivery`, with user and conversation or their ids.
    async fn message(&self, bot: &str, request: Request) -> Result<Reply, Reply> {
        let keys = &self.bot(bot)?.access.keys;
        if keys.is_empty() {
            return Err(rejected(404, "no key is configured for this bot"));
        }
        let (head, body) = request.into_parts();
        let headers = &head.headers;
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = header.and_then(|value| value.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        if given.is_none_or(|(_, given)| !keys.iter().any(|key| key.is(given.trim()))) {
            return Err(rejected(401, "the bearer token is not a key of this bot"));
        }
        let key = headers.get("idempotency-key");
        let key = key.map(|key| event_id("Idempotency-Key", key.as_bytes())).transpose()?;
        key.inspect(|key| record_event(key));
        let (body, _permit) = self.read(headers, body).await?;
        let delivery = Delivery::from_json(&body).map_err(|e| {
            let violations: Vec<_> = e.violations().iter().map(ToString::to_string).collect();
            rejected(400, format!("the message breaks the contract: {}", violations.join("; ")))
        })?;
        if !delivery.is_identified() {
            let text =
                "no tag identifies the message, so a repetition would be stored again: set a tag";
            return Err(rejected(400, text));
        }
        let id = match key {
            Some(key) => format!("key {key}"),
            // A request with the same body is a repetition.
            None => {
                let digest = digest(&body);
                record_event(&digest);
                format!("body {digest}")
            }
        };
        self.store(bot, &id, &delivery, body).await
    }

    /// Reads a body after it has reserved memory for it.
    async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Bytes, SemaphorePermit<'_>), Reply> {
        let too_large = || rejected(413, format!("the body is larger than {BODY_LIMIT} bytes"));
        // Without a length, reserve the maximum.
        let length =
            headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let length: usize = length.unwrap_or(BODY_LIMIT);
        if length > BODY_LIMIT {
            return Err(too_large());
        }
        let permit = self.buffer.try_acquire_many(length as u32).map_err(|_| {
            tracing::warn!(
                "a webhook is not stored, the channel has to repeat it: BRIDGE_BUFFER is used up"
            );
            reply("failed", 503, "too many webhooks at once: repeat it")
        })?;
        let body = to_bytes(body, BODY_LIMIT).await.map_err(|e| {
            let is_too_large = e.into_inner().is::<LengthLimitError>();
            if is_too_large { too_large() } else { rejected(400, "the body is incomplete") }
        })?;
        Ok((body, permit))
    }

    fn bot(&self, bot: &str) -> Result<&Bot, Reply> {
        self.bots.get(bot).ok_or_else(|| rejected(404, "this bot is not served here"))
    }

    async fn store(
        &self,
        bot: &str,
        id: &str,
        delivery: &Delivery,
        body: Bytes,
    ) -> Result<Reply, Reply> {
        let failed = |cause: &str| {
            tracing::warn!("a webhook is not stored, the channel has to repeat it: {cause}");
            reply("failed", 503, "not stored: repeat it")
        };
        if !self.queue.is_connected() {
            return Err(failed(&format!("{} is not reachable", self.queue.name())));
        }
        let has_place = async {
            match &self.bot(bot)?.quota {
                Some(quota) => Ok(quota.take(&self.queue, bot).await),
                None => Ok(true),
            }
        };
        let end = Instant::now() + IN_TIME;
        if !timeout_at(end, has_place).await.unwrap_or(Ok(true))? {
            return Err(failed("the bot's max_messages are waiting already"));
        }
        match timeout_at(end, self.queue.publish(bot, id, delivery, body)).await {
            Ok(Ok(false)) => {
                tracing::debug!("stored");
                Ok(reply("stored", 200, "stored"))
            }
            Ok(Ok(true)) => {
                tracing::debug!("stored before");
                Ok(reply("duplicate", 200, "stored before"))
            }
            Ok(Err(NotStored::TooLarge)) => {
                Err(rejected(413, "the message is larger than the queue allows"))
            }
            Ok(Err(NotStored::Failed(cause))) => Err(failed(&cause)),
            Err(_) => Err(failed("the queue did not confirm in time")),
        }
    }
}
