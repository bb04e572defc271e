//! Schemas as they apply to one side of a comparison, without properties that are never sent.

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

impl<'a> InRole<'a> {
    pub fn new(role: Role, contract: &'a Value) -> Self {
        Self { role, definitions: &contract["definitions"] }
    }

    pub fn definitions(self) -> Value {
        entries(self.definitions).map(|(key, schema)| (key.clone(), self.schema(schema))).collect()
    }

    /// A schema as it applies in this role: read-only properties are not sent in requests, and
    /// write-only ones not in responses, so they are not required there either.
    pub fn schema(self, schema: &Value) -> Value {
        self.with(schema, &BTreeSet::new())
    }

    /// The same for a member of a schema whose properties `outer` are not sent.
    fn with<'b>(self, schema: &'b Value, outer: &BTreeSet<&'b str>) -> Value
    where
        'a: 'b,
    {
        let Value::Object(keywords) = schema else { return schema.clone() };
        let is_sender = matches!(self.role, Role::RequestSender | Role::ResponseSender);
        let mut unsent = outer.clone();
        unsent.extend(self.unsent(schema, &["allOf"]));
        // A property that is unsent in one alternative can be missing.
        let mut optional = unsent.clone();
        if is_sender {
            optional.extend(self.unsent(schema, &["allOf", "anyOf", "oneOf"]));
        }
        let property = |schema: &'b Value| {
            if is_sender && self.is_unsent(schema) { false.into() } else { self.schema(schema) }
        };
        let each = |schemas: &'b Map<String, Value>| -> Value {
            schemas.iter().map(|(key, schema)| (key.clone(), property(schema))).collect()
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
                ("additionalProperties", schema) => property(schema),
                ("items", schema) => self.schema(schema),
                ("allOf" | "anyOf" | "oneOf", Value::Array(members)) => {
                    members.iter().map(|member| self.with(member, &unsent)).collect()
                }
                _ => value.clone(),
            };
            kept.insert(keyword.clone(), value);
        }
        kept.into()
    }

    /// The properties of a schema, and of its members in these wrappers, that are never sent.
    fn unsent<'b>(self, schema: &'b Value, wrappers: &[&str]) -> impl Iterator<Item = &'b str>
    where
        'a: 'b,
    {
        let members = members(schema, self.definitions, wrappers).into_iter();
        let properties = members.flat_map(|member| entries(&member["properties"]));
        properties.filter(move |(_, schema)| self.is_unsent(schema)).map(|(name, _)| name.as_str())
    }

    fn is_unsent(self, schema: &Value) -> bool {
        let mark = match self.role {
            Role::RequestSender | Role::RequestReader => "readOnly",
            Role::ResponseSender | Role::ResponseReader => "writeOnly",
        };
        members(schema, self.definitions, &["allOf"]).iter().any(|member| member[mark] == true)
    }
}

/// A schema and its members in these wrappers, with what they refer to.
fn members<'a>(schema: &'a Value, definitions: &'a Value, wrappers: &[&str]) -> Vec<&'a Value> {
    let mut found = Vec::new();
    let mut open = vec![schema];
    let mut seen = BTreeSet::new();
    while let Some(schema) = open.pop() {
        found.push(schema);
        open.extend(wrappers.iter().flat_map(|wrapper| list(&schema[*wrapper])));
        if let Some(reference) = schema["$ref"].as_str().filter(|text| seen.insert(*text)) {
            open.extend(definitions.get(reference));
        }
    }
    found
}
