//! The ring: the latest candles of one instrument in a fixed number of slots.

use std::time::Duration;

use crate::candle::Candle;
use crate::outcome::Outcome;
use crate::rules::Rules;
use crate::tick::Tick;
use crate::time::{Minute, Timestamp, WINDOW_MINUTES};
use crate::validator::{ValidTick, Validator};
use crate::window::{Gaps, WindowCandle};

/// The number of minutes in a ring, counted back from the newest candle. The window, one minute for a tick ahead of `now`,
/// and one minute for a reader whose `now` is a moment behind the writer's.
pub const RING_MINUTES: usize = 32;

/// [`RING_MINUTES`] as a difference of minute numbers.
const SPAN: i64 = 32;
const _: () =
    assert!(SPAN.unsigned_abs() == RING_MINUTES as u64 && RING_MINUTES.is_power_of_two() && SPAN >= WINDOW_MINUTES + 2);

/// The candles of one instrument's last [`RING_MINUTES`] minutes, counted back from its newest tick.
///
/// A ring by itself serves a program with its own map and threads: it has no lock and no look-up, and allocates nothing.
/// An [`Aggregator`](crate::Aggregator) has one ring for each instrument.
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ring {
    newest: Option<Candle>,
    past: Past,
}

/// The candles of a ring except the newest one. Ticks in order do not change them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Past {
    /// Slot `m % 32` contains minute `m`, for the 31 minutes before the newest candle. Every other slot is empty. The
    /// slots therefore depend on the candles only, and rings with the same candles are equal.
    closed: [Option<Candle>; RING_MINUTES],
    /// The newest candle that left the ring. Its close fills the first minutes of the window.
    evicted: Option<Candle>,
}

impl Default for Past {
    fn default() -> Self {
        Self { closed: [None; RING_MINUTES], evicted: None }
    }
}

/// Returns the slot of the minute with this number. The number may be negative, and below that of `Minute::MIN`.
#[expect(clippy::cast_possible_truncation, reason = "the remainder is below 32")]
const fn slot(number: i64) -> usize {
    number.rem_euclid(SPAN) as usize
}

impl Past {
    /// Returns the candle of the minute with this number. Includes the evicted candle, because its minute is in the window
    /// of a reader whose `now` is far behind the newest tick.
    fn get(&self, number: i64) -> Option<&Candle> {
        let candidates = self.closed[slot(number)].iter().chain(&self.evicted);
        candidates.into_iter().find(|candle| candle.minute().number() == number)
    }

    /// Makes `candle` the evicted candle, unless the present one is newer.
    fn evict(&mut self, candle: Candle) {
        self.evicted = match self.evicted {
            Some(evicted) if evicted.minute() > candle.minute() => Some(evicted),
            Some(evicted) => Some(evicted.merged(&candle).unwrap_or(candle)),
            None => Some(candle),
        };
    }

    /// Makes room for the minute `to`, which is after that of `newest`. Moves `newest` into its slot and evicts the candles
    /// more than 31 minutes before `to`.
    fn advance(&mut self, newest: Candle, to: Minute) {
        let from = newest.minute().number();
        self.closed[slot(from)] = Some(newest);
        // The oldest minute first, so that the newest one remains as the evicted candle. No candle is after `from`.
        let leaving = (from - SPAN + 1)..=(to.number() - SPAN).min(from);
        for number in leaving {
            if let Some(candle) = self.closed[slot(number)].take() {
                self.evict(candle);
            }
        }
    }

    /// Adds a tick to its minute, which is before that of the newest candle.
    fn record(&mut self, tick: &ValidTick) -> (&mut Candle, Outcome) {
        match &mut self.closed[slot(tick.minute.number())] {
            Some(candle) => {
                candle.update(tick);
                (candle, Outcome::Updated)
            }
            empty => (empty.insert(Candle::opened(tick)), Outcome::Opened),
        }
    }
}

