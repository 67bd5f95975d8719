//! Tests how the lease changes from one gateway to the other.

use tokio::time::{sleep, timeout};

use super::super::timing::{FEED_DOWN_TIMEOUT, LEASE_TIMEOUT, RELEASE_TIMEOUT};
use super::super::*;
use super::simulation::{Actor, World};
use super::{last_header, run_with_quotes};
use crate::message::LeaseAction;

#[tokio::test(start_paused = true)]
async fn a_leader_whose_feed_is_down_loses_the_lease_to_a_standby_with_a_feed() {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    let leader = world.leader().unwrap();
    world.actors[leader].lose_feed();
    run_with_quotes(&mut world, 4).await;
    assert_eq!(world.leader(), Some(1 - leader));
    assert!(!last_header(&world.broker).feed_is_down);
    assert_eq!(last_header(&world.broker).epoch, 2, "there was one failover");
    world.assert_no_quote_lost_or_repeated("with quotes from before the failover");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_feed_is_down_keeps_the_lease_if_the_standby_has_no_feed() {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    let leader = world.leader().unwrap();
    world.actors.iter_mut().for_each(Actor::lose_feed);
    world.run(Duration::from_mins(1)).await;
    assert_eq!(world.leader(), Some(leader));
    assert_eq!(last_header(&world.broker).epoch, 1);
}

#[tokio::test(start_paused = true)]
async fn a_market_that_goes_silent_causes_no_failover() {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    let leader = world.leader().unwrap();
    for index in [leader, 1 - leader] {
        world.actors[index].lose_feed();
        // One gateway notices the silence slightly before the other gateway.
        world.run(FEED_DOWN_TIMEOUT / 2).await;
    }
    world.run(LEASE_TIMEOUT * 3).await;
    assert_eq!((world.leader(), last_header(&world.broker).epoch), (Some(leader), 1));
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_claimed_at_once() {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    let mut leaving = world.actors.remove(world.leader().unwrap());
    leaving.gateway.release(&mut leaving.session).await;
    assert_eq!(last_header(&world.broker).lease, LeaseAction::Release);
    world.run(SEND_INTERVAL * 4).await;
    assert!(world.actors[0].is_leader());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_publishes_its_outbox_before_it_releases_the_lease() {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    let leader = world.leader().unwrap();
    world.actors.remove(1 - leader);
    for _ in 0..80_000 {
        world.quote("a");
    }
    let actor = &mut world.actors[0];
    timeout(RELEASE_TIMEOUT, actor.gateway.release(&mut actor.session)).await.unwrap();
    assert_eq!(last_header(&world.broker).lease, LeaseAction::Release);
    world.assert_no_quote_lost_or_repeated("after the release");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_feed_is_down_keeps_the_lease_until_the_standby_has_a_steady_feed() {
    let mut world = World::new();
    world.run(LEASE_TIMEOUT * 2).await;
    let leader = world.leader().unwrap();
    assert!(world.actors[1 - leader].engine.feeds.is_delivering(), "its silence is not noticed yet");
    world.actors[leader].lose_feed();
    world.run(LEASE_TIMEOUT * 2).await;
    assert_eq!((world.leader(), last_header(&world.broker).epoch), (Some(leader), 1));
    run_with_quotes(&mut world, LEASE_TIMEOUT.as_secs() / 2).await;
    assert_eq!(world.leader(), Some(leader));
    run_with_quotes(&mut world, LEASE_TIMEOUT.as_secs()).await;
    assert_eq!((world.leader(), last_header(&world.broker).epoch), (Some(1 - leader), 2));
    world.assert_no_quote_lost_or_repeated("by the gateway with the feed");
}

/// Ends the gateway of an actor. Returns the number of lost quotes that the error of the gateway reports.
async fn end(actor: &mut Actor) -> Option<String> {
    let error = actor.gateway.end(&mut actor.session).await.err()?;
    let number = error.strip_prefix("the last ")?;
    number.strip_suffix(" quotes are lost, because the broker did not store them in time").map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn a_leader_reports_its_lost_quotes_and_a_standby_has_none() {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    let leader = world.leader().unwrap();
    world.actors.iter().for_each(|actor| actor.connection.freeze());
    run_with_quotes(&mut world, 3).await;
    let standby = &mut world.actors[1 - leader];
    assert_eq!(standby.gateway.end(&mut standby.session).await, Ok(()));
    assert_eq!(end(&mut world.actors[leader]).await.as_deref(), Some("3"));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_claims_the_lease_publishes_its_quotes_before_it_ends_or_reports_their_loss() {
    let mut world = World::new();
    run_with_quotes(&mut world, 10).await;
    world.actors.remove(world.leader().unwrap());
    run_with_quotes(&mut world, 4).await;
    let connection = world.actors[0].connection.clone();
    connection.freeze();
    run_with_quotes(&mut world, 3).await;
    let actor = &mut world.actors[0];
    assert!(matches!(actor.session.lease, Lease::Claiming(_)));
    assert_eq!(end(actor).await.as_deref(), Some("7"));
    let thaw = async {
        sleep(RELEASE_TIMEOUT / 2).await;
        connection.thaw();
    };
    assert_eq!(tokio::join!(actor.gateway.end(&mut actor.session), thaw).0, Ok(()));
    assert_eq!(last_header(&world.broker).lease, LeaseAction::Release);
    world.assert_no_quote_lost_or_repeated("by a gateway that claimed the lease");
}
