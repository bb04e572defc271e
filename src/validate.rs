//! Checks anything serialisable against the rules of the contract, and reports every violation at once.

use std::fmt;

use chrono::NaiveDate;
use serde::ser::{Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

use crate::generated::{Date, Schema};

/// Characters of a value in an error.
const SHOWN: usize = 60;
/// Levels of objects and arrays in a body. A response has more around what it returns, and serde_json reads 128.
const MOST_LEVELS: usize = 100;

/// One way in which a request breaks the contract.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Violation {
    /// Where in the body, as a JSON Pointer (RFC 6901): `/tags/id`. The body itself is the empty path.
    pub path: String,
    /// What the contract requires.
    pub rule: Rule,
    /// What is there: an id, a type, a channel or a tag as JSON and shortened; of any other text only its
    /// length, and of anything else its JSON type. Empty where something is missing.
    pub given: String,
}

/// What the contract requires of a value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// The text must be JSON; it is not from this place on.
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
    /// Tags must identify the record, each with a value: without one, every delivery would create another.
    Identified,
}

/// A place in a body. It becomes text only where something is wrong.
#[derive(Clone, Copy)]
pub enum Path<'a> {
    /// The body itself.
    Root,
    /// A property.
    Key(&'a Path<'a>, &'a str),
    /// A property of a map, whose key is read only where something is wrong.
    Entry(&'a Path<'a>, &'a dyn fmt::Display),
    /// An item of an array.
    Index(&'a Path<'a>, usize),
}

/// Adds to `found` every violation in `value`, which is at `path`. Of an object, the properties in `ignored` are
/// not checked, whether they are there or not.
pub fn check(
    schema: &'static Schema,
    path: &Path<'_>,
    value: &(impl Serialize + ?Sized),
    ignored: &[&str],
    found: &mut Vec<Violation>,
) {
    let walk = Walk { schema, path, ignored, private: false, level: 0, found };
    if value.serialize(walk).is_err() {
        found.push(Violation::of(path, Rule::Type("JSON")));
    }
}

/// Checks the value that serialises into it. It produces nothing.
struct Walk<'a> {
    schema: &'static Schema,
    path: &'a Path<'a>,
    ignored: &'a [&'a str],
    /// No error shows the value.
    private: bool,
    level: usize,
    found: &'a mut Vec<Violation>,
}

/// A value without parts.
enum Scalar<'a> {
    Text(&'a str),
    Number(f64),
    Other(&'static str),
}

/// Checks the items of an array or the properties of an object.
struct Parts<'a> {
    whole: Walk<'a>,
    /// The number of parts so far, and how many of them no rule knows.
    count: usize,
    unknown: usize,
    required: &'static [&'static str],
    /// A bit for each required property that is not there so far.
    missing: u128,
    /// The property whose value comes next.
    key: String,
    /// Violations that were known before.
    known: usize,
}

impl<'a> Walk<'a> {
    fn report(&mut self, rule: Rule, given: &Scalar<'_>) {
        let given = match given {
            Scalar::Text(text) if self.private => {
                format!("a string of {}", characters(text.chars().count()))
            }
            Scalar::Text(text) => shorten(text),
            Scalar::Number(number) if !self.private => number.to_string(),
            other => other.kind().to_owned(),
        };
        self.found.push(Violation { path: self.path.to_string(), rule, given });
    }

    fn report_type(&mut self, expected: &'static str, given: &str) {
        let (path, rule) = (self.path.to_string(), Rule::Type(expected));
        self.found.push(Violation { path, rule, given: given.to_owned() });
    }

    /// Takes off what says that the value is private.
    fn open(mut self) -> Self {
        while let Schema::Private(schema) = self.schema {
            (self.schema, self.private) = (schema, true);
        }
        self
    }

