//! What a gateway holds of what its feed brings, and for how long.

use std::time::Duration;

use super::{Gateway, Link, PATIENCE, Role};
use crate::journal::Drained;

/// How much a standby holds of what came before the last that the log tells: what the gateways' clocks and ways may
/// differ by, and what that gateway's feed lacked before it was known to be down.
pub(super) const HOLD: Duration = Duration::from_secs(30);

/// By how much two gateways' clocks and ways surely differ less: what came longer ago than this before the last that the
/// log tells need not be held where there is no room for it.
const APART: Duration = Duration::from_secs(2);

impl Gateway {
    /// Takes over what the feed side has recorded since the last time. The log has what came before `told`; where none is
    /// given, this may be the only one that has it.
    pub(super) fn hold(&mut self, told: Option<Duration>) {
        let now = self.now();
        match self.journal.drain() {
            Drained::Batch(batch) => {
                if batch.clears() {
                    // What was lost before is forgotten with the rest.
                    self.whole_since = None;
                }
                self.outbox.push(&batch, now);
            }
            Drained::Suspended => {
                self.journal.resume();
                self.whole_since = Some(self.engine.clock.now());
                self.lacks_listings = true;
                tracing::error!("quotes came faster than they could be held; some are lost");
            }
        }
        // The log has it as another one's feed brought it. That this one covered those minutes can't be told any more.
        let forgotten = told.and_then(|told| self.outbox.forget_excess(told));
        self.whole_since = self.whole_since.max(forgotten);
        let given = self.outbox.make_room(self.engine.aggregator.config().rules());
        self.whole_since = self.whole_since.max(given.dropped_until);
        if given.folded > 0 || given.dropped > 0 {
            let (folded, dropped) = (given.folded, given.dropped);
            // Also where this one stands by: what the log has went before.
            let what = "the log lacks more than can be held: quotes are folded into their minutes' prices";
            tracing::warn!(folded, dropped, "{what}");
        }
        let feeds = &self.engine.feeds;
        self.up_since = feeds.is_delivering().then(|| self.up_since.unwrap_or(now));
        self.quoted_since =
            feeds.inspect(|failover| failover.state(now)).is_healthy().then(|| self.quoted_since.unwrap_or(now));
    }

    /// Up to when, since the server's start, the log has what came: what came later the gateway that writes may not have
    /// told. Nothing where no gateway has told anything.
    pub(super) fn told_until(&self, link: &Link) -> Option<Duration> {
        let told = link.follower.last()?.writes.now()?;
        let at = self.engine.clock.reading();
        let behind = at.now.as_micros().saturating_sub(told.as_micros());
        Some(at.elapsed.saturating_sub(Duration::from_micros(behind.try_into().unwrap_or(0))))
    }

    /// Up to when the log has what came here, also by the clock of whoever told it; nothing where this gateway writes,
    /// and holds only what the log lacks, or where the one that does says that its feed is down.
    pub(super) fn surely_told(&self, link: &Link) -> Option<Duration> {
        let is_standby = matches!(link.role, Role::Standby);
        let told = self.told_until(link).filter(|_| is_standby && !link.says_down())?;
        Some(told.saturating_sub(APART))
    }

    /// Whether the feed has brought quotes for long enough to be preferred to one that is down: so long that two which come
    /// and go don't take the log from each other all the time. A connection that brings nothing is up until it turns out to
    /// be silent, and is not to be preferred to anything.
    pub(super) fn is_fed(&self, now: Duration) -> bool {
        self.quoted_since.is_some_and(|since| now.saturating_sub(since) >= PATIENCE)
    }
}
