//! The settings of the HTTP server. [`Limits`] documents the reason for each default.

use std::net::SocketAddr;
use std::thread::available_parallelism;
use std::time::Duration;

use candle_http::server::{Limits, Origins};
use clap::Args;

use super::value::at_most;

/// The minimum idle time, in seconds. An event stream without events sends a comment every 15 s, and must not be closed
/// earlier.
const MIN_IDLE_SECONDS: u64 = 20;

/// The settings of the HTTP server: its limits on clients, and the origins that may read responses.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "HTTP")]
pub struct HttpSettings {
    /// Address and port for the operator routes, such as /metrics. By default, --listen serves these routes too.
    #[arg(long, value_name = "ADDRESS:PORT", env = "CANDLE_ADMIN")]
    pub admin: Option<SocketAddr>,

    /// Number of HTTP threads [default: one per core].
    #[arg(long, value_name = "NUMBER", env = "CANDLE_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Web origins whose pages may read responses, separated by white space. * allows any origin.
    #[arg(long, value_name = "ORIGINS", env = "CANDLE_CORS", default_value = "*")]
    pub cors: Origins,

    /// Maximum number of open connections. Each needs about 16 KB of memory. Further connections wait.
    #[arg(long, value_name = "NUMBER", env = "CANDLE_MAX_CONNECTIONS", default_value_t = Limits::default().connections,
          value_parser = at_least_one)]
    max_connections: usize,

    /// Maximum number of open connections per client address, or per IPv6 network of 64 bits [default: no limit]. Do
    /// not set this limit behind a proxy, because all of its clients have one address.
    #[arg(long, value_name = "NUMBER", env = "CANDLE_MAX_CONNECTIONS_PER_ADDRESS", value_parser = at_least_one)]
    max_connections_per_address: Option<usize>,

    /// Maximum time in which a request must arrive, in seconds.
    #[arg(long, value_name = "SECONDS", env = "CANDLE_REQUEST_TIME", default_value_t = Limits::default().request_time.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    request_time: u64,

    /// Maximum time in which a client must receive a response, in seconds.
    #[arg(long, value_name = "SECONDS", env = "CANDLE_ANSWER_TIME", default_value_t = Limits::default().response_time.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    answer_time: u64,

    /// Maximum idle time between two requests of a connection, in seconds. The value must be above the idle time of a
    /// proxy in front of the server.
    #[arg(long, value_name = "SECONDS", env = "CANDLE_IDLE_TIME", default_value_t = Limits::default().idle_time.as_secs(),
          value_parser = clap::value_parser!(u64).range(MIN_IDLE_SECONDS..=3600))]
    idle_time: u64,

    /// Maximum time to finish the requests in flight at a shutdown, in seconds.
    #[arg(long, value_name = "SECONDS", env = "CANDLE_DRAIN_TIME", default_value_t = Limits::default().drain_time.as_secs(),
          value_parser = clap::value_parser!(u64).range(0..=3600))]
    drain_time: u64,

    /// Maximum length of a request target, in bytes.
    #[arg(long, value_name = "BYTES", env = "CANDLE_MAX_TARGET_BYTES", default_value_t = Limits::default().target_bytes,
          value_parser = at_least_one)]
    max_target_bytes: usize,

    /// Maximum number of header lines of a request.
    #[arg(long, value_name = "NUMBER", env = "CANDLE_MAX_HEADERS", default_value_t = Limits::default().headers,
          value_parser = headers)]
    max_headers: usize,

    /// Maximum size of all header names and values of a request, in bytes.
    #[arg(long, value_name = "BYTES", env = "CANDLE_MAX_HEADER_BYTES", default_value_t = Limits::default().header_bytes,
          value_parser = at_least_one)]
    max_header_bytes: usize,
}

impl HttpSettings {
    /// Returns the number of HTTP threads.
    pub fn threads(&self) -> usize {
        let cores = || available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(cores, usize::from)
    }

    /// Returns the limits.
    pub const fn limits(&self) -> Limits {
        Limits {
            connections: self.max_connections,
            connections_per_address: self.max_connections_per_address,
            request_time: Duration::from_secs(self.request_time),
            response_time: Duration::from_secs(self.answer_time),
            idle_time: Duration::from_secs(self.idle_time),
            drain_time: Duration::from_secs(self.drain_time),
            target_bytes: self.max_target_bytes,
            headers: self.max_headers,
            header_bytes: self.max_header_bytes,
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    /// The maximum value of these limits. No machine can reach this value.
    const MOST: usize = 1 << 30;
    at_most(text, MOST)
}

fn headers(text: &str) -> Result<usize, String> {
    at_most(text, Limits::MAX_HEADERS)
}

#[cfg(test)]
mod tests {
    use candle_http::server::Limits;

    use crate::settings::Settings;

    #[test]
    fn the_defaults_are_those_of_the_limits() {
        let settings = Settings::from_args(["candle-server"]).unwrap();
        assert_eq!(settings.http.limits(), Limits::default());
    }

    #[test]
    fn every_limit_can_be_set() {
        let args = "candle-server --max-connections 1 --max-connections-per-address 2 --request-time 3 --answer-time 4 \
                    --idle-time 20 --drain-time 6 --max-target-bytes 7 --max-headers 8 --max-header-bytes 9 --threads 10";
        let settings = Settings::from_args(args.split_whitespace()).unwrap();
        let limits = settings.http.limits();
        assert_eq!((limits.connections, limits.connections_per_address), (1, Some(2)));
        let times = [limits.request_time, limits.response_time, limits.idle_time, limits.drain_time];
        assert_eq!(times.map(|time| time.as_secs()), [3, 4, 20, 6]);
        assert_eq!((limits.target_bytes, limits.headers, limits.header_bytes), (7, 8, 9));
        assert_eq!(settings.http.threads(), 10);
    }
}
