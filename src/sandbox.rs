//! The endpoint in your own process, for tests: it checks, refuses, finds and stores as the API does
//! from version 1.80 on, and shows what it stored.
//!
//! ```
//! use botpress_messages::{NewMessage, content::Text, sandbox::Sandbox};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::start().await?;
//! let client = sandbox.client().build()?;
//! let message = NewMessage::new(
//!     "conv_01KDF2QM9Z2CK5XYT0RD4E7J5K",
//!     "user_010NFASW4XK2YJ5RVY7B6JMC28",
//!     Text::new("Hello"),
//! )
//! .tag("id", "1");
//!
//! assert_eq!(client.get_or_create(&message).await?.created, Some(true));
//! assert_eq!(client.get_or_create(&message).await?.created, Some(false));
//! assert_eq!(sandbox.messages().len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! It can be told to fail, so that an integration shows what it does then:
//!
//! ```
//! # use botpress_messages::{NewMessage, content::Text, sandbox::{Fault, Sandbox}};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = Sandbox::start().await?;
//! # let client = sandbox.client().build()?;
//! # let (conversation, user) = ("conv_01KDF2QM9Z2CK5XYT0RD4E7J5K", "user_010NFASW4XK2YJ5RVY7B6JMC28");
//! let message = NewMessage::new(conversation, user, Text::new("Hello"));
//! sandbox.fail_next([Some(Fault::Reset { stored: true })]);
//!
//! // Without tags the message could not be found again, so it was sent just once.
//! let error = client.get_or_create(&message).await.unwrap_err();
//! assert!(error.maybe_stored() && error.attempts() == 1);
//!
//! sandbox.fail_next([Some(Fault::Reset { stored: true }), Some(Fault::Truncated)]);
//! let message = message.tag("id", "1");
//! assert_eq!(client.get_or_create(&message).await?.message.tags["id"], "1");
//! assert_eq!(sandbox.messages().len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! It knows what the contract of this crate knows: `payload` is required, as in the oldest version
//! that the client is for. What a bot defines (its tags, users and conversations) it takes as given,
//! and it looks for messages in the whole bot.

mod fault;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::Instant;
use ulid::Ulid;

use crate::builder::{self, BEARER};
use crate::client::Client;
use crate::generated::types::{Direction, ErrorType, GetOrCreateMessageBody, Message, Origin};
use crate::generated::{BODY, PATH};
use crate::validate::{Rule, Violation};

pub use fault::Fault;
use fault::{Faults, code};

/// A running sandbox. Dropping it stops it.
pub struct Sandbox {
    address: SocketAddr,
    endpoint: Arc<Endpoint>,
    _stop: oneshot::Sender<()>,
}

/// How a [`Sandbox`] is to run.
#[derive(Clone)]
pub struct Builder {
    port: u16,
    token: String,
    bot_id: String,
    requests_per_second: Option<u64>,
    storm: Option<(u64, f64)>,
    latency: Duration,
    lookup_gap: Duration,
}

impl Sandbox {
    /// The token that it accepts, unless told otherwise.
    pub const TOKEN: &str = "bp_sandbox_token";
    /// The bot that it serves, unless told otherwise.
    pub const BOT_ID: &str = "6f2f9e4e-5b0c-4c4e-9d3e-0a7c1b2d3e4f";

    /// Starts a sandbox on a free port of the loopback address, without a rate limit.
    ///
    /// # Errors
    ///
    /// What the operating system says if it cannot listen.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// A sandbox to be set up value by value.
    pub fn builder() -> Builder {
        Builder {
            port: 0,
            token: Self::TOKEN.to_owned(),
            bot_id: Self::BOT_ID.to_owned(),
            requests_per_second: None,
            storm: None,
            latency: Duration::ZERO,
            lookup_gap: Duration::ZERO,
        }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client for it: URL, token and bot are set.
    pub fn client(&self) -> builder::Builder {
        let Builder { token, bot_id, .. } = &self.endpoint.settings;
        Client::builder().base_url(self.url()).token(token).bot_id(bot_id)
    }

    /// The messages that it stored, in the order of their creation.
    pub fn messages(&self) -> Vec<Message> {
        self.endpoint.store().messages.clone()
    }

    /// How many requests its rate limit refused.
    pub fn refused(&self) -> u64 {
        lock(&self.endpoint.window).refused
    }

    /// Decides how the next requests end, one by one: with a fault, or for `None` as usual. What is
    /// left of an earlier script comes first. What the rate limit refuses does not count; what is
    /// refused for another reason does, if the fault would store it.
    pub fn fail_next(&self, script: impl IntoIterator<Item = Option<Fault>>) {
        lock(&self.endpoint.faults).script.extend(script);
    }

    /// The bodies of the requests that it accepted, in the order of their arrival.
    pub fn requests(&self) -> Vec<Value> {
        self.endpoint.store().requests.clone()
    }
}

impl Builder {
    /// Listens on this port; 0, the default, takes a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Accepts this token alone.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = token.into();
        self
    }

