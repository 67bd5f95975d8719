//! Who gets the log from whom, and what is left behind.

use tokio::time::timeout;

use super::good_bye::GOOD_BYE;
use super::simulation::{Actor, World};
use super::tests::{quoted, said};
use super::*;
use crate::nats::message::Stage;

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
    assert!(world.actors[1 - writer].engine.feeds.is_delivering(), "it is not known to be silent yet");
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

/// How an actor ends; how many quotes it says were not written.
async fn ended(actor: &mut Actor) -> Option<String> {
    let ended = actor.gateway.end(&mut actor.link).await.err()?;
    Some(ended.replace("the log did not take the last ", "").replace(" quotes in time", ""))
}

#[tokio::test(start_paused = true)]
async fn who_writes_says_how_many_quotes_the_log_did_not_take_and_who_stands_by_has_nothing_to_lose() {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    let writer = world.writer().unwrap();
    world.actors.iter().for_each(|actor| actor.way.freeze());
    quoted(&mut world, 3).await;
    assert_eq!(ended(&mut world.actors[1 - writer]).await, None);
    assert_eq!(ended(&mut world.actors[writer]).await.as_deref(), Some("3"));
}

#[tokio::test(start_paused = true)]
async fn who_is_about_to_write_does_so_before_it_ends_or_says_what_is_lost() {
    let mut world = World::new().await;
    quoted(&mut world, 10).await;
    world.actors.remove(world.writer().unwrap());
    quoted(&mut world, 4).await;
    let way = world.actors[0].way.clone();
    way.freeze();
    quoted(&mut world, 3).await;
    let actor = &mut world.actors[0];
    assert!(matches!(actor.link.role, Role::Opening(_)));
    assert_eq!(ended(actor).await.as_deref(), Some("7"));
    let thawed = async {
        sleep(GOOD_BYE / 2).await;
        way.thaw();
    };
    assert_eq!(tokio::join!(ended(actor), thawed).0, None);
    assert_eq!(said(&world.log).stage, Stage::Closing);
    world.assert_none_lost_or_doubled("by one that was about to write");
}
