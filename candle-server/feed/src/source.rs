//! The sources of quotes: live connections, files, standard input and the demo.
//!
//! The traits [`Connector`] and [`Source`] abstract live connections, so that tests can simulate them.

pub mod demo;
mod error;
pub mod lines;
pub mod websocket;

use std::sync::Arc;
use std::time::Duration;

use candle_engine::feeds::last_heard::LastHeard;

use crate::url::Endpoint;
pub use error::ConnectionError;
use websocket::{Frame, WebSocket};

/// An open connection to a live feed.
pub trait Source {
    /// Waits for the next frames, and returns at least one frame. Dropping the future before it is ready loses no
    /// frame.
    ///
    /// # Errors
    ///
    /// Returns the reason why the connection has ended. The method must not be called again afterwards.
    fn frames(&mut self) -> impl Future<Output = Result<&[Frame], ConnectionError>>;

    /// Returns the time at which each socket last received a frame or a pong. The values are updated while the source
    /// is read.
    fn last_heard(&self) -> Vec<Arc<LastHeard>>;

    /// Returns the time between the first and the latest data frame.
    fn healthy_for(&self) -> Duration;
}

/// Opens connections to live feeds.
pub trait Connector {
    /// An open connection of this connector.
    type Source: Source;

    /// Connects to the feed at `endpoint`.
    ///
    /// # Errors
    ///
    /// Returns the reason why the connection could not be opened.
    fn connect(&self, endpoint: Endpoint<'_>) -> impl Future<Output = Result<Self::Source, ConnectionError>>;
}

/// The connector of the server. It opens WebSockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct WebSocketConnector;

impl Connector for WebSocketConnector {
    type Source = WebSockets;

    async fn connect(&self, endpoint: Endpoint<'_>) -> Result<WebSockets, ConnectionError> {
        match endpoint {
            Endpoint::Single(url) => WebSocket::connect(url).await.map(|one| WebSockets::Single(Box::new(one))),
            Endpoint::Pair { instruments, quotes } => {
                let both = tokio::try_join!(WebSocket::connect(instruments), WebSocket::connect(quotes));
                both.map(|(instruments, quotes)| WebSockets::Pair(Box::new([instruments, quotes])))
            }
        }
    }
}

/// The open WebSockets of one feed.
#[derive(Debug)]
pub enum WebSockets {
    /// One WebSocket of quotes.
    Single(Box<WebSocket>),
    /// A partner's `/instruments` and `/quotes`.
    Pair(Box<[WebSocket; 2]>),
}

impl WebSockets {
    fn all(&self) -> &[WebSocket] {
        match self {
            Self::Single(one) => std::slice::from_ref(one),
            Self::Pair(both) => &**both,
        }
    }
}

impl Source for WebSockets {
    /// Waits for frames of any socket. If either socket of a pair ends, the pair ends.
    async fn frames(&mut self) -> Result<&[Frame], ConnectionError> {
        match self {
            Self::Single(one) => one.frames().await,
            Self::Pair(both) => {
                let [instruments, quotes] = &mut **both;
                tokio::select! {
                    frames = instruments.frames() => frames,
                    frames = quotes.frames() => frames,
                }
            }
        }
    }

    fn last_heard(&self) -> Vec<Arc<LastHeard>> {
        self.all().iter().map(WebSocket::last_heard).collect()
    }

    fn healthy_for(&self) -> Duration {
        self.all().iter().map(WebSocket::healthy_for).max().unwrap_or_default()
    }
}
