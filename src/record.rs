//! What is found or created: built by type or taken from JSON, checked before it leaves.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::api;
use crate::api::types::Content;
use crate::error::{Error, ErrorKind};
use crate::generated::{OPERATIONS, Operation};
use crate::validate::{Path, Rule, Violation, check};

#[doc(inline)]
pub use crate::api::types::{NewConversation, NewMessage, NewUser};

/// What the endpoints store: a [`Message`](crate::Message), a [`User`](crate::User) or a
/// [`Conversation`](crate::Conversation). Only this crate implements it, as the spec says.
pub trait Record: Sized + Send + Sync + 'static {
    #[doc(hidden)]
    const OPERATION: &'static Operation;
    #[doc(hidden)]
    type Answer: DeserializeOwned + Send;

    /// Calls the generated method.
    #[doc(hidden)]
    fn call(
        client: &api::Client,
        body: &New<Self>,
    ) -> impl Future<Output = Result<api::ResponseValue<Self::Answer>, api::Error<()>>> + Send;

    /// The record, and whether the call created it.
    #[doc(hidden)]
    fn read(answer: Self::Answer) -> (Self, Option<bool>);

    /// The id that the API gave to it.
    fn id(&self) -> &str;
}

include!(concat!(env!("OUT_DIR"), "/records.rs"));

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
#[must_use]
#[derive(Clone, Deserialize)]
#[serde(from = "Value", bound = "")]
pub struct New<T> {
    pub(crate) body: Value,
    /// What a message says, if it was given by type: `type` and `payload` of the body.
    pub(crate) content: Option<Content>,
    /// What the caller gave and JSON cannot express.
    pub(crate) unexpressed: Vec<Violation>,
    stored: PhantomData<fn() -> T>,
}

/// A record by its id, or as it is to be found or created first.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reference<T: Record> {
    /// The id that the API gave to it.
    Id(String),
    /// The record, for [`Client::deliver`](crate::Client::deliver) to ask for its id.
    New(New<T>),
}

/// The body of a request, without a copy of its parts.
#[derive(Serialize)]
#[serde(untagged)]
enum Sent<'a> {
    Json(&'a Value),
    /// A message whose content was given by type.
    Typed {
        #[serde(flatten)]
        body: &'a Value,
        #[serde(flatten)]
        content: &'a Content,
    },
}

/// A record that stands in the place of its id.
struct Referred<'a> {
    operation: &'static Operation,
    id: &'static str,
    body: &'a Value,
}

