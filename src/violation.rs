//! What breaks the contract: where, which rule, and what is there instead.

use std::fmt;

/// The most characters of a value in an error.
const SHOWN: usize = 60;

/// One way in which a request breaks the contract.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Violation {
    /// Where in the body, as a JSON Pointer (RFC 6901): `/tags/id`. The body itself is the empty path.
    pub path: String,
    /// What the contract requires.
    pub rule: Rule,
    /// What is there: an id, a type, a channel or a tag in quotes and shortened; for any other text only its
    /// length, and for anything else its JSON type. Empty if the value is missing.
    pub given: String,
}

/// What the contract requires of a value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// The text must be JSON. From this place on it is not.
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// The value is required.
    Required,
    /// No property has this name.
    Unknown,
    /// The value must be of this JSON type.
    Type(&'static str),
    /// The string must have at least this number of characters.
    MinLength(usize),
    /// The string must have at most this number of characters.
    MaxLength(usize),
    /// The number must be at least this.
    Minimum(f64),
    /// The number must be finite: JSON has no other.
    Finite,
    /// The string must be one of these.
    Values(&'static [&'static str]),
    /// The object must have exactly one of these properties.
    OneOf(Vec<&'static str>),
    /// The string must be a date and time in ISO 8601.
    DateTime,
    /// Objects and arrays must be nested at most this deep.
    Depth(usize),
    /// The string must name a tag of the same request.
    NameOfTag,
    /// Tags must identify the record, each with a value: without them, every delivery would create another record.
    Identified,
}

/// A place in a body. It is formatted only if something is wrong.
#[derive(Clone, Copy)]
pub enum Path<'a> {
    /// The body itself.
    Root,
    /// A property.
    Key(&'a Path<'a>, &'a str),
    /// A property of a map, whose key is read only if something is wrong.
    Entry(&'a Path<'a>, &'a dyn fmt::Display),
    /// An item of an array.
    Index(&'a Path<'a>, usize),
}
impl Violation {
    /// A violation by a value that is missing or not shown.
    pub(crate) fn of(path: &Path<'_>, rule: Rule) -> Self {
        Self { path: path.to_string(), rule, given: String::new() }
    }
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
                write!(f, "must be JSON, but is not at line {line} column {column}")
            }
            Self::Required => write!(f, "is required"),
            Self::Unknown => write!(f, "is not part of the contract"),
            Self::Type(name) => write!(f, "must be of type {name}"),
            Self::MinLength(min) => write!(f, "must have at least {}", characters(*min)),
            Self::MaxLength(max) => write!(f, "must have at most {}", characters(*max)),
            Self::Minimum(min) => write!(f, "must be at least {min}"),
            Self::Finite => write!(f, "must be a finite number"),
            Self::Values(values) => write!(f, "must be one of {values:?}"),
            Self::OneOf(names) => write!(f, "must have exactly one of {names:?}"),
            Self::DateTime => write!(f, "must be a date and time in ISO 8601"),
            Self::Depth(levels) => write!(f, "is nested deeper than {levels} levels"),
            Self::NameOfTag => write!(f, "must name one of the tags"),
            Self::Identified => write!(f, "must be identified by tags, each with a value"),
        }
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
            Self::Entry(path, key) => Path::Key(path, &key.to_string()).fmt(f),
            Self::Index(path, index) => write!(f, "{path}/{index}"),
        }
    }
}

/// A text as people can read it in one line: its start, and how long it is.
pub(crate) fn shorten(text: &str) -> String {
    let length = characters(text.chars().count());
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}... ({length})", &text[..end]),
        None => format!("{text:?} ({length})"),
    }
}

pub(crate) fn characters(count: usize) -> String {
    if count == 1 { "1 character".to_owned() } else { format!("{count} characters") }
}
