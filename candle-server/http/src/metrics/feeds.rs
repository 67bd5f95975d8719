//! Writes the metrics of the feeds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use candle_engine::Engine;
use candle_engine::feeds::FeedReport;
use candle_engine::feeds::health::State as FeedState;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The name and the help text of a gauge, and a function that returns its value for one feed.
type Gauge<'v> = (&'static str, &'static str, &'v dyn Fn(&FeedReport) -> Option<f64>);

/// Reads the state of the feeds each time Prometheus requests the metrics.
#[derive(Debug)]
pub(super) struct FeedCollector(pub(super) Arc<Engine>);

impl Collector for FeedCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Engine { feeds, clock, .. } = &*self.0;
        let reports = feeds.feed_reports(clock.elapsed());
        let wall = clock.wall().as_micros() as f64 / 1e6;
        let time = |age: Option<Duration>| age.map(|age| wall - age.as_secs_f64());

        let up = encoder.encode_descriptor("feed_up", "1 if a feed sends quotes", None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(feeds.is_delivering())).encode(up)?;
        encode_states(&mut encoder, &reports)?;
        let gauges: [Gauge<'_>; 5] = [
            ("feed_active", "1 if the feed is the active one", &|report| Some(f64::from(u8::from(report.active)))),
            ("feed_last_message_timestamp_seconds", "Time of the last message", &|report| {
                time(report.last_message_age)
            }),
            ("feed_last_quote_timestamp_seconds", "Time of the last accepted quote", &|report| {
                time(report.last_quote_age)
            }),
            ("feed_lag_seconds", "Age of the newest quotes on arrival", &|report| {
                report.lag.map(|lag| lag.as_secs_f64())
            }),
            ("feed_quotes_per_second", "Accepted quotes a second, over the last minutes", &|report| {
                Some(report.quotes_per_second)
            }),
        ];
        for (name, help, value) in gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for report in &reports {
                if let Some(value) = value(report) {
                    ConstGauge::new(value).encode(family.encode_family(&[("feed", report.url.as_str())])?)?;
                }
            }
        }
        let help = "Quotes dropped because another feed had delivered them";
        let repeated = encoder.encode_descriptor("feed_repeated_quotes", help, None, MetricType::Counter)?;
        ConstCounter::new(feeds.repeated()).encode(repeated)?;
        encode_losses(&mut encoder, &reports)
    }
}

fn encode_states(encoder: &mut DescriptorEncoder<'_>, reports: &[FeedReport]) -> fmt::Result {
    let mut family =
        encoder.encode_descriptor("feed_state", "1 for the current state of the feed", None, MetricType::Gauge)?;
    for report in reports {
        for state in FeedState::ALL {
            let labels = [("feed", report.url.as_str()), ("state", state.name())];
            ConstGauge::new(i64::from(report.state == state)).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_losses(encoder: &mut DescriptorEncoder<'_>, reports: &[FeedReport]) -> fmt::Result {
    let help = "Connections lost or not established";
    let mut family = encoder.encode_descriptor("feed_reconnects", help, None, MetricType::Counter)?;
    for report in reports {
        for (reason, count) in &report.losses {
            let labels = [("feed", report.url.as_str()), ("reason", reason)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