    fn scalar(self, given: Scalar<'_>) -> Result<(), fmt::Error> {
        let mut walk = self.open();
        match (walk.schema, &given) {
            (Schema::Any, _) => {}
            (Schema::String { min, max, values, date }, Scalar::Text(text)) => {
                let length = if text.is_ascii() { text.len() } else { text.chars().count() };
                if let Some(min) = min.filter(|min| length < *min) {
                    walk.report(Rule::MinLength(min), &given);
                }
                if let Some(max) = max.filter(|max| length > *max) {
                    walk.report(Rule::MaxLength(max), &given);
                }
                if !values.is_empty() && !values.contains(text) {
                    walk.report(Rule::Values(values), &given);
                }
                if date.is_some_and(|date| !is_date(text, date)) {
                    walk.report(Rule::DateTime, &given);
                }
            }
            (Schema::Number { min }, Scalar::Number(number)) => {
                if let Some(min) = min.filter(|min| number < min) {
                    walk.report(Rule::Minimum(min), &given);
                }
            }
            (schema, given) => walk.report_type(schema.expected(), given.kind()),
        }
        Ok(())
    }

    fn parts(self, kind: &'static str) -> Result<Parts<'a>, fmt::Error> {
        let mut walk = self.open();
        walk.level += 1;
        let (mut required, mut missing): (&[_], u128) = (&[], 0);
        match (walk.schema, kind) {
            (Schema::Any, _) | (Schema::Array(_), "an array") | (Schema::OneOf(_), "an object") => {
            }
            (Schema::Object { required: names, .. }, "an object") => {
                required = names;
                for (bit, name) in required.iter().enumerate() {
                    missing |= u128::from(!walk.ignored.contains(name)) << bit;
                }
            }
            (schema, _) => {
                walk.report_type(schema.expected(), kind);
                walk.schema = &Schema::Any;
            }
        }
        if walk.level == MOST_LEVELS + 1 {
            walk.found.push(Violation::of(walk.path, Rule::Depth(MOST_LEVELS)));
        }
        let known = walk.found.len();
        Ok(Parts {
            whole: walk,
            count: 0,
            unknown: 0,
            required,
            missing,
            key: String::new(),
            known,
        })
    }
}

impl Parts<'_> {
    fn part(
        &mut self,
        schema: &'static Schema,
        path: &Path<'_>,
        value: &(impl Serialize + ?Sized),
    ) -> Result<(), fmt::Error> {
        let Walk { private, level, .. } = self.whole;
        // What is too deep is reported already, and a stack is finite.
        if level > MOST_LEVELS {
            return Ok(());
        }
        value.serialize(Walk {
            schema,
            path,
            ignored: &[],
            private,
            level,
            found: self.whole.found,
        })
    }

    fn item(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), fmt::Error> {
        let schema =
            if let Schema::Array(items) = self.whole.schema { items } else { &Schema::Any };
        let path = self.whole.path.index(self.count);
        self.count += 1;
        self.part(schema, &path, value)
    }

    fn property(
        &mut self,
        name: &str,
        value: &(impl Serialize + ?Sized),
    ) -> Result<(), fmt::Error> {
        let path = self.whole.path.key(name);
        self.count += 1;
        let (properties, others) = match self.whole.schema {
            Schema::Object { properties, others, .. } => (*properties, *others),
            Schema::OneOf(properties) => (*properties, None),
            _ => (&[][..], Some(&Schema::Any)),
        };
        if self.whole.ignored.contains(&name) {
            return Ok(());
        }
        if let Some(bit) = self.required.iter().position(|required| *required == name) {
            self.missing &= !(1 << bit);
        }
        let known = properties.iter().find(|(known, _)| *known == name);
        match known.map(|(_, schema)| schema).or(others) {
            Some(schema) => self.part(schema, &path, value),
            None => {
                self.unknown += 1;
                self.whole.found.push(Violation::of(&path, Rule::Unknown));
                Ok(())
            }
        }
    }

    fn end(self) -> Result<(), fmt::Error> {
        let Self { whole, count, unknown, required, missing, known, .. } = self;
        let Walk { schema, path, found, .. } = whole;
        if let Schema::OneOf(properties) = schema
            && (count, unknown) != (1, 0)
        {
            found.truncate(known);
            let names = properties.iter().map(|(name, _)| *name).collect();
            found.push(Violation::of(path, Rule::OneOf(names)));
        }
        for (bit, name) in required.iter().enumerate() {
            if missing >> bit & 1 == 1 {
                found.push(Violation::of(&path.key(name), Rule::Required));
            }
        }
        Ok(())
    }
}

