//! Parses exact numbers from the text of JSON tokens.

use candle_core::Timestamp;

/// Parses a JSON number and rounds it correctly to an `f64`. Returns `None` for any other token and on overflow.
pub(super) fn finite(token: &str) -> Option<f64> {
    if !is_number(token) {
        return None;
    }
    token.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Parses decimal digits. Returns `None` for any other token and on overflow of 64 bits.
pub(super) fn integer(token: &str) -> Option<u64> {
    // `parse` accepts a leading plus.
    token.bytes().all(|byte| byte.is_ascii_digit()).then(|| token.parse().ok())?
}

/// Parses a JSON number of seconds since the epoch, rounded to the nearest microsecond. Halves are rounded away from
/// zero.
///
/// The function parses the decimal digits, because an `f64` is not exact to the microsecond between the years 2255 and
/// 9999. Returns `None` for any other token and outside the years 1 to 9999.
pub(super) fn timestamp(token: &str) -> Option<Timestamp> {
    if !is_number(token) {
        return None;
    }
    let (negative, magnitude) = match token.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, token),
    };
    let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // The number of digits before the decimal point when the number is converted to microseconds.
    let point = exponent_of(exponent).saturating_add(MICRO_DIGITS).saturating_add_unsigned(whole.len() as u64);
    let micros = shifted(whole.bytes().chain(fraction.bytes()), point)?;
    Timestamp::from_micros(if negative { -micros } else { micros })
}

/// The number of decimal places from seconds to microseconds.
const MICRO_DIGITS: i64 = 6;

fn is_number(token: &str) -> bool {
    token.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Parses an exponent. An exponent that overflows 64 bits saturates, which gives the same result for every mantissa
/// that fits in a frame.
fn exponent_of(digits: &str) -> i64 {
    digits.parse().unwrap_or(if digits.starts_with('-') { i64::MIN } else { i64::MAX })
}

/// Converts `digits` to a rounded number. The decimal point follows the first `point` digits. Returns `None` on
/// overflow.
fn shifted(digits: impl Iterator<Item = u8>, point: i64) -> Option<i64> {
    let mut value: i64 = 0;
    let mut left = point;
    for digit in digits.map(|byte| i64::from(byte - b'0')) {
        if left <= 0 {
            return Some(value + i64::from(left == 0 && digit >= 5));
        }
        value = value.checked_mul(10)?.checked_add(digit)?;
        left -= 1;
    }
    while left > 0 && value > 0 {
        value = value.checked_mul(10)?;
        left -= 1;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(token: &str) -> Option<i64> {
        timestamp(token).map(Timestamp::as_micros)
    }

    #[test]
    fn times_are_exact_to_the_microsecond() {
        assert_eq!(micros("1742944020.715000"), Some(1_742_944_020_715_000));
        assert_eq!(micros("1629648467.1999998"), Some(1_629_648_467_200_000));
        assert_eq!(micros("1629648467"), Some(1_629_648_467_000_000));
        assert_eq!(micros("1.629648467e9"), Some(1_629_648_467_000_000));
        assert_eq!(micros("16296484672E-1"), Some(1_629_648_467_200_000));
        assert_eq!(micros("-0.5"), Some(-500_000));
        assert_eq!(micros("-0"), Some(0));
        assert_eq!(micros("253402300799.999999"), Some(Timestamp::MAX.as_micros()));
    }

    #[test]
    fn halves_of_a_microsecond_round_away_from_zero() {
        assert_eq!(micros("0.0000004999999999999999999999"), Some(0));
        assert_eq!(micros("0.0000005"), Some(1));
        assert_eq!(micros("-0.0000005"), Some(-1));
        assert_eq!(micros("5e-7"), Some(1));
        assert_eq!(micros("5e-8"), Some(0));
        assert_eq!(micros("1629648467.9999995"), Some(1_629_648_468_000_000));
    }

    #[test]
    fn times_outside_the_years_1_to_9999_are_rejected() {
        assert_eq!(micros("253402300799.9999995"), None);
        assert_eq!(micros("-62135596800"), Some(Timestamp::MIN.as_micros()));
        assert_eq!(micros("-62135596800.000001"), None);
        assert_eq!(micros("1742944020715"), None, "milliseconds");
        assert_eq!(micros("1e999"), None);
        assert_eq!(micros("1e99999999999999999999"), None);
        assert_eq!(micros(&"9".repeat(400)), None);
    }

    #[test]
    fn huge_exponents_are_parsed_in_constant_time() {
        assert_eq!(micros("0e99999999999999999999"), Some(0));
        assert_eq!(micros("1e-99999999999999999999"), Some(0));
        assert_eq!(micros("0e9223372036854775807"), Some(0));
    }

    #[test]
    fn only_digits_are_an_integer() {
        assert_eq!(integer("18446744073709551615"), Some(u64::MAX));
        for token in ["18446744073709551616", "+1", "-1", "1.0", "1e3", "", "\"1\"", "null"] {
            assert_eq!(integer(token), None, "{token}");
        }
    }

    #[test]
    fn only_finite_numbers_are_accepted() {
        assert_eq!(finite("-0.0").map(f64::to_bits), Some((-0.0f64).to_bits()));
        assert_eq!(finite("37.85049409295805"), Some(37.850_494_092_958_05));
        for token in ["1e999", "NaN", "inf", "\"1\"", "null", "true", "[1]"] {
            assert_eq!(finite(token), None, "{token}");
        }
    }
}
