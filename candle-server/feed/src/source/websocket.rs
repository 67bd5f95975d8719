//! Opens one WebSocket and reads its frames in batches until the connection ends.
//!
//! The caller decodes the frames and reconnects.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use candle_engine::feeds::last_heard::LastHeard;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout, timeout_at};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::error::ConnectionError;
use crate::message::Unreadable;
use crate::url::SocketUrl;

/// The timeout for opening a connection, including name look-up and handshakes: 10 s. Three lost packets take less
/// time.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval between two pings: 10 s. This is half of [`SILENCE`], so that one lost ping does not end the
/// connection.
pub const PING_EVERY: Duration = Duration::from_secs(10);
/// The time without a frame or a pong after which a connection counts as dead: 20 s, two unanswered pings.
pub const SILENCE: Duration = Duration::from_secs(20);
/// The maximum size of a frame and of a message, in bytes: 1 MiB. An array of ten thousand quotes fits.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// The size of the socket's read buffer, in bytes: 256 KiB. One system call then reads more than a thousand quotes.
pub const READ_BUFFER_BYTES: usize = 256 << 10;
/// The maximum number of frames in a batch: 1024. The limit bounds the time until other tasks of the thread run.
pub const MAX_BATCH_FRAMES: usize = 1024;
/// The number of bytes at which a batch ends: 1 MiB. Only the last frame of a batch may exceed this size.
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// One received frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A text frame, assembled from its fragments.
    Text(Utf8Bytes),
    /// A frame that is not text or is over the size limit, with its bytes if they are known.
    Unreadable(Unreadable, Bytes),
}

impl Frame {
    /// Returns the text of the frame.
    ///
    /// # Errors
    ///
    /// Returns the reason and the known bytes if the frame is unreadable.
    pub fn bytes(&self) -> Result<&[u8], (Unreadable, &[u8])> {
        match self {
            Self::Text(text) => Ok(text.as_bytes()),
            Self::Unreadable(reason, bytes) => Err((*reason, bytes)),
        }
    }
}

/// An open WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    ping: Interval,
    /// The time of the last frame, ping or pong.
    received: Instant,
    last_heard: Arc<LastHeard>,
    /// The times of the first and the latest data frame.
    data: Option<(Instant, Instant)>,
    batch: Vec<Frame>,
    /// The reason why the connection has ended, until [`frames`](Self::frames) returns the reason.
    error: Option<ConnectionError>,
}

