//! Timestamps as text: RFC 3339.

use std::fmt;
use std::str::FromStr;

use crate::time::Timestamp;

const SECONDS_PER_DAY: i64 = 86_400;

/// Writes the time in UTC as RFC 3339 requires, with as many decimals of a second as needed. Padding is supported.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.as_micros().div_euclid(1_000_000), self.as_micros().rem_euclid(1_000_000));
        let (days, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
        let (year, month, day) = date_of(days);
        let mut text = Text::default();
        let [mut fraction, mut decimals] = [micros, 6];
        while fraction % 10 == 0 && decimals > 0 {
            fraction /= 10;
            decimals -= 1;
        }
        for (value, digits, before) in [
            (year, 4, None),
            (month, 2, Some(b'-')),
            (day, 2, Some(b'-')),
            (second / 3_600, 2, Some(b'T')),
            (second / 60 % 60, 2, Some(b':')),
            (second % 60, 2, Some(b':')),
            (fraction, decimals, (decimals > 0).then_some(b'.')),
        ] {
            before.into_iter().for_each(|byte| text.push(byte));
            text.push_number(value, digits);
        }
        text.push(b'Z');
        f.pad(text.as_str())
    }
}

/// The text of one timestamp, at most 27 bytes.
#[derive(Default)]
struct Text {
    bytes: [u8; 27],
    len: usize,
}

impl Text {
    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn push_number(&mut self, value: i64, digits: i64) {
        for place in (0..digits).rev() {
            let digit = value / 10_i64.pow(u32::try_from(place).unwrap_or(0)) % 10;
            self.push(b'0' + u8::try_from(digit).unwrap_or(0));
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

/// Returns the date of a day counted from the Unix epoch: the year, the month 1 to 12, the day 1 to 31.
///
/// Years are counted from March, so that the leap day is the last day of a year.
const fn date_of(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097; // 400 years
    let shifted = days + 719_468; // days since 0000-03-01
    let (era, day) = (shifted.div_euclid(DAYS_PER_ERA), shifted.rem_euclid(DAYS_PER_ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let january = if month <= 2 { 1 } else { 0 };
    (year + era * 400 + january, month, day - (153 * from_march + 2) / 5 + 1)
}

/// Returns the number of the day of a date, counted from the Unix epoch. The inverse of [`date_of`].
const fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let from_march = (month + 9) % 12;
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + year * 365 + year / 4 - year / 100 + (153 * from_march + 2) / 5 + day - 1 - 719_468
}

/// The error of a text that is no RFC 3339 time within the years 1 to 9999.
///
/// ```
/// use candle_core::Timestamp;
///
/// let error = "yesterday".parse::<Timestamp>().unwrap_err();
/// assert_eq!(error.to_string(), "the text is no RFC 3339 time; a time such as 2025-03-25T23:07:00.5Z is expected");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTimestamp;

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is no RFC 3339 time; a time such as 2025-03-25T23:07:00.5Z is expected")
    }
}

impl std::error::Error for InvalidTimestamp {}

/// Reads an RFC 3339 time with any offset from UTC. Fractions are rounded to the nearest microsecond. A leap second, `:60`,
/// counts as the second before.
impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        parse(text.as_bytes()).ok_or(InvalidTimestamp)
    }
}

fn parse(text: &[u8]) -> Option<Timestamp> {
    let (date_and_time, mut rest) = text.split_at_checked(19)?;
    let is_separator = |at: usize, any_of: &[u8]| any_of.contains(&date_and_time[at]);
    let is_formed = is_separator(4, b"-")
        && is_separator(7, b"-")
        && is_separator(10, b"Tt ")
        && is_separator(13, b":")
        && is_separator(16, b":");
    let part = |from: usize, to: usize| number(&date_and_time[from..to]);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let days = day_of(year, month, day);
    let is_date = (1..=12).contains(&month) && date_of(days) == (year, month, day);
    if !is_formed || !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let len = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        micros = rounded_micros(fraction.get(..len).filter(|digits| !digits.is_empty())?);
        rest = &fraction[len..];
    }
    let offset_minutes = match rest {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), hours @ .., b':', m0, m1] if hours.len() == 2 => {
            let (hours, minutes) = (number(hours)?, number(&[*m0, *m1])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (if *sign == b'-' { -1 } else { 1 }) * (60 * hours + minutes)
        }
        _ => return None,
    };
    let seconds = days * SECONDS_PER_DAY + (hour * 60 + minute - offset_minutes) * 60 + second.min(59);
    Timestamp::from_micros(seconds * 1_000_000 + micros)
}

/// Returns the number that these digits are, or `None` if one of them is no digit.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// Returns the microseconds of the digits after the decimal point, rounded to the nearest microsecond.
fn rounded_micros(digits: &[u8]) -> i64 {
    let digit = |place: usize| digits.get(place).map_or(0, |byte| i64::from(byte - b'0'));
    let micros = (0..6).fold(0, |value, place| value * 10 + digit(place));
    micros + i64::from(digit(6) >= 5)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_written_as_needed() {
        let text = |micros| Timestamp::from_micros(micros).unwrap().to_string();
        assert_eq!(text(0), "1970-01-01T00:00:00Z");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(text(951_827_696_500_000), "2000-02-29T12:34:56.5Z");
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(format!("{:>22}|", Timestamp::EPOCH), "  1970-01-01T00:00:00Z|");
    }

    #[test]
    fn offsets_fractions_and_separators_are_read() {
        for (text, micros) in [
            ("1970-01-01t00:00:01z", 1_000_000),
            ("1970-01-01 00:00:00.0000004Z", 0),
            ("1970-01-01T00:00:00.0000005Z", 1),
            ("1970-01-01T00:00:00.9999999Z", 1_000_000),
            ("1970-01-01T01:30:00+01:30", 0),
            ("1969-12-31T16:00:00-08:00", 0),
            ("2016-12-31T23:59:60Z", 1_483_228_799_000_000),
        ] {
            assert_eq!(text.parse::<Timestamp>().map(Timestamp::as_micros), Ok(micros), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.Z",
            "1970-02-29T00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-00-01T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:60:00Z",
            "1970-01-01T00:00:61Z",
            "1970-01-01T00:00:00+24:00",
            "1970-01-01T00:00:00+1:00",
            "1970-01-01T00:00:00Z ",
            "+970-01-01T00:00:00Z",
            "0000-12-31T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "1970-01-01T00:00:0\u{e9}Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reading_returns_what_was_written(micros in Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros()) {
            let time = Timestamp::from_micros(micros).unwrap();
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:.+-]{0,30}|\\PC{0,30}") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
