//! Tests that nodes start and stop without a broker.

pub(crate) mod paused_time;

use candle_core::Aggregator;
use candle_engine::clock::{Clock, ClockMode};

use super::*;

fn config() -> ClusterConfig {
    let url = "nats://127.0.0.1:1/X".parse().unwrap();
    ClusterConfig { url, authentication: Authentication::default(), core: Config::default() }
}

#[tokio::test]
async fn a_read_node_starts_and_stops_without_a_broker() {
    let feeds = || Feeds::unmonitored(ClockMode::Feed).with_log_coverage();
    start_read_node(&config(), feeds).unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_gateway_starts_and_stops_without_a_broker() {
    let journal = Arc::new(gateway_journal());
    let engine = Engine::new(Aggregator::default(), Clock::new(ClockMode::Wall)).with_journal(Arc::clone(&journal));
    let streams = StreamOptions { replicas: 1, max_bytes: 1 };
    let config = GatewayConfig { cluster: config(), streams, catalogue: Catalogue::Unannounced };
    start_gateway(Arc::new(engine), journal, config).unwrap().stop().await.unwrap();
}
