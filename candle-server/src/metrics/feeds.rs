//! How the feeds are doing, as Prometheus reads it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::engine::Engine;
use crate::feeds::FeedReport;
use crate::feeds::health::State;

/// A gauge of each feed: its name, its help, and its value where there is one.
type Gauge<'v> = (&'static str, &'static str, &'v dyn Fn(&FeedReport) -> Option<f64>);

/// Read where it lies, when it is asked for.
#[derive(Debug)]
pub(super) struct FeedReadings(pub(super) Arc<Engine>);

impl Collector for FeedReadings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Engine { feeds, clock, .. } = &*self.0;
        let standings = feeds.feed_reports(clock.elapsed());
        let wall = clock.wall().as_micros() as f64 / 1e6;
        let when = |age: Option<Duration>| age.map(|age| wall - age.as_secs_f64());

        let up = encoder.encode_descriptor("feed_up", "Whether the market is supplied", None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(feeds.is_delivering())).encode(up)?;
        state(&mut encoder, &standings)?;
        let gauges: [Gauge<'_>; 5] = [
            ("feed_active", "Whether this feed's quotes become candles", &|standing| {
                Some(f64::from(u8::from(standing.active)))
            }),
            ("feed_last_message_timestamp_seconds", "When anything was last heard of it", &|standing| {
                when(standing.last_message_age)
            }),
            ("feed_last_quote_timestamp_seconds", "When its last accepted quote came", &|standing| {
                when(standing.last_quote_age)
            }),
            ("feed_lag_seconds", "How old its freshest quotes are on arrival", &|standing| {
                standing.lag.map(|lag| lag.as_secs_f64())
            }),
            ("feed_quotes_per_second", "Accepted quotes a second, over the last minutes", &|standing| {
                Some(standing.quotes_per_second)
            }),
        ];
        for (name, help, value) in gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for standing in &standings {
                if let Some(value) = value(standing) {
                    ConstGauge::new(value).encode(family.encode_family(&[("feed", standing.url.as_str())])?)?;
                }
            }
        }
        let help = "Quotes left out because the feed before had brought them";
        let repeated = encoder.encode_descriptor("feed_repeated_quotes", help, None, MetricType::Counter)?;
        ConstCounter::new(feeds.repeated()).encode(repeated)?;
        losses(&mut encoder, &standings)
    }
}

fn state(encoder: &mut DescriptorEncoder<'_>, standings: &[FeedReport]) -> fmt::Result {
    let mut family = encoder.encode_descriptor("feed_state", "1 for the state it is in", None, MetricType::Gauge)?;
    for standing in standings {
        for state in State::ALL {
            let labels = [("feed", standing.url.as_str()), ("state", state.name())];
            ConstGauge::new(i64::from(standing.state == state)).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn losses(encoder: &mut DescriptorEncoder<'_>, standings: &[FeedReport]) -> fmt::Result {
    let help = "Connections lost or not made";
    let mut family = encoder.encode_descriptor("feed_reconnects", help, None, MetricType::Counter)?;
    for standing in standings {
        for (reason, count) in &standing.losses {
            let labels = [("feed", standing.url.as_str()), ("reason", reason)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
