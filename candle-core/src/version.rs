//! Which state of an instrument a reader has seen, so that it need not be copied out again.

use crate::arrival::Arrival;
use crate::candle::Candle;
use crate::history::History;
use crate::time::{Minute, Timestamp};
use crate::window::WindowCandle;

/// The state of one instrument as seen from one minute, but for what nearly every tick and read changes.
///
/// Between two reads of one id from one [`Aggregator`](crate::Aggregator) that have equal versions nothing changed but
/// what [`Latest`] tells: the description is the same, and so are all the candles of the window but the forming one.
///
/// ```
/// use candle_core::{Aggregator, Tick, Timestamp, Update};
///
/// let now = Timestamp::EPOCH;
/// let aggregator = Aggregator::default();
/// aggregator.list("BTC", None)?;
/// let Some(Update::Changed(_, version)) = aggregator.history_if_changed_counting_view("BTC", now, None) else { unreachable!() };
/// let Some(Update::Unchanged(latest)) = aggregator.history_if_changed_counting_view("BTC", now, Some(&version)) else { unreachable!() };
/// assert_eq!(latest.views, 2);
///
/// // The first tick of a minute turns its filler into a candle; the next ones change that candle alone.
/// let _ = aggregator.record("BTC", &Tick::new(now, 9.5), now);
/// let Some(Update::Changed(_, version)) = aggregator.history_if_changed_counting_view("BTC", now, Some(&version)) else { unreachable!() };
/// let _ = aggregator.record("BTC", &Tick::new(now, 9.75), now);
/// let Some(Update::Unchanged(latest)) = aggregator.history_if_changed_counting_view("BTC", now, Some(&version)) else { unreachable!() };
/// assert_eq!(latest.forming(now).unwrap().close, 9.75);
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Version {
    /// Differs between any two states of one id that differ in more than their newest candle, views and arrival.
    revision: u64,
    /// The minute it is seen from.
    minute: Minute,
    /// The newest candle, where its minute is over. A tick may reach it without a new revision: a writer whose `now` is a
    /// moment behind the reader's takes it for the forming one still.
    settled: Option<Candle>,
}

impl Version {
    #[inline]
    pub(crate) fn new(revision: u64, newest: Option<&Candle>, now: Timestamp) -> Self {
        let minute = now.minute();
        Self { revision, minute, settled: newest.copied().filter(|candle| candle.minute() < minute) }
    }
}

/// What changes from one read of an instrument to the next.
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
    /// How often it was viewed since it was listed.
    pub views: u64,
    /// When its last accepted tick arrived; `None` if there was none since the process started.
    pub last_arrival: Option<Arrival>,
    /// Its newest candle, whatever its age.
    pub newest: Option<Candle>,
}

impl Latest {
    #[inline]
    pub(crate) const fn new(views: u64, last_arrival: Option<Arrival>, newest: Option<Candle>) -> Self {
        Self { views, last_arrival, newest }
    }

    /// The forming candle, where the newest one is of the minute of `now`. Otherwise what stands for that minute is part
    /// of the [`Version`].
    pub fn forming(&self, now: Timestamp) -> Option<WindowCandle> {
        let forming = now.minute();
        let newest = self.newest.as_ref().filter(|candle| candle.minute() == forming)?;
        Some(WindowCandle::traded(newest, forming))
    }

    /// The time of the last tick, on the feed's clock.
    pub fn last_time(&self) -> Option<Timestamp> {
        self.newest.as_ref().map(Candle::last_time)
    }
}

impl From<&History> for Latest {
    fn from(history: &History) -> Self {
        Self::new(history.views, history.last_arrival, history.ring.newest().copied())
    }
}

/// What a reader gets who may have seen the instrument before.
///
/// ```
/// use candle_core::{Aggregator, Timestamp, Update};
///
/// let aggregator = Aggregator::default();
/// aggregator.list("BTC", None)?;
/// let mut kept = None;
/// for views in 1..=3 {
///     let known = kept.as_ref().map(|(_, version)| version);
///     match aggregator.history_if_changed_counting_view("BTC", Timestamp::EPOCH, known).unwrap() {
///         Update::Changed(history, version) => kept = Some((history, version)),
///         Update::Unchanged(latest) => assert_eq!(latest.views, views), // the rest is as it was
///     }
/// }
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// The version is the one the reader knows.
    Unchanged(Latest),
    /// It is another, or the reader knows none.
    Changed(Box<History>, Version),
}
