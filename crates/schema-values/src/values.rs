//! Values that a schema allows.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{any_json, text};

/// Values that the schema allows, many of them at its bounds.
pub fn of(schema: &Value) -> BoxedStrategy<Value> {
    let mut choices = vec![plain(schema)];
    if schema["nullable"] == json!(true) {
        choices.push(Just(Value::Null).boxed());
    }
    for wrapper in ["anyOf", "oneOf"] {
        if let Some(members) = schema[wrapper].as_array() {
            choices = members.iter().map(of).collect();
        }
    }
    prop::strategy::Union::new(choices).boxed()
}

fn plain(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(values) = schema["enum"].as_array() {
        return prop::sample::select(values.clone()).boxed();
    }
    let bound = |keyword: &str| schema[keyword].as_u64().map(|bound| bound as usize);
    let sizes = |low: &str, high: &str, spread: usize| {
        let low = bound(low).unwrap_or(0);
        let high = bound(high).unwrap_or(low + spread).max(low);
        prop_oneof![Just(low), Just(high), low..=high.min(low + spread)]
    };
    match schema["type"].as_str() {
        Some("string") if schema["format"] == "date-time" => {
            date_time().prop_map(Value::from).boxed()
        }
        // The spec has only one pattern: a date and time of 24 to 28 characters.
        Some("string") if schema["pattern"].is_string() => {
            "[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9][.][0-9]{3,7}Z"
                .prop_map(Value::from)
                .boxed()
        }
        Some("string") if schema["format"] == "date" => Just(json!("2027-01-01")).boxed(),
        Some("string") => text(sizes("minLength", "maxLength", 700)).prop_map(Value::from).boxed(),
        Some("integer") => any::<i32>().prop_map(|n| json!(n)).boxed(),
        Some("number") => {
            let low = schema["minimum"].as_f64().unwrap_or(-1e9);
            prop_oneof![Just(low), low..low + 1e9].prop_map(|n| json!(n)).boxed()
        }
        Some("boolean") => any::<bool>().prop_map(|b| json!(b)).boxed(),
        Some("array") => {
            let items = of(&schema["items"]);
            sizes("minItems", "maxItems", 12)
                .prop_flat_map(move |n| prop::collection::vec(items.clone(), n))
                .prop_map(Value::Array)
                .boxed()
        }
        Some("object") => object(schema),
        _ => any_json().boxed(),
    }
}

fn date_time() -> impl Strategy<Value = String> {
    let day = "[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])";
    let time = "[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,12})?";
    let offset = "([Zz]|[+-](0[0-9]|1[0-3]):[0-5][0-9])";
    (day, time, offset).prop_map(|(day, time, offset)| day + &time + &offset)
}

fn object(schema: &Value) -> BoxedStrategy<Value> {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let named = schema["properties"].as_object().into_iter().flatten().map(|(name, schema)| {
        let share = if required.contains(&json!(name)) { 1.0 } else { 0.5 };
        (name.clone(), share, of(schema))
    });
    let others = match &schema["additionalProperties"] {
        Value::Bool(false) => Just(Vec::new()).boxed(),
        others => prop::collection::vec(("other.{0,4}", of(others)), 0..15).boxed(),
    };
    (properties(named.collect()), others)
        .prop_map(|(named, others)| Value::Object(named.into_iter().chain(others).collect()))
        .boxed()
}

/// An object's properties, and the share of objects that have each.
pub fn properties(
    all: Vec<(String, f64, BoxedStrategy<Value>)>,
) -> impl Strategy<Value = Map<String, Value>> {
    let one = |(name, share, value)| {
        // A required property has to stay when proptest shrinks a failure.
        let always = Just(true).boxed();
        let is_there = if share < 1.0 { prop::bool::weighted(share).boxed() } else { always };
        (Just(name), is_there, value)
    };
    all.into_iter().map(one).collect::<Vec<_>>().prop_map(|all| {
        let there = all.into_iter().filter(|(_, is_there, _)| *is_there);
        there.map(|(name, _, value)| (name, value)).collect()
    })
}
