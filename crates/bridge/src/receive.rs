//! The server that takes webhooks: each is in the queue before it is answered.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::context::PublishErrorKind;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use botpress_messages::NewMessage;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};

use crate::metrics::{Metrics, listen};
use crate::queue::{Queue, check_bot, hex};
use crate::slack::{self, Webhook};
use crate::{Failure, Stop, env};

/// Slack waits three seconds for its answer.
const IN_TIME: Duration = Duration::from_millis(2_500);
/// A request's size may be 1 MB; the queue has a limit of its own.
const BODY_LIMIT: usize = 1 << 20;
/// From a request's headers to its answer.
const REQUEST_LASTS: Duration = Duration::from_secs(10);
const LONGEST_KEY: usize = 200;

struct Receiver {
    queue: Queue,
    metrics: Metrics,
    bots: Vec<String>,
    slack_secret: Option<String>,
    key: Option<String>,
}

pub async fn run(mut stop: Stop) -> Result<(), Failure> {
    let bots = bots()?;
    let slack_secret = env::text("SLACK_SIGNING_SECRET")?;
    let key = env::text("BRIDGE_KEY")?;
    if slack_secret.is_none() && key.is_none() {
        let text = "nobody may send anything: set SLACK_SIGNING_SECRET or BRIDGE_KEY, or both";
        return Err(Failure::settings(text));
    }
    let address = env::text("BRIDGE_LISTEN")?.unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let (queue, metrics) = (Queue::open(Some(&stop)).await?, Metrics::new());
    metrics.serve(&queue, &bots).await?;
    let listener = listen("BRIDGE_LISTEN", &address).await?;
    let receiver = Receiver { queue, metrics, bots, slack_secret, key };
    let router = Router::new()
        .route("/{bot}/slack", post(slack))
        .route("/{bot}/messages", post(messages))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(in_time))
        .with_state(Arc::new(receiver));
    let mut stopped = stop.clone();
    let stopped = async move { drop(stopped.wait_for(|stop| *stop).await) };
    let served = axum::serve(listener, router).with_graceful_shutdown(stopped);
    tokio::select! {
        result = served => result.map_err(Failure::new),
        // Who has not sent a whole request by then may be gone.
        () = async {
            let _ = stop.wait_for(|stop| *stop).await;
            sleep(REQUEST_LASTS).await;
        } => Ok(()),
    }
}

/// Answers in time, also whoever does not get to the end of a request.
async fn in_time(request: Request, next: Next) -> Response {
    let answer = timeout(REQUEST_LASTS, next.run(request)).await;
    answer.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}

/// The bots for which webhooks are taken.
fn bots() -> Result<Vec<String>, Failure> {
    let Some(bots) = env::text("BRIDGE_BOTS")?.or(env::text("BP_BOT_ID")?) else {
        return Err(Failure::settings(
            "BRIDGE_BOTS is missing: the bots' ids, with commas between them",
        ));
    };
    let bots: Vec<_> = bots.split(',').map(|bot| bot.trim().to_owned()).collect();
    bots.iter().try_for_each(|bot| check_bot(bot))?;
    Ok(bots)
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

async fn slack(
    State(receiver): State<Arc<Receiver>>,
    Path(bot): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    receiver.count(receiver.slack(&bot, &headers, &body).await)
}

async fn messages(
    State(receiver): State<Arc<Receiver>>,
    Path(bot): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    receiver.count(receiver.message(&bot, &headers, &body).await)
}

impl Receiver {
    fn count(&self, result: Result<Answer, Answer>) -> Response {
        let Answer { outcome, status, text } = result.unwrap_or_else(|answer| answer);
        self.metrics.received(outcome);
        match status {
            StatusCode::SERVICE_UNAVAILABLE => (status, [(RETRY_AFTER, "1")], text).into_response(),
            _ => (status, text).into_response(),
        }
    }

    /// A webhook of Slack's.
    async fn slack(&self, bot: &str, headers: &HeaderMap, body: &Bytes) -> Result<Answer, Answer> {
        let Some(secret) = &self.slack_secret else {
            return Err(refused(404, "SLACK_SIGNING_SECRET is not set here"));
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if !slack::is_genuine(secret, headers, body, now.as_secs() as i64) {
            return Err(refused(401, "the signature is missing, wrong or old"));
        }
        self.check(bot)?;
        match slack::read(body) {
            Ok(Webhook::Challenge(text)) => Ok(answer("challenge", 200, text)),
            Ok(Webhook::Other) => Ok(answer("ignored", 200, "")),
            Ok(Webhook::Message { event, message }) => {
                let message = Value::try_from(message).map_err(|e| refused(400, e.to_string()))?;
                self.store(bot, &format!("slack {event}"), &message).await
            }
            Err(lack) => Err(refused(400, lack)),
        }
    }

    /// A message in the endpoint's JSON form, with user and conversation or their ids.
    async fn message(
        &self,
        bot: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Answer, Answer> {
        let Some(key) = &self.key else {
            return Err(refused(404, "BRIDGE_KEY is not set here"));
        };
        let header = |name| headers.get(name)?.to_str().ok();
        let given = header(AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
        // Of digests, the time that a comparison takes tells nothing.
        if given.is_none_or(|given| Sha256::digest(given) != Sha256::digest(key)) {
            return Err(refused(401, "the bearer token is not BRIDGE_KEY"));
        }
        self.check(bot)?;
        let message: Value = serde_json::from_slice(body)
            .map_err(|e| refused(400, format!("the body is not JSON: {e}")))?;
        let id = match header("idempotency-key") {
            Some(id) if id.is_empty() || id.len() > LONGEST_KEY => {
                let text = format!("Idempotency-Key has to have 1 to {LONGEST_KEY} characters");
                return Err(refused(400, text));
            }
            Some(id) => format!("key {id}"),
            // The same request with the same identity is a repetition.
            None if NewMessage::from(message.clone()).is_identified() => {
                format!("body {}", hex(&Sha256::digest(message.to_string())))
            }
            None => {
                let text = "no tag identifies the message: it needs an Idempotency-Key, or a repetition would be another one";
                return Err(refused(400, text));
            }
        };
        self.store(bot, &id, &message).await
    }

    fn check(&self, bot: &str) -> Result<(), Answer> {
        match self.bots.iter().any(|served| served == bot) {
            true => Ok(()),
            false => Err(refused(404, "this bot is not served here")),
        }
    }

    async fn store(&self, bot: &str, id: &str, message: &Value) -> Result<Answer, Answer> {
        let failed = |cause: &str| {
            tracing::warn!(bot, "a webhook is not stored, the channel has to repeat it: {cause}");
            answer("failed", 503, "not stored: repeat it")
        };
        if !self.queue.is_connected() {
            return Err(failed("NATS is not there"));
        }
        match timeout(IN_TIME, self.queue.publish(bot, id, message)).await {
            Ok(Ok(false)) => Ok(answer("stored", 200, "stored")),
            Ok(Ok(true)) => Ok(answer("duplicate", 200, "stored before")),
            Ok(Err(e)) if e.kind() == PublishErrorKind::MaxPayloadExceeded => {
                Err(refused(413, "larger than the queue takes"))
            }
            Ok(Err(e)) => Err(failed(&e.to_string())),
            Err(_) => Err(failed("no acknowledgement in time")),
        }
    }
}
