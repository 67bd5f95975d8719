//! Creating an aggregator.

use parking_lot::Mutex;

use super::Aggregator;
use super::stripes::Stripes;
use crate::config::Config;
use crate::hash::IdHash;
use crate::leaders::Leaders;

impl Aggregator {
    /// Creates an empty aggregator.
    pub fn new(config: Config) -> Self {
        Self {
            hash: IdHash::new(config.seed()),
            config,
            stripes: Stripes::new(config.stripes(), config.window()),
            catalogue: Mutex::default(),
            leaders: Mutex::new(Leaders::new()),
        }
    }

    /// Returns the settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }
}

impl Default for Aggregator {
    fn default() -> Self {
        Self::new(Config::default())
    }
}
