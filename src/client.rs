//! The client and its calls.

use std::fmt;
use std::sync::Arc;

use crate::api::types::Message;
use crate::attempt::Stored;
use crate::call::{Call, CallContext};
use crate::config::{Builder, Checked, Target};
use crate::delivery::deliver;
use crate::error::Error;
use crate::memory::Memory;
use crate::record::{New, NewMessage, Record};
use crate::retry::Retry;
use crate::trace;

/// A client for the endpoints. Clones are cheap; they share their connections, their count of the rate
/// limit, and the turns of calls for the same record.
///
/// ```no_run
/// # async fn example() -> Result<(), botpress_messages::Error> {
/// use botpress_messages::{Client, NewConversation, NewMessage, NewUser, content::Text};
///
/// let client = Client::from_env()?;
/// let message = NewMessage::new(
///     NewConversation::new("channel").tag("id", "C05C6ACTLPQ"),
///     NewUser::new().tag("id", "U05BPU9V1KQ"),
///     Text::new("Hello"),
/// )
/// .tag("ts", "1722441123.004619");
/// let stored = client.deliver(&message).await?;
/// println!("{} created: {:?}", stored.record.id, stored.created);
/// # Ok(())
/// # }
/// ```
///
/// # Runtime
///
/// Calls run in a tokio runtime that has its timers and its I/O enabled, as `#[tokio::main]` has. They
/// panic without one: in another runtime, or in one that was built without `enable_all`. The client is
/// built and shared anywhere; a program without a runtime can make one and `block_on` a call.
#[derive(Clone)]
pub struct Client {
    settings: Arc<Settings>,
    retry: Retry,
}

/// What the clones of a client share.
struct Settings {
    builder: Builder,
    target: Target,
    calls: CallContext,
    memory: Arc<Memory>,
}

impl Client {
    /// A client to be set up value by value; it needs a token, a bot id and an integration.
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

    /// The settings of this client, for another bot, token or integration. What is built from them takes
    /// turns with this client and ends with it. It uses the same connections and remembered ids, unless
    /// it is told to connect or remember in another way, and counts a rate limit of its own.
    ///
    /// ```
    /// # use botpress_messages::{Client, Error};
    /// # fn example(client: &Client) -> Result<(), Error> {
    /// let other = client.to_builder().bot_id("another bot").token("its token").build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn to_builder(&self) -> Builder {
        self.settings.builder.clone().retry(self.retry)
    }

    /// The same client with another deadline or number of attempts: a webhook has three seconds, a
    /// backlog has a minute. They share everything else, also the count of the rate limit.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use botpress_messages::{Client, Retry};
    /// # fn example(client: &Client) {
    /// let webhooks = client.with_retry(Retry::default().deadline(Duration::from_secs(2)));
    /// # }
    /// ```
    #[must_use]
    pub fn with_retry(&self, retry: Retry) -> Self {
        Self { settings: Arc::clone(&self.settings), retry }
    }

    /// Finds the record by its tags or creates it: a [`NewMessage`](crate::NewMessage), a
    /// [`NewUser`](crate::NewUser) or a [`NewConversation`](crate::NewConversation). An attempt that
    /// fails is repeated where that is safe, as [`Retry`] tells. Calls of this client and its clones for
    /// the same record take turns: the second finds what the first created.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) before anything is sent; any other
    /// [`ErrorKind`](crate::ErrorKind) after the last attempt.
    /// [`Error::maybe_stored`] tells whether the record may be stored all the same.
    ///
    /// # Cancellation
    ///
    /// The future can be dropped at any time: nothing goes on without it, and the client stays as it
    /// is. What was sent by then may be stored.
    pub async fn get_or_create<T: Record>(&self, record: &New<T>) -> Result<Stored<T>, Error> {
        let call = async {
            record.check()?;
            let call = self.start();
            let turn = call.turn::<T>(record.identity()).await?;
            call.attempts(record, turn).await
        };
        let conversation = record.text("conversationId");
        trace::call(T::OPERATION.name, self.bot_id(), conversation, call).await
    }

    /// Delivers a message from a channel: asks for its user and its conversation, side by side, where it
    /// has them in the place of their ids, and then for the message with the ids that these have.
    ///
    /// ```
    /// # use botpress_messages::{Client, Error};
    /// use botpress_messages::{NewConversation, NewMessage, NewUser, content::Text};
    ///
    /// # async fn example(client: &Client) -> Result<(), Error> {
    /// let message = NewMessage::new(
    ///     NewConversation::new("channel").tag("id", "C05C6ACTLPQ"),
    ///     NewUser::new().tag("id", "U05BPU9V1KQ").name("Ann Petit"),
    ///     Text::new("can someone restart **staging**?"),
    /// )
    /// .tag("ts", "1722441123.004619")
    /// .tag("channelId", "C05C6ACTLPQ");
    /// let stored = client.deliver(&message).await?;
    /// assert!(stored.record.user_id.starts_with("user_"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// All calls share the one deadline of [`Retry`](crate::Retry). Deliveries into one conversation go
    /// one after the other, in the order in which their futures are first polled; others go side by side.
    /// The ids of users and conversations are [remembered](crate::Builder::remember_ids), so that a known
    /// person in a known conversation costs one request. An id that the API does not know any more is
    /// forgotten and asked for again, once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) before anything is sent, also of a user or a
    /// conversation that no tag identifies: every delivery would create another. [`Error::step`] tells
    /// which call failed, [`Error::user_id`] and [`Error::conversation_id`] what is stored by then, and
    /// [`Error::maybe_stored`] whether the message may be.
    ///
    /// # Cancellation
    ///
    /// As of [`get_or_create`](Self::get_or_create).
    pub async fn deliver(&self, message: &NewMessage) -> Result<Stored<Message>, Error> {
        let delivery = async {
            message.validate()?;
            deliver(self.start(), &self.settings.memory, message).await
        };
        trace::call("deliver", self.bot_id(), message.conversation_id(), delivery).await
    }

    /// The generated client, with the credentials and the timeout of this one: for operations that no other
    /// method covers, and for calls without retries. See [`api`](crate::api).
    pub fn api(&self) -> crate::api::Client {
        self.settings.calls.api()
    }

    /// The bot that it calls for.
    pub fn bot_id(&self) -> &str {
        &self.settings.target.bot_id
    }

    /// Ends the waits of this client, its clones, and all clients that were made from it, for a program
    /// that has to stop. Attempts under way go on to their end, and none starts any more: calls that
    /// would wait for another one end with the error of the last, calls without one with
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    pub fn close(&self) {
        self.settings.calls.shared.closed.cancel();
    }

    fn start(&self) -> Call<'_> {
        Call::start(&self.settings.calls, &self.retry)
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
        let Checked { settings: builder, target, caller, timeout, memory, shared } =
            self.check()?;
        let (retry, scope) = (builder.retry, shared.scope(&target));
        let calls = CallContext::new(caller, timeout, shared, scope);
        let settings = Settings { builder, target, calls, memory };
        Ok(Client { settings: Arc::new(settings), retry })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { target, calls, .. } = &*self.settings;
        f.debug_struct("Client")
            .field("target", target)
            .field("timeout", &calls.timeout)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
