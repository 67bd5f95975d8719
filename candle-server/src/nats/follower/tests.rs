use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use candle_core::{Config, CoverageRing, Gaps, RecordContext, Tick, Unlisted};
use candle_http::api::Api;
use candle_http::route::{HistoryOptions, Route};
use candle_http::router::RouteHandler;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::HeaderMap;

use super::*;
use crate::clock::{Clock, ClockMode};
use crate::feeds::Feeds;
use crate::journal::{Drained, Journal};
use crate::nats::message::ARRIVAL_NUMBERS;
use crate::nats::{checkpoint, outbox};

const CREATED: i128 = 1_700_000_000_000_000_000;

fn config() -> Config {
    checkpoint::config(Config::default(), CREATED)
}

fn follower(node: u64, aggregator: Aggregator, position: u64) -> Follower {
    Follower::new(Arc::new(Engine::new(aggregator, Clock::new(ClockMode::Feed))), node, position, None)
}

/// A log in memory, and the gateway that writes it.
struct Log {
    engine: Engine,
    journal: Arc<Journal>,
    second: i64,
    next_number: u64,
    messages: Vec<Vec<u8>>,
}

impl Log {
    fn new() -> Self {
        let journal = Arc::new(Journal::new(ARRIVAL_NUMBERS, None));
        let engine = Engine::new(Aggregator::default(), Clock::new(ClockMode::Feed)).with_journal(Arc::clone(&journal));
        Self { engine, journal, second: 1_000_000, next_number: ARRIVAL_NUMBERS, messages: Vec::new() }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.second).unwrap()
    }

    /// Does something of everything that a feed may bring.
    fn record(&mut self, random: &mut fastrand::Rng) {
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
                        (id.as_str(), Tick::new(time, f64::from(random.i32(-2..90))).with_seq(ARRIVAL_NUMBERS))
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
        let Drained::Batch(batch) = self.journal.drain() else { panic!("it broke off") };
        let batch = outbox::numbered(&batch, &mut self.next_number);
        let writes = Writes {
            origin: Origin { node: 1, batch: self.messages.len() as u64 },
            epoch,
            stage: Stage::Going,
            now: now.as_micros(),
            clock: ClockOf::Feed,
            next_number: self.next_number,
            supply: SupplyOf::Up,
            coverage: CoverageRing::default().to_parts(now),
        };
        let blob = crate::codec::encode(&batch, &[], self.engine.aggregator.config().rules());
        self.messages.push(message::encode(Body::Writes(writes), &blob));
    }

    fn end(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Lets a follower fold the log up to `end`.
    fn read(&self, follower: &mut Follower, end: u64) {
        for sequence in follower.position() + 1..=end {
            follower.fold(sequence, &self.messages[usize::try_from(sequence - 1).unwrap()]).unwrap();
        }
    }
}

/// All of a engine but the moments of arrival.
fn content(follower: &Follower) -> Vec<String> {
    let page = follower.aggregator().page(None, "", 1000);
    let told = page.iter().map(|summary| {
        let history = follower.aggregator().history(summary.id.as_str()).unwrap();
        format!("{} {:?} {} {:?}", summary.id.as_str(), history.description, history.views, history.ring)
    });
    told.collect()
}

