//! A tick, and the rules by which one is taken.

use crate::key::Key;
use crate::outcome::Outcome;
use crate::price::{Price, Prices, Size};
use crate::time::{MICROS_PER_MINUTE, Minute, Timestamp, WINDOW_MINUTES};

/// One price update entering the core, as the feed sent it: nothing in it is checked yet.
///
/// ```
/// use candle_core::{Tick, Timestamp};
///
/// let at = Timestamp::from_micros(1_742_944_020_715_000).unwrap();
/// let tick = Tick::new(at, 87_232.0).with_size(0.000_12).with_seq(4_744_868_157);
/// assert_eq!(tick.time, at);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    /// When it happened, on the feed's clock; it decides the minute.
    pub time: Timestamp,
    /// The feed's own sequence or trade number, which orders the ticks of one microsecond. Where a feed has none, the
    /// one place that reads the feed numbers its ticks in arrival order.
    pub seq: u64,
    /// The price, in the instrument's own currency or unit.
    pub price: f64,
    /// The amount traded, 0 where the feed tells none.
    pub size: f64,
}

impl Tick {
    /// A tick without size or sequence number.
    pub const fn new(time: Timestamp, price: f64) -> Self {
        Self { time, seq: 0, price, size: 0.0 }
    }

    /// The same tick with this size.
    #[must_use]
    pub const fn with_size(self, size: f64) -> Self {
        Self { size, ..self }
    }

    /// The same tick with this sequence number.
    #[must_use]
    pub const fn with_seq(self, seq: u64) -> Self {
        Self { seq, ..self }
    }
}

/// What a tick must be like to be taken.
///
/// ```
/// use candle_core::{Outcome, Ring, Rules, Tick, Timestamp};
///
/// let rules = Rules::default();
/// let now = Timestamp::from_seconds(1_000).unwrap();
/// let mut ring = Ring::default();
/// let five_ahead = Tick::new(now.saturating_add(5_000_000), 10.0);
/// assert_eq!(ring.record(&five_ahead, &rules.at(now)), Outcome::Opened);
/// let just_over = Tick::new(now.saturating_add(5_000_001), 10.0);
/// assert_eq!(ring.record(&just_over, &rules.at(now)), Outcome::TooFarAhead);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    prices: Prices,
    max_ahead_micros: i64,
}

impl Rules {
    /// How far ahead of `now` a tick may be, in microseconds: clocks of well-kept machines differ by less.
    pub const DEFAULT_MAX_AHEAD_MICROS: i64 = 5_000_000;

    /// The most that can be allowed, in microseconds. A ring has a spare slot for one minute ahead and not for more,
    /// so that an early tick evicts nothing that can be seen.
    pub const MAX_AHEAD_LIMIT_MICROS: i64 = 60_000_000;

    /// Positive prices, at most five seconds ahead.
    pub const DEFAULT: Self = Self { prices: Prices::Positive, max_ahead_micros: Self::DEFAULT_MAX_AHEAD_MICROS };

    /// The same rules with other prices taken.
    #[must_use]
    pub const fn with_prices(self, prices: Prices) -> Self {
        Self { prices, ..self }
    }

    /// The same rules with ticks taken up to `micros` microseconds ahead of `now`, cut to 0 ..=
    /// [`MAX_AHEAD_LIMIT_MICROS`](Self::MAX_AHEAD_LIMIT_MICROS).
    #[must_use]
    pub const fn with_max_ahead_micros(self, micros: i64) -> Self {
        let cut = if micros < 0 {
            0
        } else if micros > Self::MAX_AHEAD_LIMIT_MICROS {
            Self::MAX_AHEAD_LIMIT_MICROS
        } else {
            micros
        };
        Self { max_ahead_micros: cut, ..self }
    }

    /// Which prices are taken.
    pub const fn prices(&self) -> Prices {
        self.prices
    }

    /// How far ahead of `now` a tick may be, in microseconds.
    pub const fn max_ahead_micros(&self) -> i64 {
        self.max_ahead_micros
    }