    /// Serves this bot alone.
    pub fn bot_id(mut self, id: impl Into<String>) -> Self {
        self.bot_id = id.into();
        self
    }

    /// Answers 429 to what exceeds this number in a second. Without it, nothing is refused, and the
    /// answers name the limit that the API documents.
    pub fn requests_per_second(mut self, limit: u64) -> Self {
        self.requests_per_second = Some(limit);
        self
    }

    /// Gives every answer this long after it was made, as a network would.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Lets so much time pass between looking for a message and storing it, as a server without
    /// transactions would: two requests at once may both find nothing.
    pub fn lookup_gap(mut self, gap: Duration) -> Self {
        self.lookup_gap = gap;
        self
    }

    /// Has each request fail with this probability, between 0 and 1, by a [`Fault`] drawn at random.
    /// The same seed gives the same faults in the same order.
    pub fn storm(mut self, seed: u64, probability: f64) -> Self {
        self.storm = Some((seed, probability));
        self
    }

    /// Starts the sandbox on the loopback address, in the current tokio runtime.
    ///
    /// # Errors
    ///
    /// What the operating system says if it cannot listen.
    pub async fn start(self) -> io::Result<Sandbox> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        let address = listener.local_addr()?;
        let endpoint = Arc::new(Endpoint::new(self));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&endpoint));
        let (_stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            axum::serve(listener, router).with_graceful_shutdown(stopped).await
        });
        Ok(Sandbox { address, endpoint, _stop })
    }
}

/// What one sandbox serves.
struct Endpoint {
    settings: Builder,
    store: Mutex<Store>,
    window: Mutex<Window>,
    faults: Mutex<Faults>,
}

/// The endpoint's answer to any request.
async fn answer(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let (allowed, figures) = endpoint.count();
    let fault = allowed.then(|| lock(&endpoint.faults).next()).flatten();
    let gap = endpoint.settings.lookup_gap;
    let result = match (allowed, fault) {
        (false, _) => {
            let message = "too many requests, wait for the next window";
            Err(refusal(429, ErrorType::RateLimited, message))
        }
        (true, None) => endpoint.get_or_create(request, gap).await,
        (true, Some(fault @ Fault::Late(after))) => {
            let endpoint = Arc::clone(&endpoint);
            // The body has to be read before the connection closes.
            let (head, body) = request.into_parts();
            let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
            tokio::spawn(async move {
                endpoint.get_or_create(Request::from_parts(head, body.into()), after).await.is_ok()
            });
            Ok(fault.instead_of(None).await)
        }
        (true, Some(fault)) if !fault.stores() => Ok(fault.instead_of(None).await),
        (true, Some(fault)) => match endpoint.get_or_create(request, gap).await {
            Ok(answer) => Ok(fault.instead_of(Some(answer)).await),
            refusal => refusal,
        },
    };
    tokio::time::sleep(endpoint.settings.latency).await;
    let mut response = result.unwrap_or_else(Refusal::into_response);
    response.headers_mut().extend(figures);
    response
}

impl Endpoint {
    fn new(settings: Builder) -> Self {
        let window = Window { start: Instant::now(), requests: 0, refused: 0 };
        let storm =
            settings.storm.map(|(seed, probability)| (fastrand::Rng::with_seed(seed), probability));
        let faults = Faults { storm, ..Faults::default() };
        Self {
            settings,
            store: Mutex::default(),
            window: Mutex::new(window),
            faults: Mutex::new(faults),
        }
    }

