//! What the log has already of what a standby holds.

use std::collections::HashMap;

use candle_core::{Aggregator, InstrumentId, Tick, Timestamp};

use super::message::ARRIVAL_NUMBERS;

/// How far ahead of its `now` a tick may be and still count as newest, in microseconds; one that is further ahead was
/// refused. As in the core's rules.
const MAX_AHEAD_MICROS: i64 = candle_core::Rules::DEFAULT_MAX_AHEAD_MICROS;

/// How much later than the tick of the highest number one of a lower number is where the feed's numbers begin again, as
/// after its restart, in microseconds: ticks out of order are later by less.
const BEGIN_AGAIN_MICROS: i64 = 1_000_000;

/// By instrument, the newest tick in the log.
///
/// Where the feed numbers its ticks, its numbers tell what is new; they may begin again. Otherwise their times do, instrument by instrument if
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
    /// The feed's own, and the time of its tick.
    highest: Option<(u64, Timestamp)>,
    before: Option<Before>,
}

/// Numbers that are over, since the feed's began again.
#[derive(Clone, Copy, Debug)]
struct Before {
    highest: u64,
    /// The time of the first tick after them.
    until: Timestamp,
}

/// The feed's own number of a tick, if it has one.
fn own_seq(tick: &Tick) -> Option<u64> {
    (tick.seq < ARRIVAL_NUMBERS).then_some(tick.seq)
}

/// Whether a tick that was judged at `now` was refused for its time.
const fn is_ahead(tick: &Tick, now: Timestamp) -> bool {
    tick.time.as_micros() > now.saturating_add(MAX_AHEAD_MICROS).as_micros()
}

impl Newest {
    fn of(tick: &Tick) -> Self {
        Self { time: tick.time, highest: own_seq(tick).map(|seq| (seq, tick.time)), before: None }
    }

    /// Notes a tick that came after those before.
    fn note(&mut self, tick: &Tick) {
        self.time = self.time.max(tick.time);
        let Some(seq) = own_seq(tick) else { return };
        let Some((highest, time)) = self.highest else {
            self.highest = Some((seq, tick.time));
            return;
        };
        let begins_again = seq < highest && tick.time > time.saturating_add(BEGIN_AGAIN_MICROS);
        if begins_again {
            self.before = Some(Before { highest, until: tick.time });
        }
        if begins_again || seq >= highest {
            self.highest = Some((seq, tick.time));
        }
    }

    /// The highest of the numbers that a tick of that time is one of.
    fn highest_at(&self, time: Timestamp) -> Option<u64> {
        let before = self.before.filter(|before| time < before.until);
        before.map(|before| before.highest).or(self.highest.map(|(highest, _)| highest))
    }
}

/// Since when, by instrument, the feed's numbers are those that they are, among the ticks that a standby holds.
#[derive(Debug, Default)]
pub(super) struct Numbers<'h> {
    held: HashMap<&'h str, Held>,
}

#[derive(Debug)]
struct Held {
    newest: Newest,
    /// The lowest of the present numbers.
    lowest: u64,
}

impl<'h> Numbers<'h> {
    /// Notes the next tick, judged at `now`; the time at which its numbers began again, if they did since the first one.
    pub(super) fn note(&mut self, id: &'h str, tick: &Tick, now: Timestamp) -> Option<Timestamp> {
        let seq = own_seq(tick).filter(|_| !is_ahead(tick, now))?;
        let held = self.held.entry(id).or_insert_with(|| Held { newest: Newest::of(tick), lowest: seq });
        let before = held.newest.before.map(|before| before.until);
        // What a feed repeats where it connects has numbers that were there, and begins nothing.
        if seq < held.lowest || held.newest.highest.is_none_or(|(highest, _)| seq > highest) {
            held.newest.note(tick);
        }
        let began_again = held.newest.before.map(|before| before.until);
        held.lowest = if began_again == before { held.lowest.min(seq) } else { seq };
        began_again
    }
}

