//! How much of the vendor's document a comparison with ours needs.

use serde_json::Value;

/// How much of a part or a schema is read. Some documents refer to themselves so often that a whole
/// operation does not fit into memory.
#[derive(Clone, Copy)]
pub enum Need<'a> {
    All,
    /// Only what this part of ours has too.
    Part(&'a Value, Side),
    /// Only what matters for values of this schema of ours.
    Schema(&'a Value, Side),
    Nothing,
}

/// Whether we send the values of a schema, or read them.
#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    Request,
    Response,
}

impl<'a> Need<'a> {
    /// The need for the value under this key of a part.
    pub fn of_part(self, key: &str) -> Self {
        match self {
            Need::Part(ours, side) => match (key, ours.get(key)) {
                ("schema", Some(schema)) => Need::Schema(schema, side),
                (_, Some(part)) => Need::Part(part, side),
                ("content", None) => Need::Nothing,
                (_, None) => Need::All,
            },
            need => need,
        }
    }

    pub fn of_property(self, name: &str) -> Self {
        match self {
            Need::Schema(ours, side) if is_plain(ours) => match ours["properties"].get(name) {
                Some(schema) => Need::Schema(schema, side),
                None => self.of_others(),
            },
            need => need.or_all(),
        }
    }

    /// The need for the other side's schema of additional properties. Some of them may have their own
    /// schema here.
    pub fn of_rest(self) -> Self {
        match self {
            Need::Schema(ours, _) if is_plain(ours) && ours["properties"].is_null() => {
                self.of_others()
            }
            need => need.or_all(),
        }
    }

    /// The need for properties without their own schema.
    fn of_others(self) -> Self {
        match self {
            Need::Schema(ours, side) if is_plain(ours) => {
                match (ours.get("additionalProperties"), side) {
                    (Some(Value::Bool(false)), _) => Need::Nothing,
                    (Some(schema @ Value::Object(_)), _) => Need::Schema(schema, side),
                    (_, Side::Request) => Need::All,
                    (_, Side::Response) => Need::Nothing,
                }
            }
            need => need.or_all(),
        }
    }

    pub fn of_items(self) -> Self {
        match self {
            Need::Schema(ours, side) if is_plain(ours) => match (ours.get("items"), side) {
                (Some(schema), _) => Need::Schema(schema, side),
                (None, Side::Request) => Need::All,
                (None, Side::Response) => Need::Nothing,
            },
            need => need.or_all(),
        }
    }

    fn or_all(self) -> Self {
        match self {
            Need::Nothing => Need::Nothing,
            _ => Need::All,
        }
    }
}

/// Whether a schema describes properties only by `properties`.
fn is_plain(schema: &Value) -> bool {
    let others = ["allOf", "anyOf", "oneOf", "patternProperties", "$ref"];
    schema.is_object() && others.iter().all(|key| schema.get(key).is_none())
}
