//! Runs a gateway, which publishes the writes of its feed to the log while it is the leader.
//!
//! There are two gateways, a leader and a standby. On both, the feed writes into an engine of the process, and the
//! journal of that engine records the writes. The leader publishes the recorded writes. The standby only buffers them.
//!
//! The lease is the right to write the log. The leader renews the lease with each message, several times a second. If
//! the standby receives no message for [`timing::LEASE_TIMEOUT`], it claims the lease: it publishes a claim with the
//! next epoch (the number of the lease), and with the sequence of the last message as the expected sequence. The broker
//! stores the claim only if no later message exists, so only one of several claims succeeds. After that, the broker
//! rejects all messages of the old leader.

mod buffer;
mod catalogue;
mod coverage;
mod failover;
mod lease;
mod release;
mod send;
mod timing;

use std::sync::Arc;
use std::time::Duration;

use candle_core::Timestamp;
use candle_engine::Engine;
use candle_engine::feeds::Feeds;
use candle_engine::journal::Journal;
use tokio::sync::oneshot;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::bootstrap::{BootstrapConfig, Continuity, before_restart, bootstrap};
use crate::broker::Broker;
use crate::catalogue::Catalogue;
use crate::follower::{FollowError, LastWrites, OutOfSync};
use crate::outbox::{CHUNK_BYTES, MAX_OUTBOX_BYTES, Outbox};
use crate::publish::Delivery;

use lease::{Claim, Lease, LogSession};
use timing::{BUFFER_DURATION, SEND_INTERVAL};

/// A gateway: its engine, its outbox and the state of its feed.
pub(crate) struct Gateway<B: Broker> {
    /// The engine that the feed writes into.
    engine: Arc<Engine>,
    journal: Arc<Journal>,
    config: BootstrapConfig<B>,
    catalogue: Catalogue,
    outbox: Outbox,
    next_batch: u64,
    /// The time since which the feed has been up without interruption. `None` while the feed is down.
    up_since: Option<Duration>,
    /// The time since which the feed has sent quotes at the usual rate. `None` while the feed is not healthy.
    quoted_since: Option<Duration>,
    /// The time, on the clock of the candles, since which no quote was lost between the feed and the outbox.
    ///
    /// `None` if no quote was ever lost.
    complete_since: Option<Timestamp>,
    /// True if listings may have been lost between the feed and the outbox.
    ///
    /// The leader then publishes the catalogue again.
    lost_listings: bool,
}

impl<B: Broker> Gateway<B> {
    pub(crate) fn new(
        engine: Arc<Engine>,
        journal: Arc<Journal>,
        config: BootstrapConfig<B>,
        catalogue: Catalogue,
    ) -> Self {
        let outbox = Outbox::new(MAX_OUTBOX_BYTES);
        Self {
            engine,
            journal,
            config,
            catalogue,
            outbox,
            next_batch: 1,
            up_since: None,
            quoted_since: None,
            complete_since: None,
            lost_listings: false,
        }
    }

