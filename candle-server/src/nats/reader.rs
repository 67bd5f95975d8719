//! A read node: folds the log, serves everything, and tells which views its readers make.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

use super::begin::{Begun, Way, begin};
use super::follower::{Folded, Follower, Halt, Lost};
use super::log::{Log, Sent};
use super::message::ClockOf;
use super::tail::Event;
use crate::clock::Reading;
use crate::engine::Engine;
use crate::feeds::Feeds;

/// How often views are told: what a kill loses of them.
const TELL_VIEWS: Duration = Duration::from_secs(1);

/// How many messages of views wait at most: as many as it takes to tell of 100,000 instruments with the longest ids.
const TOLD_AT_ONCE: usize = 20;

/// The log is silent when nothing is heard for so long: ten heartbeats of a gateway.
const SILENT: Duration = Duration::from_secs(2);

/// How long to wait before views are told again.
const RETRY: Duration = Duration::from_millis(200);

/// How long to wait before a log that was lost is begun anew, by when there may be a checkpoint behind the loss.
const BEGIN_ANEW: Duration = Duration::from_secs(1);

/// How long readers may go on to be answered out of a engine whose place another one has taken: until each thread that
/// answers has looked.
const TURN: Duration = Duration::from_secs(1);

/// The longest that the telling of the last views may take.
const GOOD_BYE: Duration = Duration::from_secs(2);

/// A read node: the way to the log, and the engine that is shown meanwhile.
///
/// Where the log is lost it is begun anew. The engine that was shown stands still until the next one is caught up.
pub(super) struct Node<W, F> {
    way: W,
    feeds: F,
    engines: watch::Sender<Option<Arc<Engine>>>,
    /// Whose engine is shown, where its log is lost.
    shown: Option<Reader>,
    /// Those whose engines were shown before, while they tell their last views.
    leaving: JoinSet<()>,
    ticks: Interval,
    stop: oneshot::Receiver<()>,
}

impl<W: Fn() -> Way, F: Fn() -> Feeds> Node<W, F> {
    /// A node that comes to the log by `way`, another one each time, and hands out its `engines` when they are caught up.
    pub(super) fn new(
        way: W,
        feeds: F,
        engines: watch::Sender<Option<Arc<Engine>>>,
        stop: oneshot::Receiver<()>,
    ) -> Self {
        let mut ticks = interval(TELL_VIEWS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { way, feeds, engines, shown: None, leaving: JoinSet::new(), ticks, stop }
    }

    /// Follows the log until `stop` says so or is gone.
    ///
    /// # Errors
    /// Where this process can't follow any further.
    pub(super) async fn run(mut self) -> Result<(), String> {
        while let Some(begun) = self.begin().await? {
            let mut reader = Reader::new(begun);
            let ended = self.follow(&mut reader).await;
            if reader.is_shown {
                reader.events.close();
                self.shown = Some(reader);
            }
            match ended {
                Ok(()) => break,
                Err(Halt::Lost(lost)) => {
                    tracing::warn!("{lost}: this server begins anew");
                    sleep(BEGIN_ANEW).await;
                }
                Err(halt) => return Err(halt.to_string()),
            }
        }
        if let Some(shown) = self.shown {
            shown.say_good_bye().await;
        }
        self.leaving.join_all().await;
        Ok(())
    }

    /// Comes to the log; `None` where it was stopped before.
    async fn begin(&mut self) -> Result<Option<Begun>, String> {
        let way = (self.way)();
        let mut beginning = Box::pin(begin(&way, &self.feeds));
        loop {
            tokio::select! {
                begun = &mut beginning => return begun.map(Some).map_err(|error| error.to_string()),
                _ = self.ticks.tick() => self.shown.iter_mut().for_each(Reader::turn),
                _ = &mut self.stop => return Ok(None),
            }
        }
    }

    /// Follows the log until `stop` says so or is gone.
    async fn follow(&mut self, reader: &mut Reader) -> Result<(), Halt> {
        loop {
            tokio::select! {
                event = reader.events.recv() => {
                    reader.take(event)?;
                    self.show(reader);
                }
                _ = self.ticks.tick() => self.shown.iter_mut().chain([&mut *reader]).for_each(Reader::turn),
                _ = &mut self.stop => return Ok(()),
            }
        }
    }

    /// Hands the engine out once it is caught up.
    fn show(&mut self, reader: &mut Reader) {
        if reader.is_shown || !reader.is_caught_up() {
            return;
        }
        reader.is_shown = true;
        let engine = reader.follower.engine();
        if reader.follower.says_what_is_old() {
            engine.aggregator.forget_arrivals();
        }
        tracing::info!(instruments = engine.aggregator.len(), took = ?engine.clock.elapsed(), "caught up with the log");
        self.engines.send_replace(Some(Arc::clone(engine)));
        if let Some(before) = self.shown.take() {
            self.leaving.spawn(async {
                sleep(TURN).await;
                before.say_good_bye().await;
            });
        }
    }
}

/// Folds the log, and tells views.
struct Reader {
    follower: Follower,
    events: mpsc::Receiver<Event>,
    /// How many messages there are behind the last one that is folded, once that is known.
    pending: Option<u64>,
    /// Whether the engine was handed out.
    is_shown: bool,
    views: mpsc::Sender<(u64, Bytes)>,
    telling: JoinHandle<()>,
    next_batch: u64,
    heard: Duration,
}

impl Reader {
    fn new(begun: Begun) -> Self {
        let Begun { log, follower, events, .. } = begun;
        let heard = follower.engine().clock.elapsed();
        let (views, told) = mpsc::channel(TOLD_AT_ONCE);
        let telling = tokio::spawn(tell(log, follower.node(), told));
        Self { follower, events, pending: None, is_shown: false, views, telling, next_batch: 1, heard }
    }

