//! Keeps secrets and what messages say out of errors.

use std::fmt;

use http::HeaderValue;
use serde_json::Value;

/// What no error may show. A value of less than eight characters is no secret, and would be found in
/// any text.
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    const SHORTEST: usize = 8;
    const HIDDEN: &str = "[secret]";

    pub(crate) fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        Self(texts.filter(|text| text.len() >= Self::SHORTEST).map(str::to_owned).collect())
    }

    /// A text without the secrets, also if it is JSON that spells them in its own way.
    pub(crate) fn hide(&self, text: &str, cut: bool) -> String {
        let mut hidden = self.hide_plain(text);
        if let Ok(mut json) = serde_json::from_str::<Value>(&hidden) {
            let before = json.clone();
            if *self.hide_in_json(&mut json) != before {
                hidden = json.to_string();
            }
        }
        // The start of a secret is one too, where the text was cut within it.
        for secret in self.spellings().filter(|_| cut) {
            let mut starts =
                (Self::SHORTEST..secret.len()).rev().filter_map(|end| secret.get(..end));
            if let Some(start) = starts.find(|start| hidden.ends_with(start)) {
                hidden.truncate(hidden.len() - start.len());
                hidden.push_str(Self::HIDDEN);
            }
        }
        hidden
    }

    fn hide_plain(&self, text: &str) -> String {
        self.spellings().fold(text.to_owned(), |text, secret| text.replace(&*secret, Self::HIDDEN))
    }

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

    pub(crate) fn stand_in(&self, value: &HeaderValue) -> bool {
        let text = String::from_utf8_lossy(value.as_bytes());
        self.hide_plain(&text) != text
    }
}

/// The start of a text that others wrote, on one line.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 300;
        let line = self.0.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut characters = line.chars().filter(|c| !c.is_control());
        let start: String = characters.by_ref().take(SHOWN).collect();
        let rest = if characters.next().is_some() { "..." } else { "" };
        write!(f, "{start}{rest}")
    }
}

/// Why an answer cannot be decoded, without anything of the message that it holds.
pub(crate) fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!("line {} column {}", error.line(), error.column());
    match text.rsplit_once(", expected ") {
        _ if text.starts_with("missing field ") || error.is_syntax() || error.is_eof() => text,
        Some((_, expected)) => format!("something other than {expected}"),
        None => format!("cannot be decoded at {place}"),
    }
}
