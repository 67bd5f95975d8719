//! Whether the first feed is well again while another one is active.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::backoff::Backoff;
use super::health::State;
use super::source::{Source, bytes};
use super::url::FeedUrl;
use super::websocket::Frame;
use crate::engine::Engine;
use crate::message::{Message, decode};

/// How often a feed's state is looked at: short against any patience.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why a connection that is open and brings no quotes is given up.
pub(super) const STALLED: &str = "stalled";

/// Connects to the feed at `place` until it has been well for as long as is wanted, then once more: that last
/// connection is ready to be read from its start, as the ones before have used up what a connect brings.
pub(super) async fn probe(engine: &Engine, place: usize, feed: &FeedUrl) -> Source {
    let mut backoff = Backoff::new();
    loop {
        let mut healthy_for = Duration::ZERO;
        if let Some(mut source) = open(engine, place, feed).await {
            if is_well(engine, place, &mut source).await {
                drop(source);
                if let Some(source) = open(engine, place, feed).await {
                    return source;
                }
            } else {
                healthy_for = source.healthy_for();
            }
        }
        sleep(backoff.after(healthy_for, fastrand::u64(..))).await;
    }
}

async fn open(engine: &Engine, place: usize, feed: &FeedUrl) -> Option<Source> {
    engine.feeds.update(|failover| failover.connecting(place, engine.clock.reading()));
    match Source::open(feed).await {
        Some(Ok(source)) => {
            engine.feeds.opened(place, source.last_heard(), engine.clock.reading());
            Some(source)
        }
        Some(Err(ended)) => {
            engine.feeds.update(|failover| failover.lost(place, ended.loss(), engine.clock.reading()));
            None
        }
        // What is played and not connected to has been played: there is nothing to come back to.
        None => std::future::pending().await,
    }
}

/// Reads quotes, without recording them, until the feed has been well for long enough or is not.
async fn is_well(engine: &Engine, place: usize, source: &mut Source) -> bool {
    let wanted = engine.feeds.inspect(|failover| failover.config()).fail_back_after;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut well_since = None;
    loop {
        tokio::select! {
            // A stream that is always ready must not keep it from being looked at.
            biased;
            _ = looks.tick() => {}
            run = source.run() => match run {
                Ok(run) => {
                    engine.feeds.update(|failover| failover.quoted(place, quotes(run), None, engine.clock.reading()));
                }
                Err(ended) => {
                    engine.feeds.update(|failover| failover.lost(place, ended.loss(), engine.clock.reading()));
                    return false;
                }
            },
        }
        let elapsed = engine.clock.elapsed();
        match engine.feeds.inspect(|failover| failover.feeds()[place].state(elapsed)) {
            State::Silent => {
                engine.feeds.update(|failover| failover.lost(place, STALLED, engine.clock.reading()));
                return false;
            }
            state if state.is_healthy() => {
                if elapsed.saturating_sub(*well_since.get_or_insert(elapsed)) >= wanted {
                    return true;
                }
            }
            _ => well_since = None,
        }
    }
}

/// How many quotes there are in these frames.
fn quotes(frames: &[Frame]) -> u64 {
    let mut quotes = 0;
    for frame in frames.iter().filter_map(|frame| bytes(frame).ok()) {
        decode(frame, |message| quotes += u64::from(matches!(message, Ok(Message::Quote(_)))));
    }
    quotes
}
