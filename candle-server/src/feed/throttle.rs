//! Rate-limited logging.

use std::time::Duration;

/// The minimum time between two lines: one line per second is noticed and does not fill a disk.
const INTERVAL: Duration = Duration::from_secs(1);

/// A log that writes at most one line per second and counts the suppressed lines.
#[derive(Debug, Default)]
pub(super) struct ThrottledLog {
    /// The time of the last line.
    last: Option<Duration>,
    suppressed: u64,
}

impl ThrottledLog {
    /// Returns the number of lines suppressed since the last one if a line may be written at `now`.
    pub(super) fn permit(&mut self, now: Duration) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_sub(last) < INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gives_one_line_per_second() {
        let mut log = ThrottledLog::default();
        let lines: Vec<_> = (0..2500).filter_map(|millis| log.permit(Duration::from_millis(millis))).collect();
        assert_eq!(lines, [0, 999, 999]);
    }
}
