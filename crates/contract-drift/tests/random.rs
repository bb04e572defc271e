//! Random pairs of schemas: where the check finds no break, another implementation of JSON Schema
//! finds no value that breaks.

use contract_drift::{Document, Options, Spec, check};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use schema_values::{validator, values};
use serde_json::{Map, Value, json};

/// Schemas of OpenAPI 3.0 with small bounds, so that pairs often differ by one.
fn schemas() -> impl Strategy<Value = Value> {
    let bound = || prop::option::of(0..3u8);
    let leaf = prop_oneof![
        (bound(), bound(), any::<bool>()).prop_map(|(min, max, nullable)| {
            schema("string", [("minLength", min), ("maxLength", max)], nullable)
        }),
        (bound(), bound(), any::<bool>(), any::<bool>()).prop_map(
            |(min, max, strict, nullable)| {
                let mut schema = schema("number", [("minimum", min), ("maximum", max)], nullable);
                if strict && min.is_some() {
                    schema["exclusiveMinimum"] = true.into();
                }
                schema
            }
        ),
        bound().prop_map(|min| schema("integer", [("minimum", min), ("maximum", None)], false)),
        prop::sample::subsequence(vec!["a", "b", "c"], 1..=3)
            .prop_map(|values| json!({ "type": "string", "enum": values })),
        Just(json!({ "type": "boolean" })),
        Just(json!({ "type": "integer", "format": "int32" })),
        prop::sample::select(vec![json!(0.5), json!(1), json!(1.5)])
            .prop_map(|step| json!({ "type": "number", "multipleOf": step })),
        prop::sample::subsequence(vec![json!("a"), json!(1), json!(1.5), json!(true)], 1..=3)
            .prop_map(|values| json!({ "enum": values })),
        Just(json!({})),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let names = || prop::sample::subsequence(vec!["a", "b", "c"], 0..=3);
        let properties = prop::collection::btree_map("[abc]", inner.clone(), 0..3);
        let others = prop_oneof![
            Just(Value::Null),
            Just(json!(false)),
            inner.clone().prop_filter("a schema", |schema| *schema != json!({})),
        ];
        prop_oneof![
            4 => (properties, names(), others, bound()).prop_map(|(properties, names, others, max)| {
                let mut schema = schema("object", [("maxProperties", max), ("", None)], false);
                schema["properties"] = json!(properties);
                schema["required"] = json!(names);
                if !others.is_null() {
                    schema["additionalProperties"] = others;
                }
                schema
            }),
            1 => (inner.clone(), bound(), bound()).prop_map(|(items, min, max)| {
                let mut schema = schema("array", [("minItems", min), ("maxItems", max)], false);
                schema["items"] = items;
                schema
            }),
            1 => (prop::sample::select(vec!["allOf", "anyOf", "oneOf"]),
                prop::collection::vec(inner, 1..3)).prop_map(|(key, all)| json!({ key: all })),
        ]
    })
}

fn schema(kind: &str, bounds: [(&str, Option<u8>); 2], nullable: bool) -> Value {
    let mut schema = json!({ "type": kind });
    for (keyword, bound) in bounds {
        if let Some(bound) = bound {
            schema[keyword] = bound.into();
        }
    }
    if nullable {
        schema["nullable"] = true.into();
    }
    schema
}

/// The same schema with something left out or replaced, at a random place.
fn changed(schema: Value, choices: &[u8], other: &Value) -> Value {
    let (Value::Object(keywords), Some((choice, rest))) = (&schema, choices.split_first()) else {
        return schema;
    };
    let keys: Vec<_> = keywords.keys().filter(|key| *key != "type").cloned().collect();
    let Some(key) = keys.get(usize::from(*choice) % (keys.len() + 1)) else { return other.clone() };
    let mut kept: Map<_, _> = keywords.clone();
    match &mut kept[key] {
        Value::Object(inner) if key == "properties" && !inner.is_empty() => {
            let count = inner.len();
            if let Some((_, property)) = inner.iter_mut().nth(usize::from(*choice) % count) {
                *property = changed(property.take(), rest, other);
            }
        }
        inner @ Value::Object(_) if key != "properties" => {
            *inner = changed(inner.take(), rest, other);
        }
        Value::Array(members) if key != "required" && key != "enum" => {
            let i = usize::from(*choice) % members.len();
            members[i] = changed(members[i].take(), rest, other);
        }
        Value::Array(items) if !items.is_empty() && (key == "required" || items.len() > 1) => {
            items.remove(usize::from(*choice) % items.len());
        }
        _ => drop(kept.remove(key)),
    }
    kept.into()
}

