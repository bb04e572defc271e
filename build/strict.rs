//! The keywords that a mapping of the spec is allowed to have. Each kind of mapping has a table of them; any other
//! keyword is an error that names the place and the fix.

use serde_yaml::{Mapping, Value};

use crate::spec::Result;

/// A mapping and its place: `components.schemas.Text`.
pub struct Node<'a> {
    pub at: String,
    map: &'a Mapping,
}

/// A keyword of a mapping, and what its value has to be.
pub struct Keyword(pub &'static str, pub Kind);

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// Text for people.
    Text,
    /// A string.
    String,
    /// A list of different strings.
    Strings,
    Bool,
    /// `true`, since `false` has no effect.
    True,
    /// A whole number from 0 on.
    Count,
    Number,
    /// A mapping, which is checked on its own.
    Mapping,
    /// A list, whose items are checked on their own.
    List,
    /// A value that is checked on its own.
    Any,
}

/// Keywords that OpenAPI 3.0 has and this generator does not, and those of 3.1, with the fix.
const FOREIGN: &[(&str, &str)] = &[
    ("$comment", "is OpenAPI 3.1; in 3.0 write a YAML comment"),
    ("$defs", "is OpenAPI 3.1; in 3.0 name the schema in `components.schemas`"),
    ("$id", "is OpenAPI 3.1; in 3.0 a schema has the name that `components.schemas` gives it"),
    ("$schema", "is OpenAPI 3.1, and 3.0 has only one kind of schema; remove it"),
    ("const", "is OpenAPI 3.1; in 3.0 write an `enum` with one value"),
    ("contains", "is OpenAPI 3.1, and 3.0 has nothing for it; remove it"),
    ("contentEncoding", "is OpenAPI 3.1, and has no rule here; remove it"),
    ("contentMediaType", "is OpenAPI 3.1, and has no rule here; remove it"),
    ("definitions", "is Swagger 2.0; in 3.0 name the schema in `components.schemas`"),
    ("dependentRequired", "is OpenAPI 3.1, and 3.0 has nothing for it; remove it"),
    ("dependentSchemas", "is OpenAPI 3.1, and 3.0 has nothing for it; remove it"),
    ("else", "is OpenAPI 3.1; in 3.0 write `oneOf`"),
    ("examples", "is OpenAPI 3.1 (3.0 has `example`), and no example is used; remove it"),
    ("identifier", "is OpenAPI 3.1; in 3.0 write the `url` of the licence"),
    ("if", "is OpenAPI 3.1; in 3.0 write `oneOf`"),
    ("jsonSchemaDialect", "is OpenAPI 3.1, and 3.0 has only one kind of schema; remove it"),
    ("maxContains", "is OpenAPI 3.1, and 3.0 has nothing for it; remove it"),
    ("minContains", "is OpenAPI 3.1, and 3.0 has nothing for it; remove it"),
    ("pathItems", "is OpenAPI 3.1; in 3.0 write each path in `paths`"),
    ("patternProperties", "is OpenAPI 3.1; in 3.0 write `additionalProperties`"),
    ("prefixItems", "is OpenAPI 3.1; in 3.0 write `items`, one schema for all of them"),
    ("propertyNames", "is OpenAPI 3.1, and 3.0 has nothing for it; remove it"),
    ("then", "is OpenAPI 3.1; in 3.0 write `oneOf`"),
    ("unevaluatedItems", "is OpenAPI 3.1, and 3.0 has nothing for it; remove it"),
    ("unevaluatedProperties", "is OpenAPI 3.1; in 3.0 write `additionalProperties`"),
    ("webhooks", "is OpenAPI 3.1, and this is a client; remove it"),
    ("allowEmptyValue", "is not supported; remove it"),
    ("allowReserved", "is not supported; remove it"),
    ("anyOf", "is not supported; write `oneOf`"),
    ("callbacks", "has no meaning for this client; remove it"),
    ("contact", "is not used by the generated code; remove it"),
    ("default", "is not supported: the API decides about missing values; remove it"),
    (
        "discriminator",
        "is not needed: the property `type` distinguishes the alternatives; remove it",
    ),
    ("encoding", "has no meaning for JSON; remove it"),
    ("example", "is not used by the generated code; remove it"),
    ("exclusiveMaximum", "has no rule in the validation of requests; remove it"),
    ("exclusiveMinimum", "has no rule in the validation of requests; write `minimum`"),
    ("explode", "is not supported; remove it"),
    ("externalDocs", "is not used by the generated code; name the page in the `description`"),
    ("links", "has no meaning for this client; remove it"),
    ("maxItems", "has no rule in the validation of requests; remove it"),
    ("maxProperties", "has no rule in the validation of requests; remove it"),
    ("maximum", "has no rule in the validation of requests; remove it"),
    ("minItems", "has no rule in the validation of requests; remove it"),
    ("minProperties", "has no rule in the validation of requests; remove it"),
    ("multipleOf", "has no rule in the validation of requests; remove it"),
    ("not", "is not supported; remove it"),
    ("readOnly", "has no effect: requests and responses have their own schemas; remove it"),
    ("style", "is not supported; remove it"),
    ("swagger", "is not OpenAPI 3.0; write `openapi: 3.0.3`"),
    ("tags", "is not used by the generated code; remove it"),
    ("termsOfService", "is not used by the generated code; remove it"),
    ("title", "is not used: a type has the name of its schema; remove it"),
    ("uniqueItems", "has no rule in the validation of requests; remove it"),
    ("variables", "is not supported; write the whole URL"),
    ("writeOnly", "has no effect: requests and responses have their own schemas; remove it"),
    ("xml", "has no meaning for JSON; remove it"),
];

