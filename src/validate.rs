//! Holds a request body against the contract and reports every violation at once.

use std::fmt;

use chrono::NaiveDate;
use serde_json::Value;

use crate::generated::{Date, Schema};

/// Characters of a value in an error.
const SHOWN: usize = 60;

/// One way in which a request breaks the contract.
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
    /// The text has to be JSON; it is not from this place on.
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
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
    /// The string has to name a tag of the same request.
    NameOfTag,
    /// Some tag with a value has to identify the record: without one, every delivery would create
    /// another.
    Identified,
    /// The record has no id yet: `Client::deliver` asks for it, the call for one record does not.
    Delivered,
}

/// A place in a body. It becomes text only where something is wrong.
#[derive(Clone, Copy)]
pub enum Path<'a> {
    /// The body itself.
    Root,
    /// A property.
    Key(&'a Path<'a>, &'a str),
    /// An item of an array.
    Index(&'a Path<'a>, usize),
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
            Self::Json { line, column } => {
                write!(f, "has to be JSON, but is not at line {line} column {column}")
            }
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
            Self::NameOfTag => write!(f, "has to name one of the tags"),
            Self::Delivered => {
                write!(f, "is a record without an id, which takes `Client::deliver`")
            }
            Self::Identified => write!(f, "has to be identified by tags, each with a value"),
        }
    }
}

impl Violation {
    pub(crate) fn new(path: &Path<'_>, rule: Rule, given: &Value) -> Self {
        Self { path: path.to_string(), rule, given: shorten(given) }
    }

    /// The body as a whole cannot be read.
    pub(crate) fn unreadable(rule: Rule) -> Self {
        Self { path: String::new(), rule, given: String::new() }
    }

    fn missing(path: &Path<'_>) -> Self {
        Self { path: path.to_string(), rule: Rule::Required, given: String::new() }
    }
}

impl<'a> Path<'a> {
    /// The place of a property below this place.
    pub fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }

    /// The place of an item below this place.
    pub fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

/// A JSON Pointer.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(path, key) => {
                write!(f, "{path}/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            Self::Index(path, index) => write!(f, "{path}/{index}"),
        }
    }
}

/// A value as people can read it in one line; of a long string, its start and its length.
fn shorten(value: &Value) -> String {
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

/// Adds to `found` every violation in `value`, which stands at `path`. Of an object, some properties can
/// be passed over, whether they are there or not.
pub fn check(
    schema: &Schema,
    path: &Path<'_>,
    value: &Value,
    passed_over: &[&str],
    found: &mut Vec<Violation>,
) {
    let mut report = |rule| found.push(Violation::new(path, rule, value));
    match (schema, value) {
        (Schema::Any, _) => {}
        (Schema::String { min, max, values, date }, Value::String(string)) => {
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
            if date.is_some_and(|date| !is_date(string, date)) {
                report(Rule::DateTime);
            }
        }
        (Schema::Number { min }, Value::Number(number)) => {
            if let Some(min) = min.filter(|min| number.as_f64().is_some_and(|n| n < *min)) {
                report(Rule::Minimum(min));
            }
        }
        (Schema::Array(items), Value::Array(values)) => {
            for (index, value) in values.iter().enumerate() {
                check(items, &path.index(index), value, &[], found);
            }
        }
        (Schema::Object { properties, required, others }, Value::Object(object)) => {
            let counts = |name: &str| !passed_over.contains(&name);
            for name in required.iter().filter(|name| counts(name) && !object.contains_key(**name))
            {
                found.push(Violation::missing(&path.key(name)));
            }
            for (name, value) in object.iter().filter(|(name, _)| counts(name)) {
                let path = path.key(name);
                let known = properties.iter().find(|(known, _)| known == name);
                match known.map(|(_, schema)| schema).or(*others) {
                    Some(schema) => check(schema, &path, value, &[], found),
                    None => found.push(Violation::new(&path, Rule::Unknown, value)),
                }
            }
        }
        (Schema::OneOf(alternatives), Value::Object(object)) => {
            let mut present = alternatives.iter().filter(|(name, _)| object.contains_key(*name));
            match (present.next(), present.next(), object.len()) {
                (Some((name, schema)), None, 1) => {
                    check(schema, &path.key(name), &object[*name], &[], found);
                }
                _ => report(Rule::OneOf(alternatives.iter().map(|(name, _)| *name).collect())),
            }
        }
        (Schema::String { .. }, _) => report(Rule::Type("string")),
        (Schema::Number { .. }, _) => report(Rule::Type("number")),
        (Schema::Array(_), _) => report(Rule::Type("array")),
        (Schema::Object { .. } | Schema::OneOf(_), _) => report(Rule::Type("object")),
    }
}

/// Whether a text is a date and time of this form, and a day of the calendar.
fn is_date(text: &str, form: Date) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let fits = |(shape, byte): (&u8, u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        sign => byte.eq_ignore_ascii_case(sign),
    };
    let parts = text.split_at_checked(SHAPE.len()).filter(|_| text.is_ascii());
    let Some((start, rest)) = parts.filter(|(start, _)| SHAPE.iter().zip(start.bytes()).all(fits))
    else {
        return false;
    };
    let number = |at: std::ops::Range<usize>| start[at].parse::<u32>().unwrap_or(u32::MAX);
    let day = NaiveDate::from_ymd_opt(number(0..4) as i32, number(5..7), number(8..10));
    let is_time = number(11..13) < 24 && number(14..16) < 60 && number(17..19) < 60;
    let (offset, comma) = match rest.strip_prefix(['.', ',']) {
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            (offset, rest.starts_with(','))
        }
        None => (rest, false),
    };
    day.is_some() && is_time && is_offset(offset, form) && !(comma && form == Date::Rfc3339)
}

