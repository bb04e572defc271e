//! Whether two contracts agree: every request that ours allows, theirs allows; every answer that
//! theirs allows, ours reads.
//!
//! It is decided from the schemas alone and fails closed. What the rules below do not know, and what
//! they cannot prove, is a break.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::contract::ANNOUNCEMENTS;

/// Where the contracts break and what breaks there.
pub type Break = (String, String);

fn breaking(at: &str, what: impl Into<String>) -> Break {
    (at.to_owned(), what.into())
}

const JSON: &str = "application/json";

pub fn breaks(ours: &Value, theirs: &Value) -> Vec<Break> {
    let mut found = Vec::new();
    for server in
        list(&ours["servers"]).filter(|server| !list(&theirs["servers"]).any(|s| s == *server))
    {
        found.push(breaking("servers", format!("{server} is not among them")));
    }
    let bearer = |scheme: &Value| scheme["type"] == "http" && scheme["scheme"] == "bearer";
    let known = |alternative: &Value| list(alternative).all(bearer);
    if !list(&theirs["security"]).any(known) && list(&theirs["security"]).next().is_some() {
        found.push(breaking("security", "a bearer token alone does not do"));
    }
    for (name, parameter) in entries(&theirs["parameters"]) {
        let at = format!("parameters.{name}");
        let sent = &ours["parameters"][name];
        // What is required there in any form has to be sent always.
        if !parameter["required"].is_null() && sent["required"] != json!(true) {
            found.push(breaking(&at, "is required, and we need not send it"));
        }
        if !sent.is_null() {
            for other in entries(parameter).map(|(key, _)| key) {
                let other = other.as_str();
                if !["required", "schema", "deprecated"].contains(&other)
                    && !ANNOUNCEMENTS.contains(&other)
                {
                    found.push(breaking(&at, format!("`{other}` is not understood")));
                }
            }
            found.extend(subset(&sent["schema"], &parameter["schema"], &at));
        }
    }
    let [sent, taken] = [ours, theirs].map(|side| &side["requestBody"]["content"][JSON]["schema"]);
    found.extend(subset(sent, taken, "request"));

    for (status, answer) in entries(&theirs["responses"]).filter(|(status, _)| *status != "200") {
        // The vendor's `default` repeats the success, which no error is.
        if status == "default" && *answer == theirs["responses"]["200"] {
            continue;
        }
        let at = format!("responses.{status}");
        if status != "default" && !status.starts_with(['4', '5']) {
            found.push(breaking(&at, "such an answer is not read"));
            continue;
        }
        for (media_type, content) in entries(&answer["content"]) {
            let json = media_type == JSON || media_type.ends_with("+json");
            if !json || !subset(&content["schema"], &readable_error(), &at).is_empty() {
                let what =
                    "is no JSON object with texts for `type`, and `message` or `description`";
                found.push(breaking(&at, format!("{media_type} {what}")));
            }
        }
    }
    let [read, given] =
        [ours, theirs].map(|side| &side["responses"]["200"]["content"][JSON]["schema"]);
    found.extend(subset(given, read, "response"));
    found.dedup();
    found
}

/// What `ApiError` reads.
fn readable_error() -> Value {
    let with = |text: &str| {
        json!({
            "type": "object",
            "required": ["type", text],
            "properties": { "type": { "type": "string" }, text: { "type": "string" } },
        })
    };
    json!({ "anyOf": [with("message"), with("description")] })
}

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
        "properties" | "items" | "discriminator" => value.is_object(),
        "additionalProperties" => value.is_boolean() || value.is_object(),
        keyword => keyword == "default" || ANNOUNCEMENTS.contains(&keyword),
    }
}

