//! Holds a request body against the contract and reports every violation at once.

use std::fmt;

use serde_json::Value;

/// The part of JSON Schema that the spec uses for requests; build.rs fills it in from there.
pub(crate) enum Schema {
    Any,
    String {
        /// In characters (Unicode code points), as JSON Schema counts them.
        min: Option<usize>,
        max: Option<usize>,
        /// The only legal values, if there are any.
        values: &'static [&'static str],
    },
    Number {
        min: Option<f64>,
    },
    Array(&'static Schema),
    Object {
        properties: &'static [(&'static str, Schema)],
        required: &'static [&'static str],
        /// The schema of every other property; without it there may be none.
        others: Option<&'static Schema>,
    },
    /// An object with exactly one of these properties.
    OneOf(&'static [(&'static str, Schema)]),
}

/// One way in which a message breaks the contract.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Violation {
    /// Where in the body, as a JSON Pointer (RFC 6901): `/tags/id`. The body itself is the empty path.
    pub path: String,
    /// What the contract asks for.
    pub rule: Rule,
    /// What is there instead, as JSON and shortened; empty where something is missing.
    pub given: String,
}

/// What the contract asks of a value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// The body has to be readable as the generated type. No violation of this kind is known; it is
    /// what is left if the other rules miss one.
    Readable(String),
    /// The value has to be there.
    Required,
    /// No property of this name is allowed.
    Unknown,
    /// The value has to be of this JSON type.
    Type(&'static str),
    /// The string needs this many characters.
    MinLength(usize),
    /// The string may have this many characters.
    MaxLength(usize),
    /// The number has to be this large.
    Minimum(f64),
    /// A number has to be finite: JSON cannot express any other.
    Finite,
    /// The string has to be one of these.
    Values(&'static [&'static str]),
    /// The object has to have exactly one of these properties.
    OneOf(Vec<&'static str>),
    /// The string has to be a date and time in ISO 8601.
    DateTime,
    /// The string has to name a tag of the same message.
    TagOfMessage,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the body" } else { &self.path };
        write!(f, "{path} {}", self.rule)?;
        if self.given.is_empty() { Ok(()) } else { write!(f, ", but is {}", self.given) }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Readable(cause) => write!(f, "cannot be read ({cause})"),
            Self::Required => write!(f, "is required"),
            Self::Unknown => write!(f, "is not part of the contract"),
            Self::Type(name) => write!(f, "has to be of type {name}"),
            Self::MinLength(min) => write!(f, "needs at least {min} characters"),
            Self::MaxLength(max) => write!(f, "may have at most {max} characters"),
            Self::Minimum(min) => write!(f, "has to be at least {min}"),
            Self::Finite => write!(f, "has to be a finite number"),
            Self::Values(values) => write!(f, "has to be one of {values:?}"),
            Self::OneOf(names) => write!(f, "has to have exactly one of {names:?}"),
            Self::DateTime => write!(f, "has to be a date and time in ISO 8601"),
            Self::TagOfMessage => write!(f, "has to name a tag of the message"),
        }
    }
}

impl Violation {
    pub(crate) fn new(path: impl Into<String>, rule: Rule, given: &Value) -> Self {
        Self { path: path.into(), rule, given: shorten(given) }
    }

    fn missing(path: String) -> Self {
        Self { path, rule: Rule::Required, given: String::new() }
    }
}

/// The path of a property or an item.
pub(crate) fn join(path: &str, key: &str) -> String {
    format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// A value as people can read it in one line; of a long string, its start and its length.
fn shorten(value: &Value) -> String {
    const SHOWN: usize = 60;
    let text = value.to_string();
    let length = match value {
        Value::String(string) => format!(" ({} characters)", string.chars().count()),
        _ => String::new(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...{length}", &text[..end]),
        None => format!("{text}{length}"),
    }
}

impl Schema {
    /// Adds to `found` every violation in `value`, which stands at `path`.
    pub(crate) fn check(&self, path: &str, value: &Value, found: &mut Vec<Violation>) {
        let mut report = |rule| found.push(Violation::new(path, rule, value));
        match (self, value) {
            (Self::Any, _) => {}
            (Self::String { min, max, values }, Value::String(string)) => {
                let length = string.chars().count();
                if let Some(min) = min.filter(|min| length < *min) {
                    report(Rule::MinLength(min));
                }
                if let Some(max) = max.filter(|max| length > *max) {
                    report(Rule::MaxLength(max));
                }
                if !values.is_empty() && !values.contains(&string.as_str()) {
                    report(Rule::Values(values));
                }
            }
            (Self::Number { min }, Value::Number(number)) => {
                if let Some(min) = min.filter(|min| number.as_f64().is_some_and(|n| n < *min)) {
                    report(Rule::Minimum(min));
                }
            }
            (Self::Array(items), Value::Array(values)) => {
                for (index, value) in values.iter().enumerate() {
                    items.check(&join(path, &index.to_string()), value, found);
                }
            }
            (Self::Object { properties, required, others }, Value::Object(object)) => {
                for name in required.iter().filter(|name| !object.contains_key(**name)) {
                    found.push(Violation::missing(join(path, name)));
                }
                for (name, value) in object {
                    let path = join(path, name);
                    let known = properties.iter().find(|(known, _)| known == name);
                    match known.map(|(_, schema)| schema).or(*others) {
                        Some(schema) => schema.check(&path, value, found),
                        None => found.push(Violation::new(path, Rule::Unknown, value)),
                    }
                }
            }
            (Self::OneOf(alternatives), Value::Object(object)) => {
                let mut present =
                    alternatives.iter().filter(|(name, _)| object.contains_key(*name));
                match (present.next(), present.next(), object.len()) {
                    (Some((name, schema)), None, 1) => {
                        schema.check(&join(path, name), &object[*name], found);
                    }
                    _ => report(Rule::OneOf(alternatives.iter().map(|(name, _)| *name).collect())),
                }
            }
            (Self::String { .. }, _) => report(Rule::Type("string")),
            (Self::Number { .. }, _) => report(Rule::Type("number")),
            (Self::Array(_), _) => report(Rule::Type("array")),
            (Self::Object { .. } | Self::OneOf(_), _) => report(Rule::Type("object")),
        }
    }
}