    /// The tick in the form that a candle takes, if it is of `minute` and at `now` that is not over; `None` where that
    /// takes [a closer look](Validator::validator).
    ///
    /// Nearly every tick is of the minute that its instrument's newest candle covers. To see that takes no division,
    /// and a price above zero no rule.
    #[inline]
    pub(crate) fn admit_to(&self, minute: Minute, now: Timestamp, tick: &Tick) -> Option<ValidTick> {
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

    #[inline]
    const fn is_too_far_ahead(&self, time: Timestamp, now: Timestamp) -> bool {
        time.micros_since(now) > self.max_ahead_micros
    }

    /// These rules as they stand at `now`.
    #[inline]
    pub const fn at(&self, now: Timestamp) -> Validator {
        Validator { rules: *self, now }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// [`Rules`] at one `now`.
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

impl Validator {
    /// The minute of `now`; every earlier one is over.
    #[inline]
    pub(crate) const fn minute(&self) -> Minute {
        self.now.minute()
    }

    /// Why a tick of a listed instrument would be refused, or `None` if it would be taken: for who must know before it
    /// is recorded.
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

    /// The tick in the form that a candle takes, or the first reason to refuse it.
    pub(crate) fn validate(&self, tick: &Tick) -> Result<ValidTick, Outcome> {
        let price = Price::new(tick.price, self.rules.prices).ok_or(Outcome::BadPrice)?;
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

    /// Why a tick is refused whose instrument is unknown: what is wrong with its values comes first, its time last.
    #[cold]
    pub(crate) fn refuse_unlisted(&self, tick: &Tick) -> Outcome {
        match self.validate(tick) {
            Err(refused @ (Outcome::BadPrice | Outcome::BadSize)) => refused,
            _ => Outcome::UnknownInstrument,
        }
    }
}

/// A tick that its validator let through.
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

    fn judged(tick: Tick, now: Timestamp) -> Result<Minute, Outcome> {
        Rules::default().at(now).validate(&tick).map(|admitted| admitted.minute)
    }

    #[test]
    fn reasons_are_judged_in_order() {
        let now = Timestamp::from_seconds(100_000).unwrap();
        let old = Timestamp::EPOCH;
        let ahead = now.saturating_add(60_000_000);
        assert_eq!(judged(Tick::new(old, -1.0).with_size(-1.0), now), Err(Outcome::BadPrice));
        assert_eq!(judged(Tick::new(ahead, 1.0).with_size(-1.0), now), Err(Outcome::BadSize));
        assert_eq!(judged(Tick::new(ahead, 1.0), now), Err(Outcome::TooFarAhead));
        assert_eq!(judged(Tick::new(old, 1.0), now), Err(Outcome::TooOld));
    }

    #[test]
    fn what_is_admitted_at_once_is_what_a_closer_look_admits_of_a_minute_that_is_not_over() {
        let minute = Minute::EPOCH.saturating_add(100);
        let edges = |at: Timestamp| [-5_000_001, -5_000_000, -1, 0, 1].map(|micros| at.saturating_add(micros));
        for now in edges(minute.start()).into_iter().chain(edges(minute.end())) {
            for time in
                edges(minute.start()).into_iter().chain(edges(minute.end())).chain(edges(now.saturating_add(5_000_000)))
            {
                let tick = Tick::new(time, 1.0).with_seq(7);
                let judged = Rules::default().at(now).validate(&tick).ok();
                let expected = judged.filter(|admitted| admitted.minute == minute && minute >= now.minute());
                let admitted = Rules::default().admit_to(minute, now, &tick);
                let told = |admitted: Option<ValidTick>| admitted.map(|a| (a.minute, a.key, a.price, a.size));
                assert_eq!(told(admitted), told(expected), "{now:?} {time:?}");
            }
        }
    }

    #[test]
    fn the_window_is_the_minute_of_now_and_the_29_before() {
        let now = Minute::EPOCH.saturating_add(100).start();
        let first = now.minute().saturating_add(-29).start();
        assert_eq!(judged(Tick::new(first, 1.0), now), Ok(first.minute()));
        assert_eq!(judged(Tick::new(first.saturating_add(-1), 1.0), now), Err(Outcome::TooOld));
    }
}
