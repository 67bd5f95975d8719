//! The deduplicator: drops quotes that the previous feed already delivered.

use std::collections::HashMap;
use std::time::Duration;

use candle_core::{InstrumentId, Timestamp};

/// The maximum number of tracked instruments: 100,000, the default limit on listed instruments. Quotes of other
/// instruments may count twice.
const MAX_INSTRUMENTS: usize = 100_000;

/// The time after a switch in which quotes without a timestamp are dropped by sequence number: 10 s.
///
/// Feeds repeat quotes for less than this time after a connect. If two feeds use unrelated sequence numbers, new quotes
/// are wrongly dropped only during this time.
const OVERLAP: Duration = Duration::from_secs(10);

/// Finds quotes that the previous feed already delivered, by sequence number.
#[derive(Debug, Default)]
pub(super) struct Deduplicator {
    instruments: HashMap<InstrumentId, Progress>,
    /// The time of the last switch to another feed.
    switched_at: Option<Duration>,
}

/// The delivered quotes of one instrument.
#[derive(Debug)]
struct Progress {
    newest: Delivered,
    /// The value of `newest` at the last switch; `None` if the first quote arrived after the switch.
    at_switch: Option<Delivered>,
}

/// The highest sequence number and the latest timestamp that were delivered.
#[derive(Clone, Copy, Debug)]
struct Delivered {
    seq: u64,
    time: Option<Timestamp>,
}

impl Deduplicator {
    /// Returns true if the previous feed did not deliver a quote that arrives at `now`.
    ///
    /// A quote with a later timestamp is new at any sequence number, because each feed may use its own numbers.
    pub(super) fn is_new(&self, id: &str, seq: u64, time: Option<Timestamp>, now: Duration) -> bool {
        let before = self.instruments.get(id.as_bytes()).and_then(|progress| progress.at_switch);
        before.filter(|before| seq <= before.seq).is_none_or(|before| match (time, before.time) {
            (Some(time), Some(latest)) => time > latest,
            _ => self.switched_at.is_none_or(|switched_at| now.saturating_sub(switched_at) >= OVERLAP),
        })
    }

    /// Records that a new quote was delivered.
    ///
    /// The engine must accept the quote. A rejected quote may have a number or time far in the future, and all later
    /// quotes would count as repeated.
    pub(super) fn record(&mut self, id: &str, seq: u64, time: Option<Timestamp>) {
        if let Some(Progress { newest, .. }) = self.instruments.get_mut(id.as_bytes()) {
            *newest = Delivered { seq: newest.seq.max(seq), time: newest.time.max(time) };
        } else if let (true, Ok(id)) = (self.instruments.len() < MAX_INSTRUMENTS, InstrumentId::new(id)) {
            self.instruments.insert(id, Progress { newest: Delivered { seq, time }, at_switch: None });
        }
    }

    /// Removes a delisted instrument. Another instrument may be listed with the same id later.
    pub(super) fn remove(&mut self, id: &str) {
        self.instruments.remove(id.as_bytes());
    }

    /// Records the switch to another feed at `now`.
    pub(super) fn switched(&mut self, now: Duration) {
        self.switched_at = Some(now);
        for progress in self.instruments.values_mut() {
            progress.at_switch = Some(progress.newest);
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

    /// Delivers a quote, and returns true if the quote is new.
    fn deliver(dedup: &mut Deduplicator, id: &str, seq: u64, time: Option<Timestamp>, now: Duration) -> bool {
        let is_new = dedup.is_new(id, seq, time, now);
        if is_new {
            dedup.record(id, seq, time);
        }
        is_new
    }

    #[test]
    fn a_quote_of_two_feeds_counts_once_and_no_new_quote_is_dropped() {
        let mut dedup = Deduplicator::default();
        assert!((1..=5).all(|seq| deliver(&mut dedup, "a", seq, at(10), NOW)));
        dedup.switched(NOW);
        let again: Vec<bool> = (3..=8).map(|seq| deliver(&mut dedup, "a", seq, at(10), NOW)).collect();
        assert_eq!(again, [false, false, false, true, true, true]);
        assert!(deliver(&mut dedup, "b", 1, at(10), NOW));
    }

    #[test]
    fn within_one_feed_no_quote_is_dropped() {
        let mut dedup = Deduplicator::default();
        assert!([5, 4, 4].iter().all(|seq| deliver(&mut dedup, "a", *seq, at(10), NOW)));
    }

    #[test]
    fn a_later_quote_of_a_feed_with_its_own_numbers_is_new() {
        let mut dedup = Deduplicator::default();
        assert!(deliver(&mut dedup, "a", 1_000_000, at(10), NOW) && deliver(&mut dedup, "b", 1_000_000, None, NOW));
        dedup.switched(NOW);
        assert!(deliver(&mut dedup, "a", 1, at(11), NOW));
        assert!(!deliver(&mut dedup, "b", 1, None, NOW));
        assert!(deliver(&mut dedup, "b", 2, None, NOW + OVERLAP));
    }
}
