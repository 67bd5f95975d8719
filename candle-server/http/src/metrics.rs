//! Writes the metrics of the server in the Prometheus format.

mod feeds;

use std::fmt;
use std::sync::Arc;

use candle_core::Outcome;
use candle_engine::Engine;
use candle_engine::journal::Durability;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::route::Route;
use crate::server::ServerMetrics;

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of an engine and of the HTTP servers that read it.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Creates the metrics of `engine` and of the HTTP servers that count in `http`.
    pub fn new(engine: Arc<Engine>, http: Arc<ServerMetrics>) -> Self {
        let mut registry = Registry::with_prefix("candle");
        http.register(&mut registry);
        let lags = engine.feeds.lags().clone();
        registry.register("feed_lags_seconds", "Age of the newest quote of each batch on arrival", lags);
        registry.register_collector(Box::new(feeds::FeedCollector(Arc::clone(&engine))));
        registry.register_collector(Box::new(EngineCollector { engine, http }));
        Self { registry }
    }

    /// Returns all metrics in the `OpenMetrics` text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // A write to memory cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Reads the metrics of the engine each time Prometheus requests them.
#[derive(Debug)]
struct EngineCollector {
    engine: Arc<Engine>,
    http: Arc<ServerMetrics>,
}

impl EngineCollector {
    /// Returns the number of counted views: `GET` requests for a history with a 200 or a 304 response.
    fn views(&self) -> u64 {
        self.http.gets(Route::HISTORY, 200) + self.http.gets(Route::HISTORY, 304)
    }

    /// Encodes the metrics of the store. Does nothing if the engine has no store.
    fn encode_store(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(journal) = self.engine.journal() else { return Ok(()) };
        let elapsed = self.engine.clock.elapsed();
        let help = "Seconds of writes that a kill would lose";
        let gauge = encoder.encode_descriptor("store_at_risk_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(journal.unpersisted_for(elapsed).as_secs_f64()).encode(gauge)?;
        let help = "1 for the current state of the store";
        let durability = journal.durability(elapsed);
        let mut states = encoder.encode_descriptor("store_state", help, None, MetricType::Gauge)?;
        for state in Durability::ALL {
            let is_current = ConstGauge::new(i64::from(state == durability));
            is_current.encode(states.encode_family(&[("state", state.name())])?)?;
        }
        let help = "Bytes written to the store";
        let bytes = encoder.encode_descriptor("store_bytes", help, None, MetricType::Counter)?;
        ConstCounter::new(journal.persisted_bytes()).encode(bytes)
    }
}

impl Collector for EngineCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let aggregator = &self.engine.aggregator;
        let outcomes = aggregator.outcomes();
        let ticks = encoder.encode_descriptor("ticks", "Ticks by outcome", None, MetricType::Counter);
        let mut ticks = ticks?;
        for outcome in Outcome::ALL {
            let labels = [("outcome", outcome.name())];
            ConstCounter::new(outcomes.of(outcome)).encode(ticks.encode_family(&labels)?)?;
        }
        for (name, help, count) in [
            ("unreadable", "Messages that could not be decoded", self.engine.unreadable()),
            ("views", "Histories read, by GET", self.views()),
        ] {
            ConstCounter::new(count).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let listed = i64::try_from(aggregator.len()).unwrap_or(i64::MAX);
        let instruments = encoder.encode_descriptor("instruments", "Listed instruments", None, MetricType::Gauge)?;
        ConstGauge::new(listed).encode(instruments)?;
        let help = "Listed instruments by status";
        let mut statuses = encoder.encode_descriptor("instrument_status", help, None, MetricType::Gauge)?;
        for (status, instruments) in self.engine.count_statuses() {
            ConstGauge::new(instruments).encode(statuses.encode_family(&[("status", status.name())])?)?;
        }
        self.encode_store(&mut encoder)
    }
}
