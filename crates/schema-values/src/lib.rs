//! Random values that a JSON Schema allows, and a validator for the schemas of OpenAPI 3.0.

pub mod values;

use proptest::prelude::*;
use serde_json::{Value, json};

/// A validator for a schema of OpenAPI 3.0, if it is one.
pub fn validator(mut schema: Value) -> Option<jsonschema::Validator> {
    nullable_as_type(&mut schema);
    jsonschema::options().should_validate_formats(true).build(&schema).ok()
}

/// Converts `nullable` of OpenAPI 3.0 to the type `null` of JSON Schema.
pub fn nullable_as_type(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.remove("nullable") == Some(Value::Bool(true)) && object.contains_key("type") {
                object["type"] = json!([object["type"], "null"]);
            }
            object.values_mut().for_each(nullable_as_type);
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(nullable_as_type),
        _ => {}
    }
}

/// A string of exactly this number of characters, of one to four bytes each.
pub fn text(length: impl Strategy<Value = usize>) -> impl Strategy<Value = String> {
    let character = prop::sample::select(vec!['a', 'Z', '0', '_', '"', '\n', 'é', '€', '👋']);
    (length, prop::collection::vec(character, 1..9))
        .prop_map(|(length, characters)| characters.into_iter().cycle().take(length).collect())
}

pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

pub fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(".{0,8}", any_json(), 0..4).prop_map(|map| json!(map))
}
