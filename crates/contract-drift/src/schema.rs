//! Whether every value that one schema allows is allowed by another.
//!
//! It is decided from the schemas alone and fails closed: a keyword that the rules do not know, and
//! what they cannot prove, is a difference.

use std::collections::BTreeSet;

use regress::Regex;
use serde_json::{Map, Value, json};

use crate::finding::{Code, Difference, Place};
use crate::normal::{ANNOUNCEMENTS, entries, list};

const BOUNDS: [&str; 8] = [
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
];

/// Whether the rules below know this keyword in this form.
fn understood(keyword: &str, value: &Value) -> bool {
    match keyword {
        "type" | "format" | "pattern" => value.is_string(),
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
        | "minimum" | "maximum" | "multipleOf" => value.is_number(),
        "nullable" | "deprecated" | "readOnly" | "writeOnly" | "uniqueItems"
        | "exclusiveMinimum" | "exclusiveMaximum" => value.is_boolean(),
        "required" | "enum" => value.is_array(),
        "allOf" | "anyOf" | "oneOf" => value.as_array().is_some_and(|members| !members.is_empty()),
        "properties" | "discriminator" => value.is_object(),
        "patternProperties" => {
            value.is_object() && entries(value).all(|(pattern, _)| Regex::new(pattern).is_ok())
        }
        "items" | "additionalProperties" => value.is_boolean() || value.is_object(),
        keyword => keyword == "default" || ANNOUNCEMENTS.contains(&keyword),
    }
}

/// Keywords that no rule covers, and that allow fewer values. Of what is sent, they can be left out.
const NARROWING: [&str; 9] = [
    "not",
    "contains",
    "minContains",
    "maxContains",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedProperties",
    "unevaluatedItems",
];

/// Whether a schema allows every value.
fn says_nothing(schema: &Map<String, Value>) -> bool {
    let annotations = ["default", "deprecated", "discriminator"];
    schema
        .keys()
        .all(|key| annotations.contains(&key.as_str()) || ANNOUNCEMENTS.contains(&key.as_str()))
}

/// A side of a comparison: whose values they are, and which properties are never sent.
#[derive(Clone, Copy)]
pub enum Role {
    RequestSender,
    RequestReader,
    ResponseSender,
    ResponseReader,
}

/// A schema as it counts in this role: read-only properties are not sent in requests, and write-only
/// ones not in responses, so they are not required there either.
pub fn in_role(schema: &Value, role: Role) -> Value {
    let Value::Object(keywords) = schema else { return schema.clone() };
    let unsent = match role {
        Role::RequestSender | Role::RequestReader => "readOnly",
        Role::ResponseSender | Role::ResponseReader => "writeOnly",
    };
    let is_sender = matches!(role, Role::RequestSender | Role::ResponseSender);
    let is_unsent = |name: &str| is_marked(&schema["properties"][name], unsent);
    let mut kept = Map::new();
    for (keyword, value) in keywords {
        let value = match (keyword.as_str(), value) {
            // Only a reader of requests rejects what should not be sent.
            ("readOnly", _) if matches!(role, Role::RequestReader) => value.clone(),
            ("readOnly" | "writeOnly", _) => continue,
            ("properties", Value::Object(properties)) => {
                let properties = properties.iter().map(|(name, property)| {
                    let is_sent = !(is_sender && is_unsent(name));
                    (name.clone(), if is_sent { in_role(property, role) } else { false.into() })
                });
                properties.collect()
            }
            ("required", Value::Array(names)) => {
                names.iter().filter(|name| !name.as_str().is_some_and(is_unsent)).cloned().collect()
            }
            ("patternProperties", Value::Object(patterns)) => {
                let patterns =
                    patterns.iter().map(|(key, schema)| (key.clone(), in_role(schema, role)));
                patterns.collect()
            }
            ("items" | "additionalProperties", schema) => in_role(schema, role),
            ("allOf" | "anyOf" | "oneOf", Value::Array(members)) => {
                members.iter().map(|member| in_role(member, role)).collect()
            }
            _ => value.clone(),
        };
        kept.insert(keyword.clone(), value);
    }
    kept.into()
}

