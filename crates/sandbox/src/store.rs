//! What the sandbox stores, and how it finds it again.

use std::collections::{BTreeMap, HashMap};

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use ulid::Ulid;

use super::log::{Change, Outcome};
use super::refusal::{Refusal, refusal};
use botpress_messages::ErrorType;
use botpress_messages::contract::Path;
use botpress_messages::contract::{OPERATIONS, Operation};

/// The records of the bot.
#[derive(Default)]
pub(super) struct Store {
    /// By what they are called.
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

/// In what the kinds of records differ.
struct Kind {
    prefix: &'static str,
    /// Without discriminators, the tags have to be the same, not just among those that are stored.
    exact: bool,
    /// It is looked up within the integration that calls.
    of_integration: bool,
    /// What a hit updates, besides the tags.
    updates: &'static [&'static str],
}

fn kind(operation: &Operation) -> Kind {
    let (prefix, exact, of_integration) = (operation.record, false, true);
    match operation.record {
        "message" => {
            Kind { prefix: "msg", exact: true, of_integration: false, updates: &["payload"] }
        }
        "user" => Kind { prefix: "user", exact, of_integration, updates: &["name", "pictureUrl"] },
        "conversation" => Kind { prefix: "conv", exact, of_integration, updates: &[] },
        _ => Kind { prefix, exact, of_integration, updates: &[] },
    }
}

impl Store {
    /// The records of a kind, in the order of their creation.
    pub(super) fn all(&self, record: &str) -> impl DoubleEndedIterator<Item = &Value> {
        let rows = self.tables.get(record).into_iter().flat_map(|table| table.rows.values());
        rows.map(|row| &row.record)
    }

    pub(super) fn delete(&mut self, id: &str) {
        for table in self.tables.values_mut() {
            if let Some(number) = table.by_id.remove(id) {
                table.rows.remove(&number);
            }
        }
    }

    /// Refuses a body that names a record that is not stored. The bot is a user of its own.
    pub(super) fn check_ids(&self, body: &Value, bot_id: &str) -> Result<(), Refusal> {
        for operation in &OPERATIONS {
            let record = operation.record;
            let id = body.get(format!("{record}Id")).and_then(Value::as_str);
            let Some(id) = id.filter(|id| *id != bot_id) else { continue };
            if !self.tables.get(record).is_some_and(|table| table.by_id.contains_key(id)) {
                let message = format!("{record} {id:?} does not exist");
                return Err(refusal(400, ErrorType::ReferenceNotFound, message));
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
        let kind = kind(operation);
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
        integration: &str,
        bot_id: &str,
    ) -> Result<Outcome, Refusal> {
        let kind = kind(operation);
        let table = self.tables.entry(operation.record).or_default();
        let now = json!(Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true));
        let tags = body["tags"].take();
        let (number, created) = match found.filter(|number| table.rows.contains_key(number)) {
            Some(number) => (number, false),
            None => {
                let record = new_record(operation, &kind, &body, &now, integration, bot_id);
                table.created += 1;
                let id = record["id"].as_str().unwrap_or_default().to_owned();
                table.by_id.insert(id, table.created);
                let integration = integration.to_owned();
                table.rows.insert(table.created, Row { record, integration });
                (table.created, true)
            }
        };
        let Some(Row { record, .. }) = table.rows.get_mut(&number) else {
            return Err(refusal(500, ErrorType::Internal, "the record is gone"));
        };
        if record["conversationId"] != body["conversationId"] {
            let message = "the message already exists for a different conversation";
            return Err(refusal(409, ErrorType::AlreadyExists, message));
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
            self.count(&stored);
            return Ok(Outcome::Created { stored });
        }
        let mut changes = Vec::new();
        compare(&Path::Root, Some(&before), Some(&stored), &mut changes);
        changes.retain(|change| change.path != "/updatedAt");
        Ok(Outcome::Found { stored, changes })
    }

    /// Counts a message in its conversation.
    fn count(&mut self, message: &Value) {
        let Some(table) = self.tables.get_mut("conversation") else { return };
        let id = message["conversationId"].as_str().unwrap_or_default();
        if let Some(row) = table.by_id.get(id).and_then(|number| table.rows.get_mut(number)) {
            let count = row.record["messageCount"].as_u64().unwrap_or_default();
            row.record["messageCount"] = json!(count + 1);
        }
    }
}

/// Adds to `changes` in what two values differ, which stand at `path`; objects property by property.
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

fn new_record(
    operation: &Operation,
    kind: &Kind,
    body: &Value,
    now: &Value,
    integration: &str,
    bot_id: &str,
) -> Value {
    let mut record = body.clone();
    if let Value::Object(record) = &mut record {
        for instruction in ["discriminateByTags", "schedule", "integrationName"] {
            record.remove(instruction);
        }
    }
    record["id"] = json!(format!("{}_{}", kind.prefix, new_id()));
    record["createdAt"] = now.clone();
    record["tags"] = json!({});
    match operation.record {
        "message" => {
            let outgoing = body["userId"] == bot_id;
            record["direction"] = json!(if outgoing { "outgoing" } else { "incoming" });
        }
        "conversation" => {
            record["integration"] = json!(integration);
            record["messageCount"] = json!(0);
        }
        _ => {}
    }
    record
}

fn new_id() -> Ulid {
    let now = u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default();
    Ulid::from_parts(now, fastrand::u128(..))
}
