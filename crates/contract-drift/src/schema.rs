//! Whether every value that one schema allows is allowed by another.
//!
//! This is decided from the schemas alone and fails closed: a keyword that the rules do not know, or a
//! relation that they cannot prove, is a difference.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use regex::RegexBuilder;
use serde_json::{Map, Value, json};

use crate::decimal::Decimal;
use crate::finding::{Code, Difference, Place};
use crate::normal::{ANNOUNCEMENTS, entries, list};

/// The most steps of a comparison. Real documents need a few hundred.
const MAX_STEPS: usize = 100_000;

/// The deepest nesting of comparisons. Each level takes some of the stack.
const MAX_DEPTH: usize = 150;

/// The most memory for a pattern, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// The deepest level of properties at which two schemas are compared to show that no value fits both.
const MAX_DISJOINT: usize = 16;

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
            value.is_object() && entries(value).all(|(pattern, _)| matcher(pattern).is_some())
        }
        "items" | "additionalProperties" => value.is_boolean() || value.is_object(),
        keyword => keyword == "default" || ANNOUNCEMENTS.contains(&keyword),
    }
}

/// Keywords that no rule covers and that allow fewer values. On the sending side they can be ignored.
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

/// Whether a schema has a reference to one that contains itself. Each side has its own targets.
fn has_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(keywords) => {
            keywords.iter().any(|(key, value)| key == "$ref" || has_reference(value))
        }
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

/// A comparison of the schemas of two contracts.
pub struct Comparison {
    /// The schemas of the first contract that contain themselves.
    a_definitions: Value,
    b_definitions: Value,
    steps: Cell<usize>,
    depth: Cell<usize>,
    /// The pairs that are being compared, and the length of the place where they are.
    open: RefCell<Vec<(Value, Value, usize)>>,
}

impl Comparison {
    pub fn new(a_definitions: Value, b_definitions: Value) -> Self {
        let (steps, depth, open) = Default::default();
        Self { a_definitions, b_definitions, steps, depth, open }
    }

    /// Whether the schemas are too complex to be compared, so that the outcome means nothing.
    pub fn is_exhausted(&self) -> bool {
        self.steps.get() > MAX_STEPS
    }

    /// The reasons why `b` does not allow every value that `a` allows; none if it does.
    pub fn subset(&self, a: &Value, b: &Value, at: &Place) -> Vec<Difference> {
        self.steps.set(self.steps.get() + 1);
        if self.depth.get() == MAX_DEPTH {
            self.steps.set(MAX_STEPS + 1);
        }
        if self.is_exhausted() {
            let text = "the schemas are too complex to be compared";
            return vec![Difference::new(Code::TooComplex, at, text)];
        }
        self.depth.set(self.depth.get() + 1);
        let is_any = a.is_object() && b.as_object().is_some_and(says_nothing);
        let found = match (a.get("$ref"), b.get("$ref")) {
            _ if is_any => Vec::new(),
            (None, None) => self.without_reference(a, b, at),
            _ => self.circular(a, b, at),
        };
        self.depth.set(self.depth.get() - 1);
        found
    }

    /// The same if one side refers to a schema that contains itself. If the same pair occurs again further
    /// down, there is nothing new to find.
    fn circular(&self, a: &Value, b: &Value, at: &Place) -> Vec<Difference> {
        let length = at.steps().count();
        let open = self.open.borrow();
        let again = open.iter().find(|(other_a, other_b, _)| other_a == a && other_b == b);
        let is_further_down = again.map(|(.., other)| *other < length);
        drop(open);
        let sides = [(a, &self.a_definitions), (b, &self.b_definitions)]
            .map(|(schema, definitions)| resolved(schema, definitions));
        match (is_further_down, sides) {
            (Some(true), _) => Vec::new(),
            (None, [Some(new_a), Some(new_b)]) => {
                self.open.borrow_mut().push((a.clone(), b.clone(), length));
                let found = self.subset(new_a, new_b, at);
                self.open.borrow_mut().pop();
                found
            }
            _ => {
                let text = "refers to a schema that is not understood";
                vec![Difference::new(Code::NotUnderstood, at, text)]
            }
        }
    }

