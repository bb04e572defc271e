//! The part of a contract that TypeScript's types express: properties and their JSON types, literals, and
//! what can be missing or null. They have no bounds except those of lists (as tuples), no formats, no servers,
//! no security and no errors.

use serde_json::{Value, json};

use crate::normal::ANNOUNCEMENTS;

/// Keywords that types cannot express.
const UNKNOWN_TO_TYPES: [&str; 17] = [
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "format",
    "pattern",
    "multipleOf",
    "uniqueItems",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "discriminator",
];

/// The part of a contract that `types`, a contract made from types, can express. The client sends parameters
/// that the types leave out by itself.
pub fn view(contract: &Value, types: &Value) -> Value {
    let json = |part: &Value| {
        let schema = shape(&part["content"]["application/json"]["schema"]);
        json!({ "content": { "application/json": { "schema": schema } } })
    };
    let parameters = contract["parameters"].as_object().into_iter().flatten();
    let parameters = parameters.filter(|(name, _)| !types["parameters"][name].is_null());
    let parameters = parameters.map(|(name, parameter)| {
        let mut parameter = parameter.clone();
        parameter["schema"] = shape(&parameter["schema"]);
        (name.clone(), parameter)
    });
    let mut view = json!({
        "parameters": parameters.collect::<Value>(),
        "responses": { "200": json(&contract["responses"]["200"]) },
    });
    if let Some(definitions) = contract["definitions"].as_object() {
        let shapes = definitions.iter().map(|(key, schema)| (key.clone(), shape(schema)));
        view["definitions"] = shapes.collect();
    }
    if !contract["requestBody"].is_null() {
        view["requestBody"] = json(&contract["requestBody"]);
    }
    view
}

fn shape(schema: &Value) -> Value {
    let Value::Object(keywords) = schema else { return schema.clone() };
    let kept = keywords.iter().filter(|(keyword, _)| {
        let keyword = keyword.as_str();
        !UNKNOWN_TO_TYPES.contains(&keyword) && !ANNOUNCEMENTS.contains(&keyword)
    });
    let each = |members: &Value| members.as_array().into_iter().flatten().map(shape).collect();
    kept.map(|(keyword, value)| match (keyword.as_str(), value) {
        ("properties", Value::Object(properties)) => {
            let properties = properties.iter().map(|(name, schema)| (name.clone(), shape(schema)));
            (keyword.clone(), properties.collect())
        }
        ("items" | "additionalProperties", schema) => (keyword.clone(), shape(schema)),
        ("allOf", members) => (keyword.clone(), each(members)),
        ("anyOf" | "oneOf", members) => ("anyOf".into(), each(members)),
        ("type", kind) if kind == "integer" => (keyword.clone(), json!("number")),
        _ => (keyword.clone(), value.clone()),
    })
    .collect()
}
