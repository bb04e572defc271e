//! One delivery: resolve the user and the conversation to ids, then send the message with these.

use std::hash::{BuildHasher, Hash};

use futures_util::future::try_join;

use crate::api::types::{Message, NewConversation, NewMessage, NewUser};
use crate::attempt::Stored;
use crate::call::Call;
use crate::config::CallContext;
use crate::delivery::Delivery;
use crate::error::{Error, ErrorKind};
use crate::memory::MemoryKey;
use crate::record::{GetOrCreate, is_identified};
use crate::trace;
use crate::turns::Turn;

/// What is known about a delivery so far. If it fails, its error is built from this, once.
struct Progress<'a> {
    call: Call<'a>,
    message: NewMessage,
    user: Option<ResolvedId<'a, NewUser>>,
    conversation: Option<ResolvedId<'a, NewConversation>>,
    /// Whether the message may be stored.
    maybe_stored: bool,
}

/// The id of a user or a conversation that is given as a record.
struct ResolvedId<'a, R> {
    record: &'a R,
    key: MemoryKey,
    id: Option<String>,
    /// The API has just returned the id; otherwise it is a remembered one.
    is_new: bool,
}

/// A step that failed, and why.
type Failed = (&'static str, ErrorKind);

/// Delivers a valid message, all calls within the deadline of this one.
pub(crate) async fn deliver(call: Call<'_>, delivery: &Delivery) -> Result<Stored<Message>, Error> {
    let mut progress = Progress {
        message: delivery.message.clone(),
        user: delivery.user.as_ref().map(|user| ResolvedId::new(&call, user)),
        conversation: delivery.conversation.as_ref().map(|c| ResolvedId::new(&call, c)),
        maybe_stored: false,
        call,
    };
    let result = progress.run().await;
    result.map_err(|(step, kind)| progress.error(step, kind))
}

impl Progress<'_> {
    async fn run(&mut self) -> Result<Stored<Message>, Failed> {
        let CallContext { shared, bot, .. } = self.call.context;
        let key = match &self.conversation {
            Some(conversation) => conversation.key.identity,
            None => (*bot, shared.hasher.hash_one(&self.message.conversation_id)),
        };
        let mut turn = self.call.turn(Some(key)).await.map_err(|kind| ("message", kind))?;
        loop {
            // In parallel. If one fails, nothing waits for the other.
            let user = resolve(&self.call, &mut self.user);
            try_join(user, resolve(&self.call, &mut self.conversation)).await?;
            match self.send(&mut turn).await {
                // The API does not know a remembered id any more: request it again, once.
                Err(kind) if kind.is_unknown_id() && self.forget() => {}
                result => return result.map_err(|kind| ("message", kind)),
            }
        }
    }

    /// Sends the message with its ids, in the turn of its conversation.
    async fn send(&mut self, turn: &mut Turn) -> Result<Stored<Message>, ErrorKind> {
        if let Some(id) = id(&self.user) {
            self.message.user_id.clone_from(id);
        }
        if let Some(id) = id(&self.conversation) {
            self.message.conversation_id.clone_from(id);
            trace::conversation(id);
        }
        // An id from the caller may be the unknown one, and waiting does not make it known.
        let has_new_ids = self.user.as_ref().is_some_and(|user| user.is_new)
            && self.conversation.as_ref().is_some_and(|conversation| conversation.is_new);
        let Self { call, message, maybe_stored, .. } = self;
        let turn_of_message = call.turn_of(message).await?;
        // If the call is dropped from here on, the message may be stored after the next one.
        turn.in_flight = true;
        let result = call.attempts(message, turn_of_message, has_new_ids, maybe_stored).await;
        turn.in_flight = result.is_err() && *maybe_stored;
        result
    }

    /// Forgets the ids that came from memory. Returns whether there were any.
    fn forget(&mut self) -> bool {
        let context = self.call.context;
        let user = self.user.as_mut().is_some_and(|user| user.forget(context));
        self.conversation.as_mut().is_some_and(|known| known.forget(context)) || user
    }

    fn error(self, step: &'static str, kind: ErrorKind) -> Error {
        // The next delivery requests the ids again.
        let is_stale = kind.is_unknown_id() && (self.user.is_some() || self.conversation.is_some());
        Error::new(kind)
            .with_transient(is_stale)
            .with_step(step)
            .with_attempts(self.call.failed())
            .with_maybe_stored(self.maybe_stored)
            .with_identified(is_identified(&self.message))
            .with_ids(id(&self.user).cloned(), id(&self.conversation).cloned())
    }
}

impl<'a, R: GetOrCreate + Hash> ResolvedId<'a, R> {
    fn new(call: &Call<'_>, record: &'a R) -> Self {
        let CallContext { shared, scope, .. } = call.context;
        let key = MemoryKey::new(&shared.hasher, *scope, record);
        Self { record, key, id: None, is_new: false }
    }

    fn recall(&mut self, context: &CallContext) -> bool {
        self.id = context.memory.recall(&self.key);
        self.id.is_some()
    }

    /// Gets the id from the API.
    async fn request(&mut self, call: &Call<'_>) -> Result<(), ErrorKind> {
        let turn = call.turn_of(self.record).await?;
        // Another delivery may have resolved it meanwhile.
        if self.recall(call.context) {
            return Ok(());
        }
        let stored = call.attempts(self.record, turn, false, &mut false).await?;
        let id = R::id(&stored.record);
        call.context.memory.remember(&self.key, id);
        (self.id, self.is_new) = (Some(id.to_owned()), true);
        Ok(())
    }

    /// Forgets the id if it came from memory. Returns whether it did.
    fn forget(&mut self, context: &CallContext) -> bool {
        let forgotten = self.id.take_if(|_| !self.is_new);
        forgotten.iter().for_each(|id| context.memory.forget(&self.key, id));
        forgotten.is_some()
    }
}

/// Takes an id from memory or from the API.
async fn resolve<R: GetOrCreate + Hash>(
    call: &Call<'_>,
    id: &mut Option<ResolvedId<'_, R>>,
) -> Result<(), Failed> {
    let Some(id) = id else { return Ok(()) };
    if id.id.is_some() || id.recall(call.context) {
        return Ok(());
    }
    // Boxed, so that a delivery that finds the id in memory stays small.
    let requested = Box::pin(id.request(call)).await;
    requested.map_err(|kind| (R::OPERATION.record, kind))
}

fn id<'a, R>(resolved: &'a Option<ResolvedId<'_, R>>) -> Option<&'a String> {
    resolved.as_ref()?.id.as_ref()
}
