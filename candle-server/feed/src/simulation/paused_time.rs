//! A time source for tests, which advances with the paused timer of the async runtime.

use std::time::Duration;

use candle_core::Timestamp;
use candle_engine::clock::TimeSource;
use tokio::time::Instant;

/// A time source that reads the paused timer of the runtime.
#[derive(Debug)]
pub(crate) struct PausedTime {
    wall_at_start: Timestamp,
    started: Instant,
}

impl PausedTime {
    pub(crate) fn starting_at(wall: Timestamp) -> Self {
        Self { wall_at_start: wall, started: Instant::now() }
    }
}

impl TimeSource for PausedTime {
    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn wall(&self) -> Timestamp {
        let elapsed = i64::try_from(self.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.wall_at_start.saturating_add(elapsed)
    }
}
