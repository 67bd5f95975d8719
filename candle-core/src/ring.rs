//! The ring: the latest candles of one instrument in a fixed number of slots.

mod past;
mod read;
mod record_all;
mod roll_up;
#[cfg(feature = "serde")]
mod serialised;

use std::time::Duration;

use crate::candle::Candle;
use crate::interval::Interval;
#[cfg(feature = "serde")]
use crate::interval::OpenTime;
use crate::outcome::Outcome;
use crate::rules::Rules;
use crate::tick::Tick;
use crate::time::Timestamp;
use crate::validator::Validator;
use crate::window::Window;
use crate::window_candle::{Gaps, WindowCandle};
pub(crate) use past::{PastMut, slots};
pub(crate) use read::RingRef;
pub use read::WindowCandles;
pub use roll_up::InvalidRollUp;

/// The candles of one instrument: its window and a few more, counted back from its newest tick; see [`Window::stored`].
///
/// A ring by itself serves a program with its own map and threads: it has no lock and no look-up, and allocates nothing
/// after it is created. An [`Aggregator`](crate::Aggregator) has one ring for each instrument.
///
/// ```
/// use candle_core::{Gaps, Ring, Rules, State, Tick, Timestamp};
///
/// let mut ring = Ring::default();
/// let at = |second| Timestamp::from_seconds(second).unwrap();
/// for (second, price) in [(5, 10.0), (59, 11.0), (185, 12.0), (30, 9.0)] {
///     let _ = ring.record(&Tick::new(at(second), price), &Rules::default().at(at(186)));
/// }
/// let closes: Vec<_> = ring.candles(at(190), Gaps::Filled).map(|candle| (candle.close, candle.filled)).collect();
/// assert_eq!(closes, [(11.0, false), (11.0, true), (11.0, true), (12.0, false)]);
/// assert_eq!(ring.candles(at(190), Gaps::Omitted).map(|candle| candle.state).collect::<Vec<_>>(), [
///     State::Revised,
///     State::Forming,
/// ]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Ring {
    window: Window,
    newest: Option<Candle>,
    /// The candles except the newest one. Ticks in order do not change them.
    past: past::Slots,
}

/// Adds a tick to the newest candle if the tick is of that candle and the candle is not over. Returns true if the tick was
/// added.
///
/// The path of nearly every tick. It touches one cache line of candles.
#[expect(clippy::inline_always, reason = "a call takes half of the time of a tick of one series")]
#[inline(always)]
pub(crate) fn record_in_order(
    newest: &mut Option<Candle>,
    interval: Interval,
    tick: &Tick,
    rules: &Rules,
    now: Timestamp,
) -> bool {
    let Some(candle) = newest else { return false };
    let Some(valid) = rules.validate_in_order(candle.opens_at(), interval, now, tick) else { return false };
    candle.update(&valid);
    true
}

/// The effects of a tick that is not in order, besides the change of its candle.
pub(crate) trait Changes {
    /// Called before a past candle changes, or the newest candle after its interval.
    fn changing(&mut self);

    /// Called with each candle that leaves the ring.
    fn left(&mut self, candle: &Candle);

    /// Called after a candle changed that was over.
    fn revised(&mut self, candle: &Candle);
}

/// Nobody needs to know of changes.
impl Changes for () {
    fn changing(&mut self) {}

    fn left(&mut self, _: &Candle) {}

    fn revised(&mut self, _: &Candle) {}
}

/// Records any tick and returns its outcome.
pub(crate) fn record(
    newest: &mut Option<Candle>,
    mut past: PastMut<'_>,
    tick: &Tick,
    validator: &Validator,
    changes: &mut impl Changes,
) -> Outcome {
    let window = past.window;
    let tick = match validator.validate(tick, window) {
        Ok(valid) => valid,
        Err(refused) => return refused,
    };
    let is_over = tick.open < window.open(validator.now);
    let (candle, outcome) = match newest {
        Some(candle) if candle.opens_at() == tick.open => {
            if is_over {
                changes.changing();
            }
            candle.update_any(&tick);
            (candle, Outcome::Updated)
        }
        Some(candle) if tick.open < candle.opens_at() => {
            // Possible only if `now` stepped back: the slot belongs to a later candle.
            if window.oldest(candle.opens_at()).is_some_and(|oldest| tick.open < oldest) {
                return Outcome::TooOld;
            }
            changes.changing();
            past.record(&tick)
        }
        newest => {
            changes.changing();
            if let Some(candle) = newest.take() {
                past.advance(candle, tick.open, |candle| changes.left(candle));
            }
            (newest.insert(Candle::opened(&tick, window.interval())), Outcome::Opened)
        }
    };
    if is_over {
        candle.revise();
        changes.revised(candle);
        return Outcome::LateAmended;
    }
    outcome
}

