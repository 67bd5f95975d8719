//! Counts requests, connections and failures of HTTP servers.

use hyper::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The lowest bound of the latency histogram (seconds). Each of the 11 bounds is 3 times the previous bound, up to 3 s.
const FIRST_BOUND: f64 = 50e-6;
const BOUND_FACTOR: f64 = 3.0;
const BOUNDS: u16 = 11;

/// The metrics of one or more servers.
///
/// ```
/// let metrics = candle_http::server::ServerMetrics::default();
/// assert_eq!(metrics.panics.get(), 0);
/// ```
#[derive(Debug)]
pub struct ServerMetrics {
    requests: Family<Labels, Counter>,
    /// The series of `requests` with status 200 and method `GET` for the frequent routes. They are found without a
    /// lock.
    frequent: Box<[(Labels, Counter)]>,
    /// The time from the first byte of a request until its response was written to the socket (seconds).
    pub request_seconds: Histogram,
    /// The number of connections being served.
    pub connections: Gauge,
    /// The number of connections closed after accept because their client address had too many.
    pub rejected_connections: Counter,
    /// The number of handlers that panicked. Each panic closes one connection.
    pub panics: Counter,
    /// The number of connections closed because of a timeout.
    pub timeouts: Counter,
    /// The number of accepts that failed because descriptors or memory ran out.
    pub accept_failures: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

impl ServerMetrics {
    /// Creates metrics that count successful `GET` requests of the `frequent` routes without a lock.
    pub fn new(frequent: &[&'static str]) -> Self {
        let requests = Family::<Labels, Counter>::default();
        let series = |route: &&'static str| {
            let labels = Labels { route, method: "GET", status: 200 };
            let counter = requests.get_or_create_owned(&labels);
            (labels, counter)
        };
        Self {
            frequent: frequent.iter().map(series).collect(),
            requests,
            request_seconds: Histogram::new(exponential_buckets(FIRST_BOUND, BOUND_FACTOR, BOUNDS)),
            connections: Gauge::default(),
            rejected_connections: Counter::default(),
            panics: Counter::default(),
            timeouts: Counter::default(),
            accept_failures: Counter::default(),
        }
    }

    /// Counts one response under its route, method and status.
    pub(super) fn count_response(&self, route: &'static str, method: &Method, status: StatusCode) {
        let labels = Labels { route, method: method_label(method), status: status.as_u16() };
        match self.frequent.iter().find(|(frequent, _)| *frequent == labels) {
            Some((_, counter)) => counter.inc(),
            None => self.requests.get_or_create(&labels).inc(),
        };
    }

    /// Returns the number of `GET` requests of `route` whose response had `status`.
    pub fn gets(&self, route: &'static str, status: u16) -> u64 {
        self.requests.get_or_create(&Labels { route, method: "GET", status }).get()
    }

    /// Registers all metrics under the prefix `http`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("http");
        registry.register("requests", "Requests answered", self.requests.clone());
        let seconds = "Seconds from the first byte of a request until its response has left for the socket";
        registry.register("request_seconds", seconds, self.request_seconds.clone());
        registry.register("connections", "Connections being served", self.connections.clone());
        let rejected = "Connections closed after accept because their address had too many";
        registry.register("connections_turned_away", rejected, self.rejected_connections.clone());
        registry.register("panics", "Request handlers that panicked", self.panics.clone());
        registry.register("timeouts", "Connections closed because of a timeout", self.timeouts.clone());
        let failures = "Accepts that failed for lack of descriptors or memory";
        registry.register("accept_failures", failures, self.accept_failures.clone());
    }
}

impl Default for ServerMetrics {
    fn default() -> Self {
        Self::new(&[])
    }
}

/// Returns the value of the label `method`. Unknown methods share one value, so that clients cannot create series.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