impl<'a> Node<'a> {
    pub fn new(value: &'a Value, at: impl Into<String>) -> Result<Self> {
        let at = at.into();
        let Value::Mapping(map) = value else {
            return Err(format!("{at}: has to be a mapping, but is {}", shown(value)));
        };
        match map.keys().find(|key| !key.is_string()) {
            Some(key) => Err(format!("{at}: the key {} has to be in quotes", shown(key))),
            None => Ok(Self { at, map }),
        }
    }

    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key)
    }

    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Value::as_str)
    }

    /// The strings of a list.
    pub fn strings(&self, key: &str) -> Vec<&'a str> {
        let list = self.get(key).and_then(Value::as_sequence).into_iter().flatten();
        list.filter_map(Value::as_str).collect()
    }

    pub fn need(&self, key: &str) -> Result<&'a Value> {
        self.get(key).ok_or_else(|| format!("{}: `{key}` is missing", self.at))
    }

    /// The mapping below a keyword.
    pub fn node(&self, key: &str) -> Result<Node<'a>> {
        Node::new(self.need(key)?, self.place(key))
    }

    /// The place of what is below a key.
    pub fn place(&self, key: &str) -> String {
        if self.at.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at) }
    }

    /// Each key with its value, and the place of it.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value, String)> {
        self.map
            .iter()
            .filter_map(|(key, value)| Some((key.as_str()?, value)))
            .map(|(key, value)| (key, value, self.place(key)))
    }

    /// The mappings of a list, or of a mapping.
    pub fn items(&self, key: &str) -> impl Iterator<Item = (&'a Value, String)> {
        let list = self.get(key).and_then(Value::as_sequence).into_iter().flatten();
        list.enumerate().map(move |(index, value)| (value, format!("{}.{index}", self.place(key))))
    }

    /// Checks that each keyword is one of these, with a value of its kind.
    pub fn check(&self, keywords: &[Keyword]) -> Result<()> {
        for (key, value, at) in self.entries() {
            match keywords.iter().find(|keyword| keyword.0 == key) {
                Some(Keyword(_, kind)) => kind.check(value, &at)?,
                None => return Err(self.unknown(key, keywords.iter().map(|keyword| keyword.0))),
            }
        }
        Ok(())
    }

    /// The error for a keyword that is not one of these.
    pub fn unknown(&self, key: &str, known: impl Iterator<Item = &'static str> + Clone) -> String {
        let at = self.place(key);
        if key == "$ref" {
            return format!("{at}: a reference is not allowed here; write it out");
        }
        if let Some((_, problem)) = FOREIGN.iter().find(|(foreign, _)| *foreign == key) {
            return format!("{at}: `{key}` {problem}");
        }
        match nearest(key, known.clone()) {
            Some(known) => format!("{at}: unknown keyword `{key}`; did you mean `{known}`?"),
            None => {
                let known = known.map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
                format!("{at}: unknown keyword `{key}`; remove it, or use one of {known}")
            }
        }
    }
}

