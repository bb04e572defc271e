//! Schemas of OpenAPI 3.1 in the form of 3.0.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use crate::decimal::Decimal;
use crate::normal::sorted;

/// Converts the keywords of an OpenAPI 3.1 schema to their form in 3.0. A keyword without one stays, and the
/// rules do not understand it.
pub fn in_3_0(schema: &mut Map<String, Value>) {
    // These forms have a meaning only in 3.0.
    for keyword in ["nullable", "exclusiveMinimum", "exclusiveMaximum"] {
        if schema.get(keyword) == Some(&json!(true)) {
            schema.insert(keyword.into(), json!("not of OpenAPI 3.1"));
        }
    }
    if !schema.contains_key("enum")
        && let Some(value) = schema.remove("const")
    {
        schema.insert("enum".into(), json!([value]));
    }
    if let Some(Value::Array(types)) = schema.get("type") {
        let types = types.clone();
        let (null, others): (Vec<_>, Vec<_>) = types.iter().partition(|kind| **kind == "null");
        if !null.is_empty() && !others.is_empty() {
            schema.insert("nullable".into(), json!(true));
        }
        match others.as_slice() {
            [] => {}
            [only] => drop(schema.insert("type".into(), (*only).clone())),
            several => {
                let alternatives = several.iter().map(|kind| {
                    let mut alternative = schema.clone();
                    alternative.insert("type".into(), (*kind).clone());
                    Value::Object(alternative)
                });
                let alternatives = sorted(&alternatives.collect());
                schema.clear();
                schema.insert("anyOf".into(), alternatives);
                return;
            }
        }
    }
    if schema.get("type") == Some(&json!("null")) && !schema.contains_key("enum") {
        schema.remove("type");
        schema.insert("enum".into(), json!([null]));
    }
    for (keyword, exclusive, tighter) in [
        ("minimum", "exclusiveMinimum", Ordering::Greater),
        ("maximum", "exclusiveMaximum", Ordering::Less),
    ] {
        let Some(strict) = schema.get(exclusive).and_then(Decimal::of) else { continue };
        let is_tighter = |loose: &Value| {
            let order = Decimal::of(loose).and_then(|loose| strict.partial_cmp(&loose));
            order.is_some_and(|order| order == Ordering::Equal || order == tighter)
        };
        if schema.get(keyword).is_none_or(is_tighter) {
            let bound = schema.insert(exclusive.into(), json!(true)).unwrap_or_default();
            schema.insert(keyword.into(), bound);
        } else {
            schema.remove(exclusive);
        }
    }
    // "One schema or null" becomes that schema, nullable.
    for wrapper in ["anyOf", "oneOf"] {
        let Some(Value::Array(members)) = schema.get(wrapper) else { continue };
        let null = json!({ "enum": [null] });
        let others: Vec<_> = members.iter().filter(|member| **member != null).collect();
        if let ([Value::Object(only)], 1, 2) = (others.as_slice(), schema.len(), members.len())
            && only.get("type").is_some_and(Value::is_string)
            && !["allOf", "anyOf", "oneOf", "nullable"].iter().any(|key| only.contains_key(*key))
        {
            let mut whole = only.clone();
            whole.insert("nullable".into(), json!(true));
            if let Some(Value::Array(values)) = whole.get_mut("enum") {
                values.push(Value::Null);
                values.sort_by_key(Value::to_string);
            }
            *schema = whole;
        }
    }
}
