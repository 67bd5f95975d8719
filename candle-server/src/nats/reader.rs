//! A read node: folds the log, serves everything, and tells which views its readers make.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::begin::{Begun, Way, begin};
use super::follower::{Folded, Follower};
use super::log::{Log, Sent};
use super::message::ClockOf;
use super::tail::Event;
use crate::clock::Reading;
use crate::feeds::Feeds;
use crate::market::Market;

/// How often views are told: what a kill loses of them.
const TELL_VIEWS: Duration = Duration::from_secs(1);

/// The log is silent when nothing is heard for so long: ten heartbeats of a gateway.
const SILENT: Duration = Duration::from_secs(2);

/// How long to wait before views are told again.
const RETRY: Duration = Duration::from_millis(200);

/// The longest that the telling of the last views may take.
const GOOD_BYE: Duration = Duration::from_secs(2);

/// Follows the log until `stop` says so or is gone, and hands the market out once it is caught up.
///
/// # Errors
/// Where this process can't follow any further.
pub(super) async fn run(
    way: Way,
    feeds: impl Fn() -> Feeds,
    ready: oneshot::Sender<Arc<Market>>,
    mut stop: oneshot::Receiver<()>,
) -> Result<(), String> {
    let begun = tokio::select! {
        begun = begin(&way, feeds) => begun.map_err(|error| error.to_string())?,
        _ = &mut stop => return Ok(()),
    };
    let mut reader = Reader::new(begun, ready);
    let mut ticks = interval(TELL_VIEWS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = reader.events.recv() => reader.take(event)?,
            _ = ticks.tick() => reader.turn(),
            _ = &mut stop => break,
        }
    }
    if timeout(GOOD_BYE, reader.say_good_bye()).await.is_err() {
        tracing::warn!("the log did not take the last views in time");
    }
    Ok(())
}

struct Reader {
    follower: Follower,
    events: mpsc::Receiver<Event>,
    /// Who waits for the market, until it is caught up.
    ready: Option<oneshot::Sender<Arc<Market>>>,
    views: mpsc::Sender<(u64, Bytes)>,
    telling: JoinHandle<()>,
    next_batch: u64,
    heard: Duration,
}

impl Reader {
    fn new(begun: Begun, ready: oneshot::Sender<Arc<Market>>) -> Self {
        let Begun { log, follower, events, .. } = begun;
        let heard = follower.market().clock.elapsed();
        let (views, told) = mpsc::channel(1);
        let telling = tokio::spawn(tell(log, follower.node(), told));
        Self { follower, events, ready: Some(ready), views, telling, next_batch: 1, heard }
    }

    fn take(&mut self, event: Option<Event>) -> Result<(), String> {
        let pending = match event {
            Some(Event::Message(entry)) => {
                let folded = self.follower.fold(entry.sequence, &entry.payload).map_err(|halt| halt.to_string())?;
                self.heard = self.follower.market().clock.elapsed();
                if self.ready.is_none() {
                    self.tell_feeds(folded);
                }
                entry.pending
            }
            Some(Event::End(_)) => 0,
            Some(Event::Broken(error)) => return Err(error.to_string()),
            None => return Err("the log can't be read any more".to_owned()),
        };
        // Not before the gateway has been heard of: it makes the checkpoint before it writes.
        if pending == 0
            && self.follower.last().is_some()
            && let Some(ready) = self.ready.take()
        {
            let market = self.follower.market();
            tracing::info!(instruments = market.aggregator.len(), took = ?market.clock.elapsed(), "caught up with the log");
            // Nobody waits any more only where the server stops.
            let _ = ready.send(Arc::clone(market));
        }
        Ok(())
    }

    /// Lets the feeds know what came, and how long its way was.
    fn tell_feeds(&self, folded: Folded) {
        let market = self.follower.market();
        let Some(last) = self.follower.last().filter(|_| folded.is_written) else { return };
        let newest = last.writes.now().filter(|_| last.writes.clock == ClockOf::Wall);
        let at = Reading { elapsed: market.clock.elapsed(), now: market.clock.wall() };
        market.feeds.quoted(folded.accepted, newest, at);
    }

    /// Does what is due each second.
    fn turn(&mut self) {
        let market = self.follower.market();
        if market.clock.elapsed().saturating_sub(self.heard) >= SILENT {
            market.feeds.log_is_silent();
        }
        // While one batch is under way the next one grows.
        if let Ok(permit) = self.views.try_reserve()
            && let Some(bytes) = self.follower.take_views(self.next_batch)
        {
            permit.send((self.next_batch, bytes.into()));
            self.next_batch += 1;
        }
    }

    async fn say_good_bye(mut self) {
        if let Ok(permit) = self.views.reserve().await
            && let Some(bytes) = self.follower.take_views(self.next_batch)
        {
            permit.send((self.next_batch, bytes.into()));
        }
        drop(self.views);
        // It ends when it has told what came last.
        let _ = (&mut self.telling).await;
    }
}

/// Tells batches of views one after the other, each until it is stored.
async fn tell(log: Log, node: u64, mut batches: mpsc::Receiver<(u64, Bytes)>) {
    while let Some((batch, bytes)) = batches.recv().await {
        let id = format!("v.{node}.{batch}");
        while !matches!(log.send(log.views_subject(), &id, None, bytes.clone()).await, Sent::Stored(_)) {
            sleep(RETRY).await;
        }
    }
}
