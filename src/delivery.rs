//! The whole way of a webhook: its user and its conversation, then its message.

use std::marker::PhantomData;

use futures_util::future::join;
use serde_json::Value;

use crate::attempt::{Record, Stored};
use crate::call::Time;
use crate::client::Client;
use crate::error::Error;
use crate::generated::types::{Conversation, Message, User};
use crate::record::{NewMessage, Sent, identity};
use crate::trace;
use crate::turns::Turn;

impl Client {
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
            let mut delivery = Delivery::start(self, message).await?;
            match delivery.go().await {
                Err(earlier) if earlier.kind().is_unknown_id() && delivery.forget() => {
                    let result = delivery.go().await;
                    result
                        .map(|stored| stored.following(earlier.maybe_stored()))
                        .map_err(|error| error.following(&earlier))
                }
                result => result,
            }
        };
        trace::call("deliver", self.bot_id(), message.conversation_id(), delivery).await
    }
}

struct Delivery<'a> {
    client: &'a Client,
    message: &'a NewMessage,
    user: Option<Part<'a, User>>,
    conversation: Option<Part<'a, Conversation>>,
    time: Time,
    /// Its turn in the conversation.
    turn: Option<Turn<'a>>,
}

impl<'a> Delivery<'a> {
    /// Waits for its turn in the conversation.
    async fn start(client: &'a Client, message: &'a NewMessage) -> Result<Self, Error> {
        let time = client.time();
        let user = message.reference::<User>().map(|user| Part::new(client, user));
        let conversation = message.reference::<Conversation>();
        let conversation = conversation.map(|conversation| Part::new(client, conversation));
        let turn = client.turn::<Message>(message.ordering_key(), time).await?;
        Ok(Self { client, message, user, conversation, time, turn })
    }

    async fn go(&mut self) -> Result<Stored<Message>, Error> {
        let (user, conversation) = join(
            ask(self.client, &mut self.user, self.time),
            ask(self.client, &mut self.conversation, self.time),
        )
        .await;
        let result = match user.and(conversation) {
            Ok(()) => self.send().await,
            Err(error) => Err(error),
        };
        result.map_err(|error| error.of_delivery(id(&self.user), id(&self.conversation)))
    }

    /// The message, with the ids that are known by now.
    async fn send(&mut self) -> Result<Stored<Message>, Error> {
        let turn = self.client.turn::<Message>(self.message.identity(), self.time).await?;
        let ids = [
            self.user.as_ref().and_then(|user| Some(("userId", user.id.as_deref()?, "user"))),
            self.conversation.as_ref().and_then(|conversation| {
                Some(("conversationId", conversation.id.as_deref()?, "conversation"))
            }),
        ];
        if let Some(Part { id: Some(id), .. }) = &self.conversation {
            trace::conversation(id);
        }
        let sent = self.message.sent().with_ids(ids).bytes()?;
        // Dropped from here on, it may be stored after the next one.
        if let Some(turn) = &mut self.turn {
            turn.under_way = true;
        }
        let result = self.client.attempts(sent, turn, self.time).await;
        self.lingers(result.as_ref().is_err_and(Error::maybe_stored));
        result
    }

    fn lingers(&mut self, under_way: bool) {
        if let Some(turn) = &mut self.turn {
            turn.under_way = under_way;
        }
    }

    /// Forgets the ids that were remembered, if there are any.
    fn forget(&mut self) -> bool {
        let forgotten = [forget(self.client, &self.user), forget(self.client, &self.conversation)];
        forgotten.contains(&true)
    }
}

/// A user or a conversation of which the message needs the id.
struct Part<'a, T> {
    body: &'a Value,
    /// The key of its id in memory.
    key: String,
    id: Option<String>,
    remembered: bool,
    record: PhantomData<T>,
}

impl<'a, T: Record> Part<'a, T> {
    fn new(client: &Client, body: &'a Value) -> Self {
        let key = client.memory_key(T::OPERATION, body);
        Self { body, key, id: None, remembered: false, record: PhantomData }
    }

    fn recall(&mut self, client: &Client) -> bool {
        self.id = client.memory().recall(&self.key);
        self.remembered = self.id.is_some();
        self.remembered
    }

    async fn ask(&mut self, client: &Client, time: Time) -> Result<(), Error> {
        let turn = client.turn::<T>(identity(T::OPERATION, self.body), time).await?;
        // Another delivery may have asked meanwhile.
        if !self.recall(client) {
            let body = Sent::from(self.body).bytes()?;
            let stored = client.attempts::<T>(body, turn, time).await?;
            client.memory().remember(self.key.clone(), stored.record.id());
            self.id = Some(stored.record.id().to_owned());
        }
        Ok(())
    }
}

/// Has the id of a part, from memory or from the API.
async fn ask<T: Record>(
    client: &Client,
    part: &mut Option<Part<'_, T>>,
    time: Time,
) -> Result<(), Error> {
    let Some(part) = part else { return Ok(()) };
    if part.recall(client) {
        return Ok(());
    }
    // A delivery that need not ask does without the space for it.
    Box::pin(part.ask(client, time)).await
}

fn id<T>(part: &Option<Part<'_, T>>) -> Option<String> {
    part.as_ref().and_then(|part| part.id.clone())
}

fn forget<T>(client: &Client, part: &Option<Part<'_, T>>) -> bool {
    let Some(Part { key, id: Some(id), remembered: true, .. }) = part else { return false };
    client.memory().forget(key, id);
    true
}
