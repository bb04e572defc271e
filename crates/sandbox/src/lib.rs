//! The endpoints in your own process, for tests. They check, reject, find and store as the API does
//! from version 1.80 on, and show what they stored.
//!
//! ```
//! use botpress_messages::{Delivery, NewConversation, NewUser, content::Text};
//! use botpress_sandbox::Sandbox;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::start().await?;
//! let client = sandbox.client().build()?;
//! let delivery = Delivery::new(
//!     NewConversation::new("channel").tag("id", "C05C6ACTLPQ"),
//!     NewUser::new().tag("id", "U05BPU9V1KQ"),
//!     Text::new("Hello"),
//! )
//! .tag("id", "1");
//!
//! assert_eq!(client.deliver(&delivery).await?.created, Some(true));
//! assert_eq!(client.deliver(&delivery).await?.created, Some(false));
//! assert_eq!((sandbox.users().len(), sandbox.conversations().len()), (1, 1));
//! assert_eq!(sandbox.messages().len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! You can make it fail, to see how your integration copes:
//!
//! ```
//! # use botpress_messages::{NewMessage, content::Text};
//! # use botpress_sandbox::{Fault, Sandbox};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = Sandbox::start().await?;
//! # let client = sandbox.client().build()?;
//! # let (conversation, user) = ("conv_01KDF2QM9Z2CK5XYT0RD4E7J5K", "user_010NFASW4XK2YJ5RVY7B6JMC28");
//! let message = NewMessage::new(conversation, user, Text::new("Hello"));
//! sandbox.fail_next([Some(Fault::Reset { stored: true })]);
//!
//! // Without tags the message could not be found again, so it was sent only once.
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
//! In a browser, its [URL](Sandbox::url) shows a page with what was stored, what was rejected and why.
//! Programs in other languages read and control it over HTTP, below `/_sandbox`, as `openapi.yaml`
//! describes. The README explains how to run it as a program.
//!
//! It follows the contract of `botpress-messages`: `payload` is required, as in the oldest API version that
//! the client supports. It looks for users within the calling integration, for conversations within their
//! channel as well, and for messages in the whole bot. It accepts all tags and channels, unless they are
//! [declared](Builder::channels). It accepts all ids too, unless it is [strict](Builder::strict).

mod control;
mod definition;
mod endpoint;
mod fault;
mod log;
mod openapi;
mod page;
mod rejection;
mod store;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::sync::watch;

use botpress_messages::{Client, Conversation, Message, User};

use definition::Definition;
use endpoint::{Behavior, Endpoint, respond};
pub use fault::{Fault, TargetedFault};
use log::Observer;
pub use log::{Change, Outcome, RecordedResponse, Request};

/// A running sandbox. Dropping it stops it.
pub struct Sandbox {
    address: SocketAddr,
    endpoint: Arc<Endpoint>,
    _running: watch::Sender<()>,
}

/// The settings to start a [`Sandbox`] with.
#[derive(Clone)]
pub struct Builder {
    address: IpAddr,
    port: u16,
    token: String,
    bot_id: String,
    requests_per_second: Option<u64>,
    storm: Option<(u64, f64)>,
    behavior: Behavior,
    definition: Definition,
    allowed_hosts: Vec<String>,
    observer: Option<Observer>,
}

impl Sandbox {
    /// The token that it accepts by default.
    pub const TOKEN: &str = "bp_sandbox_token";
    /// The bot that it serves by default.
    pub const BOT_ID: &str = "6f2f9e4e-5b0c-4c4e-9d3e-0a7c1b2d3e4f";
    /// The integration of its [clients](Self::client). The sandbox serves any integration.
    pub const INTEGRATION_ID: &str = "intver_01KDF2QM9Z2CK5XYT0RD4E7J5K";

    /// Starts a sandbox on a free port of the loopback address, without a rate limit.
    ///
    /// # Errors
    ///
    /// The error of the operating system if it cannot listen.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// The settings of a sandbox, with their defaults.
    pub fn builder() -> Builder {
        Builder {
            address: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            token: Self::TOKEN.to_owned(),
            bot_id: Self::BOT_ID.to_owned(),
            requests_per_second: None,
            storm: None,
            behavior: Behavior::default(),
            definition: Definition::default(),
            allowed_hosts: Vec::new(),
            observer: None,
        }
    }

    /// Its base URL: the one with the loopback address if it listens on every address.
    pub fn url(&self) -> String {
        let mut address = self.address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        format!("http://{address}")
    }

    /// A client builder with its URL, token, bot and integration.
    pub fn client(&self) -> botpress_messages::Builder {
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
        let store = lock(&self.endpoint.store);
        store.all(record).filter_map(|record| T::deserialize(record).ok()).collect()
    }

    /// Waits until it has stored this number of messages, and returns them.
    pub async fn wait_for_messages(&self, count: usize) -> Vec<Message> {
        let mut news = self.endpoint.log.follow();
        loop {
            let messages = self.messages();
            if messages.len() >= count {
                return messages;
            }
            // A reader that lags looks again too. The log cannot close while the sandbox exists.
            let _ = news.recv().await;
        }
    }