impl WebSocket {
    /// Connects to `url`, with TLS for `wss://`.
    ///
    /// # Errors
    ///
    /// Returns the reason why the connection could not be opened, after [`CONNECT_TIMEOUT`] at the latest.
    pub async fn connect(url: &SocketUrl) -> Result<Self, ConnectionError> {
        let timed_out = |_| ConnectionError::TimedOut(CONNECT_TIMEOUT);
        let stream = timeout(CONNECT_TIMEOUT, handshake(url)).await.map_err(timed_out)??;
        let now = Instant::now();
        let mut ping = interval_at(now + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            stream,
            ping,
            received: now,
            last_heard: Arc::new(LastHeard::default()),
            data: None,
            batch: Vec::new(),
            error: None,
        })
    }

    /// Waits for a frame, and returns the frame together with the frames that are already buffered.
    ///
    /// Dropping the future before it is ready loses no frame.
    ///
    /// # Errors
    ///
    /// Returns the reason why the connection has ended, after all of its frames. The method must not be called again
    /// afterwards.
    pub async fn frames(&mut self) -> Result<&[Frame], ConnectionError> {
        self.batch.clear();
        while self.batch.is_empty() {
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            let silent_at = self.received + SILENCE;
            tokio::select! {
                biased;
                _ = self.ping.tick() => self.send_ping(silent_at).await,
                item = self.stream.next() => self.take_buffered(item),
                // This branch is last, so that frames that arrived while the caller was busy do not count as silence.
                () = tokio::time::sleep_until(silent_at) => return Err(self.silent()),
            }
        }
        Ok(&self.batch)
    }

    /// Returns the time of the last received frame, ping or pong. The value stays readable after the connection is
    /// dropped.
    pub fn last_heard(&self) -> Arc<LastHeard> {
        Arc::clone(&self.last_heard)
    }

    /// Returns the time between the first and the latest data frame.
    pub fn healthy_for(&self) -> Duration {
        self.data.map_or(Duration::ZERO, |(first, latest)| latest - first)
    }

    async fn send_ping(&mut self, silent_at: Instant) {
        let ping = tungstenite::Message::Ping(Bytes::new());
        let sent = timeout_at(silent_at, self.stream.send(ping)).await;
        // A write error is ignored here: the next reads return the remaining frames, and then the error.
        if sent.is_err() {
            self.error = Some(self.silent());
        }
    }

    fn silent(&self) -> ConnectionError {
        ConnectionError::Silent { quiet_for: self.received.elapsed() }
    }

    /// Adds `item` and the buffered items after it to the batch.
    fn take_buffered(&mut self, item: Option<Result<tungstenite::Message, Error>>) {
        self.received = Instant::now();
        self.last_heard.record(self.received);
        let mut bytes = 0;
        let mut next = Some(item);
        while let Some(item) = next {
            bytes += self.take(item);
            if self.error.is_some() || self.batch.len() >= MAX_BATCH_FRAMES || bytes >= MAX_BATCH_BYTES {
                break;
            }
            next = self.stream.next().now_or_never();
        }
        if !self.batch.is_empty() {
            let first = self.data.map_or(self.received, |(first, _)| first);
            self.data = Some((first, self.received));
        }
    }

    /// Adds one item to the batch and returns its length in bytes.
    fn take(&mut self, item: Option<Result<tungstenite::Message, Error>>) -> usize {
        match item {
            Some(Ok(tungstenite::Message::Text(text))) => {
                let bytes = text.len();
                self.batch.push(Frame::Text(text));
                return bytes;
            }
            Some(Ok(tungstenite::Message::Binary(binary))) => {
                let bytes = binary.len();
                self.batch.push(Frame::Unreadable(Unreadable::Binary, binary));
                return bytes;
            }
            // The library answers pings during the next read.
            Some(Ok(
                tungstenite::Message::Ping(_) | tungstenite::Message::Pong(_) | tungstenite::Message::Frame(_),
            )) => {}
            Some(Ok(tungstenite::Message::Close(_))) => {
                // The close frame is sent at most once, without a wait. The connection has ended even if the send
                // fails.
                let _ = self.stream.flush().now_or_never();
                self.error = Some(ConnectionError::Closed);
            }
            Some(Err(error)) => {
                // The library drops the bytes of these frames, but each still counts as an unreadable frame.
                match error {
                    Error::Capacity(_) => self.batch.push(Frame::Unreadable(Unreadable::Oversize, Bytes::new())),
                    Error::Utf8(_) => self.batch.push(Frame::Unreadable(Unreadable::NotUtf8, Bytes::new())),
                    _ => {}
                }
                self.error = Some(connection_error(error));
            }
            None => self.error = Some(ConnectionError::Closed),
        }
        0
    }
}

/// Converts an error of the WebSocket library.
fn connection_error(error: Error) -> ConnectionError {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => ConnectionError::Closed,
        Error::Io(error) if is_tls(&error) => ConnectionError::Tls(error),
        Error::Io(error) => ConnectionError::Lost(error),
        Error::Tls(error) => ConnectionError::Tls(io::Error::other(error)),
        Error::Capacity(_) => ConnectionError::Oversize(MAX_MESSAGE_BYTES),
        Error::Http(response) => ConnectionError::Refused(response.status()),
        error => ConnectionError::Protocol(error.to_string()),
    }
}

/// Returns true if an I/O error wraps an error of the TLS library.
fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some())
}

async fn handshake(url: &SocketUrl) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, ConnectionError> {
    let socket = TcpStream::connect((url.host(), url.port())).await.map_err(ConnectionError::Unreachable)?;
    let (uri, tls) = (url.uri(), Some(tls()?));
    let (stream, _) = client_async_tls_with_config(uri, socket, Some(config()), tls).await.map_err(connection_error)?;
    Ok(stream)
}

/// Returns the WebSocket settings of the server.
pub fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

/// Returns the TLS settings. They trust the root certificates that browsers trust.
///
/// The crypto provider is explicit, because rustls panics if two providers are compiled in. Any dependency can add a
/// second provider.
fn tls() -> Result<tokio_tungstenite::Connector, ConnectionError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<rustls::RootCertStore>();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectionError::Tls(io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tokio_tungstenite::Connector::Rustls(Arc::new(config)))
}

#[cfg(test)]
mod tests;
