//! Runs a read node. A read node applies the log to an engine, which is served to clients, and publishes their views.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use candle_core::Config;
use candle_engine::Engine;
use candle_engine::clock::{ClockMode, Reading};
use candle_engine::feeds::Feeds;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

use crate::bootstrap::{BootstrapConfig, Bootstrapped, Participant, before_restart, bootstrap};
use crate::broker::{Broker, PublishResult};
use crate::follower::{Applied, FollowError, Follower, OutOfSync};
use crate::retry::retry;
use crate::subscribe::Event;

/// The interval at which views are published. If the process is killed, the views of at most 1 s are lost.
const VIEWS_INTERVAL: Duration = Duration::from_secs(1);

/// The most messages of views in the queue. 20 messages suffice for 100,000 instruments with the longest ids.
const BUFFERED_VIEWS: usize = 20;

/// The time without a message of a gateway after which the log is reported as silent: ten heartbeats.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two attempts to publish views.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The time after which no request uses a replaced engine, because all HTTP threads use the new engine.
const HANDOVER: Duration = Duration::from_secs(1);

/// The timeout for publishing the last views.
const LAST_VIEWS_TIMEOUT: Duration = Duration::from_secs(2);

/// A read node.
///
/// When its engine is out of sync with the log, the node builds a new engine from the checkpoint. The old engine is
/// served unchanged until the new engine has applied the whole log.
pub(crate) struct ReadNode<B: Broker, F> {
    address: B::Address,
    core: Config,
    feeds: F,
    engines: watch::Sender<Option<Arc<Engine>>>,
    /// The replica whose engine is still served although it no longer follows the log.
    stalled: Option<Replica>,
    /// The tasks of replaced replicas, which publish their last views.
    retired: JoinSet<()>,
    ticks: Interval,
    stop: oneshot::Receiver<()>,
}

impl<B: Broker, F: Fn() -> Feeds> ReadNode<B, F> {
    /// Creates a node that sends each engine to `engines` when the engine has applied the whole log.
    pub(crate) fn new(
        address: B::Address,
        core: Config,
        feeds: F,
        engines: watch::Sender<Option<Arc<Engine>>>,
        stop: oneshot::Receiver<()>,
    ) -> Self {
        let mut ticks = interval(VIEWS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { address, core, feeds, engines, stalled: None, retired: JoinSet::new(), ticks, stop }
    }

    /// Runs the node until `stop` receives a message or is closed.
    ///
    /// # Errors
    /// The reason why this node can't follow the log any further.
    pub(crate) async fn run(mut self) -> Result<(), String> {
        while let Some(bootstrapped) = self.bootstrap().await? {
            let mut replica = Replica::new(bootstrapped);
            let ended = self.follow(&mut replica).await;
            if replica.is_served {
                replica.events.close();
                self.stalled = Some(replica);
            }
            match ended {
                Ok(()) => break,
                Err(error) => before_restart(error, &self.address).await?,
            }
        }
        if let Some(stalled) = self.stalled {
            stalled.publish_last_views().await;
        }
        self.retired.join_all().await;
        Ok(())
    }

    /// Loads a checkpoint and subscribes to the log. Returns `None` if the node is stopped meanwhile.
    async fn bootstrap(&mut self) -> Result<Option<Bootstrapped<B>>, String> {
        let config = BootstrapConfig {
            address: self.address.clone(),
            participant: Participant::ReadNode,
            core: self.core,
            // Each replica has its own node number, so that its views are not mistaken for those of an earlier replica.
            node: fastrand::u64(..),
        };
        let mut bootstrapping = Box::pin(bootstrap(&config, &self.feeds));
        loop {
            tokio::select! {
                bootstrapped = &mut bootstrapping => {
                    return bootstrapped.map(Some).map_err(|error| error.to_string());
                }
                _ = self.ticks.tick() => self.stalled.iter_mut().for_each(Replica::tick),
                _ = &mut self.stop => return Ok(None),
            }
        }
    }

    /// Applies events of the log until `stop` receives a message or is closed.
    async fn follow(&mut self, replica: &mut Replica) -> Result<(), FollowError> {
        loop {
            tokio::select! {
                event = replica.events.recv() => {
                    replica.apply(event)?;
                    self.serve_if_caught_up(replica);
                }
                _ = self.ticks.tick() => self.stalled.iter_mut().chain([&mut *replica]).for_each(Replica::tick),
                _ = &mut self.stop => return Ok(()),
            }
        }
    }

    /// Sends the engine of `replica` to `engines` when it has first applied the whole log.
    fn serve_if_caught_up(&mut self, replica: &mut Replica) {
        if replica.is_served || !replica.is_caught_up() {
            return;
        }
        replica.is_served = true;
        let engine = replica.follower.engine();
        if replica.follower.is_stale() {
            engine.aggregator.forget_arrivals();
        }
        tracing::info!(instruments = engine.aggregator.len(), took = ?engine.clock.elapsed(), "caught up with the log");
        self.engines.send_replace(Some(Arc::clone(engine)));
        if let Some(stalled) = self.stalled.take() {
            self.retired.spawn(async {
                sleep(HANDOVER).await;
                stalled.publish_last_views().await;
            });
        }
    }
}

/// A follower with its subscription and the task that publishes its views.
struct Replica {
    follower: Follower,
    events: mpsc::Receiver<Event>,
    /// The number of messages that follow the last applied message. `None` before the first event.
    pending: Option<u64>,
    /// True if the engine was sent to be served.
    is_served: bool,
    views: mpsc::Sender<(u64, Bytes)>,
    publishing: JoinHandle<()>,
    next_batch: u64,
    /// The time at which the last message of a gateway was applied, since the start of the engine.
    last_message: Duration,
}

impl Replica {
    fn new<B: Broker>(bootstrapped: Bootstrapped<B>) -> Self {
        let Bootstrapped { broker, follower, events, .. } = bootstrapped;
        let last_message = follower.engine().clock.elapsed();
        let (views, batches) = mpsc::channel(BUFFERED_VIEWS);
        let publishing = tokio::spawn(publish_views(broker, follower.node(), batches));
        Self { follower, events, pending: None, is_served: false, views, publishing, next_batch: 1, last_message }
    }

