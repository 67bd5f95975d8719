//! What happened on the HTTP face so far, in the types of its metrics.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Bounds of the latency histogram: eleven of them from 50 µs, each three times the one before, reach 3 s.
const FIRST_BOUND: f64 = 50e-6;
const BOUND_FACTOR: f64 = 3.0;
const BOUNDS: u16 = 11;

/// The counts of one process; servers that share them count together.
///
/// ```
/// let counts = candle_server::http::Counts::default();
/// assert_eq!(counts.panics.get(), 0);
/// ```
#[derive(Debug)]
pub struct Counts {
    requests: Family<Labels, Counter>,
    /// The two series of `requests` that nearly all requests are in, found once.
    histories: Counter,
    popular: Counter,
    /// Time from the first byte of a request until its answer has left for the socket.
    pub seconds: Histogram,
    /// Connections being served now.
    pub connections: Gauge,
    /// Connections closed at once because their address had too many.
    pub turned_away: Counter,
    /// Answers that panicked; each cost its connection and nothing else.
    pub panics: Counter,
    /// Connections closed because a time ran out.
    pub timeouts: Counter,
    /// Accepts that failed for want of descriptors or memory.
    pub accept_failures: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

const HISTORY: Labels = Labels { route: "history", method: "GET", status: 200 };
const POPULAR: Labels = Labels { route: "popular", ..HISTORY };
const HISTORY_UNCHANGED: Labels = Labels { status: 304, ..HISTORY };

impl Counts {
    /// Counts one answered request.
    pub(super) fn answered(&self, route: &'static str, method: &'static str, status: u16) {
        let labels = Labels { route, method, status };
        match labels {
            HISTORY => self.histories.inc(),
            POPULAR => self.popular.inc(),
            _ => self.requests.get_or_create(&labels).inc(),
        };
    }

    /// Views counted: histories that were got, whole or by tag.
    pub fn views(&self) -> u64 {
        self.histories.get() + self.requests.get_or_create(&HISTORY_UNCHANGED).get()
    }

    /// Shows all of them in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("http");
        registry.register("requests", "Requests answered", self.requests.clone());
        let seconds = "Seconds from the first byte of a request until its answer has left for the socket";
        registry.register("request_seconds", seconds, self.seconds.clone());
        registry.register("connections", "Connections being served", self.connections.clone());
        let turned_away = "Connections closed at once because their address had too many";
        registry.register("connections_turned_away", turned_away, self.turned_away.clone());
        registry.register("panics", "Answers that panicked", self.panics.clone());
        registry.register("timeouts", "Connections closed because a time ran out", self.timeouts.clone());
        let failures = "Accepts that failed for want of descriptors or memory";
        registry.register("accept_failures", failures, self.accept_failures.clone());
    }
}

impl Default for Counts {
    fn default() -> Self {
        let requests = Family::<Labels, Counter>::default();
        Self {
            histories: requests.get_or_create_owned(&HISTORY),
            popular: requests.get_or_create_owned(&POPULAR),
            requests,
            seconds: Histogram::new(exponential_buckets(FIRST_BOUND, BOUND_FACTOR, BOUNDS)),
            connections: Gauge::default(),
            turned_away: Counter::default(),
            panics: Counter::default(),
            timeouts: Counter::default(),
            accept_failures: Counter::default(),
        }
    }
}
