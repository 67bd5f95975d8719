//! The settings of an aggregator.

use std::hash::{BuildHasher, RandomState};

use crate::tick::Rules;

/// The settings of an [`Aggregator`](crate::Aggregator): plain values, changed by `with_` methods.
///
/// ```
/// use candle_core::{Config, Prices, Rules};
///
/// let config = Config::default().with_max_instruments(1_000_000).with_rules(Rules::DEFAULT.with_prices(Prices::Any));
/// assert_eq!(config.max_instruments(), 1_000_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    stripes: usize,
    max_instruments: usize,
    rules: Rules,
    seed: u64,
}

impl Config {
    /// Enough that a handful of threads seldom meet in one, few enough that all locks stay in the nearest cache and that
    /// a batch has several ticks for each.
    pub const DEFAULT_STRIPES: usize = 64;

    /// The most stripes there can be; a handle holds their number in 16 bits, and a batch sorts by it.
    pub const MAX_STRIPES: usize = 1024;

    /// Twice the load that one small machine is built for; 230 MB of candles if all are listed.
    pub const DEFAULT_MAX_INSTRUMENTS: usize = 100_000;

    /// The most instruments that can be allowed: slots are numbered in 32 bits, and 16 million take 37 GB.
    pub const MAX_INSTRUMENTS_LIMIT: usize = 1 << 24;

    /// The same settings with this many stripes: rounded up to a power of two, at most
    /// [`MAX_STRIPES`](Self::MAX_STRIPES).
    #[must_use]
    pub const fn with_stripes(self, stripes: usize) -> Self {
        let bounded = if stripes < Self::MAX_STRIPES { stripes } else { Self::MAX_STRIPES };
        Self { stripes: bounded.next_power_of_two(), ..self }
    }

    /// The same settings with at most this many instruments listed at a time, itself at most
    /// [`MAX_INSTRUMENTS_LIMIT`](Self::MAX_INSTRUMENTS_LIMIT).
    #[must_use]
    pub const fn with_max_instruments(self, max: usize) -> Self {
        let max_instruments = if max < Self::MAX_INSTRUMENTS_LIMIT { max } else { Self::MAX_INSTRUMENTS_LIMIT };
        Self { max_instruments, ..self }
    }

    /// The same settings with these rules.
    #[must_use]
    pub const fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// The same settings with ids spread over stripes by this seed. Without it the seed is random, so that nobody
    /// outside can choose ids that all fall into one stripe; with it, the same writes give the same snapshot.
    #[must_use]
    pub const fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// How many stripes, a power of two.
    pub const fn stripes(&self) -> usize {
        self.stripes
    }

    /// How many instruments may be listed at a time.
    pub const fn max_instruments(&self) -> usize {
        self.max_instruments
    }

    /// What a tick must be like to be taken.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The seed by which ids are spread over stripes.
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
