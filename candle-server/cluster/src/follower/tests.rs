use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use candle_core::{Config, CoverageRing, Gaps, RecordContext, Tick, Unlisted};
use candle_engine::clock::Clock;
use candle_engine::feeds::Feeds;
use candle_engine::journal::{Drained, Journal};

use super::*;
use crate::broker::memory::CREATED;
use crate::checkpoint::{self, STRIPES};
use crate::message::FIRST_ARRIVAL_SEQ;
use crate::outbox;

fn config() -> Config {
    checkpoint::config(Config::default(), CREATED)
}

fn follower(node: u64, aggregator: Aggregator, applied: u64) -> Follower {
    Follower::new(Arc::new(Engine::new(aggregator, Clock::new(ClockMode::Feed))), node, applied, None)
}

/// An in-memory log and the journal of the gateway that writes the log.
struct Log {
    engine: Engine,
    journal: Arc<Journal>,
    second: i64,
    next_arrival_seq: u64,
    messages: Vec<Vec<u8>>,
}

impl Log {
    fn new() -> Self {
        let journal = Arc::new(Journal::new(FIRST_ARRIVAL_SEQ, None));
        let engine = Engine::new(Aggregator::default(), Clock::new(ClockMode::Feed)).with_journal(Arc::clone(&journal));
        Self { engine, journal, second: 1_000_000, next_arrival_seq: FIRST_ARRIVAL_SEQ, messages: Vec::new() }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.second).unwrap()
    }

    /// Records ticks and lists their instruments if they are not listed.
    fn record(&self, ticks: &[(&str, Tick)], now: Timestamp) {
        let context = RecordContext { unlisted: Unlisted::List, ..RecordContext::from(now) };
        let _ = self.engine.record_batch(ticks, context);
    }

    /// Records random writes of all kinds, and appends them to the log.
    fn write_random(&mut self, random: &mut fastrand::Rng) {
        self.second += random.i64(0..20);
        let now = self.now();
        for _ in 0..random.usize(0..6) {
            let id = random.u32(0..40).to_string();
            match random.u8(0..20) {
                0 => drop(self.engine.delist(&id)),
                1..4 => drop(self.engine.list(&id, Some(&format!("described {}", random.u8(..))))),
                4 if random.u8(..) < 20 => self.engine.clear_candles(),
                _ => {
                    let ids: Vec<String> = (0..random.usize(1..60)).map(|_| random.u32(0..40).to_string()).collect();
                    let ticks = ids.iter().map(|id| {
                        let time = now.saturating_add(-random.i64(0..100_000_000));
                        (id.as_str(), Tick::new(time, f64::from(random.i32(-2..90))).with_seq(FIRST_ARRIVAL_SEQ))
                    });
                    let ticks: Vec<_> = ticks.collect();
                    let unlisted = if random.bool() { Unlisted::List } else { Unlisted::Reject };
                    let _ = self.engine.record_batch(&ticks, RecordContext { unlisted, ..RecordContext::from(now) });
                }
            }
        }
        self.write(1);
    }

    fn write(&mut self, epoch: u64) {
        self.write_at(epoch, self.now());
    }

    fn write_at(&mut self, epoch: u64, now: Timestamp) {
        let Drained::Batch(batch) = self.journal.drain() else { panic!("the journal is suspended") };
        let batch = outbox::number_arrivals(&batch, &mut self.next_arrival_seq);
        let header = WritesHeader {
            origin: Origin { node: 1, batch: self.messages.len() as u64 },
            epoch,
            lease: LeaseAction::Renew,
            now: now.as_micros(),
            clock: ClockMode::Feed,
            next_arrival_seq: self.next_arrival_seq,
            feed_is_down: false,
            coverage: CoverageRing::default().to_parts(now),
        };
        let encoded = codec::encode(&batch, &[], self.engine.aggregator.config().rules());
        self.messages.push(message::encode(Content::Writes(header), &encoded));
    }

    /// Returns a copy of the first message with a changed header and without writes.
    fn first_with(&self, change: impl FnOnce(&mut WritesHeader)) -> Vec<u8> {
        let Ok((Content::Writes(mut header), _)) = message::decode(&self.messages[0]) else { panic!("no writes") };
        change(&mut header);
        let encoded = codec::encode(&Batch::new(0), &[], self.engine.aggregator.config().rules());
        message::encode(Content::Writes(header), &encoded)
    }

    fn end(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Applies the log up to `end`.
    fn apply_to(&self, follower: &mut Follower, end: u64) {
        for sequence in follower.applied() + 1..=end {
            follower.apply(sequence, &self.messages[usize::try_from(sequence - 1).unwrap()]).unwrap();
        }
    }
}

