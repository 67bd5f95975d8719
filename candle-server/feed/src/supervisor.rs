//! The supervisor: reads one feed at a time, reconnects it, and switches feeds when the active one fails.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use candle_engine::Engine;
use candle_engine::feeds::failover::Action;
use candle_engine::feeds::health::State;
use candle_engine::journal::Journal;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::backoff::Backoff;
use crate::intake::Intake;
use crate::partner::{Connect, Partner};
use crate::probe::{CHECK_INTERVAL, STALLED, probe};
use crate::source::websocket::Frame;
use crate::source::{ConnectionError, Connector, Source, WebSocketConnector, demo, lines};
use crate::url::{FeedUrl, Pace};

/// Reads one feed at a time and records its quotes in the engine, until a feed ends.
///
/// When the active feed fails, the function reads the next feed. When the first feed has recovered, the function reads
/// the first feed again. Files and standard input end. A live feed is reconnected instead.
pub async fn run(engine: Arc<Engine>, feeds: &[FeedUrl]) {
    run_with(&WebSocketConnector, engine, feeds).await;
}

/// Reads the feeds like [`run`], but over connections that `connector` opens.
pub async fn run_with<C: Connector>(connector: &C, engine: Arc<Engine>, feeds: &[FeedUrl]) {
    engine.started().await;
    // An earlier process may have recorded the catalogue of one of these feeds.
    let last_connected = engine.journal().and_then(Journal::last_feed).and_then(|name| engine.feeds.index_of(&name));
    let intake = Intake::new(Arc::clone(&engine));
    let mut supervisor = Supervisor {
        intake: if feeds.len() > 1 { intake.with_deduplication() } else { intake },
        connector,
        engine,
        feeds,
        backoffs: feeds.iter().map(|_| Backoff::new()).collect(),
        last_connected,
    };
    let mut active = 0;
    let mut source = None;
    while let Some(switch) = Box::pin(supervisor.read_until_switch(active, source.take())).await {
        match switch {
            Switch::To(next) => active = next,
            Switch::FailBack(recovered) => {
                active = 0;
                source = Some(recovered);
            }
        }
        supervisor.switch_to(active);
    }
}

/// Monitors a feed that another task reads, and logs each change of its state.
pub async fn watch_external(engine: &Engine, name: &str) {
    engine.started().await;
    engine.feeds.opened(0, Vec::new(), engine.clock.reading());
    // The feed cannot be reconnected from here, so the watchdog's result is ignored.
    loop {
        watchdog(engine, &name, 0, false).await;
    }
}

/// The state of the supervisor between two connections.
struct Supervisor<'f, C> {
    connector: &'f C,
    engine: Arc<Engine>,
    feeds: &'f [FeedUrl],
    intake: Intake,
    backoffs: Box<[Backoff]>,
    /// The index of the feed that was connected last.
    last_connected: Option<usize>,
}

/// The decision to stop reading the active feed before it ends.
enum Switch<S> {
    /// Read the feed with this index, which may be the active one.
    To(usize),
    /// Read the first feed, over this connection.
    FailBack(S),
}

/// The reason why a connection, a file or a demo is not read any further.
enum ReadEnd {
    /// The input has ended.
    Finished,
    /// A file or standard input cannot be read.
    Failed(io::Error),
    /// The connection ended, or could not be opened. `healthy_for` is set if the connection was open.
    Disconnected { error: ConnectionError, healthy_for: Option<Duration> },
}

