//! What one client, and all of them together, may take.

use std::time::Duration;

/// Connections served at once: 10,000 idle ones cost about 160 MB of ours, which a small machine can spare.
const CONNECTIONS: usize = 10_000;
/// Time for a request to arrive: a phone on a bad line needs two or three seconds for its few hundred bytes.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Time for an answer to leave: the largest, some 100 KB, passes a 64 kbit/s line in half of it.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Time a connection may idle between requests: over the minute after which a chart surely asks again.
const IDLE_TIME: Duration = Duration::from_secs(75);
/// Time for requests in flight to finish at shutdown: the grace that service managers commonly give, or less.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// Bytes of a request target: what RFC 9112 asks every server to take, and thirty times our longest.
const TARGET_BYTES: usize = 8 * 1024;
/// Header lines of one request: a browser behind two proxies sends about 30.
const HEADERS: usize = 64;
/// Bytes of all header names and values: large foreign cookies fit, four of them together do not.
const HEADER_BYTES: usize = 16 * 1024;

/// The bounds of the HTTP face, each with a default.
///
/// ```
/// use candle_server::http::Limits;
///
/// let limits = Limits { connections: 500, ..Limits::default() };
/// assert_eq!(limits.target_bytes, 8192);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at once (10,000). One more per accept loop waits unserved; the rest wait in the kernel's
    /// queue. While all seats are taken each answer closes its connection, so that others get their turn.
    pub connections: usize,
    /// Connections of one client address at a time (no limit: everyone behind one proxy has one address); over it they
    /// are closed at once.
    pub connections_per_address: Option<usize>,
    /// Time from accept, or from the first byte of a later request, until the request is complete (10 s); then 408.
    pub request_time: Duration,
    /// Time for one answer to be taken by the client's side (30 s); then the connection is closed. It bounds the whole
    /// answer and not each write, so reading a byte a second does not help.
    pub answer_time: Duration,
    /// Time a connection may be silent between requests (75 s); then it is closed.
    pub idle_time: Duration,
    /// Time for requests in flight to finish after shutdown is asked for (10 s); then they are cut.
    pub drain_time: Duration,
    /// Bytes of the request target (8 KiB); over it 414.
    pub target_bytes: usize,
    /// Header lines of one request (64, and never over [`Limits::MAX_HEADERS`]); over it 431.
    pub headers: usize,
    /// Bytes of all header names and values together (16 KiB); over it 431.
    pub header_bytes: usize,
}

impl Limits {
    /// Header lines the parser has room for on its stack; with more it answers 431 itself, without a document.
    pub const MAX_HEADERS: usize = 100;

    /// Bytes to buffer of one request: room for the largest allowed, and a quarter more so that one slightly over is
    /// read whole and refused with a document. Beyond it the parser answers a bare 431.
    pub(super) fn buffer_bytes(&self) -> usize {
        /// The least buffer that hyper takes.
        const LEAST: usize = 8 * 1024;
        let allowed = self.target_bytes.saturating_add(self.header_bytes);
        allowed.saturating_add(allowed / 4).max(LEAST)
    }

    /// The shortest of the times a connection is held to.
    pub(super) fn shortest_time(&self) -> Duration {
        self.request_time.min(self.answer_time).min(self.idle_time)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            connections_per_address: None,
            request_time: REQUEST_TIME,
            answer_time: ANSWER_TIME,
            idle_time: IDLE_TIME,
            drain_time: DRAIN_TIME,
            target_bytes: TARGET_BYTES,
            headers: HEADERS,
            header_bytes: HEADER_BYTES,
        }
    }
}