/// Returns the whole content of an aggregator as text, without the times of arrival.
fn content(follower: &Follower) -> Vec<String> {
    let page = follower.aggregator().page(None, "", 1000);
    let content = page.iter().map(|summary| {
        let history = follower.aggregator().history(summary.id.as_str()).unwrap();
        format!("{} {:?} {} {:?}", summary.id.as_str(), history.description, history.views, history.ring)
    });
    content.collect()
}

/// Writes a random log. Two nodes count views, and the stripes of a third node are written to a checkpoint.
fn simulate(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut log = Log::new();
    let mut nodes = [2, 3].map(|node| follower(node, Aggregator::new(config()), 0));
    let mut checkpointed = follower(4, Aggregator::new(config()), 0);
    let mut stripes: BTreeMap<u32, Bytes> = BTreeMap::new();
    let mut viewed = 0;
    for step in 0..600 {
        log.write_random(&mut random);
        let end = log.end();
        for node in &mut nodes {
            // Each node applies the log up to a different sequence.
            let reached = node.applied() + random.u64(0..=end - node.applied());
            log.apply_to(node, reached);
            for _ in 0..random.u8(0..8) {
                viewed += u64::from(node.aggregator().count_view(&random.u32(0..40).to_string()).is_some());
            }
            if random.u8(0..4) == 0 {
                log.messages.extend(node.take_views(step));
            }
        }
        log.apply_to(&mut checkpointed, end);
        for stripe in (0..20).filter_map(|_| checkpointed.aggregator().stripe_snapshot(random.u32(0..512))) {
            stripes.insert(stripe.stripe(), checkpoint::encode(&checkpointed, CREATED, &stripe).into());
        }
    }
    for node in &mut nodes {
        log.apply_to(node, log.end());
        log.messages.extend(node.take_views(9999));
    }
    let end = log.end();
    nodes.iter_mut().chain([&mut checkpointed]).for_each(|follower| log.apply_to(follower, end));
    let expected = content(&nodes[0]);
    assert!(expected.len() > 10 && viewed > 1000, "the simulation has too few instruments or views");
    assert_eq!(expected, content(&nodes[1]), "seed {seed}");
    assert_eq!(expected, content(&checkpointed), "seed {seed}");

    assert_eq!(stripes.len(), STRIPES as usize);
    let stripes: Vec<Bytes> = stripes.into_values().collect();
    let restored = checkpoint::assemble(config(), CREATED, &stripes).unwrap();
    let mut late = follower(5, restored.aggregator, restored.covered);
    log.apply_to(&mut late, end);
    assert_eq!(expected, content(&late), "seed {seed}, from the checkpoint");

    // The late node publishes only the views of its own readers.
    let page = late.aggregator().page(None, "", 1000);
    assert!(page.iter().all(|summary| late.aggregator().count_view(summary.id.as_str()).is_some()));
    log.messages.extend(late.take_views(1));
    let end = log.end();
    nodes.iter_mut().chain([&mut late]).for_each(|follower| log.apply_to(follower, end));
    assert_eq!(content(&nodes[0]), content(&late), "seed {seed}, viewed after the checkpoint");
}

#[test]
fn equal_messages_give_equal_engines_from_the_start_and_from_a_checkpoint() {
    (0..6).for_each(simulate);
}

#[test]
fn messages_of_an_earlier_leader_are_ignored() {
    let mut log = Log::new();
    log.engine.list("a", None).unwrap();
    log.write(2);
    log.engine.list("b", None).unwrap();
    log.write(1);
    let mut node = follower(2, Aggregator::new(config()), 0);
    log.apply_to(&mut node, 2);
    assert!(node.aggregator().resolve("a").is_some() && node.aggregator().resolve("b").is_none());
}