    fn without_reference(&self, a: &Value, b: &Value, at: &Place) -> Vec<Difference> {
        let one = |code, text: &str| vec![Difference::new(code, at, text)];
        let (a_keys, b_keys) = match (a, b) {
            (Value::Null, Value::Null)
            | (Value::Bool(false), Value::Object(_) | Value::Bool(false)) => {
                return Vec::new();
            }
            (Value::Object(_), Value::Bool(false)) => {
                return one(Code::PropertyForbidden, "no value is allowed");
            }
            (Value::Object(a), Value::Object(b)) => (a, b),
            _ => return one(Code::SchemaMissing, "one side has no schema for it"),
        };
        if a == b && !has_reference(a) {
            return Vec::new();
        }
        let is_narrowing = |key: &str| NARROWING.contains(&key) && !b_keys.contains_key(key);
        let unknown =
            a_keys.iter().filter(|(key, value)| !understood(key, value) && !is_narrowing(key));
        let unknown =
            unknown.chain(b_keys.iter().filter(|(key, value)| !understood(key, value))).next();
        if let Some((key, _)) = unknown {
            return one(Code::NotUnderstood, &format!("`{key}` is not understood"));
        }
        if b["readOnly"] == json!(true) {
            return one(Code::ReadOnly, "is read-only");
        }

        // Each of a's alternatives has to fit, together with the keywords next to them.
        for wrapper in ["anyOf", "oneOf"] {
            if a_keys.contains_key(wrapper) {
                let mut whole = without(a_keys, &[wrapper]);
                let members: Vec<_> = list(&a["allOf"]).cloned().collect();
                let fit = |alternative: &Value| {
                    if whole.as_object().is_some_and(says_nothing) {
                        return self.subset(alternative, b, at);
                    }
                    whole["allOf"] = [members.clone(), vec![alternative.clone()]].concat().into();
                    self.subset(&whole, b, at)
                };
                return list(&a[wrapper]).flat_map(fit).collect();
            }
        }
        // Each value may fit another of b's alternatives.
        let has_alternatives = ["anyOf", "oneOf"].iter().any(|key| b_keys.contains_key(*key));
        if let Some(parts) = parts(a_keys).filter(|_| has_alternatives) {
            let mut found: Vec<_> =
                parts.iter().flat_map(|part| self.subset(part, b, at)).collect();
            found.dedup();
            return found;
        }
        let rest = without(a_keys, &["allOf"]);
        let whole = self.merged(list(&a["allOf"]).chain([&rest]));
        // All of b's `allOf` members must hold, at least one of `anyOf`, and exactly one of `oneOf`.
        let mut found = Vec::new();
        let fits = |b: &&Value| self.subset(a, b, at).is_empty();
        found.extend(list(&b["allOf"]).flat_map(|member| self.subset(a, member, at)));
        if b_keys.contains_key("anyOf") && !list(&b["anyOf"]).any(|b| fits(&b)) {
            found.extend(one(Code::AnyOf, "fits none of `anyOf` as a whole"));
        }
        if b_keys.contains_key("oneOf") {
            let (fitting, others): (Vec<_>, Vec<_>) = list(&b["oneOf"]).partition(fits);
            let is_apart = |other: &&Value| self.disjoint(&whole, other, MAX_DISJOINT);
            if fitting.len() != 1 || !others.iter().all(is_apart) {
                found.extend(one(Code::OneOf, "does not fit exactly one of `oneOf` as a whole"));
            }
        }
        let b = &without(b_keys, &["allOf", "anyOf", "oneOf"]);

        // One of a's members is enough, or all of them together.
        if a_keys.contains_key("allOf") {
            if rest["nullable"] == json!(true) && !nullable(b) {
                found.extend(one(Code::Null, "may be null on one side only"));
            }
            if !list(&a["allOf"]).chain([&rest]).any(|a| self.subset(a, b, at).is_empty()) {
                found.extend(self.subset(&whole, b, at));
            }
            return found;
        }
        found.extend(self.plain(a, b, at));
        found
    }

