//! What is found or created: built by type or taken from JSON, checked before it leaves.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::attempt::Record;
use crate::error::{Error, ErrorKind};
use crate::generated::types::{Conversation, Message, User};
use crate::generated::{OPERATIONS, Operation, Schema};
use crate::validate::{Rule, Violation, check, join};

/// A message to find or create.
pub type NewMessage = New<Message>;
/// A user to find or create.
pub type NewUser = New<User>;
/// A conversation to find or create.
pub type NewConversation = New<Conversation>;

/// A record to find or create: a [`NewMessage`], a [`NewUser`] or a [`NewConversation`].
///
/// ```
/// use botpress_messages::{NewConversation, NewUser};
///
/// let user = NewUser::new().tag("id", "U05BPU9V1KQ").name("Ann Petit");
/// let conversation = NewConversation::new("channel").tag("id", "C05C6ACTLPQ");
/// assert!(user.validate().is_ok() && conversation.is_identified());
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

    /// Checks the record against the contract, also one that only
    /// [`Client::deliver`](crate::Client::deliver) takes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] with every violation there is.
    pub fn validate(&self) -> Result<(), Error> {
        let mut found = self.unexpressed.clone();
        check_delivery(T::OPERATION, &self.body, &mut found);
        valid(found)
    }

    /// The record as the generated client takes it.
    pub(crate) fn to_body(&self) -> Result<T::Body, Error> {
        let mut found = self.unexpressed.clone();
        check_request(T::OPERATION, "", &self.body, &mut found);
        for Referred { operation, .. } in references(T::OPERATION, &self.body) {
            let at = join("", operation.record);
            for violation in found.iter_mut().filter(|v| v.path == at && v.rule == Rule::Unknown) {
                violation.rule = Rule::Delivered;
            }
        }
        valid(found)?;
        T::Body::deserialize(&self.body).map_err(|e| {
            let violation = Violation::new("", Rule::Readable(e.to_string()), &self.body);
            Error::unsent(ErrorKind::Invalid(vec![violation]))
        })
    }

    /// The record that stands in the place of this one's `ID` of such a record.
    pub(crate) fn referred<R: Record>(&self) -> Option<New<R>> {
        self.body.get(R::OPERATION.record).map(|body| body.clone().into())
    }

    /// Puts an id in the place of the record that it belongs to.
    pub(crate) fn resolve<R: Record>(&mut self, id: String) {
        if let Value::Object(body) = &mut self.body {
            body.remove(R::OPERATION.record);
        }
        self.set(&id_of(R::OPERATION), id);
    }

    /// Refers to a record, by its id or as it is to be found or created.
    pub(crate) fn refer<R: Record>(&mut self, reference: Reference<R>) {
        match reference {
            Reference::Id(id) => self.set(&id_of(R::OPERATION), id),
            Reference::New(record) => {
                let at = join("", R::OPERATION.record);
                let unexpressed = record.unexpressed.into_iter();
                self.unexpressed.extend(unexpressed.map(|violation| violation.below(&at)));
                self.set(R::OPERATION.record, record.body);
            }
        }
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

/// A record by its id, or as it is to be found or created first.
#[derive(Clone, Debug, PartialEq)]
pub enum Reference<T> {
    /// The id that the API gave to it.
    Id(String),
    /// The record, for [`Client::deliver`](crate::Client::deliver) to ask for its id.
    New(New<T>),
}

impl<T, S: Into<String>> From<S> for Reference<T> {
    fn from(id: S) -> Self {
        Self::Id(id.into())
    }
}

impl<T> From<New<T>> for Reference<T> {
    fn from(record: New<T>) -> Self {
        Self::New(record)
    }
}

/// A body in the endpoint's JSON form, such as a recorded request. A message's may have `user` and
/// `conversation` in the place of the ids, for [`Client::deliver`](crate::Client::deliver). Nothing is
/// checked yet.
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

/// A body that may hold records in the place of their ids.
fn check_delivery(operation: &'static Operation, body: &Value, found: &mut Vec<Violation>) {
    let referred: Vec<_> = references(operation, body).collect();
    let mut rest = body.clone();
    if let (Value::Object(rest), false) = (&mut rest, referred.is_empty()) {
        rest.retain(|key, _| referred.iter().all(|referred| referred.operation.record != key));
    }
    check_request(operation, "", &rest, found);
    for Referred { operation, id, body } in referred {
        let (path, id_path) = (join("", operation.record), join("", id));
        found.retain(|violation| violation.path != id_path || violation.rule != Rule::Required);
        if rest.get(id).is_some() {
            found.push(Violation::new(&*path, Rule::OneOf(vec![id, operation.record]), body));
        }
        check_request(operation, &path, body, found);
        if identity(operation, body).is_none() {
            found.push(Violation::new(path, Rule::Identified, body));
        }
    }
}

/// A record that stands in the place of its id.
struct Referred<'a> {
    operation: &'static Operation,
    id: &'static str,
    body: &'a Value,
}

/// A body refers to records of other operations by their ids: `userId` is that of a `user`.
fn references<'a>(
    operation: &'static Operation,
    body: &'a Value,
) -> impl Iterator<Item = Referred<'a>> {
    let properties = match operation.body {
        Schema::Object { properties, .. } => properties,
        _ => &[],
    };
    OPERATIONS.iter().filter_map(move |operation| {
        let names = properties.iter().map(|(name, _)| *name);
        let id = names.into_iter().find(|name| *name == id_of(operation))?;
        Some(Referred { operation, id, body: body.get(operation.record)? })
    })
}

/// What the id of such a record is called.
fn id_of(operation: &Operation) -> String {
    format!("{}Id", operation.record)
}
