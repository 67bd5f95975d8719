use candle_core::{Coverage, Gaps, Tick};

use super::simulation::{Actor, World, follower, tick};
use super::*;
use crate::nats::log::memory::Memory;
use crate::nats::message::{self, Body, Stage};

async fn actor(log: &Memory, second: i64) -> Actor {
    Actor::new(log, 1, at(second)).await
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second).unwrap()
}

/// Lets seconds pass in which one quote comes each second.
pub(super) async fn quoted(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        world.quote("a");
        world.pass_for(Duration::from_secs(1)).await;
    }
}

/// What the last message of a gateway says.
pub(super) fn said(log: &Memory) -> Writes {
    written(log, log.end())
}

/// What the message of a gateway at this place says.
fn written(log: &Memory, place: u64) -> Writes {
    let (_, bytes) = log.next(place).unwrap();
    let Ok((Body::Writes(writes), _)) = message::decode(&bytes) else { panic!("no gateway wrote this") };
    writes
}

/// How each of the last minutes of a node is covered, oldest first.
fn covered(world: &World, minutes: i64) -> Vec<Coverage> {
    let node = world.node();
    let now = node.engine().clock.now();
    let window = node.engine().feeds.coverage(now);
    (0..minutes).rev().map(|back| window.of(now.minute().saturating_add(-back))).collect()
}

