//! How fast a feed flows, and for how long it may bring nothing before that is news.

use std::time::Duration;

/// The rate that a feed is held to is its mean over about this long: a busy hour's end is learnt within minutes, and an
/// outage does not become the usual state while it is being noticed.
const BASELINE: Duration = Duration::from_mins(5);
/// How long a feed must have been watched before its rate is known.
const SETTLED: Duration = Duration::from_secs(3);
/// What a feed whose rate is not known yet may take for a quote.
pub const FIRST_QUOTE: Duration = Duration::from_secs(15);
/// The shortest silence_timeout: longer than a lost packet, its repetition and a long pause of either side.
pub const MIN_SILENCE_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest silence_timeout: as long as the window, beyond which no reader sees what was missed.
pub const MAX_SILENCE_TIMEOUT: Duration = Duration::from_mins(30);
/// A feed with more quotes a second than this is busy: its pauses are no chance.
const BUSY: f64 = 100.0;
/// How many of its usual gaps a busy feed may miss: it may send its quotes in bursts at regular times.
const BUSY_GAPS: f64 = 4.0;
/// How many of its usual gaps any other feed may miss: where quotes come by chance, one gap in 10^10 is this long.
const CHANCE_GAPS: f64 = 25.0;
/// A feed that flows at less than this part of its usual rate is slow.
const SLOW: f64 = 0.1;

/// The flow of one feed's quotes while it is connected. Times are those since the server's start.
///
/// An arrival is a run of frames that were read at once; gaps are counted between arrivals, as a feed that sends a
/// thousand quotes in one array every five seconds does not fail in between.
///
/// ```
/// use candle_server::feed::rate::{FIRST_QUOTE, RateEstimator};
/// use std::time::Duration;
///
/// let mut flow = RateEstimator::default();
/// assert_eq!(flow.silence_timeout(), FIRST_QUOTE);
/// for tenth in 0..100 {
///     flow.arrived(Duration::from_millis(100 * tenth), 20);
/// }
/// assert_eq!(flow.silence_timeout(), Duration::from_secs(2));
/// assert_eq!(flow.per_second().round(), 202.0); // 2000 quotes in 9.9 seconds
/// ```
#[derive(Clone, Debug, Default)]
pub struct RateEstimator {
    /// Up to when the means below are counted.
    counted: Option<Duration>,
    quotes: Mean,
    arrivals: Mean,
    /// The quotes of the last moments, over a third of the silence_timeout.
    recent: Mean,
    watched: Duration,
    /// Since when much less has come than usual, if the last arrival ended such a time.
    slow_since: Option<Duration>,
}

impl RateEstimator {
    /// Goes on after a time that is not to be counted, such as one without a connection.
    pub fn resume(&mut self, now: Duration) {
        self.counted = Some(now);
        self.slow_since = None;
    }

    /// Counts an arrival of `quotes` quotes.
    pub fn arrived(&mut self, now: Duration, quotes: u64) {
        let since = self.counted.map_or(Duration::ZERO, |counted| now.saturating_sub(counted));
        let silence_timeout = self.silence_timeout();
        self.recent.add(0.0, since, silence_timeout / 3);
        let usual = self.quotes.per_second();
        let is_no_chance = usual * silence_timeout.as_secs_f64() >= CHANCE_GAPS;
        let is_slow = self.is_settled() && is_no_chance && self.recent.per_second() < SLOW * usual;
        // It slowed down some time within its silence_timeout, or when the arrival before was the last one.
        let since_when = now.saturating_sub(since.max(silence_timeout));
        self.slow_since = is_slow.then(|| self.slow_since.unwrap_or(since_when));
        self.counted = Some(now);
        self.watched = (self.watched + since).min(BASELINE);
        self.quotes.add(quotes as f64, since, BASELINE);
        self.arrivals.add(1.0, since, BASELINE);
        self.recent.add(quotes as f64, Duration::ZERO, silence_timeout / 3);
    }

    /// Quotes a second, the mean of the last minutes up to the last arrival; 0 while nothing is known.
    pub fn per_second(&self) -> f64 {
        if self.is_settled() { self.quotes.per_second() } else { 0.0 }
    }

    /// For how long the feed may bring nothing.
    pub fn silence_timeout(&self) -> Duration {
        if !self.is_settled() {
            return FIRST_QUOTE;
        }
        let gaps = if self.quotes.per_second() > BUSY { BUSY_GAPS } else { CHANCE_GAPS };
        let seconds = gaps / self.arrivals.per_second();
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(MAX_SILENCE_TIMEOUT)
            .clamp(MIN_SILENCE_TIMEOUT, MAX_SILENCE_TIMEOUT)
    }

