//! Recording many ticks of one series in one call.

use super::{Changes, PastMut, Ring, record};
use crate::candle::Candle;
use crate::outcome::{Outcome, Outcomes};
use crate::rules::Rules;
use crate::tick::Tick;
use crate::time::Timestamp;
use crate::validator::Validator;

/// Passes on the candles that leave a ring.
struct Leaving<F>(F);

impl<F: FnMut(&Candle)> Changes for Leaving<F> {
    fn changing(&mut self) {}

    fn left(&mut self, candle: &Candle) {
        (self.0)(candle);
    }

    fn revised(&mut self, _: &Candle) {}
}

impl Ring {
    /// Records many ticks and returns the number of ticks by outcome. Calls `left` with each candle that leaves the ring,
    /// once and in the order of time. The result is that of [`record`](Self::record) for each tick in this order.
    ///
    /// All ticks have the same `now`, so a slice must not be longer than the window. For a file of ticks, see
    /// [`replay`](Self::replay).
    ///
    /// ```
    /// use candle_core::{Ring, Rules, Tick, Timestamp};
    ///
    /// let now = Timestamp::EPOCH;
    /// let mut ring = Ring::default();
    /// let ticks = [10.0, 12.0, f64::NAN, 11.0].map(|price| Tick::new(now, price));
    /// let outcomes = ring.record_all(&ticks, &Rules::default().at(now), |_| ());
    /// assert_eq!((outcomes.accepted(), outcomes.rejected()), (3, 1));
    /// assert_eq!(ring.newest().unwrap().close(), 11.0);
    /// ```
    pub fn record_all(&mut self, ticks: &[Tick], validator: &Validator, left: impl FnMut(&Candle)) -> Outcomes {
        let (mut outcomes, mut changes, mut rest) = (Outcomes::default(), Leaving(left), ticks);
        let interval = self.window.interval();
        while !rest.is_empty() {
            if let Some(candle) = &mut self.newest {
                let since = validator.now.micros_since(candle.open_time());
                // Ticks of this candle that are not too far ahead. None if the candle is over.
                let ahead = since.saturating_add(validator.rules.max_ahead_micros()).saturating_add(1);
                let limit = if since >= interval.micros() { 0 } else { ahead.clamp(0, interval.micros()) };
                let updated = candle.update_all(rest, limit.unsigned_abs(), interval);
                outcomes.add(Outcome::Updated, updated as u64);
                rest = &rest[updated..];
            }
            let Some((tick, after)) = rest.split_first() else { break };
            let past = PastMut::new(self.window, self.past.as_mut_slice());
            outcomes.count(record(&mut self.newest, past, tick, validator, &mut changes));
            rest = after;
        }
        outcomes
    }

    /// Records the ticks of a file at full speed: `now` is the time of the newest tick so far. Returns the number of ticks by
    /// outcome. Calls `left` with each candle that leaves the ring, once and in the order of time.
    ///
    /// A tick that is late by less than the window is added to its candle, so a candle that left does not change any more.
    /// The candles that did not leave are those of [`remaining`](Self::remaining).
    ///
    /// ```
    /// use candle_core::{Ring, Rules, Tick, Timestamp};
    ///
    /// let ticks: Vec<_> = (0..86_400)
    ///     .map(|second| Tick::new(Timestamp::from_seconds(second).unwrap(), 1.0).with_size(0.5))
    ///     .collect();
    /// let mut ring = Ring::default();
    /// let mut candles = Vec::new();
    /// let outcomes = ring.replay(&ticks, &Rules::default(), |candle| candles.push(*candle));
    /// candles.extend(ring.remaining());
    /// assert_eq!((outcomes.accepted(), candles.len()), (86_400, 1_440));
    /// assert!(candles.iter().all(|candle| candle.volume() == 30.0));
    /// ```
    pub fn replay(&mut self, ticks: &[Tick], rules: &Rules, left: impl FnMut(&Candle)) -> Outcomes {
        let (mut outcomes, mut changes, mut rest) = (Outcomes::default(), Leaving(left), ticks);
        let interval = self.window.interval();
        while !rest.is_empty() {
            if let Some(candle) = &mut self.newest {
                // `now` is in the newest candle, so this candle is not over and no tick of it is too far ahead.
                let updated = candle.update_all(rest, interval.micros().unsigned_abs(), interval);
                outcomes.add(Outcome::Updated, updated as u64);
                rest = &rest[updated..];
            }
            let Some((tick, after)) = rest.split_first() else { break };
            let now = self.newest().map_or(Timestamp::MIN, Candle::last_time).max(tick.time);
            let past = PastMut::new(self.window, self.past.as_mut_slice());
            outcomes.count(record(&mut self.newest, past, tick, &rules.at(now), &mut changes));
            rest = after;
        }
        outcomes
    }

    /// Returns the candles that did not leave the ring, oldest first: [`stored`](Self::stored) without the close before the
    /// window.
    pub fn remaining(&self) -> impl DoubleEndedIterator<Item = Candle> {
        self.as_ref().remaining().copied()
    }
}
