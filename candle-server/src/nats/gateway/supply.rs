//! What a gateway tells of its feed: whether it brings what it should, and which minutes it covered.

use candle_core::{CoverageRing, Timestamp};

/// Since when a feed with this coverage has been up without a break, on the candles' clock.
pub(super) fn up_since(feed: &CoverageRing) -> Option<Timestamp> {
    // What is closed at the beginning of time is closed where it was opened.
    let (since, _) = feed.to_parts(Timestamp::MIN);
    since.filter(|_| feed.is_up()).and_then(Timestamp::from_micros)
}

/// Brings what is `told` of coverage up to `now`, the last time having been at `before`.
///
/// The feed is not looked at all the time, and seldom while the broker stands still: if it is up, and since after `before`,
/// it was down meanwhile. Nothing is covered that came before `whole_since`.
pub(super) fn tell(
    told: &mut CoverageRing,
    before: Timestamp,
    now: Timestamp,
    feed: &CoverageRing,
    whole_since: Option<Timestamp>,
) {
    let Some(since) = up_since(feed).map(|since| since.max(whole_since.unwrap_or(since))) else {
        if told.is_up() {
            // Down since before that was known.
            let (since, _) = feed.to_parts(now);
            told.down(since.and_then(Timestamp::from_micros).unwrap_or(now));
        }
        return;
    };
    if since > before {
        told.down(before);
    }
    if since <= now {
        told.up(since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second).unwrap()
    }

    /// Seconds of each of the first five minutes that are told as covered, where the feed was up and down at these seconds
    /// in turn, and was looked at at those.
    fn told(turns: &[i64], looks: &[i64], whole_since: Option<i64>) -> [u32; 5] {
        let (mut told, mut before) = (CoverageRing::default(), at(0));
        for look in looks {
            let mut feed = CoverageRing::default();
            for (turn, second) in turns.iter().enumerate().filter(|(_, second)| *second <= look) {
                if turn % 2 == 0 { feed.up(at(*second)) } else { feed.down(at(*second)) }
            }
            tell(&mut told, before, at(*look), &feed, whole_since.filter(|since| since <= look).map(at));
            before = at(*look);
        }
        let (_, micros) = told.to_parts(before);
        [0, 1, 2, 3, 4].map(|minute: usize| micros[minute] / 1_000_000)
    }

    #[test]
    fn what_is_told_is_what_the_feed_was() {
        let looks: Vec<i64> = (0..=300).collect();
        assert_eq!(told(&[10], &looks, None), [50, 60, 60, 60, 60]);
        assert_eq!(told(&[10, 70, 130], &looks, None), [50, 10, 50, 60, 60]);
        assert_eq!(told(&[10, 70], &looks, None), [50, 10, 0, 0, 0]);
    }

    #[test]
    fn a_gap_that_began_and_ended_while_the_broker_stood_still_is_told() {
        assert_eq!(told(&[0, 70, 75], &[0, 65, 100, 300], None), [60, 5 + 45, 60, 60, 60]);
    }

    #[test]
    fn nothing_is_told_as_covered_of_what_was_lost_here() {
        assert_eq!(told(&[0], &[0, 65, 100, 300], Some(90)), [60, 5 + 30, 60, 60, 60]);
    }

    #[test]
    fn behind_a_backlog_nothing_is_covered_before_the_feed_came_up() {
        let (mut told, mut feed) = (CoverageRing::default(), CoverageRing::default());
        feed.up(at(0));
        tell(&mut told, at(0), at(30), &feed, None);
        feed.down(at(40));
        feed.up(at(50));
        // The messages that are sent now are of before that.
        tell(&mut told, at(30), at(45), &feed, None);
        assert_eq!(told.to_parts(at(45)).1[0], 30_000_000);
        tell(&mut told, at(45), at(60), &feed, None);
        assert_eq!(told.to_parts(at(60)).1[0], 40_000_000);
    }
}