#[test]
fn a_gap_and_a_later_version_are_errors_and_foreign_messages_are_not() {
    let mut log = Log::new();
    log.engine.list("a", None).unwrap();
    log.write(1);
    let mut node = follower(2, Aggregator::new(config()), 5);
    let gap = FollowError::OutOfSync(OutOfSync::Gap { after: 5, next: 7 });
    assert_eq!(node.apply(7, &log.messages[0]), Err(gap));
    assert_eq!(node.apply(6, b"\n{\"price\":1}"), Ok(Applied::default()));
    assert_eq!(node.apply(7, &[message::MAGIC, &[7]].concat()), Err(FollowError::NewerVersion));
    assert_eq!(node.apply(8, &log.messages[0]).map(|applied| applied.is_from_gateway), Ok(true));
}

#[test]
fn a_checkpoint_covers_exactly_the_messages_that_it_contains() {
    let mut log = Log::new();
    let mut whole = follower(2, Aggregator::new(config()), 0);
    let mut checkpoints = Vec::new();
    for price in [1.0, 2.0, 3.0] {
        log.record(&[("a", Tick::new(log.now(), price).with_seq(FIRST_ARRIVAL_SEQ))], log.now());
        log.write(1);
        log.apply_to(&mut whole, log.end());
        let stripes = (0..).map_while(|stripe| whole.aggregator().stripe_snapshot(stripe));
        let messages = stripes.map(|stripe| checkpoint::encode(&whole, CREATED, &stripe).into());
        checkpoints.push(messages.collect::<Vec<Bytes>>());
    }
    for messages in &checkpoints {
        let restored = checkpoint::assemble(config(), CREATED, messages).unwrap();
        let mut late = follower(3, restored.aggregator, restored.covered);
        log.apply_to(&mut late, log.end());
        assert_eq!(content(&late), content(&whole), "from message {}", restored.covered);
    }
}

#[test]
fn ticks_are_validated_at_the_now_of_their_batch_and_not_of_their_message() {
    let mut log = Log::new();
    let early = Tick::new(log.now().saturating_add(10_000_000), 1.0).with_seq(FIRST_ARRIVAL_SEQ);
    log.engine.list("a", None).unwrap();
    log.record(&[("a", early)], log.now());
    log.second += 60;
    log.record(&[("a", Tick { time: log.now(), ..early })], log.now());
    log.write(1);
    let mut node = follower(2, Aggregator::new(config()), 0);
    log.apply_to(&mut node, 1);
    let candles = |aggregator: &Aggregator| -> Vec<_> {
        aggregator
            .history("a")
            .unwrap()
            .candles(log.now(), Gaps::Omitted)
            .map(|candle| candle.open_time.minute())
            .collect()
    };
    assert_eq!(candles(node.aggregator()), [log.now().minute()], "the first tick was 10 s ahead");
    assert_eq!(candles(node.aggregator()), candles(&log.engine.aggregator));
}

#[test]
fn a_reset_of_any_epoch_restarts_every_node_but_its_writer() {
    let mut log = Log::new();
    log.write(7);
    let reset = log.first_with(|header| (header.lease, header.epoch) = (LeaseAction::Reset, 3));
    log.messages.push(reset);
    let restart = FollowError::OutOfSync(OutOfSync::Reset { sequence: 2 });
    for (node, expected) in [(2, Err(restart)), (1, Ok(()))] {
        let mut node = follower(node, Aggregator::new(config()), 0);
        log.apply_to(&mut node, 1);
        assert_eq!(node.apply(2, &log.messages[1]).map(drop), expected);
    }
}

#[test]
fn a_log_without_its_first_messages_has_a_gap() {
    let mut log = Log::new();
    log.write(1);
    let mut node = follower(2, Aggregator::new(config()), 0);
    let gap = FollowError::OutOfSync(OutOfSync::Gap { after: 0, next: 3 });
    assert_eq!(node.apply(3, &log.messages[0]), Err(gap));
}

#[test]
fn views_of_every_instrument_fit_into_messages_and_none_is_lost() {
    const INSTRUMENTS: u32 = 20_000;
    let mut nodes = [2, 3].map(|node| follower(node, Aggregator::new(config()), 0));
    let ids: Vec<String> = (0..INSTRUMENTS).map(|id| format!("{id:064}")).collect();
    for (node, id) in nodes.iter().flat_map(|node| ids.iter().map(move |id| (node, id))) {
        node.aggregator().list(id, None).unwrap();
    }
    ids.iter().for_each(|id| assert!(nodes[0].aggregator().count_view(id).is_some()));
    let mut sequence = 0;
    while let Some(message) = nodes[0].take_views(sequence + 1) {
        assert!(message.len() < 1 << 20, "{} bytes", message.len());
        sequence += 1;
        nodes[1].apply(sequence, &message).unwrap();
    }
    assert!(sequence > 1, "all views fit into one message");
    assert!(ids.iter().all(|id| nodes[1].aggregator().history(id).unwrap().views == 1));
}

