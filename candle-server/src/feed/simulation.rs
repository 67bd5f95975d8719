//! Hours of feed life in seconds: the real supervisor, intake, engine and coverage, on a clock that is driven, fed by
//! made-up feeds with random faults, and held to the truth after each step.
//!
//! `CANDLE_SIMULATION_SEED=17 cargo test -p candle-server simulation` lives the lives of one seed, and the same again.

mod book;
mod supply;
mod tape;
mod trouble;
mod upstream;
mod world;

use std::sync::Arc;
use std::time::Duration;

use candle_core::{Aggregator, Config};
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use self::book::Catalogue::{self, Announced};
pub(super) use self::upstream::{Line, upstream};
use self::world::World;
use super::failover::FailoverConfig;
use super::health::SilenceTimeout;
use super::url::FeedUrl;
use crate::clock::{Clock, ClockMode};
use crate::engine::Engine;
use crate::feeds::Feeds;

/// A time since the start of a life, or a length of time, in milliseconds.
type Millis = u64;

/// How long one life lasts: longer than the window.
const LIFE: Millis = 35 * 60_000;
/// The lives that are always lived: some three hours in all, which is what a debug build has time for; others are for
/// `CANDLE_SIMULATION_SEED`. A seed that failed once is added here.
const SEEDS: [u64; 1] = [0];
/// How soon a state is shown.
const SHOWN: Millis = 3_000;
/// How soon the other feed supplies the engine, where it is well all the time: to see it, to wait, to connect.
const FAIL_OVER: Millis = 5_000;
/// The longest that a feed which is well goes unused while no other supplies the engine.
const LONGEST: Millis = 60_000;
/// How long the first feed may be well before it is the active one again: a back-off, and the time it is looked at.
const COME_BACK: Millis = 45_000;

/// Lives one life of feeds with these catalogues.
fn live(seed: u64, catalogues: &[Catalogue]) {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let world = runtime.block_on(async {
        let url = |(place, catalogue): (usize, &Catalogue)| match catalogue {
            Catalogue::None => format!("ws://simulated:{}/", place + 1),
            Announced => format!("partner+ws://simulated:{}", place + 1),
        };
        let feeds: Vec<FeedUrl> = catalogues.iter().enumerate().map(|feed| url(feed).parse().unwrap()).collect();
        let turns =
            FailoverConfig { fail_over_after: Duration::from_secs(2), fail_back_after: Duration::from_secs(10) };
        let watched = feeds.iter().map(|feed| (feed.to_string(), SilenceTimeout::FromRate));
        // There is one thread, and the outcomes of all stripes are looked at after each step.
        let aggregator = Aggregator::new(Config::default().with_stripes(1));
        let engine = Engine::new(
            aggregator,
            Clock::with_time(ClockMode::Wall, crate::paused_time::PausedTime::starting_at(world::start())),
        );
        let engine = Arc::new(engine.with_feeds(Feeds::new(watched, ClockMode::Wall, turns)));
        engine.start();
        let world = Arc::new(Mutex::new(World::new(seed, catalogues.to_vec(), Arc::clone(&engine))));
        upstream::simulate(Some(Arc::clone(&world)));
        let mut steps = interval(world::duration(tape::STEP));
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let checks = async {
            for _ in 0..LIFE / tape::STEP {
                steps.tick().await;
                world.lock().check();
            }
        };
        tokio::select! {
            // All that is due comes before it is checked.
            biased;
            () = super::run(engine, &feeds) => panic!("the feeds have come to an end"),
            () = checks => {}
        }
        world
    });
    upstream::simulate(None);
    let world = world.lock();
    assert!(world.book.accepted > LIFE / tape::STEP / 4, "seed {seed}: hardly anything came");
    assert!(world.turns > 10 || catalogues.len() == 1, "seed {seed}: hardly any turn was taken");
}

/// Lives the life of each seed, or of the one that is asked for.
fn live_all(catalogues: &[Catalogue]) {
    let asked = std::env::var("CANDLE_SIMULATION_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = asked.map_or(SEEDS.to_vec(), |seed| vec![seed]);
    seeds.into_iter().for_each(|seed| live(seed, catalogues));
}

#[test]
fn one_feed_without_a_catalogue_is_told_truly_in_every_life() {
    live_all(&[Catalogue::None]);
}

#[test]
fn one_partner_is_told_truly_in_every_life() {
    live_all(&[Announced]);
}

#[test]
fn two_feeds_without_a_catalogue_are_told_truly_in_every_life() {
    live_all(&[Catalogue::None, Catalogue::None]);
}

#[test]
fn two_partners_are_told_truly_in_every_life() {
    live_all(&[Announced, Announced]);
}

#[test]
fn three_feeds_of_both_kinds_are_told_truly_in_every_life() {
    live_all(&[Announced, Catalogue::None, Announced]);
}
