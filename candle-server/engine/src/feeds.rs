//! The feeds of a server. The feed threads write their health and coverage, and the HTTP threads read both.
//!
//! Coverage is the part of each minute for which the active feed was up. A gap is a period in which the active feed did
//! not deliver quotes.

pub mod failover;
pub mod health;
pub mod last_heard;
pub mod rate;
mod report;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use candle_core::{CoverageRing, CoverageWindow, Timestamp};
use parking_lot::{Mutex, RwLock};
use prometheus_client::metrics::histogram::Histogram;

pub use report::{FeedReport, Report};

use self::failover::{Delivery, Failover, FailoverConfig};
use self::health::{Health, SilenceTimeout};
use self::last_heard::LastHeard;
use crate::clock::{ClockMode, Reading};

/// The bucket limits of the lag histogram, in seconds. They range from a fast network's delay to a useless price's age.
const LAG_BUCKETS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 30.0, 300.0];

/// The time after a connect within which a feed announces its whole catalogue (all of its instruments): 10 s.
pub const CATALOGUE_REPLAY_LIMIT: Duration = Duration::from_secs(10);

/// The feeds of one server: their names, health, failover state and coverage.
///
/// Readers of candles wait for the feed threads only when delivery starts or stops.
///
/// ```
/// use candle_engine::clock::ClockMode;
/// use candle_engine::feeds::Feeds;
///
/// let feeds = Feeds::unmonitored(ClockMode::Feed);
/// assert!(!feeds.is_delivering());
/// ```
#[derive(Debug)]
pub struct Feeds {
    /// The addresses of the feeds without secrets. All names differ.
    names: Box<[String]>,
    monitor: Mutex<Monitor>,
    coverage: RwLock<CoverageRing>,
    lags: Histogram,
    /// The number of quotes that were dropped because the previous feed had delivered them.
    repeated: AtomicU64,
    coverage_source: CoverageSource,
}

/// The source that determines the coverage.
#[derive(Debug)]
enum CoverageSource {
    /// The failover state of this server's feeds.
    Failover,
    /// A replicated log, with a flag that is true while the log reports delivery.
    Log(AtomicBool),
}

#[derive(Debug)]
struct Monitor {
    failover: Failover,
    /// The receive times of each feed, with one entry per socket of its current or last connection.
    last_heard: Box<[Vec<Arc<LastHeard>>]>,
}

impl Feeds {
    /// Creates feeds from pairs of a name and a silence timeout, in order of preference.
    ///
    /// Addresses that differ only in their secrets have equal names. A repeated name gets its position as a suffix, for
    /// example `#2`.
    ///
    /// # Panics
    /// Panics if there is no feed.
    pub fn new(
        feeds: impl IntoIterator<Item = (String, SilenceTimeout)>,
        mode: ClockMode,
        config: FailoverConfig,
    ) -> Self {
        let (names, timeouts): (Vec<_>, Vec<_>) = feeds.into_iter().unzip();
        let last_heard = names.iter().map(|_| Vec::new()).collect();
        let unique = |(index, name): (usize, &String)| {
            if names[..index].contains(name) { format!("{name}#{}", index + 1) } else { name.clone() }
        };
        Self {
            names: names.iter().enumerate().map(unique).collect(),
            monitor: Mutex::new(Monitor { failover: Failover::new(timeouts, mode, config), last_heard }),
            coverage: RwLock::default(),
            lags: Histogram::new(LAG_BUCKETS),
            repeated: AtomicU64::new(0),
            coverage_source: CoverageSource::Failover,
        }
    }

    /// Creates one feed without failover and silence timeout, for an engine that the caller writes to.
    pub fn unmonitored(mode: ClockMode) -> Self {
        let config = FailoverConfig { fail_over_after: Duration::MAX, fail_back_after: Duration::MAX };
        Self::new([("none:".to_owned(), SilenceTimeout::Never)], mode, config)
    }

