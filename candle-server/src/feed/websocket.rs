//! One WebSocket, from the connect to its end, in runs of frames.
//!
//! It knows nothing of what the frames say, and tries nothing again: whoever holds a [`Connection`] decodes each run
//! at once and, at the end, decides by [`Ended`] when to connect anew.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout, timeout_at};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use candle_engine::feeds::last_heard::LastHeard;

use super::health::Loss;
use super::url::SocketUrl;
use crate::message::Unreadable;

/// The longest a connect may take, name look-up and handshakes included: three lost packets and some patience.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two pings: often enough that one lost packet does not look like silence.
pub const PING_EVERY: Duration = Duration::from_secs(10);
/// How long a connection may be silent (no frame, no pong) before it counts as dead: two pings unanswered.
pub const SILENCE: Duration = Duration::from_secs(20);
/// The longest a good-bye may take.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest frame and message, in bytes: ten thousand quotes in one array.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// What is read from a socket at once, in bytes: a thousand quotes and more for one system call.
pub const READ_BUFFER_BYTES: usize = 256 << 10;
/// The most frames in a run.
pub const MAX_RUN_FRAMES: usize = 1024;
/// The most bytes in a run, but for its last frame.
pub const MAX_RUN_BYTES: usize = 1 << 20;

/// One frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A text frame, put together from its fragments.
    Text(Utf8Bytes),
    /// A frame that holds no text within the limits, with its bytes where there are any.
    Unreadable(Unreadable, Bytes),
}

/// Why there is no connection, or no longer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ended {
    /// No connection came to be.
    Unreachable(io::Error),
    /// The server could not be trusted or spoke no TLS.
    Tls(io::Error),
    /// The server answered the handshake with this status.
    Refused(StatusCode),
    /// The connect took longer than [`CONNECT_TIMEOUT`].
    TimedOut,
    /// The other side said good-bye, or closed the connection.
    Closed,
    /// The connection broke.
    Lost(io::Error),
    /// Nothing came for [`SILENCE`] or, where this process stood still, for longer.
    Silent {
        /// For how long.
        quiet_for: Duration,
    },
    /// A frame was longer than [`MAX_MESSAGE_BYTES`].
    Oversize,
    /// The other side broke the WebSocket protocol.
    Protocol(String),
}

impl Ended {
    /// What the watch over the feeds is told.
    pub const fn loss(&self) -> Loss {
        let quiet_for = if let Self::Silent { quiet_for } = self { *quiet_for } else { Duration::ZERO };
        Loss { reason: self.reason(), quiet_for }
    }

    /// The reason in one word, for a metric.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Tls(_) => "tls",
            Self::Refused(_) => "refused",
            Self::TimedOut => "timed-out",
            Self::Closed => "closed",
            Self::Lost(_) => "lost",
            Self::Silent { .. } => "silent",
            Self::Oversize => "oversize",
            Self::Protocol(_) => "protocol",
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "cannot connect: {error}"),
            Self::Tls(error) => write!(f, "TLS failed: {error}"),
            Self::Refused(status) => write!(f, "the server refused the WebSocket with status {status}"),
            Self::TimedOut => write!(f, "no connection within {} s", CONNECT_TIMEOUT.as_secs()),
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Lost(error) => write!(f, "the connection was lost: {error}"),
            Self::Silent { quiet_for } => write!(f, "nothing came for {} s", quiet_for.as_secs()),
            Self::Oversize => write!(f, "a frame was longer than {MAX_MESSAGE_BYTES} bytes"),
            Self::Protocol(error) => write!(f, "the server broke the protocol: {error}"),
        }
    }
}

impl std::error::Error for Ended {}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Closed,
            Error::Io(error) if is_tls(&error) => Self::Tls(error),
            Error::Io(error) => Self::Lost(error),
            Error::Tls(error) => Self::Tls(io::Error::other(error)),
            Error::Capacity(_) => Self::Oversize,
            Error::Http(response) => Self::Refused(response.status()),
            error => Self::Protocol(error.to_string()),
        }
    }
}

/// Whether an error of the transport is in truth one of the TLS inside it.
fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some())
}

/// A WebSocket that is open.
#[derive(Debug)]
pub struct Connection {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    ping: Interval,
    /// When anything last came.
    heard: Instant,
    last_heard: Arc<LastHeard>,
    /// When the first and the latest data frame came.
    data: Option<(Instant, Instant)>,
    run: Vec<Frame>,
    /// Why the connection has ended, once that is known and until it is told.
    ended: Option<Ended>,
}

