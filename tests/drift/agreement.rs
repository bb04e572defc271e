//! Whether two contracts agree: every request that ours allows, theirs allows; every answer that
//! theirs allows, ours reads.
//!
//! It is decided from the schemas alone and fails closed. What the rules below do not know, and what
//! they cannot prove, is a break.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

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
        if parameter["required"] == json!(true) && sent["required"] != json!(true) {
            found.push(breaking(&at, "is required, and we need not send it"));
        }
        if !sent.is_null() {
            for other in entries(parameter).map(|(key, _)| key) {
                if !["required", "schema", "deprecated"].contains(&other.as_str()) {
                    found.push(breaking(&at, format!("`{other}` is not understood")));
                }
            }
            found.extend(subset(&sent["schema"], &parameter["schema"], &at));
        }
    }
    let [sent, taken] = [ours, theirs].map(|side| &side["requestBody"]["content"][JSON]["schema"]);
    found.extend(subset(sent, taken, "request"));

    for (status, _) in entries(&theirs["responses"]) {
        let error = status == "default" || status.starts_with(['4', '5']);
        if status != "200" && !error {
            found.push(breaking(&format!("responses.{status}"), "such an answer is not read"));
        }
    }
    let [read, given] =
        [ours, theirs].map(|side| &side["responses"]["200"]["content"][JSON]["schema"]);
    found.extend(subset(given, read, "response"));
    found
}

/// Keywords that restrict nothing, or whose rule stands below.
const UNDERSTOOD: [&str; 29] = [
    "type",
    "nullable",
    "enum",
    "format",
    "default",
    "deprecated",
    "discriminator",
    "readOnly",
    "writeOnly",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "properties",
    "required",
    "additionalProperties",
    "minProperties",
    "maxProperties",
    "allOf",
    "anyOf",
    "oneOf",
];