/// Numbers of Rust, all of which are numbers in JSON.
macro_rules! numbers {
    ($($method:ident $type:ty)*) => {
        $(fn $method(self, number: $type) -> Result<(), fmt::Error> {
            self.scalar(Scalar::Number(number as f64))
        })*
    };
}

impl<'a> Serializer for Walk<'a> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Parts<'a>;
    type SerializeMap = Parts<'a>;
    type SerializeStruct = Parts<'a>;
    // No type of a request has these.
    type SerializeTuple = Impossible<(), fmt::Error>;
    type SerializeTupleStruct = Impossible<(), fmt::Error>;
    type SerializeTupleVariant = Impossible<(), fmt::Error>;
    type SerializeStructVariant = Impossible<(), fmt::Error>;

    numbers! {
        serialize_i8 i8 serialize_i16 i16 serialize_i32 i32 serialize_i64 i64
        serialize_u8 u8 serialize_u16 u16 serialize_u32 u32 serialize_u64 u64
        serialize_f32 f32 serialize_f64 f64
    }

    fn serialize_str(self, text: &str) -> Result<(), fmt::Error> {
        self.scalar(Scalar::Text(text))
    }

    fn serialize_char(self, c: char) -> Result<(), fmt::Error> {
        self.scalar(Scalar::Text(c.encode_utf8(&mut [0; 4])))
    }

    fn serialize_bool(self, _: bool) -> Result<(), fmt::Error> {
        self.scalar(Scalar::Other("a boolean"))
    }

    fn serialize_unit(self) -> Result<(), fmt::Error> {
        self.scalar(Scalar::Other("null"))
    }

    fn serialize_none(self) -> Result<(), fmt::Error> {
        self.serialize_unit()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), fmt::Error> {
        self.serialize_unit()
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), fmt::Error> {
        self.scalar(Scalar::Other("an array"))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), fmt::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), fmt::Error> {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), fmt::Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), fmt::Error> {
        let mut parts = self.parts("an object")?;
        parts.property(variant, value)?;
        parts.end()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'a>, fmt::Error> {
        self.parts("an array")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'a>, fmt::Error> {
        self.parts("an object")
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'a>, fmt::Error> {
        self.parts("an object")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, fmt::Error> {
        Err(fmt::Error)
    }
}

impl SerializeSeq for Parts<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), fmt::Error> {
        self.end()
    }
}

impl SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), fmt::Error> {
        self.property(name, value)
    }

    fn end(self) -> Result<(), fmt::Error> {
        self.end()
    }
}

impl SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), fmt::Error> {
        // Where all keys are alike, none is read.
        if let (Schema::Object { properties: [], others: Some(schema), .. }, []) =
            (self.whole.schema, self.whole.ignored)
        {
            let path = Path::Entry(self.whole.path, &Shown(key));
            return self.part(schema, &path, value);
        }
        self.serialize_key(key)?;
        self.serialize_value(value)
    }

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), fmt::Error> {
        use fmt::Write;
        self.key.clear();
        write!(self.key, "{}", Shown(key))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
        let key = std::mem::take(&mut self.key);
        self.property(&key, value)?;
        self.key = key;
        Ok(())
    }

    fn end(self) -> Result<(), fmt::Error> {
        self.end()
    }
}

/// The text of a key: a formatter is a serializer of what has no parts.
struct Shown<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(f)
    }
}

impl Scalar<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::Other(kind) => kind,
        }
    }
}

impl Schema {
    /// The JSON type that it requires.
    fn expected(&self) -> &'static str {
        match self {
            Self::String { .. } => "string",
            Self::Number { .. } => "number",
            Self::Array(_) => "array",
            Self::Object { .. } | Self::OneOf(_) => "object",
            Self::Private(schema) => schema.expected(),
            Self::Any => "any",
        }
    }
}

impl Violation {
    /// Of a value that is missing, or not shown.
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

fn characters(count: usize) -> String {
    if count == 1 { "1 character".to_owned() } else { format!("{count} characters") }
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
