//! The settings of an aggregator.

use std::hash::{BuildHasher, RandomState};

use crate::interval::Interval;
use crate::rules::Rules;
use crate::window::{InvalidWindow, Window};

/// The settings of an [`Aggregator`](crate::Aggregator): plain values, changed by `with_` methods.
///
/// ```
/// use candle_core::{Config, Interval, Prices, Rules};
///
/// let config = Config::default()
///     .with_interval(Interval::seconds(1)?)
///     .with_window(600)?
///     .with_max_instruments(10_000)
///     .with_rules(Rules::DEFAULT.with_prices(Prices::Any));
/// assert_eq!((config.window().candles(), config.max_instruments()), (600, 10_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    stripes: usize,
    max_instruments: usize,
    rules: Rules,
    window: Window,
    reserved_id: Option<&'static str>,
    seed: u64,
}

impl Config {
    /// The default number of stripes. Enough that a few threads seldom need the same stripe. Few enough that all locks
    /// fit the nearest cache and a batch has several ticks for each stripe.
    pub const DEFAULT_STRIPES: usize = 64;

    /// The largest number of stripes. A batch sorts its ticks by stripe in a table of this size, and a handle stores a
    /// stripe in 16 bits.
    pub const MAX_STRIPES: usize = 1024;

    /// The default limit on listed instruments: twice the load that one small machine is built for. All of them together
    /// take 290 MB with the default window.
    pub const DEFAULT_MAX_INSTRUMENTS: usize = 100_000;

    /// The largest limit on listed instruments: 16 million. They take 48 GB with the default window.
    pub const MAX_INSTRUMENTS_LIMIT: usize = 1 << 24;

    /// Sets the interval of the candles. The default is one minute. The window keeps its number of candles, cut to
    /// [`Window::max_candles`].
    #[must_use]
    pub const fn with_interval(self, interval: Interval) -> Self {
        Self { window: self.window.with_interval(interval), ..self }
    }

    /// Sets the length of the window to `candles` candles, the forming one included. The default is 30.
    ///
    /// # Errors
    /// Returns [`InvalidWindow`] unless `candles` is 1 to [`Window::max_candles`] of the interval, which is set
    /// before.
    pub const fn with_window(self, candles: usize) -> Result<Self, InvalidWindow> {
        match Window::new(self.window.interval(), candles) {
            Ok(window) => Ok(Self { window, ..self }),
            Err(error) => Err(error),
        }
    }

    /// Sets the number of stripes, rounded up to a power of two and cut to [`MAX_STRIPES`](Self::MAX_STRIPES).
    #[must_use]
    pub const fn with_stripes(self, stripes: usize) -> Self {
        let bounded = if stripes < Self::MAX_STRIPES { stripes } else { Self::MAX_STRIPES };
        Self { stripes: bounded.next_power_of_two(), ..self }
    }

    /// Sets the limit on listed instruments, cut to [`MAX_INSTRUMENTS_LIMIT`](Self::MAX_INSTRUMENTS_LIMIT).
    #[must_use]
    pub const fn with_max_instruments(self, max: usize) -> Self {
        let max_instruments = if max < Self::MAX_INSTRUMENTS_LIMIT { max } else { Self::MAX_INSTRUMENTS_LIMIT };
        Self { max_instruments, ..self }
    }

    /// Reserves an id: no instrument is listed under it. For a server that uses the word for a path of its own.
    ///
    /// ```
    /// use candle_core::{Aggregator, Config, InvalidId, ListError};
    ///
    /// let aggregator = Aggregator::new(Config::default().with_reserved_id("popular"));
    /// assert_eq!(aggregator.list("popular", None), Err(ListError::InvalidId(InvalidId::Reserved)));
    /// ```
    #[must_use]
    pub const fn with_reserved_id(self, id: &'static str) -> Self {
        Self { reserved_id: Some(id), ..self }
    }

    /// Sets the rules for ticks.
    #[must_use]
    pub const fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// Sets the seed that spreads ids over stripes. The default is random, so that nobody can choose ids that all fall into
    /// one stripe. With a fixed seed, the same writes give the same snapshot.
    #[must_use]
    pub const fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Returns the number of stripes, a power of two.
    pub const fn stripes(&self) -> usize {
        self.stripes
    }

    /// Returns the limit on listed instruments.
    pub const fn max_instruments(&self) -> usize {
        self.max_instruments
    }

    /// Returns the reserved id, if there is one.
    pub const fn reserved_id(&self) -> Option<&'static str> {
        self.reserved_id
    }

    /// Returns the interval of the candles and the length of the window.
    #[inline]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// Returns these settings with the part that an aggregator cannot change after it was created taken from `other`.
    pub(crate) const fn like(self, other: &Self) -> Self {
        Self { stripes: other.stripes, window: other.window, seed: other.seed, ..self }
    }

    /// Returns the rules for ticks.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns the seed that spreads ids over stripes.
    pub const fn seed(&self) -> u64 {
        self.seed
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            stripes: Self::DEFAULT_STRIPES,
            max_instruments: Self::DEFAULT_MAX_INSTRUMENTS,
            rules: Rules::DEFAULT,
            window: Window::DEFAULT,
            reserved_id: None,
            seed: RandomState::new().hash_one(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_cut_to_their_bounds() {
        let stripes = |n| Config::default().with_stripes(n).stripes();
        assert_eq!([stripes(0), stripes(1), stripes(3), stripes(usize::MAX)], [1, 1, 4, Config::MAX_STRIPES]);
        let max = Config::default().with_max_instruments(usize::MAX).max_instruments();
        assert_eq!(max, Config::MAX_INSTRUMENTS_LIMIT);
    }
}
