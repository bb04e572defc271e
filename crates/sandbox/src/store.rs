//! The stored records, and how they are found again.

use std::collections::{BTreeMap, HashMap};

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use ulid::Ulid;

use super::log::{Change, Outcome};
use super::rejection::{Rejection, rejection};
use botpress_messages::ErrorType;
use botpress_messages::contract::Path;
use botpress_messages::contract::{OPERATIONS, Operation};

/// The records of the bot.
#[derive(Default)]
pub(super) struct Store {
    /// By the name of the kind.
    tables: HashMap<&'static str, Table>,
}

/// The records of one kind, in the order of their creation.
#[derive(Default)]
struct Table {
    rows: BTreeMap<usize, Row>,
    created: usize,
    /// The rows that have a tag, or once had it.
    by_tag: HashMap<(String, String), Vec<usize>>,
    by_id: HashMap<String, usize>,
}

struct Row {
    record: Value,
    integration: String,
}

/// How the API treats a kind of record, where the spec does not say. A kind without a row in [`KINDS`] works
/// too.
struct Kind {
    record: &'static str,
    /// The prefix of its ids.
    prefix: &'static str,
    /// Without discriminators, the stored record must have no other tags.
    exact: bool,
    /// It is looked up within the calling integration.
    of_integration: bool,
    /// The properties that a request updates, besides the tags.
    updates: &'static [&'static str],
    /// The properties of the body that a stored record lacks.
    dropped: &'static [&'static str],
    /// The properties that are stored but missing from the API's response.
    unreturned: &'static [&'static str],
    /// The record that it belongs to.
    owner: Option<Owner>,
    /// The properties that a new record has besides those of the body.
    initial: fn(&Value, Caller<'_>) -> Value,
}

struct Owner {
    /// The property with the id of the owner.
    property: &'static str,
    record: &'static str,
    /// The property of the owner that counts its records.
    count: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind {
        record: "message",
        prefix: "msg",
        exact: true,
        of_integration: false,
        updates: &["payload"],
        unreturned: &["schedule"],
        owner: Some(Owner {
            property: "conversationId",
            record: "conversation",
            count: "messageCount",
        }),
        initial: |body, caller| {
            let is_outgoing = body["userId"] == caller.bot_id;
            json!({ "direction": if is_outgoing { "outgoing" } else { "incoming" } })
        },
        ..OTHER
    },
    Kind { record: "user", prefix: "user", updates: &["name", "pictureUrl"], ..OTHER },
    Kind {
        record: "conversation",
        prefix: "conv",
        initial: |_, caller| json!({ "integration": caller.integration, "messageCount": 0 }),
        ..OTHER
    },
];

const OTHER: Kind = Kind {
    record: "",
    prefix: "",
    exact: false,
    of_integration: true,
    updates: &[],
    dropped: &["discriminateByTags", "integrationName"],
    unreturned: &[],
    owner: None,
    initial: |_, _| json!({}),
};

impl Kind {
    fn of(record: &'static str) -> Self {
        let known = KINDS.into_iter().find(|kind| kind.record == record);
        known.unwrap_or(Self { record, prefix: record, ..OTHER })
    }
}

/// The sender of a request.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) integration: &'a str,
    pub(super) bot_id: &'a str,
}

/// A stored record as the API returns it.
pub(super) fn returned(record: &'static str, stored: &Value) -> Value {
    let mut returned = stored.clone();
    if let Value::Object(returned) = &mut returned {
        returned.retain(|name, _| !Kind::of(record).unreturned.contains(&name.as_str()));
    }
    returned
}

impl Store {
    /// The records of a kind, in the order of their creation.
    pub(super) fn all(&self, record: &str) -> impl DoubleEndedIterator<Item = &Value> {
        let rows = self.tables.get(record).into_iter().flat_map(|table| table.rows.values());
        rows.map(|row| &row.record)
    }

