//! How a gateway ends.

use std::time::Duration;

use tokio::time::timeout;

use super::{Gateway, Link, Role};
use crate::nats::message::Stage;
use crate::nats::outbox::Outbox;

/// The longest that a good-bye may take.
pub(super) const GOOD_BYE: Duration = Duration::from_secs(3);

impl Gateway {
    /// Ends, with a good-bye if there is time.
    ///
    /// # Errors
    /// Where quotes are left that the log lacks, and that no other gateway is known to tell.
    pub(super) async fn end(&mut self, link: &mut Link) -> Result<(), String> {
        if timeout(GOOD_BYE, self.say_good_bye(link)).await.is_ok() {
            return Ok(());
        }
        match self.unsaid(link) {
            0 => {
                tracing::warn!("the log did not take the good-bye in time");
                Ok(())
            }
            quotes => Err(format!("the log did not take the last {quotes} quotes in time")),
        }
    }

    /// Sends what is left, and lets the next gateway know that it need not wait. One that is about to write does that first:
    /// maybe nobody else has what it holds.
    pub(super) async fn say_good_bye(&mut self, link: &mut Link) {
        self.hold(self.surely_told(link));
        while !matches!(link.role, Role::Standby) {
            if let Role::Active(active) = &mut link.role
                && active.flight.is_none()
            {
                let stage = if self.outbox.is_empty() { Stage::Closing } else { Stage::Going };
                let flight = self.next(&link.log, active, stage);
                active.flight = Some(flight);
            }
            let delivery = link.role.delivery().await;
            self.delivered(link, delivery);
            if let Role::Active(active) = &link.role
                && active.last.writes.stage == Stage::Closing
            {
                return;
            }
        }
    }

    /// How many quotes it holds that the log lacks; none where another gateway tells them.
    fn unsaid(&self, link: &Link) -> usize {
        match &link.role {
            Role::Standby => 0,
            Role::Opening(_) => {
                let mut lacking = Outbox::new(usize::MAX);
                lacking.append_new(&self.outbox, &link.follower, self.engine.clock.now());
                lacking.ticks()
            }
            Role::Active(_) => self.outbox.ticks(),
        }
    }
}
