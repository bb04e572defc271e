//! What the conformance tests share: the vendor's schemas, and values that schemas allow.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

pub use schema_values::{any_json, nullable_as_type, object, text, validator, values};

/// The schema of a part of the vendor's contract of some version: `getOrCreateUser/responses/200`.
pub fn schema(version: &str, part: &str) -> Value {
    let file = fs::read_to_string(format!("../../spec/vendor/{version}.json")).unwrap();
    let contracts: Value = serde_json::from_str(&file).unwrap();
    contracts.pointer(&format!("/{part}/content/application~1json/schema")).unwrap().clone()
}

/// A validator for it, by the `jsonschema` crate.
pub fn vendor(version: &str, part: &str) -> jsonschema::Validator {
    validator(schema(version, part)).unwrap()
}

/// Bodies of an operation, in and around its contract: most properties are legal, some are at their
/// bounds, and a few are illegal.
pub fn bodies(operation: &str) -> impl Strategy<Value = Value> + use<> {
    const REQUIRED: f64 = 0.99;
    const OPTIONAL: f64 = 0.5;
    let string = |max: usize| prop_oneof![8 => text(0..=4usize), 1 => text(max - 1..=max + 1)];
    let up_to = |max: usize| string(max).prop_map(Value::from).boxed();
    let tags = prop::collection::btree_map("[a-c]{1,2}", string(500), 0..4);
    let names = prop::collection::vec(prop_oneof![8 => "[a-c]{1,2}", 1 => string(500)], 0..3);
    let mut all = vec![
        ("tags", REQUIRED, tags.prop_map(|map| json!(map)).boxed()),
        ("discriminateByTags", OPTIONAL, names.prop_map(|names| json!(names)).boxed()),
        ("other", 0.05, any_json().boxed()),
    ];
    all.extend(match operation {
        "getOrCreateMessage" => {
            let id = || prop_oneof![8 => text(28..=36usize), 1 => text(26..=38usize)];
            let id = || id().prop_map(Value::from).boxed();
            vec![
                ("conversationId", REQUIRED, id()),
                ("userId", REQUIRED, id()),
                ("type", REQUIRED, up_to(200)),
                ("payload", REQUIRED, object().boxed()),
                ("schedule", OPTIONAL, schedule().boxed()),
                ("origin", OPTIONAL, Just(json!("synthetic")).boxed()),
            ]
        }
        "getOrCreateUser" => vec![
            ("name", OPTIONAL, up_to(200)),
            ("pictureUrl", OPTIONAL, up_to(40_000)),
            ("integrationName", OPTIONAL, up_to(200)),
        ],
        "getOrCreateConversation" => {
            vec![("channel", REQUIRED, up_to(200)), ("integrationName", OPTIONAL, up_to(200))]
        }
        other => panic!("no bodies of {other}"),
    });
    let mostly = |(name, share, good): (&str, f64, BoxedStrategy<Value>)| {
        (name.to_owned(), share, prop_oneof![40 => good, 1 => any_json()].boxed())
    };
    values::properties(all.into_iter().map(mostly).collect()).prop_map(Value::Object)
}

fn schedule() -> impl Strategy<Value = Value> {
    let date = prop::sample::select(vec![
        "2027-01-01T00:00:00.000Z",
        "2027-01-01T00:00:00.0000000Z",
        "2027-01-01T01:00:00+01:00",
        "2027-01-01T00:00:00.0000",
        "2027-01-01T00:00:00Z",
        "2027-01-01T00:00:00.000000000Z",
        "2027-13-01T00:00:00.000Z",
        "twenty-four characters..",
    ]);
    prop_oneof![
        date.clone().prop_map(|date| json!({ "dateTime": date })),
        any::<f64>().prop_map(|delay| json!({ "delay": delay })),
        (0..3i64).prop_map(|delay| json!({ "delay": delay - 1 })),
        date.prop_map(|date| json!({ "dateTime": date, "delay": 1 })),
        Just(json!({})),
    ]
}
