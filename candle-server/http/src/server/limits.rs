//! The limits on one client and on all clients together.

use std::time::Duration;

/// Connections served at once: 10,000 idle connections use about 160 MB, which a small machine has.
const CONNECTIONS: usize = 10_000;
/// Time for a request to arrive: a phone on a bad line needs two or three seconds for a few hundred bytes.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Time for a response to leave: the largest, about 100 KB, needs half of it at 64 kbit/s.
const RESPONSE_TIME: Duration = Duration::from_secs(30);
/// Time a connection may be idle between requests: more than a minute, after which a chart sends its next request.
const IDLE_TIME: Duration = Duration::from_secs(75);
/// Time for requests in flight to finish at shutdown: service managers commonly wait at least as long.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// Bytes of a request target: the minimum that RFC 9112 recommends, and thirty times our longest.
const TARGET_BYTES: usize = 8 * 1024;
/// Header lines of one request: a browser behind two proxies sends about 30.
const HEADERS: usize = 64;
/// Bytes of all header names and values: large cookies of other applications fit, four of them together do not.
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
    /// Connections served at once (default 10,000).
    ///
    /// Over the limit, each accept loop holds one more connection unserved, and the kernel queues the rest. While no
    /// permit is free, each response closes its connection, so that waiting clients are served.
    pub connections: usize,
    /// Connections of one client address at once (default: no limit, because a proxy has one address). Connections over
    /// the limit are closed after accept.
    pub connections_per_address: Option<usize>,
    /// Time from accept, or from the first byte of a later request, until the request is complete (default 10 s). The
    /// response is a 408.
    pub request_time: Duration,
    /// Time for the client to read one response (default 30 s). Then the connection is closed.
    ///
    /// The limit covers the whole response and not each write, so that reading one byte a second does not extend it.
    pub response_time: Duration,
    /// Time between two requests of a connection (default 75 s). Then the connection is closed.
    pub idle_time: Duration,
    /// Time for requests in flight to finish after a shutdown (default 10 s). Then their connections are closed.
    pub drain_time: Duration,
    /// Bytes of the request target (default 8 KiB). Longer targets get a 414.
    pub target_bytes: usize,
    /// Header lines of one request (default 64, at most [`Limits::MAX_HEADERS`]). More get a 431.
    pub headers: usize,
    /// Bytes of all header names and values together (default 16 KiB). More get a 431.
    pub header_bytes: usize,
}

impl Limits {
    /// Header lines that the parser has room for on its stack. For more, the parser sends a 431 without a document.
    pub const MAX_HEADERS: usize = 100;

    /// Bytes to buffer of one request: the largest allowed request and a quarter more.
    ///
    /// A request slightly over the limits is read whole and rejected with a document. Beyond the buffer, the parser
    /// sends a 431 without one.
    pub(super) fn buffer_bytes(&self) -> usize {
        /// The least buffer that hyper accepts.
        const MIN_BUFFER: usize = 8 * 1024;
        let allowed = self.target_bytes.saturating_add(self.header_bytes);
        allowed.saturating_add(allowed / 4).max(MIN_BUFFER)
    }

    /// The shortest of the timeouts of a connection.
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
