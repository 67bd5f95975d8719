//! Limits how often a log line is repeated.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The default time between two lines of one [`ThrottledLog`]: 1 s. More lines could fill a disk.
const INTERVAL: Duration = Duration::from_secs(1);

/// A limit on the rate of log lines: by default, one line per second.
///
/// ```
/// use std::time::Duration;
///
/// use candle_engine::throttled_log::ThrottledLog;
///
/// let mut log = ThrottledLog::default();
/// assert_eq!(log.permit(Duration::ZERO), Some(0));
/// assert_eq!(log.permit(Duration::from_millis(999)), None);
/// assert_eq!(log.permit(Duration::from_millis(1000)), Some(1));
/// ```
#[derive(Debug)]
pub struct ThrottledLog {
    interval: Duration,
    last: Option<Duration>,
    suppressed: u64,
}

impl Default for ThrottledLog {
    fn default() -> Self {
        Self::with_interval(INTERVAL)
    }
}

impl ThrottledLog {
    /// Creates a limit of one line per `interval`.
    pub const fn with_interval(interval: Duration) -> Self {
        Self { interval, last: None, suppressed: 0 }
    }

    /// Asks to log a line at `now`. If the line may be logged, returns the number of lines suppressed since the last one.
    /// Otherwise counts the line as suppressed and returns `None`.
    pub fn permit(&mut self, now: Duration) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_sub(last) < self.interval) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// A condition that is logged when it begins and when it ends.
///
/// ```
/// use candle_engine::throttled_log::Incident;
///
/// let incident = Incident::default();
/// assert!(incident.begin());
/// assert!(!incident.begin(), "the incident has begun before");
/// assert!(incident.end());
/// assert!(!incident.end());
/// ```
#[derive(Debug, Default)]
pub struct Incident {
    is_ongoing: AtomicBool,
}

impl Incident {
    /// Begins the incident. Returns true if the incident was not ongoing.
    pub fn begin(&self) -> bool {
        !self.is_ongoing.swap(true, Ordering::Relaxed)
    }

    /// Ends the incident. Returns true if the incident was ongoing.
    pub fn end(&self) -> bool {
        // The read comes first because the common case then writes nothing, and all cores can share the cache line.
        self.is_ongoing() && self.is_ongoing.swap(false, Ordering::Relaxed)
    }

    /// Returns true while the incident is ongoing.
    pub fn is_ongoing(&self) -> bool {
        self.is_ongoing.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_lines_are_limited_to_one_per_second() {
        let mut log = ThrottledLog::default();
        let lines: Vec<_> = (0..2500).filter_map(|millis| log.permit(Duration::from_millis(millis))).collect();
        assert_eq!(lines, [0, 999, 999]);
    }
}
