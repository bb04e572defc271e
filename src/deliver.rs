//! One delivery: resolve the user and the conversation to ids, then send the message with these.

use std::hash::{BuildHasher, Hash};

use futures_util::future::try_join;

use crate::api::types::{Message, NewConversation, NewMessage, NewUser};
use crate::attempt::Stored;
use crate::call::{Call, CallContext, Outcome};
use crate::delivery::Delivery;
use crate::error::{Error, ErrorKind};
use crate::memory::{Memory, MemoryKey};
use crate::record::{GetOrCreate, identity};
use crate::trace;
use crate::turns::Turn;

/// What is known of a delivery so far. Its error is made of this, once.
struct Progress<'a> {
    call: Call<'a>,
    memory: &'a Memory,
    message: NewMessage,
    /// Of the message, if tags identify it.
    identity: Option<u64>,
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
    source: Source,
}

/// Where an id is from.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Memory,
    Api,
}

/// A step that failed, and why.
type Failed = (&'static str, ErrorKind);

/// Delivers a valid message, all calls within the deadline of this one.
pub(crate) async fn deliver(
    call: Call<'_>,
    memory: &Memory,
    delivery: &Delivery,
) -> Result<Stored<Message>, Error> {
    let mut progress = Progress {
        memory,
        message: delivery.message.clone(),
        identity: identity(&delivery.message),
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
        let place = match &self.conversation {
            Some(conversation) => conversation.key.identity,
            None => self.call.context.shared.hasher.hash_one(&self.message.conversation_id),
        };
        let mut turn = self.call.turn(Some(place)).await.map_err(|kind| ("message", kind))?;
        loop {
            self.resolve().await?;
            match self.send(&mut turn).await {
                // A remembered id that the API does not know any more: ask for it again, once.
                Err(kind) if kind.is_unknown_id() && self.forget() => {}
                result => return result.map_err(|kind| ("message", kind)),
            }
        }
    }

    /// Gets the ids of user and conversation, in parallel. If one fails, nothing waits for the other.
    async fn resolve(&mut self) -> Result<(), Failed> {
        let user = resolve(&self.call, self.memory, &mut self.user);
        let conversation = resolve(&self.call, self.memory, &mut self.conversation);
        try_join(user, conversation).await?;
        Ok(())
    }

    /// Sends the message with its ids.
    async fn send(&mut self, turn: &mut Option<Turn<'_>>) -> Result<Stored<Message>, ErrorKind> {
        if let Some(id) = id(&self.user) {
            self.message.user_id.clone_from(id);
        }
        if let Some(id) = id(&self.conversation) {
            self.message.conversation_id.clone_from(id);
            trace::conversation(id);
        }
        // An id that the caller gave may be the unknown one, and that does not change by itself.
        let has_new_id = self.user.is_some()
            && self.conversation.is_some()
            && self.has_id_from(Source::Api)
            && !self.has_id_from(Source::Memory);
        let turn_of_message = self.call.turn(self.identity).await?;
        // If the call is dropped from here on, the message may be stored after the next one.
        set_in_flight(turn, true);
        let Outcome { maybe_stored, result } =
            self.call.attempts(&self.message, turn_of_message, has_new_id).await;
        let result = result.map(|stored| stored.following(self.maybe_stored));
        self.maybe_stored |= maybe_stored;
        set_in_flight(turn, result.is_err() && self.maybe_stored);
        result
    }

    fn has_id_from(&self, source: Source) -> bool {
        is_from(&self.user, source) || is_from(&self.conversation, source)
    }

    /// Forgets the ids that are from memory. Whether there were any.
    fn forget(&mut self) -> bool {
        let user = forget(self.memory, &mut self.user);
        forget(self.memory, &mut self.conversation) || user
    }

    fn error(self, step: &'static str, kind: ErrorKind) -> Error {
        // Another delivery asks for the ids again.
        let is_stale = kind.is_unknown_id() && (self.user.is_some() || self.conversation.is_some());
        Error::new(kind)
            .with_transient(is_stale)
            .with_step(step)
            .with_attempts(self.call.failed())
            .with_maybe_stored(self.maybe_stored)
            .with_identified(self.identity.is_some())
            .with_ids(id(&self.user).cloned(), id(&self.conversation).cloned())
    }
}

impl<'a, R: GetOrCreate + Hash> ResolvedId<'a, R> {
    fn new(call: &Call<'_>, record: &'a R) -> Self {
        let CallContext { shared, scope, .. } = call.context;
        let key = MemoryKey::new(&shared.hasher, *scope, record);
        Self { record, key, id: None, source: Source::Memory }
    }

    fn recall(&mut self, memory: &Memory) -> bool {
        (self.id, self.source) = (memory.recall(&self.key), Source::Memory);
        self.id.is_some()
    }

    /// Asks the API.
    async fn request(&mut self, call: &Call<'_>, memory: &Memory) -> Result<(), ErrorKind> {
        let turn = call.turn(identity(self.record)).await?;
        // Another delivery may have resolved it meanwhile.
        if self.recall(memory) {
            return Ok(());
        }
        let stored = call.attempts(self.record, turn, false).await.result?;
        let id = R::id(&stored.record);
        memory.remember(&self.key, id);
        (self.id, self.source) = (Some(id.to_owned()), Source::Api);
        Ok(())
    }
}

/// Takes an id from memory or from the API.
async fn resolve<R: GetOrCreate + Hash>(
    call: &Call<'_>,
    memory: &Memory,
    id: &mut Option<ResolvedId<'_, R>>,
) -> Result<(), Failed> {
    let Some(id) = id else { return Ok(()) };
    if id.id.is_some() || id.recall(memory) {
        return Ok(());
    }
    // Boxed, so that a delivery that finds the id in memory stays small.
    let requested = Box::pin(id.request(call, memory)).await;
    requested.map_err(|kind| (R::OPERATION.record, kind))
}

fn id<'a, R>(resolved: &'a Option<ResolvedId<'_, R>>) -> Option<&'a String> {
    resolved.as_ref()?.id.as_ref()
}

fn is_from<R>(resolved: &Option<ResolvedId<'_, R>>, source: Source) -> bool {
    resolved.as_ref().is_some_and(|resolved| resolved.id.is_some() && resolved.source == source)
}

fn forget<R>(memory: &Memory, resolved: &mut Option<ResolvedId<'_, R>>) -> bool {
    let Some(resolved) = resolved.as_mut().filter(|resolved| resolved.source == Source::Memory)
    else {
        return false;
    };
    let id = resolved.id.take();
    id.is_some_and(|id| {
        memory.forget(&resolved.key, &id);
        true
    })
}

fn set_in_flight(turn: &mut Option<Turn<'_>>, in_flight: bool) {
    if let Some(turn) = turn {
        turn.in_flight = in_flight;
    }
}
