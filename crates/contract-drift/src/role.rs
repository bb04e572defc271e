//! Schemas as they count for one side of a comparison: what is never sent is not there.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::normal::{entries, list};

/// A side of a comparison: whose values they are, and which properties are never sent.
#[derive(Clone, Copy)]
pub enum Role {
    RequestSender,
    RequestReader,
    ResponseSender,
    ResponseReader,
}

/// The schemas of a contract in a role.
#[derive(Clone, Copy)]
pub struct InRole<'a> {
    role: Role,
    /// The schemas that contain themselves.
    definitions: &'a Value,
}

/// References are followed this often when marks are looked for.
const MAX_REFERENCES: usize = 8;

impl<'a> InRole<'a> {
    pub fn new(role: Role, contract: &'a Value) -> Self {
        Self { role, definitions: &contract["definitions"] }
    }

    pub fn definitions(self) -> Value {
        entries(self.definitions).map(|(key, schema)| (key.clone(), self.schema(schema))).collect()
    }

    /// A schema as it counts in this role: read-only properties are not sent in requests, and
    /// write-only ones not in responses, so they are not required there either.
    pub fn schema(self, schema: &Value) -> Value {
        self.with(schema, &BTreeSet::new())
    }

    /// The same for a member of a schema that has these properties, which are not sent.
    fn with<'b>(self, schema: &'b Value, outer: &BTreeSet<&'b str>) -> Value
    where
        'a: 'b,
    {
        let Value::Object(keywords) = schema else { return schema.clone() };
        let is_sender = matches!(self.role, Role::RequestSender | Role::ResponseSender);
        let mut unsent = outer.clone();
        self.add_unsent(schema, &["allOf"], &mut unsent, MAX_REFERENCES);
        // What a sender leaves out in one case, it does not promise.
        let mut optional = unsent.clone();
        if is_sender {
            let wrappers = ["allOf", "anyOf", "oneOf"];
            self.add_unsent(schema, &wrappers, &mut optional, MAX_REFERENCES);
        }
        let each = |schemas: &'b Map<String, Value>| -> Value {
            schemas.iter().map(|(key, schema)| (key.clone(), self.schema(schema))).collect()
        };
        let mut kept = Map::new();
        for (keyword, value) in keywords {
            let value = match (keyword.as_str(), value) {
                // Only a reader of requests rejects what should not be sent.
                ("readOnly", _) if matches!(self.role, Role::RequestReader) => value.clone(),
                ("readOnly" | "writeOnly", _) => continue,
                ("properties", Value::Object(properties)) => {
                    let mut properties = each(properties);
                    for name in unsent.iter().filter(|_| is_sender) {
                        if let Some(property) = properties.get_mut(*name) {
                            *property = false.into();
                        }
                    }
                    properties
                }
                ("required", Value::Array(names)) => {
                    let is_unsent =
                        |name: &Value| name.as_str().is_some_and(|n| optional.contains(n));
                    names.iter().filter(|name| !is_unsent(name)).cloned().collect()
                }
                ("patternProperties", Value::Object(patterns)) => each(patterns),
                ("items" | "additionalProperties", schema) => self.schema(schema),
                ("allOf" | "anyOf" | "oneOf", Value::Array(members)) => {
                    members.iter().map(|member| self.with(member, &unsent)).collect()
                }
                _ => value.clone(),
            };
            kept.insert(keyword.clone(), value);
        }
        kept.into()
    }

    /// Adds the properties of a schema, and of its members in these wrappers, that are never sent.
    fn add_unsent<'b>(
        self,
        schema: &'b Value,
        wrappers: &[&str],
        unsent: &mut BTreeSet<&'b str>,
        references: usize,
    ) where
        'a: 'b,
    {
        let properties = entries(&schema["properties"]);
        let marked = properties.filter(|(_, property)| self.is_unsent(property, MAX_REFERENCES));
        unsent.extend(marked.map(|(name, _)| name.as_str()));
        for member in wrappers.iter().flat_map(|wrapper| list(&schema[*wrapper])) {
            self.add_unsent(member, wrappers, unsent, references);
        }
        if let (Some(target), Some(left)) = (self.target(schema), references.checked_sub(1)) {
            self.add_unsent(target, wrappers, unsent, left);
        }
    }

    fn is_unsent(self, schema: &Value, references: usize) -> bool {
        let mark = match self.role {
            Role::RequestSender | Role::RequestReader => "readOnly",
            Role::ResponseSender | Role::ResponseReader => "writeOnly",
        };
        schema[mark] == true
            || list(&schema["allOf"]).any(|member| self.is_unsent(member, references))
            || self
                .target(schema)
                .zip(references.checked_sub(1))
                .is_some_and(|(target, left)| self.is_unsent(target, left))
    }

    fn target(self, schema: &Value) -> Option<&'a Value> {
        self.definitions.get(schema.get("$ref")?.as_str()?)
    }
}
