//! Numbers of JSON, compared and divided exactly.

use std::cmp::Ordering;

use serde_json::Value;

/// A decimal number: `digits * 10^exponent`.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    digits: i128,
    exponent: i32,
}

impl Decimal {
    /// The number that a JSON value is.
    pub fn of(value: &Value) -> Option<Self> {
        let text = value.as_number()?.to_string();
        let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let exponent = exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()?;
        Some(Self { digits: format!("{whole}{fraction}").parse().ok()?, exponent })
    }

    pub fn is_multiple_of(self, step: Self) -> bool {
        self.aligned(step).is_some_and(|(digits, step)| step != 0 && digits % step == 0)
    }

    pub fn is_integer(self) -> bool {
        self.is_multiple_of(1.into())
    }

    /// The digits of both at the same exponent, unless the numbers are too far apart.
    fn aligned(self, other: Self) -> Option<(i128, i128)> {
        let exponent = self.exponent.min(other.exponent);
        let digits = |number: Self| {
            let zeros = u32::try_from(number.exponent.checked_sub(exponent)?).ok()?;
            number.digits.checked_mul(10_i128.checked_pow(zeros)?)
        };
        digits(self).zip(digits(other))
    }

    fn approximate(self) -> f64 {
        self.digits as f64 * 10_f64.powi(self.exponent)
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        Self { digits: number.into(), exponent: 0 }
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.aligned(*other) {
            Some((one, other)) => one.partial_cmp(&other),
            // Numbers that are so far apart differ in any precision.
            None => self.approximate().partial_cmp(&other.approximate()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: Value) -> Decimal {
        Decimal::of(&value).unwrap()
    }

    #[test]
    fn numbers_are_compared_exactly() {
        let ascending = [
            json!(-1e300),
            json!(-1),
            json!(0.1),
            json!(0.3),
            json!(9007199254740992_u64),
            json!(9007199254740993_u64),
            json!(u64::MAX),
            json!(1e300),
        ];
        for pair in ascending.windows(2) {
            assert!(of(pair[0].clone()) < of(pair[1].clone()), "{pair:?}");
        }
        assert_eq!(of(json!(1)), of(json!(1.0)));
        assert_eq!(of(json!(0)), of(json!(-0.0)));
        assert!(Decimal::of(&json!("1")).is_none());
    }

    #[test]
    fn multiples_are_exact() {
        struct Case {
            number: Value,
            step: Value,
            is_multiple: bool,
        }
        let cases = [
            Case { number: json!(0.3), step: json!(0.1), is_multiple: true },
            Case { number: json!(0.35), step: json!(0.1), is_multiple: false },
            Case { number: json!(1e-7), step: json!(1e-8), is_multiple: true },
            Case { number: json!(9007199254740993_u64), step: json!(2), is_multiple: false },
            Case { number: json!(9007199254740994_u64), step: json!(2), is_multiple: true },
            Case { number: json!(1), step: json!(0), is_multiple: false },
            Case { number: json!(1e300), step: json!(1), is_multiple: false }, // not proved
        ];
        for Case { number, step, is_multiple } in cases {
            let found = of(number.clone()).is_multiple_of(of(step.clone()));
            assert_eq!(found, is_multiple, "{number} {step}");
        }
    }
}