/// A life of a log with two nodes whose readers view, and one that only follows and is kept, stripe by stripe.
fn a_life(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut log = Log::new();
    let mut nodes = [2, 3].map(|node| follower(node, Aggregator::new(config()), 0));
    let mut kept = follower(4, Aggregator::new(config()), 0);
    let mut parts: BTreeMap<u32, Bytes> = BTreeMap::new();
    let mut viewed = 0;
    for step in 0..600 {
        log.record(&mut random);
        let end = log.end();
        for node in &mut nodes {
            // Never quite at the same place.
            let reached = node.position() + random.u64(0..=end - node.position());
            log.read(node, reached);
            for _ in 0..random.u8(0..8) {
                viewed += u64::from(node.aggregator().count_view(&random.u32(0..40).to_string()).is_some());
            }
            if random.u8(0..4) == 0 {
                log.messages.extend(node.take_views(step));
            }
        }
        log.read(&mut kept, end);
        for part in (0..20).filter_map(|_| kept.aggregator().stripe_snapshot(random.u32(0..512))) {
            parts.insert(part.stripe(), checkpoint::encode(&kept, CREATED, &part).into());
        }
    }
    for node in &mut nodes {
        log.read(node, log.end());
        log.messages.extend(node.take_views(9999));
    }
    let end = log.end();
    nodes.iter_mut().chain([&mut kept]).for_each(|follower| log.read(follower, end));
    let told = content(&nodes[0]);
    assert!(told.len() > 10 && viewed > 1000, "a life without life proves nothing");
    assert_eq!(told, content(&nodes[1]), "seed {seed}");
    assert_eq!(told, content(&kept), "seed {seed}");

    assert_eq!(parts.len(), checkpoint::STRIPES);
    let parts: Vec<Bytes> = parts.into_values().collect();
    let restored = checkpoint::assemble(config(), CREATED, &parts).unwrap();
    let mut late = follower(5, restored.aggregator, restored.covered);
    log.read(&mut late, end);
    assert_eq!(told, content(&late), "seed {seed}, from the checkpoint");

    // It tells what its own readers view, and nothing that others know.
    let page = late.aggregator().page(None, "", 1000);
    assert!(page.iter().all(|summary| late.aggregator().count_view(summary.id.as_str()).is_some()));
    log.messages.extend(late.take_views(1));
    let end = log.end();
    nodes.iter_mut().chain([&mut late]).for_each(|follower| log.read(follower, end));
    assert_eq!(content(&nodes[0]), content(&late), "seed {seed}, viewed behind the checkpoint");
}

#[test]
fn the_same_messages_make_the_same_market_from_the_start_and_from_a_checkpoint() {
    (0..6).for_each(a_life);
}

#[test]
fn what_an_earlier_gateway_still_writes_is_left_out() {
    let mut log = Log::new();
    log.engine.list("a", None).unwrap();
    log.write(2);
    log.engine.list("b", None).unwrap();
    log.write(1);
    let mut node = follower(2, Aggregator::new(config()), 0);
    log.read(&mut node, 2);
    assert!(node.aggregator().resolve("a").is_some() && node.aggregator().resolve("b").is_none());
}

#[test]
fn a_gap_and_a_later_version_end_it_and_foreign_messages_do_not() {
    let mut log = Log::new();
    log.engine.list("a", None).unwrap();
    log.write(1);
    let mut node = follower(2, Aggregator::new(config()), 5);
    assert_eq!(node.fold(7, &log.messages[0]), Err(Halt::Lost(Lost::Gap { after: 5, next: 7 })));
    assert_eq!(node.fold(6, b"\n{\"price\":1}"), Ok(Folded::default()));
    assert_eq!(node.fold(7, &[message::MAGIC, &[7]].concat()), Err(Halt::Newer));
    assert_eq!(node.fold(8, &log.messages[0]).map(|folded| folded.is_written), Ok(true));
}

#[test]
fn a_checkpoint_covers_what_is_in_it_and_no_message_more() {
    let mut log = Log::new();
    let mut whole = follower(2, Aggregator::new(config()), 0);
    let mut checkpoints = Vec::new();
    for price in [1.0, 2.0, 3.0] {
        let tick = Tick::new(log.now(), price).with_seq(ARRIVAL_NUMBERS);
        let _ = log
            .engine
            .record_batch(&[("a", tick)], RecordContext { unlisted: Unlisted::List, ..RecordContext::from(log.now()) });
        log.write(1);
        log.read(&mut whole, log.end());
        let parts = (0..).map_while(|stripe| whole.aggregator().stripe_snapshot(stripe));
        checkpoints.push(parts.map(|part| checkpoint::encode(&whole, CREATED, &part).into()).collect::<Vec<Bytes>>());
    }
    for parts in &checkpoints {
        let restored = checkpoint::assemble(config(), CREATED, parts).unwrap();
        let mut late = follower(3, restored.aggregator, restored.covered);
        log.read(&mut late, log.end());
        assert_eq!(content(&late), content(&whole), "from message {}", restored.covered);
    }
}

