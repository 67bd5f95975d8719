//! How long ago an instrument was heard of.

use std::num::NonZeroU32;
use std::time::Duration;

/// A reading of the caller's monotonic clock, in tenths of a second since a start of the caller's choosing.
///
/// Candles never depend on it: it only tells how long ago an instrument was last heard of, on a clock that no
/// feed and no leap can move. It lasts for thirteen years after that start and stops there.
///
/// ```
/// use candle_core::Arrival;
/// use std::time::Duration;
///
/// let heard = Arrival::after(Duration::from_secs(3));
/// let now = Arrival::after(Duration::from_millis(4_512));
/// assert_eq!(heard.age(now), Duration::from_millis(1_500));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arrival(NonZeroU32);

impl Arrival {
    /// The start itself.
    pub const START: Self = Self(NonZeroU32::MIN);

    /// The reading `since_start` after the start, cut to whole tenths of a second.
    pub fn after(since_start: Duration) -> Self {
        let tenths = u32::try_from(since_start.as_millis() / 100).unwrap_or(u32::MAX);
        Self(NonZeroU32::MIN.saturating_add(tenths))
    }

    /// How long before `now` this was; zero if it was later.
    pub fn age(self, now: Self) -> Duration {
        Duration::from_millis(100 * u64::from(now.0.get().saturating_sub(self.0.get())))
    }
}
