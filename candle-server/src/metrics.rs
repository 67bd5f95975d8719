//! Everything that can be counted, as Prometheus reads it.

mod feeds;

use std::fmt;
use std::sync::Arc;

use candle_core::Outcome;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::engine::Engine;
use crate::http::Counts;
use crate::journal::Durability;

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Those of `engine` and of what reads it over HTTP.
    pub fn new(engine: Arc<Engine>, counts: Arc<Counts>) -> Self {
        let mut registry = Registry::with_prefix("candle");
        counts.register(&mut registry);
        let lags = engine.feeds.lags().clone();
        registry.register("feed_lags_seconds", "How old the freshest quotes of each run were on arrival", lags);
        registry.register_collector(Box::new(feeds::FeedReadings(Arc::clone(&engine))));
        registry.register_collector(Box::new(Readings { engine, counts }));
        Self { registry }
    }

    /// All of them as they are now.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into memory has nothing to fail on.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// What is read where it lies, when it is asked for.
#[derive(Debug)]
struct Readings {
    engine: Arc<Engine>,
    counts: Arc<Counts>,
}

impl Readings {
    /// How well the engine is kept, where it is to survive.
    fn store(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(journal) = self.engine.journal() else { return Ok(()) };
        let elapsed = self.engine.clock.elapsed();
        let (at_risk, standing) = (journal.unpersisted_for(elapsed), journal.durability(elapsed));
        let help = "Seconds of writes that a kill would lose now";
        let gauge = encoder.encode_descriptor("store_at_risk_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(at_risk.as_secs_f64()).encode(gauge)?;
        let help = "Whether what is written is kept: 1 for the state it is in";
        let mut states = encoder.encode_descriptor("store_state", help, None, MetricType::Gauge)?;
        for state in Durability::ALL {
            let is_in_it = ConstGauge::new(i64::from(state == standing));
            is_in_it.encode(states.encode_family(&[("state", state.name())])?)?;
        }
        let help = "Bytes handed to the disk";
        let bytes = encoder.encode_descriptor("store_bytes", help, None, MetricType::Counter)?;
        ConstCounter::new(journal.persisted_bytes()).encode(bytes)
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let aggregator = &self.engine.aggregator;
        let outcomes = aggregator.outcomes();
        let ticks = encoder.encode_descriptor("ticks", "Ticks by what became of them", None, MetricType::Counter);
        let mut ticks = ticks?;
        for outcome in Outcome::ALL {
            let labels = [("outcome", outcome.name())];
            ConstCounter::new(outcomes.of(outcome)).encode(ticks.encode_family(&labels)?)?;
        }
        for (name, help, count) in [
            ("unreadable", "Messages that could not be read", self.engine.unreadable()),
            ("views", "Histories got by readers", self.counts.views()),
        ] {
            ConstCounter::new(count).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let listed = i64::try_from(aggregator.len()).unwrap_or(i64::MAX);
        let instruments = encoder.encode_descriptor("instruments", "Instruments listed", None, MetricType::Gauge)?;
        ConstGauge::new(listed).encode(instruments)?;
        let help = "Instruments listed, by how fresh they are";
        let mut statuses = encoder.encode_descriptor("instrument_status", help, None, MetricType::Gauge)?;
        for (status, instruments) in self.engine.count_statuses() {
            ConstGauge::new(instruments).encode(statuses.encode_family(&[("status", status.name())])?)?;
        }
        self.store(&mut encoder)
    }
}
