//! What the log has already of what a standby holds.

use std::collections::HashMap;

use candle_core::{Aggregator, InstrumentId, Tick, Timestamp};

use super::message::ARRIVAL_NUMBERS;

/// How far ahead of its `now` a tick may be and still count as newest, in microseconds; one that is further ahead was
/// refused. As in the core's rules.
const MAX_AHEAD_MICROS: i64 = candle_core::Rules::DEFAULT_MAX_AHEAD_MICROS;

/// By instrument, the newest tick in the log.
///
/// Where the feed numbers its ticks, its numbers tell what is new; otherwise the times do, which for ticks that are
/// stamped on arrival are right to the difference between the clocks and ways of two gateways.
#[derive(Debug, Default)]
pub(super) struct Overlap {
    newest: HashMap<InstrumentId, Newest>,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    time: Timestamp,
    /// The feed's own.
    seq: Option<u64>,
}

/// The feed's own number of a tick, if it has one.
fn own_seq(tick: &Tick) -> Option<u64> {
    (tick.seq < ARRIVAL_NUMBERS).then_some(tick.seq)
}

impl Overlap {
    /// Notes a tick of the log that was judged at `now`.
    pub(super) fn note(&mut self, aggregator: &Aggregator, id: &str, tick: &Tick, now: Timestamp) {
        if tick.time > now.saturating_add(MAX_AHEAD_MICROS) {
            return;
        }
        if let Some(newest) = self.newest.get_mut(id.as_bytes()) {
            *newest = Newest { time: newest.time.max(tick.time), seq: newest.seq.max(own_seq(tick)) };
        } else if let (Ok(valid), true) = (InstrumentId::new(id), aggregator.resolve(id).is_some()) {
            self.newest.insert(valid, Newest { time: tick.time, seq: own_seq(tick) });
        }
    }

    /// Whether the log lacks a tick.
    pub(super) fn is_new(&self, id: &str, tick: &Tick) -> bool {
        let Some(newest) = self.newest.get(id.as_bytes()) else { return true };
        match (own_seq(tick), newest.seq) {
            (Some(seq), Some(stored)) => seq > stored,
            _ => tick.time > newest.time,
        }
    }

    /// Forgets an instrument that is delisted: if its id is listed again, that is another one.
    pub(super) fn forget(&mut self, id: &str) {
        self.newest.remove(id.as_bytes());
    }

    /// Forgets everything: candles start afresh.
    pub(super) fn clear(&mut self) {
        self.newest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second).unwrap()
    }

    fn stored(tick: Tick) -> Overlap {
        let (aggregator, mut overlap) = (Aggregator::default(), Overlap::default());
        aggregator.list("a", None).unwrap();
        overlap.note(&aggregator, "a", &tick, at(10));
        overlap
    }

    #[test]
    fn a_feeds_own_numbers_tell_what_is_new_whatever_the_clocks_say() {
        let overlap = stored(Tick::new(at(10), 1.0).with_seq(7));
        let is_new = |second, seq| overlap.is_new("a", &Tick::new(at(second), 1.0).with_seq(seq));
        assert_eq!([is_new(11, 7), is_new(9, 8), is_new(11, 6)], [false, true, false]);
        assert!(overlap.is_new("b", &Tick::new(at(1), 1.0).with_seq(1)));
    }

    #[test]
    fn without_numbers_the_times_tell() {
        let overlap = stored(Tick::new(at(10), 1.0).with_seq(ARRIVAL_NUMBERS));
        let is_new = |second| overlap.is_new("a", &Tick::new(at(second), 1.0).with_seq(ARRIVAL_NUMBERS + 5));
        assert_eq!([is_new(9), is_new(10), is_new(11)], [false, false, true]);
    }

    #[test]
    fn a_refused_tick_far_ahead_hides_nothing() {
        let overlap = stored(Tick::new(at(1000), 1.0).with_seq(ARRIVAL_NUMBERS));
        assert!(overlap.is_new("a", &Tick::new(at(11), 1.0).with_seq(ARRIVAL_NUMBERS)));
    }
}
