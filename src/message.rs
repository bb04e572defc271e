//! The message to deliver: built by type or taken from JSON, checked before it leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind};
use crate::generated::BODY;
use crate::generated::types::{
    BlocItem, Content, GetOrCreateMessageBody, Location, Message, NewMessageOrigin,
};
use crate::validate::{Rule, Violation, join};

/// A message to find or create.
///
/// ```
/// use botpress_messages::{NewMessage, content::Text};
///
/// let message = NewMessage::new(
///     "conv_01KDF2QM9Z2CK5XYT0RD4E7J5K",
///     "user_010NFASW4XK2YJ5RVY7B6JMC28",
///     Text::new("Hello"),
/// )
/// .tag("id", "wamid.HBgLMTUx")
/// .tag("locale", "fr-CA")
/// .discriminate_by(["id"]);
/// assert!(message.validate().is_ok());
/// ```
///
/// The tags are what makes the call repeatable: a webhook that arrives twice finds the message that
/// it created the first time. A message without tags is created anew by every call.
///
/// It serialises to the body that the endpoint receives and deserialises from one, such as a recorded
/// request. Nothing is checked until [`validate`](Self::validate) or
/// [`Client::get_or_create`](crate::Client::get_or_create), which does so before it sends anything.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(from = "Value")]
pub struct NewMessage {
    body: Value,
    /// What the caller gave and JSON cannot express.
    unexpressed: Vec<Violation>,
}

/// When to deliver a message, if not at once.
#[derive(Clone, Copy, Debug, PartialEq)]
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

impl From<DateTime<Utc>> for Schedule {
    fn from(date: DateTime<Utc>) -> Self {
        Self::DateTime(date)
    }
}

impl NewMessage {
    /// A message with a content that Botpress knows; [`content`](crate::content) lists them.
    pub fn new(
        conversation_id: impl Into<String>,
        user_id: impl Into<String>,
        content: impl Into<Content>,
    ) -> Self {
        let content = content.into();
        // Serialised, it is `{"type", "payload"}`, which is just what the body needs.
        let mut message = Self::from(json!(content)).addressed(conversation_id, user_id);
        match &content {
            Content::Location(place) => message.check_place("/payload", place),
            Content::Bloc(bloc) => {
                for (index, item) in bloc.items.iter().enumerate() {
                    if let BlocItem::Location(place) = item {
                        message.check_place(&format!("/payload/items/{index}/payload"), place);
                    }
                }
            }
            _ => {}
        }
        message
    }

    /// A message of a type of the bot's own, with any JSON object as its payload.
    pub fn custom(
        conversation_id: impl Into<String>,
        user_id: impl Into<String>,
        message_type: impl Into<String>,
        payload: Map<String, Value>,
    ) -> Self {
        Self::from(json!({ "type": message_type.into(), "payload": payload }))
            .addressed(conversation_id, user_id)
    }

    fn addressed(mut self, conversation: impl Into<String>, user: impl Into<String>) -> Self {
        self.set("conversationId", conversation.into());
        self.set("userId", user.into());
        self.set("tags", Map::new());
        self
    }

    /// JSON has no infinity and no NaN; they would be sent as null.
    fn check_place(&mut self, path: &str, place: &Location) {
        for (name, degrees) in [("latitude", place.latitude), ("longitude", place.longitude)] {
            if !degrees.is_finite() {
                let given = Value::from(degrees.to_string());
                self.unexpressed.push(Violation::new(join(path, name), Rule::Finite, &given));
            }
        }
    }

    /// Sets a tag. An empty value unsets it in a message that is stored already, and identifies
    /// nothing.
    pub fn tag(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags([(name, value)])
    }

    /// Sets several tags.
    pub fn tags<N, V>(mut self, tags: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        if let Value::Object(body) = &mut self.body
            && let Value::Object(map) = body.entry("tags").or_insert_with(|| json!({}))
        {
            map.extend(tags.into_iter().map(|(name, value)| (name.into(), value.into().into())));
        }
        self
    }

    /// Looks for the message by these tags alone. Without this call, or with `[]`, all tags count.
    pub fn discriminate_by<N: Into<String>>(mut self, tags: impl IntoIterator<Item = N>) -> Self {
        self.set("discriminateByTags", tags.into_iter().map(N::into).collect::<Vec<String>>());
        self
    }

    /// Delivers the message later: after a [`Duration`] or at a [`DateTime<Utc>`].
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

    /// Whether the endpoint can find this message again, so that sending it twice stores it once:
    /// whether each tag by which it looks for it has a value, and there is one. Nobody knows whether the
    /// endpoint passes over tags with empty values in that search, so none of them may.
    pub fn is_identified(&self) -> bool {
        self.identity().is_some()
    }