impl<C: Connector> Supervisor<'_, C> {
    fn switch_to(&mut self, next: usize) {
        self.intake.switched();
        self.engine.feeds.update(|failover| failover.switched_to(next, self.engine.clock.reading()));
        tracing::warn!(feed = %self.feeds[next], "switching to this feed");
    }

    /// Reads and reconnects the feed `active` until another feed should be read. Returns `None` when the feed has
    /// ended.
    ///
    /// `source` is an open connection to this feed, if there is one.
    async fn read_until_switch(&mut self, active: usize, mut source: Option<C::Source>) -> Option<Switch<C::Source>> {
        let engine = Arc::clone(&self.engine);
        let mut switch = pin!(next_switch(self.connector, &engine, self.feeds, active));
        loop {
            let end = match self.read(active, source.take(), switch.as_mut()).await {
                Ok(end) => end,
                Err(switch) => return Some(switch),
            };
            let feed = &self.feeds[active];
            match end {
                ReadEnd::Finished => tracing::info!(%feed, "the feed has ended; the server keeps serving"),
                ReadEnd::Failed(error) => tracing::error!(%feed, "cannot read the feed: {error}"),
                ReadEnd::Disconnected { error, healthy_for } => {
                    engine.feeds.update(|failover| failover.lost(active, error.loss(), engine.clock.reading()));
                    let wait = self.backoffs[active].after(healthy_for.unwrap_or_default(), fastrand::u64(..));
                    tracing::warn!(%feed, reason = error.reason(), ?wait, "feed disconnected: {error}");
                    if let Err(switch) = unless_switched(switch.as_mut(), sleep(wait)).await {
                        return Some(switch);
                    }
                    continue;
                }
            }
            engine.feeds.update(|failover| failover.ended(active, engine.clock.reading()));
            return None;
        }
    }

    /// Reads the feed `active` over one connection until the connection ends.
    async fn read(
        &mut self,
        active: usize,
        source: Option<C::Source>,
        mut switch: PendingSwitch<'_, C::Source>,
    ) -> Result<ReadEnd, Switch<C::Source>> {
        let feed = &self.feeds[active];
        let opening = async {
            match source {
                Some(source) => Some(Ok(source)),
                None => self.open(active).await,
            }
        };
        let mut source = match unless_switched(switch.as_mut(), opening).await? {
            Some(Ok(source)) => source,
            Some(Err(error)) => return Ok(ReadEnd::Disconnected { error, healthy_for: None }),
            None => return unless_switched(switch, play(&mut self.intake, feed)).await,
        };
        tracing::info!(%feed, "connected");
        let connect = if self.last_connected == Some(active) { Connect::Again } else { Connect::First };
        self.last_connected = Some(active);
        if let Some(journal) = self.engine.journal() {
            journal.record_feed(self.engine.feeds.name(active));
        }
        let FeedUrl::Partner { .. } = feed else {
            return unless_switched(switch, read_single(&mut self.intake, &mut source)).await;
        };
        let mut partner = Partner::new(&mut self.intake);
        partner.connected(connect, self.engine.clock.elapsed());
        let end = unless_switched(switch, read_partner(&mut partner, &self.engine, &mut source)).await;
        partner.disconnected();
        end
    }

    /// Opens the feed `active`. Returns `None` for a demo, a file and standard input, which have no connection.
    async fn open(&self, active: usize) -> Option<Result<C::Source, ConnectionError>> {
        let Engine { feeds, clock, .. } = &*self.engine;
        feeds.update(|failover| failover.connecting(active, clock.reading()));
        let Some(endpoint) = self.feeds[active].endpoint() else {
            feeds.opened(active, Vec::new(), clock.reading());
            return None;
        };
        // Boxed, because the state of two handshakes is large and is needed only until the connection is open.
        let source = Box::pin(self.connector.connect(endpoint)).await;
        if let Ok(source) = &source {
            feeds.opened(active, source.last_heard(), clock.reading());
        }
        Some(source)
    }
}

/// Sends the quotes of a demo, a file or standard input to `intake` until the input ends.
async fn play(intake: &mut Intake, feed: &FeedUrl) -> ReadEnd {
    let played = match feed {
        FeedUrl::Demo(options) => {
            demo::play(intake, options).await;
            Ok(())
        }
        FeedUrl::File { path, pace } => match lines::open(path) {
            Ok(file) => lines::play(intake, tokio::fs::File::from_std(file), *pace).await,
            Err(error) => Err(error),
        },
        FeedUrl::Stdin => lines::play(intake, tokio::io::stdin(), Pace::Full).await,
        FeedUrl::WebSocket(_) | FeedUrl::Partner { .. } => Ok(()),
    };
    match played {
        Ok(()) => ReadEnd::Finished,
        Err(error) => ReadEnd::Failed(error),
    }
}

