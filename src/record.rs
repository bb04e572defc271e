//! What is found or created: built by type or taken from JSON, checked before it leaves.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::attempt::Record;
use crate::error::{Error, ErrorKind};
use crate::generated::Operation;
use crate::generated::types::{Conversation, Message, User};
use crate::validate::{Rule, Violation, check};

/// A message to find or create.
pub type NewMessage = New<Message>;
/// A user to find or create.
pub type NewUser = New<User>;
/// A conversation to find or create.
pub type NewConversation = New<Conversation>;

/// A record to find or create: a [`NewMessage`], a [`NewUser`] or a [`NewConversation`].
///
/// ```
/// use botpress_messages::NewUser;
///
/// let user = NewUser::new().tag("id", "U05BPU9V1KQ").name("Ann Petit");
/// assert!(user.validate().is_ok() && user.is_identified());
/// ```
///
/// The tags are what makes a call repeatable: a webhook that arrives twice finds what it created the
/// first time. Without tags, every call creates another record.
///
/// It serialises to the body that the endpoint receives and deserialises from one, such as a recorded
/// request. Nothing is checked until [`validate`](Self::validate) or a call of the
/// [`Client`](crate::Client), which does so before it sends anything.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(from = "Value", bound = "")]
pub struct New<T> {
    pub(crate) body: Value,
    /// What the caller gave and JSON cannot express.
    pub(crate) unexpressed: Vec<Violation>,
    stored: PhantomData<fn() -> T>,
}

impl<T: Record> New<T> {
    /// Sets a tag. An empty value unsets it in a record that is stored already, and identifies nothing.
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

    /// Looks for the record by these tags alone. Without this call, or with `[]`, all tags count.
    pub fn discriminate_by<N: Into<String>>(mut self, tags: impl IntoIterator<Item = N>) -> Self {
        self.set("discriminateByTags", tags.into_iter().map(N::into).collect::<Vec<String>>());
        self
    }

    /// Whether the endpoint can find this record again, so that sending it twice stores it once: whether
    /// each tag by which it looks for it has a value, and there is one. Nobody knows whether the endpoint
    /// passes over tags with empty values in that search, so none of them may.
    pub fn is_identified(&self) -> bool {
        self.identity().is_some()
    }

    /// What is the same in two requests that the endpoint takes for one record.
    pub(crate) fn identity(&self) -> Option<String> {
        identity(T::OPERATION, &self.body)
    }

    /// Checks the record against the contract.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] with every violation there is.
    pub fn validate(&self) -> Result<(), Error> {
        self.to_body().map(|_| ())
    }

    /// The record as the generated client takes it.
    pub(crate) fn to_body(&self) -> Result<T::Body, Error> {
        let mut found = self.unexpressed.clone();
        check_request(T::OPERATION, "", &self.body, &mut found);
        valid(found)?;
        T::Body::deserialize(&self.body).map_err(|e| {
            let violation = Violation::new("", Rule::Readable(e.to_string()), &self.body);
            Error::unsent(ErrorKind::Invalid(vec![violation]))
        })
    }

    /// The body, if JSON can express what the caller gave.
    fn expressed(&self) -> Result<&Value, Error> {
        valid(self.unexpressed.clone()).map(|()| &self.body)
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        if let Value::Object(body) = &mut self.body {
            body.insert(key.to_owned(), value.into());
        }
    }
}

/// A body in the endpoint's JSON form, such as a recorded request. Nothing is checked yet.
impl<T> From<Value> for New<T> {
    fn from(body: Value) -> Self {
        Self { body, unexpressed: Vec::new(), stored: PhantomData }
    }
}

/// The body as it will be sent. A message that JSON cannot express does not serialise: read again, it
/// would be another one.
impl<T: Record> Serialize for New<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.expressed().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// The body as it will be sent.
impl<T: Record> TryFrom<New<T>> for Value {
    type Error = Error;

    fn try_from(record: New<T>) -> Result<Self, Error> {
        record.expressed().cloned()
    }
}

fn valid(found: Vec<Violation>) -> Result<(), Error> {
    if found.is_empty() { Ok(()) } else { Err(Error::unsent(ErrorKind::Invalid(found))) }
}

fn identity(operation: &Operation, body: &Value) -> Option<String> {
    let tags = body.get("tags").and_then(Value::as_object)?;
    let names = body.get("discriminateByTags").and_then(Value::as_array);
    let wanted: BTreeMap<&str, Option<&Value>> = match names.filter(|names| !names.is_empty()) {
        Some(names) => names
            .iter()
            .map(|name| name.as_str().map(|name| (name, tags.get(name))))
            .collect::<Option<_>>()?,
        None => tags.iter().map(|(name, value)| (name.as_str(), Some(value))).collect(),
    };
    let has_value = |value: &Option<&Value>| {
        value.and_then(Value::as_str).is_some_and(|value| !value.is_empty())
    };
    let within: Vec<_> = operation.within.iter().map(|name| body.get(*name)).collect();
    let identified = !wanted.is_empty() && wanted.values().all(has_value);
    identified.then(|| json!([operation.record, within, wanted]).to_string())
}

/// The body of a request that stands at `path`.
fn check_request(operation: &Operation, path: &str, body: &Value, found: &mut Vec<Violation>) {
    check(&operation.body, path, body, found);
    // A tag that the record lacks can match no record, so naming it is a mistake.
    let names = body.get("discriminateByTags").and_then(Value::as_array);
    for (index, name) in names.into_iter().flatten().enumerate() {
        if let Some(string) = name.as_str()
            && body.get("tags").is_some_and(|tags| tags.get(string).is_none())
        {
            let path = format!("{path}/discriminateByTags/{index}");
            found.push(Violation::new(path, Rule::NameOfTag, name));
        }
    }
}
