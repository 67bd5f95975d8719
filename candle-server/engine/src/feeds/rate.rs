//! Estimates the rate of a feed's quotes, and derives the silence timeout from the rate.
//!
//! An arrival is a batch of frames that is read at once. Pauses are measured between arrivals. So a feed that sends a
//! thousand quotes in one array every five seconds is not silent between two arrays.

use std::time::Duration;

/// The period over which the mean rate is computed: 5 min.
///
/// The mean adapts to a quieter market within minutes. An outage is noticed before the mean has adapted to the outage.
const BASELINE: Duration = Duration::from_mins(5);
/// The observation time after which the rate counts as known: 3 s.
const SETTLED: Duration = Duration::from_secs(3);
/// The silence timeout while the rate of a feed is not known: 15 s.
pub const FIRST_QUOTE: Duration = Duration::from_secs(15);
/// The shortest silence timeout: 2 s. A retransmitted packet plus a long pause of either side takes less time.
pub const MIN_SILENCE_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest silence timeout: 30 min, the length of the window. After this time, no read returns the missed minutes.
pub const MAX_SILENCE_TIMEOUT: Duration = Duration::from_mins(30);
/// The number of quotes per second above which a feed is busy: 100. A busy feed does not pause by chance.
const BUSY: f64 = 100.0;
/// The silence timeout of a busy feed, as a multiple of the mean time between arrivals: 4. Such a feed may send its
/// quotes in regular bursts.
const BUSY_GAPS: f64 = 4.0;
/// The silence timeout of other feeds, as a multiple of the mean time between arrivals: 25. At random arrivals, one
/// pause in 10^10 is this long.
const RANDOM_GAPS: f64 = 25.0;
/// The fraction of its usual rate below which a feed is slow: a tenth.
const SLOW: f64 = 0.1;

/// Estimates the rate of quotes while a feed is connected, and derives the silence timeout.
///
/// All times are counted from the server's start.
///
/// ```
/// use std::time::Duration;
///
/// use candle_engine::feeds::rate::{FIRST_QUOTE, RateEstimator};
///
/// let mut rate = RateEstimator::default();
/// assert_eq!(rate.silence_timeout(), FIRST_QUOTE);
/// for tenth in 0..100 {
///     rate.arrived(Duration::from_millis(100 * tenth), 20);
/// }
/// assert_eq!(rate.silence_timeout(), Duration::from_secs(2));
/// assert_eq!(rate.per_second().round(), 202.0); // 2000 quotes in 9.9 seconds
/// ```
#[derive(Clone, Debug, Default)]
pub struct RateEstimator {
    /// The end of the period over which the means are computed.
    counted_until: Option<Duration>,
    quotes: Mean,
    arrivals: Mean,
    /// The mean rate of quotes over a third of the silence timeout.
    recent: Mean,
    observed: Duration,
    /// The time since which the rate is low; `None` if the rate was usual before the last arrival.
    slow_since: Option<Duration>,
}

impl RateEstimator {
    /// Continues the estimate at `now`. The time since the last arrival is not counted, because the feed was not
    /// connected.
    pub fn resume(&mut self, now: Duration) {
        self.counted_until = Some(now);
        self.slow_since = None;
    }

    /// Records an arrival with `quotes` quotes.
    pub fn arrived(&mut self, now: Duration, quotes: u64) {
        let since = self.counted_until.map_or(Duration::ZERO, |until| now.saturating_sub(until));
        let silence_timeout = self.silence_timeout();
        self.recent.add(0.0, since, silence_timeout / 3);
        let usual = self.quotes.per_second();
        let is_not_chance = usual * silence_timeout.as_secs_f64() >= RANDOM_GAPS;
        let is_slow = self.is_settled() && is_not_chance && self.recent.per_second() < SLOW * usual;
        // The rate fell within the last silence timeout, or at the previous arrival if that was earlier.
        let fell_at = now.saturating_sub(since.max(silence_timeout));
        self.slow_since = is_slow.then(|| self.slow_since.unwrap_or(fell_at));
        self.counted_until = Some(now);
        self.observed = (self.observed + since).min(BASELINE);
        self.quotes.add(quotes as f64, since, BASELINE);
        self.arrivals.add(1.0, since, BASELINE);
        self.recent.add(quotes as f64, Duration::ZERO, silence_timeout / 3);
    }

    /// Returns the mean number of quotes per second, over the minutes before the last arrival. Returns 0 while the rate
    /// is not known.
    pub fn per_second(&self) -> f64 {
        if self.is_settled() { self.quotes.per_second() } else { 0.0 }
    }

    /// Returns the time without quotes after which the feed is silent.
    pub fn silence_timeout(&self) -> Duration {
        if !self.is_settled() {
            return FIRST_QUOTE;
        }
        let gaps = if self.quotes.per_second() > BUSY { BUSY_GAPS } else { RANDOM_GAPS };
        let seconds = gaps / self.arrivals.per_second();
        let timeout = Duration::try_from_secs_f64(seconds).unwrap_or(MAX_SILENCE_TIMEOUT);
        timeout.clamp(MIN_SILENCE_TIMEOUT, MAX_SILENCE_TIMEOUT)
    }

