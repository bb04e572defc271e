//! Checks the dates in requests.

use crate::decode::{day, has_form, number};
use crate::generated::Date;

const DATE_AND_TIME: &str = "0000-00-00T00:00:00";

/// Whether a text is a date and time of this form, and a day of the calendar.
pub(crate) fn is_date(text: &str, form: Date) -> bool {
    let text = text.to_ascii_uppercase();
    let Some((start, rest)) = text.split_at_checked(DATE_AND_TIME.len()) else { return false };
    if !has_form(start, DATE_AND_TIME) || day(start).is_none() {
        return false;
    }
    let is_digit = |c: char| c.is_ascii_digit();
    let comma = if form == Date::Iso8601 { rest.strip_prefix(',') } else { None };
    let fraction = rest.strip_prefix('.').or(comma).filter(|digits| digits.starts_with(is_digit));
    let offset = fraction.map_or(rest, |digits| digits.trim_start_matches(is_digit));
    let is_time = number(start, 11..13) < 24 && number(start, 14..16) < 60;
    is_time && number(start, 17..19) < 60 && is_offset(offset, form)
}

/// Whether a text is an offset from UTC: `Z` or `+05:30`; in ISO 8601 also `+0530` or none.
fn is_offset(text: &str, form: Date) -> bool {
    let is_iso = form == Date::Iso8601;
    let Some(offset) = text.strip_prefix(['+', '-']) else {
        return text == "Z" || (is_iso && text.is_empty());
    };
    let is_known = has_form(offset, "00:00") || (is_iso && has_form(offset, "0000"));
    is_known && number(offset, 0..2) < 24 && number(offset, offset.len() - 2..offset.len()) < 60
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
