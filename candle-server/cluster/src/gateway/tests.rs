mod handover;
mod simulation;

use candle_core::{Coverage, Gaps, Tick};

use super::timing::LEASE_TIMEOUT;
use tokio::time::sleep;

use super::*;
use crate::broker::memory::MemoryBroker;
use crate::message::{self, Content, LeaseAction, WritesHeader};
use crate::subscribe::Event;
use simulation::{Actor, World, follower, tick};

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second).unwrap()
}

/// Runs the world for some seconds, with one quote in each second.
async fn run_with_quotes(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        world.quote("a");
        world.run(Duration::from_secs(1)).await;
    }
}

/// Returns the header of the last message, which must be from a gateway.
fn last_header(broker: &MemoryBroker) -> WritesHeader {
    header(broker, broker.end())
}

/// Returns the header of the message at `sequence`, which must be from a gateway.
fn header(broker: &MemoryBroker, sequence: u64) -> WritesHeader {
    let (_, bytes) = broker.next(sequence).unwrap();
    let Ok((Content::Writes(header), _)) = message::decode(&bytes) else { panic!("no gateway wrote this") };
    header
}

/// Returns the coverage of the last minutes on a read node, oldest minute first.
fn coverage(world: &World, minutes: i64) -> Vec<Coverage> {
    let node = world.read_node();
    let now = node.engine().clock.now();
    let window = node.engine().feeds.coverage(now);
    (0..minutes).rev().map(|back| window.of(now.minute().saturating_add(-back))).collect()
}

/// Returns the age of the oldest write that would be lost if the process were killed now.
fn unpersisted(engine: &Engine) -> Duration {
    engine.journal().unwrap().unpersisted_for(engine.clock.elapsed())
}

#[tokio::test(start_paused = true)]
async fn quotes_during_an_outage_of_the_broker_are_published() {
    let mut world = World::new();
    world.actors.iter().for_each(|actor| actor.connection.freeze());
    run_with_quotes(&mut world, 180).await;
    world.actors.iter().for_each(|actor| actor.connection.thaw());
    world.run(Duration::from_secs(10)).await;
    world.assert_no_quote_lost_or_repeated("after three minutes");
}

#[tokio::test(start_paused = true)]
async fn quotes_before_the_first_connect_are_published() {
    let broker = MemoryBroker::default();
    let mut actor = Actor::new(&broker, 1, at(1_700_000_000));
    for second in 0..100 {
        actor.quote("a", tick(at(1_700_000_000 + second), 1 + second.unsigned_abs()));
        actor.gateway.buffer(None);
        sleep(Duration::from_secs(1)).await;
    }
    for _ in 0..10 {
        sleep(SEND_INTERVAL).await;
        actor.step().await.unwrap();
    }
    let mut node = follower(9);
    while let Some((sequence, bytes)) = broker.next(node.applied() + 1) {
        node.apply(sequence, &bytes).unwrap();
    }
    let history = node.aggregator().history("a").unwrap();
    let counts = history.candles(node.engine().clock.now(), Gaps::Omitted).map(|candle| candle.count);
    assert_eq!(counts.sum::<u32>(), 100);
}

#[tokio::test(start_paused = true)]
async fn quotes_during_the_bootstrap_at_an_abandoned_log_are_published() {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    world.actors.clear();
    world.add_actor();
    // These quotes do not fit into one message, so some of them could be dropped.
    (0..20_000).for_each(|_| world.quote("a"));
    for _ in 0..100 {
        world.quote("a");
        world.actors[0].gateway.buffer(None);
        sleep(Duration::from_secs(1)).await;
    }
    world.run(Duration::from_secs(10)).await;
    world.assert_no_quote_lost_or_repeated("after the bootstrap");
}

#[tokio::test(start_paused = true)]
async fn minutes_without_a_gateway_are_published_as_not_covered() {
    let mut world = World::new();
    run_with_quotes(&mut world, 120).await;
    world.actors.clear();
    sleep(Duration::from_mins(5)).await;
    world.add_actor();
    run_with_quotes(&mut world, 120).await;
    let covered = coverage(&world, 8);
    assert_eq!(covered[3..6], [Coverage::None; 3], "{covered:?}");
    assert_eq!(covered[7], Coverage::Complete, "{covered:?}");
}

#[tokio::test(start_paused = true)]
async fn a_broken_journal_is_published_as_a_gap_and_lost_listings_are_published_again() {
    let mut world = World::new();
    run_with_quotes(&mut world, 130).await;
    assert!(coverage(&world, 3).iter().all(|one| *one == Coverage::Complete));
    let leader = world.leader().unwrap();
    world.actors[leader].gateway.journal.suspend();
    world.actors[leader].engine.list(" not an id ", Some("described")).unwrap_err();
    world.actors[leader].engine.list("lost", Some("described")).unwrap();
    run_with_quotes(&mut world, 130).await;
    let covered = coverage(&world, 5);
    assert_eq!(covered.iter().filter(|one| **one == Coverage::Partial).count(), 1, "{covered:?}");
    let history = world.read_node().aggregator().history("lost").unwrap();
    assert_eq!(history.description.as_deref(), Some("described"));
}

