//! A schedule that visits every stripe once per round. A stripe is a part of the aggregator behind one lock.

use std::time::Duration;

/// Spreads the stripes of an aggregator evenly over rounds of a fixed length.
///
/// The store and the cluster both replace old writes with stripe snapshots. Writing one stripe at a time makes the load
/// more even than writing all stripes together. Times are durations since the start of the process.
///
/// ```
/// use std::time::Duration;
///
/// use candle_engine::stripe_rounds::StripeRounds;
///
/// let mut rounds = StripeRounds::new(64, 0, Duration::ZERO, Duration::from_mins(1));
/// assert_eq!(rounds.next_due(Duration::from_millis(937)), None);
/// assert_eq!(rounds.next_due(Duration::from_millis(938)), Some(0));
/// assert_eq!(rounds.next_due(Duration::from_millis(938)), None);
/// ```
#[derive(Debug)]
pub struct StripeRounds {
    stripes: u32,
    /// The stripe to visit next.
    next: u32,
    started: Duration,
    length: Duration,
    /// The number of stripes visited since `started`.
    visited: u64,
    /// The number of visits since `started` that were cancelled, because they were more than a round late.
    cancelled: u64,
}

impl StripeRounds {
    /// Creates a schedule. Its first round starts at `now` with the stripe `first`.
    pub const fn new(stripes: u32, first: u32, now: Duration, length: Duration) -> Self {
        Self { stripes, next: first, started: now, length, visited: 0, cancelled: 0 }
    }

    /// Returns the next stripe if it is due at `now`.
    ///
    /// In a round of n stripes, the k-th stripe is due at k/n of the round's length. The next round follows
    /// immediately. If the caller is late by more than one round, only one round is due. If the length is zero, all
    /// stripes are due immediately, and no other round follows.
    pub fn next_due(&mut self, now: Duration) -> Option<u32> {
        let stripes = u64::from(self.stripes);
        let due = match self.length.as_micros() {
            0 => stripes,
            length => {
                let elapsed = now.saturating_sub(self.started).as_micros();
                u64::try_from(elapsed * u128::from(stripes) / length).unwrap_or(u64::MAX)
            }
        };
        let owed = due.saturating_sub(self.visited + self.cancelled);
        self.cancelled += owed.saturating_sub(stripes);
        if owed == 0 {
            return None;
        }
        let stripe = self.next;
        self.next = (stripe + 1) % self.stripes;
        self.visited += 1;
        Some(stripe)
    }

    /// Returns the time at which the current sequence of rounds started.
    pub const fn started(&self) -> Duration {
        self.started
    }

    /// Returns the number of stripes visited since [`started`](Self::started).
    pub const fn visited(&self) -> u64 {
        self.visited
    }

    /// Starts a round of a new length at `now` with the next stripe. Visits that are still due are cancelled.
    pub const fn restart(&mut self, now: Duration, length: Duration) {
        (self.started, self.length, self.visited, self.cancelled) = (now, length, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_mins(1);

    /// Returns all stripes that are due at `now`.
    fn due(rounds: &mut StripeRounds, now: Duration) -> Vec<u32> {
        std::iter::from_fn(|| rounds.next_due(now)).collect()
    }

    #[test]
    fn stripes_are_due_in_order_at_even_intervals() {
        let start = Duration::from_secs(5);
        let mut rounds = StripeRounds::new(4, 2, start, ROUND);
        for (seconds, stripes) in
            [(0, &[][..]), (14, &[]), (15, &[2]), (29, &[]), (45, &[3, 0]), (60, &[1]), (75, &[2])]
        {
            assert_eq!(due(&mut rounds, start + Duration::from_secs(seconds)), stripes, "after {seconds} s");
        }
    }

    #[test]
    fn every_stripe_is_visited_once_per_round_at_any_pace() {
        for pace in [Duration::from_millis(100), Duration::from_secs(7), ROUND] {
            let mut rounds = StripeRounds::new(64, 9, Duration::ZERO, ROUND);
            let mut visits = [0; 64];
            let mut now = Duration::ZERO;
            while now < ROUND * 7 {
                now += pace;
                due(&mut rounds, now).into_iter().for_each(|stripe| visits[stripe as usize] += 1);
            }
            // The last call may be late by one interval.
            assert!(visits.iter().all(|count| (7..=8).contains(count)), "{pace:?}: {visits:?}");
        }
    }

    #[test]
    fn a_long_pause_makes_one_round_due_and_not_several() {
        let mut rounds = StripeRounds::new(4, 0, Duration::ZERO, ROUND);
        assert_eq!(due(&mut rounds, ROUND * 10), [0, 1, 2, 3]);
        assert_eq!(due(&mut rounds, ROUND * 10), [0; 0]);
        assert_eq!(due(&mut rounds, ROUND * 10 + ROUND / 4), [0]);
    }

    #[test]
    fn a_round_without_length_is_due_at_once_and_only_once() {
        let mut rounds = StripeRounds::new(3, 1, ROUND, Duration::ZERO);
        assert_eq!(due(&mut rounds, ROUND), [1, 2, 0]);
        assert_eq!(due(&mut rounds, ROUND * 2), [0; 0]);
    }

    #[test]
    fn a_restart_cancels_what_is_due_and_continues_with_the_next_stripe() {
        let mut rounds = StripeRounds::new(4, 0, Duration::ZERO, ROUND);
        assert_eq!(rounds.next_due(ROUND), Some(0));
        assert_eq!((rounds.started(), rounds.visited()), (Duration::ZERO, 1));
        rounds.restart(ROUND, ROUND * 2);
        assert_eq!((rounds.started(), rounds.visited()), (ROUND, 0));
        assert_eq!(due(&mut rounds, ROUND * 2), [1, 2]);
    }
}