/// Why not every value that `a` allows is allowed by `b`; nothing if it is.
fn subset(a: &Value, b: &Value, at: &str) -> Vec<Break> {
    let one = |what: &str| vec![breaking(at, what)];
    let (Value::Object(a_keys), Value::Object(b_keys)) = (a, b) else {
        return one("one side has no schema for it");
    };
    let unknown =
        a_keys.keys().chain(b_keys.keys()).find(|key| !UNDERSTOOD.contains(&key.as_str()));
    if let Some(key) = unknown {
        return one(&format!("`{key}` is not understood"));
    }

    // Each of a's alternatives has to fit.
    for wrapper in ["anyOf", "oneOf"] {
        if a_keys.contains_key(wrapper) {
            let fit = |alternative| subset(&with_outer(alternative, a), b, at);
            return list(&a[wrapper]).flat_map(fit).collect();
        }
    }
    // All of b's members have to hold, any of its alternatives may, but only one of `oneOf`.
    let mut found = Vec::new();
    let fits = |b: &&Value| subset(a, b, at).is_empty();
    found.extend(list(&b["allOf"]).flat_map(|member| subset(a, member, at)));
    if b_keys.contains_key("anyOf") && !list(&b["anyOf"]).any(|b| fits(&b)) {
        found.extend(one("fits none of `anyOf` as a whole"));
    }
    if b_keys.contains_key("oneOf") {
        let (fitting, others): (Vec<_>, Vec<_>) = list(&b["oneOf"]).partition(fits);
        if fitting.len() != 1 || !others.iter().all(|other| disjoint(a, other)) {
            found.extend(one("does not fit exactly one of `oneOf` as a whole"));
        }
    }
    let b = &without(b_keys, &["allOf", "anyOf", "oneOf"]);

    // Of a's members one is enough, or what they say together.
    if a_keys.contains_key("allOf") {
        let rest = without(a_keys, &["allOf"]);
        let null = rest["nullable"] == json!(true) && !nullable(b);
        let whole = merged(list(&a["allOf"]).chain([&rest]));
        if null || !list(&a["allOf"]).chain([&rest, &whole]).any(|a| subset(a, b, at).is_empty()) {
            found.extend(one("the members of `allOf` do not fit"));
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
    for keyword in ["format", "pattern", "multipleOf"] {
        if !b[keyword].is_null() && a[keyword] != b[keyword] {
            report(format!("`{keyword}` {} is only on one side", b[keyword]));
        }
    }
    if b["uniqueItems"] == json!(true) && a["uniqueItems"] != json!(true) {
        report("`uniqueItems` is only on one side".into());
    }
    // A bound of b needs one of a that is at least as tight.
    for (lower, upper) in
        [("minLength", "maxLength"), ("minItems", "maxItems"), ("minProperties", "maxProperties")]
    {
        let low = b[lower].as_f64().filter(|b| bound(a, lower).is_none_or(|a| a < *b));
        let high = b[upper].as_f64().filter(|b| bound(a, upper).is_none_or(|a| a > *b));
        low.into_iter().for_each(|bound| report(format!("`{lower}` {bound} is tighter")));
        high.into_iter().for_each(|bound| report(format!("`{upper}` {bound} is tighter")));
    }
    let exclusive = |side: &Value, keyword| side[keyword] == json!(true);
    if let Some(b_min) = b["minimum"].as_f64() {
        let strict = exclusive(b, "exclusiveMinimum") && !exclusive(a, "exclusiveMinimum");
        if a["minimum"].as_f64().is_none_or(|a_min| a_min < b_min || (a_min == b_min && strict)) {
            report(format!("`minimum` {b_min} is tighter"));
        }
    }
    if let Some(b_max) = b["maximum"].as_f64() {
        let strict = exclusive(b, "exclusiveMaximum") && !exclusive(a, "exclusiveMaximum");
        if a["maximum"].as_f64().is_none_or(|a_max| a_max > b_max || (a_max == b_max && strict)) {
            report(format!("`maximum` {b_max} is tighter"));
        }
    }
    let any = json!({});
    if !b["items"].is_null() {
        found.extend(subset(a.get("items").unwrap_or(&any), &b["items"], &format!("{at}.items")));
    }
    found.extend(properties(a, b, at));
    found
}

fn properties(a: &Value, b: &Value, at: &str) -> Vec<Break> {
    let mut found = Vec::new();
    let below = |name: &str, what: &str| breaking(&format!("{at}.{name}"), what);
    for name in list(&b["required"]).filter_map(Value::as_str) {
        if !list(&a["required"]).any(|required| required == name) || property(a, name).is_none() {
            found.push(below(name, "is required on one side, and may be missing on the other"));
        }
        if a["properties"][name]["writeOnly"] == json!(true) {
            found.push(below(name, "is required, and never sent"));
        }
    }
    let names =
        [a, b].into_iter().flat_map(|side| entries(&side["properties"]).map(|(name, _)| name));
    for name in names.collect::<BTreeSet<_>>() {
        match (property(a, name), property(b, name)) {
            (None, _) => {}
            (Some(_), None) => found.push(below(name, "may be present, and is not allowed")),
            (Some(_), Some(b)) if b["readOnly"] == json!(true) => {
                found.push(below(name, "is read-only"))
            }
            (Some(a), Some(b)) => found.extend(subset(&a, &b, &format!("{at}.{name}"))),
        }
    }
    match (property(a, ""), property(b, "")) {
        (None, _) => {}
        (Some(_), None) => found.push(below("*", "may be present, and is not allowed")),
        (Some(a), Some(b)) => found.extend(subset(&a, &b, &format!("{at}.*"))),
    }
    found
}

/// The schema of a property, or of any that has no name; `None` if it may not be there.
fn property(side: &Value, name: &str) -> Option<Value> {
    match (side["properties"].get(name), &side["additionalProperties"]) {
        (Some(schema), _) => Some(schema.clone()),
        (None, Value::Bool(false)) => None,
        (None, Value::Null) => Some(json!({})),
        (None, schema) => Some(schema.clone()),
    }
}

/// Whether it is certain that no value fits both.
fn disjoint(a: &Value, b: &Value) -> bool {
    let types = [a, b].map(|side| {
        side["type"].as_str().map(|name| if name == "integer" { "number" } else { name })
    });
    if let [Some(a_type), Some(b_type)] = types
        && a_type != b_type
    {
        return !(nullable(a) && nullable(b));
    }
    let kinds = !nullable(a) && !nullable(b);
    let apart = |low: &str, high: &str| {
        [(a, b), (b, a)]
            .into_iter()
            .any(|(x, y)| bound(x, low).zip(bound(y, high)).is_some_and(|(low, high)| low > high))
    };
    let lacks = |x: &Value, y: &Value| {
        list(&x["required"]).filter_map(Value::as_str).any(|name| property(y, name).is_none())
    };
    let values = |side: &Value| list(&side["enum"]).map(Value::to_string).collect::<BTreeSet<_>>();
    let enums = !a["enum"].is_null() && !b["enum"].is_null() && values(a).is_disjoint(&values(b));
    let same = types[0].is_some() && types[0] == types[1];
    kinds && (enums || (same && (apart("minLength", "maxLength") || lacks(a, b) || lacks(b, a))))
}

/// A bound, also that which the other keywords imply.
fn bound(side: &Value, keyword: &str) -> Option<f64> {
    let lengths =
        list(&side["enum"]).map(|value| value.as_str().map(|text| text.chars().count() as f64));
    let lengths = lengths.collect::<Option<Vec<_>>>().filter(|lengths| !lengths.is_empty());
    let implied = match keyword {
        "minLength" => {
            lengths.map(|lengths| lengths.into_iter().fold(f64::INFINITY, f64::min)).or(Some(0.0))
        }
        "maxLength" => lengths.map(|lengths| lengths.into_iter().fold(0.0, f64::max)),
        "minProperties" => Some(list(&side["required"]).count() as f64),
        "maxProperties" if side["additionalProperties"] == json!(false) => {
            Some(entries(&side["properties"]).count() as f64)
        }
        "minItems" => Some(0.0),
        _ => None,
    };
    let stated = side[keyword].as_f64();
    match (stated, implied) {
        (Some(stated), Some(implied)) if keyword.starts_with("min") => Some(stated.max(implied)),
        (Some(stated), Some(implied)) => Some(stated.min(implied)),
        (stated, implied) => stated.or(implied),
    }
}

/// Without a type, a schema may be of any, null included.
fn nullable(schema: &Value) -> bool {
    schema["nullable"] == json!(true) || schema["type"].is_null()
}

/// An alternative with the outer keywords that bind it independently of others.
fn with_outer(alternative: &Value, outer: &Value) -> Value {
    let mut schema = alternative.clone();
    for keyword in ["type", "enum", "required"] {
        if schema[keyword].is_null() && !outer[keyword].is_null() {
            schema[keyword] = outer[keyword].clone();
        }
    }
    if outer["nullable"] == json!(true) {
        schema["nullable"] = json!(true);
    }
    schema.as_object_mut().into_iter().for_each(|keys| keys.retain(|_, value| !value.is_null()));
    schema
}

/// What the members of `allOf` certainly have in common. Of two rules for the same thing it takes the
/// first, and none that closes a member: a member alone does not say which properties are left.
fn merged<'a>(members: impl Iterator<Item = &'a Value>) -> Value {
    let mut whole = json!({ "properties": {}, "required": [] });
    for (key, value) in members.flat_map(entries) {
        match (key.as_str(), &mut whole[key.as_str()]) {
            ("additionalProperties" | "maxProperties", _) => {}
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
    whole
        .as_object()
        .map(|whole| without(whole, &["additionalProperties", "maxProperties"]))
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