impl<T: Record> New<T> {
    /// Reads a record from JSON and checks it: what is not JSON, not an object or not valid is refused. For
    /// JSON that is to be sent as it is, or checked later, there is [`From<Value>`](#impl-From<Value>-for-New<T>).
    ///
    /// ```
    /// use botpress_messages::NewUser;
    ///
    /// assert!(NewUser::from_json(r#"{ "tags": { "id": "U05BPU9V1KQ" } }"#).is_ok());
    /// let error = NewUser::from_json(r#"{ "tags": { "id": 7 } }"#).unwrap_err();
    /// assert_eq!(error.violations()[0].path, "/tags/id");
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] with every violation there is.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, Error> {
        let body: Value = serde_json::from_slice(json.as_ref()).map_err(|error| {
            let rule = Rule::Json { line: error.line(), column: error.column() };
            Error::unsent(ErrorKind::Invalid(vec![Violation::unreadable(rule)]))
        })?;
        let record = Self::from(body);
        record.validate()?;
        Ok(record)
    }

    /// Sets a tag. An empty value unsets it in a record that is stored already, and identifies nothing.
    pub fn tag(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with_tags([(name, value)])
    }

    /// Sets a tag if there is a value for it.
    pub fn optional_tag(self, name: impl Into<String>, value: Option<impl Into<String>>) -> Self {
        self.with_tags(value.map(|value| (name, value)))
    }

    /// Sets several tags.
    pub fn with_tags<N, V>(mut self, tags: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let tags = tags.into_iter().map(|(name, value)| (name.into(), value.into().into()));
        match self.body.get_mut("tags") {
            Some(Value::Object(map)) => map.extend(tags),
            Some(_) => {}
            None => self.set("tags", tags.collect::<Map<_, _>>()),
        }
        self
    }

    /// The tags, by name.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        let tags = self.body.get("tags").and_then(Value::as_object).into_iter().flatten();
        tags.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }

    /// The names of the tags by which alone the record is looked for; with none, all tags count.
    pub fn discriminators(&self) -> impl Iterator<Item = &str> {
        let names = self.body.get("discriminateByTags").and_then(Value::as_array);
        names.into_iter().flatten().filter_map(Value::as_str)
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
        identifying(&self.body).is_some()
    }

    /// The identity of the record, by which calls take turns.
    pub(crate) fn identity(&self) -> Option<u64> {
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
        let mut passed_over = self.given_apart().to_vec();
        for Referred { operation, id, body } in self.referred() {
            let at = Path::Root.key(operation.record);
            passed_over.extend([operation.record, id]);
            if self.body.get(id).is_some() {
                found.push(Violation::new(&at, Rule::OneOf(vec![id, operation.record]), body));
            }
            check_request(operation, &at, body, &[], &mut found);
            if identifying(body).is_none() {
                found.push(Violation::new(&at, Rule::Identified, body));
            }
        }
        check_request(T::OPERATION, &Path::Root, &self.body, &passed_over, &mut found);
        valid(found)
    }

    /// Checks what one call takes.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let mut found = self.unexpressed.clone();
        check_request(T::OPERATION, &Path::Root, &self.body, self.given_apart(), &mut found);
        for Referred { operation, .. } in self.referred() {
            let at = Path::Root.key(operation.record).to_string();
            for violation in found.iter_mut().filter(|v| v.path == at && v.rule == Rule::Unknown) {
                violation.rule = Rule::Delivered;
            }
        }
        valid(found)
    }

    /// The properties of the body that stand elsewhere, and are right by their types.
    fn given_apart(&self) -> &'static [&'static str] {
        if self.content.is_some() { &["type", "payload"] } else { &[] }
    }

    /// The records that stand in the place of their ids.
    fn referred(&self) -> impl Iterator<Item = Referred<'_>> {
        T::OPERATION.refers.iter().filter_map(|(index, id)| {
            let operation = &OPERATIONS[*index];
            Some(Referred { operation, id, body: self.body.get(operation.record)? })
        })
    }

    /// The body of the record of this kind that stands in the place of its id.
    pub(crate) fn reference<R: Record>(&self) -> Option<&Value> {
        self.body.get(R::OPERATION.record)
    }

    /// Refers to a record, by its id or as it is to be found or created.
    pub(crate) fn refer<R: Record>(&mut self, id: &str, reference: Reference<R>) {
        match reference {
            Reference::Id(value) => self.set(id, value),
            // Only a message can hold what JSON cannot express.
            Reference::New(record) => self.set(R::OPERATION.record, record.body),
        }
    }

    /// A property that is a string.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.body.get(key).and_then(Value::as_str)
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        if let Value::Object(body) = &mut self.body {
            body.insert(key.to_owned(), value.into());
        }
    }

    /// The body as it is sent.
    fn sent(&self) -> Sent<'_> {
        match &self.content {
            None => Sent::Json(&self.body),
            Some(content) => Sent::Typed { body: &self.body, content },
        }
    }

    /// The same with ids in place of the records that they belong to: the names of the ids, their values, and
    /// the names of the records.
    pub(crate) fn with_ids(&self, ids: [Option<(&str, &str, &str)>; 2]) -> Self {
        let is_kept = |key: &str| ids.iter().flatten().all(|(_, _, record)| *record != key);
        let kept = self.body.as_object().into_iter().flatten().filter(|(key, _)| is_kept(key));
        let mut body: Map<_, _> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
        body.extend(ids.iter().flatten().map(|(id, value, _)| (id.to_string(), json!(value))));
        let (content, unexpressed) = (self.content.clone(), self.unexpressed.clone());
        Self { body: body.into(), content, unexpressed, stored: PhantomData }
    }
}