impl Overlap {
    /// Notes a tick of the log that was judged at `now`.
    pub(super) fn note(&mut self, aggregator: &Aggregator, id: &str, tick: &Tick, now: Timestamp) {
        if is_ahead(tick, now) {
            return;
        }
        if own_seq(tick).is_none() {
            self.latest = self.latest.max(Some(tick.time));
        }
        if let Some(newest) = self.newest.get_mut(id.as_bytes()) {
            newest.note(tick);
        } else if let (Ok(valid), true) = (InstrumentId::new(id), aggregator.resolve(id).is_some()) {
            self.newest.insert(valid, Newest::of(tick));
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

    /// Whether the log lacks a tick that bears such a time, and a number as they are since they `began_again`, if they did
    /// among those that a standby holds; what the log came to is in `aggregator`.
    pub(super) fn is_new(
        &self,
        aggregator: &Aggregator,
        id: &str,
        tick: &Tick,
        times: Times,
        began_again: Option<Timestamp>,
    ) -> bool {
        let Some(newest) = self.newest.get(id.as_bytes()) else {
            // None came since this one follows the log: what came before is in the checkpoint it began with.
            let in_checkpoint = aggregator.history(id).and_then(|history| history.last_time());
            return in_checkpoint.is_none_or(|newest| tick.time > newest);
        };
        // Where the log has seen it too, its numbers are the same.
        let is_unseen = |began: Timestamp| {
            newest.before.is_none_or(|before| began > before.until.saturating_add(BEGIN_AGAIN_MICROS))
        };
        match (own_seq(tick), newest.highest_at(tick.time)) {
            // A log that ends before has none of them.
            (Some(_), Some(_)) if began_again.is_some_and(|began| newest.time < began && is_unseen(began)) => true,
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
        let is_new = |second, seq| {
            overlap.is_new(&aggregator, "a", &Tick::new(at(second), 1.0).with_seq(seq), Times::OfFeed, None)
        };
        assert_eq!([is_new(11, 7), is_new(9, 8), is_new(11, 6)], [false, true, false]);
        assert!(overlap.is_new(&aggregator, "b", &Tick::new(at(1), 1.0).with_seq(1), Times::OfFeed, None));
    }

    /// Which of the ticks that are held the log lacks; each is a second and a number.
    fn lacking(stored: &[(i64, u64)], held: &[(i64, u64)]) -> Vec<(i64, u64)> {
        let (aggregator, mut overlap, mut numbers) = (Aggregator::default(), Overlap::default(), Numbers::default());
        aggregator.list("a", None).unwrap();
        let tick = |(second, seq)| Tick::new(at(second), 1.0).with_seq(seq);
        for one in stored {
            overlap.note(&aggregator, "a", &tick(*one), at(one.0));
        }
        let mut lacking = held.to_vec();
        lacking.retain(|one| {
            let tick = tick(*one);
            let began_again = numbers.note("a", &tick, at(one.0));
            overlap.is_new(&aggregator, "a", &tick, Times::OfArrival, began_again)
        });
        lacking
    }

    #[test]
    fn numbers_that_begin_again_tell_what_is_new_as_those_before_did() {
        let feed = [(10, 998), (11, 999), (12, 1000), (15, 1), (15, 2), (16, 3), (17, 4)];
        // Wherever the log ends, before the restart or behind it.
        for end in 1..=feed.len() {
            assert_eq!(lacking(&feed[..end], &feed), feed[end..], "of a log that has {end}");
            // All that is held is from after the restart.
            assert_eq!(lacking(&feed[..end.max(4)], &feed[3..]), feed[end.max(4)..], "of a log that has {end}");
        }
        // What the gateway before missed and this one did not, before that restart.
        assert_eq!(lacking(&[feed[0], feed[3], feed[4]], &feed), [feed[1], feed[2], feed[5], feed[6]]);
    }

    #[test]
    fn numbers_that_begin_again_at_once_are_known_a_second_later() {
        let old = (90..=100).map(|seq| (10, seq));
        let new = (0..40).map(|place: i64| (10 + place / 10, 1 + place.unsigned_abs()));
        let feed: Vec<_> = old.chain(new).collect();
        for end in 32..feed.len() {
            assert_eq!(lacking(&feed[..end], &feed), feed[end..], "of a log that has {end}");
        }
    }

    #[test]
    fn a_repetition_on_one_gateways_connection_makes_nothing_new() {
        let stored: Vec<_> = (0_i64..30).map(|second| (second, 100 + second.unsigned_abs())).collect();
        let again = [(22, 115), (22, 116)];
        let held: Vec<_> = stored[10..20].iter().chain(&again).chain(&stored[22..]).copied().collect();
        assert_eq!(lacking(&stored, &held), []);
        // The log ends before it.
        assert_eq!(lacking(&stored[..20], &held[..12]), []);
    }

    #[test]
    fn a_beginning_that_both_saw_at_other_times_makes_nothing_new() {
        let at = |millis: i64, seq| Tick::new(Timestamp::from_micros(millis * 1000).unwrap(), 1.0).with_seq(seq);
        for later in [5, -5, 300] {
            let (aggregator, mut overlap) = stored(at(9_000, 10));
            overlap.note(&aggregator, "a", &at(15_000, 1), at(15_000, 1).time);
            let mut numbers = Numbers::default();
            let held = [at(9_000 + later, 10), at(15_000 + later, 1), at(15_500 + later, 2)];
            let new = held.map(|tick| {
                let began_again = numbers.note("a", &tick, tick.time);
                overlap.is_new(&aggregator, "a", &tick, Times::OfArrival, began_again)
            });
            assert_eq!(new, [false, false, true], "{later} ms later");
        }
    }

    #[test]
    fn a_later_tick_of_a_lower_number_that_was_refused_is_no_beginning() {
        let (aggregator, mut overlap) = stored(Tick::new(at(10), 1.0).with_seq(7));
        overlap.note(&aggregator, "a", &Tick::new(at(1000), 1.0).with_seq(1), at(10));
        assert!(!overlap.is_new(&aggregator, "a", &Tick::new(at(9), 1.0).with_seq(6), Times::OfFeed, None));
    }

    #[test]
    fn without_numbers_the_times_tell() {
        let (aggregator, overlap) = stored(Tick::new(at(10), 1.0).with_seq(ARRIVAL_NUMBERS));
        let is_new = |second| {
            let tick = Tick::new(at(second), 1.0).with_seq(ARRIVAL_NUMBERS + 5);
            overlap.is_new(&aggregator, "a", &tick, Times::OfFeed, None)
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
            let new = held.iter().filter(|(id, tick)| overlap.is_new(&aggregator, id, tick, times, None)).count();
            (times, new)
        };
        assert_eq!(new(0), (Times::OfFeed, 0));
        assert_eq!(new(1000), (Times::OfArrival, 1), "all but the last came before the log's end by both clocks");
    }

    #[test]
    fn a_refused_tick_far_ahead_hides_nothing() {
        let (aggregator, overlap) = stored(Tick::new(at(1000), 1.0).with_seq(ARRIVAL_NUMBERS));
        let tick = Tick::new(at(11), 1.0).with_seq(ARRIVAL_NUMBERS);
        assert!(overlap.is_new(&aggregator, "a", &tick, Times::OfFeed, None));
    }

    #[test]
    fn what_a_checkpoint_has_is_not_sent_again_for_want_of_a_newer_quote() {
        let (aggregator, overlap) = (Aggregator::default(), Overlap::default());
        aggregator.list("a", None).unwrap();
        assert!(aggregator.record("a", &Tick::new(at(10), 1.0), at(10)).is_accepted());
        aggregator.list("unquoted", None).unwrap();
        let is_new = |id, second| {
            let tick = Tick::new(at(second), 1.0).with_seq(ARRIVAL_NUMBERS);
            overlap.is_new(&aggregator, id, &tick, Times::OfFeed, None)
        };
        assert_eq!(
            [is_new("a", 10), is_new("a", 11), is_new("unquoted", 1), is_new("b", 1)],
            [false, true, true, true]
        );
    }
}