    /// Runs the gateway until `stop` receives a message or is closed.
    ///
    /// # Errors
    /// The reason why the log is unusable, or why the last quotes are lost.
    pub(crate) async fn run(mut self, mut stop: oneshot::Receiver<()>) -> Result<(), String> {
        let mut ticks = interval(SEND_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(mut session) = self.bootstrap(&mut ticks, &mut stop).await? {
            match self.follow(&mut session, &mut ticks, &mut stop).await {
                Ok(()) => return self.end(&mut session).await,
                Err(error) => before_restart(error, &self.config.address).await?,
            }
        }
        Ok(())
    }

    /// Starts a session with the log. Buffers writes meanwhile. Returns `None` if the gateway is stopped meanwhile.
    async fn bootstrap(
        &mut self,
        ticks: &mut Interval,
        stop: &mut oneshot::Receiver<()>,
    ) -> Result<Option<LogSession<B>>, String> {
        let config = self.config.clone();
        let mode = self.engine.clock.mode();
        let mut bootstrapping = Box::pin(bootstrap(&config, || Feeds::unmonitored(mode)));
        let bootstrapped = loop {
            tokio::select! {
                _ = &mut *stop => return Ok(None),
                bootstrapped = &mut bootstrapping => break bootstrapped.map_err(|error| error.to_string())?,
                _ = ticks.tick() => self.buffer(None),
            }
        };
        tracing::info!(log = %self.config.address, "connected to the log");
        Ok(Some(LogSession::new(bootstrapped, self.now())))
    }

    /// Applies the log until `stop` receives a message or is closed. As the leader, also publishes writes.
    async fn follow(
        &mut self,
        session: &mut LogSession<B>,
        ticks: &mut Interval,
        stop: &mut oneshot::Receiver<()>,
    ) -> Result<(), FollowError> {
        loop {
            tokio::select! {
                _ = &mut *stop => return Ok(()),
                delivery = session.lease.delivery() => self.on_delivery(session, delivery),
                event = session.events.recv() => session.apply(event, self.now())?,
                _ = ticks.tick() => self.tick(session)?,
            }
        }
    }

    /// Returns the time since the start of the server.
    fn now(&self) -> Duration {
        self.engine.clock.elapsed()
    }

    /// Buffers recorded writes and publishes the writes that are due.
    fn tick(&mut self, session: &mut LogSession<B>) -> Result<(), FollowError> {
        let now = self.now();
        self.buffer(self.surely_logged(session));
        if session.can_restart(now) {
            let reason = "another gateway has reset the log and written a checkpoint".to_owned();
            return Err(FollowError::OutOfSync(OutOfSync::StreamGone(reason)));
        }
        match &mut session.lease {
            Lease::Standby => {
                // The leader publishes all writes of the feed, so no write exists only on this gateway.
                self.journal.record_persisted(now, 0);
                // If the feed of the leader is down, the leader does not publish the writes that this gateway buffers.
                if !session.leader_feed_is_down()
                    && let Some(logged) = self.logged_until(session)
                {
                    self.outbox.drop_before(logged.saturating_sub(BUFFER_DURATION));
                }
                let failover_is_due = session.leader_feed_stays_down(now) && self.has_steady_feed(now);
                if session.lease_is_free(now) || failover_is_due {
                    let in_flight = self.claim(session, session.expected_sequence());
                    let before = session.follower.last_writes().map(|last| last.header.clone());
                    session.lease = Lease::Claiming(Box::new(Claim { in_flight, before }));
                }
            }
            Lease::Claiming(_) => {}
            Lease::Leading(leadership) => {
                // After a reset, snapshots must include the claim. Earlier snapshots would not match the log.
                if session.follower.applied() >= leadership.claimed_at {
                    leadership.checkpoint.write_due(&session.follower, now, session.log_bytes);
                }
                if std::mem::take(&mut self.lost_listings) {
                    self.publish_catalogue(leadership, &session.follower);
                }
                if leadership.reconcile_at.is_some_and(|due| due <= now) && self.catalogue_is_complete(now) {
                    leadership.reconcile_at = None;
                    self.reconcile(&session.follower);
                }
                self.send(&session.broker, leadership);
            }
        }
        Ok(())
    }

    /// Handles the result of the message in flight.
    fn on_delivery(&mut self, session: &mut LogSession<B>, delivery: Delivery) {
        let now = self.now();
        match (std::mem::replace(&mut session.lease, Lease::Standby), delivery) {
            (Lease::Claiming(claim), Delivery::Stored(sequence)) => {
                session.lease = Lease::Leading(Box::new(self.start_leading(session, &claim, sequence)));
                // From now on, the log continues the state of this gateway without a gap.
                session.continuity = Continuity::Complete;
            }
            (Lease::Claiming(mut claim), Delivery::LogEmptied) => {
                if session.continuity == Continuity::Complete {
                    session.continuity = Continuity::NoCheckpoint;
                }
                claim.in_flight = self.claim(session, 0);
                session.lease = Lease::Claiming(claim);
            }
            (Lease::Leading(mut leadership), Delivery::Stored(sequence)) => {
                if let Some(in_flight) = leadership.in_flight.take() {
                    let sent = if in_flight.has_chunk { self.outbox.pop() } else { None };
                    let bytes = sent.as_ref().map_or(0, |(chunk, _)| chunk.bytes() as u64);
                    // If the outbox is not empty, only the writes up to the end of the sent chunk are persisted.
                    let persisted_until = sent.filter(|_| !self.outbox.is_empty());
                    self.journal.record_persisted(persisted_until.map_or(in_flight.started, |(_, until)| until), bytes);
                    leadership.last_writes = LastWrites { sequence, header: in_flight.header.clone() };
                }
                if self.outbox.first().is_some_and(|chunk| chunk.bytes() >= CHUNK_BYTES) {
                    self.send(&session.broker, &mut leadership);
                }
                session.lease = Lease::Leading(leadership);
            }
            (Lease::Leading(_), Delivery::Superseded(sequence)) => {
                session.note_superseded(sequence, now);
                tracing::warn!(log = %self.config.address, "another gateway has claimed the lease: standing by");
            }
            (Lease::Claiming(_), Delivery::Superseded(sequence)) => session.note_superseded(sequence, now),
            (Lease::Leading(_), Delivery::LogEmptied) => {
                tracing::warn!(log = %self.config.address, "the log was emptied: this gateway claims the lease again");
            }
            (Lease::Standby, _) => {}
        }
    }
}

#[cfg(test)]
mod tests;
