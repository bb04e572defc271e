//! Reads values of responses that serde alone would reject or read slowly. Generated types call it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use chrono::{DateTime, NaiveDate, Utc};
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;

/// How the API writes dates.
const USUAL: &str = "0000-00-00T00:00:00.000Z";

/// Reads a text; `None` is an error.
struct Text<T>(fn(&str) -> Option<T>);

impl<T> de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        self.0(text).ok_or_else(|| E::custom("the text has an unexpected form"))
    }
}

/// Reads a date of a response. chrono takes 2,000 instructions for one, because it reads many forms; the
/// usual one takes a tenth of that.
pub(crate) fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    deserializer.deserialize_str(Text(|text| usual(text).or_else(|| text.parse().ok())))
}

/// Reads an enumeration that may get new values.
pub(crate) fn open_enum<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: for<'a> From<&'a str>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(Text(|text| Some(text.into())))
}

/// Reads an optional part of an error. A value of the wrong type counts as missing: it must not hide that the API
/// rejected the request.
pub(crate) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + DeserializeOwned,
    D: Deserializer<'de>,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// Reads JSON that the API may send although its contract does not say so: halves of surrogate pairs, which
/// JavaScript leaves when it cuts a text, and `null` for a missing value.
pub(crate) fn lenient<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    let mut json: Value = serde_json::from_slice(&without_surrogates(json)).ok()?;
    let parts = json.as_object_mut()?;
    for record in parts.values_mut().filter_map(Value::as_object_mut) {
        record.retain(|_, value| !value.is_null());
        if let Some(tags) = record.get_mut("tags").and_then(Value::as_object_mut) {
            tags.retain(|_, value| !value.is_null());
        }
    }
    // A `meta` without `created` counts as missing.
    parts.retain(|_, part| part.as_object().is_none_or(|part| !part.is_empty()));
    serde_json::from_value(json).ok()
}

/// JSON with U+FFFD instead of each half of a surrogate pair, which serde_json rejects.
pub(crate) fn without_surrogates(json: &[u8]) -> Cow<'_, [u8]> {
    let mut fixed: Option<Vec<u8>> = None;
    let mut at = 0;
    while at < json.len() {
        if json[at] != b'\\' {
            at += 1;
            continue;
        }
        match (escaped(json, at), escaped(json, at + 6)) {
            (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => at += 12,
            (Some(0xD800..0xE000), _) => {
                fixed.get_or_insert_with(|| json.to_vec())[at + 2..at + 6].copy_from_slice(b"fffd");
                at += 6;
            }
            _ => at += 2,
        }
    }
    fixed.map_or(Cow::Borrowed(json), Cow::Owned)
}

/// The code unit of an escape like `\u00e9`.
fn escaped(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The date of a text like `2026-08-19T10:00:00.250Z`.
fn usual(text: &str) -> Option<DateTime<Utc>> {
    let at = |range| number(text, range);
    let day = if has_form(text, USUAL) { day(text)? } else { return None };
    Some(day.and_hms_milli_opt(at(11..13), at(14..16), at(17..19), at(20..23))?.and_utc())
}

/// Whether a text has this form, in which 0 stands for any digit.
pub(crate) fn has_form(text: &str, form: &str) -> bool {
    let fits = |(form, byte): (u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        sign => byte == sign,
    };
    text.len() == form.len() && form.bytes().zip(text.bytes()).all(fits)
}

/// The number at these digits of a text.
pub(crate) fn number(text: &str, digits: Range<usize>) -> u32 {
    text[digits].bytes().fold(0, |number, digit| 10 * number + u32::from(digit - b'0'))
}

/// The day at the start of a text that has digits like `2026-08-19`, if the calendar has it.
pub(crate) fn day(text: &str) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(number(text, 0..4) as i32, number(text, 5..7), number(text, 8..10))
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};

    use super::*;

    fn read(text: &str) -> Result<DateTime<Utc>, Error> {
        let deserializer: StrDeserializer<'_, Error> = text.into_deserializer();
        date(deserializer)
    }

    #[test]
    fn dates_are_read_as_chrono_reads_them() {
        struct Case {
            text: &'static str,
            usual: bool,
            legal: bool,
        }
        let cases = [
            Case { text: "2026-08-19T10:00:00.250Z", usual: true, legal: true },
            Case { text: "2028-02-29T23:59:59.999Z", usual: true, legal: true },
            Case { text: "0000-01-01T00:00:00.000Z", usual: true, legal: true },
            Case { text: "9999-12-31T23:59:59.999Z", usual: true, legal: true },
            Case { text: "2016-12-31T23:59:60.500Z", usual: false, legal: true },
            Case { text: "2026-08-19T10:00:00Z", usual: false, legal: true },
            Case { text: "2026-08-19T10:00:00.25Z", usual: false, legal: true },
            Case { text: "2026-08-19T10:00:00.250123Z", usual: false, legal: true },
            Case { text: "2026-08-19t10:00:00.250z", usual: false, legal: true },
            Case { text: "2026-08-19T12:00:00+02:00", usual: false, legal: true },
            Case { text: "2026-02-29T10:00:00.250Z", usual: false, legal: false },
            Case { text: "2026-13-01T10:00:00.250Z", usual: false, legal: false },
            Case { text: "2026-08-19T24:00:00.250Z", usual: false, legal: false },
            Case { text: "2026-08-19T10:60:00.250Z", usual: false, legal: false },
            Case { text: "2026/08/19T10:00:00.250Z", usual: false, legal: false },
            Case { text: "２026-08-19T10:00:00.2Z", usual: false, legal: false },
            Case { text: "yesterday", usual: false, legal: false },
            Case { text: "", usual: false, legal: false },
        ];
        for Case { text, usual, legal } in cases {
            assert_eq!(super::usual(text).is_some(), usual, "{text:?}");
            assert_eq!(read(text).is_ok(), legal, "{text:?}");
            assert_eq!(read(text).ok(), text.parse::<DateTime<Utc>>().ok(), "{text:?}");
        }
    }

    /// Texts of the usual form with random digits; many are not dates.
    #[test]
    fn any_digits_are_read_as_chrono_reads_them() {
        let mut random = fastrand::Rng::with_seed(18);
        let mut dates = 0;
        for _ in 0..20_000 {
            let digit = |max: u32| random.u32(..=max);
            let [year, month, day, hour, minute, second, ms] =
                [9_999, 13, 32, 24, 60, 60, 999].map(digit);
            let text =
                format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z");
            assert_eq!(read(&text).ok(), text.parse::<DateTime<Utc>>().ok(), "{text}");
            dates += usize::from(usual(&text).is_some());
        }
        assert!((10_000..20_000).contains(&dates), "{dates}");
    }

    #[test]
    fn halves_of_surrogate_pairs_are_replaced() {
        let cases = [
            (r#""Ann \ud83d\ude00""#, r#""Ann \ud83d\ude00""#),
            (r#""Ann \ud83d""#, r#""Ann \ufffd""#),
            (r#""Ann \ude00 \uD83D\ud83d\ude00""#, r#""Ann \ufffd \ufffd\ud83d\ude00""#),
            (r#""no escape: \\ud83d \\\ud83d""#, r#""no escape: \\ud83d \\\ufffd""#),
            (r#""\ud83"#, r#""\ud83"#),
            ("\\", "\\"),
        ];
        for (json, expected) in cases {
            assert_eq!(without_surrogates(json.as_bytes()), expected.as_bytes(), "{json}");
        }
    }
}