#[tokio::test(start_paused = true)]
async fn what_came_while_a_gateway_waited_for_its_broker_is_not_forgotten() {
    let mut world = World::new().await;
    world.actors.iter().for_each(|actor| actor.way.freeze());
    quoted(&mut world, 180).await;
    world.actors.iter().for_each(|actor| actor.way.thaw());
    world.pass_for(Duration::from_secs(10)).await;
    world.assert_none_lost_or_doubled("after three minutes");
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_gateway_reached_its_log_is_not_forgotten() {
    let log = Memory::default();
    let mut gateway = actor(&log, 1_700_000_000).await;
    for second in 0..100 {
        gateway.quote("a", tick(at(1_700_000_000 + second), 1 + second.unsigned_abs()));
        gateway.gateway.hold(None);
        sleep(Duration::from_secs(1)).await;
    }
    for _ in 0..10 {
        sleep(CUT).await;
        gateway.turn().await.unwrap();
    }
    let mut node = follower(9);
    while let Some((sequence, bytes)) = log.next(node.position() + 1) {
        node.fold(sequence, &bytes).unwrap();
    }
    let history = node.aggregator().history("a").unwrap();
    let counts = history.candles(node.engine().clock.now(), Gaps::Omitted).map(|candle| candle.count);
    assert_eq!(counts.sum::<u32>(), 100);
}

#[tokio::test(start_paused = true)]
async fn what_came_while_a_gateway_looked_for_a_log_that_others_had_left_is_not_forgotten() {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    world.actors.clear();
    let another = world.actor().await;
    world.actors.push(another);
    // More than one message takes, so that some could be forgotten.
    (0..20_000).for_each(|_| world.quote("a"));
    for _ in 0..100 {
        world.quote("a");
        world.actors[0].gateway.hold(None);
        sleep(Duration::from_secs(1)).await;
    }
    world.pass_for(Duration::from_secs(10)).await;
    world.assert_none_lost_or_doubled("once it is found");
}

#[tokio::test(start_paused = true)]
async fn minutes_without_any_gateway_are_not_told_as_covered() {
    let mut world = World::new().await;
    quoted(&mut world, 120).await;
    world.actors.clear();
    sleep(Duration::from_mins(5)).await;
    let another = world.actor().await;
    world.actors.push(another);
    quoted(&mut world, 120).await;
    let covered = covered(&world, 8);
    assert_eq!(covered[3..6], [Coverage::None; 3], "{covered:?}");
    assert_eq!(covered[7], Coverage::Complete, "{covered:?}");
}

#[tokio::test(start_paused = true)]
async fn a_loss_on_the_way_here_is_told_as_a_gap_and_what_was_listed_meanwhile_is_listed_again() {
    let mut world = World::new().await;
    quoted(&mut world, 130).await;
    assert!(covered(&world, 3).iter().all(|one| *one == Coverage::Complete));
    let writer = world.writer().unwrap();
    world.actors[writer].gateway.journal.suspend();
    world.actors[writer].engine.list("lost on the way", Some("told after all")).unwrap_err();
    world.actors[writer].engine.list("lost", Some("told after all")).unwrap();
    quoted(&mut world, 130).await;
    let covered = covered(&world, 5);
    assert_eq!(covered.iter().filter(|one| **one == Coverage::Partial).count(), 1, "{covered:?}");
    let history = world.node().aggregator().history("lost").unwrap();
    assert_eq!(history.description.as_deref(), Some("told after all"));
}

#[tokio::test(start_paused = true)]
async fn something_foreign_among_the_writes_ends_nothing() {
    let mut world = World::new().await;
    for place in 0..3 {
        quoted(&mut world, 40).await;
        // By then the first message is one of an earlier gateway.
        let foreign = if place == 1 { world.log.next(1).unwrap().1 } else { "no message of ours".into() };
        world.log.another_way().send("TEST.writes".to_owned(), &format!("foreign {place}"), None, foreign);
    }
    quoted(&mut world, 10).await;
    world.assert_none_lost_or_doubled("with something foreign");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_was_emptied_is_opened_again() {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    let kept = world.node();
    world.log.purge();
    quoted(&mut world, 20).await;
    let epoch = said(&world.log).epoch;
    assert!(epoch > 1, "{epoch}");
    let mut node = kept;
    while let Some((sequence, bytes)) = world.log.next(node.position() + 1) {
        node.fold(sequence, &bytes).unwrap();
    }
    let history = node.aggregator().history("a").unwrap();
    let counts = history.candles(world.now(), Gaps::Omitted).map(|candle| candle.count);
    assert_eq!(counts.sum::<u32>(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_stale_gateway_writes_nothing_however_late_it_arrives() {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    let stale = world.writer().unwrap();
    world.actors[stale].way.freeze();
    quoted(&mut world, 20).await;
    let end = world.log.end();
    world.actors[stale].way.thaw();
    assert_eq!(world.log.end(), end, "what it said is refused when it arrives");
    quoted(&mut world, 10).await;
    assert_eq!(world.writer(), Some(1 - stale));
    assert!(!world.actors[stale].is_writing());
}

#[tokio::test(start_paused = true)]
async fn nobody_writes_before_it_has_read_what_is_there() {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    world.actors.clear();
    let mut late = world.actor().await;
    late.link.end = Some(world.log.end() + 1);
    for _ in 0..200 {
        sleep(CUT).await;
        late.turn().await.unwrap();
    }
    assert!(matches!(late.link.role, Role::Standby), "one message has not come yet");
    late.link.end = Some(world.log.end());
    late.turn().await.unwrap();
    assert!(matches!(late.link.role, Role::Opening(_)));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_lacks_something_begins_anew_once_another_one_has_written_all() {
    let log = Memory::default();
    let mut gateway = actor(&log, 1_700_000_000).await;
    let rounds = crate::nats::checkpoint::ROUND * 2;
    gateway.link.checkpoint = Found::Torn;
    assert!(!gateway.link.is_outdone(rounds.saturating_sub(CUT)) && gateway.link.is_outdone(rounds));
    gateway.link.checkpoint = Found::Whole;
    assert!(!gateway.link.is_outdone(rounds));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_never_reached_is_a_loss() {
    let mut world = World::new().await;
    quoted(&mut world, 3).await;
    let end = world.log.end();
    let link = &mut world.actors[0].link;
    let reached = link.follower.position();
    assert_eq!(link.folded(Some(Event::End(reached)), Duration::ZERO), Ok(()));
    let gap = Halt::Lost(Lost::Gap { after: reached, next: end + 10 });
    assert_eq!(link.folded(Some(Event::End(end + 9)), Duration::ZERO), Err(gap));
    let gone = link.folded(Some(Event::Gone("it was deleted".to_owned())), Duration::ZERO);
    assert_eq!(gone, Err(Halt::Lost(Lost::Gone("it was deleted".to_owned()))));
    assert!(link.folded(None, Duration::ZERO).is_err());
}

#[tokio::test(start_paused = true)]
async fn quotes_without_a_number_keep_the_order_of_their_arrival_from_message_to_message() {
    let mut world = World::new().await;
    quoted(&mut world, 2).await;
    let writer = world.writer().unwrap();
    let time = world.now();
    for prices in [&[1.0, 2.0][..], &[3.0], &[4.0]] {
        for price in prices {
            let tick = Tick::new(time, *price).with_seq(message::ARRIVAL_NUMBERS);
            world.actors[writer].quote("unnumbered", tick);
        }
        world.pass_for(CUT * 3).await;
    }
    let history = world.node().aggregator().history("unnumbered").unwrap();
    let candle = history.candles(time, Gaps::Omitted).next().unwrap();
    assert_eq!([candle.open, candle.close], [1.0, 4.0]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_what_was_just_stored_is_still_at_risk() {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    let writer = world.writer().unwrap();
    world.actors.iter().for_each(|actor| actor.way.freeze());
    for _ in 0..80_000 {
        world.quote("a");
    }
    world.pass_for(Duration::from_secs(10)).await;
    let pieces = world.actors[writer].gateway.outbox.pieces();
    assert!(pieces > 3, "{pieces} pieces");
    world.actors.iter().for_each(|actor| actor.way.thaw());
    // The second to go was sent just before, when what it holds had waited for long.
    while world.actors[writer].gateway.outbox.pieces() > pieces - 2 {
        world.pass().await;
    }
    assert!(unpersisted(&world.actors[writer].engine) >= Duration::from_secs(10));
    world.pass_for(Duration::from_secs(1)).await;
    assert!(unpersisted(&world.actors[writer].engine) < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_opening_does_not_say_that_its_gateway_has_no_feed() {
    let log = Memory::default();
    let mut first = Actor::new(&log, 1, at(0)).await;
    while log.end() == 0 {
        first.turn().await.unwrap();
        sleep(CUT).await;
    }
    let mut second = Actor::new(&log, 2, at(0)).await;
    second.turn().await.unwrap();
    let opening = said(&log);
    assert_eq!((opening.stage, opening.supply), (Stage::Opening, crate::nats::message::SupplyOf::Down));
    assert_eq!(second.link.follower.position(), 1);
    assert!(!second.link.is_starved(Duration::MAX));
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_told_by_the_next_opening_of_the_only_one_that_has_it() {
    for seconds in [15, 90] {
        only_one_has_what_was_refused(seconds).await;
    }
}

/// A gateway is cut off for so long, and the other one has no feed.
async fn only_one_has_what_was_refused(seconds: u64) {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    let writer = world.writer().unwrap();
    world.actors[1 - writer].lose_feed();
    world.actors[writer].way.freeze();
    quoted(&mut world, seconds).await;
    assert_eq!(world.writer(), Some(1 - writer), "it hears nothing");
    world.actors[writer].way.thaw();
    quoted(&mut world, 15).await;
    assert_eq!(world.writer(), Some(writer), "the other one has no feed");
    world.assert_none_lost_or_doubled("by the one that has them");
}

#[tokio::test(start_paused = true)]
async fn a_standby_folds_nothing_that_the_log_has() {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    let writer = world.writer().unwrap();
    world.actors[1 - writer].gateway.outbox = Outbox::new(1 << 20);
    let mut held = Vec::new();
    for _ in 0..600 {
        (0..100).for_each(|_| world.quote("a"));
        world.pass().await;
        held.push(world.actors[1 - writer].gateway.outbox.bytes());
    }
    let full = held.iter().position(|held| *held > 7 << 17).unwrap();
    assert!(held[full..].iter().all(|held| *held > 1 << 18), "what is folded is far less: {held:?}");
    world.actors.remove(writer);
    quoted(&mut world, 10).await;
    world.assert_none_lost_or_doubled("by one that has no room for all that it would hold");
}

#[tokio::test(start_paused = true)]
async fn no_two_messages_tell_the_same_time() {
    let mut world = World::new().await;
    quoted(&mut world, 3).await;
    world.actors.iter().for_each(|actor| actor.way.freeze());
    // Of one moment, and more than two messages take.
    (0..80_000).for_each(|_| world.quote("a"));
    world.pass().await;
    world.actors.iter().for_each(|actor| actor.way.thaw());
    quoted(&mut world, 3).await;
    // The one that goes on has a clock that is behind.
    world.actors.clear();
    let behind = world.now().saturating_add(-3_000_000);
    world.actors.push(Actor::new(&world.log, 9, behind).await);
    world.pass_for(PATIENCE * 3).await;
    assert!(world.actors[0].is_writing());
    let told: Vec<_> = (1..=world.log.end()).map(|place| written(&world.log, place).now).collect();
    assert!(told.iter().zip(&told[1..]).all(|(before, after)| *after >= before + 2), "{told:?}");
}

/// Returns the period whose writes a crash would lose now.
fn unpersisted(engine: &Engine) -> Duration {
    engine.journal().unwrap().unpersisted_for(engine.clock.elapsed())
}
