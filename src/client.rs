//! The client and its calls.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::api::types::{Message, NewMessage};
use crate::attempt::Stored;
use crate::call::Call;
use crate::config::{Builder, CallContext, check_header, secret};
use crate::deliver::deliver;
use crate::delivery::Delivery;
use crate::error::Error;
use crate::record::{GetOrCreate, validate};
use crate::retry::Retry;
use crate::trace;

/// A client for the endpoints; the [crate](crate) shows how to use one. Clones are cheap; they share their
/// connections, their count of the rate limit, and the turns of calls for the same record.
///
/// # Runtime
///
/// Calls run in a tokio runtime that has its timers and its I/O enabled, as `#[tokio::main]` has. They
/// panic in another runtime, or in one that was built without `enable_all`. The client can be built and
/// shared anywhere; a program without a runtime can make one and `block_on` a call.
#[derive(Clone)]
pub struct Client {
    context: Arc<CallContext>,
    retry: Retry,
    headers: HeaderMap,
}

impl Client {
    /// Settings for a new client; it needs a token, a bot id and an integration.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A client with the settings of the environment, as [`Builder::env`] reads them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), which names the variable that is missing or
    /// unusable.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().env().build()
    }

    /// The settings of this client, without the headers of [`with_header`](Self::with_header), for another bot, token
    /// or integration. A client that is built from them takes turns with this one and is closed with it. It uses the
    /// same connections and remembered ids, unless their settings change, and has its own rate limit.
    ///
    /// ```
    /// # use botpress_messages::{Client, Error};
    /// # fn example(client: &Client) -> Result<(), Error> {
    /// let other = client.to_builder().bot_id("another bot").token("its token").build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn to_builder(&self) -> Builder {
        self.context.settings.clone().retry(self.retry)
    }

    /// The same client with another deadline or number of attempts, such as a short deadline for webhooks. The two
    /// clients share everything else, including the count of the rate limit.
    #[must_use]
    pub fn with_retry(&self, retry: Retry) -> Self {
        Self { retry, ..self.clone() }
    }

    /// The same client with one more header in every request, such as the `traceparent` of a webhook. Its value is
    /// treated as a secret, and replaces the [builder](Builder::header)'s for the same name. If this is called
    /// again with the same name, both values are sent. The two clients share everything else.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the client sets this header itself.
    pub fn with_header(&self, name: HeaderName, value: HeaderValue) -> Result<Self, Error> {
        check_header(&name)?;
        let mut headers = self.headers.clone();
        headers.append(name, secret(value));
        Ok(Self { headers, ..self.clone() })
    }

    /// Gets the record with these tags or creates it: a [`NewMessage`](crate::NewMessage), a
    /// [`NewUser`](crate::NewUser) or a [`NewConversation`](crate::NewConversation). A failed
    /// attempt is retried where that is safe; see [`Retry`]. Calls for the same record take turns: the second
    /// finds what the first created.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) before anything is sent; any other
    /// [`ErrorKind`](crate::ErrorKind) if no attempt succeeds. [`Error::maybe_stored`] reports whether the
    /// record may have been stored although the call failed.
    ///
    /// # Cancellation
    ///
    /// The future can be dropped at any time. Nothing continues without it. The record of a request that was already
    /// sent may be stored.
    pub async fn get_or_create<R: GetOrCreate>(
        &self,
        record: &R,
    ) -> Result<Stored<R::Record>, Error> {
        let call = async {
            validate(record)?;
            self.start().get_or_create(record).await
        };
        let conversation = record.conversation();
        trace::call(R::OPERATION.name, self.bot_id(), conversation, R::id, pin!(call)).await
    }

    /// Delivers a message from a channel: gets the ids of its user and its conversation, in parallel, and then
    /// gets or creates the message.
    ///
    /// Its calls share the deadline of [`Retry`]. Deliveries to the same conversation run one at a time, in
    /// the order in which their futures are first polled; deliveries to others run in parallel. The ids of
    /// users and conversations are [remembered](Builder::remember_ids), so that a known person in a known
    /// conversation costs one request. An id that the API does not know any more is requested again, once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) before anything is sent. [`Error::step`] names the call that
    /// failed. [`Error::user_id`] and [`Error::conversation_id`] are the ids that the API returned or that the client
    /// remembered, and [`Error::maybe_stored`] reports whether the message may have been stored.
    ///
    /// # Cancellation
    ///
    /// The same as for [`get_or_create`](Self::get_or_create).
    pub async fn deliver(&self, delivery: &Delivery) -> Result<Stored<Message>, Error> {
        let call = async {
            delivery.validate()?;
            deliver(self.start(), delivery).await
        };
        let conversation = delivery.conversation_id();
        trace::call("deliver", self.bot_id(), conversation, NewMessage::id, pin!(call)).await
    }

    /// The generated client, with the credentials and the attempt timeout of this one: for operations that no other
    /// method covers, and for calls without retries. See [`api`](crate::api).
    pub fn api(&self) -> crate::api::Client {
        let timeout = self.retry.time_for_attempt(self.retry.deadline, false);
        self.context.caller.api(timeout, &self.headers, None)
    }

    /// The id of the bot that receives the messages.
    pub fn bot_id(&self) -> &str {
        &self.context.target.bot_id
    }

    /// For shutdown: stops the retries and queued calls of this client, its clones, and all clients that were made of
    /// any of them with `to_builder`. Attempts in flight finish. No new attempt starts: a waiting call returns its last
    /// error, or [`ErrorKind::Closed`](crate::ErrorKind::Closed) if it has none. Closed clients
    /// cannot be opened again.
    pub fn close(&self) {
        self.context.shared.closed.cancel();
    }

    fn start(&self) -> Call<'_> {
        Call::start(&self.context, &self.retry, &self.headers)
    }
}

impl Builder {
    /// Checks the settings and makes the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), which names the setting that is missing or
    /// unusable.
    pub fn build(self) -> Result<Client, Error> {
        let context = self.check()?;
        let retry = context.settings.retry;
        Ok(Client { context: Arc::new(context), retry, headers: HeaderMap::new() })
    }
}

/// Delivers messages: a [`Client`], or a mock in tests.
///
/// ```
/// use botpress_messages::{Deliver, Delivery, Error, ErrorKind, Message, Stored};
///
/// struct Closed;
///
/// impl Deliver for Closed {
///     async fn deliver(&self, _: &Delivery) -> Result<Stored<Message>, Error> {
///         Err(Error::new(ErrorKind::Closed))
///     }
/// }
/// ```
pub trait Deliver: Send + Sync {
    /// Delivers a message; see [`Client::deliver`].
    fn deliver(
        &self,
        delivery: &Delivery,
    ) -> impl Future<Output = Result<Stored<Message>, Error>> + Send;
}

impl Deliver for Client {
    async fn deliver(&self, delivery: &Delivery) -> Result<Stored<Message>, Error> {
        Self::deliver(self, delivery).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("target", &self.context.target)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
