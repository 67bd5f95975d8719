//! Writes numbers and times as their shortest exact decimals.

use candle_core::Timestamp;

/// Appends a whole number.
pub(super) fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends the shortest decimal that parses to the same finite number. Whole numbers have no fraction.
pub(super) fn number(out: &mut Vec<u8>, value: f64) {
    /// From this magnitude, the number is written by the general algorithm, whose shortest form may have an exponent.
    const WHOLE: f64 = 1e15;
    match ten_thousandths(value) {
        Some(units) => {
            if value < 0.0 {
                out.push(b'-');
            }
            decimal::<TEN_THOUSAND>(out, units);
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        None if value.trunc() == value && value.abs() < WHOLE => integer(out, value as i64),
        None => out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes()),
    }
}

/// The number of units in 1 for decimals with four places. Most prices have at most four places.
const TEN_THOUSAND: u64 = 10_000;

/// Returns the magnitude of `value` in ten-thousandths, if `value` is the double nearest to a whole number of them.
///
/// The returned units are the shortest decimal of `value`. Below 2^50 units, each unit count has its own nearest
/// double. No other decimal with four places therefore parses to `value`, and decimals with more places are longer. The
/// general algorithm takes twice as long.
fn ten_thousandths(value: f64) -> Option<u64> {
    const MAX_UNITS: f64 = (1_u64 << 50) as f64;
    let magnitude = value.abs();
    if magnitude * (TEN_THOUSAND as f64) >= MAX_UNITS {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and below 2^50")]
    let units = (magnitude * TEN_THOUSAND as f64 + 0.5) as u64;
    (units as f64 / TEN_THOUSAND as f64 == magnitude).then_some(units)
}

/// Appends `units / ONE` as a decimal without trailing zeros. `ONE` is a power of ten.
fn decimal<const ONE: u64>(out: &mut Vec<u8>, units: u64) {
    integer(out, units / ONE);
    let fraction = units % ONE;
    if fraction > 0 {
        // Adding `ONE` preserves the leading zeros of the fraction. The first digit is then skipped.
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(ONE + fraction).as_bytes();
        let end = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        out.push(b'.');
        out.extend_from_slice(&digits[1..end]);
    }
}

/// Appends a time in seconds since the epoch, exact to the microsecond.
pub(super) fn seconds(out: &mut Vec<u8>, at: Timestamp) {
    const MICROS: u64 = 1_000_000;
    let micros = at.as_micros();
    if micros < 0 {
        out.push(b'-');
    }
    decimal::<MICROS>(out, micros.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written<T>(write: impl FnOnce(&mut Vec<u8>, T), value: T) -> String {
        let mut out = Vec::new();
        write(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_exact_to_the_microsecond() {
        let at = |micros| written(seconds, Timestamp::from_micros(micros).unwrap());
        assert_eq!(at(1_629_650_270_250_000), "1629650270.25");
        assert_eq!(at(1_742_944_020_000_001), "1742944020.000001");
        assert_eq!(at(60_000_000), "60");
        assert_eq!(at(-1), "-0.000001");
    }

    #[test]
    fn numbers_are_the_shortest_decimals_that_parse_to_the_same_value() {
        for (value, text) in [(12.5, "12.5"), (0.0, "0"), (87_232.0, "87232"), (0.1 + 0.2, "0.30000000000000004")] {
            assert_eq!(written(number, value), text);
        }
        for value in [1e300, 5e-324, 1e15, 123_456_789_012_345_680.0, -37.63] {
            assert_eq!(written(number, value).parse::<f64>().unwrap(), value);
        }
    }

    proptest! {
        #[test]
        fn numbers_with_few_decimals_equal_the_output_of_the_general_algorithm(
            units in -(1_i64 << 51)..1_i64 << 51,
            places in 0..8_i32,
            steps in -2..=2_i64,
        ) {
            // The test covers the double nearest to a short decimal, and the neighbours of that double.
            let near = units as f64 / 10_f64.powi(places);
            let value = f64::from_bits(near.to_bits().wrapping_add_signed(steps));
            prop_assume!(value.is_finite());
            let text = written(number, value);
            if (1e-4..1e15).contains(&value.abs()) {
                let general = zmij::Buffer::new().format_finite(value).to_owned();
                prop_assert_eq!(&text, general.strip_suffix(".0").unwrap_or(&general));
            }
            prop_assert_eq!(text.parse::<f64>().unwrap(), value);
        }
    }
}
