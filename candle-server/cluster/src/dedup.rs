//! Finds the ticks of a new leader that the log already contains.
//!
//! Both gateways receive the same feed. The standby buffers its ticks, and the leader publishes its own. When the
//! standby becomes the leader, it publishes only the buffered ticks that the log does not contain.

use std::collections::HashMap;

use candle_core::{Aggregator, InstrumentId, Tick, Timestamp};

use crate::message::FIRST_ARRIVAL_SEQ;

/// The most by which an accepted tick is ahead of `now`, in microseconds: the default of the core.
const MAX_AHEAD_MICROS: i64 = candle_core::Rules::DEFAULT_MAX_AHEAD_MICROS;

/// The delay that tells a restart of the numbers from ticks out of order, in microseconds.
///
/// If a tick with a lower number is later by more than this delay, the feed has restarted its numbers.
///
/// Ticks that arrive out of order differ by less than a second.
const RESTART_MICROS: i64 = 1_000_000;

/// Stores the newest tick of each instrument in the log, and compares buffered ticks with it.
///
/// - If the feed numbers its ticks, ticks with a higher number than in the log are new. The feed may restart its
///   numbers.
/// - If the feed sends timestamps, ticks that are later than the newest tick of their instrument are new.
/// - If the gateways set the timestamps on arrival, the same tick has a different time on each gateway. Ticks that are
///   later than the newest tick of all instruments are then new. Ticks within the difference between the two clocks can
///   be lost or stored twice.
#[derive(Debug, Default)]
pub(crate) struct Deduplicator {
    newest: HashMap<InstrumentId, NewestTick>,
    /// The newest time among all ticks without a sequence number.
    latest: Option<Timestamp>,
}

/// The origin of the timestamps of ticks that have no sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimestampSource {
    /// The feed sets the timestamps, so a tick has the same time on both gateways.
    Feed,
    /// Each gateway sets the timestamp when the tick arrives.
    Arrival,
}

#[derive(Clone, Copy, Debug)]
struct NewestTick {
    time: Timestamp,
    /// The highest sequence number since the last restart of the numbers, and the time of its tick.
    highest: Option<(u64, Timestamp)>,
    before_restart: Option<BeforeRestart>,
}

/// The state before the feed last restarted its sequence numbers.
#[derive(Clone, Copy, Debug)]
struct BeforeRestart {
    highest: u64,
    /// The time of the first tick after the restart of the numbers.
    until: Timestamp,
}

/// Returns the sequence number that the feed gave to a tick, if any.
fn feed_seq(tick: &Tick) -> Option<u64> {
    (tick.seq < FIRST_ARRIVAL_SEQ).then_some(tick.seq)
}

/// Returns true if the core rejects a tick at `now` because its time is too far ahead.
const fn is_too_far_ahead(tick: &Tick, now: Timestamp) -> bool {
    tick.time.as_micros() > now.saturating_add(MAX_AHEAD_MICROS).as_micros()
}

impl NewestTick {
    fn of(tick: &Tick) -> Self {
        Self { time: tick.time, highest: feed_seq(tick).map(|seq| (seq, tick.time)), before_restart: None }
    }

    /// Records the next tick of the instrument, in the order of the log.
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

    /// Returns the highest number to compare with a tick at `time`: from before or after the restart of the numbers.
    fn highest_at(&self, time: Timestamp) -> Option<u64> {
        let before = self.before_restart.filter(|before| time < before.until);
        before.map(|before| before.highest).or(self.highest.map(|(highest, _)| highest))
    }
}

/// Detects restarts of the sequence numbers of each instrument among the buffered ticks.
#[derive(Debug, Default)]
pub(crate) struct SequenceRestarts<'b> {
    instruments: HashMap<&'b str, BufferedSequence>,
}

#[derive(Debug)]
struct BufferedSequence {
    newest: NewestTick,
    /// The lowest sequence number since the last restart.
    lowest: u64,
}

