//! A copy of one instrument.

use std::sync::Arc;

use crate::arrival::Arrival;
use crate::candle::Candle;
use crate::interval::Interval;
use crate::ring::{InvalidRollUp, Ring, WindowCandles};
use crate::time::Timestamp;
use crate::window_candle::{Gaps, WindowCandle};

/// A copy of one instrument, made at one moment under the lock of its stripe.
///
/// ```
/// use candle_core::{Aggregator, Gaps, Tick, Timestamp};
///
/// let now = Timestamp::EPOCH;
/// let aggregator = Aggregator::default();
/// aggregator.list("BTC", Some("Bitcoin"))?;
/// let _ = aggregator.record("BTC", &Tick::new(now, 9.5), now);
/// let history = aggregator.history_counting_view("BTC").unwrap();
/// assert_eq!((history.views, history.description.as_deref()), (1, Some("Bitcoin")));
/// assert_eq!(history.candles(now, Gaps::Filled).map(|candle| candle.close).collect::<Vec<_>>(), [9.5]);
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct History {
    /// The description from the last listing.
    pub description: Option<Arc<str>>,
    /// The number of views since the instrument was listed.
    pub views: u64,
    /// The arrival of the last accepted tick, or `None` if there was none since the process started. Not serialised, because
    /// an arrival is valid within one process.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub last_arrival: Option<Arrival>,
    /// The candles.
    pub ring: Ring,
}

impl History {
    /// Returns the window seen from `now`; see [`Ring::candles`].
    pub fn candles(&self, now: Timestamp, gaps: Gaps) -> WindowCandles<'_> {
        self.ring.candles(now, gaps)
    }

    /// Returns the last `n` candles of the window seen from `now`; see [`Ring::last`].
    pub fn last(&self, n: usize, now: Timestamp, gaps: Gaps) -> WindowCandles<'_> {
        self.ring.last(n, now, gaps)
    }

    /// Returns the candles of a coarser interval that lie wholly inside the window; see [`Ring::rolled_up`].
    ///
    /// # Errors
    /// Returns [`InvalidRollUp`] unless `interval` is a multiple of the interval of the candles.
    pub fn rolled_up(
        &self,
        interval: Interval,
        now: Timestamp,
        gaps: Gaps,
    ) -> Result<impl DoubleEndedIterator<Item = WindowCandle> + ExactSizeIterator + use<>, InvalidRollUp> {
        self.ring.rolled_up(interval, now, gaps)
    }

    /// Returns the time of the last tick, on the feed's clock.
    pub fn last_time(&self) -> Option<Timestamp> {
        self.ring.newest().map(Candle::last_time)
    }

    /// Returns the price of the last tick.
    pub fn last_price(&self) -> Option<f64> {
        self.ring.newest().map(Candle::close)
    }
}
