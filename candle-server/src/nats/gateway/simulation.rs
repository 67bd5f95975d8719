//! Two gateways of one feed before a log in memory, on a clock that is driven: killed, stopped, cut off and starved at
//! random, and what comes of it against every quote that the feed sent.

use std::collections::BTreeMap;

use candle_core::{Aggregator, Config, Gaps, RecordContext, Tick, Unlisted};

use tokio::time::timeout;

use super::good_bye::GOOD_BYE;
use super::*;
use crate::clock::{Clock, ClockMode};
use crate::feeds::failover::FailoverConfig;
use crate::feeds::health::SilenceTimeout;
use crate::nats::begin::{Begun, Role as Comes};
use crate::nats::checkpoint;
use crate::nats::log::memory::Memory;
use crate::nats::log::{Access, Keeping};
use crate::nats::tail::Entry;

const CREATED: i128 = 1_700_000_000_000_000_000;

/// When a simulation begins, in seconds since the epoch: with a minute.
const START: i64 = 28_333_333 * 60;

/// Quotes of the feed's own numbers, the newest one last.
pub(super) fn tick(time: Timestamp, number: u64) -> Tick {
    let price = 1.0 + (number % 97) as f64;
    Tick::new(time, price).with_seq(number)
}

/// One gateway, its feed and its way to the log.
pub(super) struct Actor {
    pub(super) gateway: Gateway,
    pub(super) link: Link,
    pub(super) way: Memory,
    pub(super) engine: Arc<Engine>,
    /// Whether quotes reach it.
    pub(super) is_fed: bool,
    /// Where it stands still, what waits at its socket.
    stopped: Option<Vec<(String, Tick)>>,
    end: u64,
}

impl Actor {
    /// A gateway that has come to the log just now; its feed's connection is open.
    pub(super) async fn new(log: &Memory, node: u64, now: Timestamp) -> Self {
        let journal = Arc::new(crate::nats::journal());
        let turns = FailoverConfig { fail_over_after: Duration::MAX, fail_back_after: Duration::MAX };
        let feeds = Feeds::new([("ws://h/".to_owned(), SilenceTimeout::FromRate)], ClockMode::Wall, turns);
        let engine = Engine::new(
            Aggregator::default(),
            Clock::with_time(ClockMode::Wall, crate::paused_time::PausedTime::starting_at(now)),
        )
        .with_feeds(feeds);
        let engine = Arc::new(engine.with_journal(Arc::clone(&journal)));
        engine.feeds.opened(0, Vec::new(), engine.clock.reading());
        let keeping = Keeping { replicas: 1, max_bytes: 1 };
        let way = Way {
            url: "nats://h/TEST".parse().unwrap(),
            access: Access::default(),
            role: Comes::Gateway(keeping),
            core: Config::default(),
            node,
        };
        let gateway = Gateway::new(Arc::clone(&engine), journal, way, Catalogue::None);
        let way = log.another_way();
        let link = link(&way, node, engine.clock.elapsed()).await;
        Self { gateway, link, way, engine, is_fed: true, stopped: None, end: log.end() }
    }

    pub(super) fn is_writing(&self) -> bool {
        matches!(self.link.role, Role::Active(_))
    }

    pub(super) fn quote(&mut self, id: &str, tick: Tick) {
        if !self.is_fed {
            return;
        }
        if let Some(waiting) = &mut self.stopped {
            waiting.push((id.to_owned(), tick));
            return;
        }
        let context = RecordContext { unlisted: Unlisted::List, ..RecordContext::from(self.engine.clock.now()) };
        let outcomes = self.engine.record_batch(&[(id, tick)], context);
        self.engine.feeds.quoted(outcomes.accepted(), None, self.engine.clock.reading());
    }

    /// The feed is gone, and known to be.
    pub(super) fn lose_feed(&mut self) {
        self.is_fed = false;
        self.engine.feeds.update(|failover| failover.lost(0, "closed", self.engine.clock.reading()));
    }

    fn stop(&mut self) {
        self.stopped = Some(Vec::new());
    }

    fn go_on(&mut self) {
        for (id, tick) in self.stopped.take().into_iter().flatten() {
            self.quote(&id, tick);
        }
    }

