//! The start of a server: what an earlier process kept comes back before the first request is answered.

use std::io;
use std::sync::Arc;

use candle_core::Timestamp;

use crate::Listeners;
use crate::clock::{Clock, ClockMode};
use crate::engine::Engine;
use crate::settings::Settings;
use crate::store::{self, Options, Recovered, WriterHandle};

/// A wall clock that is this far behind what was kept was wrong then: those candles lie beyond any window that will be
/// shown before long. Less than that is waited for, as when a clock steps back while the server runs.
const HOPELESS_MICROS: i64 = candle_core::WINDOW_MINUTES * 60_000_000;

/// The engine that `options` keep, and its keeper. Meanwhile whoever connects to `listeners` hears that we are recovering.
///
/// # Errors
/// Where the store can't be used, or no thread can be started.
pub(crate) async fn recover(
    listeners: &Listeners,
    settings: &Settings,
    options: Options,
) -> io::Result<(Arc<Engine>, WriterHandle)> {
    let mut starting = candle_http::starting::serve(listeners, "The server is recovering what it kept.")?;
    let settings = settings.clone();
    let engine = tokio::task::spawn_blocking(move || restore(options, &settings)).await?;
    // Nobody is accepted from here on but by the real server; those who were get their answer and are let go.
    starting.shutdown().await;
    engine
}

fn restore(options: Options, settings: &Settings) -> io::Result<(Arc<Engine>, WriterHandle)> {
    let clock = Clock::new(settings.clock_mode());
    let (store, recovered) = store::open(options, settings.core()).map_err(io::Error::other)?;
    let Recovered { aggregator, now, coverage, journal } = recovered;
    let (instruments, took) = (aggregator.len(), clock.elapsed());
    let feeds = settings.watched().with_coverage(coverage);
    let engine = Engine::new(aggregator, clock).with_feeds(feeds).with_journal(Arc::clone(&journal));
    if let Some(now) = now {
        resume_at(&engine, now);
        tracing::info!(instruments, ?took, "recovered what was kept");
    }
    let engine = Arc::new(engine);
    let writer = store.start_writer(Arc::clone(&engine), journal)?;
    Ok((engine, writer))
}

/// Carries on at the time at which the process before us stopped.
fn resume_at(engine: &Engine, kept: Timestamp) {
    let wall = engine.clock.now();
    match engine.clock.mode() {
        ClockMode::Feed => engine.clock.restart_at(kept),
        ClockMode::Wall if kept > wall.saturating_add(HOPELESS_MICROS) => {
            tracing::warn!("what was kept is of a later time than the wall clock shows: candles start afresh");
            engine.clear_candles();
            engine.feeds.clear_coverage();
        }
        ClockMode::Wall => engine.clock.advance_to(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Aggregator, Tick};

    /// A engine on the wall clock that kept a candle, read back by a clock that is `behind` by then.
    fn resumed(behind: i64) -> (Engine, Timestamp) {
        let aggregator = Aggregator::default();
        aggregator.list("a", None).unwrap();
        let engine = Engine::new(aggregator, Clock::new(ClockMode::Wall));
        let kept = engine.clock.now().saturating_add(behind);
        assert!(engine.aggregator.record("a", &Tick::new(kept, 1.0), kept).is_accepted());
        engine.aggregator.count_view("a");
        resume_at(&engine, kept);
        (engine, kept)
    }

    fn has_candles(engine: &Engine) -> bool {
        engine.aggregator.history("a").unwrap().ring.newest().is_some()
    }

    #[test]
    fn a_wall_clock_that_went_back_between_runs_is_held_until_it_catches_up() {
        for behind in [1_000_000, HOPELESS_MICROS - 60_000_000] {
            let (engine, kept) = resumed(behind);
            assert!(has_candles(&engine));
            assert_eq!(engine.clock.now(), kept);
        }
    }

    #[test]
    fn a_wall_clock_that_went_back_by_more_than_the_window_starts_candles_afresh() {
        let (engine, kept) = resumed(HOPELESS_MICROS + 60_000_000);
        assert!(!has_candles(&engine));
        assert_eq!(engine.aggregator.history("a").unwrap().views, 1);
        assert!(engine.clock.now() < kept);
    }

    #[test]
    fn a_wall_clock_that_went_on_goes_on() {
        let (engine, kept) = resumed(-3_600_000_000);
        assert!(has_candles(&engine) && engine.clock.now() > kept);
    }
}
