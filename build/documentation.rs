//! Descriptions as documentation: what looks like code is no doctest, and what looks like a link is none to rustdoc.

use serde_yaml::Value;

/// Changes every description of a document.
pub fn prepare(value: &mut Value) {
    match value {
        Value::Mapping(map) => {
            for (key, value) in map.iter_mut() {
                match (key.as_str(), &mut *value) {
                    (Some("description" | "summary"), Value::String(text)) => *text = plain(text),
                    (Some("x-enum-descriptions"), Value::Mapping(texts)) => {
                        for text in texts.values_mut() {
                            if let Value::String(text) = text {
                                *text = plain(text);
                            }
                        }
                    }
                    _ => prepare(value),
                }
            }
        }
        Value::Sequence(list) => list.iter_mut().for_each(prepare),
        _ => {}
    }
}

/// A text without indented code, with fenced code as text, and without links of rustdoc's own.
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

/// A line whose brackets and addresses, outside of `code`, are what they look like.
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