    /// What the gateway's task does in the time of a cut.
    pub(super) async fn turn(&mut self) -> Result<(), Halt> {
        if self.stopped.is_some() {
            return Ok(());
        }
        self.engine.feeds.update(|failover| failover.refresh(self.engine.clock.reading()));
        let now = self.gateway.now();
        if self.end == 0 {
            self.link.folded(Some(Event::End(0)), now)?;
        }
        while !self.way.is_frozen()
            && let Some((sequence, payload)) = self.way.next(self.link.follower.position() + 1)
        {
            let entry = Entry { sequence, payload, pending: self.end.saturating_sub(sequence) };
            self.link.folded(Some(Event::Message(entry)), now)?;
        }
        let flight = match &self.link.role {
            Role::Opening(opening) => Some(&opening.flight),
            Role::Active(active) => active.flight.as_ref(),
            Role::Standby => None,
        };
        if flight.is_some_and(|flight| flight.task.is_finished()) {
            let delivery = self.link.role.delivery().await;
            self.gateway.delivered(&mut self.link, delivery);
        }
        self.gateway.turn(&mut self.link)
    }
}

/// The way of a gateway to a log that it is to read from its first message on.
async fn link(way: &Memory, node: u64, now: Duration) -> Link {
    let log = Log::in_memory(way.clone()).await;
    let (_, events) = mpsc::channel(1);
    Link::new(Begun { log, created: CREATED, follower: follower(node), events, checkpoint: Found::Due }, now)
}

pub(super) fn follower(node: u64) -> Follower {
    let aggregator = Aggregator::new(checkpoint::config(Config::default(), CREATED));
    Follower::new(Arc::new(Engine::new(aggregator, Clock::new(ClockMode::Feed))), node, 0, None)
}

/// All of it: two gateways, and what the feed sent.
pub(super) struct World {
    pub(super) log: Memory,
    pub(super) actors: Vec<Actor>,
    began: tokio::time::Instant,
    nodes: u64,
    number: u64,
    /// By instrument and minute: open, high, low, close and how many.
    sent: BTreeMap<(String, i64), [f64; 5]>,
}

impl World {
    pub(super) async fn new() -> Self {
        let mut world = Self {
            log: Memory::default(),
            actors: Vec::new(),
            began: tokio::time::Instant::now(),
            nodes: 0,
            number: 0,
            sent: BTreeMap::new(),
        };
        for _ in 0..2 {
            let actor = world.actor().await;
            world.actors.push(actor);
        }
        world
    }

    pub(super) fn now(&self) -> Timestamp {
        let micros = i64::try_from(self.began.elapsed().as_micros()).unwrap();
        Timestamp::from_seconds(START).unwrap().saturating_add(micros)
    }

    pub(super) async fn actor(&mut self) -> Actor {
        self.nodes += 1;
        Actor::new(&self.log, self.nodes, self.now()).await
    }

    /// A quote that goes to everyone.
    pub(super) fn quote(&mut self, id: &str) {
        self.number += 1;
        let tick = tick(self.now(), self.number);
        let price = tick.price;
        let candle = self.sent.entry((id.to_owned(), tick.time.minute().number()));
        let candle = candle.or_insert([price, price, price, price, 0.0]);
        *candle = [candle[0], candle[1].max(price), candle[2].min(price), price, candle[4] + 1.0];
        self.actors.iter_mut().for_each(|actor| actor.quote(id, tick));
    }

    /// Lets so much time pass, with a few quotes in each cut of it.
    pub(super) async fn live(&mut self, time: Duration, random: &mut fastrand::Rng) {
        let until = self.began.elapsed() + time;
        while self.began.elapsed() < until {
            for _ in 0..random.usize(0..4) {
                self.quote(&random.u8(0..9).to_string());
                sleep(Duration::from_micros(7)).await;
            }
            self.pass().await;
        }
    }

    /// Lets the time of a cut pass.
    pub(super) async fn pass(&mut self) {
        sleep(CUT).await;
        for actor in &mut self.actors {
            actor.turn().await.unwrap();
        }
    }

    pub(super) async fn pass_for(&mut self, time: Duration) {
        let until = self.began.elapsed() + time;
        while self.began.elapsed() < until {
            self.pass().await;
        }
    }

    /// The place of the gateway that writes: the one of the last epoch, as another one may not know yet that it does not.
    pub(super) fn writer(&self) -> Option<usize> {
        let epoch = |actor: &Actor| match &actor.link.role {
            Role::Active(active) => Some(active.last.writes.epoch),
            _ => None,
        };
        (0..self.actors.len())
            .filter(|place| self.actors[*place].is_writing())
            .max_by_key(|place| epoch(&self.actors[*place]))
    }