/// Whether a schema refers to one that contains it, which may be another one on the other side.
fn is_cut(schema: &Value) -> bool {
    match schema {
        Value::Object(keywords) => {
            keywords.iter().any(|(key, value)| key == "$ref" || is_cut(value))
        }
        Value::Array(items) => items.iter().any(is_cut),
        _ => false,
    }
}

fn is_marked(schema: &Value, mark: &str) -> bool {
    schema[mark] == true || list(&schema["allOf"]).any(|member| is_marked(member, mark))
}

/// Why not every value that `a` allows is allowed by `b`; nothing if it is.
pub fn subset(a: &Value, b: &Value, at: &Place) -> Vec<Difference> {
    let one = |code, text: &str| vec![Difference::new(code, at, text)];
    let (a_keys, b_keys) = match (a, b) {
        (Value::Bool(false), Value::Object(_) | Value::Bool(false)) => return Vec::new(),
        (Value::Object(_), Value::Bool(false)) => {
            return one(Code::PropertyForbidden, "no value is allowed");
        }
        (Value::Object(a), Value::Object(b)) => (a, b),
        _ => return one(Code::SchemaMissing, "one side has no schema for it"),
    };
    if says_nothing(b_keys) || (a == b && !is_cut(a)) {
        return Vec::new();
    }
    let is_narrowing = |key: &str| NARROWING.contains(&key) && !b_keys.contains_key(key);
    let unknown =
        a_keys.iter().filter(|(key, value)| !understood(key, value) && !is_narrowing(key));
    let unknown =
        unknown.chain(b_keys.iter().filter(|(key, value)| !understood(key, value))).next();
    if let Some((key, _)) = unknown {
        let text = match key.as_str() {
            "$ref" => "refers to a schema that contains it, which is not understood".into(),
            key => format!("`{key}` is not understood"),
        };
        return one(Code::NotUnderstood, &text);
    }
    if b["readOnly"] == json!(true) {
        return one(Code::ReadOnly, "is read-only");
    }

    // Each of a's alternatives has to fit, together with what stands beside them.
    for wrapper in ["anyOf", "oneOf"] {
        if a_keys.contains_key(wrapper) {
            let mut whole = without(a_keys, &[wrapper]);
            let members: Vec<_> = list(&a["allOf"]).cloned().collect();
            let fit = |alternative: &Value| {
                whole["allOf"] = [members.clone(), vec![alternative.clone()]].concat().into();
                subset(&whole, b, at)
            };
            return list(&a[wrapper]).flat_map(fit).collect();
        }
    }
    let rest = without(a_keys, &["allOf"]);
    let whole = merged(list(&a["allOf"]).chain([&rest]));
    // All of b's members have to hold, any of its alternatives may, but only one of `oneOf`.
    let mut found = Vec::new();
    let fits = |b: &&Value| subset(a, b, at).is_empty();
    found.extend(list(&b["allOf"]).flat_map(|member| subset(a, member, at)));
    if b_keys.contains_key("anyOf") && !list(&b["anyOf"]).any(|b| fits(&b)) {
        found.extend(one(Code::AnyOf, "fits none of `anyOf` as a whole"));
    }
    if b_keys.contains_key("oneOf") {
        let (fitting, others): (Vec<_>, Vec<_>) = list(&b["oneOf"]).partition(fits);
        if fitting.len() != 1 || !others.iter().all(|other| disjoint(&whole, other)) {
            found.extend(one(Code::OneOf, "does not fit exactly one of `oneOf` as a whole"));
        }
    }
    let b = &without(b_keys, &["allOf", "anyOf", "oneOf"]);

    // Of a's members one is enough, or what they say together.
    if a_keys.contains_key("allOf") {
        if rest["nullable"] == json!(true) && !nullable(b) {
            found.extend(one(Code::Null, "may be null on one side only"));
        }
        if !list(&a["allOf"]).chain([&rest]).any(|a| subset(a, b, at).is_empty()) {
            found.extend(subset(&whole, b, at));
        }
        return found;
    }
    found.extend(plain(a, b, at));
    found
}

