//! Starts a server from its store.

use std::io;
use std::sync::Arc;

use candle_core::{Config, Timestamp, WINDOW_MINUTES};
use candle_engine::Engine;
use candle_engine::clock::{Clock, ClockMode};
use candle_engine::feeds::Feeds;

use crate::store::{Options, Recovered, WriterHandle, open};

/// The maximum time by which the wall clock may be behind the store's time, in microseconds: 30 min, one window.
///
/// If the wall clock is behind by less, the candle time stops until the wall clock catches up. Otherwise the stored
/// candles would be in the future for too long, so they are cleared.
const MAX_STEP_BACK_MICROS: i64 = WINDOW_MINUTES * 60_000_000;

/// Opens a store, or creates one, and starts its writer. Returns the engine with the stored state.
///
/// # Errors
/// Returns an error if the store can't be used, or the writer's thread can't be started.
pub fn resume(options: Options, core: Config, clock: Clock, feeds: Feeds) -> io::Result<(Arc<Engine>, WriterHandle)> {
    let (store, recovered) = open(options, core).map_err(io::Error::other)?;
    let Recovered { aggregator, now, coverage, journal } = recovered;
    let (instruments, took) = (aggregator.len(), clock.elapsed());
    let feeds = feeds.with_coverage(coverage);
    let engine = Engine::new(aggregator, clock).with_feeds(feeds).with_journal(Arc::clone(&journal));
    if let Some(now) = now {
        resume_at(&engine, now);
        tracing::info!(instruments, ?took, "the store was recovered");
    }
    let engine = Arc::new(engine);
    let writer = store.start_writer(Arc::clone(&engine), journal)?;
    Ok((engine, writer))
}

/// Sets the clock to the last time of the previous process. Clears the candles if the wall clock is too far behind.
fn resume_at(engine: &Engine, stored: Timestamp) {
    let wall = engine.clock.now();
    match engine.clock.mode() {
        ClockMode::Feed => engine.clock.restart_at(stored),
        ClockMode::Wall if stored > wall.saturating_add(MAX_STEP_BACK_MICROS) => {
            tracing::warn!(
                "the store's last candle is {stored:?}, more than 30 min after the wall clock's {wall:?}; all candles are cleared"
            );
            engine.clear_candles();
            engine.feeds.clear_coverage();
        }
        ClockMode::Wall => engine.clock.advance_to(stored),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Aggregator, Tick};

    /// Returns an engine that was resumed from a store, and the store's time: `behind` microseconds after the wall
    /// clock.
    fn resumed(behind: i64) -> (Engine, Timestamp) {
        let aggregator = Aggregator::default();
        aggregator.list("a", None).unwrap();
        let engine = Engine::new(aggregator, Clock::new(ClockMode::Wall));
        let stored = engine.clock.now().saturating_add(behind);
        assert!(engine.aggregator.record("a", &Tick::new(stored, 1.0), stored).is_accepted());
        engine.aggregator.count_view("a");
        resume_at(&engine, stored);
        (engine, stored)
    }

    fn has_candles(engine: &Engine) -> bool {
        engine.aggregator.history("a").unwrap().ring.newest().is_some()
    }

    #[test]
    fn candle_time_stops_if_the_wall_clock_stepped_back_between_two_runs() {
        for behind in [1_000_000, MAX_STEP_BACK_MICROS - 60_000_000] {
            let (engine, stored) = resumed(behind);
            assert!(has_candles(&engine));
            assert_eq!(engine.clock.now(), stored);
        }
    }

    #[test]
    fn a_wall_clock_that_stepped_back_by_more_than_the_window_clears_the_candles() {
        let (engine, stored) = resumed(MAX_STEP_BACK_MICROS + 60_000_000);
        assert!(!has_candles(&engine));
        assert_eq!(engine.aggregator.history("a").unwrap().views, 1);
        assert!(engine.clock.now() < stored);
    }

    #[test]
    fn a_wall_clock_that_advanced_continues() {
        let (engine, stored) = resumed(-3_600_000_000);
        assert!(has_candles(&engine) && engine.clock.now() > stored);
    }
}
