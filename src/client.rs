//! The client and its calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::attempt::{Caller, Record, Stored};
use crate::config::{Builder, Checked, Shared, Target};
use crate::error::Error;
use crate::generated::Operation;
use crate::limit::Limit;
use crate::memory::Memory;
use crate::record::New;
use crate::retry::{Budget, Retry};
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
    pub(crate) settings: Arc<Settings>,
    pub(crate) retry: Retry,
}

/// What the clones of a client share.
pub(crate) struct Settings {
    builder: Builder,
    target: Target,
    pub(crate) caller: Arc<Caller>,
    pub(crate) timeout: Duration,
    pub(crate) limit: Limit,
    pub(crate) budget: Budget,
    memory: Arc<Memory>,
    pub(crate) shared: Arc<Shared>,
    /// Tells what it asks for from what clients of other bots do.
    pub(crate) scope: usize,
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
    /// [`ErrorKind::Config`], which names the variable that is missing or unusable.
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
    /// [`ErrorKind::Invalid`] before anything is sent; any other [`ErrorKind`] after the last attempt.
    /// [`Error::maybe_stored`] tells whether the record may be stored all the same.
    ///
    /// # Cancellation
    ///
    /// The future can be dropped at any time: nothing goes on without it, and the client stays as it
    /// is. What was sent by then may be stored.
    pub async fn get_or_create<T: Record>(&self, record: &New<T>) -> Result<Stored<T>, Error> {
        let call = async {
            record.check()?;
            let time = self.time();
            let turn = self.turn::<T>(record.identity(), time).await?;
            self.attempts::<T>(record.sent().bytes()?, turn, time).await
        };
        let conversation = record.text("conversationId");
        trace::call(T::OPERATION.name, self.bot_id(), conversation, call).await
    }

    /// The bot that it calls for.
    pub fn bot_id(&self) -> &str {
        &self.settings.target.bot_id
    }

    /// Ends the waits of this client, its clones, and all clients that were made from it, for a program
    /// that has to stop. Attempts under way go on to their end, and none starts any more: calls that
    /// would wait for another one end with the error of the last, calls without one with
    /// [`ErrorKind::Closed`].
    pub fn close(&self) {
        self.settings.shared.open.close();
    }

    /// The ids that it remembers.
    pub(crate) fn memory(&self) -> &Memory {
        &self.settings.memory
    }

    /// The key of the id that this request asks for.
    pub(crate) fn memory_key(&self, operation: &Operation, body: &Value) -> String {
        format!("{} {} {body}", self.settings.scope, operation.record)
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
        let (retry, caller, scope) = (builder.retry, Arc::new(caller), shared.place(&target));
        let (limit, budget) = Default::default();
        let settings =
            Settings { builder, target, caller, timeout, limit, budget, memory, shared, scope };
        Ok(Client { settings: Arc::new(settings), retry })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { target, timeout, .. } = &*self.settings;
        f.debug_struct("Client")
            .field("target", target)
            .field("timeout", timeout)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
