//! Generates values from one schema, and checks them against another with the `jsonschema` crate.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;

use schema_values::{validator, values};

/// A value that `from` generates and `to` does not allow, if a hundred tries find one.
pub fn counterexample(from: &Value, to: Value) -> Option<Value> {
    if !is_followed(from) {
        return None;
    }
    let to = validator(to)?;
    let mut runner = TestRunner::deterministic();
    let values = values::of(from);
    (0..100)
        .map(|_| values.new_tree(&mut runner).unwrap().current())
        .find(|value| !to.is_valid(value))
}

/// Whether `values::of` generates only what the schema allows. It treats `oneOf` like `anyOf`, which is the
/// same if no value fits two alternatives.
fn is_followed(schema: &Value) -> bool {
    let Value::Object(object) = schema else { return true };
    let alternatives = ["anyOf", "oneOf"].iter().any(|key| object.contains_key(*key));
    let unknown = ["allOf", "not", "if", "$ref"].iter().any(|key| object.contains_key(*key));
    let nested = object.values().flat_map(|value| value.as_array().into_iter().flatten());
    !unknown
        && (!alternatives || object.len() == 1)
        && object.values().chain(nested).all(is_followed)
}
