//! Descriptions as documentation. Code-like text must not become a doctest, nor link-like text a rustdoc link.

use serde_yaml::Value;

/// Changes every description of a document, and adds bounds to it.
pub fn prepare(document: &mut Value) {
    let named = document.get("components").and_then(|components| components.get("schemas"));
    let named = named.cloned().unwrap_or_default();
    add_bounds(document, &named);
    make_plain(document);
}

/// Adds the bounds of a schema to its description.
fn add_bounds(part: &mut Value, named: &Value) {
    let bounds = bounds(part, named);
    match part {
        Value::Mapping(map) => {
            let description = map.get_mut("description");
            if let (Some(bounds), Some(Value::String(text))) = (bounds, description) {
                text.push_str(&format!(" {bounds}"));
            }
            let parts = map.iter_mut().filter(|(key, _)| key.as_str() != Some("example"));
            parts.for_each(|(_, part)| add_bounds(part, named));
        }
        Value::Sequence(list) => list.iter_mut().for_each(|part| add_bounds(part, named)),
        _ => {}
    }
}

/// The bounds of a string, or of the strings in a list or a map, in words.
fn bounds(schema: &Value, named: &Value) -> Option<String> {
    let of_each = |key| {
        let mut each = schema.get(key)?;
        if let Some(reference) = each.get("$ref") {
            each = named.get(reference.as_str()?.rsplit('/').next()?)?;
        }
        (each.get("type")? == "string").then(|| bounds(each, named))?
    };
    let bound = |key| schema.get(key).and_then(Value::as_u64);
    match schema.get("type")?.as_str()? {
        "string" => match (bound("minLength"), bound("maxLength")) {
            (Some(min), Some(max)) => Some(format!("It has {min} to {max} characters.")),
            (Some(min), None) => Some(format!("It has at least {min} characters.")),
            (None, Some(max)) => Some(format!("It has at most {max} characters.")),
            (None, None) => None,
        },
        "array" => Some(of_each("items")?.replacen("It", "Each item", 1)),
        "object" => Some(of_each("additionalProperties")?.replacen("It", "Each value", 1)),
        _ => None,
    }
}

fn make_plain(value: &mut Value) {
    match value {
        Value::Mapping(map) => {
            for (key, value) in map.iter_mut() {
                match (key.as_str(), &mut *value) {
                    (Some("example"), _) => {}
                    (Some("description" | "summary"), Value::String(text)) => *text = plain(text),
                    (Some("x-enum-descriptions"), Value::Mapping(texts)) => {
                        for text in texts.values_mut() {
                            if let Value::String(text) = text {
                                *text = plain(text);
                            }
                        }
                    }
                    _ => make_plain(value),
                }
            }
        }
        Value::Sequence(list) => list.iter_mut().for_each(make_plain),
        _ => {}
    }
}

/// A text without indented code, with fenced code as text, and without intra-doc links.
fn plain(text: &str) -> String {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let start = line.trim_start();
        if start.starts_with("```") || start.starts_with("~~~") {
            fenced = !fenced;
            lines.push(if fenced { "```text".to_owned() } else { "```".to_owned() });
        } else if fenced {
            lines.push(line.to_owned());
        } else {
            lines.push(escaped(start));
        }
    }
    if fenced {
        lines.push("```".to_owned());
    }
    lines.join("\n")
}

/// Escapes a line outside of `code`: brackets are shown as they are, and addresses become links.
fn escaped(line: &str) -> String {
    if line.contains("](") {
        return line.to_owned(); // a link, as Markdown has it
    }
    let parts = line.split('`').enumerate().map(|(index, part)| {
        if index % 2 == 1 {
            return part.to_owned();
        }
        let words = part.split(' ').map(|word| {
            if word.starts_with("http://") || word.starts_with("https://") {
                let end = word.trim_end_matches(['.', ',', ';', ':', ')']).len();
                return format!("<{}>{}", &word[..end], &word[end..]);
            }
            word.replace('[', "\\[").replace(']', "\\]").replace('<', "\\<")
        });
        words.collect::<Vec<_>>().join(" ")
    });
    parts.collect::<Vec<_>>().join("`")
}
