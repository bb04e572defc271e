//! Keeps secrets and the text of messages out of errors.

use serde_json::Value;

/// In bytes. A shorter secret is hidden only as a whole word: it may be a part of many other words.
const SHORT: usize = 8;
const HIDDEN: &str = "[secret]";
/// The most characters of a text in an error.
const SHOWN: usize = 300;

/// Texts that must not be in an error, in every spelling, the longest first: one can contain another.
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    pub(crate) fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut spellings: Vec<_> =
            texts.filter(|text| !text.is_empty()).flat_map(spellings).collect();
        spellings.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        spellings.dedup();
        Self(spellings)
    }

    /// The text without secrets, even if it is JSON that spells them differently.
    pub(crate) fn hide(&self, text: &str, cut: bool) -> String {
        let mut hidden = self.hide_plain(text);
        if let Ok(mut json) = serde_json::from_str::<Value>(&hidden) {
            let before = json.clone();
            if *self.hide_in_json(&mut json) != before {
                hidden = json.to_string();
            }
        }
        // Where the text was cut within a secret, it ends with the start of one.
        for secret in self.0.iter().filter(|_| cut) {
            let mut starts = (SHORT..secret.len()).rev().filter_map(|end| secret.get(..end));
            if let Some(start) = starts.find(|start| hidden.ends_with(start)) {
                hidden.truncate(hidden.len() - start.len());
                hidden.push_str(HIDDEN);
            }
        }
        hidden
    }

    fn hide_plain(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = replace(&text, secret);
            }
        }
        text
    }

    /// The JSON without secrets in any string, number or key.
    pub(crate) fn hide_in_json<'a>(&self, json: &'a mut Value) -> &'a Value {
        match json {
            Value::String(text) => *text = self.hide_plain(text),
            Value::Number(number) if self.0.contains(&number.to_string()) => *json = HIDDEN.into(),
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

    pub(crate) fn occur_in(&self, text: &str) -> bool {
        self.hide_plain(text) != text
    }
}

/// A secret as it is, as JSON escapes it, with or without slashes, and as HTML escapes it.
fn spellings(secret: &str) -> [String; 5] {
    let json = Value::from(secret).to_string();
    let escaped = json.get(1..json.len() - 1).unwrap_or_default();
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    [
        secret.to_owned(),
        escaped.to_owned(),
        escaped.replace('/', "\\/"),
        html.replace('"', "&quot;").replace('\'', "&#39;"),
        html.replace('"', "&#34;").replace('\'', "&#x27;"),
    ]
}

/// The text without a secret; a short one is replaced only where it is a whole word.
fn replace(text: &str, secret: &str) -> String {
    let is_part = |c: Option<char>| secret.len() < SHORT && c.is_some_and(char::is_alphanumeric);
    let (mut replaced, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(secret) {
        let (before, after) = (&rest[..at], &rest[at + secret.len()..]);
        let previous = before.chars().next_back().or(replaced.chars().next_back());
        replaced.push_str(before);
        let is_word = !is_part(previous) && !is_part(after.chars().next());
        replaced.push_str(if is_word { HIDDEN } else { secret });
        rest = after;
    }
    replaced + rest
}

/// The start of a text from the server, on one line.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut characters = line.chars().filter(|c| !c.is_control());
    let start: String = characters.by_ref().take(SHOWN).collect();
    if characters.next().is_some() { start + "..." } else { start }
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
        Secrets::new(
            [TOKEN, "short", "bp_pat_long_5ecret", "bp_pat_long_5ecret_and_more", "4711"]
                .into_iter(),
        )
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
            Case {
                name: "a short one, as a word",
                text: "short, (short) shorts".into(),
                cut: false,
                hidden: "[secret], ([secret]) shorts",
            },
            Case {
                name: "one within another",
                text: "bp_pat_long_5ecret_and_more bp_pat_long_5ecret".into(),
                cut: false,
                hidden: "[secret] [secret]",
            },
            Case {
                name: "a number",
                text: r#"{"a":4711}"#.into(),
                cut: false,
                hidden: r#"{"a":[secret]}"#,
            },
            Case {
                name: "as HTML",
                text: "<p>bp&quot;pat\\\\5/ecret</p>".into(),
                cut: false,
                hidden: "<p>[secret]</p>",
            },
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
            assert_eq!(one_line(&text), line);
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