/// Why not every value that `a` allows is allowed by `b`; nothing if it is.
fn subset(a: &Value, b: &Value, at: &str) -> Vec<Break> {
    let one = |what: &str| vec![breaking(at, what)];
    let (Value::Object(a_keys), Value::Object(b_keys)) = (a, b) else {
        return one("one side has no schema for it");
    };
    if let Some((key, _)) = a_keys.iter().chain(b_keys).find(|(key, value)| !understood(key, value))
    {
        return one(&format!("`{key}` is not understood"));
    }
    if b["readOnly"] == json!(true) {
        return one("is read-only");
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
        found.extend(one("fits none of `anyOf` as a whole"));
    }
    if b_keys.contains_key("oneOf") {
        let (fitting, others): (Vec<_>, Vec<_>) = list(&b["oneOf"]).partition(fits);
        if fitting.len() != 1 || !others.iter().all(|other| disjoint(&whole, other)) {
            found.extend(one("does not fit exactly one of `oneOf` as a whole"));
        }
    }
    let b = &without(b_keys, &["allOf", "anyOf", "oneOf"]);

    // Of a's members one is enough, or what they say together.
    if a_keys.contains_key("allOf") {
        if rest["nullable"] == json!(true) && !nullable(b) {
            found.extend(one("may be null on one side alone"));
        }
        if list(&a["allOf"]).any(|member| member["writeOnly"] == json!(true)) {
            found.extend(one("is never sent"));
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
fn plain(a: &Value, b: &Value, at: &str) -> Vec<Break> {
    if b == &json!({}) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut report = |what: String| found.push(breaking(at, what));
    if nullable(a) && !nullable(b) {
        report("may be null on one side alone".into());
    }
    let integer = a["type"] == "integer" && b["type"] == "number";
    if !b["type"].is_null() && a["type"] != b["type"] && !integer {
        report(format!("is of type {}, has to be {}", a["type"], b["type"]));
        return found;
    }
    if !b["enum"].is_null() {
        let missing = list(&a["enum"]).find(|value| !list(&b["enum"]).any(|other| other == *value));
        match (missing, a["enum"].is_null()) {
            (Some(value), _) => report(format!("{value} is not among {}", b["enum"])),
            (None, true) => report(format!("is not limited to {}", b["enum"])),
            (None, false) => {}
        }
    }
    for keyword in ["format", "pattern", "multipleOf", "uniqueItems"] {
        if !b[keyword].is_null() && a[keyword] != b[keyword] {
            report(format!("`{keyword}` {} is only on one side", b[keyword]));
        }
    }
    // A bound of b needs one of a that is at least as tight.
    for keyword in BOUNDS {
        // Upper bounds are compared as lower ones of the negative numbers.
        let sign = if keyword.starts_with("max") { -1.0 } else { 1.0 };
        let exclusive = format!("exclusive{}{}", keyword[..1].to_uppercase(), &keyword[1..]);
        let strict = |side: &Value| side[&exclusive] == json!(true);
        if let Some(b_bound) = b[keyword].as_f64() {
            let tight = bound(a, keyword).is_some_and(|a_bound| {
                sign * a_bound > sign * b_bound || (a_bound == b_bound && (strict(a) || !strict(b)))
            });
            if !tight {
                report(format!("`{keyword}` {b_bound} is tighter"));
            }
        }
    }
    if !b["items"].is_null() {
        let any = json!({});
        found.extend(subset(a.get("items").unwrap_or(&any), &b["items"], &format!("{at}.items")));
    }
    found.extend(properties(a, b, at));
    found
}

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

fn properties(a: &Value, b: &Value, at: &str) -> Vec<Break> {
    let mut found = Vec::new();
    let below = |name: &str, what: &str| breaking(&format!("{at}.{name}"), what);
    for name in list(&b["required"]).filter_map(Value::as_str) {
        if !list(&a["required"]).any(|required| required == name) || named(a, name).is_none() {
            found.push(below(name, "is required on one side, and may be missing on the other"));
        }
        if a["properties"][name]["writeOnly"] == json!(true) {
            found.push(below(name, "is required, and never sent"));
        }
    }
    let names =
        [a, b].into_iter().flat_map(|side| entries(&side["properties"]).map(|(name, _)| name));
    let names: BTreeSet<_> = names.collect();
    let pairs = names.into_iter().map(|name| (name.as_str(), named(a, name), named(b, name)));
    for (name, a, b) in pairs.chain([("*", others(a), others(b))]) {
        match (a, b) {
            (None, _) => {}
            (Some(_), None) => found.push(below(name, "may be present, and is not allowed")),
            (Some(a), Some(b)) => found.extend(subset(&a, &b, &format!("{at}.{name}"))),
        }
    }
    found
}

/// The schema of a property; `None` if it may not be there.
fn named(side: &Value, name: &str) -> Option<Value> {
    side["properties"].get(name).cloned().or_else(|| others(side))
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
    let values = |side: &Value| list(&side["enum"]).map(Value::to_string).collect::<BTreeSet<_>>();
    let both = !a["enum"].is_null() && !b["enum"].is_null() && values(a).is_disjoint(&values(b));
    let only_null = [a, b].iter().any(|side| side["enum"] == json!([null]));
    match common.as_deref() {
        Some("string") => both || only_null || apart("minLength", "maxLength"),
        Some("object") => both || only_null || lacks(a, b) || lacks(b, a),
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
        "minProperties" => Some(list(&side["required"]).count() as f64),
        "maxProperties" if side["additionalProperties"] == json!(false) => {
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

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
