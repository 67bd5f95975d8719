//! What the feed before the present one had brought already, where quotes carry sequence numbers.

use std::collections::HashMap;
use std::time::Duration;

use candle_core::{InstrumentId, Timestamp};

/// How many instruments are remembered: as many as are listed by default. Of others a few quotes may count twice.
const MAX_MARKS: usize = 100_000;

/// For how long after a turn quotes without a time are held against their sequence number alone: longer than any feed
/// repeats, and short enough where two feeds number their quotes in ways that have nothing to do with each other.
const OVERLAP: Duration = Duration::from_secs(10);

/// The highest sequence number of each instrument, now and at the last turn from feed to feed.
#[derive(Debug, Default)]
pub(super) struct HighWater {
    marks: HashMap<InstrumentId, Mark>,
    turned: Option<Duration>,
}

#[derive(Debug)]
struct Mark {
    newest: Seen,
    /// What was the newest at the last turn.
    at_turn: Option<Seen>,
}

/// The latest of what was seen of an instrument.
#[derive(Clone, Copy, Debug)]
struct Seen {
    seq: u64,
    time: Option<Timestamp>,
}

impl HighWater {
    /// Whether a quote that arrives at `now` is new: not among those that the feed before brought.
    ///
    /// A quote that is later by its own time is new whatever its number, so that feeds with numbers of their own lose
    /// nothing.
    pub(super) fn is_new(&self, id: &str, seq: u64, time: Option<Timestamp>, now: Duration) -> bool {
        let before = self.marks.get(id.as_bytes()).and_then(|mark| mark.at_turn).filter(|before| seq <= before.seq);
        before.is_none_or(|before| match (time, before.time) {
            (Some(time), Some(latest)) => time > latest,
            _ => self.turned.is_none_or(|turned| now.saturating_sub(turned) >= OVERLAP),
        })
    }

    /// Notes a quote that is new and will be taken. One that is refused must not be noted: its number and time may be
    /// such as no quote ever reaches.
    pub(super) fn note(&mut self, id: &str, seq: u64, time: Option<Timestamp>) {
        if let Some(Mark { newest, .. }) = self.marks.get_mut(id.as_bytes()) {
            *newest = Seen { seq: newest.seq.max(seq), time: newest.time.max(time) };
        } else if let (true, Ok(id)) = (self.marks.len() < MAX_MARKS, InstrumentId::new(id)) {
            self.marks.insert(id, Mark { newest: Seen { seq, time }, at_turn: None });
        }
    }

    /// Forgets an instrument that is delisted: if its id is listed again, that is another one.
    pub(super) fn forget(&mut self, id: &str) {
        self.marks.remove(id.as_bytes());
    }

    /// Another feed is read from `now` on.
    pub(super) fn turned(&mut self, now: Duration) {
        self.turned = Some(now);
        for mark in self.marks.values_mut() {
            mark.at_turn = Some(mark.newest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_seconds(second)
    }

    const NOW: Duration = Duration::from_secs(100);

    /// Whether a quote is new; it is noted if so.
    fn brings(seen: &mut HighWater, id: &str, seq: u64, time: Option<Timestamp>, now: Duration) -> bool {
        let is_new = seen.is_new(id, seq, time, now);
        if is_new {
            seen.note(id, seq, time);
        }
        is_new
    }

    #[test]
    fn what_two_feeds_bring_counts_once_and_nothing_new_is_lost() {
        let mut seen = HighWater::default();
        assert!((1..=5).all(|seq| brings(&mut seen, "a", seq, at(10), NOW)));
        seen.turned(NOW);
        let again: Vec<bool> = (3..=8).map(|seq| brings(&mut seen, "a", seq, at(10), NOW)).collect();
        assert_eq!(again, [false, false, false, true, true, true]);
        assert!(brings(&mut seen, "b", 1, at(10), NOW));
    }

    #[test]
    fn within_one_feed_order_and_repetition_are_the_cores_matter() {
        let mut seen = HighWater::default();
        assert!([5, 4, 4].iter().all(|seq| brings(&mut seen, "a", *seq, at(10), NOW)));
    }

    #[test]
    fn a_feed_with_numbers_of_its_own_loses_nothing_that_is_later() {
        let mut seen = HighWater::default();
        assert!(brings(&mut seen, "a", 1_000_000, at(10), NOW) && brings(&mut seen, "b", 1_000_000, None, NOW));
        seen.turned(NOW);
        assert!(brings(&mut seen, "a", 1, at(11), NOW));
        assert!(!brings(&mut seen, "b", 1, None, NOW));
        assert!(brings(&mut seen, "b", 2, None, NOW + OVERLAP));
    }
}
