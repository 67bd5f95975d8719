//! Who gets the log from whom, and what is left behind.

use super::simulation::{Actor, World};
use super::tests::{quoted, said};
use super::*;

#[tokio::test(start_paused = true)]
async fn a_gateway_whose_feed_is_dead_gives_the_log_to_one_whose_feed_lives() {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    let writer = world.writer().unwrap();
    world.actors[writer].lose_feed();
    quoted(&mut world, 4).await;
    assert_eq!(world.writer(), Some(1 - writer));
    assert_eq!(said(&world.log).supply, crate::nats::message::SupplyOf::Up);
    assert_eq!(said(&world.log).epoch, 2, "it is given once, and not to and fro");
    world.assert_none_lost_or_doubled("by the time it is noticed");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_whose_feed_is_dead_keeps_the_log_where_the_other_one_has_none_either() {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    let writer = world.writer().unwrap();
    world.actors.iter_mut().for_each(Actor::lose_feed);
    world.pass_for(Duration::from_mins(1)).await;
    assert_eq!(world.writer(), Some(writer));
    assert_eq!(said(&world.log).epoch, 1);
}

#[tokio::test(start_paused = true)]
async fn a_market_that_goes_silent_moves_the_log_from_nobody() {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    let writer = world.writer().unwrap();
    for place in [writer, 1 - writer] {
        world.actors[place].lose_feed();
        // One notices a little before the other.
        world.pass_for(STARVED / 2).await;
    }
    world.pass_for(PATIENCE * 3).await;
    assert_eq!((world.writer(), said(&world.log).epoch), (Some(writer), 1));
}

#[tokio::test(start_paused = true)]
async fn after_a_good_bye_nobody_waits() {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    let mut leaving = world.actors.remove(world.writer().unwrap());
    leaving.gateway.say_good_bye(&mut leaving.link).await;
    assert_eq!(said(&world.log).stage, Stage::Closing);
    world.pass_for(CUT * 4).await;
    assert!(world.actors[0].is_writing());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_stops_alone_tells_all_that_it_holds_before_it_closes() {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    let writer = world.writer().unwrap();
    world.actors.remove(1 - writer);
    for _ in 0..80_000 {
        world.quote("a");
    }
    let actor = &mut world.actors[0];
    timeout(GOOD_BYE, actor.gateway.say_good_bye(&mut actor.link)).await.unwrap();
    assert_eq!(said(&world.log).stage, Stage::Closing);
    world.assert_none_lost_or_doubled("by the last message");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_whose_feed_is_dead_keeps_the_log_where_the_others_connection_brings_nothing() {
    let mut world = World::new().await;
    world.pass_for(PATIENCE * 2).await;
    let writer = world.writer().unwrap();
    assert!(world.actors[1 - writer].market.feeds.are_up(), "it is not known to be silent yet");
    world.actors[writer].lose_feed();
    world.pass_for(PATIENCE * 2).await;
    assert_eq!((world.writer(), said(&world.log).epoch), (Some(writer), 1));
    // Until it does bring something, for long enough.
    quoted(&mut world, PATIENCE.as_secs() / 2).await;
    assert_eq!(world.writer(), Some(writer));
    quoted(&mut world, PATIENCE.as_secs()).await;
    assert_eq!((world.writer(), said(&world.log).epoch), (Some(1 - writer), 2));
    world.assert_none_lost_or_doubled("by the one that has a feed");
}