/// Adds a tick to the newest candle if the tick is of that candle's minute and the minute is not over. Returns true if the
/// tick was added.
///
/// The path of nearly every tick. It touches one cache line of candles.
#[inline]
pub(crate) fn record_in_order(newest: &mut Option<Candle>, tick: &Tick, rules: &Rules, now: Timestamp) -> bool {
    let Some(candle) = newest else { return false };
    let Some(valid) = rules.validate_in_order(candle.minute(), now, tick) else { return false };
    candle.update(&valid);
    true
}

/// Records any tick and returns its outcome. Calls `past` only before a change of the past candles, or of the newest candle
/// after its minute.
pub(crate) fn record<'p>(
    newest: &mut Option<Candle>,
    past: impl FnOnce() -> &'p mut Past,
    tick: &Tick,
    validator: &Validator,
) -> Outcome {
    let tick = match validator.validate(tick) {
        Ok(valid) => valid,
        Err(refused) => return refused,
    };
    let is_over = tick.minute < validator.minute();
    let (candle, outcome) = match newest {
        Some(candle) if candle.minute() == tick.minute => {
            candle.update(&tick);
            if is_over {
                // Only to report the change of a candle whose minute is over.
                past();
            }
            (candle, Outcome::Updated)
        }
        Some(candle) if tick.minute < candle.minute() => {
            // Possible only if `now` stepped back: the slot belongs to a later minute.
            if tick.minute.number() <= candle.minute().number() - SPAN {
                return Outcome::TooOld;
            }
            past().record(&tick)
        }
        newest => {
            let past = past();
            if let Some(candle) = newest.take() {
                past.advance(candle, tick.minute);
            }
            (newest.insert(Candle::opened(&tick)), Outcome::Opened)
        }
    };
    if is_over {
        candle.revise();
        return Outcome::LateAmended;
    }
    outcome
}

impl Ring {
    #[inline]
    pub(crate) const fn from_parts(newest: Option<Candle>, past: Past) -> Self {
        Self { newest, past }
    }

    pub(crate) fn into_parts(self) -> (Option<Candle>, Past) {
        (self.newest, self.past)
    }

    /// Records one tick and returns its outcome. Takes constant time, however late the tick is, and allocates nothing.
    #[inline]
    pub fn record(&mut self, tick: &Tick, validator: &Validator) -> Outcome {
        if record_in_order(&mut self.newest, tick, &validator.rules, validator.now) {
            return Outcome::Updated;
        }
        self.record_slow(tick, validator)
    }

    /// Records a tick that is not in order: of a new minute, late, at a price of zero or less, or refused.
    #[cold]
    #[inline(never)]
    fn record_slow(&mut self, tick: &Tick, validator: &Validator) -> Outcome {
        record(&mut self.newest, || &mut self.past, tick, validator)
    }

    /// Returns the newest candle, however old it is.
    pub const fn newest(&self) -> Option<&Candle> {
        self.newest.as_ref()
    }

    fn get(&self, number: i64) -> Option<&Candle> {
        self.newest().filter(|candle| candle.minute().number() == number).or_else(|| self.past.get(number))
    }

    /// Returns every candle of the ring, oldest first. The first one may be older than [`RING_MINUTES`]: the close before
    /// the window.
    pub fn stored(&self) -> impl Iterator<Item = &Candle> {
        let newest = self.newest().map_or(0, |candle| candle.minute().number());
        let closed = (newest - SPAN + 1..newest).filter_map(|number| self.past.get(number));
        self.past.evicted.iter().chain(closed).chain(&self.newest)
    }