    /// Deletes the record with this id. Returns whether there was one.
    pub(super) fn delete(&mut self, id: &str) -> bool {
        let delete = |table: &mut Table| table.rows.remove(&table.by_id.remove(id)?);
        self.tables.values_mut().find_map(delete).is_some()
    }

    /// Rejects a body that names a record that is not stored. The bot is a user as well.
    pub(super) fn check_ids(
        &self,
        operation: &Operation,
        body: &Value,
        bot_id: &str,
    ) -> Result<(), Rejection> {
        for (index, property) in operation.refers {
            let record = OPERATIONS[*index].record;
            let id = body.get(property).and_then(Value::as_str);
            let Some(id) = id.filter(|id| *id != bot_id) else { continue };
            if !self.tables.get(record).is_some_and(|table| table.by_id.contains_key(id)) {
                let message = format!("{record} {id:?} does not exist");
                return Err(rejection(400, ErrorType::ReferenceNotFound, message));
            }
        }
        Ok(())
    }

    /// The record with all of the request's tags, or with those among them that discriminate. Empty
    /// values unset a tag, so they identify nothing.
    pub(super) fn find(
        &self,
        operation: &Operation,
        body: &Value,
        integration: &str,
    ) -> Option<usize> {
        let table = self.tables.get(operation.record)?;
        let kind = Kind::of(operation.record);
        let discriminators = body["discriminateByTags"].as_array().map_or(&[][..], Vec::as_slice);
        let listed = |name: &String| discriminators.iter().any(|tag| tag == name);
        let tags = body["tags"].as_object()?.iter();
        let wanted: Map<String, Value> = tags
            .filter(|(name, value)| *value != "" && (discriminators.is_empty() || listed(name)))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        // The rarest tag leaves the fewest records to look at.
        let candidates = wanted.iter().map(|(name, value)| table.by_tag.get(&tag(name, value)));
        let candidates = candidates.min_by_key(|rows| rows.map_or(0, Vec::len))??;
        let matches = |number: &usize| {
            let Some(Row { record, integration: owner }) = table.rows.get(number) else {
                return false;
            };
            let tags = &record["tags"];
            let exact = kind.exact && discriminators.is_empty();
            (!kind.of_integration || owner == integration)
                && operation.within.iter().all(|name| record[name] == body[name])
                && wanted.iter().all(|(name, value)| tags.get(name) == Some(value))
                && (!exact || tags.as_object().is_some_and(|tags| tags.len() == wanted.len()))
        };
        candidates.iter().copied().find(matches)
    }