#[test]
fn ticks_are_judged_by_the_now_of_their_batch_and_not_by_that_of_their_message() {
    let mut log = Log::new();
    let early = Tick::new(log.now().saturating_add(10_000_000), 1.0).with_seq(ARRIVAL_NUMBERS);
    let context = |now| RecordContext { unlisted: Unlisted::List, ..RecordContext::from(now) };
    log.engine.list("a", None).unwrap();
    let _ = log.engine.record_batch(&[("a", early)], context(log.now()));
    log.second += 60;
    let _ = log.engine.record_batch(&[("a", Tick { time: log.now(), ..early })], context(log.now()));
    log.write(1);
    let mut node = follower(2, Aggregator::new(config()), 0);
    log.read(&mut node, 1);
    let candles = |aggregator: &Aggregator| -> Vec<_> {
        aggregator.history("a").unwrap().candles(log.now(), Gaps::Omitted).map(|candle| candle.minute).collect()
    };
    assert_eq!(candles(node.aggregator()), [log.now().minute()], "the first came 10 s before its time");
    assert_eq!(candles(node.aggregator()), candles(&log.engine.aggregator));
}

#[test]
fn a_gateway_that_lacks_something_makes_everyone_but_itself_begin_anew_whatever_its_epoch() {
    let mut log = Log::new();
    log.write(7);
    let writes = Writes { stage: Stage::Anew, epoch: 3, ..writes_of(&log.messages[0]) };
    let blob = crate::codec::encode(&crate::journal::Batch::new(0), &[], log.engine.aggregator.config().rules());
    log.messages.push(message::encode(Body::Writes(writes), &blob));
    for (node, wanted) in [(2, Err(Halt::Lost(Lost::Anew { at: 2 }))), (1, Ok(()))] {
        let mut node = follower(node, Aggregator::new(config()), 0);
        log.read(&mut node, 1);
        assert_eq!(node.fold(2, &log.messages[1]).map(drop), wanted);
    }
}

fn writes_of(message: &[u8]) -> Writes {
    let Ok((Body::Writes(writes), _)) = message::decode(message) else { panic!("no gateway wrote this") };
    writes
}

#[test]
fn a_log_whose_first_messages_are_gone_is_not_whole_from_the_start() {
    let mut log = Log::new();
    log.write(1);
    let mut node = follower(2, Aggregator::new(config()), 0);
    assert_eq!(node.fold(3, &log.messages[0]), Err(Halt::Lost(Lost::Gap { after: 0, next: 3 })));
}

#[test]
fn views_of_every_instrument_fit_messages_and_none_is_lost() {
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
        nodes[1].fold(sequence, &message).unwrap();
    }
    assert!(sequence > 1, "one message is no test");
    assert!(ids.iter().all(|id| nodes[1].aggregator().history(id).unwrap().views == 1));
}

/// A log whose messages bring many quotes each, a tenth of a second apart.
fn busy_log(messages: i64) -> Log {
    let mut log = Log::new();
    let began = log.now();
    for message in 0..messages {
        let now = began.saturating_add(100_000 * message);
        let ticks = (0..2000_i32).map(|place| {
            let tick = Tick::new(now.saturating_add(-i64::from(place)), f64::from(1 + (place * 7919) % 1000));
            (["a", "b", "c"][place.unsigned_abs() as usize % 3], tick.with_seq(ARRIVAL_NUMBERS))
        });
        let ticks: Vec<_> = ticks.collect();
        for run in ticks.chunks(500) {
            let _ =
                log.engine.record_batch(run, RecordContext { unlisted: Unlisted::List, ..RecordContext::from(now) });
        }
        log.write_at(1, now);
    }
    log
}