    /// Returns the mean time between two ticks in the minutes that are over at `now`, or `None` for fewer than two ticks.
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
        // Without the evicted candle, which may be much older.
        let oldest = self.newest()?.minute().number() - SPAN;
        let recent = || self.stored().skip_while(move |candle| candle.minute().number() <= oldest);
        let over = || recent().take_while(|candle| candle.minute() < now.minute());
        let (first, last) = (over().next()?.first_time(), over().last()?.last_time());
        let ticks: u64 = over().map(|candle| u64::from(candle.count())).sum();
        let micros = u64::try_from(last.as_micros() - first.as_micros()).unwrap_or(0);
        Some(Duration::from_micros(micros.checked_div(ticks - 1)?))
    }

    /// Returns the newest candle before `minute`.
    fn before(&self, minute: Minute) -> Option<&Candle> {
        self.stored().take_while(|candle| candle.minute() < minute).last()
    }

    /// Returns the window seen from `now`, oldest minute first: at most [`WINDOW_MINUTES`] candles, the last one forming.
    /// There is no candle before the first tick, nor after the minute of `now`.
    pub fn candles(&self, now: Timestamp, gaps: Gaps) -> impl Iterator<Item = WindowCandle> {
        let forming = now.minute();
        let first = forming.saturating_add(1 - WINDOW_MINUTES);
        let mut previous = self.before(first).map(Candle::close);
        (first.number()..=forming.number()).filter_map(move |number| {
            if let Some(candle) = self.get(number) {
                previous = Some(candle.close());
                return Some(WindowCandle::traded(candle, forming));
            }
            let minute = Minute::saturating_from(number);
            match gaps {
                Gaps::Filled => previous.map(|close| WindowCandle::filler(minute, close, forming)),
                Gaps::Omitted => None,
            }
        })
    }

    /// Merges another ring of the same instrument, whose ticks count as the ones that arrived later. The result is the ring
    /// that would have recorded the ticks of both. Counts and volumes are added.
    ///
    /// The operation is associative. It is commutative if no two ticks have the same `(time, seq)`.
    pub fn merge(&mut self, later: &Self) {
        let (Some(mine), Some(theirs)) = (self.newest, later.newest) else {
            if self.newest.is_none() {
                *self = later.clone();
            }
            return;
        };
        if theirs.minute() > mine.minute() {
            self.past.advance(mine, theirs.minute());
            self.newest = Some(theirs);
        } else {
            self.merge_candle(&theirs);
        }
        for candle in later.stored().filter(|candle| candle.minute() < theirs.minute()) {
            self.merge_candle(candle);
        }
    }

    fn merge_candle(&mut self, later: &Candle) {
        let newest = self.newest.map_or(later.minute(), |candle| candle.minute());
        debug_assert!(later.minute() <= newest);
        let number = later.minute().number();
        if number <= newest.number() - SPAN {
            self.past.evict(*later);
            return;
        }
        let mine = if later.minute() == newest { &mut self.newest } else { &mut self.past.closed[slot(number)] };
        *mine = Some(mine.and_then(|mine| mine.merged(later)).unwrap_or(*later));
    }
}

#[cfg(feature = "serde")]
impl Ring {
    /// Creates the ring of stored candles. Returns `None` unless they are in order, each minute once, and at most the first
    /// one is older than the span of the ring.
    pub(crate) fn from_stored(candles: Vec<Candle>) -> Option<Self> {
        let mut ring = Self::default();
        let newest = candles.last().copied();
        let span = newest.map_or(0, |candle| candle.minute().number() - SPAN);
        let mut previous = None;
        for (index, candle) in candles.into_iter().enumerate() {
            let beyond = candle.minute().number() <= span;
            if previous.is_some_and(|minute| candle.minute() <= minute) || (beyond && index > 0) {
                return None;
            }
            previous = Some(candle.minute());
            if beyond {
                ring.past.evicted = Some(candle);
            } else {
                ring.past.closed[slot(candle.minute().number())] = Some(candle);
            }
        }
        ring.newest = newest.and_then(|candle| ring.past.closed[slot(candle.minute().number())].take());
        Some(ring)
    }
}

#[cfg(test)]
mod tests;
