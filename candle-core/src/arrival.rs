//! Arrival times of ticks, on a monotonic clock.

use std::num::NonZeroU32;
use std::time::Duration;

/// A reading of the caller's monotonic clock, in tenths of a second since a start that the caller chooses.
///
/// Candles never depend on an arrival. It gives the age of an instrument on a clock that neither a feed nor a leap second
/// can move. The range is thirteen years after the start; later readings are cut to its end.
///
/// ```
/// use candle_core::Arrival;
/// use std::time::Duration;
///
/// let arrival = Arrival::after(Duration::from_secs(3));
/// let now = Arrival::after(Duration::from_millis(4_512));
/// assert_eq!(arrival.age(now), Duration::from_millis(1_500));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arrival(NonZeroU32);

impl Arrival {
    /// The start.
    pub const START: Self = Self(NonZeroU32::MIN);

    /// Creates the reading `since_start` after the start, rounded down to a tenth of a second.
    pub fn after(since_start: Duration) -> Self {
        let tenths = u32::try_from(since_start.as_millis() / 100).unwrap_or(u32::MAX);
        Self(NonZeroU32::MIN.saturating_add(tenths))
    }

    /// Returns the time from this reading to `now`, or zero if this reading is later.
    pub fn age(self, now: Self) -> Duration {
        Duration::from_millis(100 * u64::from(now.0.get().saturating_sub(self.0.get())))
    }
}
