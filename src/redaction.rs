//! Keeps secrets and the text of messages out of errors.

use std::fmt;

use http::HeaderValue;
use serde_json::Value;

/// In bytes. A shorter value is no secret, and would be found in any text.
const SHORTEST_SECRET: usize = 8;
const HIDDEN: &str = "[secret]";
/// Characters of a text in an error.
const SHOWN: usize = 300;

/// Texts that must not be in an error.
pub(crate) struct Secrets(Vec<String>);

/// The start of a text by somebody else, on one line.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl Secrets {
    pub(crate) fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        Self(texts.filter(|text| text.len() >= SHORTEST_SECRET).map(str::to_owned).collect())
    }

    /// The text without secrets, also if it is JSON that spells them in another way.
    pub(crate) fn hide(&self, text: &str, cut: bool) -> String {
        let mut hidden = self.hide_plain(text);
        if let Ok(mut json) = serde_json::from_str::<Value>(&hidden) {
            let before = json.clone();
            if *self.hide_in_json(&mut json) != before {
                hidden = json.to_string();
            }
        }
        // Where the text was cut within a secret, it ends with the start of one.
        for secret in self.spellings().filter(|_| cut) {
            let mut starts =
                (SHORTEST_SECRET..secret.len()).rev().filter_map(|end| secret.get(..end));
            if let Some(start) = starts.find(|start| hidden.ends_with(start)) {
                hidden.truncate(hidden.len() - start.len());
                hidden.push_str(HIDDEN);
            }
        }
        hidden
    }

    fn hide_plain(&self, text: &str) -> String {
        self.spellings().fold(text.to_owned(), |text, secret| text.replace(&*secret, HIDDEN))
    }

    /// The JSON without secrets in any string or key.
    pub(crate) fn hide_in_json<'a>(&self, json: &'a mut Value) -> &'a Value {
        match json {
            Value::String(text) => *text = self.hide_plain(text),
            Value::Array(items) => {
                for item in items {
                    self.hide_in_json(item);
                }
            }
            Value::Object(object) => {
                *object = std::mem::take(object)
                    .into_iter()
                    .map(|(key, mut value)| {
                        self.hide_in_json(&mut value);
                        (self.hide_plain(&key), value)
                    })
                    .collect();
            }
            _ => {}
        }
        json
    }

    /// Each secret as it is, and as JSON escapes it, which may escape slashes too.
    fn spellings(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|secret| {
            let json = Value::from(secret.as_str()).to_string();
            let escaped = json.get(1..json.len() - 1).unwrap_or_default();
            [secret.clone(), escaped.to_owned(), escaped.replace('/', "\\/")]
        })
    }

    pub(crate) fn occur_in(&self, value: &HeaderValue) -> bool {
        let text = String::from_utf8_lossy(value.as_bytes());
        self.hide_plain(&text) != text
    }
}

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut characters = line.chars().filter(|c| !c.is_control());
        let start: String = characters.by_ref().take(SHOWN).collect();
        let rest = if characters.next().is_some() { "..." } else { "" };
        write!(f, "{start}{rest}")
    }
}

