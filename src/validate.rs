//! Checks anything serialisable against the rules of the contract, and finds all violations.

use std::fmt;

use serde::ser::{Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

use crate::date::is_date;
use crate::generated::Schema;
use crate::violation::{Path, Rule, Violation, characters, shorten};

/// The most levels of objects and arrays in a body. A response has a few more around the record, and serde_json
/// reads 128.
const MOST_LEVELS: usize = 100;

/// Adds to `found` every violation in `value`, which is at `path`. If it is an object, its properties in `ignored`
/// are not checked and not required.
pub fn check(
    schema: &'static Schema,
    path: &Path<'_>,
    value: &(impl Serialize + ?Sized),
    ignored: &[&str],
    found: &mut Vec<Violation>,
) {
    let walk = Walk { schema, path, ignored, private: false, level: 0, found };
    if value.serialize(walk.open()).is_err() {
        found.push(Violation::of(path, Rule::Type("JSON")));
    }
}

/// Checks the value that serialises into it. It produces nothing.
struct Walk<'a> {
    schema: &'static Schema,
    path: &'a Path<'a>,
    ignored: &'a [&'a str],
    /// Whether errors must not show the value.
    private: bool,
    level: usize,
    found: &'a mut Vec<Violation>,
}

/// Checks the items of an array or the properties of an object.
struct Parts<'a> {
    whole: Walk<'a>,
    /// The number of parts so far, and how many of them have no rule.
    count: usize,
    unknown: usize,
    /// A bit for each required property that is there.
    present: u128,
    /// The property whose value comes next.
    key: String,
    /// The number of violations that were found before.
    known: usize,
}

impl<'a> Walk<'a> {
    /// Unwraps a private schema, and notes that the value is private.
    fn open(mut self) -> Self {
        while let Schema::Private(schema) = self.schema {
            (self.schema, self.private) = (schema, true);
        }
        self
    }

    fn report(&mut self, rule: Rule, given: String) {
        self.found.push(Violation { path: self.path.to_string(), rule, given });
    }

    /// Reports a value of this kind, unless any is allowed.
    fn reject(&mut self, kind: &str) {
        if !matches!(self.schema, Schema::Any) {
            self.report(Rule::Type(self.schema.expected()), kind.to_owned());
        }
    }

    fn text(mut self, text: &str) {
        let Schema::String { min, max, values, date } = self.schema else {
            return self.reject("a string");
        };
        let length = if text.is_ascii() { text.len() } else { text.chars().count() };
        let private = self.private;
        let given =
            || if private { format!("a string of {}", characters(length)) } else { shorten(text) };
        if let Some(min) = min.filter(|min| length < *min) {
            self.report(Rule::MinLength(min), given());
        }
        if let Some(max) = max.filter(|max| length > *max) {
            self.report(Rule::MaxLength(max), given());
        }
        if !values.is_empty() && !values.contains(&text) {
            self.report(Rule::Values(values), given());
        }
        if date.is_some_and(|date| !is_date(text, date)) {
            self.report(Rule::DateTime, given());
        }
    }

    fn number(mut self, number: f64) {
        let Schema::Number { min } = self.schema else {
            return self.reject("a number");
        };
        if let Some(min) = min.filter(|min| number < *min) {
            let given = if self.private { "a number".to_owned() } else { number.to_string() };
            self.report(Rule::Minimum(min), given);
        }
    }

    fn parts(mut self, kind: &str) -> Parts<'a> {
        self.level += 1;
        let fits = match self.schema {
            Schema::Array(_) => kind == "an array",
            Schema::Object { .. } | Schema::OneOf(_) => kind == "an object",
            _ => false,
        };
        if !fits {
            self.reject(kind);
            self.schema = &Schema::Any;
        }
        if self.level == MOST_LEVELS + 1 {
            self.found.push(Violation::of(self.path, Rule::Depth(MOST_LEVELS)));
        }
        let (count, unknown, present, known) = (0, 0, 0, self.found.len());
        Parts { whole: self, count, unknown, present, key: String::new(), known }
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
        // This is too deep: it is reported already, and the stack could overflow.
        if level > MOST_LEVELS {
            return Ok(());
        }
        let found = &mut *self.whole.found;
        value.serialize(Walk { schema, path, ignored: &[], private, level, found }.open())
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
        if self.whole.ignored.contains(&name) {
            return Ok(());
        }
        let (properties, others) = match self.whole.schema {
            Schema::Object { properties, required, others } => {
                if let Some(bit) = required.iter().position(|required| *required == name) {
                    self.present |= 1 << bit;
                }
                (*properties, *others)
            }
            Schema::OneOf(properties) => (*properties, None),
            _ => (&[][..], Some(&Schema::Any)),
        };
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
        let Walk { schema, path, ignored, found, .. } = self.whole;
        match schema {
            Schema::OneOf(properties) if (self.count, self.unknown) != (1, 0) => {
                found.truncate(self.known);
                let names = properties.iter().map(|(name, _)| *name).collect();
                found.push(Violation::of(path, Rule::OneOf(names)));
            }
            Schema::Object { required, .. } => {
                for (bit, name) in required.iter().enumerate() {
                    if self.present >> bit & 1 == 0 && !ignored.contains(name) {
                        found.push(Violation::of(&path.key(name), Rule::Required));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Numbers of Rust, all of which are numbers in JSON.
macro_rules! numbers {
    ($($method:ident $type:ty)*) => {
        $(fn $method(self, number: $type) -> Result<(), fmt::Error> {
            self.number(number as f64);
            Ok(())
        })*
    };
}

/// Kinds of values that no type of a request has.
macro_rules! never {
    ($($method:ident($($argument:ty),*) -> $parts:ident;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<Self::$parts, fmt::Error> {
            Err(fmt::Error)
        })*
    };
}

impl<'a> Serializer for Walk<'a> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Parts<'a>;
    type SerializeMap = Parts<'a>;
    type SerializeStruct = Parts<'a>;
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
        self.text(text);
        Ok(())
    }

    fn serialize_char(self, c: char) -> Result<(), fmt::Error> {
        self.serialize_str(c.encode_utf8(&mut [0; 4]))
    }

    fn serialize_bool(mut self, _: bool) -> Result<(), fmt::Error> {
        self.reject("a boolean");
        Ok(())
    }

    fn serialize_unit(mut self) -> Result<(), fmt::Error> {
        self.reject("null");
        Ok(())
    }

    fn serialize_none(self) -> Result<(), fmt::Error> {
        self.serialize_unit()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), fmt::Error> {
        self.serialize_unit()
    }

    fn serialize_bytes(mut self, _: &[u8]) -> Result<(), fmt::Error> {
        self.reject("an array");
        Ok(())
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
        let mut parts = self.parts("an object");
        parts.property(variant, value)?;
        parts.end()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'a>, fmt::Error> {
        Ok(self.parts("an array"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'a>, fmt::Error> {
        Ok(self.parts("an object"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'a>, fmt::Error> {
        Ok(self.parts("an object"))
    }

    never! {
        serialize_tuple(usize) -> SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
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
        // If all keys have the same rules, none is read.
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

/// The text of a key: `fmt::Formatter` is a serializer for values without parts.
struct Shown<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(f)
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