    /// The same for schemas without alternatives.
    fn plain(&self, a: &Value, b: &Value, at: &Place) -> Vec<Difference> {
        if b.as_object().is_some_and(says_nothing) {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut report = |code, text: String| found.push(Difference::new(code, at, text));
        let has_no_type = a["type"].is_null() && a["enum"].is_null();
        if nullable(a) && !nullable(b) && !has_no_type {
            report(Code::Null, "may be null on one side only".into());
        }
        let kinds = kinds(a);
        if let Some(kind) = b["type"].as_str() {
            let fits = |own: &str| own == kind || (own == "integer" && kind == "number");
            if !kinds.as_ref().is_some_and(|kinds| kinds.iter().all(|own| fits(own))) {
                let own = kinds.map(|kinds| kinds.into_iter().collect::<Vec<_>>().join(" or "));
                let own = own.unwrap_or("any".into());
                report(Code::Type, format!("is of type {own}, must be {kind}"));
                return found;
            }
        }
        if !b["enum"].is_null() {
            let missing =
                list(&a["enum"]).find(|value| !list(&b["enum"]).any(|other| other == *value));
            match (missing, a["enum"].is_null()) {
                (Some(value), _) => {
                    report(Code::Enum, format!("{value} is not among {}", b["enum"]))
                }
                (None, true) => report(Code::Enum, format!("is not limited to {}", b["enum"])),
                (None, false) => {}
            }
        }
        let is_kept = |keyword: &str| match keyword {
            "format" => is_annotation(&b["format"], a) || a["format"] == b["format"],
            "pattern" if a["pattern"] != b["pattern"] => {
                let fits = |value: &Value| Some(matches(b["pattern"].as_str()?, value.as_str()?));
                listed(a, fits).is_some_and(|fitting| fitting.into_iter().all(|fits| fits))
            }
            "multipleOf" => {
                let step = |side: &Value| Decimal::of(&side["multipleOf"]);
                let step_of_a = step(a).or((a["type"] == "integer").then_some(1.into()));
                let numbers = listed(a, Decimal::of).unwrap_or(step_of_a.into_iter().collect());
                let is_multiple =
                    |number: &Decimal| step(b).is_some_and(|b| number.is_multiple_of(b));
                !numbers.is_empty() && numbers.iter().all(is_multiple)
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
            let is_upper = keyword.starts_with("max");
            let exclusive = format!("exclusive{}{}", keyword[..1].to_uppercase(), &keyword[1..]);
            let strict = |side: &Value| side[&exclusive] == json!(true);
            let of_b = b.get(keyword).cloned().or(of_format(b, keyword).map(Value::from));
            let Some(of_b) = of_b else { continue };
            let is_tight =
                bound(a, keyword).zip(Decimal::of(&of_b)).is_some_and(|(a_bound, b_bound)| {
                    let is_tighter = if is_upper { a_bound < b_bound } else { a_bound > b_bound };
                    is_tighter || (a_bound == b_bound && (strict(a) || !strict(b)))
                });
            if !is_tight {
                report(Code::Bound, format!("`{keyword}` {of_b} is tighter"));
            }
        }
        if !b["items"].is_null() && matters_to("items", a) {
            let any = json!({});
            found.extend(self.subset(
                a.get("items").unwrap_or(&any),
                &b["items"],
                &at.below("items"),
            ));
        }
        if matters_to("properties", a) {
            found.extend(self.properties(a, b, at));
        }
        found
    }

    fn properties(&self, a: &Value, b: &Value, at: &Place) -> Vec<Difference> {
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
        // A name that no entry of `properties` describes can match any pattern of the other side.
        for (pattern, sent) in others(a).map(|schema| (None, schema)).into_iter().chain(patterns(a))
        {
            let is_known =
                pattern.is_some() && patterns(b).iter().any(|(other, _)| *other == pattern);
            if !is_known {
                pairs.push(("*", Some(sent.clone()), others(b)));
            }
            pairs.extend(
                patterns(b).into_iter().map(|(_, taken)| ("*", Some(sent.clone()), Some(taken))),
            );
        }
        for (name, sent, taken) in pairs {
            match (sent, taken) {
                (None, _) => {}
                (Some(_), None) => {
                    let text = "may be present on one side, and is not allowed on the other";
                    found.push(below(Code::PropertyForbidden, name, text));
                }
                (Some(sent), Some(taken)) => {
                    let differences = self.subset(&sent, &taken, &at.below(name));
                    let is_other =
                        name != "*" && sent == json!({}) && a["properties"][name].is_null();
                    let reason = "is not described on one side, which is open";
                    let explain = |difference: Difference| {
                        let text = format!("{reason}: {}", difference.text);
                        if is_other { Difference { text, ..difference } } else { difference }
                    };
                    found.extend(differences.into_iter().map(explain));
                }
            }
        }
        found
    }

    /// Whether it is certain that no value fits both.
    fn disjoint(&self, a: &Value, b: &Value, depth: usize) -> bool {
        if a == &json!(false) || b == &json!(false) {
            return true;
        }
        let sides = [(a, &self.a_definitions), (b, &self.b_definitions)];
        let [Some(a), Some(b)] = sides.map(|(side, all)| resolved(side, all)) else { return false };
        self.steps.set(self.steps.get() + 1);
        if depth == 0 || self.is_exhausted() || (nullable(a) && nullable(b)) {
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
        // A value that fits both is not null, so it has the type that either names.
        let common = a_kind.or(b_kind);
        let apart = |low: &str, high: &str| {
            let over =
                |x, y| bound(x, low).zip(bound(y, high)).is_some_and(|(low, high)| low > high);
            over(a, b) || over(b, a)
        };
        let lacks = |x: &Value, y: &Value| {
            list(&x["required"]).filter_map(Value::as_str).any(|name| named(y, name).is_none())
        };
        // A property that both require, but that no value fits.
        let apart_at = |name: &str| {
            let (a, b) = (named(a, name), named(b, name));
            a.zip(b).is_some_and(|(a, b)| self.disjoint(&a, &b, depth - 1))
        };
        let differs = || {
            let required = |side: &Value| -> Vec<_> {
                list(&side["required"]).filter_map(Value::as_str).map(str::to_owned).collect()
            };
            required(a).iter().filter(|name| required(b).contains(name)).any(|name| apart_at(name))
        };
        let values =
            |side: &Value| list(&side["enum"]).map(Value::to_string).collect::<BTreeSet<_>>();
        let both =
            !a["enum"].is_null() && !b["enum"].is_null() && values(a).is_disjoint(&values(b));
        let only_null = [a, b].iter().any(|side| side["enum"] == json!([null]));
        match common.as_deref() {
            Some("string") => both || only_null || apart("minLength", "maxLength"),
            Some("object") => both || only_null || lacks(a, b) || lacks(b, a) || differs(),
            Some(_) => both || only_null,
            None => both,
        }
    }

    /// The rules that the members of a's `allOf` certainly have together: all their properties, and the first of
    /// several rules for the same keyword.
    fn merged<'a>(&'a self, members: impl Iterator<Item = &'a Value>) -> Value {
        let mut whole = json!({ "properties": {}, "required": [] });
        let members = members.filter_map(|member| resolved(member, &self.a_definitions));
        for (key, value) in members.flat_map(entries) {
            match (key.as_str(), &mut whole[key.as_str()]) {
                ("properties", Value::Object(all)) => {
                    for (name, schema) in entries(value) {
                        let kept = all.entry(name).or_insert_with(|| schema.clone());
                        if *kept != *schema && *kept != json!(false) {
                            *kept = both(kept.take(), schema);
                        }
                    }
                }
                ("required", Value::Array(all)) => all.extend(list(value).cloned()),
                (_, kept) if kept.is_null() => *kept = value.clone(),
                _ => {}
            }
        }
        // Next to the bound of another member, these would be a rule that no member has.
        whole
            .as_object()
            .map(|whole| without(whole, &["exclusiveMinimum", "exclusiveMaximum"]))
            .unwrap_or_default()
    }
}

/// A schema of the values that fit both.
fn both(one: Value, other: &Value) -> Value {
    if one == json!({}) || *other == json!(false) {
        return other.clone();
    }
    if *other == json!({}) { one } else { json!({ "allOf": [one, other] }) }
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
    self::kinds(schema).is_none_or(|own| own.iter().any(|kind| kinds.contains(kind)))
}

/// The types of a schema's values other than null; `None` if they can have any.
fn kinds(schema: &Value) -> Option<BTreeSet<&str>> {
    match (&schema["enum"], schema["type"].as_str()) {
        (Value::Array(values), _) => Some(values.iter().filter_map(kind_of).collect()),
        (_, Some(kind)) => Some([kind].into()),
        _ => None,
    }
}

/// The type of a value; `None` for null.
pub fn kind_of(value: &Value) -> Option<&'static str> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) => "boolean",
        Value::Number(_) if Decimal::of(value).is_some_and(Decimal::is_integer) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    })
}

