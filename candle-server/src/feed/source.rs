//! The connections that a live feed is made of.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use candle_engine::feeds::last_heard::LastHeard;

use super::url::FeedUrl;
use super::websocket::{Connection, Ended, Frame};
use crate::message::Unreadable;

/// A live feed that is connected.
#[derive(Debug)]
pub(super) enum Source {
    /// One WebSocket of quotes.
    Single(Box<Connection>),
    /// A partner's `/instruments` and `/quotes`.
    Pair(Box<[Connection; 2]>),
    /// One that a simulation makes up.
    #[cfg(test)]
    Simulated(Box<super::simulation::Line>),
}

/// A connection being made.
pub(super) type Opening<'f> = Pin<Box<dyn Future<Output = Option<Result<Source, Ended>>> + Send + 'f>>;

impl Source {
    /// Connects to `feed`; `None` where it is none that is connected to.
    ///
    /// On the heap: two handshakes under way are large, and there is one of this for hours of reading.
    pub(super) fn open(feed: &FeedUrl) -> Opening<'_> {
        Box::pin(async move {
            #[cfg(test)]
            if let Some(upstream) = super::simulation::upstream(feed) {
                return Some(upstream.dial().await.map(|line| Self::Simulated(Box::new(line))));
            }
            match feed {
                FeedUrl::WebSocket(url) => Some(Connection::open(url).await.map(|one| Self::Single(Box::new(one)))),
                FeedUrl::Partner { instruments, quotes } => {
                    let both = tokio::try_join!(Connection::open(instruments), Connection::open(quotes));
                    Some(both.map(|(instruments, quotes)| Self::Pair(Box::new([instruments, quotes]))))
                }
                FeedUrl::Demo(_) | FeedUrl::Stdin | FeedUrl::File { .. } => None,
                #[cfg(feature = "nats")]
                FeedUrl::Log(_) => None,
            }
        })
    }

    /// Waits for frames of any socket. The feed ends with the first of them: half a partner is none.
    pub(super) async fn run(&mut self) -> Result<&[Frame], Ended> {
        match self {
            Self::Single(one) => one.run().await,
            Self::Pair(both) => {
                let [instruments, quotes] = &mut **both;
                tokio::select! {
                    run = instruments.run() => run,
                    run = quotes.run() => run,
                }
            }
            #[cfg(test)]
            Self::Simulated(line) => line.run().await,
        }
    }

    /// The last_heard of each socket.
    pub(super) fn last_heard(&self) -> Vec<Arc<LastHeard>> {
        self.connections().iter().map(Connection::last_heard).collect()
    }

    /// For how long it has brought data.
    pub(super) fn healthy_for(&self) -> Duration {
        #[cfg(test)]
        if let Self::Simulated(line) = self {
            return line.healthy_for();
        }
        self.connections().iter().map(Connection::healthy_for).max().unwrap_or_default()
    }

    fn connections(&self) -> &[Connection] {
        match self {
            Self::Single(one) => std::slice::from_ref(one),
            Self::Pair(both) => &**both,
            #[cfg(test)]
            Self::Simulated(_) => &[],
        }
    }
}

/// The text of a frame, or why it has none and what there is of it.
pub(super) fn bytes(frame: &Frame) -> Result<&[u8], (Unreadable, &[u8])> {
    match frame {
        Frame::Text(text) => Ok(text.as_bytes()),
        Frame::Unreadable(reason, bytes) => Err((*reason, bytes)),
    }
}
