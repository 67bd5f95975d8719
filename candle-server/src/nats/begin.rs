//! The way to the log: connect, look at the streams, read the checkpoint, read on from there.

use std::sync::Arc;
use std::time::Duration;

use candle_core::{Aggregator, Config};
use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;

use super::checkpoint::{self, Restored};
use super::follower::Follower;
use super::log::{Access, Keeping, Log, LogError};
use super::tail::{self, Event, Of};
use super::url::LogUrl;
use crate::clock::{Clock, Source};
use crate::feeds::Feeds;
use crate::market::Market;

/// How long to wait before the next try.
const RETRY: Duration = Duration::from_millis(500);

/// How often the log says what is waited for, in tries.
const GRUMBLE_EVERY: u32 = 20;

/// Who comes to the log.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// A gateway, which makes what is not there.
    Gateway(Keeping),
    /// A read node, which waits for it.
    Reader,
}

/// What is needed to come to the log.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) url: LogUrl,
    pub(super) access: Access,
    pub(super) role: Role,
    /// The core's settings, those of the log left out.
    pub(super) core: Config,
    /// This process.
    pub(super) node: u64,
}

/// A log that is being followed.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) log: Log,
    pub(super) created: i128,
    pub(super) follower: Follower,
    pub(super) events: Receiver<Event>,
    pub(super) checkpoint: Found,
}

/// Whether there is a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Whole,
    None,
}

/// Comes to the log, however long it takes until a broker and all that is needed is there.
///
/// # Errors
/// [`LogError::Unfit`], where waiting is of no use.
pub(super) async fn begin(way: &Way, feeds: impl Fn() -> Feeds) -> Result<Begun, LogError> {
    let log = patiently(way, async || Log::connect(&way.url, &way.access).await).await?;
    patiently(way, async || attempt(&log, way, &feeds).await).await
}

/// Tries again until it succeeds, or will not do.
async fn patiently<T>(way: &Way, attempt: impl AsyncFn() -> Result<T, LogError>) -> Result<T, LogError> {
    let mut tries = 0_u32;
    loop {
        match attempt().await {
            Err(LogError::Away(what)) => {
                if tries % GRUMBLE_EVERY == 1 {
                    tracing::warn!(log = %way.url, "the log is not there yet: {what}");
                }
                tries += 1;
            }
            done => return done,
        }
        sleep(RETRY).await;
    }
}

async fn attempt(log: &Log, way: &Way, feeds: impl Fn() -> Feeds) -> Result<Begun, LogError> {
    if let Role::Gateway(keeping) = &way.role {
        log.prepare(keeping).await?;
    }
    let info = log.info().await?.ok_or_else(|| LogError::Away("no gateway has made its stream".to_owned()))?;
    let created = info.created.unix_timestamp_nanos();
    let config = checkpoint::config(way.core, created);
    let restored = checkpoint::load(log, created, config).await?;
    let checkpoint = if restored.is_some() { Found::Whole } else { Found::None };
    let restored = match (restored, &way.role) {
        (Some(restored), _) => restored,
        (None, Role::Gateway(_)) => Restored { aggregator: Aggregator::new(config), covered: 0, last: None },
        (None, Role::Reader) => return Err(LogError::Away("no gateway has written its first checkpoint".to_owned())),
    };
    // What is older than the stream keeps is older than anyone is shown.
    let position = restored.covered.max(info.state.first_sequence.saturating_sub(1));
    let market = Market::new(restored.aggregator, Clock::new(Source::Feed)).with_feeds(feeds());
    let follower = Follower::new(Arc::new(market), way.node, position, restored.last);
    let of = Of { stream: log.name().to_owned(), created };
    let events = tail::spawn(log.clone(), of, position + 1);
    Ok(Begun { log: log.clone(), created, follower, events, checkpoint })
}