impl Connection {
    /// Connects, with TLS where the address says so.
    ///
    /// # Errors
    ///
    /// Why there is no connection, at the latest after [`CONNECT_TIMEOUT`].
    pub async fn open(url: &SocketUrl) -> Result<Self, Ended> {
        let stream = timeout(CONNECT_TIMEOUT, handshake(url)).await.map_err(|_| Ended::TimedOut)??;
        let now = Instant::now();
        let mut ping = interval_at(now + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            stream,
            ping,
            heard: now,
            last_heard: Arc::new(LastHeard::default()),
            data: None,
            run: Vec::new(),
            ended: None,
        })
    }

    /// Waits for a frame and takes with it as many as are there already: never an empty run.
    ///
    /// Nothing is lost when the future is dropped before it is ready.
    ///
    /// # Errors
    ///
    /// Why the connection has ended, after the last run. It must not be asked again.
    pub async fn run(&mut self) -> Result<&[Frame], Ended> {
        self.run.clear();
        while self.run.is_empty() {
            if let Some(ended) = self.ended.take() {
                return Err(ended);
            }
            let silent_at = self.heard + SILENCE;
            tokio::select! {
                biased;
                _ = self.ping.tick() => self.send_ping(silent_at).await,
                item = self.stream.next() => self.take_ready(item),
                // Last, so that what came while the caller was busy is not taken for silence.
                () = tokio::time::sleep_until(silent_at) => return Err(self.silent()),
            }
        }
        Ok(&self.run)
    }

    /// When it last heard anything, also for when it is gone.
    pub fn last_heard(&self) -> Arc<LastHeard> {
        Arc::clone(&self.last_heard)
    }

    /// For how long the connection has brought data: from its first frame to its latest.
    pub fn healthy_for(&self) -> Duration {
        self.data.map_or(Duration::ZERO, |(first, latest)| latest - first)
    }

    /// Says good-bye, in at most [`CLOSE_TIMEOUT`].
    pub async fn close(mut self) {
        // A peer that does not listen any more is gone either way.
        let _ = timeout(CLOSE_TIMEOUT, self.stream.close(None)).await;
    }

    async fn send_ping(&mut self, silent_at: Instant) {
        let sent = timeout_at(silent_at, self.stream.send(Message::Ping(Bytes::new()))).await;
        // A broken connection is left to the reading, which first brings what came before the break.
        if sent.is_err() {
            self.ended = Some(self.silent());
        }
    }

    fn silent(&self) -> Ended {
        Ended::Silent { quiet_for: self.heard.elapsed() }
    }

    /// Puts `item` and what is ready behind it into the run.
    fn take_ready(&mut self, item: Option<Result<Message, Error>>) {
        self.heard = Instant::now();
        self.last_heard.record(self.heard);
        let mut bytes = 0;
        let mut next = Some(item);
        while let Some(item) = next {
            bytes += self.take(item);
            if self.ended.is_some() || self.run.len() >= MAX_RUN_FRAMES || bytes >= MAX_RUN_BYTES {
                break;
            }
            next = self.stream.next().now_or_never();
        }
        if !self.run.is_empty() {
            let first = self.data.map_or(self.heard, |(first, _)| first);
            self.data = Some((first, self.heard));
        }
    }

    /// Puts one item into the run and says how many bytes it is long.
    fn take(&mut self, item: Option<Result<Message, Error>>) -> usize {
        match item {
            Some(Ok(Message::Text(text))) => {
                let bytes = text.len();
                self.run.push(Frame::Text(text));
                return bytes;
            }
            Some(Ok(Message::Binary(binary))) => {
                let bytes = binary.len();
                self.run.push(Frame::Unreadable(Unreadable::Binary, binary));
                return bytes;
            }
            // Pings are answered by the library as it reads on.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_))) => {
                // One try at the answer to the good-bye: the connection is over, sent or not.
                let _ = self.stream.flush().now_or_never();
                self.ended = Some(Ended::Closed);
            }
            Some(Err(error)) => {
                // The library gives up on these frames and keeps their bytes, but frames they were.
                match error {
                    Error::Capacity(_) => self.run.push(Frame::Unreadable(Unreadable::Oversize, Bytes::new())),
                    Error::Utf8(_) => self.run.push(Frame::Unreadable(Unreadable::NotUtf8, Bytes::new())),
                    _ => {}
                }
                self.ended = Some(error.into());
            }
            None => self.ended = Some(Ended::Closed),
        }
        0
    }
}

async fn handshake(url: &SocketUrl) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Ended> {
    let socket = TcpStream::connect((url.host(), url.port())).await.map_err(Ended::Unreachable)?;
    let (stream, _) = client_async_tls_with_config(url.uri(), socket, Some(config()), Some(tls()?)).await?;
    Ok(stream)
}

/// How WebSockets are read here.
pub fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

/// TLS with the roots that browsers trust.
///
/// The provider is named because rustls panics where it has to guess, which any dependency can bring about.
fn tls() -> Result<Connector, Ended> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<rustls::RootCertStore>();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Ended::Tls(io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Connector::Rustls(Arc::new(config)))
}

#[cfg(test)]
mod tests;