    /// Applies an event of the log.
    fn apply(&mut self, event: Option<Event>) -> Result<(), FollowError> {
        match event {
            Some(Event::Message(message)) => {
                let applied = self.follower.apply(message.sequence, &message.payload)?;
                // Only messages of a gateway count, because other nodes publish views even without a gateway.
                if applied.is_from_gateway {
                    self.last_message = self.follower.engine().clock.elapsed();
                }
                self.pending = Some(message.pending);
                if self.is_served {
                    self.report_quotes(applied);
                }
            }
            Some(Event::End(end)) => {
                self.follower.check_end(end)?;
                self.pending = Some(0);
            }
            Some(Event::Gone(reason)) => return Err(FollowError::OutOfSync(OutOfSync::StreamGone(reason))),
            None => return Err(FollowError::OutOfSync(OutOfSync::subscription_ended())),
        }
        Ok(())
    }

    /// Returns true if the whole log is applied and the last message of a gateway is known.
    fn is_caught_up(&self) -> bool {
        self.pending == Some(0) && self.follower.last_writes().is_some()
    }

    /// Reports the number and the time of the quotes in a message to the monitoring of the feeds.
    fn report_quotes(&self, applied: Applied) {
        let engine = self.follower.engine();
        let Some(last) = self.follower.last_writes().filter(|_| applied.is_from_gateway) else { return };
        let newest = last.header.now().filter(|_| last.header.clock == ClockMode::Wall);
        let at = Reading { elapsed: engine.clock.elapsed(), now: engine.clock.wall() };
        engine.feeds.quoted(applied.accepted, newest, at);
    }

    /// Reports a silent log and queues views for publishing. The caller calls this method once a second.
    fn tick(&mut self) {
        let engine = self.follower.engine();
        if engine.clock.elapsed().saturating_sub(self.last_message) >= SILENCE_TIMEOUT {
            engine.feeds.log_is_silent();
        }
        // While earlier messages are queued, views are collected for the next message.
        if self.views.capacity() < BUFFERED_VIEWS {
            return;
        }
        while let Ok(permit) = self.views.try_reserve()
            && let Some(bytes) = self.follower.take_views(self.next_batch)
        {
            permit.send((self.next_batch, bytes.into()));
            self.next_batch += 1;
        }
    }

    /// Publishes all remaining views.
    async fn publish_last_views(mut self) {
        let publishing = async {
            while let Ok(permit) = self.views.reserve().await
                && let Some(bytes) = self.follower.take_views(self.next_batch)
            {
                permit.send((self.next_batch, bytes.into()));
                self.next_batch += 1;
            }
            drop(self.views);
            // The task ends when it has published the last message.
            let _ = (&mut self.publishing).await;
        };
        if timeout(LAST_VIEWS_TIMEOUT, publishing).await.is_err() {
            tracing::warn!("the broker did not store the last views within {LAST_VIEWS_TIMEOUT:?}; they are lost");
        }
    }
}

/// Publishes messages of views, one after the other. Retries each message until it is stored.
async fn publish_views<B: Broker>(broker: B, node: u64, mut batches: mpsc::Receiver<(u64, Bytes)>) {
    while let Some((batch, payload)) = batches.recv().await {
        let id = format!("v.{node}.{batch}");
        let attempt = |()| async {
            // Without a connection, the client would queue each attempt and send all attempts later.
            let is_stored = broker.is_connected()
                && matches!(
                    broker.publish(broker.views_subject(), &id, None, payload.clone()).await,
                    PublishResult::Stored(_)
                );
            if is_stored { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        retry(RETRY_PAUSE, (), attempt).await;
    }
}

#[cfg(test)]
mod tests;
