//! Whether a text is a date and time, as a request may have one.

use chrono::NaiveDate;

use crate::generated::Date;

/// Whether a text is a date and time of this form, and a day of the calendar.
pub(crate) fn is_date(text: &str, form: Date) -> bool {
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