/// Maps each listed value other than null; `None` if the mapping fails for one, or no values are listed.
fn listed<T>(schema: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    let values = schema["enum"].as_array()?;
    values.iter().filter(|value| !value.is_null()).map(read).collect()
}

/// Schemas that together allow the same values: one for each listed value, and one for null.
fn parts(schema: &Map<String, Value>) -> Option<Vec<Value>> {
    let null = json!({ "enum": [null] });
    let rest = Value::Object(schema.clone());
    if let Some(Value::Array(values)) = schema.get("enum") {
        let part = |value: &Value| {
            let mut part = without(schema, &["nullable"]);
            part["enum"] = json!([value]);
            if value.is_null() && nullable(&rest) { null.clone() } else { part }
        };
        return (values.len() > 1).then(|| values.iter().map(part).collect());
    }
    let is_nullable = schema.contains_key("type") && nullable(&rest);
    is_nullable.then(|| vec![without(schema, &["nullable"]), null])
}

/// Whether every value of the type has this format. The format of an integer is checked as a bound, and an
/// integer without a format has 64 bits.
fn is_annotation(format: &Value, a: &Value) -> bool {
    let formats: &[&str] = match a["type"].as_str() {
        Some("number" | "integer") => &["double", "float", "int32", "int64"],
        Some("string") => &["password"],
        _ => &[],
    };
    formats.iter().any(|known| format == known)
}

