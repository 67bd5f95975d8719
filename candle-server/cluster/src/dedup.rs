//! Deduplication: the ticks of a standby that the log has already.

use std::collections::HashMap;

use candle_core::{Aggregator, InstrumentId, Tick, Timestamp};

use crate::message::FIRST_ARRIVAL_SEQ;

/// The longest time that an accepted tick can be ahead of its `now`, in microseconds: the default of the core's rules.
const MAX_AHEAD_MICROS: i64 = candle_core::Rules::DEFAULT_MAX_AHEAD_MICROS;

/// The time by which a tick with a lower number must be later for the feed to have restarted its numbers, in
/// microseconds. Ticks out of order are later by less.
const RESTART_MICROS: i64 = 1_000_000;

/// The newest tick of the log, by instrument.
///
/// - With sequence numbers of the feed, the numbers decide. The feed may restart them.
/// - With timestamps of the feed, the times decide, instrument by instrument.
/// - If gateways stamp ticks on arrival, one tick has two times, and the newest time of all instruments decides. Ticks
///   within the difference between the clocks of the two gateways can be lost or stored twice.
#[derive(Debug, Default)]
pub(crate) struct Deduplicator {
    newest: HashMap<InstrumentId, NewestTick>,
    /// The newest time of all ticks without a number.
    latest: Option<Timestamp>,
}

/// The origin of the timestamps of ticks without a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimestampSource {
    /// The feed: both gateways have equal times.
    Feed,
    /// The gateway, on arrival.
    Arrival,
}

#[derive(Clone, Copy, Debug)]
struct NewestTick {
    time: Timestamp,
    /// The highest number since the last restart, and the time of its tick.
    highest: Option<(u64, Timestamp)>,
    before_restart: Option<BeforeRestart>,
}

/// The numbers before the last restart of the feed's numbers.
#[derive(Clone, Copy, Debug)]
struct BeforeRestart {
    highest: u64,
    /// The time of the first tick after the restart.
    until: Timestamp,
}

/// The sequence number that the feed gave to a tick.
fn feed_seq(tick: &Tick) -> Option<u64> {
    (tick.seq < FIRST_ARRIVAL_SEQ).then_some(tick.seq)
}

/// Returns true if a tick was rejected at `now` because its time is too far ahead.
const fn is_too_far_ahead(tick: &Tick, now: Timestamp) -> bool {
    tick.time.as_micros() > now.saturating_add(MAX_AHEAD_MICROS).as_micros()
}

impl NewestTick {
    fn of(tick: &Tick) -> Self {
        Self { time: tick.time, highest: feed_seq(tick).map(|seq| (seq, tick.time)), before_restart: None }
    }

    /// Records a tick that came after all others.
    fn record(&mut self, tick: &Tick) {
        self.time = self.time.max(tick.time);
        let Some(seq) = feed_seq(tick) else { return };
        let Some((highest, time)) = self.highest else {
            self.highest = Some((seq, tick.time));
            return;
        };
        let restarts = seq < highest && tick.time > time.saturating_add(RESTART_MICROS);
        if restarts {
            self.before_restart = Some(BeforeRestart { highest, until: tick.time });
        }
        if restarts || seq >= highest {
            self.highest = Some((seq, tick.time));
        }
    }

    /// The highest number among those that a tick of this time belongs to.
    fn highest_at(&self, time: Timestamp) -> Option<u64> {
        let before = self.before_restart.filter(|before| time < before.until);
        before.map(|before| before.highest).or(self.highest.map(|(highest, _)| highest))
    }
}

/// The restarts of sequence numbers among the ticks that a standby holds, by instrument.
#[derive(Debug, Default)]
pub(crate) struct SequenceRestarts<'h> {
    instruments: HashMap<&'h str, HeldSequence>,
}

#[derive(Debug)]
struct HeldSequence {
    newest: NewestTick,
    /// The lowest number since the last restart.
    lowest: u64,
}

