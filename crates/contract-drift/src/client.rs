//! The behaviour of a client that is not in its spec.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::error::Result;
use crate::normal::Document;
use crate::parse::{entries_of, parse, text_of};

/// The behaviour of a client that is not in its spec. It is in a file next to the spec:
///
/// ```yaml
/// # Parameters that the client always sends.
/// sends:
///   - { in: header, name: x-api-key }
/// # The errors that it reads, instead of those in the spec.
/// errors:
///   type: object
///   required: [message]
///   properties: { message: { type: string } }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Client {
    sends: BTreeSet<String>,
    errors: Option<Value>,
}

impl Client {
    /// Reads a JSON or YAML text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut file = parse(text)?;
        if file.is_null() {
            file = json!({});
        }
        let file = entries_of(&file, "the file", &["sends", "errors"])?;
        let sends = file.get("sends").map(|sends| sends.as_array().ok_or("`sends` is not a list"));
        let sends = sends.transpose()?.into_iter().flatten().map(key_of);
        // The schema is on its own, so no reference can lead out of it.
        let errors = file.get("errors").map(Document::schema_in_normal_form).transpose()?;
        Ok(Self { sends: sends.collect::<Result<_>>()?, errors })
    }

    /// Whether it always sends this parameter: `header x-api-key`.
    pub(crate) fn sends(&self, parameter: &str) -> bool {
        self.sends.contains(parameter)
    }

    /// The errors that it reads.
    pub(crate) fn errors(&self) -> Option<&Value> {
        self.errors.as_ref()
    }
}

/// The name of a parameter in contracts.
fn key_of(sent: &Value) -> Result<String> {
    let entries = entries_of(sent, "an entry of `sends`", &["in", "name"])?;
    let [place, name] = ["in", "name"].map(|key| text_of(entries, key));
    match (place?.as_deref(), name?) {
        (Some("header"), Some(name)) => Ok(format!("header {}", name.to_lowercase())),
        (Some(place @ ("query" | "cookie")), Some(name)) => Ok(format!("{place} {name}")),
        (_, None) => Err("an entry of `sends` has no `name`".into()),
        _ => Err("`in` of an entry of `sends` is not `header`, `query` or `cookie`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_a_client_is_read() {
        let client = Client::parse("sends: [{ in: header, name: X-Key }]").unwrap();
        assert!(client.sends("header x-key") && !client.sends("query x-key"));
        assert_eq!(client.errors(), None);
        let client = Client::parse("errors: { type: object, title: Error }").unwrap();
        assert_eq!(client.errors(), Some(&serde_json::json!({ "type": "object" })));
    }

    #[test]
    fn mistake_in_the_file_is_an_error() {
        let cases = [
            ("send: []", "the file has the unknown key `send`; known are `sends`, `errors`"),
            ("[]", "the file is not a mapping"),
            ("sends: 1", "`sends` is not a list"),
            ("sends: [1]", "an entry of `sends` is not a mapping"),
            ("sends: [{ in: header }]", "an entry of `sends` has no `name`"),
            (
                "sends: [{ in: body, name: a }]",
                "`in` of an entry of `sends` is not `header`, `query` or `cookie`",
            ),
            ("errors: { $ref: '#/a' }", "dangling reference #/a"),
            ("errors: 1", "a schema: 1 is not an object"),
        ];
        for (text, cause) in cases {
            assert_eq!(Client::parse(text).unwrap_err().to_string(), cause, "{text}");
        }
    }

    #[test]
    fn empty_file_says_nothing() {
        for text in ["", "# nothing\n", "{}"] {
            let client = Client::parse(text).unwrap();
            assert!(client.sends.is_empty() && client.errors.is_none(), "{text}");
        }
    }
}