    /// A read node that has folded all there is.
    pub(super) fn node(&self) -> Follower {
        let mut node = follower(99);
        while let Some((sequence, bytes)) = self.log.next(node.position() + 1) {
            node.fold(sequence, &bytes).unwrap();
        }
        node
    }

    /// Holds what a read node has to what was sent.
    pub(super) fn assert_none_lost_or_doubled(&self, what: &str) {
        let node = self.node();
        let mut told = BTreeMap::new();
        for summary in node.aggregator().page(None, "", 1000) {
            let id = summary.id.as_str();
            let history = node.aggregator().history(id).unwrap();
            for candle in history.candles(self.now(), Gaps::Omitted) {
                let count = f64::from(candle.count);
                let values = [candle.open, candle.high, candle.low, candle.close, count];
                told.insert((id.to_owned(), candle.minute.number()), values);
            }
        }
        let oldest = self.now().minute().number() - 29;
        let sent: BTreeMap<_, _> = self.sent.iter().filter(|((_, minute), _)| *minute >= oldest).collect();
        for (key, candle) in &sent {
            assert_eq!(told.get(*key), Some(*candle), "{what}: {key:?} as a node has it, and as it was sent");
        }
        assert_eq!(told.len(), sent.len(), "{what}");
    }
}

/// One thing goes wrong after the other, each when the one before is over; returns what.
async fn trouble(world: &mut World, random: &mut fastrand::Rng) -> &'static str {
    let writer = world.writer().expect("somebody writes when all is well");
    let seconds = |random: &mut fastrand::Rng, range| Duration::from_secs(random.u64(range));
    match random.u8(0..10) {
        kill @ 0..2 => {
            let place = if kill == 0 { writer } else { 1 - writer };
            world.actors.remove(place);
            world.live(seconds(random, 0..9), random).await;
            let another = world.actor().await;
            world.actors.push(another);
            "kill"
        }
        2 => {
            world.actors[writer].stop();
            world.live(seconds(random, 1..15), random).await;
            world.actors[writer].go_on();
            "stop and continue"
        }
        3 => {
            world.actors[writer].way.freeze();
            world.live(seconds(random, 1..15), random).await;
            world.actors[writer].way.thaw();
            "freeze"
        }
        4 => {
            world.actors[writer].way.deafen();
            world.live(seconds(random, 1..10), random).await;
            world.actors[writer].way.thaw();
            "deafen"
        }
        5 | 6 => {
            world.actors.iter().for_each(|actor| actor.way.freeze());
            world.live(seconds(random, 1..100), random).await;
            let first = random.usize(0..2);
            world.actors[first].way.thaw();
            world.live(seconds(random, 0..3), random).await;
            world.actors[1 - first].way.thaw();
            "no broker"
        }
        7 => {
            world.actors[writer].lose_feed();
            // Shorter than that, the log stays where it is, and what came meanwhile is told as not covered.
            world.live(STARVED + seconds(random, 1..30), random).await;
            let actor = &mut world.actors[writer];
            actor.is_fed = true;
            actor.engine.feeds.opened(0, Vec::new(), actor.engine.clock.reading());
            "no feed"
        }
        8 => {
            world.actors[writer].is_fed = false;
            world.live(Duration::from_secs(15), random).await;
            world.actors[writer].is_fed = true;
            "a feed that is silent"
        }
        _ => {
            let mut actor = world.actors.remove(writer);
            timeout(GOOD_BYE, actor.gateway.say_good_bye(&mut actor.link)).await.unwrap();
            world.live(seconds(random, 0..9), random).await;
            let another = world.actor().await;
            world.actors.push(another);
            "good-bye"
        }
    }
}

/// A life of two gateways.
async fn a_life(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new().await;
    let mut history = Vec::new();
    for _ in 0..8 {
        // By then what a standby holds is all that it ever will.
        world.live(HOLD + PATIENCE, &mut random).await;
        history.push(trouble(&mut world, &mut random).await);
        world.pass_for(PATIENCE * 3).await;
        world.assert_none_lost_or_doubled(&format!("seed {seed}, {history:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_befalls_one_of_two_gateways_no_quote_is_lost_and_none_is_doubled() {
    let seed = std::env::var("CANDLE_SIMULATION_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in seed.map_or(0..3, |seed| seed..seed + 1) {
        a_life(seed).await;
    }
}