/// The same for schemas without alternatives.
fn plain(a: &Value, b: &Value, at: &Place) -> Vec<Difference> {
    if b.as_object().is_some_and(says_nothing) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut report = |code, text: String| found.push(Difference::new(code, at, text));
    let has_no_type = a["type"].is_null() && a["enum"].is_null();
    if nullable(a) && !nullable(b) && !has_no_type {
        report(Code::Null, "may be null on one side only".into());
    }
    let integer = a["type"] == "integer" && b["type"] == "number";
    if !b["type"].is_null() && a["type"] != b["type"] && !integer {
        let kind = |side: &Value| side["type"].as_str().unwrap_or("any").to_owned();
        report(Code::Type, format!("is of type {}, has to be {}", kind(a), kind(b)));
        return found;
    }
    if !b["enum"].is_null() {
        let missing = list(&a["enum"]).find(|value| !list(&b["enum"]).any(|other| other == *value));
        match (missing, a["enum"].is_null()) {
            (Some(value), _) => report(Code::Enum, format!("{value} is not among {}", b["enum"])),
            (None, true) => report(Code::Enum, format!("is not limited to {}", b["enum"])),
            (None, false) => {}
        }
    }
    let is_kept = |keyword: &str| match keyword {
        "format" => is_annotation(&b["format"], a) || a["format"] == b["format"],
        "multipleOf" => {
            let step = |side: &Value| side["multipleOf"].as_f64();
            let step_of_a = step(a).or((a["type"] == "integer").then_some(1.0));
            step_of_a.zip(step(b)).is_some_and(|(a, b)| (a / b).fract() == 0.0)
        }
        _ => a[keyword] == b[keyword],
    };
    for keyword in ["format", "pattern", "multipleOf", "uniqueItems"] {
        if !b[keyword].is_null() && matters_to(keyword, a) && !is_kept(keyword) {
            report(Code::Constraint, format!("`{keyword}` {} is only on one side", b[keyword]));
        }
    }
    // A bound of b needs one of a that is at least as tight.
    for keyword in BOUNDS.into_iter().filter(|keyword| matters_to(keyword, a)) {
        // Upper bounds are compared as lower ones of the negative numbers.
        let sign = if keyword.starts_with("max") { -1.0 } else { 1.0 };
        let exclusive = format!("exclusive{}{}", keyword[..1].to_uppercase(), &keyword[1..]);
        let strict = |side: &Value| side[&exclusive] == json!(true);
        if let Some(b_bound) = b[keyword].as_f64().or(of_format(b, keyword)) {
            let tight = bound(a, keyword).is_some_and(|a_bound| {
                sign * a_bound > sign * b_bound || (a_bound == b_bound && (strict(a) || !strict(b)))
            });
            if !tight {
                report(Code::Bound, format!("`{keyword}` {b_bound} is tighter"));
            }
        }
    }
    if !b["items"].is_null() && matters_to("items", a) {
        let any = json!({});
        found.extend(subset(a.get("items").unwrap_or(&any), &b["items"], &at.below("items")));
    }
    if matters_to("properties", a) {
        found.extend(properties(a, b, at));
    }
    found
}

/// Whether a keyword can concern the values of a schema, which may all be of another type.
fn matters_to(keyword: &str, schema: &Value) -> bool {
    let kinds: &[&str] = match keyword {
        "minLength" | "maxLength" | "pattern" => &["string"],
        "format" => &["string", "number", "integer"],
        "minimum" | "maximum" | "multipleOf" => &["number", "integer"],
        "minItems" | "maxItems" | "uniqueItems" | "items" => &["array"],
        "minProperties" | "maxProperties" | "properties" => &["object"],
        _ => return true,
    };
    schema["type"].as_str().is_none_or(|kind| kinds.contains(&kind))
}

/// Whether every value of its type has this format. That of integers is a bound, and an integer
/// without a format is one of 64 bits.
fn is_annotation(format: &Value, a: &Value) -> bool {
    let formats: &[&str] = match a["type"].as_str() {
        Some("number" | "integer") => &["double", "float", "int32", "int64"],
        Some("string") => &["password"],
        _ => &[],
    };
    formats.iter().any(|known| format == known)
}