/// Reads one WebSocket of quotes until it ends.
async fn read_single(intake: &mut Intake, source: &mut impl Source) -> ReadEnd {
    intake.connected();
    loop {
        match source.frames().await {
            Ok(frames) => intake.frames(frames.iter().map(Frame::bytes)),
            Err(error) => return ReadEnd::Disconnected { error, healthy_for: Some(source.healthy_for()) },
        }
    }
}

/// Reads a partner's two WebSockets until either ends.
async fn read_partner(partner: &mut Partner<'_>, engine: &Engine, source: &mut impl Source) -> ReadEnd {
    loop {
        let due = partner.deadline().map(|due| due.saturating_sub(engine.clock.elapsed()));
        let frames = tokio::select! {
            // Frames have priority, because they may contain the `ADD` that a quote waits for.
            biased;
            frames = source.frames() => frames,
            () = sleep(due.unwrap_or_default()), if due.is_some() => Ok(&[][..]),
        };
        let now = engine.clock.elapsed();
        match frames {
            Ok(frames) => partner.frames(frames.iter().map(Frame::bytes), now),
            Err(error) => return ReadEnd::Disconnected { error, healthy_for: Some(source.healthy_for()) },
        }
        partner.expire(now);
    }
}

/// A future that resolves when another feed, or another connection to the active feed, should be read.
type PendingSwitch<'s, S> = Pin<&'s mut dyn Future<Output = Switch<S>>>;

/// Waits for `work`, and returns its output. Returns a switch instead if the switch is ready first.
async fn unless_switched<T, S>(switch: PendingSwitch<'_, S>, work: impl Future<Output = T>) -> Result<T, Switch<S>> {
    tokio::select! {
        // A fixed polling order keeps simulations reproducible.
        biased;
        switch = switch => Err(switch),
        output = work => Ok(output),
    }
}

/// Waits until the active feed fails or the first feed has recovered. Returns the switch to make.
async fn next_switch<C: Connector>(
    connector: &C,
    engine: &Engine,
    feeds: &[FeedUrl],
    active: usize,
) -> Switch<C::Source> {
    let recovered = async {
        if active == 0 {
            return std::future::pending().await;
        }
        probe(connector, engine, 0, &feeds[0]).await
    };
    let can_reconnect = feeds[active].endpoint().is_some();
    tokio::select! {
        // A recovered first feed has priority over the next feed.
        biased;
        source = recovered => Switch::FailBack(source),
        next = watchdog(engine, &feeds[active], active, can_reconnect) => Switch::To(next),
    }
}

/// Checks the active feed, logs its changes of state, and returns the index of the feed to read instead.
async fn watchdog(engine: &Engine, feed: &impl fmt::Display, active: usize, can_reconnect: bool) -> usize {
    let mut checks = interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut logged = None;
    loop {
        checks.tick().await;
        let at = engine.clock.reading();
        engine.feeds.update(|failover| failover.refresh(at));
        let action = engine.feeds.inspect(|failover| failover.action(at.elapsed));
        let state = engine.feeds.inspect(|failover| failover.state(at.elapsed));
        if logged != Some(state) {
            match state {
                State::Silent | State::Slow | State::Lagging => tracing::warn!(%feed, "the feed is {}", state.name()),
                _ => tracing::info!(%feed, "the feed is {}", state.name()),
            }
            logged = Some(state);
        }
        match action {
            Some(Action::FailOver(next)) => return next,
            Some(Action::Reconnect) if can_reconnect => {
                engine.feeds.update(|failover| failover.lost(active, STALLED, at));
                return active;
            }
            _ => {}
        }
    }
}
