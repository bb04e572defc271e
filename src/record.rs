//! The records that `Client::get_or_create` takes: how they are read, checked and identified.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api;
use crate::decode::without_surrogates;
use crate::error::Error;
use crate::generated::Operation;
use crate::validate::check;
use crate::violation::{Path, Rule, Violation, shorten};

/// A record to get or create: a [`NewMessage`](crate::NewMessage), a [`NewUser`](crate::NewUser) or a
/// [`NewConversation`](crate::NewConversation). `build.rs` implements it for each operation that the spec marks
/// with `x-get-or-create`.
///
/// The tags make a call repeatable: a webhook that arrives twice finds what it created the first time.
/// Without tags, every call creates another record.
pub trait GetOrCreate: Serialize + DeserializeOwned + Send + Sync {
    /// The record as the API stores it.
    type Record: Send;

    /// The names and values that identify the record.
    fn tags(&self) -> &BTreeMap<String, String>;

    /// The names of the tags that it is looked up by; if empty, all tags count.
    fn discriminators(&self) -> &[String];

    /// The id that the API gave to the record.
    fn id(record: &Self::Record) -> &str;

    #[doc(hidden)]
    const OPERATION: &'static Operation;
    #[doc(hidden)]
    type Response: DeserializeOwned + Send;

    /// What the record is looked up by besides its tags: its kind, and properties that the spec names.
    #[doc(hidden)]
    fn within(&self) -> impl Hash;

    /// Calls the generated method.
    #[doc(hidden)]
    fn request(
        &self,
        client: &api::Client,
    ) -> impl Future<Output = Result<api::ResponseValue<Self::Response>, api::Error<()>>> + Send;

    /// The conversation of a message.
    #[doc(hidden)]
    fn conversation(&self) -> Option<&str> {
        None
    }

