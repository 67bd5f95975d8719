//! The probe: checks if the first feed has recovered while another feed is active.

use std::time::Duration;

use candle_engine::Engine;
use candle_engine::feeds::health::State;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::backoff::Backoff;
use crate::message::{Message, decode};
use crate::source::websocket::Frame;
use crate::source::{Connector, Source};
use crate::url::FeedUrl;

/// The interval between two checks of a feed's state: 100 ms. The shortest silence timeout is much longer, 2 s.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The loss reason of an open connection that delivers no quotes.
pub(super) const STALLED: &str = "stalled";

/// Connects to the feed with this index until the feed has recovered. Returns a new connection to this feed.
///
/// The connection that proved the recovery is dropped, because the instruments that it announced at its start were not
/// recorded.
pub(super) async fn probe<C: Connector>(connector: &C, engine: &Engine, index: usize, feed: &FeedUrl) -> C::Source {
    let mut backoff = Backoff::new();
    loop {
        let mut healthy_for = Duration::ZERO;
        if let Some(mut source) = connect(connector, engine, index, feed).await {
            if has_recovered(engine, index, &mut source).await {
                drop(source);
                if let Some(source) = connect(connector, engine, index, feed).await {
                    return source;
                }
            } else {
                healthy_for = source.healthy_for();
            }
        }
        sleep(backoff.after(healthy_for, fastrand::u64(..))).await;
    }
}

async fn connect<C: Connector>(connector: &C, engine: &Engine, index: usize, feed: &FeedUrl) -> Option<C::Source> {
    engine.feeds.update(|failover| failover.connecting(index, engine.clock.reading()));
    let Some(endpoint) = feed.endpoint() else {
        // A demo, a file or standard input cannot recover.
        return std::future::pending().await;
    };
    match Box::pin(connector.connect(endpoint)).await {
        Ok(source) => {
            engine.feeds.opened(index, source.last_heard(), engine.clock.reading());
            Some(source)
        }
        Err(error) => {
            engine.feeds.update(|failover| failover.lost(index, error.loss(), engine.clock.reading()));
            None
        }
    }
}

/// Reads quotes without recording them, until the feed has been healthy for the fail-back time. Then returns true.
///
/// Returns false if the connection ends or delivers no quotes.
async fn has_recovered(engine: &Engine, index: usize, source: &mut impl Source) -> bool {
    let fail_back_after = engine.feeds.inspect(|failover| failover.config().fail_back_after);
    let mut checks = interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut healthy_since = None;
    loop {
        tokio::select! {
            // The check has priority, because a connection with many quotes is always ready.
            biased;
            _ = checks.tick() => {}
            frames = source.frames() => match frames {
                Ok(frames) => {
                    let (quotes, at) = (count_quotes(frames), engine.clock.reading());
                    engine.feeds.update(|failover| failover.quoted(index, quotes, None, at));
                }
                Err(error) => {
                    engine.feeds.update(|failover| failover.lost(index, error.loss(), engine.clock.reading()));
                    return false;
                }
            },
        }
        let elapsed = engine.clock.elapsed();
        match engine.feeds.inspect(|failover| failover.feeds()[index].state(elapsed)) {
            State::Silent => {
                engine.feeds.update(|failover| failover.lost(index, STALLED, engine.clock.reading()));
                return false;
            }
            state if state.is_healthy() => {
                if elapsed.saturating_sub(*healthy_since.get_or_insert(elapsed)) >= fail_back_after {
                    return true;
                }
            }
            _ => healthy_since = None,
        }
    }
}

fn count_quotes(frames: &[Frame]) -> u64 {
    let mut quotes = 0;
    for bytes in frames.iter().filter_map(|frame| frame.bytes().ok()) {
        decode(bytes, |message| quotes += u64::from(matches!(message, Ok(Message::Quote(_)))));
    }
    quotes
}
