//! The message: its constructors, and what only a message has.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::types::{
    BlocItem, Content, Conversation, Location, Message, NewMessageOrigin, User,
};
use crate::record::{New, Record, Reference, identity};
use crate::validate::{Path, Rule, Violation};

/// When to deliver a message, if not at once.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// After this delay. The API counts milliseconds and allows fractions of them.
    Delay(Duration),
    /// At this date, sent in whole milliseconds.
    DateTime(DateTime<Utc>),
}

impl From<Duration> for Schedule {
    fn from(delay: Duration) -> Self {
        Self::Delay(delay)
    }
}

impl<Z: TimeZone> From<DateTime<Z>> for Schedule {
    fn from(date: DateTime<Z>) -> Self {
        Self::DateTime(date.to_utc())
    }
}

impl From<SystemTime> for Schedule {
    fn from(time: SystemTime) -> Self {
        Self::DateTime(time.into())
    }
}

/// ```
/// use botpress_messages::{NewConversation, NewMessage, NewUser, content::Text};
///
/// // With the ids of user and conversation, for `get_or_create`:
/// let message = NewMessage::new(
///     "conv_01KDF2QM9Z2CK5XYT0RD4E7J5K",
///     "user_010NFASW4XK2YJ5RVY7B6JMC28",
///     Text::new("Hello"),
/// )
/// .tag("id", "wamid.HBgLMTUx");
/// assert!(message.validate().is_ok());
///
/// // With what a webhook knows of them, for `deliver`:
/// let message = NewMessage::new(
///     NewConversation::new("channel").tag("id", "C05C6ACTLPQ"),
///     NewUser::new().tag("id", "U05BPU9V1KQ"),
///     Text::new("Hello"),
/// )
/// .tag("ts", "1722441123.004619");
/// assert!(message.validate().is_ok());
/// ```
impl New<Message> {
    /// A message with a content that Botpress knows; [`content`](crate::content) lists them.
    #[allow(clippy::self_named_constructors)] // nobody writes `New::new`
    pub fn new(
        conversation: impl Into<Reference<Conversation>>,
        user: impl Into<Reference<User>>,
        content: impl Into<Content>,
    ) -> Self {
        let content = content.into();
        let mut message = Self::from(json!({})).addressed(conversation, user);
        let payload = Path::Root.key("payload");
        match &content {
            Content::Location(place) => message.check_place(&payload, place),
            Content::Bloc(bloc) => {
                for (index, item) in bloc.items.iter().enumerate() {
                    if let BlocItem::Location(place) = item {
                        let items = payload.key("items");
                        message.check_place(&items.index(index).key("payload"), place);
                    }
                }
            }
            _ => {}
        }
        message.content = Some(content);
        message
    }

    /// A message of a type of the bot's own, with any JSON object as its payload.
    pub fn custom(
        conversation: impl Into<Reference<Conversation>>,
        user: impl Into<Reference<User>>,
        message_type: impl Into<String>,
        payload: Map<String, Value>,
    ) -> Self {
        Self::from(json!({ "type": message_type.into(), "payload": payload }))
            .addressed(conversation, user)
    }

    /// The id of the conversation, if the message has one.
    pub fn conversation_id(&self) -> Option<&str> {
        self.text("conversationId")
    }

    /// The id of the user, if the message has one.
    pub fn user_id(&self) -> Option<&str> {
        self.text("userId")
    }

    /// The conversation in the place of its id, if it is given so.
    pub fn conversation(&self) -> Option<New<Conversation>> {
        Some(self.reference::<Conversation>()?.clone().into())
    }

    /// The user in the place of the id, if it is given so.
    pub fn user(&self) -> Option<New<User>> {
        Some(self.reference::<User>()?.clone().into())
    }

    /// What the message says, by type; `None` if the type is one of the bot's own, or the payload does not
    /// have the form that its type promises.
    pub fn content(&self) -> Option<Content> {
        let read = || Content::deserialize(&self.body).ok();
        self.content.clone().or_else(read)
    }

    fn addressed(
        mut self,
        conversation: impl Into<Reference<Conversation>>,
        user: impl Into<Reference<User>>,
    ) -> Self {
        self.refer("conversationId", conversation.into());
        self.refer("userId", user.into());
        self.set("tags", Map::new());
        self
    }

    /// A number that is the same for messages of one conversation, for programs that queue messages before
    /// they [`deliver`](crate::Client::deliver) them: deliveries with the same number go one after the
    /// other. Another build of the program may give another number. `None` if nothing identifies the
    /// conversation, which `deliver` refuses.
    ///
    /// ```
    /// use botpress_messages::{NewConversation, NewMessage, content::Text};
    ///
    /// let user = "user_010NFASW4XK2YJ5RVY7B6JMC28";
    /// let place = NewConversation::new("channel").tag("id", "C05C6ACTLPQ");
    /// let first = NewMessage::new(place.clone(), user, Text::new("Hello"));
    /// let second = NewMessage::new(place, user, Text::new("Is anybody there?"));
    /// assert_eq!(first.ordering_key(), second.ordering_key());
    /// ```
    pub fn ordering_key(&self) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        "deliveries".hash(&mut hasher);
        match self.reference::<Conversation>() {
            Some(conversation) => {
                identity(Conversation::OPERATION, conversation)?.hash(&mut hasher);
            }
            None => self.body.get("conversationId")?.hash(&mut hasher),
        }
        Some(hasher.finish())
    }

    /// JSON has no infinity and no NaN; they would be sent as null.
    fn check_place(&mut self, path: &Path<'_>, place: &Location) {
        for (name, degrees) in [("latitude", place.latitude), ("longitude", place.longitude)] {
            if !degrees.is_finite() {
                let given = Value::from(degrees.to_string());
                self.unexpressed.push(Violation::new(&path.key(name), Rule::Finite, &given));
            }
        }
    }

    /// Delivers the message later: after a [`Duration`], or at a [`DateTime`] or a [`SystemTime`].
    pub fn schedule(mut self, when: impl Into<Schedule>) -> Self {
        let schedule = match when.into() {
            Schedule::Delay(delay) => json!({ "delay": milliseconds(delay) }),
            Schedule::DateTime(date) => {
                json!({ "dateTime": date.to_rfc3339_opts(SecondsFormat::Millis, true) })
            }
        };
        self.set("schedule", schedule);
        self
    }

    /// Marks the message as not written by a person. Versions of the API before 1.70 refuse the mark.
    pub fn synthetic(mut self) -> Self {
        self.set("origin", NewMessageOrigin::Synthetic.to_string());
        self
    }
}

impl Message {
    /// The payload by type: `None` if the type is one of the bot's own, or the payload does not have
    /// the form that its type promises. [`payload`](Self::payload) has it as JSON in any case.
    pub fn content(&self) -> Option<Content> {
        Content::deserialize(json!({ "type": self.type_, "payload": self.payload })).ok()
    }
}

/// Whole milliseconds stay whole: `1500`, not `1500.0`.
fn milliseconds(delay: Duration) -> Value {
    match u64::try_from(delay.as_millis()) {
        Ok(whole) if Duration::from_millis(whole) == delay => whole.into(),
        _ => (delay.as_secs_f64() * 1e3).into(),
    }
}
