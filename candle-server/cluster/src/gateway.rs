//! A gateway: it publishes the writes of its feed to the log while it is the leader.
//!
//! The feed writes into an engine of this process, as on a single machine. The gateway buffers what the journal of that
//! engine records. The leader of a pair publishes the buffered writes, and the standby only buffers them.
//!
//! The log is the lease. The leader renews it with every message, several times a second. After
//! [`timing::LEASE_TIMEOUT`] without a message a standby publishes a claim of the next epoch with the expected sequence
//! of the last message. The broker stores the claim only if no other message was stored, so one of several claims
//! succeeds. From then on it rejects every message of the old leader, however late it arrives.

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
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use crate::bootstrap::{BootstrapConfig, Continuity, RESTART_PAUSE, bootstrap};
use crate::broker::Broker;
use crate::catalogue::Catalogue;
use crate::follower::{FollowError, LastWrites, OutOfSync};
use crate::outbox::{CHUNK_BYTES, MAX_OUTBOX_BYTES, Outbox};
use crate::publish::Delivery;

use lease::{Claim, Lease, LogSession};
use timing::{BUFFER_DURATION, SEND_INTERVAL};

/// A gateway.
pub(crate) struct Gateway<B: Broker> {
    /// The engine that the feed writes into.
    engine: Arc<Engine>,
    journal: Arc<Journal>,
    config: BootstrapConfig<B>,
    catalogue: Catalogue,
    outbox: Outbox,
    next_batch: u64,
    /// The time since which the feed has been up without a break.
    up_since: Option<Duration>,
    /// The time since which the present connection of the feed has brought quotes at the usual rate.
    quoted_since: Option<Duration>,
    /// The time on the clock of the candles since which no quote was lost between the feed and the outbox. `None` if
    /// none was ever lost.
    complete_since: Option<Timestamp>,
    /// True if listings were possibly lost between the feed and the outbox and are not published yet.
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

    /// Runs until `stop` receives a message or is closed.
    ///
    /// # Errors
    /// The log is unusable, or the broker did not store the last quotes.
    pub(crate) async fn run(mut self, mut stop: oneshot::Receiver<()>) -> Result<(), String> {
        let mut ticks = interval(SEND_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(mut session) = self.bootstrap(&mut ticks, &mut stop).await? {
            match self.follow(&mut session, &mut ticks, &mut stop).await {
                Ok(()) => return self.end(&mut session).await,
                Err(FollowError::OutOfSync(reason)) => {
                    tracing::warn!(log = %self.config.address, "this gateway restarts from the checkpoint: {reason}");
                    sleep(RESTART_PAUSE).await;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    /// Starts a session and buffers meanwhile. Returns `None` if the gateway was stopped before.
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

    /// Follows the log, and writes it as the leader, until `stop` receives a message or is closed.
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

    /// The time since the start of the server.
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
                // The leader publishes all writes, so none of them exists only here.
                self.journal.record_persisted(now, 0);
                // A leader without a feed does not publish what this gateway buffers.
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
                // After a reset, a snapshot from before the claim would belong to another log.
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

    /// Handles the result of the message that was under way.
    fn on_delivery(&mut self, session: &mut LogSession<B>, delivery: Delivery) {
        let now = self.now();
        match (std::mem::replace(&mut session.lease, Lease::Standby), delivery) {
            (Lease::Claiming(claim), Delivery::Stored(sequence)) => {
                session.lease = Lease::Leading(Box::new(self.start_leading(session, &claim, sequence)));
                // From here on the state of this gateway is the complete log.
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
                    // Writes that are still in the outbox came after the sent ones, which can be old.
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
