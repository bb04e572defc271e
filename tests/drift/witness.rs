//! Generates values from one schema and has the `jsonschema` crate judge them by another.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use crate::support::nullable_as_type;

/// A value that `from` generates and `to` does not allow, if a hundred tries find one.
pub fn counterexample(from: &Value, mut to: Value) -> Option<Value> {
    if !is_followed(from) {
        return None;
    }
    nullable_as_type(&mut to);
    let to = jsonschema::options().should_validate_formats(true).build(&to).ok()?;
    let mut runner = TestRunner::deterministic();
    let values = value(from);
    (0..100)
        .map(|_| values.new_tree(&mut runner).unwrap().current())
        .find(|value| !to.is_valid(value))
}

/// Whether `value` generates only what the schema allows. `oneOf` it takes for `anyOf`, which is the
/// same where the alternatives have nothing in common.
fn is_followed(schema: &Value) -> bool {
    let Value::Object(object) = schema else { return true };
    let alternatives = ["anyOf", "oneOf"].iter().any(|key| object.contains_key(*key));
    let unknown = ["allOf", "not", "if", "pattern"].iter().any(|key| object.contains_key(*key));
    let nested = object.values().flat_map(|value| value.as_array().into_iter().flatten());
    !unknown
        && (!alternatives || object.len() == 1)
        && object.values().chain(nested).all(is_followed)
}

/// Values that the schema allows, many of them at its bounds.
fn value(schema: &Value) -> BoxedStrategy<Value> {
    let mut choices = vec![plain(schema)];
    if schema["nullable"] == json!(true) {
        choices.push(Just(Value::Null).boxed());
    }
    for wrapper in ["anyOf", "oneOf"] {
        if let Some(members) = schema[wrapper].as_array() {
            choices = members.iter().map(value).collect();
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
            Just(json!("2027-01-01T00:00:00Z")).boxed()
        }
        Some("string") if schema["format"] == "date" => Just(json!("2027-01-01")).boxed(),
        Some("string") => {
            sizes("minLength", "maxLength", 700).prop_map(|n| json!("x".repeat(n))).boxed()
        }
        Some("integer") => any::<i32>().prop_map(|n| json!(n)).boxed(),
        Some("number") => {
            let low = schema["minimum"].as_f64().unwrap_or(-1e9);
            prop_oneof![Just(low), low..low + 1e9].prop_map(|n| json!(n)).boxed()
        }
        Some("boolean") => any::<bool>().prop_map(|b| json!(b)).boxed(),
        Some("array") => {
            let items = value(&schema["items"]);
            sizes("minItems", "maxItems", 12)
                .prop_flat_map(move |n| prop::collection::vec(items.clone(), n))
                .prop_map(Value::Array)
                .boxed()
        }
        Some("object") => object(schema),
        _ => prop::sample::select(vec![json!(null), json!(1), json!("x"), json!([]), json!({})])
            .boxed(),
    }
}

fn object(schema: &Value) -> BoxedStrategy<Value> {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let named = properties.map(|(name, schema)| {
        let present = prop::bool::weighted(if required.contains(&json!(name)) { 1.0 } else { 0.5 });
        (Just(name.clone()), present, value(schema)).boxed()
    });
    let others = match &schema["additionalProperties"] {
        Value::Bool(false) => Just(Vec::new()).boxed(),
        others => prop::collection::vec(("other[0-9]{1,2}", value(others)), 0..15).boxed(),
    };
    (named.collect::<Vec<_>>(), others)
        .prop_map(|(named, others)| {
            let named = named.into_iter().filter(|(_, present, _)| *present);
            let named = named.map(|(name, _, value)| (name, value));
            Value::Object(named.chain(others).collect::<Map<_, _>>())
        })
        .boxed()
}