    /// Makes the feeds use the coverage that a replicated log reports, and returns the feeds.
    #[must_use]
    pub fn with_log_coverage(self) -> Self {
        Self { coverage_source: CoverageSource::Log(AtomicBool::new(false)), ..self }
    }

    /// Sets the coverage that an earlier process recorded, and returns the feeds.
    #[must_use]
    pub fn with_coverage(self, coverage: CoverageRing) -> Self {
        Self { coverage: RwLock::new(coverage), ..self }
    }

    /// Returns true if a replicated log reports the coverage.
    pub const fn has_log_coverage(&self) -> bool {
        matches!(self.coverage_source, CoverageSource::Log(_))
    }

    /// Sets the coverage and the state of delivery that the replicated log reports.
    pub fn set_log_coverage(&self, coverage: CoverageRing, is_delivering: bool) {
        *self.coverage.write() = coverage;
        self.set_log_delivering(is_delivering);
    }

    /// Marks the feeds as not delivering, because nothing is received from the replicated log.
    pub fn log_is_silent(&self) {
        self.set_log_delivering(false);
    }

    fn set_log_delivering(&self, is_delivering: bool) {
        if let CoverageSource::Log(delivering) = &self.coverage_source {
            delivering.store(is_delivering, Ordering::Relaxed);
        }
    }

    /// Applies an event to the failover state, and updates the coverage if delivery started or stopped.
    pub fn update(&self, event: impl FnOnce(&mut Failover) -> Option<Delivery>) {
        self.update_monitor(|monitor| event(&mut monitor.failover));
    }

    fn update_monitor(&self, event: impl FnOnce(&mut Monitor) -> Option<Delivery>) {
        let mut monitor = self.monitor.lock();
        let Some(delivery) = event(&mut monitor) else { return };
        if self.has_log_coverage() {
            return;
        }
        // The monitor stays locked, so that changes of coverage have the same order as their events.
        let mut coverage = self.coverage.write();
        match delivery {
            Delivery::Started(at) => coverage.up(at),
            Delivery::Stopped(at) => coverage.down(at),
        }
    }

    /// Calls `read` with the failover state, and returns the result of `read`.
    pub fn inspect<T>(&self, read: impl FnOnce(&Failover) -> T) -> T {
        read(&self.monitor.lock().failover)
    }

    /// Records that the feed is connected, with one [`LastHeard`] for each socket.
    pub fn opened(&self, feed: usize, last_heard: Vec<Arc<LastHeard>>, at: Reading) {
        self.update_monitor(|monitor| {
            monitor.last_heard[feed] = last_heard;
            monitor.failover.opened(feed, at)
        });
    }

    /// Records accepted quotes of the active feed. `newest` is the newest timestamp of these quotes, if any has one.
    pub fn quoted(&self, quotes: u64, newest: Option<Timestamp>, at: Reading) {
        if quotes == 0 {
            return;
        }
        let lag = newest.map(|newest| lag(at.now.as_micros().saturating_sub(newest.as_micros())));
        if let Some(lag) = lag {
            self.lags.observe(lag.as_secs_f64());
        }
        self.update(|failover| failover.quoted(failover.active(), quotes, lag, at));
    }

    /// Clears gaps and coverage. The caller has cleared all candles, because the clock was set back.
    pub fn clear_coverage(&self) {
        let mut monitor = self.monitor.lock();
        monitor.failover.clear_gaps();
        *self.coverage.write() = CoverageRing::default();
    }

    /// Returns the name of a feed.
    pub fn name(&self, feed: usize) -> &str {
        &self.names[feed]
    }

    /// Returns the index of the feed with this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Returns the coverage of each minute in the window at `now`. Reads can go back as far as this window.
    pub fn coverage(&self, now: Timestamp) -> CoverageWindow {
        self.coverage.read().window(now)
    }

    /// Returns a copy of the whole coverage ring.
    pub fn coverage_ring(&self) -> CoverageRing {
        self.coverage.read().clone()
    }