/// Returns a log in which each message has many quotes. The times of the messages are 100 ms apart.
fn busy_log(messages: i64) -> Log {
    let mut log = Log::new();
    let start = log.now();
    for message in 0..messages {
        let now = start.saturating_add(100_000 * message);
        let ticks = (0..2000_i32).map(|index| {
            let tick = Tick::new(now.saturating_add(-i64::from(index)), f64::from(1 + (index * 7919) % 1000));
            (["a", "b", "c"][index.unsigned_abs() as usize % 3], tick.with_seq(FIRST_ARRIVAL_SEQ))
        });
        let ticks: Vec<_> = ticks.collect();
        ticks.chunks(500).for_each(|run| log.record(run, now));
        log.write_at(1, now);
    }
    log
}

/// Reads one history, and returns the time and the text of its candles.
fn read(engine: &Engine) -> Option<(Timestamp, String)> {
    engine.at_one_instant(|now| {
        let history = engine.aggregator.history("a")?;
        let candles: Vec<_> = history.candles(now, Gaps::Filled).collect();
        Some((now, format!("{candles:?} {:?}", engine.feeds.coverage(now))))
    })
}

/// Applies a log while another thread reads. Returns all texts that were read, grouped by time.
fn read_while_applied(log: &Log, engine: &Arc<Engine>) -> BTreeMap<Timestamp, BTreeSet<String>> {
    let reads = AtomicUsize::new(0);
    let apply = || {
        let mut node = Follower::new(Arc::clone(engine), 1, 0, None);
        for sequence in 1..=log.end() {
            log.apply_to(&mut node, sequence);
            let enough = reads.load(Ordering::Relaxed) + 3;
            while reads.load(Ordering::Relaxed) < enough {
                std::thread::yield_now();
            }
        }
    };
    std::thread::scope(|scope| {
        let applying = scope.spawn(apply);
        let mut texts = BTreeMap::<_, BTreeSet<_>>::new();
        while !applying.is_finished() {
            reads.fetch_add(1, Ordering::Relaxed);
            let Some((time, text)) = read(engine) else { continue };
            texts.entry(time).or_default().insert(text);
        }
        texts
    })
}

#[test]
fn equal_times_mean_equal_candles_on_every_node_while_messages_are_applied() {
    let log = &busy_log(150);
    let nodes = [(); 2].map(|()| {
        let engine = Engine::new(Aggregator::new(config()), Clock::new(ClockMode::Feed));
        Arc::new(engine.with_feeds(Feeds::unmonitored(ClockMode::Feed).with_log_coverage()))
    });
    let [one, other] = std::thread::scope(|scope| {
        let readers = nodes.each_ref().map(|engine| scope.spawn(move || read_while_applied(log, engine)));
        readers.map(|reader| reader.join().unwrap())
    });
    let common = one.iter().filter_map(|(time, texts)| Some((texts, other.get(time)?)));
    let common: Vec<_> = common.collect();
    assert!(common.len() > 100, "both nodes were read at only {} equal times", common.len());
    assert!(one.values().chain(other.values()).all(|texts| texts.len() == 1), "one node has two texts for one time");
    assert!(common.iter().all(|(one, other)| one == other), "two nodes differ at one time");
}

#[test]
fn old_messages_are_stale_for_a_node_that_starts() {
    let is_stale = |clock, age: i64| {
        let mut node = follower(2, Aggregator::new(config()), 0);
        let mut log = Log::new();
        log.write_at(1, node.engine.clock.wall().saturating_add(-age * 1_000_000));
        node.apply(1, &log.first_with(|header| header.clock = clock)).unwrap();
        node.is_stale()
    };
    let wall = [600, 20, 10, 0, -600].map(|age| is_stale(ClockMode::Wall, age));
    assert_eq!(wall, [true, true, false, false, false]);
    assert!(!is_stale(ClockMode::Feed, 600), "the time of a feed says nothing about its age");
}
