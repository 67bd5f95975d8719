//! Tests a gateway and a read node together, from start to stop, with an in-memory broker.

use candle_core::{Aggregator, RecordContext, Tick, Timestamp, Unlisted};
use candle_engine::clock::Clock;

use super::*;
use crate::broker::StreamOptions;
use crate::broker::memory::MemoryBroker;
use crate::catalogue::Catalogue;
use crate::gateway::Gateway;
use crate::tests::paused_time::PausedTime;

/// Returns a gateway and the engine that its feed writes into.
fn gateway(broker: &MemoryBroker, node: u64) -> (Arc<Engine>, Gateway<MemoryBroker>) {
    let start = Timestamp::from_seconds(1_700_000_000).unwrap();
    let journal = Arc::new(crate::gateway_journal());
    let engine = Engine::new(Aggregator::default(), Clock::with_time(ClockMode::Wall, PausedTime::starting_at(start)));
    let engine = Arc::new(engine.with_journal(Arc::clone(&journal)));
    let config = BootstrapConfig {
        address: broker.reconnected(),
        participant: Participant::Gateway(StreamOptions { replicas: 1, max_bytes: 1 }),
        core: Config::default(),
        node,
    };
    (Arc::clone(&engine), Gateway::new(engine, journal, config, Catalogue::Unannounced))
}

fn quote(engine: &Engine, id: &str) {
    let now = engine.clock.now();
    let context = RecordContext { unlisted: Unlisted::List, ..RecordContext::from(now) };
    assert_eq!(engine.record_batch(&[(id, Tick::new(now, 1.5))], context).accepted(), 1);
}

/// Waits until `is_true` returns true.
async fn until(mut is_true: impl FnMut() -> bool) {
    while !is_true() {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_node_starts_from_a_checkpoint_follows_the_log_and_publishes_its_views() {
    let broker = MemoryBroker::default();
    let (source, gateway) = gateway(&broker, 1);
    let (stop_gateway, gateway_stopped) = oneshot::channel();
    let (sender, mut engines) = watch::channel(None);
    let (stop_node, node_stopped) = oneshot::channel();
    let feeds = || Feeds::unmonitored(ClockMode::Feed).with_log_coverage();
    let node = ReadNode::<MemoryBroker, _>::new(broker.reconnected(), Config::default(), feeds, sender, node_stopped);
    let scenario = async {
        quote(&source, "before");
        engines.changed().await.unwrap();
        let engine: Arc<Engine> = engines.borrow().clone().unwrap();
        until(|| engine.aggregator.resolve("before").is_some()).await;
        quote(&source, "after");
        until(|| engine.aggregator.resolve("after").is_some()).await;
        assert_eq!(engine.aggregator.count_view("after"), Some(1));
        stop_node.send(()).unwrap();
        sleep(Duration::from_secs(5)).await;
        stop_gateway.send(()).unwrap();
    };
    let (gateway, node, ()) = tokio::join!(gateway.run(gateway_stopped), node.run(), scenario);
    assert_eq!((gateway, node), (Ok(()), Ok(())));
    // A second node starts from the checkpoint and has the views of the first node.
    assert_eq!(broker.stripe_count(), 512);
    let config = BootstrapConfig::<MemoryBroker> {
        address: broker.reconnected(),
        participant: Participant::ReadNode,
        core: Config::default(),
        node: 3,
    };
    let Bootstrapped { follower, mut events, .. } = bootstrap(&config, feeds).await.unwrap();
    let mut replica = follower;
    while replica.applied() < broker.end() {
        let Some(Event::Message(message)) = events.recv().await else { panic!("the subscription ended") };
        replica.apply(message.sequence, &message.payload).unwrap();
    }
    assert_eq!(replica.aggregator().history("after").unwrap().views, 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_node_that_is_out_of_sync_serves_another_engine() {
    let broker = MemoryBroker::default();
    let (source, gateway) = gateway(&broker, 1);
    let (stop_gateway, gateway_stopped) = oneshot::channel();
    let (sender, mut engines) = watch::channel(None);
    let (stop_node, node_stopped) = oneshot::channel();
    let feeds = || Feeds::unmonitored(ClockMode::Feed).with_log_coverage();
    let connection = broker.reconnected();
    let node = ReadNode::<MemoryBroker, _>::new(connection.clone(), Config::default(), feeds, sender, node_stopped);
    let scenario = async {
        quote(&source, "a");
        engines.changed().await.unwrap();
        let first: Arc<Engine> = engines.borrow_and_update().clone().unwrap();
        // The broker deletes messages that the node has not applied. The gateway writes a new checkpoint within a
        // minute.
        connection.freeze();
        sleep(Duration::from_secs(1)).await;
        quote(&source, "b");
        sleep(Duration::from_secs(1)).await;
        broker.purge();
        connection.thaw();
        engines.changed().await.unwrap();
        let second: Arc<Engine> = engines.borrow().clone().unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(first.aggregator.resolve("b").is_none() && second.aggregator.resolve("b").is_some());
        stop_node.send(()).unwrap();
        stop_gateway.send(()).unwrap();
    };
    let (gateway, node, ()) = tokio::join!(gateway.run(gateway_stopped), node.run(), scenario);
    assert_eq!((gateway, node), (Ok(()), Ok(())));
}