/// The bound that a format implies.
fn of_format(schema: &Value, keyword: &str) -> Option<f64> {
    match (schema["format"].as_str()?, keyword) {
        ("int32", "minimum") => Some(i32::MIN.into()),
        ("int32", "maximum") => Some(i32::MAX.into()),
        _ => None,
    }
}

fn properties(a: &Value, b: &Value, at: &Place) -> Vec<Difference> {
    let mut found = Vec::new();
    let below = |code, name: &str, text: &str| Difference::new(code, &at.below(name), text);
    for name in list(&b["required"]).filter_map(Value::as_str) {
        if !list(&a["required"]).any(|required| required == name) || named(a, name).is_none() {
            let text = "is required on one side, and may be missing on the other";
            found.push(below(Code::Required, name, text));
        }
    }
    let names =
        [a, b].into_iter().flat_map(|side| entries(&side["properties"]).map(|(name, _)| name));
    let names: BTreeSet<_> = names.collect();
    let mut pairs: Vec<_> =
        names.into_iter().map(|name| (name.as_str(), named(a, name), named(b, name))).collect();
    let patterns = |side: &Value| -> Vec<_> {
        let patterns = entries(&side["patternProperties"]);
        patterns.map(|(pattern, schema)| (Some(pattern.clone()), schema.clone())).collect()
    };
    // A name that only a pattern or nothing describes may match any other pattern as well.
    for (pattern, sent) in others(a).map(|schema| (None, schema)).into_iter().chain(patterns(a)) {
        let is_known = pattern.is_some() && patterns(b).iter().any(|(other, _)| *other == pattern);
        if !is_known {
            pairs.push(("*", Some(sent.clone()), others(b)));
        }
        pairs.extend(
            patterns(b).into_iter().map(|(_, taken)| ("*", Some(sent.clone()), Some(taken))),
        );
    }
    for (name, a, b) in pairs {
        match (a, b) {
            (None, _) => {}
            (Some(_), None) => {
                let text = "may be present, and is not allowed";
                found.push(below(Code::PropertyForbidden, name, text));
            }
            (Some(a), Some(b)) => found.extend(subset(&a, &b, &at.below(name))),
        }
    }
    found
}

