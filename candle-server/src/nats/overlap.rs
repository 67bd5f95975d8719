//! What the log has already of what a standby holds.

use std::collections::HashMap;

use candle_core::{Aggregator, InstrumentId, Tick, Timestamp};

use super::message::ARRIVAL_NUMBERS;

/// How far ahead of its `now` a tick may be and still count as newest, in microseconds; one that is further ahead was
/// refused. As in the core's rules.
const MAX_AHEAD_MICROS: i64 = candle_core::Rules::DEFAULT_MAX_AHEAD_MICROS;

/// By instrument, the newest tick in the log.
///
/// Where the feed numbers its ticks, its numbers tell what is new. Otherwise their times do, instrument by instrument if
/// they are the feed's own. If ticks are stamped on arrival, the same tick has another time at each gateway, and one later
/// than its instrument's newest may well be that one: then the log's newest of all instruments tells, and what is lost or
/// doubled is what came within the difference between the clocks and ways of two gateways.
#[derive(Debug, Default)]
pub(super) struct Overlap {
    newest: HashMap<InstrumentId, Newest>,
    /// The newest time of all ticks without a number.
    latest: Option<Timestamp>,
}

/// Whose times ticks without a number bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// The feed's: both gateways have the same.
    OfFeed,
    /// Each gateway's own.
    OfArrival,
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
        if own_seq(tick).is_none() {
            self.latest = self.latest.max(Some(tick.time));
        }
        if let Some(newest) = self.newest.get_mut(id.as_bytes()) {
            *newest = Newest { time: newest.time.max(tick.time), seq: newest.seq.max(own_seq(tick)) };
        } else if let (Ok(valid), true) = (InstrumentId::new(id), aggregator.resolve(id).is_some()) {
            self.newest.insert(valid, Newest { time: tick.time, seq: own_seq(tick) });
        }
    }

    /// Whose times the ticks without a number bear that a standby holds: the feed's, if the newest that the log has of an
    /// instrument is to the microsecond among them, for half of the instruments of which it should be.
    pub(super) fn times<'a>(&self, held: impl Iterator<Item = (&'a str, &'a Tick)>) -> Times {
        let mut oldest = Timestamp::MAX;
        let mut met: HashMap<&str, (Timestamp, u32)> = HashMap::new();
        for (id, tick) in held.filter(|(_, tick)| own_seq(tick).is_none()) {
            oldest = oldest.min(tick.time);
            let Some(newest) = self.newest.get(id.as_bytes()) else { continue };
            met.entry(id).or_insert((newest.time, 0)).1 += u32::from(newest.time == tick.time);
        }
        let (mut same, mut other) = (0_usize, 0_usize);
        for (_, times) in met.into_values().filter(|(newest, _)| *newest >= oldest) {
            if times > 0 {
                same += 1;
            } else {
                other += 1;
            }
        }
        if same >= other { Times::OfFeed } else { Times::OfArrival }
    }

    /// Whether the log lacks a tick that bears such a time; what it came to is in `aggregator`.
    pub(super) fn is_new(&self, aggregator: &Aggregator, id: &str, tick: &Tick, times: Times) -> bool {
        let Some(newest) = self.newest.get(id.as_bytes()) else {
            // None came since this one follows the log: what came before is in the checkpoint it began with.
            let in_checkpoint = aggregator.history(id).and_then(|history| history.last_time());
            return in_checkpoint.is_none_or(|newest| tick.time > newest);
        };
        match (own_seq(tick), newest.seq) {
            (Some(seq), Some(stored)) => seq > stored,
            _ => match times {
                Times::OfFeed => tick.time > newest.time,
                Times::OfArrival => Some(tick.time) > self.latest,
            },
        }
    }

    /// Forgets an instrument that is delisted: if its id is listed again, that is another one.
    pub(super) fn forget(&mut self, id: &str) {
        self.newest.remove(id.as_bytes());
    }

    /// Forgets everything: candles start afresh.
    pub(super) fn clear(&mut self) {
        self.newest.clear();
        self.latest = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second).unwrap()
    }

    fn stored(tick: Tick) -> (Aggregator, Overlap) {
        let (aggregator, mut overlap) = (Aggregator::default(), Overlap::default());
        aggregator.list("a", None).unwrap();
        overlap.note(&aggregator, "a", &tick, at(10));
        (aggregator, overlap)
    }

    #[test]
    fn a_feeds_own_numbers_tell_what_is_new_whatever_the_clocks_say() {
        let (aggregator, overlap) = stored(Tick::new(at(10), 1.0).with_seq(7));
        let is_new =
            |second, seq| overlap.is_new(&aggregator, "a", &Tick::new(at(second), 1.0).with_seq(seq), Times::OfFeed);
        assert_eq!([is_new(11, 7), is_new(9, 8), is_new(11, 6)], [false, true, false]);
        assert!(overlap.is_new(&aggregator, "b", &Tick::new(at(1), 1.0).with_seq(1), Times::OfFeed));
    }

    #[test]
    fn without_numbers_the_times_tell() {
        let (aggregator, overlap) = stored(Tick::new(at(10), 1.0).with_seq(ARRIVAL_NUMBERS));
        let is_new = |second| {
            overlap.is_new(&aggregator, "a", &Tick::new(at(second), 1.0).with_seq(ARRIVAL_NUMBERS + 5), Times::OfFeed)
        };
        assert_eq!([is_new(9), is_new(10), is_new(11)], [false, false, true]);
    }

    #[test]
    fn of_ticks_stamped_on_arrival_no_instrument_is_sent_again_for_being_stamped_later() {
        let (aggregator, mut overlap) = (Aggregator::default(), Overlap::default());
        let held_at = |id: i64, skew: i64| {
            let time = at(id).saturating_add(skew);
            (id.to_string(), Tick::new(time, 1.0).with_seq(ARRIVAL_NUMBERS))
        };
        for id in 0..9 {
            let (name, tick) = held_at(id, 0);
            aggregator.list(&name, None).unwrap();
            overlap.note(&aggregator, &name, &tick, at(10));
        }
        let new = |skew| {
            let held: Vec<(String, Tick)> = (0..9).map(|id| held_at(id, skew)).collect();
            let times = overlap.times(held.iter().map(|(id, tick)| (id.as_str(), tick)));
            let new = held.iter().filter(|(id, tick)| overlap.is_new(&aggregator, id, tick, times)).count();
            (times, new)
        };
        assert_eq!(new(0), (Times::OfFeed, 0));
        assert_eq!(new(1000), (Times::OfArrival, 1), "all but the last came before the log's end by both clocks");
    }

    #[test]
    fn a_refused_tick_far_ahead_hides_nothing() {
        let (aggregator, overlap) = stored(Tick::new(at(1000), 1.0).with_seq(ARRIVAL_NUMBERS));
        assert!(overlap.is_new(&aggregator, "a", &Tick::new(at(11), 1.0).with_seq(ARRIVAL_NUMBERS), Times::OfFeed));
    }

    #[test]
    fn what_a_checkpoint_has_is_not_sent_again_for_want_of_a_newer_quote() {
        let (aggregator, overlap) = (Aggregator::default(), Overlap::default());
        aggregator.list("a", None).unwrap();
        assert!(aggregator.record("a", &Tick::new(at(10), 1.0), at(10)).is_accepted());
        aggregator.list("unquoted", None).unwrap();
        let is_new = |id, second| {
            let tick = Tick::new(at(second), 1.0).with_seq(ARRIVAL_NUMBERS);
            overlap.is_new(&aggregator, id, &tick, Times::OfFeed)
        };
        assert_eq!(
            [is_new("a", 10), is_new("a", 11), is_new("unquoted", 1), is_new("b", 1)],
            [false, true, true, true]
        );
    }
}
