//! Which feed is read, and what happens when it fails.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::backoff::Backoff;
use super::failover::Action;
use super::health::State;
use super::intake::Intake;
use super::partner::{Connect, Partner};
use super::probe::{LOOK_EVERY, STALLED, probe};
use super::source::{Source, bytes};
use super::url::{FeedUrl, Pace};
use super::websocket::Ended;
use super::{lines, pace};
use crate::engine::Engine;

/// Reads the feeds into the engine, one at a time: the first one, the next in order where one fails, and the first one
/// again when it is well. Returns when one came to its end, as files do.
pub async fn run(engine: Arc<Engine>, feeds: &[FeedUrl]) {
    engine.started().await;
    // The process before may have left what the feed announced to it.
    let last_connected =
        engine.journal().and_then(|journal| journal.last_feed()).and_then(|name| engine.feeds.index_of(&name));
    let intake = Intake::new(Arc::clone(&engine));
    let mut supervisor = Supervisor {
        intake: if feeds.len() > 1 { intake.for_turns() } else { intake },
        engine,
        feeds,
        backoffs: feeds.iter().map(|_| Backoff::new()).collect(),
        last_connected,
    };
    let mut place = 0;
    let mut opened = None;
    loop {
        match Box::pin(supervisor.read_while_well(place, opened.take())).await {
            Left::Finished => return,
            Left::Ordered(Order::TurnTo(next)) => place = next,
            Left::Ordered(Order::ComeBack(source)) => {
                place = 0;
                opened = Some(source);
            }
        }
        supervisor.turn_to(place);
    }
}

/// Reads one feed after the other.
struct Supervisor<'f> {
    engine: Arc<Engine>,
    feeds: &'f [FeedUrl],
    /// Given away while a feed is read, and back afterwards.
    intake: Intake,
    backoffs: Box<[Backoff]>,
    /// The feed that was connected last.
    last_connected: Option<usize>,
}

/// Why a feed is not read any more.
enum Left {
    /// It came to its end, or can't be read on.
    Finished,
    /// There is a better one.
    Ordered(Order),
}

/// What to read instead.
enum Order {
    /// The feed at this place.
    TurnTo(usize),
    /// The first feed, by this connection.
    ComeBack(Source),
}

/// How the reading of a connection ended.
enum Read {
    /// There is no more.
    Finished,
    /// A file or standard input broke.
    Failed(std::io::Error),
    /// A socket is gone, or never was there; `healthy_for` tells how long it brought data, if it was connected.
    Lost { ended: Ended, healthy_for: Option<Duration> },
}

impl Supervisor<'_> {
    fn turn_to(&mut self, place: usize) {
        self.intake.turned();
        self.engine.feeds.update(|failover| failover.switched_to(place, self.engine.clock.reading()));
        tracing::warn!(feed = %self.feeds[place], "turning to this feed");
    }

    /// Reads the feed at `place`, by the connection `opened` to begin with, until another one is the better choice.
    async fn read_while_well(&mut self, place: usize, mut opened: Option<Source>) -> Left {
        let engine = Arc::clone(&self.engine);
        let mut orders = pin!(orders(&engine, self.feeds, place));
        loop {
            let read = match self.read(place, opened.take(), orders.as_mut()).await {
                Ok(read) => read,
                Err(order) => return Left::Ordered(order),
            };
            let feed = &self.feeds[place];
            match read {
                Read::Finished => tracing::info!(%feed, "the feed came to its end; serving goes on"),
                Read::Failed(error) => tracing::error!(%feed, "the feed can't be read on: {error}"),
                Read::Lost { ended, healthy_for } => {
                    engine.feeds.update(|failover| failover.lost(place, ended.loss(), engine.clock.reading()));
                    let wait = self.backoffs[place].after(healthy_for.unwrap_or_default(), fastrand::u64(..));
                    tracing::warn!(%feed, reason = ended.reason(), ?wait, "the feed is lost: {ended}");
                    if let Err(order) = unless(orders.as_mut(), sleep(wait)).await {
                        return Left::Ordered(order);
                    }
                    continue;
                }
            }
            engine.feeds.update(|failover| failover.ended(place, engine.clock.reading()));
            return Left::Finished;
        }
    }

    /// Reads the feed at `place` by one connection, until that ends or an order comes.
    async fn read(&mut self, place: usize, opened: Option<Source>, mut orders: Orders<'_>) -> Result<Read, Order> {
        let engine = Arc::clone(&self.engine);
        let feed = &self.feeds[place];
        let opening = async {
            if let Some(source) = opened {
                return Some(Ok(source));
            }
            engine.feeds.update(|failover| failover.connecting(place, engine.clock.reading()));
            let source = Source::open(feed).await;
            if let Some(Ok(source)) = &source {
                engine.feeds.opened(place, source.last_heard(), engine.clock.reading());
            }
            source
        };
        let mut source = match unless(orders.as_mut(), opening).await? {
            Some(Ok(source)) => source,
            Some(Err(ended)) => return Ok(Read::Lost { ended, healthy_for: None }),
            None => {
                engine.feeds.opened(place, Vec::new(), engine.clock.reading());
                return unless(orders, play(&mut self.intake, feed)).await;
            }
        };
        tracing::info!(%feed, "connected");
        let connect = if self.last_connected == Some(place) { Connect::Again } else { Connect::Fresh };
        self.last_connected = Some(place);
        if let Some(journal) = engine.journal() {
            journal.record_feed(engine.feeds.name(place));
        }
        let FeedUrl::Partner { .. } = feed else {
            return unless(orders, follow(&mut self.intake, &mut source)).await;
        };
        let intake = std::mem::replace(&mut self.intake, Intake::new(Arc::clone(&engine)));
        let mut partner = Partner::new(intake);
        partner.connected(connect, engine.clock.elapsed());
        let read = unless(orders, accompany(&mut partner, &mut source)).await;
        self.intake = partner.into_intake();
        read
    }
}