/// Whether a text is an offset from UTC: `Z` or `+05:30`.
fn is_offset(text: &str, form: Date) -> bool {
    if text.eq_ignore_ascii_case("Z") {
        return true;
    }
    let Some(offset) = text.strip_prefix(['+', '-']) else {
        return text.is_empty() && form == Date::Iso8601;
    };
    let (hours, minutes) = match (offset.split_once(':'), form) {
        (Some(parts), _) => parts,
        (None, Date::Iso8601) if offset.len() == 4 => offset.split_at(2),
        _ => return false,
    };
    let below = |part: &str, limit: u32| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits && part.parse::<u32>().is_ok_and(|number| number < limit)
    };
    below(hours, 24) && below(minutes, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_form_that_the_spec_names() {
        struct Case {
            text: &'static str,
            iso: bool,
            rfc: bool,
        }
        let cases = [
            Case { text: "2027-01-01T00:00:00Z", iso: true, rfc: true },
            Case { text: "2027-12-31t23:59:59.123456789123z", iso: true, rfc: true },
            Case { text: "2027-01-01T00:00:00-23:59", iso: true, rfc: true },
            Case { text: "2000-02-29T00:00:00Z", iso: true, rfc: true },
            Case { text: "2027-01-01T00:00:00+0530", iso: true, rfc: false },
            Case { text: "2027-01-01T00:00:00,5Z", iso: true, rfc: false },
            Case { text: "2027-01-01T00:00:00", iso: true, rfc: false },
            Case { text: "1900-02-29T00:00:00Z", iso: false, rfc: false },
            Case { text: "2027-04-31T00:00:00Z", iso: false, rfc: false },
            Case { text: "2027-00-01T00:00:00Z", iso: false, rfc: false },
            Case { text: "2027-01-01T24:00:00Z", iso: false, rfc: false },
            Case { text: "2027-01-01T00:60:00Z", iso: false, rfc: false },
            Case { text: "2027-01-01T00:00:60Z", iso: false, rfc: false },
            Case { text: "2027-01-01T00:00:00.Z", iso: false, rfc: false },
            Case { text: "2027-01-01T00:00:00+24:00", iso: false, rfc: false },
            Case { text: "2027-01-01T00:00:00+05:60", iso: false, rfc: false },
            Case { text: "2027-01-01T00:00:00+05", iso: false, rfc: false },
            Case { text: "2027-01-01T00:00:00+1\u{e9}2", iso: false, rfc: false },
            Case { text: "000000000000000000000000", iso: false, rfc: false },
            Case { text: "", iso: false, rfc: false },
        ];
        for Case { text, iso, rfc } in cases {
            assert_eq!(is_date(text, Date::Iso8601), iso, "{text}");
            assert_eq!(is_date(text, Date::Rfc3339), rfc, "{text}");
        }
    }
}
