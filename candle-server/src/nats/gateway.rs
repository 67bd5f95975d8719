//! A gateway: what one feed brings becomes the log that all nodes read.
//!
//! The feed side writes into a engine of this process as on a single machine. What its journal gathers is held here,
//! and sent while this is the gateway that writes; the other gateway of a pair does the same and only holds.
//!
//! The log is the lease. Whoever wrote last holds it as long as it writes, which it does several times a second, also
//! where nothing happens. A standby that hears nothing for [`PATIENCE`] writes an opening of the next epoch right behind
//! the last message it has folded: the broker stores it only if that still is the last, so one of any number succeeds,
//! and whatever the gateway before still sends is refused from then on, whenever it arrives.

mod good_bye;
#[cfg(test)]
mod handing_over;
mod holding;
mod link;
mod sending;
#[cfg(test)]
mod simulation;
mod supply;
mod take_over;

use holding::HOLD;
pub(super) use take_over::Catalogue;

use std::sync::Arc;
use std::time::Duration;

use candle_core::{CoverageRing, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::begin::{Found, Way, begin};
use super::checkpoint::Writer;
use super::delivery::Delivery;
use super::follower::{Follower, Halt, Last, Lost};
use super::log::Log;
use super::message::Writes;
use super::outbox::{MAX_HELD_BYTES, MAX_PIECE_BYTES, Outbox};
use super::tail::Event;
use crate::engine::Engine;
use crate::feeds::Feeds;
use crate::journal::Journal;

/// How often what was recorded is sent: no eye sees it, and twenty messages a second are few.
const CUT: Duration = Duration::from_millis(50);

/// How often a message is sent where there is nothing to tell but the time.
const HEARTBEAT: Duration = Duration::from_millis(200);

/// How long nothing may be heard of the gateway that writes: 25 heartbeats. A broker that elects a leader is silent for
/// 4 to 7 s; then both try, and either may be the one.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the gateway that writes must say that its feed is down before one whose feed is up takes the log from it: where
/// a engine goes silent, one of two notices a little before the other, and there is nothing to tell.
const STARVED: Duration = Duration::from_secs(2);

/// How long to wait before a log that was lost is begun anew, by when there may be a checkpoint behind the loss.
const RETRY: Duration = Duration::from_secs(1);

/// A gateway in its own task.
pub(super) struct Gateway {
    /// What the feed writes into.
    engine: Arc<Engine>,
    journal: Arc<Journal>,
    way: Way,
    /// Whether what the feed does not list is delisted everywhere.
    catalogue: Catalogue,
    outbox: Outbox,
    next_batch: u64,
    /// Since when the feed has been up without a break.
    up_since: Option<Duration>,
    /// Since when quotes have come on its present connection, as many as they should.
    quoted_since: Option<Duration>,
    /// Since when, on the candles' clock, nothing of what it brought was lost on the way here; none where nothing ever was.
    whole_since: Option<Timestamp>,
    /// Whether listings may have been lost there that the log has not been told since.
    lacks_listings: bool,
}

/// The log, and this gateway's standing there.
struct Link {
    log: Log,
    created: i128,
    follower: Follower,
    events: mpsc::Receiver<Event>,
    checkpoint: Found,
    /// When this began.
    begun: Duration,
    /// The place at which the log ended when it was read first; nothing is concluded before that is folded.
    end: Option<u64>,
    /// When a gateway was heard last.
    heard: Duration,
    /// Since when the gateway that writes says that its feed is down.
    down_since: Option<Duration>,
    /// The place of what was written where this one's message was to stand.
    overtaken: Option<u64>,
    /// How many bytes of the log have been read since this began.
    read: u64,
    role: Role,
}

enum Role {
    /// Another gateway writes.
    Standby,
    /// This one tries to be the next.
    Opening(Box<Opening>),
    /// This one writes.
    Active(Box<Active>),
}

/// What is under way.
struct Flight {
    task: JoinHandle<Delivery>,
    header: Writes,
    /// When what it holds was taken from the journal.
    cut: Duration,
    /// Whether it holds the outbox's first piece.
    is_piece: bool,
}

/// An opening that is under way, and what was known before it.
struct Opening {
    flight: Flight,
    before: Option<Writes>,
}

struct Active {
    /// The last message of this gateway that is stored, and its place.
    last: Last,
    /// The place of the opening.
    opened: u64,
    flight: Option<Flight>,
    coverage: CoverageRing,
    sent: Duration,
    writer: Writer,
    reconcile_at: Option<Duration>,
}

impl Gateway {
    pub(super) fn new(engine: Arc<Engine>, journal: Arc<Journal>, way: Way, catalogue: Catalogue) -> Self {
        let outbox = Outbox::new(MAX_HELD_BYTES);
        Self {
            engine,
            journal,
            way,
            catalogue,
            outbox,
            next_batch: 1,
            up_since: None,
            quoted_since: None,
            whole_since: None,
            lacks_listings: false,
        }
    }

    /// Runs until `stop` says so or is gone.
    ///
    /// # Errors
    /// Where the log will not do, or did not take what came last.
    pub(super) async fn run(mut self, mut stop: oneshot::Receiver<()>) -> Result<(), String> {
        let mut cuts = interval(CUT);
        cuts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(mut link) = self.begin(&mut cuts, &mut stop).await? {
            match self.go_on(&mut link, &mut cuts, &mut stop).await {
                Ok(()) => return self.end(&mut link).await,
                Err(Halt::Lost(lost)) => {
                    tracing::warn!(log = %self.way.url, "{lost}: this gateway begins anew");
                    sleep(RETRY).await;
                }
                Err(halt) => return Err(halt.to_string()),
            }
        }
        Ok(())
    }

    /// Comes to the log, and holds meanwhile; `None` where it was stopped before.
    async fn begin(&mut self, cuts: &mut Interval, stop: &mut oneshot::Receiver<()>) -> Result<Option<Link>, String> {
        let way = self.way.clone();
        let source = self.engine.clock.mode();
        let mut beginning = Box::pin(begin(&way, || Feeds::unmonitored(source)));
        let begun = loop {
            tokio::select! {
                _ = &mut *stop => return Ok(None),
                begun = &mut beginning => break begun.map_err(|error| error.to_string())?,
                _ = cuts.tick() => self.hold(None),
            }
        };
        tracing::info!(log = %self.way.url, "the log is there");
        Ok(Some(Link::new(begun, self.now())))
    }

    /// Follows the log and writes it where it is this one's turn, until `stop` says so or is gone.
    async fn go_on(
        &mut self,
        link: &mut Link,
        cuts: &mut Interval,
        stop: &mut oneshot::Receiver<()>,
    ) -> Result<(), Halt> {
        loop {
            tokio::select! {
                _ = &mut *stop => return Ok(()),
                delivery = link.role.delivery() => self.delivered(link, delivery),
                event = link.events.recv() => link.folded(event, self.now())?,
                _ = cuts.tick() => self.turn(link)?,
            }
        }
    }

    fn now(&self) -> Duration {
        self.engine.clock.elapsed()
    }

    /// Takes over what was recorded, and does what is due.
    fn turn(&mut self, link: &mut Link) -> Result<(), Halt> {
        let now = self.now();
        self.hold(self.surely_told(link));
        if link.is_outdone(now) {
            return Err(Halt::Lost(Lost::Gone("another gateway has mended the log".to_owned())));
        }
        match &mut link.role {
            Role::Standby => {
                // What it holds is in the log, or will be: nothing is at risk that it alone has.
                self.journal.record_persisted(now, 0);
                // One whose feed is down tells nothing of what this one may have.
                if !link.says_down()
                    && let Some(told) = self.told_until(link)
                {
                    self.outbox.forget_before(told.saturating_sub(HOLD));
                }
                if link.is_orphaned(now) || (link.is_starved(now) && self.is_fed(now)) {
                    let flight = self.open(link, link.expected());
                    let before = link.follower.last().map(|last| last.writes.clone());
                    link.role = Role::Opening(Box::new(Opening { flight, before }));
                }
            }
            Role::Opening(_) => {}
            Role::Active(active) => {
                // A checkpoint from before the opening would be of another log where that one was torn.
                if link.follower.position() >= active.opened {
                    active.writer.turn(&link.follower, now, link.read);
                }
                if std::mem::take(&mut self.lacks_listings) {
                    self.tell_catalogue(active, &link.follower);
                }
                if active.reconcile_at.is_some_and(|due| due <= now) && self.is_settled(now) {
                    active.reconcile_at = None;
                    self.reconcile(&link.follower);
                }
                self.send(&link.log, active);
            }
        }
        Ok(())
    }

    /// Takes note of what became of what was under way.
    fn delivered(&mut self, link: &mut Link, delivery: Delivery) {
        let now = self.now();
        match (std::mem::replace(&mut link.role, Role::Standby), delivery) {
            (Role::Opening(opening), Delivery::Stored(sequence)) => {
                link.role = Role::Active(Box::new(self.take_over(link, &opening, sequence)));
                // What this one knows is all there is, from here on.
                link.checkpoint = Found::Whole;
            }
            (Role::Opening(mut opening), Delivery::Emptied) => {
                if link.checkpoint == Found::Whole {
                    link.checkpoint = Found::Due;
                }
                opening.flight = self.open(link, 0);
                link.role = Role::Opening(opening);
            }
            (Role::Active(mut active), Delivery::Stored(sequence)) => {
                if let Some(flight) = active.flight.take() {
                    let sent = if flight.is_piece { self.outbox.pop() } else { None };
                    let bytes = sent.as_ref().map_or(0, |(piece, _)| piece.bytes() as u64);
                    // What is still held came after what was sent, and maybe long before that was.
                    let kept_until = sent.filter(|_| !self.outbox.is_empty()).map_or(flight.cut, |(_, until)| until);
                    self.journal.record_persisted(kept_until, bytes);
                    active.last = Last { sequence, writes: flight.header.clone() };
                }
                if self.outbox.front().is_some_and(|piece| piece.bytes() >= MAX_PIECE_BYTES) {
                    self.send(&link.log, &mut active);
                }
                link.role = Role::Active(active);
            }
            (Role::Active(_), Delivery::Overtaken(sequence)) => {
                link.overtaken(sequence, now);
                tracing::warn!(log = %self.way.url, "another gateway writes the log: standing by");
            }
            (Role::Opening(_), Delivery::Overtaken(sequence)) => link.overtaken(sequence, now),
            (Role::Active(_), Delivery::Emptied) => {
                tracing::warn!(log = %self.way.url, "nothing is left of what this gateway wrote: it opens the log again");
            }
            (Role::Standby, _) => {}
        }
    }
}

impl Role {
    /// Waits until it is known what became of what is under way; for ever where that is nothing.
    async fn delivery(&mut self) -> Delivery {
        let flight = match self {
            Self::Opening(opening) => Some(&mut opening.flight),
            Self::Active(active) => active.flight.as_mut(),
            Self::Standby => None,
        };
        let Some(flight) = flight else { return std::future::pending().await };
        (&mut flight.task)
            .await
            .expect("it does not panic, and is called off only with the flight that is borrowed here")
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
