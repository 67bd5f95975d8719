//! The start of a server: what an earlier process kept comes back before the first request is answered.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use candle_core::Timestamp;
use hyper::{HeaderMap, Response};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::clock::{Clock, Source};
use crate::http::{self, Answer, Body, Limits, Server, Verb};
use crate::market::Market;
use crate::problem::Problem;
use crate::route::Route;
use crate::settings::Settings;
use crate::store::{self, Keeping, Options, Recovered};

/// A wall clock that is this far behind what was kept was wrong then: those candles lie beyond any window that will be
/// shown before long. Less than that is waited for, as when a clock steps back while the server runs.
const HOPELESS_MICROS: i64 = candle_core::WINDOW_MINUTES * 60_000_000;

/// The market that `options` keep, and its keeper. Meanwhile whoever connects to `listener` hears that we are recovering.
///
/// # Errors
/// Where the store can't be used, or no thread can be started.
pub(crate) async fn recover(
    listener: &TcpListener,
    settings: &Settings,
    options: Options,
) -> io::Result<(Arc<Market>, Keeping)> {
    let (done, recovered) = oneshot::channel::<()>();
    let meanwhile = std::net::TcpListener::from(listener.as_fd().try_clone_to_owned()?);
    let meanwhile = TcpListener::from_std(meanwhile)?;
    let server = Arc::new(Server::new(Recovering, Limits::default()));
    // Not waited for at the end: its last connections close beside those of the real server.
    tokio::spawn(server.serve(meanwhile, async {
        // Whether we succeeded or failed.
        let _ = recovered.await;
    }));
    let (config, source) = (settings.core(), settings.clock_source());
    let market = tokio::task::spawn_blocking(move || restore(options, config, source)).await?;
    drop(done);
    market
}

fn restore(options: Options, config: candle_core::Config, source: Source) -> io::Result<(Arc<Market>, Keeping)> {
    let clock = Clock::new(source);
    let (store, recovered) = store::open(options, config).map_err(io::Error::other)?;
    let Recovered { aggregator, now, journal } = recovered;
    let (instruments, took) = (aggregator.len(), clock.elapsed());
    let market = Market::new(aggregator, clock).with_journal(Arc::clone(&journal));
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
        }
        Source::Wall => market.clock.advance_to(kept),
    }
}

/// What is answered until there is something to answer with.
struct Recovering;

impl Answer for Recovering {
    fn answer(&self, _: Verb, route: &Route<'_>, _: &HeaderMap) -> Response<Body> {
        match route {
            Route::Live => http::json("{\"status\":\"live\"}"),
            _ => http::problem(Problem::NotReady, "The server is recovering what it kept."),
        }
    }
}