    /// Returns true if the active feed is known to deliver quotes.
    pub fn is_delivering(&self) -> bool {
        match &self.coverage_source {
            CoverageSource::Failover => self.coverage.read().is_up(),
            CoverageSource::Log(delivering) => delivering.load(Ordering::Relaxed),
        }
    }

    /// Returns the report that `GET /feed` serves.
    ///
    /// If the report shows a silence, the coverage of candles that are read afterwards shows the silence too.
    pub fn report(&self, at: Reading) -> Report {
        self.update(|failover| failover.refresh(at));
        let monitor = self.monitor.lock();
        Report {
            state: monitor.failover.state(at.elapsed),
            as_of: at.now,
            feeds: self.feed_reports_of(&monitor, at.elapsed),
            gaps: monitor.failover.gaps(at.now).copied().collect(),
            repeated: self.repeated(),
        }
    }

    /// Returns the report of each feed, in order of preference.
    pub fn feed_reports(&self, elapsed: Duration) -> Vec<FeedReport> {
        self.feed_reports_of(&self.monitor.lock(), elapsed)
    }

    fn feed_reports_of(&self, monitor: &Monitor, elapsed: Duration) -> Vec<FeedReport> {
        let failover = &monitor.failover;
        let report = |(index, health): (usize, &Health)| FeedReport {
            url: self.names[index].clone(),
            active: index == failover.active(),
            state: health.state(elapsed),
            last_message_age: monitor.last_heard[index].iter().map(|last_heard| last_heard.age()).max(),
            last_quote_age: health.quote_age(elapsed),
            lag: health.lag(),
            quotes_per_second: health.quotes_per_second(),
            silence_timeout: health.silence_timeout(),
            connects: health.connects(),
            losses: health.losses().clone(),
        };
        failover.feeds().iter().enumerate().map(report).collect()
    }

    /// Counts a quote dropped because the previous feed had delivered it.
    pub fn count_repeated(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of quotes dropped because the previous feed had delivered them.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Returns the histogram of lags, in seconds. A lag is the age of the newest quote of a batch on arrival.
    pub const fn lags(&self) -> &Histogram {
        &self.lags
    }
}

/// Converts a lag from microseconds to a duration. A negative lag becomes zero, because two clocks differ a little.
fn lag(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::health::State;

    const CONFIG: FailoverConfig = FailoverConfig { fail_over_after: Duration::MAX, fail_back_after: Duration::MAX };

    #[test]
    fn a_silence_that_was_reported_is_not_covered_in_later_reads() {
        let timeout = SilenceTimeout::Fixed(Duration::from_secs(2));
        let feeds = Feeds::new([("ws://h/".to_owned(), timeout)], ClockMode::Wall, CONFIG);
        let at = |seconds: i64| Reading {
            elapsed: Duration::from_secs(seconds.unsigned_abs()),
            now: Timestamp::from_seconds(seconds).unwrap(),
        };
        feeds.opened(0, Vec::new(), at(0));
        feeds.quoted(1, None, at(118));
        assert_eq!(feeds.report(at(121)).state, State::Silent);
        let minute = at(121).now.minute();
        assert_eq!(feeds.coverage(at(121).now).of(minute), candle_core::Coverage::None);
    }

    #[test]
    fn feeds_that_differ_in_their_secrets_only_have_different_names() {
        let feeds = ["ws://h/", "ws://g/", "ws://h/"].map(|name| (name.to_owned(), SilenceTimeout::FromRate));
        let feeds = Feeds::new(feeds, ClockMode::Wall, CONFIG);
        assert_eq!([0, 1, 2].map(|feed| feeds.name(feed)), ["ws://h/", "ws://g/", "ws://h/#3"]);
        assert_eq!([0, 1, 2].map(|feed| feeds.index_of(feeds.name(feed))), [0, 1, 2].map(Some));
    }
}
