//! What a client does that its spec does not say.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::normal::Document;
use crate::parse::parse;

/// What a client does that its spec does not say. It is kept in a file next to the spec:
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    sends: Vec<Sent>,
    errors: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    r#in: Place,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Header,
    Query,
    Cookie,
}

impl Client {
    /// Reads a JSON or YAML text.
    pub fn parse(text: &str) -> Result<Self> {
        let File { sends, errors } =
            serde_json::from_value(parse(text)?).map_err(|e| Error::from(e.to_string()))?;
        let key = |Sent { r#in, name }| match r#in {
            Place::Header => format!("header {}", name.to_lowercase()),
            Place::Query => format!("query {name}"),
            Place::Cookie => format!("cookie {name}"),
        };
        // The schema stands alone, so no reference can lead out of it.
        let errors = errors.map(|schema| Document::schema_in_normal_form(&schema)).transpose()?;
        Ok(Self { sends: sends.into_iter().map(key).collect(), errors })
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
        let texts =
            ["send: []", "sends: [{ in: body, name: a }]", "sends: 1", "errors: { $ref: '#/a' }"];
        for text in texts {
            assert!(Client::parse(text).is_err(), "{text}");
        }
    }
}
