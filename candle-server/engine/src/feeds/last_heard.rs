//! The time at which a connection last received a frame or a pong.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The time at which a connection last received a frame or a pong. The connection writes this time, and reports read
/// it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use candle_engine::feeds::last_heard::LastHeard;
///
/// let last_heard = LastHeard::default();
/// last_heard.record(tokio::time::Instant::now());
/// assert!(last_heard.age().as_secs() < 60);
/// # });
/// ```
#[derive(Debug)]
pub struct LastHeard {
    created: Instant,
    /// Milliseconds from `created` to the last frame.
    millis: AtomicU64,
}

impl Default for LastHeard {
    fn default() -> Self {
        Self { created: Instant::now(), millis: AtomicU64::new(0) }
    }
}

impl LastHeard {
    /// Records a frame received at `at`.
    pub fn record(&self, at: Instant) {
        let millis = u64::try_from((at - self.created).as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }

    /// Returns the time since the last frame, or since the connection was opened if there was none.
    pub fn age(&self) -> Duration {
        self.created.elapsed().saturating_sub(Duration::from_millis(self.millis.load(Ordering::Relaxed)))
    }
}