/// The bound that a format implies.
fn of_format(schema: &Value, keyword: &str) -> Option<i64> {
    match (schema["format"].as_str()?, keyword) {
        ("int32", "minimum") => Some(i32::MIN.into()),
        ("int32", "maximum") => Some(i32::MAX.into()),
        _ => None,
    }
}

/// The schema of a property; `None` if the property is not allowed.
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
    matcher(pattern).is_some_and(|pattern| pattern.is_match(name))
}

/// The compiled pattern, which runs in linear time. `None` if it has lookaround or backreferences.
fn matcher(pattern: &str) -> Option<regex::Regex> {
    let pattern = jsonschema_regex::to_rust_regex(pattern).ok()?;
    RegexBuilder::new(&pattern).size_limit(MAX_PATTERN).build().ok()
}

/// The schema of additional properties; `None` if they are not allowed.
fn others(side: &Value) -> Option<Value> {
    match &side["additionalProperties"] {
        Value::Bool(false) => None,
        Value::Object(schema) => Some(schema.clone().into()),
        _ => Some(json!({})),
    }
}

/// The bound that a keyword sets or other keywords imply.
fn bound(side: &Value, keyword: &str) -> Option<Decimal> {
    let count = |count: usize| i64::try_from(count).ok().map(Decimal::from);
    let lengths = || listed(side, |value| count(value.as_str()?.chars().count()));
    let numbers = || listed(side, Decimal::of);
    let of_format = || of_format(side, keyword).map(Decimal::from);
    let least = |numbers: Vec<Decimal>| numbers.into_iter().reduce(lower);
    let greatest = |numbers: Vec<Decimal>| numbers.into_iter().reduce(upper);
    let implied = match keyword {
        "minLength" => lengths().and_then(least).or(Some(0.into())),
        "maxLength" => lengths().and_then(greatest),
        "minItems" => Some(0.into()),
        "minimum" => numbers().and_then(least).or_else(of_format),
        "maximum" => numbers().and_then(greatest).or_else(of_format),
        "minProperties" => count(list(&side["required"]).count()),
        "maxProperties"
            if side["additionalProperties"] == json!(false)
                && side["patternProperties"].is_null() =>
        {
            count(entries(&side["properties"]).count())
        }
        _ => None,
    };
    let tighter = if keyword.starts_with("min") { upper } else { lower };
    [Decimal::of(&side[keyword]), implied].into_iter().flatten().reduce(tighter)
}

fn lower(one: Decimal, other: Decimal) -> Decimal {
    if other < one { other } else { one }
}

fn upper(one: Decimal, other: Decimal) -> Decimal {
    if other > one { other } else { one }
}

/// The target of a reference to a schema that contains itself; any other schema as it is.
pub fn resolved<'a>(schema: &'a Value, definitions: &'a Value) -> Option<&'a Value> {
    match schema.get("$ref") {
        Some(reference) => definitions.get(reference.as_str()?),
        None => Some(schema),
    }
}

/// Whether null is allowed. A schema without a type allows it, unless it lists its values.
fn nullable(schema: &Value) -> bool {
    let lists_null = || list(&schema["enum"]).any(Value::is_null);
    schema["nullable"] == json!(true)
        || (schema["type"].is_null() && (schema["enum"].is_null() || lists_null()))
}

fn without(schema: &Map<String, Value>, keys: &[&str]) -> Value {
    let rest = schema.iter().filter(|(key, _)| !keys.contains(&key.as_str()));
    rest.map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest schemas in which a rule finds a difference.
    struct Case {
        code: Code,
        a: Value,
        b: Value,
    }

    fn codes(a: &Value, b: &Value) -> Vec<Code> {
        let comparison = Comparison::new(json!({}), json!({}));
        let differences = comparison.subset(a, b, &Place::default());
        differences.iter().map(|difference| difference.code).collect()
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
            let comparison = Comparison::new(json!({}), json!({}));
            for (a, b) in [(&a, &b), (&b, &a)] {
                assert_eq!(comparison.disjoint(a, b, MAX_DISJOINT), expected, "{a} {b}");
            }
        }
    }
}
