//! Computes the wait before a reconnect.

use std::time::Duration;

/// The maximum wait before the first reconnect: 100 ms.
pub const BASE: Duration = Duration::from_millis(100);
/// The maximum wait before any reconnect: 30 s. A recovered feed is noticed after this time at the latest.
pub const CAP: Duration = Duration::from_secs(30);
/// The time for which a connection must deliver data to reset the back-off: 30 s.
pub const HEALTHY: Duration = Duration::from_secs(30);

/// Exponential back-off with full jitter: each wait is uniform between zero and a limit that doubles.
///
/// Full jitter distributes the reconnects of many clients most evenly (Brooker, "Exponential Backoff And Jitter",
/// 2015).
///
/// ```
/// use candle_feed::backoff::{BASE, Backoff};
/// use std::time::Duration;
///
/// let mut backoff = Backoff::new();
/// assert_eq!(backoff.after(Duration::ZERO, 0), Duration::ZERO);
/// assert_eq!(backoff.after(Duration::ZERO, 1 << 63), BASE);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    /// The number of connections lost or failed since the last healthy one.
    losses: u32,
}

impl Backoff {
    /// Creates a back-off that has counted no losses.
    pub const fn new() -> Self {
        Self { losses: 0 }
    }

    /// Returns the wait after the loss of a connection.
    ///
    /// `healthy` is the time for which the connection delivered data, or zero if the connection was never open.
    /// `random` must be uniform over all 64-bit values.
    #[must_use = "the caller has to wait"]
    pub fn after(&mut self, healthy: Duration, random: u64) -> Duration {
        if healthy >= HEALTHY {
            self.losses = 0;
        }
        let ceiling = BASE.saturating_mul(1_u32.checked_shl(self.losses).unwrap_or(u32::MAX)).min(CAP);
        self.losses = self.losses.saturating_add(1);
        fraction(ceiling, random)
    }
}

/// Returns `ceiling * random / 2^64`.
fn fraction(ceiling: Duration, random: u64) -> Duration {
    let nanos = (ceiling.as_nanos() * u128::from(random)) >> 64;
    // The result is below the ceiling, and CAP in nanoseconds is far below 2^64.
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
    fn only_thirty_seconds_of_data_reset_the_back_off() {
        let mut backoff = Backoff::new();
        for _ in 0..5 {
            let _ = backoff.after(Duration::ZERO, HALF);
        }
        assert_eq!(backoff.after(HEALTHY.saturating_sub(Duration::from_nanos(1)), HALF), Duration::from_millis(1600));
        assert_eq!(backoff.after(HEALTHY, HALF), BASE / 2);
        assert_eq!(backoff.after(Duration::ZERO, HALF), BASE);
    }
}