    /// What is the same in two messages that the endpoint takes for one: the conversation, and the tags
    /// by which it looks for the message.
    pub(crate) fn identity(&self) -> Option<String> {
        let tags = self.body.get("tags").and_then(Value::as_object)?;
        let names = self.body.get("discriminateByTags").and_then(Value::as_array);
        let listed = names.filter(|names| !names.is_empty());
        let wanted: BTreeMap<&str, Option<&Value>> = match listed {
            Some(names) => names
                .iter()
                .map(|name| name.as_str().map(|name| (name, tags.get(name))))
                .collect::<Option<_>>()?,
            None => tags.iter().map(|(name, value)| (name.as_str(), Some(value))).collect(),
        };
        let has_value = |value: &Option<&Value>| {
            value.and_then(Value::as_str).is_some_and(|value| !value.is_empty())
        };
        let identified = !wanted.is_empty() && wanted.values().all(has_value);
        identified.then(|| json!([self.body.get("conversationId"), wanted]).to_string())
    }

    /// Checks the message against the contract.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] with every violation there is.
    pub fn validate(&self) -> Result<(), Error> {
        self.to_body().map(|_| ())
    }

    /// The body, if JSON can express what the caller gave.
    fn expressed(&self) -> Result<&Value, Error> {
        match self.unexpressed.is_empty() {
            true => Ok(&self.body),
            false => Err(Error::unsent(ErrorKind::Invalid(self.unexpressed.clone()))),
        }
    }

    /// The message as the generated client takes it.
    pub(crate) fn to_body(&self) -> Result<GetOrCreateMessageBody, Error> {
        let mut found = self.unexpressed.clone();
        BODY.check("", &self.body, &mut found);
        self.check_discriminators(&mut found);
        self.check_date(&mut found);
        if !found.is_empty() {
            return Err(Error::unsent(ErrorKind::Invalid(found)));
        }
        let body = GetOrCreateMessageBody::deserialize(&self.body).map_err(|e| {
            let violation = Violation::new("", Rule::Readable(e.to_string()), &self.body);
            Error::unsent(ErrorKind::Invalid(vec![violation]))
        })?;
        // The keys that stand above as strings; this compiles as long as they are all there are.
        let GetOrCreateMessageBody {
            conversation_id: _,
            user_id: _,
            type_: _,
            payload: _,
            tags: _,
            schedule: _,
            origin: _,
            discriminate_by_tags: _,
        } = &body;
        Ok(body)
    }

    /// A tag that the message lacks can match no message, so naming it is a mistake.
    fn check_discriminators(&self, found: &mut Vec<Violation>) {
        let names = self.body.get("discriminateByTags").and_then(Value::as_array);
        for (index, name) in names.into_iter().flatten().enumerate() {
            if let Some(string) = name.as_str()
                && self.body.get("tags").is_some_and(|tags| tags.get(string).is_none())
            {
                let path = join("/discriminateByTags", &index.to_string());
                found.push(Violation::new(path, Rule::TagOfMessage, name));
            }
        }
    }

    /// The contract bounds the length of the date; that it is a date stands in its prose.
    fn check_date(&self, found: &mut Vec<Violation>) {
        let path = "/schedule/dateTime";
        if let Some(Value::String(date)) = self.body.pointer(path)
            && !is_iso_8601(date)
        {
            found.push(Violation::new(path, Rule::DateTime, &json!(date)));
        }
    }

    fn set(&mut self, key: &str, value: impl Into<Value>) {
        if let Value::Object(body) = &mut self.body {
            body.insert(key.to_owned(), value.into());
        }
    }
}

/// chrono reads more than ISO 8601 allows: it is held to the form, and then knows the calendar.
fn is_iso_8601(date: &str) -> bool {
    let form = "0000-00-00T00:00:00";
    let alike = |(given, form): (char, char)| match form {
        '0' => given.is_ascii_digit(),
        _ => given.eq_ignore_ascii_case(&form),
    };
    let text = date.replace(',', ".");
    date.len() >= form.len()
        && date.chars().zip(form.chars()).all(alike)
        && !date.contains(char::is_whitespace)
        && (text.parse::<DateTime<FixedOffset>>().is_ok() || text.parse::<NaiveDateTime>().is_ok())
}

/// Whole milliseconds stay whole: `1500`, not `1500.0`.
fn milliseconds(delay: Duration) -> Value {
    match u64::try_from(delay.as_millis()) {
        Ok(whole) if Duration::from_millis(whole) == delay => whole.into(),
        _ => (delay.as_secs_f64() * 1e3).into(),
    }
}

/// A body in the endpoint's JSON form, such as a recorded request. Nothing is checked yet.
impl From<Value> for NewMessage {
    fn from(body: Value) -> Self {
        Self { body, unexpressed: Vec::new() }
    }
}

/// The body as it will be sent. A message that JSON cannot express does not serialise: read again, it
/// would be another one.
impl Serialize for NewMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.expressed().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// The body as it will be sent.
impl TryFrom<NewMessage> for Value {
    type Error = Error;

    fn try_from(message: NewMessage) -> Result<Self, Error> {
        message.expressed().cloned()
    }
}

impl Message {
    /// The payload by type: `None` if the type is one of the bot's own, or the payload does not have
    /// the form that its type promises. [`payload`](Self::payload) has it as JSON in any case.
    pub fn content(&self) -> Option<Content> {
        Content::deserialize(json!({ "type": self.type_, "payload": self.payload })).ok()
    }
}