/// A document with the schema in its request or in its response.
fn document(request: bool, schema: &Value) -> Document {
    let body = json!({ "content": { "application/json": { "schema": schema } } });
    let operation = match request {
        true => json!({ "requestBody": body, "responses": { "200": { "description": "x" } } }),
        false => json!({ "responses": { "200": body } }),
    };
    Document::new(json!({ "openapi": "3.0.0", "paths": { "/a": { "post": operation } } })).unwrap()
}

#[test]
fn no_break_is_missed_between_random_schemas() {
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let pairs = (schemas(), schemas(), prop::collection::vec(any::<u8>(), 1..5), any::<bool>());
    let pairs = pairs.prop_flat_map(|(a, other, choices, is_first)| {
        let b = changed(a.clone(), &choices, &other);
        let (a, b) = if is_first { (a, b) } else { (b, a) };
        let sample = prop::collection::vec(values::of(&a), 10);
        (Just(a), Just(b), sample)
    });
    let agreeing = std::cell::Cell::new(0);
    runner
        .run(&pairs, |(a, b, sample)| {
            // Both directions are checked, because they need different parts of a document.
            let agrees = [true, false].map(|request| {
                let (ours, theirs) = if request { (&a, &b) } else { (&b, &a) };
                let ours = Spec::new(document(request, ours)).unwrap();
                check(&ours, &document(request, theirs), &Options::default()).is_empty()
            });
            if agrees == [false, false] {
                return Ok(());
            }
            agreeing.set(agreeing.get() + 1);
            let (Some(allowed), Some(taken)) = (validator(a.clone()), validator(b.clone())) else {
                return Ok(());
            };
            let breaking = sample.iter().find(|v| allowed.is_valid(v) && !taken.is_valid(v));
            if let Some(value) = breaking {
                let text = format!("{agrees:?}: {value} fits {a}, not {b}");
                return Err(TestCaseError::fail(text));
            }
            Ok(())
        })
        .unwrap();
    assert!(agreeing.get() > 100, "{} pairs agree", agreeing.get());
}

/// A document with an example of each part that is read.
fn full_document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": { "version": "1" },
        "servers": [{ "url": "https://{a}", "variables": { "a": { "default": "b", "enum": ["b"] } } }],
        "security": [{ "s": ["x"] }],
        "paths": { "/a/{b}": {
            "parameters": [{ "in": "path", "name": "b", "required": true, "schema": { "type": "string" } }],
            "post": {
                "parameters": [{ "in": "query", "name": "c", "style": "form", "schema": { "type": "array" } }],
                "requestBody": { "required": true, "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/T" },
                } } },
                "responses": {
                    "200": { "content": { "application/json": { "schema": {
                        "allOf": [{ "$ref": "#/components/schemas/T" }, { "required": ["n"] }],
                        "unevaluatedProperties": false,
                    } } } },
                    "default": { "description": "x" },
                },
            },
        } },
        "components": {
            "securitySchemes": { "s": { "type": "oauth2", "flows": { "password": { "tokenUrl": "u" } } } },
            "schemas": { "T": {
                "type": ["object", "null"],
                "required": ["n"],
                "properties": {
                    "n": { "type": "integer", "minimum": 1, "exclusiveMaximum": 9, "multipleOf": 1 },
                    "e": { "oneOf": [{ "const": "a" }, { "enum": ["b", 1] }] },
                    "t": { "type": "array", "items": { "$ref": "#/components/schemas/T" }, "maxItems": 3 },
                },
                "patternProperties": { "^x": { "type": "string", "maxLength": 3, "readOnly": true } },
                "additionalProperties": false,
            } },
        },
    })
}

/// The pointers of all values within a value.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let mut found = vec![at.to_owned()];
    let below = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(keys) => {
            found.extend(keys.iter().flat_map(|(key, value)| pointers(value, &below(key))));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            found.extend(items.flat_map(|(i, value)| pointers(value, &below(&i.to_string()))));
        }
        _ => {}
    }
    found
}

#[test]
fn damaged_documents_cause_no_panic() {
    let whole = full_document();
    let check = |ours: &Value, theirs: &Value| -> Result<usize, contract_drift::Error> {
        let ours = Spec::new(Document::new(ours.clone())?)?;
        let theirs = Document::new(theirs.clone())?;
        Ok(check(&ours, &theirs, &Options::default()).len())
    };
    assert_eq!(check(&whole, &whole), Ok(0));
    let junk = [
        json!(null),
        json!(1e300),
        json!("#/components/schemas/T"),
        json!([{}]),
        json!({ "$ref": "#/components/schemas/T" }),
        json!({ "$ref": "#" }),
    ];
    for pointer in pointers(&whole, "") {
        for junk in &junk {
            let mut damaged = whole.clone();
            *damaged.pointer_mut(&pointer).unwrap() = junk.clone();
            let _ = check(&damaged, &whole);
            let _ = check(&whole, &damaged);
        }
    }
}
