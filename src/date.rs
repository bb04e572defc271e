//! Reads the dates of answers.

use std::fmt;
use std::ops::Range;

use chrono::{DateTime, NaiveDate, Utc};
use serde::de::{self, Deserializer};

/// Reads a date of an answer. chrono takes 2,000 instructions for one, since it may be in many forms; the
/// API's own takes a tenth of that.
pub(crate) fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = DateTime<Utc>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a date and time of RFC 3339")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            as_the_api_writes_it(text).map_or_else(|| text.parse().map_err(E::custom), Ok)
        }
    }
    deserializer.deserialize_str(Visitor)
}

/// The date of a text like `2026-08-19T10:00:00.250Z`.
fn as_the_api_writes_it(text: &str) -> Option<DateTime<Utc>> {
    const FORM: &[u8] = b"0000-00-00T00:00:00.000Z";
    let fits = |(form, byte): (&u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        sign => byte == *sign,
    };
    if text.len() != FORM.len() || !FORM.iter().zip(text.bytes()).all(fits) {
        return None;
    }
    let number =
        |at: Range<usize>| text[at].bytes().fold(0, |n, digit| 10 * n + u32::from(digit - b'0'));
    let day = NaiveDate::from_ymd_opt(number(0..4) as i32, number(5..7), number(8..10))?;
    let time =
        day.and_hms_milli_opt(number(11..13), number(14..16), number(17..19), number(20..23))?;
    Some(time.and_utc())
}