impl Ring {
    /// Creates an empty ring. Allocates nothing for the default window.
    ///
    /// ```
    /// use candle_core::{Interval, Ring, Window};
    ///
    /// let ring = Ring::new(Window::new(Interval::SECOND, 600)?);
    /// assert_eq!((ring.window().candles(), ring.newest()), (600, None));
    /// # Ok::<(), candle_core::InvalidWindow>(())
    /// ```
    pub fn new(window: Window) -> Self {
        Self { window, newest: None, past: past::Slots::empty(window) }
    }

    /// Returns the interval and the length of the window.
    pub const fn window(&self) -> Window {
        self.window
    }

    #[inline]
    pub(crate) fn copied(ring: RingRef<'_>) -> Self {
        Self { window: ring.window, newest: ring.newest.copied(), past: past::Slots::copied(ring.past) }
    }

    pub(crate) fn as_ref(&self) -> RingRef<'_> {
        RingRef { window: self.window, newest: self.newest.as_ref(), past: self.past.as_slice() }
    }

    fn past_mut(&mut self) -> PastMut<'_> {
        PastMut::new(self.window, self.past.as_mut_slice())
    }

    pub(crate) fn parts(&self) -> (Option<Candle>, &[Option<Candle>]) {
        (self.newest, self.past.as_slice())
    }

    /// Records one tick and returns its outcome. Takes constant time, however late the tick is, and allocates nothing.
    #[inline]
    pub fn record(&mut self, tick: &Tick, validator: &Validator) -> Outcome {
        if record_in_order(&mut self.newest, self.window.interval(), tick, &validator.rules, validator.now) {
            return Outcome::Updated;
        }
        self.record_slow(tick, validator)
    }

    /// Records a tick that is not in order: of a new candle, late, at a price of zero or less, or refused.
    #[cold]
    #[inline(never)]
    fn record_slow(&mut self, tick: &Tick, validator: &Validator) -> Outcome {
        let past = PastMut::new(self.window, self.past.as_mut_slice());
        record(&mut self.newest, past, tick, validator, &mut ())
    }

    /// Returns the newest candle, however old it is.
    pub const fn newest(&self) -> Option<&Candle> {
        self.newest.as_ref()
    }

    /// Returns every candle of the ring, oldest first. The first one may be older than [`Window::stored`] intervals: the
    /// close before the window.
    pub fn stored(&self) -> impl DoubleEndedIterator<Item = &Candle> {
        self.as_ref().stored()
    }

    /// Returns the mean time between two ticks in the candles that are over at `now`, or `None` for fewer than two ticks.
    ///
    /// ```
    /// use candle_core::{Ring, Rules, Tick, Timestamp};
    /// use std::time::Duration;
    ///
    /// let mut ring = Ring::default();
    /// for second in [10, 50, 310] {
    ///     let at = Timestamp::from_seconds(second).unwrap();
    ///     let _ = ring.record(&Tick::new(at, 1.0), &Rules::default().at(at));
    /// }
    /// assert_eq!(ring.usual_gap(Timestamp::from_seconds(360).unwrap()), Some(Duration::from_secs(150)));
    /// assert_eq!(ring.usual_gap(Timestamp::from_seconds(359).unwrap()), Some(Duration::from_secs(40)));
    /// ```
    pub fn usual_gap(&self, now: Timestamp) -> Option<Duration> {
        self.as_ref().usual_gap(now)
    }

    /// Returns the window seen from `now`, oldest candle first: at most [`Window::candles`] candles, the last one forming.
    /// There is no candle before the first tick, nor after the forming one.
    #[inline]
    pub fn candles(&self, now: Timestamp, gaps: Gaps) -> WindowCandles<'_> {
        self.as_ref().candles(now, gaps)
    }

    /// Returns the candles of a coarser interval, as if the ticks had been recorded at that interval, oldest first.
    ///
    /// Only candles that lie wholly inside the window are returned, so no candle has the open or the volume of a part. The
    /// last one may be forming. A candle that is over is [`Revised`](crate::State::Revised) if one of its parts is.
    ///
    /// ```
    /// use candle_core::{Gaps, Interval, Ring, Rules, Tick, Timestamp};
    ///
    /// let mut ring = Ring::default();
    /// let at = |minute: i64| Timestamp::from_seconds(60 * minute).unwrap();
    /// for minute in 0..=32 {
    ///     let _ = ring.record(&Tick::new(at(minute), 1.0).with_size(1.0), &Rules::default().at(at(minute)));
    /// }
    /// // The window is the minutes 3 to 32: the candle of the minutes 0 to 4 is not whole, the last one is forming.
    /// let volumes: Vec<_> = ring.rolled_up(Interval::minutes(5)?, at(32), Gaps::Filled)?.map(|candle| candle.volume).collect();
    /// assert_eq!(volumes, [5.0, 5.0, 5.0, 5.0, 5.0, 3.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`InvalidRollUp`] unless `interval` is a multiple of the interval of the ring.
    pub fn rolled_up(
        &self,
        interval: Interval,
        now: Timestamp,
        gaps: Gaps,
    ) -> Result<impl DoubleEndedIterator<Item = WindowCandle> + ExactSizeIterator + use<>, InvalidRollUp> {
        self.as_ref().rolled_up(interval, now, gaps).map(Vec::into_iter)
    }

    /// Returns the last `n` candles of the window seen from `now`, oldest first.
    ///
    /// ```
    /// use candle_core::{Gaps, Ring, Rules, Tick, Timestamp};
    ///
    /// let now = Timestamp::EPOCH;
    /// let mut ring = Ring::default();
    /// let _ = ring.record(&Tick::new(now, 7.0), &Rules::default().at(now));
    /// let later = now.saturating_add(600_000_000);
    /// assert_eq!(ring.last(5, later, Gaps::Filled).len(), 5);
    /// assert_eq!(ring.last(5, later, Gaps::Omitted).len(), 1);
    /// ```
    pub fn last(&self, n: usize, now: Timestamp, gaps: Gaps) -> WindowCandles<'_> {
        self.candles(now, gaps).last_of(n)
    }

    /// Merges another ring of the same instrument, whose ticks count as the ones that arrived later. The result is the ring
    /// that would have recorded the ticks of both. Counts and volumes are added.
    ///
    /// The operation is associative. It is commutative if no two ticks have the same `(time, seq)`.
    ///
    /// The result has the window of `self`. Both rings must have the same interval; candles of another one are not merged.
    pub fn merge(&mut self, later: &Self) {
        if self.window.interval() == later.window.interval() {
            self.merge_stored(later.stored());
        }
    }

    /// Merges candles of the same interval, oldest first.
    pub(crate) fn merge_stored<'c>(&mut self, later: impl Iterator<Item = &'c Candle>) {
        later.for_each(|candle| self.merge_candle(candle));
    }

    fn merge_candle(&mut self, later: &Candle) {
        let open = later.opens_at();
        match self.newest {
            None => self.newest = Some(*later),
            Some(newest) if newest.opens_at() < open => {
                self.past_mut().advance(newest, open, |_| ());
                self.newest = Some(*later);
            }
            Some(newest) if newest.opens_at() == open => self.newest = Some(newest.merged(later).unwrap_or(*later)),
            Some(newest) => {
                let (oldest, slot) = (self.window.oldest(newest.opens_at()), self.window.slot(open));
                let mut past = self.past_mut();
                if oldest.is_some_and(|oldest| open < oldest) {
                    past.evict(*later);
                } else {
                    let mine = &mut past.slots[slot];
                    *mine = Some(mine.and_then(|mine| mine.merged(later)).unwrap_or(*later));
                }
            }
        }
    }
}

/// The ring of the default window.
impl Default for Ring {
    fn default() -> Self {
        Self::new(Window::DEFAULT)
    }
}

/// Returns true if these are the candles that a ring stores: in order, each interval once, and at most the first one older
/// than the span of the ring.
#[cfg(feature = "serde")]
pub(crate) fn is_stored_form(window: Window, candles: &[Candle]) -> bool {
    let Some(newest) = candles.last().map(Candle::opens_at) else { return true };
    let is_within = |open: OpenTime| window.oldest(newest).is_none_or(|oldest| open >= oldest);
    candles.is_sorted_by(|a, b| a.opens_at() < b.opens_at())
        && candles.iter().skip(1).all(|candle| is_within(candle.opens_at()))
}

#[cfg(test)]
mod tests;
