//! How long to wait before a lost feed is tried again.

use std::time::Duration;

/// The longest wait before the first attempt.
pub const BASE: Duration = Duration::from_millis(100);
/// The longest wait ever: what a feed that comes back may go unnoticed for.
pub const CAP: Duration = Duration::from_secs(30);
/// How long a connection must have brought data before its loss counts as the first one again.
pub const HEALTHY: Duration = Duration::from_secs(30);

/// Exponential back-off with full jitter: each wait is uniform between zero and a ceiling that doubles.
///
/// Full jitter spreads the clients of a restarted service best (Brooker, "Exponential Backoff And Jitter", 2015).
///
/// ```
/// use candle_server::feed::backoff::{BASE, Backoff};
/// use std::time::Duration;
///
/// let mut backoff = Backoff::new();
/// assert_eq!(backoff.after(Duration::ZERO, 0), Duration::ZERO);
/// assert_eq!(backoff.after(Duration::ZERO, 1 << 63), BASE);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    /// Losses since the last healthy connection.
    losses: u32,
}

impl Backoff {
    /// No loss so far.
    pub const fn new() -> Self {
        Self { losses: 0 }
    }

    /// The wait after the loss of a connection that brought data for `healthy` (zero if it never came to be), with
    /// `random` uniform over all 64-bit values.
    #[must_use = "the wait is the caller's to keep"]
    pub fn after(&mut self, healthy: Duration, random: u64) -> Duration {
        if healthy >= HEALTHY {
            self.losses = 0;
        }
        let ceiling = BASE.saturating_mul(1_u32.checked_shl(self.losses).unwrap_or(u32::MAX)).min(CAP);
        self.losses = self.losses.saturating_add(1);
        fraction(ceiling, random)
    }
}

/// `ceiling` times `random / 2^64`.
fn fraction(ceiling: Duration, random: u64) -> Duration {
    let nanos = (ceiling.as_nanos() * u128::from(random)) >> 64;
    // Below the ceiling, and [`CAP`] in nanoseconds is far below 2^64.
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: u64 = 1 << 63;

    #[test]
    fn ceilings_double_up_to_the_cap() {
        let mut backoff = Backoff::new();
        let waits: Vec<u128> = (0..12).map(|_| 2 * backoff.after(Duration::ZERO, HALF).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000]);
    }

    #[test]
    fn a_thousand_losses_stay_at_the_cap() {
        let mut backoff = Backoff::new();
        for _ in 0..1000 {
            assert!(backoff.after(Duration::ZERO, u64::MAX) < CAP);
        }
        assert_eq!(backoff.after(Duration::ZERO, HALF), CAP / 2);
    }

    #[test]
    fn jitter_covers_the_whole_range() {
        assert_eq!(Backoff::new().after(Duration::ZERO, 0), Duration::ZERO);
        let longest = Backoff::new().after(Duration::ZERO, u64::MAX);
        assert_eq!(longest + Duration::from_nanos(1), BASE);
    }

    #[test]
    fn only_thirty_seconds_of_data_start_it_afresh() {
        let mut backoff = Backoff::new();
        for _ in 0..5 {
            let _ = backoff.after(Duration::ZERO, HALF);
        }
        assert_eq!(backoff.after(HEALTHY.saturating_sub(Duration::from_nanos(1)), HALF), Duration::from_millis(1600));
        assert_eq!(backoff.after(HEALTHY, HALF), BASE / 2);
        assert_eq!(backoff.after(Duration::ZERO, HALF), BASE);
    }
}
