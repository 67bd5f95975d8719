//! Timestamps as numbers of a unit that is longer than a microsecond.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

use crate::time::{Timestamp, TimestampOutOfRange};

pub(super) fn serialize<S: Serializer>(time: Timestamp, unit: i64, serializer: S) -> Result<S::Ok, S::Error> {
    let micros = time.as_micros();
    if serializer.is_human_readable() && micros % unit == 0 {
        return serializer.serialize_i64(micros / unit);
    }
    serializer.serialize_f64(micros as f64 / unit as f64)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(unit: i64, deserializer: D) -> Result<Timestamp, D::Error> {
    let visitor = NumberVisitor { unit };
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(visitor)
    } else {
        deserializer.deserialize_f64(visitor)
    }
}

/// Reads a number of units, each of `unit` microseconds.
struct NumberVisitor {
    unit: i64,
}

impl Visitor<'_> for NumberVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number within the years 1 to 9999")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Timestamp, E> {
        let time = number.checked_mul(self.unit).and_then(Timestamp::from_micros);
        time.ok_or_else(|| E::custom(TimestampOutOfRange))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Timestamp, E> {
        self.visit_i64(i64::try_from(number).map_err(|_| E::custom(TimestampOutOfRange))?)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Timestamp, E> {
        // The part before the point is exact, so only the part behind it is rounded.
        let micros = number.trunc() * self.unit as f64 + (number.fract() * self.unit as f64).round();
        #[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and NaN was excluded")]
        let time = if micros.is_finite() { Timestamp::from_micros(micros as i64) } else { None };
        time.ok_or_else(|| E::custom(TimestampOutOfRange))
    }
}