    /// Checks `type` and `payload`, if it has them.
    #[doc(hidden)]
    fn check_content(&self, _: &Path<'_>, _: &mut Vec<Violation>) {}

    /// The record, and whether the call created it.
    #[doc(hidden)]
    fn read(response: Self::Response) -> (Self::Record, Option<bool>);
}

/// The methods of every record to get or create.
macro_rules! record_methods {
    ($record:ty) => {
        impl $record {
            /// Reads a record from JSON and checks it, as [`validate`](Self::validate) does.
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with every violation.
            pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, Error> {
                read(parse(json.as_ref())?)
            }

            /// Sets a tag. An empty value removes the tag from a stored record, and identifies nothing.
            #[must_use]
            pub fn tag(self, name: impl Into<String>, value: impl Into<String>) -> Self {
                self.with_tags([(name, value)])
            }

            /// Sets a tag if there is a value for it.
            #[must_use]
            pub fn optional_tag(
                self,
                name: impl Into<String>,
                value: Option<impl Into<String>>,
            ) -> Self {
                self.with_tags(value.map(|value| (name, value)))
            }

            /// Sets several tags.
            #[must_use]
            pub fn with_tags<N: Into<String>, V: Into<String>>(
                mut self,
                tags: impl IntoIterator<Item = (N, V)>,
            ) -> Self {
                self.tags.extend(tags.into_iter().map(|(name, value)| (name.into(), value.into())));
                self
            }

            /// Whether the endpoint can find this record again, so that sending it twice stores it once: it is
            /// looked up by at least one tag, and each of these has a value. The vendor does not say whether the
            /// endpoint skips empty values.
            pub fn is_identified(&self) -> bool {
                is_identified(self)
            }

            /// Checks the record against the contract, as each call does before it sends anything.
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with every violation.
            pub fn validate(&self) -> Result<(), Error> {
                validate(self)
            }
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/records.rs"));

/// Parses JSON. Half a surrogate pair, which JavaScript can leave, is read as U+FFFD.
pub(crate) fn parse(json: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(&without_surrogates(json)).map_err(|error| {
        let rule = Rule::Json { line: error.line(), column: error.column() };
        Error::invalid(vec![Violation::of(&Path::Root, rule)])
    })
}

/// Reads a valid record.
fn read<R: GetOrCreate>(json: Value) -> Result<R, Error> {
    let mut found = Vec::new();
    let record = read_at(&Path::Root, json, &[], &mut found);
    record.filter(|_| found.is_empty()).ok_or_else(|| Error::invalid(found))
}

/// Reads a record that is at `path` and adds its violations; if there are any, the record may be missing.
pub(crate) fn read_at<R: GetOrCreate>(
    path: &Path<'_>,
    json: Value,
    ignored: &[&str],
    found: &mut Vec<Violation>,
) -> Option<R> {
    let known = found.len();
    check(&R::OPERATION.body, path, &json, ignored, found);
    let record = serde_json::from_value(json).ok();
    match &record {
        Some(record) => check_parts(path, record, found),
        None if found.len() > known => {}
        None => found.push(Violation::of(path, Rule::Type("object"))),
    }
    record
}

/// Checks a record on its own.
pub(crate) fn validate<R: GetOrCreate>(record: &R) -> Result<(), Error> {
    let mut found = Vec::new();
    check_record(&Path::Root, record, &[], &mut found);
    valid(found)
}

/// Adds the violations of a record that is at `path`.
pub(crate) fn check_record<R: GetOrCreate>(
    path: &Path<'_>,
    record: &R,
    ignored: &[&str],
    found: &mut Vec<Violation>,
) {
    check(&R::OPERATION.body, path, record, ignored, found);
    check_parts(path, record, found);
}

/// Checks rules that involve more than one value of the record.
fn check_parts<R: GetOrCreate>(path: &Path<'_>, record: &R, found: &mut Vec<Violation>) {
    record.check_content(path, found);
    // A tag that the record lacks can match no record, so naming it is a mistake.
    for (index, name) in record.discriminators().iter().enumerate() {
        if !record.tags().contains_key(name) {
            let list = path.key("discriminateByTags");
            let path = list.index(index).to_string();
            found.push(Violation { path, rule: Rule::NameOfTag, given: shorten(name) });
        }
    }
}

pub(crate) fn valid(found: Vec<Violation>) -> Result<(), Error> {
    if found.is_empty() { Ok(()) } else { Err(Error::invalid(found)) }
}

/// Whether the endpoint looks for the record by tags, and each of these has a value.
pub(crate) fn is_identified<R: GetOrCreate>(record: &R) -> bool {
    let tags = record.tags();
    match record.discriminators() {
        [] => !tags.is_empty() && tags.values().all(|value| !value.is_empty()),
        names => names.iter().all(|name| tags.get(name).is_some_and(|value| !value.is_empty())),
    }
}

/// A number that is the same for two requests for one record, if tags identify it; it does not matter whether the
/// tags are listed. Other requests with the same number only wait for each other.
pub(crate) fn identity<R: GetOrCreate>(record: &R, hasher: &impl BuildHasher) -> Option<u64> {
    if !is_identified(record) {
        return None;
    }
    let mut hasher = hasher.build_hasher();
    record.within().hash(&mut hasher);
    let names = record.discriminators();
    for tag in record.tags().iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        tag.hash(&mut hasher);
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasherDefault, DefaultHasher};

    use super::*;
    use crate::api::types::{NewConversation, NewMessage, NewUser};

    fn identity(record: &impl GetOrCreate) -> Option<u64> {
        super::identity(record, &BuildHasherDefault::<DefaultHasher>::default())
    }

    fn user(tags: &[(&str, &str)], discriminators: &[&str]) -> NewUser {
        let user = NewUser::new().with_tags(tags.iter().copied());
        user.discriminate_by_tags(discriminators.iter().copied())
    }

    #[test]
    fn tags_with_values_identify_a_record() {
        struct Case {
            name: &'static str,
            tags: &'static [(&'static str, &'static str)],
            discriminators: &'static [&'static str],
            identified: bool,
        }
        const AB: &[(&str, &str)] = &[("a", "1"), ("b", "2")];
        const EMPTY: &[(&str, &str)] = &[("a", "1"), ("b", "")];
        let cases = [
            Case { name: "no tags", tags: &[], discriminators: &[], identified: false },
            Case { name: "all tags", tags: AB, discriminators: &[], identified: true },
            Case { name: "an empty value", tags: EMPTY, discriminators: &[], identified: false },
            Case { name: "one listed", tags: EMPTY, discriminators: &["a"], identified: true },
            Case { name: "no value", tags: EMPTY, discriminators: &["a", "b"], identified: false },
            Case { name: "no tag", tags: AB, discriminators: &["a", "c"], identified: false },
            Case { name: "twice", tags: AB, discriminators: &["b", "b"], identified: true },
        ];
        for Case { name, tags, discriminators, identified } in cases {
            let user = user(tags, discriminators);
            assert_eq!(user.is_identified(), identified, "{name}");
            assert_eq!(identity(&user).is_some(), identified, "{name}");
        }
    }

    #[test]
    fn requests_for_the_same_record_have_the_same_identity() {
        let message = |conversation, tags: &[(&str, &str)]| {
            NewMessage::with_parts(conversation, String::new(), String::new(), Default::default())
                .with_tags(tags.iter().copied())
        };
        let first = identity(&message("a".into(), &[("id", "1")]));
        assert!(first.is_some());
        assert_eq!(first, identity(&message("b".into(), &[("id", "1")])), "in any conversation");
        let listed = message("a".into(), &[("id", "1"), ("x", "2")]).discriminate_by_tags(["id"]);
        assert_eq!(first, identity(&listed), "whatever else it has");
        assert_ne!(first, identity(&message("a".into(), &[("id", "2")])));
        assert_ne!(first, identity(&user(&[("id", "1")], &[])), "another kind of record");
        let cut = [("a", "bc"), ("ab", "c")].map(|tag| identity(&user(&[tag], &[])));
        assert_ne!(cut[0], cut[1]);
        let channels = ["dm", "thread"].map(|c| identity(&NewConversation::new(c).tag("id", "1")));
        assert_ne!(channels[0], channels[1]);
    }
}
