//! The validation of ticks at one moment.

use crate::interval::{Interval, OpenTime};
use crate::key::Key;
use crate::outcome::Outcome;
use crate::price::Price;
use crate::rules::Rules;
use crate::size::Size;
use crate::tick::Tick;
use crate::time::Timestamp;
use crate::window::Window;

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
    /// Validates a tick for the candle that opens at `open` and is not over at `now`. Returns `None` if the tick is of
    /// another candle, the candle is over, or only [`Validator::validate`] can decide.
    ///
    /// Nearly every tick is of the newest candle of its instrument. This check needs no division, and a
    /// [plain](Price::plain) price satisfies every rule.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call on the path of every tick costs a tenth of it")]
    #[expect(clippy::cast_sign_loss, reason = "a negative offset is meant to be large")]
    pub(crate) fn validate_in_order(
        &self,
        open: OpenTime,
        interval: Interval,
        now: Timestamp,
        tick: &Tick,
    ) -> Option<ValidTick> {
        let start = open.start();
        // A tick before the candle has a negative offset, which is above every interval if it is unsigned.
        let offset = tick.time.micros_since(start) as u64;
        if now.micros_since(start) >= interval.micros()
            || offset >= interval.micros() as u64
            || self.is_too_far_ahead(tick.time, now)
        {
            return None;
        }
        let (price, size) = (Price::plain(tick.price)?, Size::new(tick.size)?);
        Some(ValidTick { open, key: Key::new(offset, tick.seq, interval), price, size })
    }

    /// Returns the validator that applies these rules at `now`.
    #[inline]
    pub const fn at(&self, now: Timestamp) -> Validator {
        Validator { rules: *self, now }
    }
}

impl Validator {
    /// Returns the outcome that refuses a tick of a listed instrument with this window, or `None` if the tick is valid.
    /// Records nothing.
    ///
    /// ```
    /// use candle_core::{Outcome, Rules, Tick, Timestamp, Window};
    ///
    /// let now = Timestamp::from_seconds(600).unwrap();
    /// let validator = Rules::default().at(now);
    /// assert_eq!(validator.refusal(&Tick::new(now, 1.0), Window::DEFAULT), None);
    /// assert_eq!(validator.refusal(&Tick::new(now, 0.0), Window::DEFAULT), Some(Outcome::BadPrice));
    /// ```
    pub fn refusal(&self, tick: &Tick, window: Window) -> Option<Outcome> {
        self.validate(tick, window).err()
    }

    /// Returns the valid tick, or the first outcome that refuses it.
    pub(crate) fn validate(&self, tick: &Tick, window: Window) -> Result<ValidTick, Outcome> {
        let price = Price::new(tick.price, self.rules.prices()).ok_or(Outcome::BadPrice)?;
        let size = Size::new(tick.size).ok_or(Outcome::BadSize)?;
        if self.rules.is_too_far_ahead(tick.time, self.now) {
            return Err(Outcome::TooFarAhead);
        }
        let open = window.open(tick.time);
        if open < window.first(window.open(self.now)) {
            return Err(Outcome::TooOld);
        }
        #[expect(clippy::cast_sign_loss, reason = "no tick is before the open time of its candle")]
        let offset = tick.time.micros_since(open.start()) as u64;
        Ok(ValidTick { open, key: Key::new(offset, tick.seq, window.interval()), price, size })
    }

    /// Returns the outcome that refuses a tick of an unlisted instrument. An invalid price or size comes first; the time is
    /// not considered.
    #[cold]
    pub(crate) fn refuse_unlisted(&self, tick: &Tick) -> Outcome {
        match self.validate(tick, Window::DEFAULT) {
            Err(refused @ (Outcome::BadPrice | Outcome::BadSize)) => refused,
            _ => Outcome::UnknownInstrument,
        }
    }
}

/// A tick that satisfies the rules, in the form that a candle accepts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValidTick {
    pub(crate) open: OpenTime,
    pub(crate) key: Key,
    pub(crate) price: Price,
    pub(crate) size: Size,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows() -> impl Iterator<Item = Window> {
        let window = |seconds, candles| Window::new(Interval::seconds(seconds).unwrap(), candles).unwrap();
        [(60, 30), (1, 600), (1, 1), (300, 12), (90, 2), (86_400, 1_440)].into_iter().map(move |(s, n)| window(s, n))
    }

    fn validated(tick: Tick, now: Timestamp) -> Result<OpenTime, Outcome> {
        Rules::default().at(now).validate(&tick, Window::DEFAULT).map(|valid| valid.open)
    }

    #[test]
    fn the_first_reason_to_refuse_is_returned() {
        let now = Timestamp::from_seconds(100_000).unwrap();
        let old = Timestamp::EPOCH;
        let ahead = now.saturating_add(60_000_000);
        assert_eq!(validated(Tick::new(old, -1.0).with_size(2e15), now), Err(Outcome::BadPrice));
        assert_eq!(validated(Tick::new(ahead, 1.0).with_size(-2e15), now), Err(Outcome::BadSize));
        assert_eq!(validated(Tick::new(ahead, 1.0), now), Err(Outcome::TooFarAhead));
        assert_eq!(validated(Tick::new(old, 1.0), now), Err(Outcome::TooOld));
    }

    #[test]
    fn in_order_validation_accepts_what_full_validation_accepts_of_a_candle_that_is_not_over() {
        for window in windows() {
            let interval = window.interval();
            let open = interval.open(Timestamp::from_seconds(100 * 86_400).unwrap());
            let (start, end) = (open.start(), interval.close_time(open.start()));
            let edges = |at: Timestamp| [-5_000_001, -5_000_000, -1, 0, 1].map(|micros| at.saturating_add(micros));
            for now in edges(start).into_iter().chain(edges(end)) {
                for time in edges(start).into_iter().chain(edges(end)).chain(edges(now.saturating_add(5_000_000))) {
                    let tick = Tick::new(time, 1.0).with_seq(7);
                    let full = Rules::default().at(now).validate(&tick, window).ok();
                    let expected = full.filter(|valid| valid.open == open && open >= interval.open(now));
                    let in_order = Rules::default().validate_in_order(open, interval, now, &tick);
                    let fields = |valid: Option<ValidTick>| valid.map(|v| (v.open, v.key, v.price, v.size));
                    assert_eq!(fields(in_order), fields(expected), "{now} {time} {interval}");
                }
            }
        }
    }

    #[test]
    fn the_window_is_the_forming_candle_and_those_before_it() {
        for window in windows() {
            let interval = window.interval();
            let now = Timestamp::from_seconds(4_000 * 86_400).unwrap().saturating_add(interval.micros() / 2);
            let back = interval.micros() * (i64::try_from(window.candles()).unwrap() - 1);
            let first = interval.open_time(now).saturating_add(-back);
            let validated =
                |time| Rules::default().at(now).validate(&Tick::new(time, 1.0), window).map(|valid| valid.open);
            assert_eq!(validated(first), Ok(interval.open(first)));
            assert_eq!(validated(first.saturating_add(-1)).err(), Some(Outcome::TooOld));
        }
    }
}
