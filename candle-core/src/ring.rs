//! The last minutes of one instrument: a fixed number of slots, each tick in its own minute in O(1).

use std::time::Duration;

use crate::candle::Candle;
use crate::outcome::Outcome;
use crate::tick::{Rules, Tick, ValidTick, Validator};
use crate::time::{Minute, Timestamp, WINDOW_MINUTES};
use crate::window::{Gaps, WindowCandle};

/// How many minutes a ring holds, the newest included: the window, one for a tick that is ahead of `now`, and one
/// for a reader whose `now` is a moment behind the writer's.
pub const RING_MINUTES: usize = 32;

/// The same as a distance between minutes.
const SPAN: i64 = 32;
const _: () =
    assert!(SPAN.unsigned_abs() == RING_MINUTES as u64 && RING_MINUTES.is_power_of_two() && SPAN >= WINDOW_MINUTES + 2);

/// The candles of one instrument's last [`RING_MINUTES`] minutes, counted back from its newest tick.
///
/// On its own it is the series of one instrument with one owner: no lock, no look-up, no allocation after it is made.
/// An [`Aggregator`](crate::Aggregator) holds one for each instrument.
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

/// All that a ring holds but its newest candle, which alone changes while ticks come in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Past {
    /// Slot `m % 32` holds minute `m`, for the 31 minutes before the newest one; every other slot is empty. So the
    /// slots are a function of the ticks alone, and rings that hold the same candles are equal.
    closed: [Option<Candle>; RING_MINUTES],
    /// The newest candle that the ring is too short for: the close that fills the first minutes of the window.
    seed: Option<Candle>,
}

impl Default for Past {
    fn default() -> Self {
        Self { closed: [None; RING_MINUTES], seed: None }
    }
}

/// The slot of the minute with this number, which may be negative, or before the first minute of all.
#[expect(clippy::cast_possible_truncation, reason = "the remainder is below 32")]
const fn slot(number: i64) -> usize {
    number.rem_euclid(SPAN) as usize
}

impl Past {
    /// The candle of the minute with this number. The seed counts too: a reader whose `now` is far behind the newest
    /// tick may have its minute in view.
    fn get(&self, number: i64) -> Option<&Candle> {
        let held = self.closed[slot(number)].iter().chain(&self.seed);
        held.into_iter().find(|candle| candle.minute().number() == number)
    }

    fn keep_as_seed(&mut self, candle: Candle) {
        self.seed = match self.seed {
            Some(seed) if seed.minute() > candle.minute() => Some(seed),
            Some(seed) => Some(seed.merged(&candle).unwrap_or(candle)),
            None => Some(candle),
        };
    }

    /// Makes room for the minute `to`, which is after that of `newest`: puts `newest` into its slot and lets go of what
    /// is then more than 31 minutes old.
    fn advance(&mut self, newest: Candle, to: Minute) {
        let from = newest.minute().number();
        self.closed[slot(from)] = Some(newest);
        // Minutes that leave, oldest first, so that the seed is the newest of them; none beyond `from` exist.
        let leaving = (from - SPAN + 1)..=(to.number() - SPAN).min(from);
        for number in leaving {
            if let Some(candle) = self.closed[slot(number)].take() {
                self.keep_as_seed(candle);
            }
        }
    }

    /// Puts `tick` into its minute, which is before that of the newest candle.
    fn amend(&mut self, tick: &ValidTick) -> (&mut Candle, Outcome) {
        match &mut self.closed[slot(tick.minute.number())] {
            Some(candle) => {
                candle.update(tick);
                (candle, Outcome::Updated)
            }
            empty => (empty.insert(Candle::opened(tick)), Outcome::Opened),
        }
    }
}

/// Records a tick in the newest candle, if it is of the minute of that and the minute is not over; whether it did.
///
/// So nearly every tick is recorded, and one cache line is touched.
#[inline]
pub(crate) fn record_in_order(newest: &mut Option<Candle>, tick: &Tick, rules: &Rules, now: Timestamp) -> bool {
    let Some(candle) = newest else { return false };
    let Some(admitted) = rules.admit_to(candle.minute(), now, tick) else { return false };
    candle.update(&admitted);
    true
}

