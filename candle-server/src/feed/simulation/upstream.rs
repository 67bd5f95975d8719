//! The made-up feeds: they are dialled and read in place of sockets, and do what their fate says.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{sleep, sleep_until};

use super::tape::{self, STEP};
use super::trouble::Trouble;
use super::world::World;
use super::{LIFE, Millis};
use crate::feed::url::FeedUrl;
use crate::feed::websocket::{CONNECT_TIMEOUT, Ended, Frame, SILENCE};

/// What a connect takes, at most.
const LATENCY: Millis = 80;
/// How long after a connect a catalogue comes, at most: some quotes are there before.
const CATALOGUE: Millis = 1_000;
/// For how long before a connect the quotes are repeated.
const REPEATED: Millis = 2_000;
/// How many steps of a drip bring nothing for one that does.
const DRIP: u64 = 17;

thread_local! {
    /// The world that this thread simulates.
    static WORLD: RefCell<Option<Arc<Mutex<World>>>> = const { RefCell::new(None) };
}

/// Lets this thread's feeds be those of `world`, if any, from now on.
pub(super) fn simulate(world: Option<Arc<Mutex<World>>>) {
    WORLD.set(world);
}

/// The made-up feed at this address.
pub(in crate::feed) fn upstream(feed: &FeedUrl) -> Option<Upstream> {
    let world = WORLD.with_borrow(Clone::clone)?;
    let (FeedUrl::WebSocket(socket) | FeedUrl::Partner { quotes: socket, .. }) = feed else { return None };
    // No port is number 0.
    let place = usize::from(socket.port()) - 1;
    Some(Upstream { world, place, catalogue: matches!(feed, FeedUrl::Partner { .. }).then_some(CATALOGUE) })
}

/// One feed.
pub(in crate::feed) struct Upstream {
    world: Arc<Mutex<World>>,
    place: usize,
    /// How long its catalogue may take, if it has one.
    catalogue: Option<Millis>,
}

impl Upstream {
    pub(in crate::feed) async fn dial(self) -> Result<Line, Ended> {
        let latency = {
            let mut world = self.world.lock();
            world.dialled();
            world.random.u64(1..LATENCY)
        };
        sleep(Duration::from_millis(latency)).await;
        let spell = self.world.lock().spell(self.place);
        match spell.trouble {
            Trouble::Dead | Trouble::Restart => return Err(Ended::Unreachable(io::Error::other("it is dead"))),
            Trouble::Frozen => {
                let now = self.world.lock().now();
                let thawed = spell.to.min(now + millis(CONNECT_TIMEOUT));
                sleep(Duration::from_millis(thawed - now)).await;
                if thawed < spell.to {
                    return Err(Ended::TimedOut);
                }
            }
            _ => {}
        }
        Ok(Line::open(self))
    }
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap()
}

/// One connection.
#[derive(Debug)]
pub(in crate::feed) struct Line {
    world: Arc<Mutex<World>>,
    place: usize,
    opened: Millis,
    /// When its catalogue is due, until it was sent.
    catalogue: Option<Millis>,
    /// The first step whose quotes were not sent.
    next: u64,
    /// When it breaks, and why.
    end: (Millis, Trouble),
    /// When the first and the latest quote came.
    data: Option<(Millis, Millis)>,
    frames: Vec<Frame>,
}

impl Line {
    fn open(upstream: Upstream) -> Self {
        let Upstream { world, place, catalogue } = upstream;
        let (opened, catalogue, end) = {
            let mut world = world.lock();
            let opened = world.now();
            let catalogue = catalogue.map(|most| opened + world.random.u64(1..most));
            (opened, catalogue, end(&world, place, opened))
        };
        let mut line = Self { world, place, opened, catalogue, next: 0, end, data: None, frames: Vec::new() };
        // Not before the repetition, and what is late may be much older.
        line.next = opened.saturating_sub(30_000) / STEP;
        while line.due(line.next).is_none_or(|due| due + REPEATED < opened) && line.next * STEP < opened {
            line.next += 1;
        }
        line
    }

    pub(in crate::feed) fn healthy_for(&self) -> Duration {
        self.data.map_or(Duration::ZERO, |(first, latest)| Duration::from_millis(latest - first))
    }

    /// When the feed sends the quotes of `step`, if ever.
    fn due(&self, step: u64) -> Option<Millis> {
        let made = step * STEP;
        let spell = self.world.lock().fates[self.place].at(made);
        match spell.trouble {
            Trouble::None => Some(made),
            Trouble::Dead | Trouble::Restart | Trouble::Mute => None,
            Trouble::Frozen => Some(spell.to),
            Trouble::Drip => step.is_multiple_of(DRIP).then_some(made),
            Trouble::Late(lag) => Some((made + lag.min((made - spell.from) / 2)).min(spell.to)),
        }
    }

    /// When the next step's quotes come, leaving out those that never do before `until`.
    fn next_quotes(&mut self, until: Millis) -> Millis {
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

    /// Waits for what comes next, and takes what is there with it; nothing is lost if it is called off.
    pub(in crate::feed) async fn run(&mut self) -> Result<&[Frame], Ended> {
        let began = {
            let mut world = self.world.lock();
            world.reads(self.place, self.opened);
            world.began
        };
        self.frames.clear();
        let (end, why) = self.end;
        let quotes = self.next_quotes(end);
        let next = quotes.min(end).min(self.catalogue.unwrap_or(Millis::MAX));
        sleep_until(began + Duration::from_millis(next)).await;
        let now = self.world.lock().now();
        if self.catalogue.is_some_and(|due| due <= now) {
            self.catalogue = None;
            let listed = self.world.lock().announces(self.place);
            self.frames.extend(listed.map(|id| {
                Frame::Text(format!(r#"{{"type":"ADD","data":{{"isin":"{id}","description":""}}}}"#).into())
            }));
            return Ok(&self.frames);
        }
        while self.next_quotes(end) < end.min(now + 1) {
            let made = self.world.lock().brings(self.place, self.next);
            let messages: Vec<String> = made.into_iter().map(tape::Made::json).collect();
            self.frames.push(Frame::Text(format!("[{}]", messages.join(",")).into()));
            self.next += 1;
        }
        if self.frames.is_empty() {
            return Err(match why {
                Trouble::Frozen => Ended::Silent { quiet_for: SILENCE },
                _ => Ended::Closed,
            });
        }
        self.data = Some((self.data.map_or(now, |(first, _)| first), now));
        Ok(&self.frames)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.world.lock().hangs_up(self.place, self.opened);
    }
}

/// When a connection that opens now breaks, and by what.
fn end(world: &World, place: usize, opened: Millis) -> (Millis, Trouble) {
    let breaks = world.fates[place].after(opened).find_map(|spell| match spell.trouble {
        Trouble::Dead | Trouble::Restart => Some((spell.from, spell.trouble)),
        // A ping that is never answered.
        Trouble::Frozen => {
            let given_up = spell.from + millis(SILENCE);
            (given_up < spell.to).then_some((given_up, spell.trouble))
        }
        _ => None,
    });
    breaks.unwrap_or((LIFE + 30_000, Trouble::Dead))
}
