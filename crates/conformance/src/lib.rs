//! What the conformance tests share: the vendor's schemas, and values that schemas allow.

pub mod values;

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

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

/// A validator for a schema of OpenAPI 3.0, if it is one.
pub fn validator(mut schema: Value) -> Option<jsonschema::Validator> {
    nullable_as_type(&mut schema);
    jsonschema::options().should_validate_formats(true).build(&schema).ok()
}

/// OpenAPI 3.0 says `nullable`, JSON Schema another type.
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

/// A string of exactly so many characters, of one to four bytes each.
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

/// Bodies of an operation, in and around its contract: each property mostly legal, at its bounds, now
/// and then not.
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
