//! The start of a server: what an earlier process kept comes back before the first request is answered.

use std::io;
use std::sync::Arc;

use candle_core::Timestamp;

use crate::Listeners;
use crate::clock::{Clock, Source};
use crate::market::Market;
use crate::meanwhile;
use crate::settings::Settings;
use crate::store::{self, Keeping, Options, Recovered};

/// A wall clock that is this far behind what was kept was wrong then: those candles lie beyond any window that will be
/// shown before long. Less than that is waited for, as when a clock steps back while the server runs.
const HOPELESS_MICROS: i64 = candle_core::WINDOW_MINUTES * 60_000_000;

/// The market that `options` keep, and its keeper. Meanwhile whoever connects to `listeners` hears that we are recovering.
///
/// # Errors
/// Where the store can't be used, or no thread can be started.
pub(crate) async fn recover(
    listeners: &Listeners,
    settings: &Settings,
    options: Options,
) -> io::Result<(Arc<Market>, Keeping)> {
    let mut meanwhile = meanwhile::answer(listeners, "The server is recovering what it kept.")?;
    let settings = settings.clone();
    let market = tokio::task::spawn_blocking(move || restore(options, &settings)).await?;
    // Nobody is accepted from here on but by the real server; those who were get their answer and are let go.
    meanwhile.shutdown().await;
    market
}

fn restore(options: Options, settings: &Settings) -> io::Result<(Arc<Market>, Keeping)> {
    let clock = Clock::new(settings.clock_source());
    let (store, recovered) = store::open(options, settings.core()).map_err(io::Error::other)?;
    let Recovered { aggregator, now, coverage, journal } = recovered;
    let (instruments, took) = (aggregator.len(), clock.elapsed());
    let feeds = settings.watched().with_coverage(coverage);
    let market = Market::new(aggregator, clock).with_feeds(feeds).with_journal(Arc::clone(&journal));
    if let Some(now) = now {
        resume_at(&market, now);
        tracing::info!(instruments, ?took, "recovered what was kept");
    }
    let market = Arc::new(market);
    let keeping = store.keep(Arc::clone(&market), journal)?;
    Ok((market, keeping))
}

/// Carries on at the time at which the process before us stopped.
fn resume_at(market: &Market, kept: Timestamp) {
    let wall = market.clock.now();
    match market.clock.source() {
        Source::Feed => market.clock.restart_at(kept),
        Source::Wall if kept > wall.saturating_add(HOPELESS_MICROS) => {
            tracing::warn!("what was kept is of a later time than the wall clock shows: candles start afresh");
            market.clear_candles();
            market.feeds.started_over();
        }
        Source::Wall => market.clock.advance_to(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Aggregator, Tick};

    /// A market on the wall clock that kept a candle, read back by a clock that is `behind` by then.
    fn resumed(behind: i64) -> (Market, Timestamp) {
        let aggregator = Aggregator::default();
        aggregator.list("a", None).unwrap();
        let market = Market::new(aggregator, Clock::new(Source::Wall));
        let kept = market.clock.now().saturating_add(behind);
        assert!(market.aggregator.record("a", &Tick::new(kept, 1.0), kept).is_accepted());
        market.aggregator.hit("a");
        resume_at(&market, kept);
        (market, kept)
    }

    fn has_candles(market: &Market) -> bool {
        market.aggregator.history("a").unwrap().ring.newest().is_some()
    }

    #[test]
    fn a_wall_clock_that_went_back_between_runs_is_held_until_it_catches_up() {
        for behind in [1_000_000, HOPELESS_MICROS - 60_000_000] {
            let (market, kept) = resumed(behind);
            assert!(has_candles(&market));
            assert_eq!(market.clock.now(), kept);
        }
    }

    #[test]
    fn a_wall_clock_that_went_back_by_more_than_the_window_starts_candles_afresh() {
        let (market, kept) = resumed(HOPELESS_MICROS + 60_000_000);
        assert!(!has_candles(&market));
        assert_eq!(market.aggregator.history("a").unwrap().views, 1);
        assert!(market.clock.now() < kept);
    }

    #[test]
    fn a_wall_clock_that_went_on_goes_on() {
        let (market, kept) = resumed(-3_600_000_000);
        assert!(has_candles(&market) && market.clock.now() > kept);
    }
}