impl<'b> SequenceRestarts<'b> {
    /// Records the next buffered tick, which was validated at `now`.
    ///
    /// Returns the time of the last restart of the numbers among the ticks recorded so far, if there was one.
    pub(crate) fn record(&mut self, id: &'b str, tick: &Tick, now: Timestamp) -> Option<Timestamp> {
        let seq = feed_seq(tick).filter(|_| !is_too_far_ahead(tick, now))?;
        let buffered = self.instruments.entry(id);
        let buffered = buffered.or_insert_with(|| BufferedSequence { newest: NewestTick::of(tick), lowest: seq });
        let before = buffered.newest.before_restart.map(|before| before.until);
        // Ticks that the feed repeats on a new connection have known numbers. They do not indicate a restart.
        if seq < buffered.lowest || buffered.newest.highest.is_none_or(|(highest, _)| seq > highest) {
            buffered.newest.record(tick);
        }
        let restarted = buffered.newest.before_restart.map(|before| before.until);
        buffered.lowest = if restarted == before { buffered.lowest.min(seq) } else { seq };
        restarted
    }
}

impl Deduplicator {
    /// Records a tick of the log, which was validated at `now`. Ignores a tick that is too far ahead of `now`.
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

    /// Returns the source of the timestamps of the buffered ticks without a sequence number.
    ///
    /// The newest tick of an instrument in the log should also be buffered, with the same time if the feed set the
    /// time. The source is the feed if this is true for at least half of the instruments. Instruments whose newest tick
    /// is older than all buffered ticks are ignored.
    pub(crate) fn timestamp_source<'a>(&self, buffered: impl Iterator<Item = (&'a str, &'a Tick)>) -> TimestampSource {
        let mut oldest = Timestamp::MAX;
        let mut instruments: HashMap<&str, (Timestamp, u32)> = HashMap::new();
        for (id, tick) in buffered.filter(|(_, tick)| feed_seq(tick).is_none()) {
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
    /// `restarted` is the time at which the feed restarted its numbers among the buffered ticks, if it did.
    /// `aggregator` is the aggregator of the follower of the log.
    pub(crate) fn is_new(
        &self,
        aggregator: &Aggregator,
        id: &str,
        tick: &Tick,
        source: TimestampSource,
        restarted: Option<Timestamp>,
    ) -> bool {
        let Some(newest) = self.newest.get(id.as_bytes()) else {
            // The follower has received no tick of this instrument since it started, so the newest tick is in its
            // checkpoint.
            let in_checkpoint = aggregator.history(id).and_then(|history| history.last_time());
            return in_checkpoint.is_none_or(|newest| tick.time > newest);
        };
        // If the log contains the restart too, the numbers after the restart are comparable.
        let is_unknown_restart = |restarted: Timestamp| {
            newest.before_restart.is_none_or(|before| restarted > before.until.saturating_add(RESTART_MICROS))
        };
        match (feed_seq(tick), newest.highest_at(tick.time)) {
            // The log does not contain the restart and has no tick after it.
            (Some(_), Some(_)) if restarted.is_some_and(|at| newest.time < at && is_unknown_restart(at)) => true,
            (Some(seq), Some(stored)) => seq > stored,
            _ => match source {
                TimestampSource::Feed => tick.time > newest.time,
                TimestampSource::Arrival => Some(tick.time) > self.latest,
            },
        }
    }

    /// Removes the ticks of a delisted instrument. If its id is listed again, that is another instrument.
    pub(crate) fn remove(&mut self, id: &str) {
        self.newest.remove(id.as_bytes());
    }

    /// Removes all ticks. The caller has cleared all candles.
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

    /// Returns the buffered ticks that the log does not contain. Each tick is given as its second and its number.
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
        // The loop covers logs that end before and after the restart.
        for end in 1..=feed.len() {
            assert_eq!(missing(&feed[..end], &feed), feed[end..], "the log has {end} ticks");
            // All buffered ticks are from after the restart.
            assert_eq!(missing(&feed[..end.max(4)], &feed[3..]), feed[end.max(4)..], "the log has {end} ticks");
        }
        // The previous leader missed a tick before the restart and two ticks after the restart.
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