impl<'h> SequenceRestarts<'h> {
    /// Records the next tick, which was validated at `now`. Returns the time of the last restart since the first tick.
    pub(crate) fn record(&mut self, id: &'h str, tick: &Tick, now: Timestamp) -> Option<Timestamp> {
        let seq = feed_seq(tick).filter(|_| !is_too_far_ahead(tick, now))?;
        let held = self.instruments.entry(id);
        let held = held.or_insert_with(|| HeldSequence { newest: NewestTick::of(tick), lowest: seq });
        let before = held.newest.before_restart.map(|before| before.until);
        // Ticks that a feed repeats on a new connection have known numbers and are no restart.
        if seq < held.lowest || held.newest.highest.is_none_or(|(highest, _)| seq > highest) {
            held.newest.record(tick);
        }
        let restarted = held.newest.before_restart.map(|before| before.until);
        held.lowest = if restarted == before { held.lowest.min(seq) } else { seq };
        restarted
    }
}

impl Deduplicator {
    /// Records a tick of the log. The tick was validated at `now`; a tick too far ahead of `now` is ignored.
    pub(crate) fn record(&mut self, aggregator: &Aggregator, id: &str, tick: &Tick, now: Timestamp) {
        if is_too_far_ahead(tick, now) {
            return;
        }
        if feed_seq(tick).is_none() {
            self.latest = self.latest.max(Some(tick.time));
        }
        if let Some(newest) = self.newest.get_mut(id.as_bytes()) {
            newest.record(tick);
        } else if let (Ok(valid), true) = (InstrumentId::new(id), aggregator.resolve(id).is_some()) {
            self.newest.insert(valid, NewestTick::of(tick));
        }
    }

