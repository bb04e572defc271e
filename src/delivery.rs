//! One webhook: its user and its conversation, then its message.

use std::marker::PhantomData;

use futures_util::future::join;
use serde_json::Value;

use crate::api::types::{Conversation, Message, User};
use crate::attempt::Stored;
use crate::call::Call;
use crate::error::Error;
use crate::memory::Memory;
use crate::record::{New, NewMessage, Record, identity};
use crate::trace;
use crate::turns::Turn;

struct Delivery<'a> {
    call: Call<'a>,
    memory: &'a Memory,
    message: &'a NewMessage,
    user: Option<ResolvedId<'a, User>>,
    conversation: Option<ResolvedId<'a, Conversation>>,
    /// Its turn in the conversation.
    turn: Option<Turn<'a>>,
}

/// The id of a user or a conversation that the message has as a record.
struct ResolvedId<'a, T> {
    body: &'a Value,
    /// The key of its id in memory.
    key: String,
    id: Option<String>,
    remembered: bool,
    record: PhantomData<T>,
}

impl<'a> Delivery<'a> {
    /// Waits for its turn in the conversation.
    async fn start(
        call: Call<'a>,
        memory: &'a Memory,
        message: &'a NewMessage,
    ) -> Result<Self, Error> {
        let user = message.reference::<User>().map(|user| ResolvedId::new(&call, user));
        let conversation = message.reference::<Conversation>();
        let conversation = conversation.map(|body| ResolvedId::new(&call, body));
        let turn = call.turn::<Message>(message.ordering_key()).await?;
        Ok(Self { call, memory, message, user, conversation, turn })
    }

    async fn go(&mut self) -> Result<Stored<Message>, Error> {
        let (user, conversation) = join(
            resolve(&self.call, self.memory, &mut self.user),
            resolve(&self.call, self.memory, &mut self.conversation),
        )
        .await;
        let result = match user.and(conversation) {
            Ok(()) => self.send().await,
            Err(error) => Err(error),
        };
        result.map_err(|error| error.of_delivery(id(&self.user), id(&self.conversation)))
    }

    /// Sends the message with its ids.
    async fn send(&mut self) -> Result<Stored<Message>, Error> {
        let turn = self.call.turn::<Message>(self.message.identity()).await?;
        let ids = [
            self.user.as_ref().and_then(|user| Some(("userId", user.id.as_deref()?, "user"))),
            self.conversation.as_ref().and_then(|conversation| {
                Some(("conversationId", conversation.id.as_deref()?, "conversation"))
            }),
        ];
        if let Some(ResolvedId { id: Some(id), .. }) = &self.conversation {
            trace::conversation(id);
        }
        let message = self.message.with_ids(ids);
        // If the call is dropped from here on, the message may be stored after the next one.
        if let Some(turn) = &mut self.turn {
            turn.in_flight = true;
        }
        let result = self.call.attempts(&message, turn).await;
        self.lingers(result.as_ref().is_err_and(Error::maybe_stored));
        result
    }

    fn lingers(&mut self, in_flight: bool) {
        if let Some(turn) = &mut self.turn {
            turn.in_flight = in_flight;
        }
    }

    /// Forgets the ids that were remembered, if there are any.
    fn forget(&mut self) -> bool {
        let forgotten = [forget(self.memory, &self.user), forget(self.memory, &self.conversation)];
        forgotten.contains(&true)
    }
}

impl<'a, T: Record> ResolvedId<'a, T> {
    fn new(call: &Call<'_>, body: &'a Value) -> Self {
        let key = format!("{} {} {body}", call.context.scope, T::OPERATION.record);
        Self { body, key, id: None, remembered: false, record: PhantomData }
    }

    fn recall(&mut self, memory: &Memory) -> bool {
        self.id = memory.recall(&self.key);
        self.remembered = self.id.is_some();
        self.remembered
    }

    async fn request(&mut self, call: &Call<'_>, memory: &Memory) -> Result<(), Error> {
        let turn = call.turn::<T>(identity(T::OPERATION, self.body)).await?;
        // Another delivery may have resolved it meanwhile.
        if !self.recall(memory) {
            let stored = call.attempts(&New::<T>::from(self.body.clone()), turn).await?;
            memory.remember(self.key.clone(), stored.record.id());
            self.id = Some(stored.record.id().to_owned());
        }
        Ok(())
    }
}

/// Delivers a valid message, all calls within the deadline of this one.
pub(crate) async fn deliver(
    call: Call<'_>,
    memory: &Memory,
    message: &NewMessage,
) -> Result<Stored<Message>, Error> {
    let mut delivery = Delivery::start(call, memory, message).await?;
    match delivery.go().await {
        Err(earlier) if earlier.kind().is_unknown_id() && delivery.forget() => {
            let result = delivery.go().await;
            result
                .map(|stored| stored.following(earlier.maybe_stored()))
                .map_err(|error| error.following(&earlier))
        }
        result => result,
    }
}

/// Takes an id from memory or from the API.
async fn resolve<T: Record>(
    call: &Call<'_>,
    memory: &Memory,
    id: &mut Option<ResolvedId<'_, T>>,
) -> Result<(), Error> {
    let Some(id) = id else { return Ok(()) };
    if id.recall(memory) {
        return Ok(());
    }
    // A delivery that finds the id in memory does without the space for the call.
    Box::pin(id.request(call, memory)).await
}

fn id<T>(resolved: &Option<ResolvedId<'_, T>>) -> Option<String> {
    resolved.as_ref().and_then(|resolved| resolved.id.clone())
}

fn forget<T>(memory: &Memory, resolved: &Option<ResolvedId<'_, T>>) -> bool {
    let Some(ResolvedId { key, id: Some(id), remembered: true, .. }) = resolved else {
        return false;
    };
    memory.forget(key, id);
    true
}