    fn take(&mut self, event: Option<Event>) -> Result<(), Halt> {
        match event {
            Some(Event::Message(entry)) => {
                let folded = self.follower.fold(entry.sequence, &entry.payload)?;
                // Other nodes' views come too where no gateway is.
                if folded.is_written {
                    self.heard = self.follower.engine().clock.elapsed();
                }
                self.pending = Some(entry.pending);
                if self.is_shown {
                    self.tell_feeds(folded);
                }
            }
            Some(Event::End(end)) => {
                self.follower.ends_at(end)?;
                self.pending = Some(0);
            }
            Some(Event::Gone(why)) => return Err(Halt::Lost(Lost::Gone(why))),
            None => return Err(Halt::Lost(Lost::Gone("the log can't be read any more".to_owned()))),
        }
        Ok(())
    }

    /// Whether this is where the log is. Not before a gateway has been heard of: it makes the checkpoint before it writes.
    fn is_caught_up(&self) -> bool {
        self.pending == Some(0) && self.follower.last().is_some()
    }

    /// Lets the feeds know what came, and how long its way was.
    fn tell_feeds(&self, folded: Folded) {
        let engine = self.follower.engine();
        let Some(last) = self.follower.last().filter(|_| folded.is_written) else { return };
        let newest = last.writes.now().filter(|_| last.writes.clock == ClockOf::Wall);
        let at = Reading { elapsed: engine.clock.elapsed(), now: engine.clock.wall() };
        engine.feeds.quoted(folded.accepted, newest, at);
    }

    /// Does what is due each second.
    fn turn(&mut self) {
        let engine = self.follower.engine();
        if engine.clock.elapsed().saturating_sub(self.heard) >= SILENT {
            engine.feeds.log_is_silent();
        }
        // While some are under way the next ones grow.
        if self.views.capacity() < TOLD_AT_ONCE {
            return;
        }
        while let Ok(permit) = self.views.try_reserve()
            && let Some(bytes) = self.follower.take_views(self.next_batch)
        {
            permit.send((self.next_batch, bytes.into()));
            self.next_batch += 1;
        }
    }

    /// Tells the last views.
    async fn say_good_bye(mut self) {
        let telling = async {
            while let Ok(permit) = self.views.reserve().await
                && let Some(bytes) = self.follower.take_views(self.next_batch)
            {
                permit.send((self.next_batch, bytes.into()));
                self.next_batch += 1;
            }
            drop(self.views);
            // It ends when it has told what came last.
            let _ = (&mut self.telling).await;
        };
        if timeout(GOOD_BYE, telling).await.is_err() {
            tracing::warn!("the log did not take the last views in time");
        }
    }
}

/// Tells batches of views one after the other, each until it is stored.
async fn tell(log: Log, node: u64, mut batches: mpsc::Receiver<(u64, Bytes)>) {
    while let Some((batch, bytes)) = batches.recv().await {
        let id = format!("v.{node}.{batch}");
        // Without a connection its client would keep each try, and send all of them once there is one.
        while !(log.is_connected()
            && matches!(log.send(log.views_subject(), &id, None, bytes.clone()).await, Sent::Stored(_)))
        {
            sleep(RETRY).await;
        }
    }
}
