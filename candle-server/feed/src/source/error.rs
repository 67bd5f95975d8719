//! The reasons why a connection fails or ends.

use std::fmt;
use std::io;
use std::time::Duration;

use candle_engine::feeds::health::Loss;
use tokio_tungstenite::tungstenite::http::StatusCode;

/// The reason why a connection could not be opened, or has ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The server could not be reached.
    Unreachable(io::Error),
    /// The TLS handshake failed, or the certificate is not trusted.
    Tls(io::Error),
    /// The server rejected the WebSocket handshake with this status.
    Refused(StatusCode),
    /// The connection was not open within this time.
    TimedOut(Duration),
    /// The server closed the connection.
    Closed,
    /// The connection broke.
    Lost(io::Error),
    /// Nothing was received for longer than the silence limit, not even a pong.
    Silent {
        /// The time since the last frame or pong.
        quiet_for: Duration,
    },
    /// A frame was longer than this number of bytes.
    Oversize(usize),
    /// The server violated the WebSocket protocol.
    Protocol(String),
}

impl ConnectionError {
    /// Converts the error into the [`Loss`] that the feed health records.
    pub const fn loss(&self) -> Loss {
        let quiet_for = if let Self::Silent { quiet_for } = self { *quiet_for } else { Duration::ZERO };
        Loss { reason: self.reason(), quiet_for }
    }

    /// Returns the reason as one word, which is also a metric label.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Tls(_) => "tls",
            Self::Refused(_) => "refused",
            Self::TimedOut(_) => "timed-out",
            Self::Closed => "closed",
            Self::Lost(_) => "lost",
            Self::Silent { .. } => "silent",
            Self::Oversize(_) => "oversize",
            Self::Protocol(_) => "protocol",
        }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "cannot connect: {error}"),
            Self::Tls(error) => write!(f, "TLS failed: {error}"),
            Self::Refused(status) => write!(f, "the server refused the WebSocket with status {status}"),
            Self::TimedOut(limit) => write!(f, "no connection within {} s", limit.as_secs()),
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Lost(error) => write!(f, "the connection broke: {error}"),
            Self::Silent { quiet_for } => write!(f, "nothing was received for {} s", quiet_for.as_secs()),
            Self::Oversize(limit) => write!(f, "a frame was longer than {limit} bytes"),
            Self::Protocol(error) => write!(f, "the server violated the WebSocket protocol: {error}"),
        }
    }
}

impl std::error::Error for ConnectionError {}
