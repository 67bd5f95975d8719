//! The limits that the server applies to each client and to all clients together.

use std::time::Duration;

/// The most connections served at once. 10,000 idle connections use about 160 MB, which fits a small machine.
const CONNECTIONS: usize = 10_000;
/// The timeout for receiving a request. A phone on a bad line needs two or three seconds for a few hundred bytes.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// The timeout for sending a response. The largest response, about 100 KB, needs half of this time at 64 kbit/s.
const RESPONSE_TIME: Duration = Duration::from_secs(30);
/// The longest idle time between two requests of a connection. A client that reads once a minute keeps its connection.
const IDLE_TIME: Duration = Duration::from_secs(75);
/// The longest time for requests in flight at shutdown. Service managers commonly wait at least as long.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// The longest request target (bytes). RFC 9112 recommends at least 8 KiB. The longest valid target has half of that.
const TARGET_BYTES: usize = 8 * 1024;
/// The most header lines of one request. A browser behind two proxies sends about 30.
const HEADERS: usize = 64;
/// The most bytes of all header names and values of one request. A few large cookies of other applications fit.
const HEADER_BYTES: usize = 16 * 1024;

/// The limits of a server, each with a default.
///
/// ```
/// use candle_http::server::Limits;
///
/// let limits = Limits { connections: 500, ..Limits::default() };
/// assert_eq!(limits.target_bytes, 8192);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections served at once (default 10,000).
    ///
    /// At the limit, each accept loop accepts one more connection without serving it, and the kernel queues the rest.
    /// Each response then closes its connection, so that the waiting clients are served.
    pub connections: usize,
    /// The most connections of one client address at once. The server closes further connections after accepting them.
    ///
    /// The default is no limit, because all clients of a proxy have its address.
    pub connections_per_address: Option<usize>,
    /// The timeout for receiving one request (default 10 s). After it, the server responds with 408.
    ///
    /// The time starts when the connection is accepted, or at the first byte of a later request.
    pub request_time: Duration,
    /// The timeout for sending one response (default 30 s). After it, the server closes the connection.
    ///
    /// The timeout applies to the whole response and not to each write. A client cannot extend it by reading slowly.
    pub response_time: Duration,
    /// The longest idle time between two requests of a connection (default 75 s). After it, the server closes the
    /// connection.
    pub idle_time: Duration,
    /// The longest time for requests in flight at shutdown (default 10 s). After it, the server closes their
    /// connections.
    pub drain_time: Duration,
    /// The longest request target in bytes (default 8 KiB). The server responds to a longer target with 414.
    pub target_bytes: usize,
    /// The most header lines of one request (default 64, at most [`Limits::MAX_HEADERS`]). The server responds to more
    /// with 431.
    pub headers: usize,
    /// The most bytes of all header names and values together (default 16 KiB). The server responds to more with 431.
    pub header_bytes: usize,
}

impl Limits {
    /// The most header lines that the HTTP parser accepts. To more, the parser responds with a 431 without a body.
    pub const MAX_HEADERS: usize = 100;

    /// Returns the size of the request buffer (bytes): the size of the largest allowed request, plus a quarter.
    ///
    /// A request slightly over the limits fits the buffer and is rejected with a problem document. To a request that
    /// does not fit, the parser responds with a 431 without a body.
    pub(super) fn buffer_bytes(&self) -> usize {
        /// The smallest buffer that hyper accepts (bytes).
        const MIN_BUFFER: usize = 8 * 1024;
        let allowed = self.target_bytes.saturating_add(self.header_bytes);
        allowed.saturating_add(allowed / 4).max(MIN_BUFFER)
    }

    /// Returns the shortest of the three timeouts of a connection.
    pub(super) fn shortest_time(&self) -> Duration {
        self.request_time.min(self.response_time).min(self.idle_time)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            connections_per_address: None,
            request_time: REQUEST_TIME,
            response_time: RESPONSE_TIME,
            idle_time: IDLE_TIME,
            drain_time: DRAIN_TIME,
            target_bytes: TARGET_BYTES,
            headers: HEADERS,
            header_bytes: HEADER_BYTES,
        }
    }
}
