//! What progenitor is given: the spec, with what it would turn into types that say less or cannot be read.

use serde_yaml::Value;

/// Keywords that are rules, and none of a type.
const RULES: [&str; 3] = ["minLength", "maxLength", "pattern"];

/// Changes a checked document into one that progenitor understands as it is meant.
pub fn prepare(document: &mut Value) {
    let schemas =
        document.get_mut("components").and_then(|components| components.get_mut("schemas"));
    for (_, schema) in schemas.and_then(Value::as_mapping_mut).into_iter().flatten() {
        // Bounds of a string with a name make a type with that name; those of others would make more types.
        if let Some(map) = schema.as_mapping_mut() {
            map.remove("pattern");
        }
        tell_deprecated(schema);
        below(schema);
    }
    let responses = document.get("components").and_then(|components| components.get("responses"));
    let responses = responses.cloned().unwrap_or_default();
    let paths = document.get_mut("paths").and_then(Value::as_mapping_mut).into_iter().flatten();
    for (_, operation) in paths.filter_map(|(_, item)| item.as_mapping_mut()).flatten() {
        tell_deprecated(operation);
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

/// The schemas below one.
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
        // What may be null is an option, whether it may be missing or not.
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
    tell_deprecated(schema);
    below(schema);
}

/// Rust users read of it in the documentation.
fn tell_deprecated(described: &mut Value) {
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
