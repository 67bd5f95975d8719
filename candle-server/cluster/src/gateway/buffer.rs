//! The buffer of a gateway: the writes of its feed, and the time for which a standby keeps them.

use std::time::Duration;

use candle_engine::journal::Drained;

use super::Gateway;
use super::lease::{Lease, LogSession};
use super::timing::{LEASE_TIMEOUT, MAX_CLOCK_DIFFERENCE};
use crate::broker::Broker;

impl<B: Broker> Gateway<B> {
    /// Moves recorded writes from the journal to the outbox. The log has the writes before `logged`. If `logged` is
    /// `None`, the outbox can contain the only copy of its writes.
    pub(super) fn buffer(&mut self, logged: Option<Duration>) {
        let now = self.now();
        match self.journal.drain() {
            Drained::Batch(batch) => {
                if batch.clears() {
                    // Quotes that were lost before are cleared with all others.
                    self.complete_since = None;
                }
                self.outbox.push(&batch, now);
            }
            Drained::Suspended => {
                self.journal.resume();
                self.complete_since = Some(self.engine.clock.now());
                self.lost_listings = true;
                tracing::error!("some quotes are lost: the feed is faster than this gateway can buffer");
            }
        }
        // The log has the dropped writes as the feed of the leader sent them, so this gateway can't vouch for the
        // coverage of their minutes.
        let dropped = logged.and_then(|logged| self.outbox.drop_excess(logged));
        self.complete_since = self.complete_since.max(dropped);
        let reclaimed = self.outbox.reclaim(self.engine.aggregator.config().rules());
        self.complete_since = self.complete_since.max(reclaimed.dropped_until);
        if reclaimed.compacted > 0 || reclaimed.dropped > 0 {
            // A standby drops writes that the log has before it compacts any.
            let (compacted, dropped) = (reclaimed.compacted, reclaimed.dropped);
            let line = "the buffer of unpublished quotes is full: quotes are compacted to the prices of their minutes";
            tracing::warn!(compacted, dropped, "{line}");
        }
        let feeds = &self.engine.feeds;
        self.up_since = feeds.is_delivering().then(|| self.up_since.unwrap_or(now));
        self.quoted_since =
            feeds.inspect(|failover| failover.state(now)).is_healthy().then(|| self.quoted_since.unwrap_or(now));
    }

    /// The time since the start of the server up to which the log has all writes, by the clock of the leader. `None` if
    /// no gateway has written a message.
    pub(super) fn logged_until(&self, session: &LogSession<B>) -> Option<Duration> {
        let logged = session.follower.last_writes()?.header.now()?;
        let at = self.engine.clock.reading();
        let behind = at.now.as_micros().saturating_sub(logged.as_micros());
        Some(at.elapsed.saturating_sub(Duration::from_micros(behind.try_into().unwrap_or(0))))
    }

    /// The time up to which the log has all writes, whichever clock is right. `None` if this gateway is not a standby
    /// or if the feed of the leader is down.
    pub(super) fn surely_logged(&self, session: &LogSession<B>) -> Option<Duration> {
        let is_standby = matches!(session.lease, Lease::Standby);
        let logged = self.logged_until(session).filter(|_| is_standby && !session.leader_feed_is_down())?;
        Some(logged.saturating_sub(MAX_CLOCK_DIFFERENCE))
    }

    /// Returns true if the feed has brought quotes for long enough to be preferred to one that is down.
    ///
    /// Two gateways with unstable feeds must not take the lease from each other all the time. A connection without
    /// quotes is up until its silence is noticed, so it does not count.
    pub(super) fn has_steady_feed(&self, now: Duration) -> bool {
        self.quoted_since.is_some_and(|since| now.saturating_sub(since) >= LEASE_TIMEOUT)
    }
}