    /// Looks a message up and, if there is a gap, stores it as much later.
    async fn get_or_create(&self, request: Request, gap: Duration) -> Result<Response, Refusal> {
        let (head, body) = request.into_parts();
        let (method, path) = (head.method, head.uri.path());
        if path != PATH {
            let message = format!("no route for {method} {path}");
            return Err(refusal(404, ErrorType::ResourceNotFound, message));
        }
        if method != Method::POST {
            let message = format!("method {method} not allowed");
            return Err(refusal(405, ErrorType::MethodNotFound, message));
        }
        self.check_headers(&head.headers)?;
        let too_large = |_| refusal(413, ErrorType::PayloadTooLarge, "request entity too large");
        let body = to_bytes(body, BODY_LIMIT).await.map_err(too_large)?;

        let invalid = |message| refusal(400, ErrorType::InvalidPayload, message);
        let body: Value = serde_json::from_slice(&body)
            .map_err(|e| invalid(format!("request/body must be JSON: {e}")))?;
        let mut violations = Vec::new();
        BODY.check("", &body, &mut violations);
        if !violations.is_empty() {
            let words: Vec<_> = violations.iter().map(in_api_words).collect();
            return Err(invalid(words.join(", ")));
        }
        let new = GetOrCreateMessageBody::deserialize(&body).map_err(|e| invalid(e.to_string()))?;

        self.store().requests.push(body);
        let bot_id = &self.settings.bot_id;
        let (message, created) = if gap.is_zero() {
            let mut store = self.store();
            let found = store.find(&new);
            store.put(found, new, bot_id)
        } else {
            let found = self.store().find(&new);
            tokio::time::sleep(gap).await;
            self.store().put(found, new, bot_id)
        };
        Ok(Json(json!({ "message": message, "meta": { "created": created } })).into_response())
    }

    fn check_headers(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let token = header(AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix(BEARER));
        if token != Some(&self.settings.token) {
            return Err(refusal(401, ErrorType::Unauthorized, "the token is missing or not valid"));
        }
        let bot_id = header("x-bot-id").ok_or_else(|| {
            let message = "request/headers must have required property 'x-bot-id'";
            refusal(400, ErrorType::InvalidPayload, message)
        })?;
        if bot_id != self.settings.bot_id {
            return Err(refusal(
                403,
                ErrorType::Forbidden,
                "the token gives no access to this bot",
            ));
        }
        let media_type = header(CONTENT_TYPE.as_str()).unwrap_or("undefined");
        let json = media_type.split(';').next().is_some_and(|m| m.trim() == "application/json");
        if !json {
            let message = format!("unsupported media type {media_type}");
            return Err(refusal(415, ErrorType::UnsupportedMediaType, message));
        }
        Ok(())
    }

    /// Counts a request: whether the limit allows it, and the figures for its answer.
    fn count(&self) -> (bool, HeaderMap) {
        let mut window = lock(&self.window);
        if window.start.elapsed() >= WINDOW {
            (window.start, window.requests) = (Instant::now(), 0);
        }
        window.requests += 1;
        let (limit, requests) = match self.settings.requests_per_second {
            Some(limit) => (limit, window.requests),
            None => (DOCUMENTED_LIMIT, 1),
        };
        let reset = WINDOW.saturating_sub(window.start.elapsed()).as_secs_f64().ceil();
        let figures = [
            ("ratelimit-limit", limit),
            ("ratelimit-remaining", limit.saturating_sub(requests)),
            ("ratelimit-reset", reset as u64),
        ];
        let figures = figures.map(|(name, figure)| (HeaderName::from_static(name), figure.into()));
        window.refused += u64::from(requests > limit);
        (requests <= limit, HeaderMap::from_iter(figures))
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }
}

/// A request's size may be 1 MB.
const BODY_LIMIT: usize = 1 << 20;
/// The requests a second that the API's documentation names.
const DOCUMENTED_LIMIT: u64 = 100;
const WINDOW: Duration = Duration::from_secs(1);

/// The requests of the current second, and those that were refused in all.
struct Window {
    start: Instant,
    requests: u64,
    refused: u64,
}

/// Locks even after a panic in another test: what that left behind can still be read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Tags = BTreeMap<String, String>;