    /// Updates the record that was found, or creates one.
    pub(super) fn put(
        &mut self,
        operation: &Operation,
        found: Option<usize>,
        mut body: Value,
        caller: Caller<'_>,
    ) -> Result<Outcome, Rejection> {
        let kind = Kind::of(operation.record);
        let table = self.tables.entry(kind.record).or_default();
        let now = json!(Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true));
        let tags = body["tags"].take();
        let (number, created) = match found.filter(|number| table.rows.contains_key(number)) {
            Some(number) => (number, false),
            None => {
                let record = new_record(&kind, &body, &now, caller);
                table.created += 1;
                let id = record["id"].as_str().unwrap_or_default().to_owned();
                table.by_id.insert(id, table.created);
                let integration = caller.integration.to_owned();
                table.rows.insert(table.created, Row { record, integration });
                (table.created, true)
            }
        };
        let Some(Row { record, .. }) = table.rows.get_mut(&number) else {
            return Err(rejection(500, ErrorType::Internal, "the record is gone"));
        };
        if let Some(owner) = &kind.owner
            && record[owner.property] != body[owner.property]
        {
            let Kind { record, .. } = kind;
            let message = format!("the {record} already exists for a different {}", owner.record);
            return Err(rejection(409, ErrorType::AlreadyExists, message));
        }
        let before = record.clone();
        for name in kind.updates {
            if let Some(value) = body.get_mut(*name) {
                record[*name] = value.take();
            }
        }
        record["updatedAt"] = now;
        for (name, value) in tags.as_object().into_iter().flatten() {
            if let Value::Object(stored) = &mut record["tags"] {
                if value == "" {
                    stored.remove(name);
                } else {
                    table.by_tag.entry(tag(name, value)).or_default().push(number);
                    stored.insert(name.clone(), value.clone());
                }
            }
        }
        let stored = record.clone();
        if created {
            if let Some(owner) = &kind.owner {
                self.count(owner, &stored);
            }
            return Ok(Outcome::Created { stored });
        }
        let mut changes = Vec::new();
        compare(&Path::Root, Some(&before), Some(&stored), &mut changes);
        changes.retain(|change| change.path != "/updatedAt");
        Ok(Outcome::Found { stored, changes })
    }

    /// Increments the owner's count of its records.
    fn count(&mut self, owner: &Owner, stored: &Value) {
        let Some(table) = self.tables.get_mut(owner.record) else { return };
        let id = stored[owner.property].as_str().unwrap_or_default();
        if let Some(row) = table.by_id.get(id).and_then(|number| table.rows.get_mut(number)) {
            let count = row.record[owner.count].as_u64().unwrap_or_default();
            row.record[owner.count] = json!(count + 1);
        }
    }
}

/// Adds the differences between two values at `path` to `changes`; objects are compared property by property.
fn compare(
    path: &Path<'_>,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<Change>,
) {
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let gone = before.keys().filter(|name| !after.contains_key(*name));
            for name in after.keys().chain(gone) {
                compare(&path.key(name), before.get(name), after.get(name), changes);
            }
        }
        _ if before == after => {}
        _ => changes.push(Change {
            path: path.to_string(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn tag(name: &str, value: &Value) -> (String, String) {
    (name.to_owned(), value.as_str().unwrap_or_default().to_owned())
}

fn new_record(kind: &Kind, body: &Value, now: &Value, caller: Caller<'_>) -> Value {
    let mut record = body.clone();
    if let (Value::Object(record), Value::Object(initial)) =
        (&mut record, (kind.initial)(body, caller))
    {
        record.retain(|name, _| !kind.dropped.contains(&name.as_str()));
        record.extend(initial);
    }
    record["id"] = json!(format!("{}_{}", kind.prefix, new_id()));
    record["createdAt"] = now.clone();
    record["tags"] = json!({});
    record
}

fn new_id() -> Ulid {
    let now = u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default();
    Ulid::from_parts(now, fastrand::u128(..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use botpress_messages::contract::Schema;

    /// An operation that someone adds to the spec.
    #[test]
    fn a_kind_without_a_row_works() {
        let ticket = Operation {
            index: OPERATIONS.len(),
            name: "get_or_create_ticket",
            path: "/v1/tickets/get-or-create",
            record: "ticket",
            within: &["queue"],
            refers: &[],
            body: Schema::Any,
        };
        let (mut store, caller) = (Store::default(), Caller { integration: "i", bot_id: "b" });
        let mut get_or_create = |queue: &str| {
            let body =
                json!({ "queue": queue, "tags": { "id": "1" }, "discriminateByTags": ["id"] });
            let found = store.find(&ticket, &body, caller.integration);
            store.put(&ticket, found, body, caller).ok()
        };
        let Some(Outcome::Created { stored }) = get_or_create("a") else { panic!() };
        assert!(stored["id"].as_str().unwrap().starts_with("ticket_"), "{stored}");
        assert_eq!(stored["discriminateByTags"], Value::Null);
        assert!(matches!(get_or_create("a"), Some(Outcome::Found { .. })));
        assert!(matches!(get_or_create("b"), Some(Outcome::Created { .. })));
        assert_eq!(store.all("ticket").count(), 2);
    }
}