#[tokio::test(start_paused = true)]
async fn foreign_messages_do_not_stop_the_gateways() {
    let mut world = World::new();
    for round in 0..3 {
        run_with_quotes(&mut world, 40).await;
        // In round 1, the foreign message is a copy of the first message, which an earlier leader wrote.
        let foreign = if round == 1 { world.broker.next(1).unwrap().1 } else { "no message of ours".into() };
        let stranger = world.broker.reconnected();
        stranger.publish_now("TEST.writes".to_owned(), &format!("foreign {round}"), None, foreign);
    }
    run_with_quotes(&mut world, 10).await;
    world.assert_no_quote_lost_or_repeated("with foreign messages");
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_an_emptied_log_is_claimed_again() {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    let mut node = world.read_node();
    world.broker.purge();
    run_with_quotes(&mut world, 20).await;
    let epoch = last_header(&world.broker).epoch;
    assert!(epoch > 1, "{epoch}");
    while let Some((sequence, bytes)) = world.broker.next(node.applied() + 1) {
        node.apply(sequence, &bytes).unwrap();
    }
    let history = node.aggregator().history("a").unwrap();
    let counts = history.candles(world.now(), Gaps::Omitted).map(|candle| candle.count);
    assert_eq!(counts.sum::<u32>(), 30);
}

#[tokio::test(start_paused = true)]
async fn late_messages_of_an_old_leader_are_rejected() {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    let stale = world.leader().unwrap();
    world.actors[stale].connection.freeze();
    run_with_quotes(&mut world, 20).await;
    let end = world.broker.end();
    world.actors[stale].connection.thaw();
    assert_eq!(world.broker.end(), end, "its message is rejected on arrival");
    run_with_quotes(&mut world, 10).await;
    assert_eq!(world.leader(), Some(1 - stale));
    assert!(!world.actors[stale].is_leader());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_claims_no_lease_before_it_has_caught_up() {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    world.actors.clear();
    world.add_actor();
    let mut late = world.actors.remove(0);
    late.session.end = Some(world.broker.end() + 1);
    for _ in 0..200 {
        sleep(SEND_INTERVAL).await;
        late.step().await.unwrap();
    }
    assert!(matches!(late.session.lease, Lease::Standby), "one message is missing");
    late.session.end = Some(world.broker.end());
    late.step().await.unwrap();
    assert!(matches!(late.session.lease, Lease::Claiming(_)));
}

#[tokio::test(start_paused = true)]
async fn a_standby_with_a_gap_restarts_after_two_rounds_of_checkpoints() {
    let mut actor = Actor::new(&MemoryBroker::default(), 1, at(1_700_000_000));
    let session = &mut actor.session;
    let rounds = crate::checkpoint::writer::ROUND * 2;
    session.continuity = Continuity::Gap;
    assert!(!session.can_restart(rounds.saturating_sub(SEND_INTERVAL)) && session.can_restart(rounds));
    session.continuity = Continuity::Complete;
    assert!(!session.can_restart(rounds));
}

#[tokio::test(start_paused = true)]
async fn an_end_after_the_last_applied_message_is_a_gap() {
    let mut world = World::new();
    run_with_quotes(&mut world, 3).await;
    let end = world.broker.end();
    let session = &mut world.actors[0].session;
    let applied = session.follower.applied();
    assert_eq!(session.apply(Some(Event::End(applied)), Duration::ZERO), Ok(()));
    let gap = FollowError::OutOfSync(OutOfSync::Gap { after: applied, next: end + 10 });
    assert_eq!(session.apply(Some(Event::End(end + 9)), Duration::ZERO), Err(gap));
    let gone = session.apply(Some(Event::Gone("it was deleted".to_owned())), Duration::ZERO);
    assert_eq!(gone, Err(FollowError::OutOfSync(OutOfSync::StreamGone("it was deleted".to_owned()))));
    assert!(session.apply(None, Duration::ZERO).is_err());
}

#[tokio::test(start_paused = true)]
async fn quotes_without_a_number_keep_their_order_across_messages() {
    let mut world = World::new();
    run_with_quotes(&mut world, 2).await;
    let leader = world.leader().unwrap();
    let time = world.now();
    for prices in [&[1.0, 2.0][..], &[3.0], &[4.0]] {
        for price in prices {
            let tick = Tick::new(time, *price).with_seq(message::FIRST_ARRIVAL_SEQ);
            world.actors[leader].quote("unnumbered", tick);
        }
        world.run(SEND_INTERVAL * 3).await;
    }
    let history = world.read_node().aggregator().history("unnumbered").unwrap();
    let candle = history.candles(time, Gaps::Omitted).next().unwrap();
    assert_eq!([candle.open, candle.close], [1.0, 4.0]);
}

#[tokio::test(start_paused = true)]
async fn quotes_after_the_last_stored_chunk_are_at_risk() {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    let leader = world.leader().unwrap();
    world.actors.iter().for_each(|actor| actor.connection.freeze());
    for _ in 0..80_000 {
        world.quote("a");
    }
    world.run(Duration::from_secs(10)).await;
    let chunks = world.actors[leader].gateway.outbox.chunks();
    assert!(chunks > 3, "{chunks} chunks");
    world.actors.iter().for_each(|actor| actor.connection.thaw());
    // The loop ends when the second chunk is published. The quotes in that chunk are old.
    while world.actors[leader].gateway.outbox.chunks() > chunks - 2 {
        world.step().await;
    }
    assert!(unpersisted(&world.actors[leader].engine) >= Duration::from_secs(10));
    world.run(Duration::from_secs(1)).await;
    assert!(unpersisted(&world.actors[leader].engine) < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_claim_does_not_count_as_a_feed_that_is_down() {
    let broker = MemoryBroker::default();
    let mut first = Actor::new(&broker, 1, at(0));
    while broker.end() == 0 {
        first.step().await.unwrap();
        sleep(SEND_INTERVAL).await;
    }
    let mut second = Actor::new(&broker, 2, at(0));
    second.step().await.unwrap();
    let claim = last_header(&broker);
    assert_eq!((claim.lease, claim.feed_is_down), (LeaseAction::Claim, true));
    assert_eq!(second.session.follower.applied(), 1);
    assert!(!second.session.leader_feed_stays_down(Duration::MAX));
}

#[tokio::test(start_paused = true)]
async fn rejected_quotes_are_published_after_the_next_claim() {
    for seconds in [15, 90] {
        quotes_that_only_a_disconnected_leader_has_are_published(seconds).await;
    }
}

/// Disconnects the leader for some seconds while the feed of the other gateway is down.
async fn quotes_that_only_a_disconnected_leader_has_are_published(seconds: u64) {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    let leader = world.leader().unwrap();
    world.actors[1 - leader].lose_feed();
    world.actors[leader].connection.freeze();
    run_with_quotes(&mut world, seconds).await;
    assert_eq!(world.leader(), Some(1 - leader), "the leader is disconnected");
    world.actors[leader].connection.thaw();
    run_with_quotes(&mut world, 15).await;
    assert_eq!(world.leader(), Some(leader), "the other gateway has no feed");
    world.assert_no_quote_lost_or_repeated("by the gateway with the feed");
}

#[tokio::test(start_paused = true)]
async fn a_full_standby_drops_logged_quotes_instead_of_compacting() {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    let leader = world.leader().unwrap();
    world.actors[1 - leader].gateway.outbox = Outbox::new(1 << 20);
    let mut held = Vec::new();
    for _ in 0..600 {
        (0..100).for_each(|_| world.quote("a"));
        world.step().await;
        held.push(world.actors[1 - leader].gateway.outbox.bytes());
    }
    let full = held.iter().position(|held| *held > 7 << 17).unwrap();
    assert!(held[full..].iter().all(|held| *held > 1 << 18), "compacted quotes are far fewer bytes: {held:?}");
    world.actors.remove(leader);
    run_with_quotes(&mut world, 10).await;
    world.assert_no_quote_lost_or_repeated("by a gateway with a small outbox");
}

#[tokio::test(start_paused = true)]
async fn the_times_of_two_messages_differ() {
    let mut world = World::new();
    run_with_quotes(&mut world, 3).await;
    world.actors.iter().for_each(|actor| actor.connection.freeze());
    // All these quotes have the same time, and they do not fit into two messages.
    (0..80_000).for_each(|_| world.quote("a"));
    world.step().await;
    world.actors.iter().for_each(|actor| actor.connection.thaw());
    run_with_quotes(&mut world, 3).await;
    // The clock of the next leader is behind.
    world.actors.clear();
    let behind = world.now().saturating_add(-3_000_000);
    world.actors.push(Actor::new(&world.broker, 9, behind));
    world.run(LEASE_TIMEOUT * 3).await;
    assert!(world.actors[0].is_leader());
    let times: Vec<_> = (1..=world.broker.end()).map(|sequence| header(&world.broker, sequence).now).collect();
    assert!(times.iter().zip(&times[1..]).all(|(before, after)| *after >= before + 2), "{times:?}");
}