/// The messages of the bot.
#[derive(Default)]
struct Store {
    messages: Vec<Message>,
    requests: Vec<Value>,
    /// Where in `messages` a tag stands or once stood.
    by_tag: HashMap<(String, String), Vec<usize>>,
}

impl Store {
    /// Updates the message that was found, or creates one.
    fn put(
        &mut self,
        found: Option<usize>,
        new: GetOrCreateMessageBody,
        bot_id: &str,
    ) -> (Message, bool) {
        let now =
            DateTime::from_timestamp_millis(Utc::now().timestamp_millis()).unwrap_or_default();
        let (index, created) = match found {
            Some(index) => {
                let message = &mut self.messages[index];
                message.payload = new.payload;
                message.updated_at = now;
                (index, false)
            }
            None => {
                let user_id = String::from(new.user_id);
                self.messages.push(Message {
                    id: format!("msg_{}", Ulid::generate()),
                    created_at: now,
                    updated_at: now,
                    type_: new.type_.into(),
                    payload: new.payload,
                    direction: if user_id == bot_id {
                        Direction::Outgoing
                    } else {
                        Direction::Incoming
                    },
                    user_id,
                    conversation_id: new.conversation_id.into(),
                    tags: Tags::new(),
                    origin: new.origin.map(|origin| Origin::from(origin.to_string())),
                });
                (self.messages.len() - 1, true)
            }
        };
        let message = &mut self.messages[index];
        for (name, value) in new.tags {
            let value = String::from(value);
            if value.is_empty() {
                message.tags.remove(&name);
            } else {
                self.by_tag.entry((name.clone(), value.clone())).or_default().push(index);
                message.tags.insert(name, value);
            }
        }
        (message.clone(), created)
    }

    /// The message with all of these tags and no others, or with those among them that discriminate.
    /// Empty values unset a tag, so they identify nothing.
    fn find(&self, new: &GetOrCreateMessageBody) -> Option<usize> {
        let discriminators = new.discriminate_by_tags.as_deref().map_or(&[][..], Vec::as_slice);
        let listed = |name: &String| discriminators.iter().any(|tag| **tag == *name);
        let wanted: Tags = new
            .tags
            .iter()
            .filter(|(name, value)| {
                !value.is_empty() && (discriminators.is_empty() || listed(name))
            })
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect();
        // The rarest tag leaves the fewest messages to look at.
        let candidates = wanted
            .iter()
            .map(|(name, value)| self.by_tag.get(&(name.clone(), value.clone())))
            .min_by_key(|found| found.map_or(0, Vec::len))??;
        candidates.iter().copied().find(|index| {
            let stored = &self.messages[*index].tags;
            match discriminators.is_empty() {
                true => *stored == wanted,
                false => wanted.iter().all(|(name, value)| stored.get(name) == Some(value)),
            }
        })
    }
}

/// An error in the form that the API sends.
struct Refusal {
    status: u16,
    type_: ErrorType,
    message: String,
}

fn refusal(status: u16, type_: ErrorType, message: impl Into<String>) -> Refusal {
    Refusal { status, type_, message: message.into() }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, type_, message } = self;
        let random = Ulid::generate().random() as u32;
        let id = format!("err_{}x{random:08X}", Utc::now().format("%Y%m%d%H%M%S"));
        let body = json!({ "id": id, "code": status, "type": type_, "message": message });
        (code(status), Json(body)).into_response()
    }
}

/// A violation as the API words it.
fn in_api_words(violation: &Violation) -> String {
    let path = &violation.path;
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    match &violation.rule {
        Rule::Required => format!("request/body{parent} must have required property '{name}'"),
        Rule::Unknown => format!("request/body{parent} must NOT have additional properties"),
        Rule::Type(name) => format!("request/body{path} must be {name}"),
        Rule::MinLength(min) => {
            format!("request/body{path} must NOT have fewer than {min} characters")
        }
        Rule::MaxLength(max) => {
            format!("request/body{path} must NOT have more than {max} characters")
        }
        Rule::Minimum(min) => format!("request/body{path} must be >= {min}"),
        Rule::Values(_) => format!("request/body{path} must be equal to one of the allowed values"),
        Rule::OneOf(_) => format!("request/body{path} must match exactly one schema in oneOf"),
        other => format!("request/body{path} {other}"),
    }
}
