//! The rules of requests and the operations, which build.rs generates from the spec: `tests/snapshots/rules.rs`.
// Some of it is unused, and the generator decides the style.
#![allow(dead_code, missing_docs, clippy::all)]

/// An operation that finds or creates a record.
#[derive(Debug)]
pub struct Operation {
    /// Its index in `OPERATIONS`.
    pub index: usize,
    /// Its name in Rust: `get_or_create_message`.
    pub name: &'static str,
    pub path: &'static str,
    /// The name of the record in responses: `message`.
    pub record: &'static str,
    /// The properties of the body that a record is looked up by, besides its tags.
    pub within: &'static [&'static str],
    /// The operations whose records the body refers to, by index, and the properties with their ids.
    pub refers: &'static [(usize, &'static str)],
    /// The rules for the body of a request.
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
        /// The form of date and time that is required, if any.
        date: Option<Date>,
    },
    Number {
        min: Option<f64>,
    },
    Array(&'static Schema),
    Object {
        properties: &'static [(&'static str, Schema)],
        required: &'static [&'static str],
        /// The schema of every other property; `None` allows no other.
        others: Option<&'static Schema>,
    },
    /// An object with exactly one of these properties.
    OneOf(&'static [(&'static str, Schema)]),
    /// A value that no error shows.
    Private(&'static Schema),
}

/// A form of dates and times in JSON.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Date {
    /// As the spec's pattern says; the fraction of a second and the offset may be missing.
    Iso8601,
    /// `format: date-time`; the offset is needed.
    Rfc3339,
}

include!(concat!(env!("OUT_DIR"), "/rules.rs"));
