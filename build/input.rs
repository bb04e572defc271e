//! The input of progenitor: the spec, adjusted where progenitor would generate imprecise or unreadable types.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;

use crate::document::references;
use crate::spec::SCHEMAS;

/// Keywords that are rules and do not affect types.
const RULES: [&str; 3] = ["minLength", "maxLength", "pattern"];

/// Changes a checked document so that progenitor generates the types that it means. Requests consist of the `sent`
/// schemas.
pub fn prepare(document: &mut Value, sent: &BTreeSet<String>) {
    write_out_plain(document, sent);
    let schemas =
        document.get_mut("components").and_then(|components| components.get_mut("schemas"));
    for (_, schema) in schemas.and_then(Value::as_mapping_mut).into_iter().flatten() {
        // Bounds of a string with a name make a type with that name; bounds of other strings would make more types.
        if let Some(map) = schema.as_mapping_mut() {
            map.remove("pattern");
        }
        describe_deprecated(schema);
        below(schema);
    }
    let responses = document.get("components").and_then(|components| components.get("responses"));
    let responses = responses.cloned().unwrap_or_default();
    let paths = document.get_mut("paths").and_then(Value::as_mapping_mut).into_iter().flatten();
    for (_, operation) in paths.filter_map(|(_, item)| item.as_mapping_mut()).flatten() {
        describe_deprecated(operation);
        let all = operation.get_mut("responses").and_then(Value::as_mapping_mut);
        for (_, response) in all.into_iter().flatten() {
            let name = response.get("$ref").and_then(Value::as_str);
            let name = name.and_then(|reference| reference.rsplit('/').next());
            if let Some(shared) = name.and_then(|name| responses.get(name)) {
                *response = shared.clone();
            }
        }
    }
}

/// The names of the schemas that requests consist of.
pub fn sent(document: &Value) -> BTreeSet<String> {
    let paths = document.get("paths").and_then(Value::as_mapping).into_iter().flatten();
    let operations = paths.filter_map(|(_, item)| item.as_mapping()).flatten();
    let bodies = operations.filter_map(|(_, operation)| operation.get("requestBody"));
    reached(document, bodies.collect())
}

/// The names of the schemas that a content consists of, `Content` among them.
pub fn content(document: &Value) -> BTreeSet<String> {
    let content = named(document, "Content");
    let mut names = reached(document, content.into_iter().collect());
    names.extend(content.map(|_| "Content".to_owned()));
    names
}

/// The names of the schemas that parts of the document refer to, and those that these refer to.
fn reached<'a>(document: &'a Value, mut parts: Vec<&'a Value>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    while let Some(part) = parts.pop() {
        let mut found = Vec::new();
        references(part, &mut found);
        for name in found.iter().filter_map(|reference| reference.strip_prefix(SCHEMAS)) {
            if names.insert(name.to_owned()) {
                parts.extend(named(document, name));
            }
        }
    }
    names
}

/// Some schemas of requests need no Rust type of their own: replaces references to them by the schemas. For a string
/// with a name, progenitor would make a type that only some strings convert into.
fn write_out_plain(document: &mut Value, sent: &BTreeSet<String>) {
    let plain = sent.iter().filter_map(|name| {
        let schema = named(document, name).filter(|schema| is_plain(schema))?;
        Some((name.clone(), schema.clone()))
    });
    let plain: BTreeMap<_, _> = plain.collect();
    write_out(document, &plain, &mut Vec::new());
    let mut left = Vec::new();
    references(document, &mut left);
    let left: BTreeSet<_> = left.into_iter().map(str::to_owned).collect();
    let schemas = document["components"]["schemas"].as_mapping_mut();
    if let Some(schemas) = schemas {
        let is_left = |name: &str| left.contains(&format!("{SCHEMAS}{name}"));
        let is_needed = |name: &str| !plain.contains_key(name) || is_left(name);
        schemas.retain(|name, _| name.as_str().is_none_or(is_needed));
    }
}

/// Whether a schema is a string, a list or a map, whose Rust type needs no name.
fn is_plain(schema: &Value) -> bool {
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => schema.get("enum").is_none() && schema.get("x-extensible-enum").is_none(),
        Some("object") => schema.get("properties").is_none(),
        Some("array") => true,
        _ => false,
    }
}

/// Replaces references to plain schemas by the schemas, except those `within` which it is already.
fn write_out(part: &mut Value, plain: &BTreeMap<String, Value>, within: &mut Vec<String>) {
    let reference = |part: &Value| {
        let name = part.get("$ref")?.as_str()?.strip_prefix(SCHEMAS)?;
        plain.get_key_value(name).map(|(name, schema)| (name.clone(), schema.clone()))
    };
    // `allOf` with one item gives it a description.
    let item = part.get("allOf").and_then(Value::as_sequence).and_then(|items| items.first());
    let found = reference(part).or_else(|| reference(item?));
    if let Some((name, schema)) = found.filter(|(name, _)| !within.contains(name)) {
        let mut written = schema.as_mapping().cloned().unwrap_or_default();
        for (key, value) in part.as_mapping().into_iter().flatten() {
            if !matches!(key.as_str(), Some("$ref" | "allOf")) {
                written.insert(key.clone(), value.clone());
            }
        }
        *part = Value::Mapping(written);
        within.push(name);
        write_out(part, plain, within);
        within.pop();
        return;
    }
    match part {
        Value::Mapping(map) => map.values_mut().for_each(|part| write_out(part, plain, within)),
        Value::Sequence(list) => list.iter_mut().for_each(|part| write_out(part, plain, within)),
        _ => {}
    }
}

fn named<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    document.get("components")?.get("schemas")?.get(name)
}

/// Changes the schemas below one.
fn below(schema: &mut Value) {
    let Some(map) = schema.as_mapping_mut() else { return };
    let nullable: Vec<_> = map
        .get("properties")
        .and_then(Value::as_mapping)
        .into_iter()
        .flatten()
        .filter(|(_, schema)| schema.get("nullable").is_some())
        .map(|(name, _)| name.clone())
        .collect();
    if let Some(Value::Sequence(required)) = map.get_mut("required") {
        // A nullable value is an option, whether or not it can be missing.
        required.retain(|name| !nullable.contains(name));
    }
    for (key, value) in map.iter_mut() {
        match (key.as_str(), value) {
            (Some("properties"), Value::Mapping(schemas)) => {
                schemas.values_mut().for_each(unnamed);
            }
            (Some("items" | "additionalProperties"), schema) => unnamed(schema),
            (Some("oneOf"), Value::Sequence(schemas)) => schemas.iter_mut().for_each(unnamed),
            _ => {}
        }
    }
}

fn unnamed(schema: &mut Value) {
    if let Some(map) = schema.as_mapping_mut() {
        map.retain(|key, _| key.as_str().is_none_or(|key| !RULES.contains(&key)));
    }
    describe_deprecated(schema);
    below(schema);
}

/// Adds the deprecation to the description, so that it is in the documentation.
fn describe_deprecated(described: &mut Value) {
    let Value::Mapping(map) = described else { return };
    if map.get("deprecated").is_none() {
        return;
    }
    match map.get_mut("description") {
        Some(Value::String(text)) if text.to_lowercase().contains("deprecated") => {}
        Some(Value::String(text)) => text.push_str("\n\nDeprecated."),
        _ => _ = map.insert("description".into(), "Deprecated.".into()),
    }
}
