//! The validation of ticks at one moment.

use crate::key::Key;
use crate::outcome::Outcome;
use crate::price::Price;
use crate::rules::Rules;
use crate::size::Size;
use crate::tick::Tick;
use crate::time::{MICROS_PER_MINUTE, Minute, Timestamp, WINDOW_MINUTES};

/// [`Rules`] at one `now`. Created by [`Rules::at`].
///
/// ```
/// use candle_core::{Outcome, Ring, Rules, Tick, Timestamp};
///
/// let now = Timestamp::from_seconds(600).unwrap();
/// let validator = Rules::default().at(now);
/// let mut ring = Ring::default();
/// assert_eq!(ring.record(&Tick::new(now, f64::NAN), &validator), Outcome::BadPrice);
/// assert_eq!(ring.record(&Tick::new(now, 1.0), &validator), Outcome::Opened);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validator {
    pub(crate) rules: Rules,
    pub(crate) now: Timestamp,
}

impl Rules {
    /// Validates a tick for a given minute that is not over at `now`. Returns `None` if the tick is of another minute, the
    /// minute is over, or only [`Validator::validate`] can decide.
    ///
    /// Nearly every tick is of the minute of its instrument's newest candle. This check needs no division, and a positive
    /// price satisfies every rule.
    #[inline]
    pub(crate) fn validate_in_order(&self, minute: Minute, now: Timestamp, tick: &Tick) -> Option<ValidTick> {
        let start = minute.start();
        if now.micros_since(start) >= MICROS_PER_MINUTE
            || !tick.time.is_in(minute)
            || self.is_too_far_ahead(tick.time, now)
        {
            return None;
        }
        let (price, size) = (Price::positive(tick.price)?, Size::plain(tick.size)?);
        Some(ValidTick { minute, key: Key::new(tick.time.offset_in(minute), tick.seq), price, size })
    }

    /// Returns the validator that applies these rules at `now`.
    #[inline]
    pub const fn at(&self, now: Timestamp) -> Validator {
        Validator { rules: *self, now }
    }
}

impl Validator {
    /// Returns the minute of `now`. Every earlier minute is over.
    #[inline]
    pub(crate) const fn minute(&self) -> Minute {
        self.now.minute()
    }

    /// Returns the outcome that refuses a tick of a listed instrument, or `None` if the tick is valid. Records nothing.
    ///
    /// ```
    /// use candle_core::{Outcome, Rules, Tick, Timestamp};
    ///
    /// let now = Timestamp::from_seconds(600).unwrap();
    /// let validator = Rules::default().at(now);
    /// assert_eq!(validator.refusal(&Tick::new(now, 1.0)), None);
    /// assert_eq!(validator.refusal(&Tick::new(now, 0.0)), Some(Outcome::BadPrice));
    /// ```
    pub fn refusal(&self, tick: &Tick) -> Option<Outcome> {
        self.validate(tick).err()
    }

    /// Returns the valid tick, or the first outcome that refuses it.
    pub(crate) fn validate(&self, tick: &Tick) -> Result<ValidTick, Outcome> {
        let price = Price::new(tick.price, self.rules.prices()).ok_or(Outcome::BadPrice)?;
        let size = Size::new(tick.size).ok_or(Outcome::BadSize)?;
        if self.rules.is_too_far_ahead(tick.time, self.now) {
            return Err(Outcome::TooFarAhead);
        }
        let minute = tick.time.minute();
        if minute < self.minute().saturating_add(1 - WINDOW_MINUTES) {
            return Err(Outcome::TooOld);
        }
        Ok(ValidTick { minute, key: Key::new(tick.time.offset_in(minute), tick.seq), price, size })
    }

    /// Returns the outcome that refuses a tick of an unlisted instrument. An invalid price or size comes first; the time is
    /// not considered.
    #[cold]
    pub(crate) fn refuse_unlisted(&self, tick: &Tick) -> Outcome {
        match self.validate(tick) {
            Err(refused @ (Outcome::BadPrice | Outcome::BadSize)) => refused,
            _ => Outcome::UnknownInstrument,
        }
    }
}

/// A tick that satisfies the rules, in the form that a candle accepts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValidTick {
    pub(crate) minute: Minute,
    pub(crate) key: Key,
    pub(crate) price: Price,
    pub(crate) size: Size,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validated(tick: Tick, now: Timestamp) -> Result<Minute, Outcome> {
        Rules::default().at(now).validate(&tick).map(|valid| valid.minute)
    }

    #[test]
    fn the_first_reason_to_refuse_is_returned() {
        let now = Timestamp::from_seconds(100_000).unwrap();
        let old = Timestamp::EPOCH;
        let ahead = now.saturating_add(60_000_000);
        assert_eq!(validated(Tick::new(old, -1.0).with_size(-1.0), now), Err(Outcome::BadPrice));
        assert_eq!(validated(Tick::new(ahead, 1.0).with_size(-1.0), now), Err(Outcome::BadSize));
        assert_eq!(validated(Tick::new(ahead, 1.0), now), Err(Outcome::TooFarAhead));
        assert_eq!(validated(Tick::new(old, 1.0), now), Err(Outcome::TooOld));
    }

    #[test]
    fn in_order_validation_accepts_what_full_validation_accepts_of_a_minute_that_is_not_over() {
        let minute = Minute::EPOCH.saturating_add(100);
        let edges = |at: Timestamp| [-5_000_001, -5_000_000, -1, 0, 1].map(|micros| at.saturating_add(micros));
        for now in edges(minute.start()).into_iter().chain(edges(minute.end())) {
            for time in
                edges(minute.start()).into_iter().chain(edges(minute.end())).chain(edges(now.saturating_add(5_000_000)))
            {
                let tick = Tick::new(time, 1.0).with_seq(7);
                let full = Rules::default().at(now).validate(&tick).ok();
                let expected = full.filter(|valid| valid.minute == minute && minute >= now.minute());
                let in_order = Rules::default().validate_in_order(minute, now, &tick);
                let fields = |valid: Option<ValidTick>| valid.map(|v| (v.minute, v.key, v.price, v.size));
                assert_eq!(fields(in_order), fields(expected), "{now:?} {time:?}");
            }
        }
    }

    #[test]
    fn the_window_is_the_minute_of_now_and_the_29_before() {
        let now = Minute::EPOCH.saturating_add(100).start();
        let first = now.minute().saturating_add(-29).start();
        assert_eq!(validated(Tick::new(first, 1.0), now), Ok(first.minute()));
        assert_eq!(validated(Tick::new(first.saturating_add(-1), 1.0), now), Err(Outcome::TooOld));
    }
}