    /// Whether much less came before the last arrival than usual. Never of a feed that brings so little that this may be
    /// chance; and where nothing comes at all, that is another matter.
    pub const fn is_slow(&self) -> bool {
        self.slow_since.is_some()
    }

    /// Since when that is so, at the earliest.
    pub const fn slow_since(&self) -> Option<Duration> {
        self.slow_since
    }

    fn is_settled(&self) -> bool {
        self.watched >= SETTLED
    }
}

/// An exponentially weighted mean of events a second, right from the first one: the plain mean at first.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    /// Adds `events` that came `since` after the last ones, where what is older than `memory` counts little.
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

    /// A feed that brought `quotes` every `gap` seconds for `length` seconds.
    fn flow(quotes: u64, gap: f64, length: f64) -> RateEstimator {
        let mut flow = RateEstimator::default();
        let mut now = 0.0;
        while now <= length {
            flow.arrived(seconds(now), quotes);
            now += gap;
        }
        flow
    }

    #[test]
    fn a_busy_feed_is_missed_after_two_seconds_and_another_after_its_own_gaps() {
        assert_eq!(flow(1, 0.005, 60.0).silence_timeout(), MIN_SILENCE_TIMEOUT);
        assert_eq!(flow(1, 0.05, 60.0).silence_timeout(), MIN_SILENCE_TIMEOUT);
        let once_a_second = flow(1, 1.0, 600.0).silence_timeout();
        assert!((24.0..26.0).contains(&once_a_second.as_secs_f64()), "{once_a_second:?}");
        assert_eq!(flow(1, 90.0, 10_000.0).silence_timeout(), MAX_SILENCE_TIMEOUT);
    }

    #[test]
    fn bursts_at_regular_times_are_no_silence() {
        let bursts = flow(5000, 5.0, 600.0);
        assert!((19.0..21.0).contains(&bursts.silence_timeout().as_secs_f64()), "{:?}", bursts.silence_timeout());
        assert!(!bursts.is_slow());
    }

    #[test]
    fn a_trickle_is_dated_back_to_the_last_of_the_stream_before_it() {
        let mut flow = RateEstimator::default();
        (0..1000).for_each(|number| flow.arrived(seconds(f64::from(number) * 0.01), 1));
        flow.arrived(seconds(60.0), 1);
        assert_eq!(flow.slow_since(), Some(seconds(9.99)));
        flow.arrived(seconds(70.0), 1);
        assert_eq!(flow.slow_since(), Some(seconds(9.99)), "it has been slow all the time");
    }

    #[test]
    fn a_trickle_in_place_of_a_stream_is_slow_within_the_patience_and_usual_in_the_end() {
        let mut flow = flow(1, 0.01, 60.0);
        let mut noticed = None;
        for step in 1..2000 {
            let now = 60.0 + 0.5 * f64::from(step);
            flow.arrived(seconds(now), 1);
            if flow.is_slow() {
                noticed = noticed.or(Some(now));
            }
        }
        assert!(noticed.is_some_and(|at| at <= 62.0), "{noticed:?}");
        assert!(!flow.is_slow());
    }

    #[test]
    fn time_without_a_connection_is_not_counted() {
        let mut flow = flow(1, 0.01, 60.0);
        let before = flow.per_second();
        flow.resume(seconds(4000.0));
        flow.arrived(seconds(4000.01), 1);
        assert!((flow.per_second() - before).abs() < 1.0, "{} is not {before}", flow.per_second());
    }

    #[test]
    fn chance_does_not_raise_an_alarm_in_a_day() {
        for (seed, rate) in [(1, 0.2), (2, 2.0), (3, 20.0)] {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut flow = RateEstimator::default();
            let mut now = 0.0;
            while now < (86_400.0_f64).min(200_000.0 / rate) {
                let gap = -(1.0 - random.f64()).ln() / rate;
                now += gap;
                let watched = flow.is_settled();
                assert!(
                    !watched || now < 1000.0 || seconds(gap) < flow.silence_timeout(),
                    "a gap of {gap} s at {rate}/s"
                );
                flow.arrived(seconds(now), 1);
                assert!(now < 1000.0 || !flow.is_slow(), "slow at {rate}/s after {now} s");
            }
        }
    }
}
