//! What a webhook knows of a message: its content, and its user and conversation by id or as records.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::api::types::{
    Content, NewConversation, NewMessage, NewMessageOrigin, NewUser, Schedule,
};
use crate::error::Error;
use crate::message::{object, parts};
use crate::record::{GetOrCreate, check_record, identity, is_identified, parse, read_at, valid};
use crate::violation::{Path, Rule, Violation};

/// A message for [`Client::deliver`](crate::Client::deliver), with what a webhook knows of its user and its
/// conversation.
///
/// ```
/// use botpress_messages::{Delivery, NewConversation, NewUser, content::Text};
///
/// let delivery = Delivery::new(
///     NewConversation::new("channel").tag("id", "C05C6ACTLPQ"),
///     NewUser::new().tag("id", "U05BPU9V1KQ").name("Ann Petit"),
///     Text::new("Hello"),
/// )
/// .tag("ts", "1722441123.004619");
/// assert!(delivery.validate().is_ok());
/// ```
///
/// In JSON it is a message with `user` instead of `userId`, or `conversation` instead of `conversationId`, or
/// both. `botpress-import` reads this form, one delivery per line.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its `user_id` is empty if there is a `user`, and its `conversation_id` if there is a `conversation`.
    pub(crate) message: NewMessage,
    pub(crate) user: Option<NewUser>,
    pub(crate) conversation: Option<NewConversation>,
}

/// A user or a conversation: by its id, or as a record to get or create first.
#[derive(Clone, Debug, PartialEq)]
pub enum Reference<R> {
    /// Its id from the API.
    Id(String),
    /// A record to get or create.
    New(R),
}

impl<R> Reference<R> {
    /// The id, empty if there is a record.
    fn split(self) -> (String, Option<R>) {
        match self {
            Self::Id(id) => (id, None),
            Self::New(record) => (String::new(), Some(record)),
        }
    }
}

impl<R, S: Into<String>> From<S> for Reference<R> {
    fn from(id: S) -> Self {
        Self::Id(id.into())
    }
}

impl From<NewUser> for Reference<NewUser> {
    fn from(user: NewUser) -> Self {
        Self::New(user)
    }
}

impl From<NewConversation> for Reference<NewConversation> {
    fn from(conversation: NewConversation) -> Self {
        Self::New(conversation)
    }
}

/// A message whose user and conversation are known by their ids.
impl From<NewMessage> for Delivery {
    fn from(message: NewMessage) -> Self {
        Self { message, user: None, conversation: None }
    }
}

impl Delivery {
    /// A delivery with a standard type of content; [`content`](crate::content) lists these types.
    pub fn new(
        conversation: impl Into<Reference<NewConversation>>,
        user: impl Into<Reference<NewUser>>,
        content: impl Into<Content>,
    ) -> Self {
        let (type_, payload) = parts(&content.into());
        Self::with_parts(conversation.into(), user.into(), type_, payload)
    }

    /// A delivery with a custom type, which the bot defines. The payload must serialise to a JSON object.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the payload does not serialise to an object.
    pub fn custom(
        conversation: impl Into<Reference<NewConversation>>,
        user: impl Into<Reference<NewUser>>,
        message_type: impl Into<String>,
        payload: impl Serialize,
    ) -> Result<Self, Error> {
        let payload = object(payload)?;
        Ok(Self::with_parts(conversation.into(), user.into(), message_type.into(), payload))
    }

    fn with_parts(
        conversation: Reference<NewConversation>,
        user: Reference<NewUser>,
        type_: String,
        payload: Map<String, Value>,
    ) -> Self {
        let (conversation_id, conversation) = conversation.split();
        let (user_id, user) = user.split();
        let message = NewMessage::with_parts(conversation_id, user_id, type_, payload);
        Self { message, user, conversation }
    }

