//! Simulates connections: a connector and a source that reproduce the faults in the scenario of their feed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use candle_engine::feeds::last_heard::LastHeard;
use parking_lot::Mutex;
use tokio::time::{sleep, sleep_until};

use super::quotes::{STEP, SimulatedQuote};
use super::scenario::Fault;
use super::world::World;
use super::{Millis, RUN_LENGTH};
use crate::source::websocket::{CONNECT_TIMEOUT, Frame, SILENCE};
use crate::source::{ConnectionError, Connector, Source};
use crate::url::Endpoint;

/// The maximum time to open a connection, in milliseconds.
const LATENCY: Millis = 80;
/// The maximum delay of the catalogue (the list of instruments) after the connect. Some quotes arrive earlier.
const CATALOGUE_DELAY: Millis = 1_000;
/// The length of the period before a connect, in milliseconds. The feed repeats the quotes of this period.
const REPEATED: Millis = 2_000;
/// A dripping feed delivers quotes in one of this many steps.
const DRIP: u64 = 17;

/// A connector to the simulated feeds of a world.
#[derive(Debug)]
pub(super) struct SimulatedConnector {
    world: Arc<Mutex<World>>,
}

impl SimulatedConnector {
    pub(super) const fn new(world: Arc<Mutex<World>>) -> Self {
        Self { world }
    }
}

impl Connector for SimulatedConnector {
    type Source = SimulatedSource;

    async fn connect(&self, endpoint: Endpoint<'_>) -> Result<SimulatedSource, ConnectionError> {
        let (socket, catalogue_delay) = match endpoint {
            Endpoint::Single(socket) => (socket, None),
            Endpoint::Pair { quotes, .. } => (quotes, Some(CATALOGUE_DELAY)),
        };
        let feed = usize::from(socket.port()) - 1;
        let latency = {
            let mut world = self.world.lock();
            world.connecting();
            world.random.u64(1..LATENCY)
        };
        sleep(Duration::from_millis(latency)).await;
        let phase = self.world.lock().phase(feed);
        match phase.fault {
            Fault::Dead | Fault::Restart => {
                return Err(ConnectionError::Unreachable(io::Error::other("the simulated feed is dead")));
            }
            Fault::Frozen => {
                let now = self.world.lock().now();
                let resumed = phase.to.min(now + millis(CONNECT_TIMEOUT));
                sleep(Duration::from_millis(resumed - now)).await;
                if resumed < phase.to {
                    return Err(ConnectionError::TimedOut(CONNECT_TIMEOUT));
                }
            }
            _ => {}
        }
        Ok(SimulatedSource::open(Arc::clone(&self.world), feed, catalogue_delay))
    }
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap()
}

/// One simulated connection.
#[derive(Debug)]
pub(super) struct SimulatedSource {
    world: Arc<Mutex<World>>,
    feed: usize,
    opened: Millis,
    /// The time at which the catalogue is sent; `None` after the catalogue was sent.
    catalogue: Option<Millis>,
    /// The next step of quotes to send.
    next: u64,
    /// The time at which the connection ends, and the cause.
    end: (Millis, Fault),
    /// The times of the first and the latest quote.
    data: Option<(Millis, Millis)>,
    frames: Vec<Frame>,
}

impl SimulatedSource {
    fn open(world: Arc<Mutex<World>>, feed: usize, catalogue_delay: Option<Millis>) -> Self {
        let (opened, catalogue, end) = {
            let mut world = world.lock();
            let opened = world.now();
            let catalogue = catalogue_delay.map(|longest| opened + world.random.u64(1..longest));
            (opened, catalogue, end(&world, feed, opened))
        };
        let mut source = Self { world, feed, opened, catalogue, next: 0, end, data: None, frames: Vec::new() };
        // The search starts 30 s before the connect, because late quotes are much older than repeated quotes.
        source.next = opened.saturating_sub(30_000) / STEP;
        while source.due(source.next).is_none_or(|due| due + REPEATED < opened) && source.next * STEP < opened {
            source.next += 1;
        }
        source
    }

    /// Returns the time at which the feed sends the quotes of `step`; `None` if the feed never sends them.
    fn due(&self, step: u64) -> Option<Millis> {
        let quoted = step * STEP;
        let phase = self.world.lock().scenarios[self.feed].at(quoted);
        match phase.fault {
            Fault::None => Some(quoted),
            Fault::Dead | Fault::Restart | Fault::Mute => None,
            Fault::Frozen => Some(phase.to),
            Fault::Drip => step.is_multiple_of(DRIP).then_some(quoted),
            Fault::Late(lag) => Some((quoted + lag.min((quoted - phase.from) / 2)).min(phase.to)),
        }
    }

    /// Returns the time at which the next quotes are sent, at most `until`. Skips steps without quotes.
    fn next_due(&mut self, until: Millis) -> Millis {
        loop {
            let due = self.due(self.next);
            if let Some(due) = due {
                return due.max(self.opened + 1);
            }
            if self.next * STEP > until {
                return until;
            }
            self.next += 1;
        }
    }
}

impl Source for SimulatedSource {
    async fn frames(&mut self) -> Result<&[Frame], ConnectionError> {
        let started = {
            let mut world = self.world.lock();
            world.reads(self.feed, self.opened);
            world.started
        };
        self.frames.clear();
        let (end, cause) = self.end;
        let quotes = self.next_due(end);
        let next = quotes.min(end).min(self.catalogue.unwrap_or(Millis::MAX));
        sleep_until(started + Duration::from_millis(next)).await;
        let now = self.world.lock().now();
        if self.catalogue.is_some_and(|due| due <= now) {
            self.catalogue = None;
            let announced = self.world.lock().announces(self.feed);
            self.frames.extend(announced.map(|id| {
                Frame::Text(format!(r#"{{"type":"ADD","data":{{"isin":"{id}","description":""}}}}"#).into())
            }));
            return Ok(&self.frames);
        }
        while self.next_due(end) < end.min(now + 1) {
            let quotes = self.world.lock().delivers(self.feed, self.next);
            let messages: Vec<String> = quotes.into_iter().map(SimulatedQuote::json).collect();
            self.frames.push(Frame::Text(format!("[{}]", messages.join(",")).into()));
            self.next += 1;
        }
        if self.frames.is_empty() {
            return Err(match cause {
                Fault::Frozen => ConnectionError::Silent { quiet_for: SILENCE },
                _ => ConnectionError::Closed,
            });
        }
        self.data = Some((self.data.map_or(now, |(first, _)| first), now));
        Ok(&self.frames)
    }

    fn last_heard(&self) -> Vec<Arc<LastHeard>> {
        Vec::new()
    }

    fn healthy_for(&self) -> Duration {
        self.data.map_or(Duration::ZERO, |(first, latest)| Duration::from_millis(latest - first))
    }
}

impl Drop for SimulatedSource {
    fn drop(&mut self) {
        self.world.lock().disconnects(self.feed, self.opened);
    }
}

/// Returns the time at which a connection that is opened at `opened` ends, and the cause.
fn end(world: &World, feed: usize, opened: Millis) -> (Millis, Fault) {
    let end = world.scenarios[feed].after(opened).find_map(|phase| match phase.fault {
        Fault::Dead | Fault::Restart => Some((phase.from, phase.fault)),
        // Unanswered pings end the connection.
        Fault::Frozen => {
            let silent = phase.from + millis(SILENCE);
            (silent < phase.to).then_some((silent, phase.fault))
        }
        _ => None,
    });
    end.unwrap_or((RUN_LENGTH + 30_000, Fault::Dead))
}