/// The schema of a property; `None` if it may not be there.
fn named(side: &Value, name: &str) -> Option<Value> {
    let patterns =
        entries(&side["patternProperties"]).filter(|(pattern, _)| matches(pattern, name));
    let own = side["properties"].get(name).into_iter();
    let mut schemas: Vec<_> = own.chain(patterns.map(|(_, schema)| schema)).cloned().collect();
    if schemas.contains(&Value::Bool(false)) {
        return None;
    }
    match schemas.len() {
        0 => others(side),
        1 => schemas.pop(),
        _ => Some(json!({ "allOf": schemas })),
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    Regex::new(pattern).is_ok_and(|pattern| pattern.find(name).is_some())
}

/// The schema of every property without one of its own; `None` if there may be none.
fn others(side: &Value) -> Option<Value> {
    match &side["additionalProperties"] {
        Value::Bool(false) => None,
        Value::Object(schema) => Some(schema.clone().into()),
        _ => Some(json!({})),
    }
}

/// Whether it is certain that no value fits both.
fn disjoint(a: &Value, b: &Value) -> bool {
    if a == &json!(false) || b == &json!(false) {
        return true;
    }
    if nullable(a) && nullable(b) {
        return false;
    }
    let kind = |side: &Value| match side["type"].as_str() {
        Some("integer") => Some("number".to_owned()),
        other => other.map(str::to_owned),
    };
    let (a_kind, b_kind) = (kind(a), kind(b));
    if a_kind.is_some() && b_kind.is_some() && a_kind != b_kind {
        return true;
    }
    // What is common to both is not null, so of the type that either names.
    let common = a_kind.or(b_kind);
    let apart = |low: &str, high: &str| {
        let over = |x, y| bound(x, low).zip(bound(y, high)).is_some_and(|(low, high)| low > high);
        over(a, b) || over(b, a)
    };
    let lacks = |x: &Value, y: &Value| {
        list(&x["required"]).filter_map(Value::as_str).any(|name| named(y, name).is_none())
    };
    // A property that both require and no value fits.
    let apart_at = |name: &str| {
        let (a, b) = (named(a, name), named(b, name));
        a.zip(b).is_some_and(|(a, b)| disjoint(&a, &b))
    };
    let differs = || {
        let required = |side: &Value| -> Vec<_> {
            list(&side["required"]).filter_map(Value::as_str).map(str::to_owned).collect()
        };
        required(a).iter().filter(|name| required(b).contains(name)).any(|name| apart_at(name))
    };
    let values = |side: &Value| list(&side["enum"]).map(Value::to_string).collect::<BTreeSet<_>>();
    let both = !a["enum"].is_null() && !b["enum"].is_null() && values(a).is_disjoint(&values(b));
    let only_null = [a, b].iter().any(|side| side["enum"] == json!([null]));
    match common.as_deref() {
        Some("string") => both || only_null || apart("minLength", "maxLength"),
        Some("object") => both || only_null || lacks(a, b) || lacks(b, a) || differs(),
        Some(_) => both || only_null,
        None => both,
    }
}

/// A bound, also one that other keywords imply.
fn bound(side: &Value, keyword: &str) -> Option<f64> {
    let lengths =
        list(&side["enum"]).map(|value| value.as_str().map(|text| text.chars().count() as f64));
    let lengths = lengths.collect::<Option<Vec<_>>>().unwrap_or_default();
    let implied = match keyword {
        "minLength" => Some(lengths.into_iter().reduce(f64::min).unwrap_or(0.0)),
        "maxLength" => lengths.into_iter().reduce(f64::max),
        "minItems" => Some(0.0),
        "minimum" | "maximum" => of_format(side, keyword),
        "minProperties" => Some(list(&side["required"]).count() as f64),
        "maxProperties"
            if side["additionalProperties"] == json!(false)
                && side["patternProperties"].is_null() =>
        {
            Some(entries(&side["properties"]).count() as f64)
        }
        _ => None,
    };
    let tighter = if keyword.starts_with("min") { f64::max } else { f64::min };
    [side[keyword].as_f64(), implied].into_iter().flatten().reduce(tighter)
}

/// Without a type, a schema may be of any, null included.
fn nullable(schema: &Value) -> bool {
    schema["nullable"] == json!(true) || schema["type"].is_null()
}

/// What the members of `allOf` certainly have in common: all their properties, and of two rules for
/// the same thing the first.
fn merged<'a>(members: impl Iterator<Item = &'a Value>) -> Value {
    let mut whole = json!({ "properties": {}, "required": [] });
    for (key, value) in members.flat_map(entries) {
        match (key.as_str(), &mut whole[key.as_str()]) {
            ("properties", Value::Object(all)) => {
                for (name, schema) in entries(value) {
                    all.entry(name).or_insert_with(|| schema.clone());
                }
            }
            ("required", Value::Array(all)) => all.extend(list(value).cloned()),
            (_, kept) if kept.is_null() => *kept = value.clone(),
            _ => {}
        }
    }
    // Beside the bound of another member, this would be a rule that none of them has.
    whole
        .as_object()
        .map(|whole| without(whole, &["exclusiveMinimum", "exclusiveMaximum"]))
        .unwrap_or_default()
}