/// Records any tick, or says why not. `past` is asked for only where it is about to change, or the newest candle after
/// its minute.
pub(crate) fn record<'p>(
    newest: &mut Option<Candle>,
    past: impl FnOnce() -> &'p mut Past,
    tick: &Tick,
    validator: &Validator,
) -> Outcome {
    let tick = match validator.validate(tick) {
        Ok(admitted) => admitted,
        Err(refused) => return refused,
    };
    let is_over = tick.minute < validator.minute();
    let (candle, outcome) = match newest {
        Some(candle) if candle.minute() == tick.minute => {
            candle.update(&tick);
            if is_over {
                // Not to look into it, but because the newest candle changes after its minute.
                past();
            }
            (candle, Outcome::Updated)
        }
        Some(candle) if tick.minute < candle.minute() => {
            // Only under a `now` that went back: the slot belongs to a later minute already.
            if tick.minute.number() <= candle.minute().number() - SPAN {
                return Outcome::TooOld;
            }
            past().amend(&tick)
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

    /// Records one tick and says what became of it. O(1) however late the tick is, and nothing is allocated.
    #[inline]
    pub fn record(&mut self, tick: &Tick, validator: &Validator) -> Outcome {
        if record_in_order(&mut self.newest, tick, &validator.rules, validator.now) {
            return Outcome::Updated;
        }
        self.record_elsewhere(tick, validator)
    }

    /// The rest of [`record`](Self::record): a new minute, a late tick, a price of zero or less, a refused one.
    #[cold]
    #[inline(never)]
    fn record_elsewhere(&mut self, tick: &Tick, validator: &Validator) -> Outcome {
        record(&mut self.newest, || &mut self.past, tick, validator)
    }

    /// The newest candle, whatever its age.
    pub const fn newest(&self) -> Option<&Candle> {
        self.newest.as_ref()
    }

    fn get(&self, number: i64) -> Option<&Candle> {
        self.newest().filter(|candle| candle.minute().number() == number).or_else(|| self.past.get(number))
    }

    /// Every candle the ring holds, oldest first, the one that seeds the left edge included.
    pub fn stored(&self) -> impl Iterator<Item = &Candle> {
        let newest = self.newest().map_or(0, |candle| candle.minute().number());
        let closed = (newest - SPAN + 1..newest).filter_map(|number| self.past.get(number));
        self.past.seed.iter().chain(closed).chain(&self.newest)
    }

    /// The mean time between two ticks, of those whose minutes are over at `now`; `None` for fewer than two.
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
        // Without the seed, which may be of long ago.
        let oldest = self.newest()?.minute().number() - SPAN;
        let recent = || self.stored().skip_while(move |candle| candle.minute().number() <= oldest);
        let over = || recent().take_while(|candle| candle.minute() < now.minute());
        let (first, last) = (over().next()?.first_time(), over().last()?.last_time());
        let ticks: u64 = over().map(|candle| u64::from(candle.count())).sum();
        let micros = u64::try_from(last.as_micros() - first.as_micros()).unwrap_or(0);
        Some(Duration::from_micros(micros.checked_div(ticks - 1)?))
    }

    /// The newest candle before `minute`.
    fn before(&self, minute: Minute) -> Option<&Candle> {
        self.stored().take_while(|candle| candle.minute() < minute).last()
    }

    /// The window seen from `now`, oldest minute first: at most [`WINDOW_MINUTES`] candles, the last of them the forming
    /// one. Nothing comes before the first tick ever, nor after the minute of `now`.
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

    /// Joins what another ring of the same instrument holds, `later` being the part that arrived later: the result is
    /// what one ring would hold that saw the ticks of both.
    ///
    /// Associative; commutative too wherever no two ticks have equal keys. Counts and volumes add up.
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
            self.past.keep_as_seed(*later);
            return;
        }
        let mine = if later.minute() == newest { &mut self.newest } else { &mut self.past.closed[slot(number)] };
        *mine = Some(mine.and_then(|mine| mine.merged(later)).unwrap_or(*later));
    }
}

#[cfg(feature = "serde")]
impl Ring {
    /// The ring of these candles, or `None` where they are not what one ring can hold: oldest first, each minute once,
    /// at most one of them beyond the ring's span.
    pub(crate) fn from_stored(candles: Vec<Candle>) -> Option<Self> {
        let mut ring = Self::default();
        let newest = candles.last().copied();
        let span = newest.map_or(0, |candle| candle.minute().number() - SPAN);
        let mut previous = None;
        for (place, candle) in candles.into_iter().enumerate() {
            let beyond = candle.minute().number() <= span;
            if previous.is_some_and(|minute| candle.minute() <= minute) || (beyond && place > 0) {
                return None;
            }
            previous = Some(candle.minute());
            if beyond {
                ring.past.seed = Some(candle);
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
