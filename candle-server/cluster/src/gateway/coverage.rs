//! Computes the coverage that a gateway publishes from the coverage of its feed.
//!
//! Coverage states for each minute how long the feed was up.

use candle_core::{CoverageRing, Timestamp};

/// Returns the time since which the feed has been up without interruption, on the clock of the candles.
///
/// Returns `None` if the feed is down.
pub(super) fn up_since(feed: &CoverageRing) -> Option<Timestamp> {
    // With the earliest possible end, `to_parts` returns the start of the current interval.
    let (since, _) = feed.to_parts(Timestamp::MIN);
    since.filter(|_| feed.is_up()).and_then(Timestamp::from_micros)
}

/// Advances the `published` coverage from the time of the last message to `now`.
///
/// The coverage of the feed is read only once for each message, so the feed may have gone down and up since the last
/// message. If the feed came up after `last`, there was such a gap. Times before `complete_since` are not covered.
pub(super) fn advance(
    published: &mut CoverageRing,
    last: Timestamp,
    now: Timestamp,
    feed: &CoverageRing,
    complete_since: Option<Timestamp>,
) {
    let Some(since) = up_since(feed).map(|since| since.max(complete_since.unwrap_or(since))) else {
        if published.is_up() {
            // The feed may have gone down before this call.
            let (since, _) = feed.to_parts(now);
            published.down(since.and_then(Timestamp::from_micros).unwrap_or(now));
        }
        return;
    };
    if since > last {
        published.down(last);
    }
    if since <= now {
        published.up(since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second).unwrap()
    }

    /// Returns the published covered seconds of each of the first five minutes.
    ///
    /// The feed alternately goes up and down at the times `turns`, and messages are published at the times `messages`.
    /// All times are in seconds.
    fn published(turns: &[i64], messages: &[i64], complete_since: Option<i64>) -> [u32; 5] {
        let (mut published, mut last) = (CoverageRing::default(), at(0));
        for message in messages {
            let mut feed = CoverageRing::default();
            for (turn, second) in turns.iter().enumerate().filter(|(_, second)| *second <= message) {
                if turn % 2 == 0 { feed.up(at(*second)) } else { feed.down(at(*second)) }
            }
            let complete_since = complete_since.filter(|since| since <= message).map(at);
            advance(&mut published, last, at(*message), &feed, complete_since);
            last = at(*message);
        }
        let (_, micros) = published.to_parts(last);
        [0, 1, 2, 3, 4].map(|minute: usize| micros[minute] / 1_000_000)
    }

    #[test]
    fn the_coverage_of_the_feed_is_published() {
        let messages: Vec<i64> = (0..=300).collect();
        assert_eq!(published(&[10], &messages, None), [50, 60, 60, 60, 60]);
        assert_eq!(published(&[10, 70, 130], &messages, None), [50, 10, 50, 60, 60]);
        assert_eq!(published(&[10, 70], &messages, None), [50, 10, 0, 0, 0]);
    }

    #[test]
    fn a_gap_between_two_messages_is_published() {
        assert_eq!(published(&[0, 70, 75], &[0, 65, 100, 300], None), [60, 5 + 45, 60, 60, 60]);
    }

    #[test]
    fn times_with_lost_quotes_are_not_covered() {
        assert_eq!(published(&[0], &[0, 65, 100, 300], Some(90)), [60, 5 + 30, 60, 60, 60]);
    }

    #[test]
    fn with_a_backlog_no_time_is_covered_before_the_feed_came_up() {
        let (mut published, mut feed) = (CoverageRing::default(), CoverageRing::default());
        feed.up(at(0));
        advance(&mut published, at(0), at(30), &feed, None);
        feed.down(at(40));
        feed.up(at(50));
        // The next message has a time before the feed reconnected.
        advance(&mut published, at(30), at(45), &feed, None);
        assert_eq!(published.to_parts(at(45)).1[0], 30_000_000);
        advance(&mut published, at(45), at(60), &feed, None);
        assert_eq!(published.to_parts(at(60)).1[0], 40_000_000);
    }
}
