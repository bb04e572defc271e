//! The rules of requests and the operations, which build.rs makes of the spec: `tests/snapshots/rules.rs`.
// Not all of it is used, and its style is the generator's.
#![allow(dead_code, missing_docs, clippy::all)]

/// An operation that finds or creates a record.
#[derive(Debug)]
pub struct Operation {
    /// Its place in `OPERATIONS`.
    pub index: usize,
    /// Its name in Rust: `get_or_create_message`.
    pub name: &'static str,
    pub path: &'static str,
    /// What the record is called in answers: `message`.
    pub record: &'static str,
    /// The properties of the body within which a record is looked up, besides its tags.
    pub within: &'static [&'static str],
    /// The operations to whose records the body refers, by their places, and the properties for the ids.
    pub refers: &'static [(usize, &'static str)],
    /// What the body of a request has to be.
    pub body: Schema,
}

/// The part of JSON Schema that the spec uses for requests.
#[derive(Debug)]
pub enum Schema {
    Any,
    String {
        /// In characters (Unicode code points), as JSON Schema counts them.
        min: Option<usize>,
        max: Option<usize>,
        /// The only legal values, if there are any.
        values: &'static [&'static str],
        /// The form of a date and time that it has to have.
        date: Option<Date>,
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
    /// A value that no error shows.
    Private(&'static Schema),
}

/// A form in which JSON has a date and time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Date {
    /// As the spec's pattern says; the fraction of a second and the offset may be missing.
    Iso8601,
    /// `format: date-time`; the offset is needed.
    Rfc3339,
}

include!(concat!(env!("OUT_DIR"), "/rules.rs"));
