//! Buffers the writes of the feed, and decides how long a standby buffers them.

use std::time::Duration;

use candle_engine::journal::Drained;

use super::Gateway;
use super::lease::{Lease, LogSession};
use super::timing::{LEASE_TIMEOUT, MAX_CLOCK_DIFFERENCE};
use crate::broker::Broker;

impl<B: Broker> Gateway<B> {
    /// Moves recorded writes from the journal to the outbox.
    ///
    /// The log has all writes before `logged`. If `logged` is `None`, the outbox may contain the only copy of its
    /// writes.
    pub(super) fn buffer(&mut self, logged: Option<Duration>) {
        let now = self.now();
        match self.journal.drain() {
            Drained::Batch(batch) => {
                if batch.clears() {
                    // The batch clears all candles, so quotes that were lost earlier no longer matter.
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
        // The log has the dropped writes from the feed of the leader. This gateway does not know if they are complete,
        // so it does not publish their minutes as covered.
        let dropped = logged.and_then(|logged| self.outbox.drop_excess(logged));
        self.complete_since = self.complete_since.max(dropped);
        let reclaimed = self.outbox.reclaim(self.engine.aggregator.config().rules());
        self.complete_since = self.complete_since.max(reclaimed.dropped_until);
        if reclaimed.compacted > 0 || reclaimed.dropped > 0 {
            // A standby first drops writes that the log has. So compaction affects only unpublished quotes.
            let (compacted, dropped) = (reclaimed.compacted, reclaimed.dropped);
            let line = "the buffer of unpublished quotes is full: quotes are compacted to the prices of their minutes";
            tracing::warn!(compacted, dropped, "{line}");
        }
        let feeds = &self.engine.feeds;
        self.up_since = feeds.is_delivering().then(|| self.up_since.unwrap_or(now));
        self.quoted_since =
            feeds.inspect(|failover| failover.state(now)).is_healthy().then(|| self.quoted_since.unwrap_or(now));
    }

    /// Returns the time up to which the log has all writes, according to the clock of the leader.
    ///
    /// The time is measured since the start of the server. Returns `None` if no gateway has written a message.
    pub(super) fn logged_until(&self, session: &LogSession<B>) -> Option<Duration> {
        let logged = session.follower.last_writes()?.header.now()?;
        let at = self.engine.clock.reading();
        let behind = at.now.as_micros().saturating_sub(logged.as_micros());
        Some(at.elapsed.saturating_sub(Duration::from_micros(behind.try_into().unwrap_or(0))))
    }

    /// Returns the time up to which the log has all writes, even if the clocks of the gateways differ.
    ///
    /// Returns `None` if this gateway is not the standby or if the feed of the leader is down.
    pub(super) fn surely_logged(&self, session: &LogSession<B>) -> Option<Duration> {
        let is_standby = matches!(session.lease, Lease::Standby);
        let logged = self.logged_until(session).filter(|_| is_standby && !session.leader_feed_is_down())?;
        Some(logged.saturating_sub(MAX_CLOCK_DIFFERENCE))
    }

    /// Returns true if the feed has sent quotes for [`LEASE_TIMEOUT`].
    ///
    /// This gateway may then replace a leader whose feed is down.
    ///
    /// Without this condition, two gateways with unstable feeds would repeatedly take the lease from each other. A feed
    /// that is connected but sends no quotes does not count.
    pub(super) fn has_steady_feed(&self, now: Duration) -> bool {
        self.quoted_since.is_some_and(|since| now.saturating_sub(since) >= LEASE_TIMEOUT)
    }
}
