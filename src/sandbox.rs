//! The endpoints in your own process, for tests: they check, refuse, find and store as the API does
//! from version 1.80 on, and show what they stored.
//!
//! ```
//! use botpress_messages::{NewConversation, NewMessage, NewUser, content::Text, sandbox::Sandbox};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::start().await?;
//! let client = sandbox.client().build()?;
//! let message = NewMessage::new(
//!     NewConversation::new("channel").tag("id", "C05C6ACTLPQ"),
//!     NewUser::new().tag("id", "U05BPU9V1KQ"),
//!     Text::new("Hello"),
//! )
//! .tag("id", "1");
//!
//! assert_eq!(client.deliver(&message).await?.created, Some(true));
//! assert_eq!(client.deliver(&message).await?.created, Some(false));
//! assert_eq!((sandbox.users().len(), sandbox.conversations().len()), (1, 1));
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
//! assert_eq!(client.get_or_create(&message).await?.record.tags["id"], "1");
//! assert_eq!(sandbox.messages().len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! It knows what the contract of this crate knows: `payload` is required, as in the oldest version
//! that the client is for. It looks for users within the integration that calls, for conversations
//! within their channel as well, and for messages in the whole bot. What a bot defines, such as its tags
//! and channels, it takes as given, and ids too unless it is [strict](Builder::strict).

mod fault;
mod store;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use chrono::Utc;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::Instant;
use ulid::Ulid;

use crate::attempt::BEARER;
use crate::builder;
use crate::client::Client;
use crate::generated::types::{Conversation, ErrorType, Message, User};
use crate::generated::{OPERATIONS, Operation};
use crate::validate::{Path, Rule, Violation, check};

pub use fault::Fault;
use fault::{Faults, code};
use store::Store;

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
    strict: bool,
}

/// A request that the sandbox accepted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// What it was to find or create: `user`, `conversation` or `message`.
    pub record: &'static str,
    /// Its headers, without the token.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Value,
}

impl Sandbox {
    /// The token that it accepts, unless told otherwise.
    pub const TOKEN: &str = "bp_sandbox_token";
    /// The bot that it serves, unless told otherwise.
    pub const BOT_ID: &str = "6f2f9e4e-5b0c-4c4e-9d3e-0a7c1b2d3e4f";
    /// The integration as which its [clients](Self::client) call; it serves any.
    pub const INTEGRATION_ID: &str = "intver_01KDF2QM9Z2CK5XYT0RD4E7J5K";

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
            strict: false,
        }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client for it: URL, token, bot and integration are set.
    pub fn client(&self) -> builder::Builder {
        let Builder { token, bot_id, .. } = &self.endpoint.settings;
        let client = Client::builder().base_url(self.url()).token(token).bot_id(bot_id);
        client.integration_id(Self::INTEGRATION_ID)
    }

    /// The messages that it stored, in the order of their creation.
    pub fn messages(&self) -> Vec<Message> {
        self.stored("message")
    }

    /// The users that it stored, in the order of their creation.
    pub fn users(&self) -> Vec<User> {
        self.stored("user")
    }

    /// The conversations that it stored, in the order of their creation.
    pub fn conversations(&self) -> Vec<Conversation> {
        self.stored("conversation")
    }

    fn stored<T: DeserializeOwned>(&self, record: &str) -> Vec<T> {
        let store = self.endpoint.store();
        store.all(record).filter_map(|record| T::deserialize(record).ok()).collect()
    }

    /// Deletes the user or the conversation with this id, as somebody could in the bot.
    pub fn delete(&self, id: &str) {
        self.endpoint.store().delete(id);
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

    /// The requests that it accepted, in the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
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

    /// Refuses messages of users and conversations that it did not give out.
    pub fn strict(mut self) -> Self {
        self.strict = true;
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

/// The answer to any request.
async fn answer(
    State(endpoint): State<Arc<Endpoint>>,
    request: axum::extract::Request,
) -> Response {
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
                endpoint
                    .get_or_create(axum::extract::Request::from_parts(head, body.into()), after)
                    .await
                    .is_ok()
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

    /// Looks a record up and, if there is a gap, stores it as much later.
    async fn get_or_create(
        &self,
        request: axum::extract::Request,
        gap: Duration,
    ) -> Result<Response, Refusal> {
        let (head, body) = request.into_parts();
        let operation = route(&head.method, head.uri.path())?;
        let integration = self.check_headers(&head.headers)?;
        let too_large = |_| refusal(413, ErrorType::PayloadTooLarge, "request entity too large");
        let body = to_bytes(body, BODY_LIMIT).await.map_err(too_large)?;

        let invalid = |message| refusal(400, ErrorType::InvalidPayload, message);
        let body: Value = serde_json::from_slice(&body)
            .map_err(|e| invalid(format!("request/body must be JSON: {e}")))?;
        let mut violations = Vec::new();
        check(&operation.body, &Path::Root, &body, &[], &mut violations);
        if !violations.is_empty() {
            let words: Vec<_> = violations.iter().map(in_api_words).collect();
            return Err(invalid(words.join(", ")));
        }

        let mut headers = head.headers;
        headers.insert(AUTHORIZATION, HeaderValue::from_static("[secret]"));
        let request = Request { record: operation.record, headers, body: body.clone() };
        let bot_id = &self.settings.bot_id;
        let found = {
            let mut store = self.store();
            if self.settings.strict {
                store.check_ids(&body, bot_id)?;
            }
            store.requests.push(request);
            store.find(operation, &body, &integration)
        };
        let (record, created) = if gap.is_zero() {
            let mut store = self.store();
            let found = store.find(operation, &body, &integration);
            store.put(operation, found, body, &integration, bot_id)?
        } else {
            tokio::time::sleep(gap).await;
            self.store().put(operation, found, body, &integration, bot_id)?
        };
        let answer = json!({ operation.record: record, "meta": { "created": created } });
        Ok(Json(answer).into_response())
    }

    /// Returns which integration calls.
    fn check_headers(&self, headers: &HeaderMap) -> Result<String, Refusal> {
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
            let message = "the token gives no access to this bot";
            return Err(refusal(403, ErrorType::Forbidden, message));
        }
        let integration = header("x-integration-id").or(header("x-integration-alias"));
        let integration = integration.filter(|name| !name.is_empty()).ok_or_else(|| {
            refusal(403, ErrorType::Forbidden, "a bot alone may not do this: name an integration")
        })?;
        let media_type = header(CONTENT_TYPE.as_str()).unwrap_or("undefined");
        let json = media_type.split(';').next().is_some_and(|m| m.trim() == "application/json");
        if !json {
            let message = format!("unsupported media type {media_type}");
            return Err(refusal(415, ErrorType::UnsupportedMediaType, message));
        }
        Ok(integration.to_owned())
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

/// The operation that a request asks for.
fn route(method: &Method, path: &str) -> Result<&'static Operation, Refusal> {
    let operation = OPERATIONS.iter().find(|operation| operation.path == path);
    match operation {
        Some(operation) if method == Method::POST => Ok(operation),
        Some(_) => {
            let message = format!("method {method} not allowed");
            Err(refusal(405, ErrorType::MethodNotFound, message))
        }
        None => {
            let message = format!("no route for {method} {path}");
            Err(refusal(404, ErrorType::ResourceNotFound, message))
        }
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
        let mut response = (code(status), Json(body)).into_response();
        if status == 405 {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
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
