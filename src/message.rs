//! The message: its constructors, and how its content is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value, json};

use crate::api::types::{Content, Message, NewMessage, Schedule};
use crate::error::Error;
use crate::violation::{Path, Rule, Violation};

impl NewMessage {
    /// A message with a standard type of content; [`content`](crate::content) lists these types.
    ///
    /// ```
    /// use botpress_messages::{NewMessage, content::Text};
    ///
    /// let message = NewMessage::new(
    ///     "conv_01KDF2QM9Z2CK5XYT0RD4E7J5K",
    ///     "user_010NFASW4XK2YJ5RVY7B6JMC28",
    ///     Text::new("Hello"),
    /// )
    /// .tag("id", "wamid.HBgLMTUx");
    /// assert!(message.validate().is_ok());
    /// ```
    #[must_use]
    pub fn new(
        conversation_id: impl Into<String>,
        user_id: impl Into<String>,
        content: impl Into<Content>,
    ) -> Self {
        let (type_, payload) = parts(&content.into());
        Self::with_parts(conversation_id.into(), user_id.into(), type_, payload)
    }

    /// A message with a custom type, which the bot defines. The payload must serialise to a JSON object.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the payload does not serialise to an object.
    pub fn custom(
        conversation_id: impl Into<String>,
        user_id: impl Into<String>,
        message_type: impl Into<String>,
        payload: impl Serialize,
    ) -> Result<Self, Error> {
        let payload = object(payload)?;
        Ok(Self::with_parts(conversation_id.into(), user_id.into(), message_type.into(), payload))
    }

    pub(crate) fn with_parts(
        conversation_id: String,
        user_id: String,
        type_: String,
        payload: Map<String, Value>,
    ) -> Self {
        Self::from_required(conversation_id, user_id, type_, payload, Default::default())
    }

    /// The content, by type. `None` if the type is a custom one, or the payload does not have the form of its type.
    pub fn content(&self) -> Option<Content> {
        content(&self.type_, &self.payload)
    }
}

impl Message {
    /// The content, by type. `None` if the type is a custom one, or the payload does not have the form of its type;
    /// see [`payload_as`](Self::payload_as).
    pub fn content(&self) -> Option<Content> {
        content(&self.type_, &self.payload)
    }

    /// Reads the payload as a type of your own.
    ///
    /// # Errors
    ///
    /// The error of serde, if the payload does not have the form of this type.
    pub fn payload_as<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.payload)
    }
}

impl From<Duration> for Schedule {
    /// After this delay, in milliseconds and fractions of them.
    fn from(delay: Duration) -> Self {
        // Whole milliseconds stay whole: `1500`, not `1500.0`.
        let whole = u64::try_from(delay.as_millis()).ok();
        let whole = whole.filter(|whole| Duration::from_millis(*whole) == delay).map(Number::from);
        let fraction = || Number::from_f64(delay.as_secs_f64() * 1e3);
        Self::Delay(whole.or_else(fraction).unwrap_or_else(|| u64::MAX.into()))
    }
}

impl<Z: TimeZone> From<DateTime<Z>> for Schedule {
    /// At this date, in whole milliseconds.
    fn from(date: DateTime<Z>) -> Self {
        Self::DateTime(date.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl From<SystemTime> for Schedule {
    /// At this time, in whole milliseconds. If no date can express it, the schedule is invalid.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        match DateTime::<Utc>::from_timestamp(seconds, since.subsec_nanos()) {
            Some(date) => date.into(),
            None => Self::DateTime(format!("{seconds} s after 1970")),
        }
    }
}

/// Type and payload of a content.
pub(crate) fn parts(content: &Content) -> (String, Map<String, Value>) {
    let mut parts = serde_json::to_value(content).unwrap_or_default();
    let mut take = |name| parts.get_mut(name).map(Value::take).unwrap_or_default();
    match (take("type"), take("payload")) {
        (Value::String(type_), Value::Object(payload)) => (type_, payload),
        _ => Default::default(), // no content serialises to anything else
    }
}

/// The payload of a message with a custom type.
pub(crate) fn object(payload: impl Serialize) -> Result<Map<String, Value>, Error> {
    match serde_json::to_value(payload) {
        Ok(Value::Object(object)) => Ok(object),
        _ => {
            let violation = Violation::of(&Path::Root.key("payload"), Rule::Type("object"));
            Err(Error::invalid(vec![violation]))
        }
    }
}

fn content(type_: &str, payload: &Map<String, Value>) -> Option<Content> {
    serde_json::from_value(json!({ "type": type_, "payload": payload })).ok()
}

/// Rejects coordinates that are infinite or NaN: JSON has neither, and serde_json writes null for them.
pub(crate) fn check_content(
    type_: &str,
    payload: &Map<String, Value>,
    path: &Path<'_>,
    found: &mut Vec<Violation>,
) {
    let path = path.key("payload");
    match type_ {
        "location" => {
            for name in ["latitude", "longitude"] {
                if payload.get(name) == Some(&Value::Null) {
                    found.push(Violation::of(&path.key(name), Rule::Finite));
                }
            }
        }
        "bloc" => {
            let items = payload.get("items").and_then(Value::as_array);
            for (index, item) in items.into_iter().flatten().enumerate() {
                let (items, payload) = (path.key("items"), item.get("payload"));
                if let (Some("location"), Some(Value::Object(payload))) =
                    (item.get("type").and_then(Value::as_str), payload)
                {
                    check_content("location", payload, &items.index(index), found);
                }
            }
        }
        _ => {}
    }
}