/// Plays what is not connected to, to its end.
async fn play(intake: &mut Intake, feed: &FeedUrl) -> Read {
    let played = match feed {
        FeedUrl::Demo(options) => {
            pace::run(intake, options).await;
            Ok(())
        }
        FeedUrl::File { path, pace } => match lines::open(path) {
            Ok(file) => lines::run(intake, tokio::fs::File::from_std(file), *pace).await,
            Err(error) => Err(error),
        },
        FeedUrl::Stdin => lines::run(intake, tokio::io::stdin(), Pace::Full).await,
        FeedUrl::WebSocket(_) | FeedUrl::Partner { .. } => Ok(()),
        // Whoever follows the log writes it into the engine.
        #[cfg(feature = "nats")]
        FeedUrl::Log(_) => std::future::pending().await,
    };
    match played {
        Ok(()) => Read::Finished,
        Err(error) => Read::Failed(error),
    }
}

/// Reads one WebSocket until it is lost.
async fn follow(intake: &mut Intake, source: &mut Source) -> Read {
    intake.connected();
    loop {
        match source.run().await {
            Ok(run) => intake.frames(run.iter().map(bytes)),
            Err(ended) => return Read::Lost { ended, healthy_for: Some(source.healthy_for()) },
        }
    }
}

/// Reads a partner's two WebSockets until either is lost.
async fn accompany(partner: &mut Partner, source: &mut Source) -> Read {
    let engine = Arc::clone(partner.engine());
    loop {
        let due = partner.deadline().map(|due| due.saturating_sub(engine.clock.elapsed()));
        let run = tokio::select! {
            // What has come may be what a quote waits for; what is due is done after each run in any case.
            biased;
            run = source.run() => run,
            () = sleep(due.unwrap_or_default()), if due.is_some() => Ok(&[][..]),
        };
        let now = engine.clock.elapsed();
        match run {
            Ok(run) => partner.frames(run.iter().map(bytes), now),
            Err(ended) => return Read::Lost { ended, healthy_for: Some(source.healthy_for()) },
        }
        partner.pass(now);
    }
}

/// Resolves when another feed, or another connection to this one, should be read instead.
type Orders<'o> = Pin<&'o mut dyn Future<Output = Order>>;

/// The outcome of `reading`, unless an order comes first.
async fn unless<T>(orders: Orders<'_>, reading: impl Future<Output = T>) -> Result<T, Order> {
    tokio::select! {
        // What is left is not read on; and which comes first is no chance, so that a life can be lived again.
        biased;
        order = orders => Err(order),
        read = reading => Ok(read),
    }
}

/// Watches the active feed, at `place`, and the first feed if that is another one.
async fn orders(engine: &Engine, feeds: &[FeedUrl], place: usize) -> Order {
    let come_back = async {
        if place == 0 {
            return std::future::pending().await;
        }
        probe(engine, 0, &feeds[0]).await
    };
    tokio::select! {
        // The first feed, if it is there, is better than the next one.
        biased;
        source = come_back => Order::ComeBack(source),
        next = watchdog(engine, feeds, place) => Order::TurnTo(next),
    }
}

/// Looks at the active feed, says in the log how its state changes, and returns which feed to turn to.
async fn watchdog(engine: &Engine, feeds: &[FeedUrl], place: usize) -> usize {
    let feed = &feeds[place];
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = None;
    loop {
        looks.tick().await;
        let at = engine.clock.reading();
        engine.feeds.update(|failover| failover.refresh(at));
        let verdict = engine.feeds.inspect(|failover| failover.action(at.elapsed));
        let state = engine.feeds.inspect(|failover| failover.state(at.elapsed));
        if known != Some(state) {
            match state {
                State::Silent | State::Slow | State::Lagging => tracing::warn!(%feed, "the feed is {}", state.name()),
                _ => tracing::info!(%feed, "the feed is {}", state.name()),
            }
            known = Some(state);
        }
        match verdict {
            Some(Action::FailOver(next)) => return next,
            Some(Action::Reconnect) if feed.is_connection() => {
                engine.feeds.update(|failover| failover.lost(place, STALLED, at));
                return place;
            }
            _ => {}
        }
    }
}