#[test]
fn one_moment_had_two_histories_while_a_message_was_being_folded() {
    let log = busy_log(150);
    let nodes = [(); 2].map(|()| {
        let engine = Engine::new(Aggregator::new(config()), Clock::new(ClockMode::Feed));
        Arc::new(engine.with_feeds(Feeds::unmonitored(ClockMode::Feed).with_log_coverage()))
    });
    let log = &log;
    let seen: [BTreeMap<String, BTreeSet<String>>; 2] = std::thread::scope(|scope| {
        let readers = nodes.each_ref().map(|engine| {
            scope.spawn(move || {
                let reads = AtomicUsize::new(0);
                let fold = || {
                    let mut node = follower_of(engine);
                    for sequence in 1..=log.end() {
                        log.read(&mut node, sequence);
                        let enough = reads.load(Ordering::Relaxed) + 3;
                        while reads.load(Ordering::Relaxed) < enough {
                            std::thread::yield_now();
                        }
                    }
                };
                std::thread::scope(|scope| {
                    let folding = scope.spawn(fold);
                    let api = Api::new(Arc::clone(engine));
                    let mut seen = BTreeMap::<_, BTreeSet<_>>::new();
                    while !folding.is_finished() {
                        reads.fetch_add(1, Ordering::Relaxed);
                        let Some((moment, candles)) = read(&api) else { continue };
                        seen.entry(moment).or_default().insert(candles);
                    }
                    seen
                })
            })
        });
        readers.map(|reader| reader.join().unwrap())
    });
    let [one, other] = &seen;
    let common = one.iter().filter_map(|(moment, candles)| Some((moment, candles, other.get(moment)?)));
    let common: Vec<_> = common.collect();
    assert!(common.len() > 100, "only {} moments were seen at both", common.len());
    assert!(one.values().chain(other.values()).all(|candles| candles.len() == 1), "one node has two for one moment");
    assert!(common.iter().all(|(_, here, there)| here == there), "two nodes differ at one moment");
}

fn follower_of(engine: &Arc<Engine>) -> Follower {
    Follower::new(Arc::clone(engine), 1, 0, None)
}

/// The moment of one history, and its candles, as a reader gets them.
fn read(api: &Api) -> Option<(String, String)> {
    let route = Route::History { id: "a".into(), options: HistoryOptions::default() };
    let answer = api.respond(&hyper::Method::GET, &route, &HeaderMap::new());
    let body = answer.into_body().collect().now_or_never()?.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let (head, candles) = text.split_once("\"candles\":")?;
    let moment = head.split_once("\"asOf\":")?.1.split_once(',')?.0;
    Some((moment.to_owned(), candles.to_owned()))
}

#[test]
fn what_a_dead_log_told_passed_for_live_where_a_node_started() {
    let says_what_is_old = |clock, ago: i64| {
        let mut node = follower(2, Aggregator::new(config()), 0);
        let mut log = Log::new();
        log.write_at(1, node.engine.clock.wall().saturating_add(-ago * 1_000_000));
        let writes = Writes { clock, ..writes_of(&log.messages[0]) };
        let blob = crate::codec::encode(&crate::journal::Batch::new(0), &[], log.engine.aggregator.config().rules());
        node.fold(1, &message::encode(Body::Writes(writes), &blob)).unwrap();
        node.says_what_is_old()
    };
    let wall = [600, 20, 10, 0, -600].map(|ago| says_what_is_old(ClockOf::Wall, ago));
    assert_eq!(wall, [true, true, false, false, false]);
    // Its time is its own.
    assert!(!says_what_is_old(ClockOf::Feed, 600));
}