fn without(schema: &Map<String, Value>, keys: &[&str]) -> Value {
    let rest = schema.iter().filter(|(key, _)| !keys.contains(&key.as_str()));
    rest.map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest schemas that a rule finds a difference in.
    struct Case {
        code: Code,
        a: Value,
        b: Value,
    }

    fn codes(a: &Value, b: &Value) -> Vec<Code> {
        subset(a, b, &Place::default()).iter().map(|difference| difference.code).collect()
    }

    #[test]
    fn each_rule_finds_its_smallest_case() {
        let string = json!({ "type": "string" });
        let number = |more: Value| {
            let mut schema = json!({ "type": "number" });
            schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            schema
        };
        let object = |properties: Value| json!({ "type": "object", "properties": properties });
        let cases = [
            Case { code: Code::SchemaMissing, a: Value::Null, b: json!({}) },
            Case { code: Code::SchemaMissing, a: json!({}), b: Value::Null },
            Case { code: Code::NotUnderstood, a: json!({ "$ref": "#/a" }), b: string.clone() },
            Case {
                code: Code::NotUnderstood,
                a: json!({ "items": { "$ref": "#/a" } }),
                b: json!({ "items": { "$ref": "#/a" } }),
            },
            Case { code: Code::PropertyForbidden, a: json!({}), b: json!(false) },
            Case { code: Code::NotUnderstood, a: json!({}), b: json!({ "if": {} }) },
            Case { code: Code::NotUnderstood, a: json!({}), b: json!({ "not": {} }) },
            Case {
                code: Code::NotUnderstood,
                a: json!({}),
                b: json!({ "patternProperties": { "(": {} } }),
            },
            Case { code: Code::NotUnderstood, a: json!({}), b: json!({ "maxLength": "1" }) },
            Case { code: Code::ReadOnly, a: json!({}), b: json!({ "readOnly": true }) },
            Case {
                code: Code::AnyOf,
                a: string.clone(),
                b: json!({ "anyOf": [{ "maxLength": 1 }, { "minLength": 1 }] }),
            },
            Case {
                code: Code::OneOf,
                a: string.clone(),
                b: json!({ "oneOf": [{ "type": "string" }, {}] }),
            },
            Case {
                code: Code::OneOf,
                a: string.clone(),
                b: json!({ "oneOf": [{ "type": "string" }, { "type": "string", "minLength": 1 }] }),
            },
            Case {
                code: Code::OneOf,
                a: string.clone(),
                b: json!({ "oneOf": [{ "type": "number" }] }),
            },
            Case {
                code: Code::Null,
                a: json!({ "type": "string", "nullable": true }),
                b: string.clone(),
            },
            Case {
                code: Code::Null,
                a: json!({ "allOf": [string], "nullable": true }),
                b: string.clone(),
            },
            Case { code: Code::Type, a: json!({}), b: string.clone() },
            Case { code: Code::Type, a: string.clone(), b: json!({ "type": "integer" }) },
            Case { code: Code::Type, a: number(json!({})), b: json!({ "type": "integer" }) },
            Case {
                code: Code::Enum,
                a: json!({ "type": "string", "enum": ["a", "b"] }),
                b: json!({ "type": "string", "enum": ["a"] }),
            },
            Case {
                code: Code::Enum,
                a: string.clone(),
                b: json!({ "type": "string", "enum": ["a"] }),
            },
            Case {
                code: Code::Constraint,
                a: string.clone(),
                b: json!({ "type": "string", "format": "uuid" }),
            },
            Case {
                code: Code::Constraint,
                a: string.clone(),
                b: json!({ "type": "string", "format": "int64" }),
            },
            Case {
                code: Code::Constraint,
                a: string.clone(),
                b: json!({ "type": "string", "pattern": "^a" }),
            },
            Case {
                code: Code::Constraint,
                a: number(json!({})),
                b: number(json!({ "multipleOf": 2 })),
            },
            Case {
                code: Code::Constraint,
                a: json!({ "type": "array" }),
                b: json!({ "type": "array", "uniqueItems": true }),
            },
            Case {
                code: Code::Bound,
                a: json!({ "type": "string", "maxLength": 2 }),
                b: json!({ "type": "string", "maxLength": 1 }),
            },
            Case {
                code: Code::Bound,
                a: json!({ "type": "string", "minLength": 1 }),
                b: json!({ "type": "string", "minLength": 2 }),
            },
            Case {
                code: Code::Bound,
                a: json!({ "type": "array" }),
                b: json!({ "type": "array", "maxItems": 1 }),
            },
            Case {
                code: Code::Bound,
                a: json!({ "type": "object" }),
                b: json!({ "type": "object", "minProperties": 1 }),
            },
            Case {
                code: Code::Bound,
                a: number(json!({ "minimum": 0 })),
                b: number(json!({ "minimum": 0, "exclusiveMinimum": true })),
            },
            Case {
                code: Code::Type,
                a: json!({ "type": "array", "items": { "type": "string" } }),
                b: json!({ "type": "array", "items": { "type": "number" } }),
            },
            Case {
                code: Code::Bound,
                a: json!({ "type": "integer", "minimum": 0 }),
                b: json!({ "type": "integer", "format": "int32" }),
            },
            Case {
                code: Code::Bound,
                a: json!({
                    "type": "object",
                    "patternProperties": { "^x": {} },
                    "additionalProperties": false,
                }),
                b: json!({ "type": "object", "maxProperties": 1 }),
            },
            Case {
                code: Code::Type,
                a: json!({ "type": "object", "additionalProperties": string }),
                b: json!({ "patternProperties": { "^x": { "type": "number" } } }),
            },
            Case {
                code: Code::Type,
                a: json!({ "properties": { "xa": string }, "additionalProperties": false }),
                b: json!({ "patternProperties": { "^x": { "type": "number" } } }),
            },
            Case {
                code: Code::Type,
                a: json!({
                    "type": "object",
                    "patternProperties": { "^x": string },
                    "additionalProperties": false,
                }),
                b: object(json!({ "xa": { "type": "number" } })),
            },
            Case {
                code: Code::PropertyForbidden,
                a: json!({ "patternProperties": { "^x": {} }, "additionalProperties": false }),
                b: json!({ "additionalProperties": false }),
            },
            Case { code: Code::Required, a: object(json!({})), b: json!({ "required": ["a"] }) },
            Case {
                code: Code::Required,
                a: json!({ "required": ["a"], "properties": { "a": false } }),
                b: json!({ "required": ["a"] }),
            },
            Case {
                code: Code::PropertyForbidden,
                a: json!({ "properties": { "a": {} }, "additionalProperties": false }),
                b: json!({ "additionalProperties": false }),
            },
            Case {
                code: Code::Type,
                a: object(json!({ "a": string })),
                b: object(json!({ "a": { "type": "number" } })),
            },
            Case {
                code: Code::Type,
                a: json!({ "additionalProperties": string }),
                b: json!({ "additionalProperties": { "type": "number" } }),
            },
            Case {
                code: Code::Type,
                a: string.clone(),
                b: json!({ "allOf": [{ "type": "number" }] }),
            },
            Case {
                code: Code::Type,
                a: json!({ "anyOf": [string, { "type": "number" }] }),
                b: string.clone(),
            },
        ];
        for Case { code, a, b } in cases {
            assert_eq!(codes(&a, &b), [code], "{a} {b}");
        }
    }

    #[test]
    fn subset_has_no_difference() {
        struct Pair {
            a: Value,
            b: Value,
        }
        let string = json!({ "type": "string" });
        let short = json!({ "type": "string", "maxLength": 1 });
        let number = json!({ "type": "number" });
        let pairs = [
            Pair { a: json!({}), b: json!({}) },
            Pair { a: short.clone(), b: string.clone() },
            Pair { a: json!({ "if": {}, "$ref": "#/a" }), b: json!({ "default": 1 }) },
            Pair { a: json!(false), b: string.clone() },
            Pair { a: json!({ "oneOf": [string, {}] }), b: json!({ "oneOf": [string, {}] }) },
            Pair { a: json!({ "type": "string", "not": {} }), b: string.clone() },
            Pair { a: json!({ "type": "string", "propertyNames": {} }), b: string.clone() },
            Pair {
                a: string.clone(),
                b: json!({ "type": "string", "maximum": 1, "required": ["a"] }),
            },
            Pair { a: string.clone(), b: json!({ "type": "string", "format": "password" }) },
            Pair { a: number.clone(), b: json!({ "type": "number", "format": "double" }) },
            Pair {
                a: json!({ "type": "integer", "minimum": 0, "maximum": 9 }),
                b: json!({ "type": "integer", "format": "int32" }),
            },
            Pair {
                a: json!({ "type": "integer", "format": "int32" }),
                b: json!({ "type": "integer", "format": "int64" }),
            },
            Pair {
                a: json!({ "type": "number", "multipleOf": 10 }),
                b: json!({ "type": "number", "multipleOf": 5 }),
            },
            Pair {
                a: json!({ "properties": { "a": {} }, "additionalProperties": false }),
                b: json!({
                    "properties": { "a": {} },
                    "patternProperties": { "^x": { "type": "string" } },
                    "additionalProperties": false,
                }),
            },
            Pair {
                a: json!({ "patternProperties": { "^x": short }, "additionalProperties": false }),
                b: json!({ "patternProperties": { "^x": string }, "additionalProperties": false }),
            },
            Pair { a: json!({ "type": "integer" }), b: number.clone() },
            Pair { a: string.clone(), b: json!({ "type": "string", "minLength": 0 }) },
            Pair { a: json!({ "type": "string", "enum": ["a"] }), b: short.clone() },
            Pair {
                a: json!({ "type": "number", "minimum": 1 }),
                b: json!({ "type": "number", "minimum": 0, "exclusiveMinimum": true }),
            },
            Pair {
                a: json!({ "properties": { "a": {} }, "additionalProperties": false }),
                b: json!({ "maxProperties": 1 }),
            },
            Pair { a: string.clone(), b: json!({ "anyOf": [number, string] }) },
            Pair { a: string.clone(), b: json!({ "oneOf": [number, string] }) },
            Pair { a: json!({ "oneOf": [short, string] }), b: string.clone() },
            Pair { a: json!({ "allOf": [{ "maxLength": 1 }, string] }), b: short.clone() },
            Pair {
                a: json!({ "type": "object", "required": ["a"], "properties": { "a": string } }),
                b: json!({ "type": "object", "required": ["a"] }),
            },
        ];
        for Pair { a, b } in pairs {
            assert_eq!(codes(&a, &b), [], "{a} {b}");
        }
    }

    #[test]
    fn schemas_are_disjoint_only_if_that_is_certain() {
        struct Pair {
            a: Value,
            b: Value,
            disjoint: bool,
        }
        let string = |more: Value| {
            let mut schema = json!({ "type": "string" });
            schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            schema
        };
        let tagged = |kind: &str| {
            let kind = json!({ "type": "string", "enum": [kind] });
            json!({ "type": "object", "required": ["kind"], "properties": { "kind": kind } })
        };
        let closed = |name: &str| {
            json!({
                "type": "object",
                "required": [name],
                "properties": { name: {} },
                "additionalProperties": false,
            })
        };
        let pairs = [
            Pair { a: string(json!({})), b: json!({ "type": "number" }), disjoint: true },
            Pair {
                a: json!({ "type": "integer" }),
                b: json!({ "type": "number" }),
                disjoint: false,
            },
            Pair {
                a: string(json!({ "nullable": true })),
                b: json!({ "type": "number", "nullable": true }),
                disjoint: false,
            },
            Pair {
                a: string(json!({ "enum": ["a"] })),
                b: string(json!({ "enum": ["b"] })),
                disjoint: true,
            },
            Pair {
                a: string(json!({ "maxLength": 1 })),
                b: string(json!({ "minLength": 2 })),
                disjoint: true,
            },
            Pair {
                a: string(json!({ "maxLength": 1 })),
                b: string(json!({ "minLength": 1 })),
                disjoint: false,
            },
            Pair { a: closed("a"), b: closed("b"), disjoint: true },
            Pair { a: tagged("a"), b: tagged("b"), disjoint: true },
            Pair { a: tagged("a"), b: tagged("a"), disjoint: false },
            Pair { a: json!(false), b: json!({}), disjoint: true },
            Pair { a: closed("a"), b: json!({ "type": "object" }), disjoint: false },
            Pair { a: string(json!({})), b: json!({ "enum": [null] }), disjoint: true },
            Pair { a: json!({}), b: json!({}), disjoint: false },
        ];
        for Pair { a, b, disjoint: expected } in pairs {
            assert_eq!(disjoint(&a, &b), expected, "{a} {b}");
            assert_eq!(disjoint(&b, &a), expected, "{b} {a}");
        }
    }
}