impl Kind {
    pub fn check(self, value: &Value, at: &str) -> Result<()> {
        let is = |what: &str| format!("{at}: has to be {what}, but is {}", shown(value));
        match (self, value) {
            (Self::Text, Value::String(text)) if text.trim().is_empty() => {
                Err(format!("{at}: is empty; remove it or write something"))
            }
            (Self::Text | Self::String, Value::String(text)) if text.contains(is_unprintable) => {
                Err(format!("{at}: has a control character, which Rust cannot show; remove it"))
            }
            (Self::Text | Self::String, Value::String(_))
            | (Self::Bool, Value::Bool(_))
            | (Self::True, Value::Bool(true))
            | (Self::Mapping, Value::Mapping(_))
            | (Self::List, Value::Sequence(_))
            | (Self::Any, _) => Ok(()),
            (Self::Text | Self::String, Value::Number(_) | Value::Bool(_)) => {
                Err(format!("{}: put it in quotes", is("a string")))
            }
            (Self::Strings, Value::Sequence(list)) => {
                for (index, value) in list.iter().enumerate() {
                    Self::String.check(value, &format!("{at}.{index}"))?;
                    if list[..index].contains(value) {
                        return Err(format!("{at}.{index}: {} is there twice", shown(value)));
                    }
                }
                Ok(())
            }
            (Self::Count, Value::Number(number)) if number.as_u64().is_some() => {
                if number.as_u64().is_some_and(|number| u32::try_from(number).is_ok()) {
                    Ok(())
                } else {
                    Err(is(&format!("at most {}", u32::MAX)))
                }
            }
            (Self::Number, Value::Number(number))
                if number.as_f64().is_some_and(f64::is_finite) =>
            {
                Ok(())
            }
            (Self::Text | Self::String, _) => Err(is("a string")),
            (Self::Strings, _) => Err(is("a list of strings")),
            (Self::Bool, _) => Err(is("true or false, without quotes")),
            (Self::True, Value::Bool(false)) => Err(format!("{at}: has no effect; remove it")),
            (Self::True, _) => Err(is("true, without quotes")),
            (Self::Count, _) => Err(is("a whole number from 0 on, without quotes")),
            (Self::Number, _) => Err(is("a number, without quotes")),
            (Self::Mapping, _) => Err(is("a mapping")),
            (Self::List, _) => Err(is("a list")),
        }
    }
}

/// A value as an error shows it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {text:?}"),
        Value::Sequence(_) => "a list".into(),
        Value::Mapping(_) => "a mapping".into(),
        Value::Tagged(tagged) => format!("tagged {}", tagged.tag),
    }
}

/// The closest of these words, if one is close enough.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances =
        known.map(|known| (distance(&word.to_lowercase(), &known.to_lowercase()), known));
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + word.chars().count() / 5).then_some(known)
}

/// The number of letters to change, add or remove; exchanging two counts as one.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<_>, Vec<_>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

/// A control character, or one that changes the direction of a text, which the compiler rejects in documentation.
fn is_unprintable(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n' && c != '\t')
}