    /// Reads a delivery from JSON and checks it, as [`validate`](Self::validate) does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with every violation.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, Error> {
        let (mut json, mut found) = (parse(json.as_ref())?, Vec::new());
        let user = read_reference(&mut json, "user", "userId", &mut found);
        let conversation = read_reference(&mut json, "conversation", "conversationId", &mut found);
        let ignored = ignored(user.is_some(), conversation.is_some());
        let message = read_at(&Path::Root, json, &ignored, &mut found);
        let message = message.filter(|_| found.is_empty()).ok_or_else(|| Error::invalid(found))?;
        Ok(Self { message, user: user.flatten(), conversation: conversation.flatten() })
    }

    /// Sets a tag of the message. An empty value removes the tag from a stored message, and identifies nothing.
    pub fn tag(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.map(|message| message.tag(name, value))
    }

    /// Sets a tag of the message if there is a value for it.
    pub fn optional_tag(self, name: impl Into<String>, value: Option<impl Into<String>>) -> Self {
        self.map(|message| message.optional_tag(name, value))
    }

    /// Sets several tags of the message.
    pub fn with_tags<N: Into<String>, V: Into<String>>(
        self,
        tags: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.map(|message| message.with_tags(tags))
    }

    /// Looks for the message by these tags only, instead of by all of them.
    pub fn discriminate_by_tags(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.map(|message| message.discriminate_by_tags(names))
    }

    /// When to deliver the message, if not immediately: after a [`Duration`](std::time::Duration), or at a
    /// [`DateTime`](chrono::DateTime) or a [`SystemTime`](std::time::SystemTime).
    pub fn schedule(self, when: impl Into<Schedule>) -> Self {
        self.map(|message| message.schedule(when))
    }

    /// Where the message comes from, if not from a person.
    pub fn origin(self, origin: NewMessageOrigin) -> Self {
        self.map(|message| message.origin(origin))
    }

    fn map(self, change: impl FnOnce(NewMessage) -> NewMessage) -> Self {
        Self { message: change(self.message), ..self }
    }

    /// The message. Its `user_id` is empty if the [user](Self::user) is given as a record, and its `conversation_id` if
    /// the [conversation](Self::conversation) is.
    pub fn message(&self) -> &NewMessage {
        &self.message
    }

    /// The user, if it is given as a record.
    pub fn user(&self) -> Option<&NewUser> {
        self.user.as_ref()
    }

    /// The conversation, if it is given as a record.
    pub fn conversation(&self) -> Option<&NewConversation> {
        self.conversation.as_ref()
    }

    /// The id of the conversation, if it is given.
    pub(crate) fn conversation_id(&self) -> Option<&str> {
        Some(&*self.message.conversation_id).filter(|_| self.conversation.is_none())
    }

    /// Whether the endpoint can find the message again; see
    /// [`NewMessage::is_identified`](crate::NewMessage::is_identified).
    pub fn is_identified(&self) -> bool {
        self.message.is_identified()
    }

    /// A number that is the same for deliveries to the same conversation, for programs that queue them:
    /// [`deliver`](crate::Client::deliver) keeps the order of deliveries with the same number. Another build of
    /// the program may give another number. `None` if nothing identifies the conversation, which `deliver`
    /// rejects.
    pub fn ordering_key(&self) -> Option<u64> {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        match (&self.conversation, &*self.message.conversation_id) {
            (Some(conversation), _) => identity(conversation, &hasher),
            (None, "") => None,
            (None, id) => Some(hasher.hash_one(id)),
        }
    }

    /// Checks the delivery against the contract, as `deliver` does before it sends anything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with every violation. It is also a violation if no tag
    /// identifies the user or the conversation: every delivery would create another one.
    pub fn validate(&self) -> Result<(), Error> {
        let mut found = Vec::new();
        if let Some(user) = &self.user {
            check_reference(&Path::Root.key("user"), user, &mut found);
        }
        if let Some(conversation) = &self.conversation {
            check_reference(&Path::Root.key("conversation"), conversation, &mut found);
        }
        let ignored = ignored(self.user.is_some(), self.conversation.is_some());
        check_record(&Path::Root, &self.message, &ignored, &mut found);
        valid(found)
    }
}

/// Serialises to the JSON that [`from_json`](Delivery::from_json) reads.
impl Serialize for Delivery {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = json!(self.message);
        let mut replace = |id: &str, name: &str, record: Value| {
            if let (Some(line), false) = (line.as_object_mut(), record.is_null()) {
                line.remove(id);
                line.insert(name.to_owned(), record);
            }
        };
        replace("userId", "user", json!(self.user));
        replace("conversationId", "conversation", json!(self.conversation));
        line.serialize(serializer)
    }
}

/// The ids of a message that are empty because there are records instead.
fn ignored(user: bool, conversation: bool) -> Vec<&'static str> {
    let ids = [user.then_some("userId"), conversation.then_some("conversationId")];
    ids.into_iter().flatten().collect()
}

/// Takes a record out of a message that has it instead of an id; `Some(None)` if it is not valid.
fn read_reference<R: GetOrCreate>(
    message: &mut Value,
    name: &'static str,
    id: &'static str,
    found: &mut Vec<Violation>,
) -> Option<Option<R>> {
    let message = message.as_object_mut()?;
    let record = message.remove(name)?;
    if message.insert(id.to_owned(), Value::String(String::new())).is_some() {
        found.push(Violation::of(&Path::Root, Rule::OneOf(vec![id, name])));
    }
    let at = Path::Root.key(name);
    let record = read_at(&at, record, &[], found);
    record.iter().for_each(|record| check_identity(&at, record, found));
    Some(record)
}

fn check_reference<R: GetOrCreate>(path: &Path<'_>, record: &R, found: &mut Vec<Violation>) {
    check_record(path, record, &[], found);
    check_identity(path, record, found);
}

/// Without identifying tags, every delivery would create another record.
fn check_identity<R: GetOrCreate>(path: &Path<'_>, record: &R, found: &mut Vec<Violation>) {
    if !is_identified(record) {
        found.push(Violation::of(path, Rule::Identified));
    }
}