/// Why a response cannot be decoded, without any text of the message that it contains.
pub(crate) fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!("line {} column {}", error.line(), error.column());
    match text.rsplit_once(", expected ") {
        _ if text.starts_with("missing field ") || error.is_syntax() || error.is_eof() => text,
        Some((_, expected)) => format!("something other than {expected}"),
        None => format!("cannot be decoded at {place}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOKEN: &str = r#"bp"pat\\5/ecret"#;

    fn secrets() -> Secrets {
        Secrets::new([TOKEN, "short"].into_iter())
    }

    #[test]
    fn secrets_are_hidden_in_every_spelling() {
        struct Case {
            name: &'static str,
            text: String,
            cut: bool,
            hidden: &'static str,
        }
        let spelled = json!(TOKEN).to_string();
        let unicode: String = TOKEN.chars().map(|c| format!("\\u{:04x}", c as u32)).collect();
        let cases = [
            Case { name: "none", text: "a text".into(), cut: false, hidden: "a text" },
            Case { name: "too short", text: "short".into(), cut: false, hidden: "short" },
            Case {
                name: "plain, twice",
                text: format!("{TOKEN}, {TOKEN}."),
                cut: false,
                hidden: "[secret], [secret].",
            },
            Case {
                name: "as JSON",
                text: format!("not JSON: {spelled}"),
                cut: false,
                hidden: r#"not JSON: "[secret]""#,
            },
            Case {
                name: "as JSON with escaped slashes",
                text: format!("not JSON: {}", spelled.replace('/', "\\/")),
                cut: false,
                hidden: r#"not JSON: "[secret]""#,
            },
            Case {
                name: "in code points, as a value and a key",
                text: format!(r#"{{"a":["{unicode}"],"{unicode}":1}}"#),
                cut: false,
                hidden: r#"{"[secret]":1,"a":["[secret]"]}"#,
            },
            Case {
                name: "JSON without secrets stays as it is",
                text: r#"{ "b" : 1 }"#.into(),
                cut: false,
                hidden: r#"{ "b" : 1 }"#,
            },
            Case {
                name: "cut within it",
                text: format!("a {}", &TOKEN[..10]),
                cut: true,
                hidden: "a [secret]",
            },
            Case {
                name: "whole text that ends like it",
                text: format!("a {}", &TOKEN[..10]),
                cut: false,
                hidden: r#"a bp"pat\\5/"#,
            },
            Case {
                name: "cut after seven characters",
                text: TOKEN[..7].into(),
                cut: true,
                hidden: r#"bp"pat\"#,
            },
        ];
        for Case { name, text, cut, hidden } in cases {
            assert_eq!(secrets().hide(&text, cut), hidden, "{name}");
        }
    }

    #[test]
    fn headers_with_secrets_are_found() {
        for (value, found) in [(format!("Bearer {TOKEN}"), true), ("Bearer".into(), false)] {
            let header = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            assert_eq!(secrets().occur_in(&header), found, "{value}");
        }
    }

    #[test]
    fn texts_are_cut_to_one_line() {
        struct Case {
            text: String,
            line: String,
        }
        let cases = [
            Case { text: " a\r\n\tb  c ".into(), line: "a b c".into() },
            Case { text: "a\u{7}b\u{1b}[31m".into(), line: "ab[31m".into() },
            Case { text: "é".repeat(300), line: "é".repeat(300) },
            Case { text: "é".repeat(301), line: format!("{}...", "é".repeat(300)) },
        ];
        for Case { text, line } in cases {
            assert_eq!(OneLine(&text).to_string(), line);
        }
    }

    #[test]
    fn decoding_errors_do_not_show_values() {
        #[derive(Debug, serde::Deserialize)]
        struct Stored {
            #[serde(rename = "id")]
            _id: u32,
            #[serde(rename = "at", deserialize_with = "crate::decode::date")]
            _at: chrono::DateTime<chrono::Utc>,
        }
        struct Case {
            json: &'static str,
            text: &'static str,
        }
        let cases = [
            Case { json: r#"{"id":1}"#, text: "missing field `at` at line 1 column 8" },
            Case {
                json: r#"{"id":"Dear diary"}"#,
                text: "something other than u32 at line 1 column 18",
            },
            Case {
                json: r#"{"id":1,"at":"Dear diary"}"#,
                text: "cannot be decoded at line 1 column 25",
            },
            Case { json: r#"{"id":Dear diary}"#, text: "expected value at line 1 column 7" },
            Case { json: r#"{"id":1"#, text: "EOF while parsing an object at line 1 column 7" },
        ];
        for Case { json, text } in cases {
            let error = serde_json::from_str::<Stored>(json).unwrap_err();
            assert_eq!(without_values(&error), text, "{json}");
        }
    }
}