    /// Returns true if the rate before the last arrival was below a tenth of the usual rate.
    ///
    /// A feed with few quotes is never slow, because its rate changes by chance. A feed without quotes is silent, not
    /// slow.
    pub const fn is_slow(&self) -> bool {
        self.slow_since.is_some()
    }

    /// Returns the earliest time since which the feed may have been slow.
    pub const fn slow_since(&self) -> Option<Duration> {
        self.slow_since
    }

    fn is_settled(&self) -> bool {
        self.observed >= SETTLED
    }
}

/// An exponentially weighted mean of events per second. The first values are the plain mean, so there is no warm-up.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    /// Adds `events` events, which arrived `since` after the previous events. Events older than `memory` have little
    /// weight.
    fn add(&mut self, events: f64, since: Duration, memory: Duration) {
        let decay = (-since.as_secs_f64() / memory.as_secs_f64()).exp();
        self.sum = self.sum * decay + events / memory.as_secs_f64();
        self.weight = 1.0 - (1.0 - self.weight) * decay;
    }

    fn per_second(&self) -> f64 {
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Returns an estimator that has recorded `quotes` quotes every `gap` seconds for `length` seconds.
    fn steady(quotes: u64, gap: f64, length: f64) -> RateEstimator {
        let mut rate = RateEstimator::default();
        let mut now = 0.0;
        while now <= length {
            rate.arrived(seconds(now), quotes);
            now += gap;
        }
        rate
    }

    #[test]
    fn a_busy_feed_times_out_after_two_seconds_and_a_sparse_one_after_its_own_gaps() {
        assert_eq!(steady(1, 0.005, 60.0).silence_timeout(), MIN_SILENCE_TIMEOUT);
        assert_eq!(steady(1, 0.05, 60.0).silence_timeout(), MIN_SILENCE_TIMEOUT);
        let once_a_second = steady(1, 1.0, 600.0).silence_timeout();
        assert!((24.0..26.0).contains(&once_a_second.as_secs_f64()), "{once_a_second:?}");
        assert_eq!(steady(1, 90.0, 10_000.0).silence_timeout(), MAX_SILENCE_TIMEOUT);
    }

    #[test]
    fn bursts_at_regular_times_are_not_silence() {
        let bursts = steady(5000, 5.0, 600.0);
        assert!((19.0..21.0).contains(&bursts.silence_timeout().as_secs_f64()), "{:?}", bursts.silence_timeout());
        assert!(!bursts.is_slow());
    }

    #[test]
    fn slow_since_is_the_last_arrival_before_the_rate_fell() {
        let mut rate = RateEstimator::default();
        (0..1000).for_each(|number| rate.arrived(seconds(f64::from(number) * 0.01), 1));
        rate.arrived(seconds(60.0), 1);
        assert_eq!(rate.slow_since(), Some(seconds(9.99)));
        rate.arrived(seconds(70.0), 1);
        assert_eq!(rate.slow_since(), Some(seconds(9.99)), "the feed has been slow all the time");
    }

    #[test]
    fn a_fallen_rate_is_slow_within_the_silence_timeout_and_usual_in_the_end() {
        let mut rate = steady(1, 0.01, 60.0);
        let mut noticed = None;
        for step in 1..2000 {
            let now = 60.0 + 0.5 * f64::from(step);
            rate.arrived(seconds(now), 1);
            if rate.is_slow() {
                noticed = noticed.or(Some(now));
            }
        }
        assert!(noticed.is_some_and(|at| at <= 62.0), "{noticed:?}");
        assert!(!rate.is_slow());
    }

    #[test]
    fn time_without_a_connection_is_not_counted() {
        let mut rate = steady(1, 0.01, 60.0);
        let before = rate.per_second();
        rate.resume(seconds(4000.0));
        rate.arrived(seconds(4000.01), 1);
        assert!((rate.per_second() - before).abs() < 1.0, "{} is not {before}", rate.per_second());
    }

    #[test]
    fn random_arrivals_cause_no_false_alarm_within_a_day() {
        for (seed, per_second) in [(1, 0.2), (2, 2.0), (3, 20.0)] {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut rate = RateEstimator::default();
            let mut now = 0.0;
            while now < (86_400.0_f64).min(200_000.0 / per_second) {
                let gap = -(1.0 - random.f64()).ln() / per_second;
                now += gap;
                let is_settled = rate.is_settled();
                assert!(
                    !is_settled || now < 1000.0 || seconds(gap) < rate.silence_timeout(),
                    "a gap of {gap} s at {per_second}/s"
                );
                rate.arrived(seconds(now), 1);
                assert!(now < 1000.0 || !rate.is_slow(), "slow at {per_second}/s after {now} s");
            }
        }
    }
}