/// A body in the endpoint's JSON form, such as a recorded request. A message's may have `user` and
/// `conversation` in the place of the ids, for [`Client::deliver`](crate::Client::deliver). Nothing is
/// checked yet.
impl<T> From<Value> for New<T> {
    fn from(body: Value) -> Self {
        Self { body, content: None, unexpressed: Vec::new(), stored: PhantomData }
    }
}

/// The body as it will be sent. A message that JSON cannot express does not serialise: read again, it
/// would be another one.
impl<T: Record> Serialize for New<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        valid(self.unexpressed.clone()).map_err(S::Error::custom)?;
        self.sent().serialize(serializer)
    }
}

/// The body as it will be sent.
impl<T: Record> TryFrom<New<T>> for Value {
    type Error = Error;

    fn try_from(record: New<T>) -> Result<Self, Error> {
        valid(record.unexpressed.clone())?;
        Ok(json!(record.sent()))
    }
}

/// What is sent is the same, however it was given.
impl<T: Record> PartialEq for New<T> {
    fn eq(&self, other: &Self) -> bool {
        json!(self.sent()) == json!(other.sent()) && self.unexpressed == other.unexpressed
    }
}

/// Shows all but what a message says.
impl<T: Record> fmt::Debug for New<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut body = json!(self.sent());
        if let Some(payload) = body.get_mut("payload") {
            *payload = json!("_");
        }
        f.debug_tuple("New").field(&body).finish()
    }
}

impl<T: Record, S: Into<String>> From<S> for Reference<T> {
    fn from(id: S) -> Self {
        Self::Id(id.into())
    }
}

impl<T: Record> From<New<T>> for Reference<T> {
    fn from(record: New<T>) -> Self {
        Self::New(record)
    }
}

fn valid(found: Vec<Violation>) -> Result<(), Error> {
    if found.is_empty() { Ok(()) } else { Err(Error::unsent(ErrorKind::Invalid(found))) }
}

/// A number that is the same for two requests that the endpoint takes for one record, if tags identify it.
/// That two others have the same one does no harm: they only wait for each other.
pub(crate) fn identity(operation: &Operation, body: &Value) -> Option<u64> {
    let tags = identifying(body)?;
    let mut hasher = DefaultHasher::new();
    operation.record.hash(&mut hasher);
    for name in operation.within {
        body.get(*name).hash(&mut hasher);
    }
    tags.hash(&mut hasher);
    Some(hasher.finish())
}

/// The tags by which the endpoint looks for a record, in order, if there are any and each has a value.
fn identifying(body: &Value) -> Option<Vec<(&str, &str)>> {
    let tags = body.get("tags")?.as_object()?;
    let names = body.get("discriminateByTags").and_then(Value::as_array);
    let mut found: Vec<_> = match names.filter(|names| !names.is_empty()) {
        Some(names) => {
            let listed = names.iter().map(|name| set(tags.get_key_value(name.as_str()?)?));
            listed.collect::<Option<_>>()?
        }
        None => tags.iter().map(set).collect::<Option<_>>()?,
    };
    found.sort_unstable();
    found.dedup();
    (!found.is_empty()).then_some(found)
}

/// A tag with a value.
fn set<'a>((name, value): (&'a String, &'a Value)) -> Option<(&'a str, &'a str)> {
    Some((name, value.as_str().filter(|value| !value.is_empty())?))
}

