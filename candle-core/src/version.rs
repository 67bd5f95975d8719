//! Reads that copy an instrument only if its version changed.

use crate::arrival::Arrival;
use crate::candle::Candle;
use crate::history::History;
use crate::interval::{Interval, OpenTime};
use crate::time::Timestamp;
use crate::window_candle::WindowCandle;

/// The version of one instrument as seen from one interval. A cached history is current as long as the version is equal.
///
/// If two reads of one id from one [`Aggregator`](crate::Aggregator) return equal versions, the description and all candles
/// of the window except the forming one are equal. The rest of the instrument is its [`Latest`].
///
/// ```
/// use candle_core::{Aggregator, Tick, Timestamp, Update};
///
/// let now = Timestamp::EPOCH;
/// let aggregator = Aggregator::default();
/// aggregator.list("BTC", None)?;
/// let Some(Update::Changed(_, version)) = aggregator.history_if_changed("BTC", now, None) else { unreachable!() };
/// assert!(matches!(aggregator.history_if_changed("BTC", now, Some(&version)), Some(Update::Unchanged(_))));
///
/// // The first tick of a candle replaces a filler, which changes the version. The next ticks change the forming candle only.
/// let _ = aggregator.record("BTC", &Tick::new(now, 9.5), now);
/// let update = aggregator.history_if_changed("BTC", now, Some(&version));
/// let Some(Update::Changed(_, version)) = update else { unreachable!() };
/// let _ = aggregator.record("BTC", &Tick::new(now, 9.75), now);
/// let update = aggregator.history_if_changed("BTC", now, Some(&version));
/// let Some(Update::Unchanged(latest)) = update else { unreachable!() };
/// assert_eq!(latest.forming(now).unwrap().close, 9.75);
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Version {
    /// Differs if anything but the newest candle, the views and the arrival changed.
    revision: u64,
    /// The open time of the forming candle.
    forming: OpenTime,
    /// The newest candle if it is over. A tick may change it without a new revision, because the candle is still
    /// forming for a writer whose `now` is a moment behind the reader's.
    closed: Option<Candle>,
}

impl Version {
    #[inline]
    pub(crate) fn new(revision: u64, newest: Option<&Candle>, forming: OpenTime) -> Self {
        Self { revision, forming, closed: newest.copied().filter(|candle| candle.opens_at() < forming) }
    }
}

/// The fields of an instrument that change with nearly every tick or view.
///
/// ```
/// use candle_core::{Aggregator, Latest, Tick, Timestamp};
///
/// let now = Timestamp::EPOCH;
/// let aggregator = Aggregator::default();
/// aggregator.list("BTC", None)?;
/// let _ = aggregator.record("BTC", &Tick::new(now, 9.5), now);
/// let latest = Latest::from(&aggregator.history_counting_view("BTC").unwrap());
/// assert_eq!((latest.views, latest.forming(now).unwrap().close), (1, 9.5));
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Latest {
    /// The number of views since the instrument was listed.
    pub views: u64,
    /// The arrival of the last accepted tick, or `None` if there was none since the process started.
    pub last_arrival: Option<Arrival>,
    /// The newest candle, however old it is.
    pub newest: Option<Candle>,
    interval: Interval,
}

impl Latest {
    #[inline]
    pub(crate) const fn new(
        views: u64,
        last_arrival: Option<Arrival>,
        newest: Option<Candle>,
        interval: Interval,
    ) -> Self {
        Self { views, last_arrival, newest, interval }
    }

    /// Returns the forming candle if it has a tick. Otherwise the forming candle is a filler, which a change
    /// of the [`Version`] covers.
    pub fn forming(&self, now: Timestamp) -> Option<WindowCandle> {
        let forming = self.interval.open(now);
        let newest = self.newest.as_ref().filter(|candle| candle.opens_at() == forming)?;
        Some(WindowCandle::traded(self.interval, newest, forming))
    }

    /// Returns the time of the last tick, on the feed's clock.
    pub fn last_time(&self) -> Option<Timestamp> {
        self.newest.as_ref().map(Candle::last_time)
    }
}

impl From<&History> for Latest {
    fn from(history: &History) -> Self {
        let ring = &history.ring;
        Self::new(history.views, history.last_arrival, ring.newest().copied(), ring.window().interval())
    }
}

/// The result of a read by a caller with a cached version.
///
/// ```
/// use candle_core::{Aggregator, Timestamp, Update};
///
/// let aggregator = Aggregator::default();
/// aggregator.list("BTC", None)?;
/// let mut cache = None;
/// for views in 1..=3 {
///     let cached = cache.as_ref().map(|(_, version)| version);
///     match aggregator.history_if_changed_counting_view("BTC", Timestamp::EPOCH, cached).unwrap() {
///         Update::Changed(history, version) => cache = Some((history, version)),
///         Update::Unchanged(latest) => assert_eq!(latest.views, views), // the cached history is still right
///     }
/// }
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// The version is equal to the cached one.
    Unchanged(Latest),
    /// The version differs from the cached one, or the caller has none.
    Changed(Box<History>, Version),
}
