//! The rules for ticks that do not depend on the present.

use crate::price::Prices;
use crate::time::Timestamp;

/// The rules that a tick must satisfy to be accepted.
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
    /// The default of [`max_ahead_micros`](Self::max_ahead_micros): 5 seconds. Clocks of well-kept machines differ by less.
    pub const DEFAULT_MAX_AHEAD_MICROS: i64 = 5_000_000;

    /// The largest [`max_ahead_micros`](Self::max_ahead_micros): 60 seconds. A ring has spare slots for the intervals
    /// ahead, so an early tick evicts no visible candle.
    pub const MAX_AHEAD_LIMIT_MICROS: i64 = 60_000_000;

    /// The default rules: positive prices, at most 5 seconds ahead.
    pub const DEFAULT: Self = Self { prices: Prices::Positive, max_ahead_micros: Self::DEFAULT_MAX_AHEAD_MICROS };

    /// Sets which prices are accepted.
    #[must_use]
    pub const fn with_prices(self, prices: Prices) -> Self {
        Self { prices, ..self }
    }

    /// Sets how far ahead of `now` a tick may be, in microseconds, cut to 0 ..=
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

    /// Returns which prices are accepted.
    pub const fn prices(&self) -> Prices {
        self.prices
    }

    /// Returns how far ahead of `now` a tick may be, in microseconds.
    pub const fn max_ahead_micros(&self) -> i64 {
        self.max_ahead_micros
    }

    #[inline]
    pub(crate) const fn is_too_far_ahead(&self, time: Timestamp, now: Timestamp) -> bool {
        time.micros_since(now) > self.max_ahead_micros
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::DEFAULT
    }
}