/// The body of a request that stands at `path`, but for the properties that are passed over.
fn check_request(
    operation: &Operation,
    path: &Path<'_>,
    body: &Value,
    passed_over: &[&str],
    found: &mut Vec<Violation>,
) {
    check(&operation.body, path, body, passed_over, found);
    // A tag that the record lacks can match no record, so naming it is a mistake.
    let names = body.get("discriminateByTags").and_then(Value::as_array);
    for (index, name) in names.into_iter().flatten().enumerate() {
        if let Some(string) = name.as_str()
            && body.get("tags").is_some_and(|tags| tags.get(string).is_none())
        {
            let path = path.key("discriminateByTags");
            found.push(Violation::new(&path.index(index), Rule::NameOfTag, name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{Conversation, Message, User};

    #[test]
    fn tags_with_values_identify_a_record() {
        struct Case {
            name: &'static str,
            body: Value,
            /// By which tags, in order.
            identified: Option<&'static [(&'static str, &'static str)]>,
        }
        let ab = || json!({ "b": "2", "a": "1" });
        let with_empty = || json!({ "a": "1", "b": "" });
        let cases = [
            Case { name: "no tags", body: json!({}), identified: None },
            Case { name: "tags of no type", body: json!({ "tags": [] }), identified: None },
            Case { name: "empty tags", body: json!({ "tags": {} }), identified: None },
            Case { name: "null", body: json!({ "tags": { "a": null } }), identified: None },
            Case { name: "a number", body: json!({ "tags": { "a": 1 } }), identified: None },
            Case {
                name: "an empty value",
                body: json!({ "tags": with_empty() }),
                identified: None,
            },
            Case {
                name: "all tags",
                body: json!({ "tags": ab() }),
                identified: Some(&[("a", "1"), ("b", "2")]),
            },
            Case {
                name: "an empty list",
                body: json!({ "tags": ab(), "discriminateByTags": [] }),
                identified: Some(&[("a", "1"), ("b", "2")]),
            },
            Case {
                name: "a listed tag",
                body: json!({ "tags": with_empty(), "discriminateByTags": ["a"] }),
                identified: Some(&[("a", "1")]),
            },
            Case {
                name: "a listed tag without a value",
                body: json!({ "tags": with_empty(), "discriminateByTags": ["a", "b"] }),
                identified: None,
            },
            Case {
                name: "a listed tag that is missing",
                body: json!({ "tags": ab(), "discriminateByTags": ["a", "c"] }),
                identified: None,
            },
            Case {
                name: "a listed tag of no type",
                body: json!({ "tags": ab(), "discriminateByTags": [1] }),
                identified: None,
            },
            Case {
                name: "a tag listed twice",
                body: json!({ "tags": ab(), "discriminateByTags": ["b", "a", "b"] }),
                identified: Some(&[("a", "1"), ("b", "2")]),
            },
        ];
        for Case { name, body, identified } in cases {
            assert_eq!(identifying(&body).as_deref(), identified, "{name}");
        }
    }

    #[test]
    fn requests_for_the_same_record_have_the_same_identity() {
        struct Case {
            name: &'static str,
            operation: &'static Operation,
            one: Value,
            other: Value,
            same: bool,
        }
        let [message, conversation] = [Message::OPERATION, Conversation::OPERATION];
        let tags = |id: &str| json!({ "tags": { "id": id } });
        let in_channel = |channel: &str| json!({ "tags": { "id": "1" }, "channel": channel });
        let cases = [
            Case {
                name: "the same tags",
                operation: message,
                one: tags("1"),
                other: tags("1"),
                same: true,
            },
            Case {
                name: "another value",
                operation: message,
                one: tags("1"),
                other: tags("2"),
                same: false,
            },
            Case {
                name: "a message in another conversation",
                operation: message,
                one: json!({ "tags": { "id": "1" }, "conversationId": "a" }),
                other: json!({ "tags": { "id": "1" }, "conversationId": "b" }),
                same: true,
            },
            Case {
                name: "another tag that is not listed",
                operation: message,
                one: tags("1"),
                other: json!({ "tags": { "id": "1", "a": "2" }, "discriminateByTags": ["id"] }),
                same: true,
            },
            Case {
                name: "the same channel",
                operation: conversation,
                one: in_channel("dm"),
                other: in_channel("dm"),
                same: true,
            },
            Case {
                name: "another channel",
                operation: conversation,
                one: in_channel("dm"),
                other: in_channel("thread"),
                same: false,
            },
            Case {
                name: "texts that are cut elsewhere",
                operation: message,
                one: json!({ "tags": { "a": "bc" } }),
                other: json!({ "tags": { "ab": "c" } }),
                same: false,
            },
        ];
        for Case { name, operation, one, other, same } in cases {
            let [one, other] = [one, other].map(|body| identity(operation, &body).unwrap());
            assert_eq!(one == other, same, "{name}");
        }
        let [user, message] = [User::OPERATION, message].map(|kind| identity(kind, &tags("1")));
        assert_ne!(user, message, "records of two kinds are never the same");
        assert_eq!(identity(User::OPERATION, &json!({ "tags": {} })), None);
    }
}
