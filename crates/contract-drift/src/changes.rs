//! The changes between two contracts of an operation.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::finding::{Code, Difference, Place};
use crate::schema::resolved;

/// Each change, at the place that the rules of `agreement` give to it.
pub fn changes(old: &Value, new: &Value) -> Vec<Difference> {
    let mut changes = Changes {
        definitions: [&old["definitions"], &new["definitions"]],
        seen: BTreeSet::new(),
        open: vec![(Some(old), Some(new), Place::default())],
        found: Vec::new(),
    };
    while let Some((old, new, at)) = changes.open.pop() {
        changes.walk(old, new, &at, false);
    }
    changes.found
}

/// A value on each side, and their place.
type Pair<'a> = (Option<&'a Value>, Option<&'a Value>, Place);

struct Changes<'a> {
    /// The schemas that contain themselves, on each side. Their names do not matter.
    definitions: [&'a Value; 2],
    /// The pairs with a reference that were seen.
    seen: BTreeSet<String>,
    /// The targets of these references that are still to be compared.
    open: Vec<Pair<'a>>,
    found: Vec<Difference>,
}

impl<'a> Changes<'a> {
    /// `are_names` says whether the keys here are names of properties, which can look like keywords.
    fn walk(
        &mut self,
        old: Option<&'a Value>,
        new: Option<&'a Value>,
        at: &Place,
        are_names: bool,
    ) {
        if let (Some(old), Some(new), false) = (old, new, are_names)
            && [old, new].iter().any(|side| side.get("$ref").is_some())
        {
            if self.seen.insert(format!("{old} {new}")) {
                let [of_old, of_new] = self.definitions;
                self.open.push((resolved(old, of_old), resolved(new, of_new), at.clone()));
            }
            return;
        }
        let mut report = |place: &Place, text: String| {
            self.found.push(Difference::new(Code::Changed, place, text));
        };
        match (old, new) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                for key in keys(old, new).filter(|key| *key != "definitions" || !at.is_empty()) {
                    let below = if are_names { at.below(key) } else { place_of(at, key) };
                    let are_names = key == "properties" && !are_names;
                    self.walk(old.get(key), new.get(key), &below, are_names);
                }
            }
            (Some(Value::Array(old)), Some(Value::Array(new))) if old != new => {
                let place = |item: &Value| match (at.last(), item.as_str()) {
                    ("required", Some(name)) => at.above().below(name),
                    _ => at.clone(),
                };
                let gone: Vec<_> = old.iter().filter(|item| !new.contains(item)).collect();
                let added: Vec<_> = new.iter().filter(|item| !old.contains(item)).collect();
                if gone.is_empty() && added.is_empty() {
                    report(at, "the same items, repeated".into());
                }
                for item in gone {
                    report(&place(item), format!("no longer {} {item}", at.last()));
                }
                for item in added {
                    report(&place(item), format!("now {} {item}", at.last()));
                }
            }
            (None, Some(new)) => report(at, format!("new, {new}")),
            (Some(old), None) => report(at, format!("gone, was {old}")),
            (Some(old), Some(new)) if old != new => report(at, format!("was {old}, is {new}")),
            _ => {}
        }
    }
}

fn keys<'a>(
    old: &'a Map<String, Value>,
    new: &'a Map<String, Value>,
) -> impl Iterator<Item = &'a String> {
    old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)))
}

fn place_of(at: &Place, key: &str) -> Place {
    match key {
        "content" | "application/json" | "schema" | "properties" => at.clone(),
        "requestBody" => Place::new(["request"]),
        "200" => Place::new(["response"]),
        "additionalProperties" if !at.is_empty() => at.below("*"),
        _ => at.below(key),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_change_is_reported_at_its_place() {
        struct Case {
            old: Value,
            new: Value,
            line: &'static str,
        }
        let body = |schema: Value| json!({ "requestBody": { "content": { "application/json": { "schema": schema } } } });
        let cases = [
            Case {
                old: json!({}),
                new: json!({ "deprecated": true }),
                line: "deprecated: new, true",
            },
            Case {
                old: json!({ "responses": { "404": {} } }),
                new: json!({ "responses": {} }),
                line: "responses.404: gone, was {}",
            },
            Case {
                old: body(json!({ "properties": { "a": { "maxLength": 1 } } })),
                new: body(json!({ "properties": { "a": { "maxLength": 2 } } })),
                line: "request.a.maxLength: was 1, is 2",
            },
            Case {
                old: body(json!({ "properties": { "properties": { "properties": {} } } })),
                new: body(json!({ "properties": { "properties": { "properties": { "a": {} } } } })),
                line: "request.properties.a: new, {}",
            },
            Case {
                old: body(json!({ "required": ["a"] })),
                new: body(json!({ "required": [] })),
                line: "request.a: no longer required \"a\"",
            },
            Case {
                old: body(json!({ "enum": ["a"] })),
                new: body(json!({ "enum": ["a", "b"] })),
                line: "request.enum: now enum \"b\"",
            },
            Case {
                old: body(json!({ "oneOf": [{}] })),
                new: body(json!({ "oneOf": [{}, {}] })),
                line: "request.oneOf: the same items, repeated",
            },
            Case {
                old: body(json!({ "additionalProperties": { "type": "string" } })),
                new: body(json!({ "additionalProperties": { "type": "number" } })),
                line: "request.*.type: was \"string\", is \"number\"",
            },
        ];
        for Case { old, new, line } in cases {
            let found = changes(&old, &new);
            let lines: Vec<_> = found.iter().map(|d| format!("{}: {}", d.place, d.text)).collect();
            assert_eq!(lines, [line]);
        }
        assert_eq!(changes(&body(json!({})), &body(json!({}))), []);
    }

    #[test]
    fn schemas_that_contain_themselves_are_compared_once() {
        let contract = |name: &str, size: u8| {
            let node = json!({ "items": { "$ref": name }, "maxItems": size });
            json!({ "schema": { "$ref": name }, "definitions": { name: node } })
        };
        assert_eq!(changes(&contract("a", 1), &contract("b", 1)), []);
        let found = changes(&contract("a", 1), &contract("b", 2));
        let lines: Vec<_> = found.iter().map(|d| format!("{}: {}", d.place, d.text)).collect();
        assert_eq!(lines, ["maxItems: was 1, is 2"]);
    }
}