    /// Deletes the record with this id, as someone could in the bot.
    pub fn delete(&self, id: &str) {
        self.endpoint.delete(id);
    }

    /// How many requests its rate limit rejected.
    pub fn rejected(&self) -> u64 {
        lock(&self.endpoint.window).rejected
    }

    /// Sets how the next requests end, one by one: with a fault, or normally for `None`. The rest of an earlier
    /// script comes first. A request that the rate limit rejects uses none of the script. A request that is
    /// invalid for another reason uses its entry, and is rejected as usual if the fault stores the record.
    pub fn fail_next(&self, script: impl IntoIterator<Item = Option<Fault>>) {
        lock(&self.endpoint.faults).script.extend(script);
    }

    /// Makes matching requests fail: the first one, or all. Such a request uses none of the script of
    /// [`fail_next`](Self::fail_next).
    pub fn fail_when(&self, fault: TargetedFault) {
        lock(&self.endpoint.faults).targeted.push(fault);
    }

    /// The newest 1,000 requests, in the order of their arrival, and the outcome of each.
    pub fn requests(&self) -> Vec<Request> {
        self.endpoint.log.newest()
    }

    /// Restores the initial state: deletes the records and the requests, and resets the settings. A request that
    /// is still in flight can store its record afterwards.
    pub fn reset(&self) {
        self.endpoint.reset();
    }
}

impl Builder {
    /// Listens on this port; 0, the default, takes a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Listens on this address; the default is the loopback of this machine. Anyone who can reach it can see
    /// and control everything: only the endpoints ask for the token.
    pub fn bind(mut self, address: impl Into<IpAddr>) -> Self {
        self.address = address.into();
        self
    }

    /// Gives access to the control API below `/_sandbox` under this host name too, such as
    /// `host.docker.internal`. Without it, IP addresses, names without a dot and names below `localhost` have
    /// access: any other name could be the domain of a web page.
    pub fn allow_host(mut self, name: impl Into<String>) -> Self {
        self.allowed_hosts.push(name.into());
        self
    }

    /// Accepts only this token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = token.into();
        self
    }

    /// Serves only this bot.
    pub fn bot_id(mut self, id: impl Into<String>) -> Self {
        self.bot_id = id.into();
        self
    }

    /// Responds 429 to requests beyond this number in a second. Without it, no request is rejected for its rate,
    /// and the responses name the limit that the API documents.
    pub fn requests_per_second(mut self, limit: u64) -> Self {
        self.requests_per_second = Some(limit);
        self
    }

    /// Delays every response by this time, as a network would.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.behavior.latency = latency;
        self
    }

    /// Lets this time pass between looking for a record and storing it, as a server without transactions would:
    /// two concurrent requests can both find nothing.
    pub fn lookup_gap(mut self, gap: Duration) -> Self {
        self.behavior.lookup_gap = gap;
        self
    }

    /// Rejects messages whose user or conversation the sandbox did not create.
    pub fn strict(mut self) -> Self {
        self.behavior.strict = true;
        self
    }

    /// Declares these channels, as an integration does: conversations in other channels are rejected. Without it,
    /// every channel is accepted.
    pub fn channels(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.definition.channels = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Declares these tags of a record (`message`, `user` or `conversation`), as an integration does: others are
    /// rejected. Without it, every tag of that record is accepted.
    pub fn tags(
        mut self,
        record: impl Into<String>,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        self.definition.tags.insert(record.into(), names);
        self
    }

    /// Declares the channels and tags that this text lists, in YAML or JSON. The README shows one.
    ///
    /// # Errors
    ///
    /// An error that says what is wrong with the text.
    pub fn definition(mut self, text: &str) -> io::Result<Self> {
        self.definition = Definition::read(text)?;
        self.definition.check()?;
        Ok(self)
    }

    /// Makes each request fail with this probability, between 0 and 1, with a random [`Fault`].
    /// The same seed gives the same faults in the same order.
    pub fn storm(mut self, seed: u64, probability: f64) -> Self {
        self.storm = Some((seed, probability));
        self
    }

    /// Calls this function with each request once its outcome is known, before the response is sent: to print
    /// it, for example.
    pub fn on_request(mut self, observer: impl Fn(&Request) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Starts the sandbox in the current tokio runtime.
    ///
    /// # Errors
    ///
    /// The error of the operating system if it cannot listen, or an error if [`tags`](Self::tags) names an unknown
    /// record.
    pub async fn start(self) -> io::Result<Sandbox> {
        self.definition.check()?;
        let listener = TcpListener::bind((self.address, self.port)).await?;
        let address = listener.local_addr()?;
        let (_running, running) = watch::channel(());
        let endpoint = Arc::new(Endpoint::new(self, running));
        let router = Router::new()
            .route("/", get(page::page).fallback(respond))
            .merge(control::router(&endpoint.settings))
            .fallback(respond)
            .with_state(Arc::clone(&endpoint));
        let stopped = endpoint.stopped();
        tokio::spawn(
            async move { axum::serve(listener, router).with_graceful_shutdown(stopped).await },
        );
        Ok(Sandbox { address, endpoint, _running })
    }
}

/// Locks even after a panic in another test: the data can still be read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