    /// The source of the timestamps of the ticks in `held` that have no number.
    ///
    /// The source is the feed if `held` has the newest tick of the log for at least half of its instruments. Only
    /// instruments whose newest tick is late enough to be in `held` count.
    pub(crate) fn timestamp_source<'a>(&self, held: impl Iterator<Item = (&'a str, &'a Tick)>) -> TimestampSource {
        let mut oldest = Timestamp::MAX;
        let mut instruments: HashMap<&str, (Timestamp, u32)> = HashMap::new();
        for (id, tick) in held.filter(|(_, tick)| feed_seq(tick).is_none()) {
            oldest = oldest.min(tick.time);
            let Some(newest) = self.newest.get(id.as_bytes()) else { continue };
            instruments.entry(id).or_insert((newest.time, 0)).1 += u32::from(newest.time == tick.time);
        }
        let (mut equal, mut different) = (0_usize, 0_usize);
        for (_, matches) in instruments.into_values().filter(|(newest, _)| *newest >= oldest) {
            if matches > 0 {
                equal += 1;
            } else {
                different += 1;
            }
        }
        if equal >= different { TimestampSource::Feed } else { TimestampSource::Arrival }
    }

    /// Returns true if the log does not contain `tick`.
    ///
    /// `restarted` is the time at which the feed restarted its numbers among the ticks of the standby, if it did.
    /// The `aggregator` is the one that follows the log.
    pub(crate) fn is_new(
        &self,
        aggregator: &Aggregator,
        id: &str,
        tick: &Tick,
        source: TimestampSource,
        restarted: Option<Timestamp>,
    ) -> bool {
        let Some(newest) = self.newest.get(id.as_bytes()) else {
            // No tick since this follower started: all ticks before are in its checkpoint.
            let in_checkpoint = aggregator.history(id).and_then(|history| history.last_time());
            return in_checkpoint.is_none_or(|newest| tick.time > newest);
        };
        // After a restart that the log contains too, its numbers are comparable.
        let is_unknown_restart = |restarted: Timestamp| {
            newest.before_restart.is_none_or(|before| restarted > before.until.saturating_add(RESTART_MICROS))
        };
        match (feed_seq(tick), newest.highest_at(tick.time)) {
            // The log ends before the restart and has no tick after it.
            (Some(_), Some(_)) if restarted.is_some_and(|at| newest.time < at && is_unknown_restart(at)) => true,
            (Some(seq), Some(stored)) => seq > stored,
            _ => match source {
                TimestampSource::Feed => tick.time > newest.time,
                TimestampSource::Arrival => Some(tick.time) > self.latest,
            },
        }
    }

    /// Removes an instrument that is delisted. A later listing of its id is another instrument.
    pub(crate) fn remove(&mut self, id: &str) {
        self.newest.remove(id.as_bytes());
    }

    /// Removes everything, because candles start afresh.
    pub(crate) fn clear(&mut self) {
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

    fn stored(tick: Tick) -> (Aggregator, Deduplicator) {
        let (aggregator, mut dedup) = (Aggregator::default(), Deduplicator::default());
        aggregator.list("a", None).unwrap();
        dedup.record(&aggregator, "a", &tick, at(10));
        (aggregator, dedup)
    }

    #[test]
    fn sequence_numbers_of_the_feed_decide_regardless_of_times() {
        let (aggregator, dedup) = stored(Tick::new(at(10), 1.0).with_seq(7));
        let is_new = |second, seq| {
            dedup.is_new(&aggregator, "a", &Tick::new(at(second), 1.0).with_seq(seq), TimestampSource::Feed, None)
        };
        assert_eq!([is_new(11, 7), is_new(9, 8), is_new(11, 6)], [false, true, false]);
        assert!(dedup.is_new(&aggregator, "b", &Tick::new(at(1), 1.0).with_seq(1), TimestampSource::Feed, None));
    }

    /// The held ticks that the log does not contain. A tick is a second and a number.
    fn missing(stored: &[(i64, u64)], held: &[(i64, u64)]) -> Vec<(i64, u64)> {
        let (aggregator, mut dedup, mut restarts) =
            (Aggregator::default(), Deduplicator::default(), SequenceRestarts::default());
        aggregator.list("a", None).unwrap();
        let tick = |(second, seq)| Tick::new(at(second), 1.0).with_seq(seq);
        for one in stored {
            dedup.record(&aggregator, "a", &tick(*one), at(one.0));
        }
        let mut missing = held.to_vec();
        missing.retain(|one| {
            let tick = tick(*one);
            let restarted = restarts.record("a", &tick, at(one.0));
            dedup.is_new(&aggregator, "a", &tick, TimestampSource::Arrival, restarted)
        });
        missing
    }

    #[test]
    fn restarted_numbers_decide_as_the_numbers_before_did() {
        let feed = [(10, 998), (11, 999), (12, 1000), (15, 1), (15, 2), (16, 3), (17, 4)];
        // The log ends before or after the restart.
        for end in 1..=feed.len() {
            assert_eq!(missing(&feed[..end], &feed), feed[end..], "the log has {end} ticks");
            // All held ticks are from after the restart.
            assert_eq!(missing(&feed[..end.max(4)], &feed[3..]), feed[end.max(4)..], "the log has {end} ticks");
        }
        // The gateway before missed a tick before the restart and two after it.
        assert_eq!(missing(&[feed[0], feed[3], feed[4]], &feed), [feed[1], feed[2], feed[5], feed[6]]);
    }

    #[test]
    fn a_restart_without_a_pause_is_detected_a_second_later() {
        let old = (90..=100).map(|seq| (10, seq));
        let new = (0..40).map(|place: i64| (10 + place / 10, 1 + place.unsigned_abs()));
        let feed: Vec<_> = old.chain(new).collect();
        for end in 32..feed.len() {
            assert_eq!(missing(&feed[..end], &feed), feed[end..], "the log has {end} ticks");
        }
    }

    #[test]
    fn ticks_that_a_feed_repeats_to_one_gateway_are_not_new() {
        let stored: Vec<_> = (0_i64..30).map(|second| (second, 100 + second.unsigned_abs())).collect();
        let again = [(22, 115), (22, 116)];
        let held: Vec<_> = stored[10..20].iter().chain(&again).chain(&stored[22..]).copied().collect();
        assert_eq!(missing(&stored, &held), []);
        // The log ends before the repetition.
        assert_eq!(missing(&stored[..20], &held[..12]), []);
    }

    #[test]
    fn a_restart_that_both_gateways_saw_at_different_times_is_known() {
        let at = |millis: i64, seq| Tick::new(Timestamp::from_micros(millis * 1000).unwrap(), 1.0).with_seq(seq);
        for later in [5, -5, 300] {
            let (aggregator, mut dedup) = stored(at(9_000, 10));
            dedup.record(&aggregator, "a", &at(15_000, 1), at(15_000, 1).time);
            let mut restarts = SequenceRestarts::default();
            let held = [at(9_000 + later, 10), at(15_000 + later, 1), at(15_500 + later, 2)];
            let new = held.map(|tick| {
                let restarted = restarts.record("a", &tick, tick.time);
                dedup.is_new(&aggregator, "a", &tick, TimestampSource::Arrival, restarted)
            });
            assert_eq!(new, [false, false, true], "{later} ms later");
        }
    }

    #[test]
    fn a_rejected_tick_with_a_lower_number_is_no_restart() {
        let (aggregator, mut dedup) = stored(Tick::new(at(10), 1.0).with_seq(7));
        dedup.record(&aggregator, "a", &Tick::new(at(1000), 1.0).with_seq(1), at(10));
        assert!(!dedup.is_new(&aggregator, "a", &Tick::new(at(9), 1.0).with_seq(6), TimestampSource::Feed, None));
    }

    #[test]
    fn without_numbers_times_decide() {
        let (aggregator, dedup) = stored(Tick::new(at(10), 1.0).with_seq(FIRST_ARRIVAL_SEQ));
        let is_new = |second| {
            let tick = Tick::new(at(second), 1.0).with_seq(FIRST_ARRIVAL_SEQ + 5);
            dedup.is_new(&aggregator, "a", &tick, TimestampSource::Feed, None)
        };
        assert_eq!([is_new(9), is_new(10), is_new(11)], [false, false, true]);
    }

    #[test]
    fn ticks_stamped_on_arrival_are_compared_with_the_newest_of_all_instruments() {
        let (aggregator, mut dedup) = (Aggregator::default(), Deduplicator::default());
        let held_at = |id: i64, skew: i64| {
            let time = at(id).saturating_add(skew);
            (id.to_string(), Tick::new(time, 1.0).with_seq(FIRST_ARRIVAL_SEQ))
        };
        for id in 0..9 {
            let (name, tick) = held_at(id, 0);
            aggregator.list(&name, None).unwrap();
            dedup.record(&aggregator, &name, &tick, at(10));
        }
        let new = |skew| {
            let held: Vec<(String, Tick)> = (0..9).map(|id| held_at(id, skew)).collect();
            let source = dedup.timestamp_source(held.iter().map(|(id, tick)| (id.as_str(), tick)));
            let new = held.iter().filter(|(id, tick)| dedup.is_new(&aggregator, id, tick, source, None)).count();
            (source, new)
        };
        assert_eq!(new(0), (TimestampSource::Feed, 0));
        assert_eq!(
            new(1000),
            (TimestampSource::Arrival, 1),
            "both clocks stamped all ticks but the last before the end of the log"
        );
    }

    #[test]
    fn a_rejected_tick_far_ahead_hides_no_later_tick() {
        let (aggregator, dedup) = stored(Tick::new(at(1000), 1.0).with_seq(FIRST_ARRIVAL_SEQ));
        let tick = Tick::new(at(11), 1.0).with_seq(FIRST_ARRIVAL_SEQ);
        assert!(dedup.is_new(&aggregator, "a", &tick, TimestampSource::Feed, None));
    }

    #[test]
    fn ticks_in_the_checkpoint_are_known_even_without_a_newer_tick() {
        let (aggregator, dedup) = (Aggregator::default(), Deduplicator::default());
        aggregator.list("a", None).unwrap();
        assert!(aggregator.record("a", &Tick::new(at(10), 1.0), at(10)).is_accepted());
        aggregator.list("unquoted", None).unwrap();
        let is_new = |id, second| {
            let tick = Tick::new(at(second), 1.0).with_seq(FIRST_ARRIVAL_SEQ);
            dedup.is_new(&aggregator, id, &tick, TimestampSource::Feed, None)
        };
        assert_eq!(
            [is_new("a", 10), is_new("a", 11), is_new("unquoted", 1), is_new("b", 1)],
            [false, true, true, true]
        );
    }
}
