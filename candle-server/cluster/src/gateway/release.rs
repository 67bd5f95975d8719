//! Ends a gateway, which releases its lease so that the standby can claim it at once.

use tokio::time::timeout;

use super::Gateway;
use super::lease::{Lease, LogSession};
use super::timing::RELEASE_TIMEOUT;
use crate::broker::Broker;
use crate::message::LeaseAction;
use crate::outbox::Outbox;

impl<B: Broker> Gateway<B> {
    /// Ends the gateway. A leader first publishes its writes and releases its lease, for at most [`RELEASE_TIMEOUT`].
    ///
    /// # Errors
    /// The number of lost quotes, if only this gateway has them and the broker did not store them in time.
    pub(super) async fn end(&mut self, session: &mut LogSession<B>) -> Result<(), String> {
        if timeout(RELEASE_TIMEOUT, self.release(session)).await.is_ok() {
            return Ok(());
        }
        match self.unpublished_quotes(session) {
            0 => {
                tracing::warn!("the lease is not released, because the broker did not answer in time");
                Ok(())
            }
            quotes => Err(format!("the last {quotes} quotes are lost, because the broker did not store them in time")),
        }
    }

    /// Publishes the remaining writes and releases the lease.
    ///
    /// If a claim of this gateway is in flight, the gateway first waits for the result, because its outbox may contain
    /// the only copy of some writes.
    pub(super) async fn release(&mut self, session: &mut LogSession<B>) {
        self.buffer(self.surely_logged(session));
        while !matches!(session.lease, Lease::Standby) {
            if let Lease::Leading(leadership) = &mut session.lease
                && leadership.in_flight.is_none()
            {
                let action = if self.outbox.is_empty() { LeaseAction::Release } else { LeaseAction::Renew };
                leadership.in_flight = Some(self.publish_next(&session.broker, leadership, action));
            }
            let delivery = session.lease.delivery().await;
            self.on_delivery(session, delivery);
            if let Lease::Leading(leadership) = &session.lease
                && leadership.last_writes.header.lease == LeaseAction::Release
            {
                return;
            }
        }
    }

    /// Returns the number of quotes that only this gateway has. The leader has all quotes of a standby.
    fn unpublished_quotes(&self, session: &LogSession<B>) -> usize {
        match &session.lease {
            Lease::Standby => 0,
            Lease::Claiming(_) => {
                let mut unpublished = Outbox::new(usize::MAX);
                unpublished.append_new(&self.outbox, &session.follower, self.engine.clock.now());
                unpublished.ticks()
            }
            Lease::Leading(_) => self.outbox.ticks(),
        }
    }
}
