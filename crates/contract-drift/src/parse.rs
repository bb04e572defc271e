//! Text to JSON values.

use serde_json::{Map, Value};
use serde_yaml::Value as Yaml;

use crate::error::{Error, Result};

/// The value of a JSON or YAML text. Merge keys (`<<`) are applied.
pub fn parse(text: &str) -> Result<Value> {
    let looks_like_json = text.trim_start().starts_with(['{', '[']);
    let as_json = || serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"));
    match looks_like_json.then(as_json) {
        Some(Ok(value)) => Ok(value),
        // A flow mapping of YAML begins like JSON.
        Some(Err(cause)) => yaml(text).map_err(|_| cause.into()),
        None => yaml(text),
    }
}

fn yaml(text: &str) -> Result<Value> {
    let wrong = |e: serde_yaml::Error| Error::from(format!("not YAML: {e}"));
    let mut value: Yaml = serde_yaml::from_str(text).map_err(wrong)?;
    value.apply_merge().map_err(wrong)?;
    json(value)
}

fn json(value: Yaml) -> Result<Value> {
    Ok(match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => value.into(),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (.., Some(number)) if number.is_finite() => number.into(),
            _ => return Err(format!("the number {number} cannot be written in JSON").into()),
        },
        Yaml::String(text) => text.into(),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(json).collect::<Result<_>>()?),
        Yaml::Mapping(entries) => {
            let entries = entries.into_iter().map(|(key, value)| Ok((name(key)?, json(value)?)));
            Value::Object(entries.collect::<Result<Map<_, _>>>()?)
        }
        Yaml::Tagged(tagged) => return Err(format!("the tag {} is not known", tagged.tag).into()),
    })
}

/// A key: `200` is the same as `"200"`.
fn name(key: Yaml) -> Result<String> {
    match key {
        Yaml::String(text) => Ok(text),
        Yaml::Number(number) => Ok(number.to_string()),
        Yaml::Bool(value) => Ok(value.to_string()),
        _ => Err("a key that is not a string".into()),
    }
}

/// The entries of a mapping, which has no other keys than these.
pub fn entries_of<'a>(
    value: &'a Value,
    what: &str,
    known: &[&str],
) -> Result<&'a Map<String, Value>> {
    let entries = value.as_object().ok_or_else(|| format!("{what} is not a mapping"))?;
    match entries.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => {
            let known = known.join("`, `");
            Err(format!("{what} has the unknown key `{key}`; known are `{known}`").into())
        }
        None => Ok(entries),
    }
}

/// A text of a mapping, if present.
pub fn text_of(entries: &Map<String, Value>, key: &str) -> Result<Option<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let texts = entries.get(key).map(|value| text(value).ok_or(format!("`{key}` is not a text")));
    Ok(texts.transpose()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_and_yaml_are_read() {
        let value = json!({ "responses": { "200": { "b": 1.5 }, "404": { "a": -1, "b": 1.5 } } });
        let texts = [
            r#"{ "responses": { "200": { "b": 1.5 }, "404": { "a": -1, "b": 1.5 } } }"#,
            "responses:\n  200: &ok { b: 1.5 }\n  404:\n    <<: *ok\n    a: -1\n",
            "{responses: {200: {b: 1.5}, 404: {a: -1, b: 1.5}}}",
        ];
        for text in texts {
            assert_eq!(parse(text), Ok(value.clone()), "{text}");
        }
    }

    #[test]
    fn invalid_text_is_an_error_in_one_line() {
        let deep = "[".repeat(1000);
        let cases = [
            ("{\"a\": 1", "not JSON"),
            (&deep, "not JSON"),
            ("a: [", "not YAML"),
            ("a: 1\na: 2", "not YAML: duplicate"),
            ("---\na: 1\n---\nb: 1", "not YAML"),
            ("a: .nan", "cannot be written in JSON"),
            ("[1]: 1", "not JSON"),
            ("? [1]\n: 1", "not a string"),
            ("a: !secret 1", "the tag !secret"),
        ];
        for (text, cause) in cases {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(cause) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
