//! Streams of events: how many there may be, and the pace of each.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use candle_core::Timestamp;
use futures_util::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::market::Market;
use crate::route::Form;
use crate::sse;
use crate::watch::Watch;

/// Time between two looks at the market, and so between two events of one candle: four a second is as fast as an eye
/// reads numbers.
pub const PACE: Duration = Duration::from_millis(250);
/// Silence after which a comment is sent: proxies commonly cut what is silent for 60 s, some for 30 s.
pub const COMMENT_AFTER: Duration = Duration::from_secs(15);
/// How long clients are asked to wait before they connect again (ms).
const RETRY: u32 = 2000;

/// The streams of one server.
#[derive(Debug)]
pub struct Streams {
    market: Arc<Market>,
    seats: Arc<Semaphore>,
    most: usize,
}

/// Why no stream was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// None of the instruments is listed.
    Unlisted,
    /// As many streams are open as may be.
    Full {
        /// How many that is.
        most: usize,
    },
}

impl Streams {
    /// The streams out of `market`, at most `most` at a time.
    pub fn new(market: Arc<Market>, most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self { market, seats: Arc::new(Semaphore::new(most)), most }
    }

    /// How many are open.
    pub fn open_now(&self) -> usize {
        self.most.saturating_sub(self.seats.available_permits())
    }

    /// Opens a stream of `ids` for a client whose last event before, if any, was that of `last`.
    ///
    /// It begins with a snapshot of each instrument (`delisted` where there is none, which may change), looks for
    /// changes at most once in [`PACE`], and never ends by itself. It does nothing while nobody asks it for more.
    ///
    /// # Errors
    /// [`NotOpened`]; a client may try again later.
    pub fn open(
        &self,
        ids: &[Cow<'_, str>],
        form: Form,
        last: Option<Timestamp>,
    ) -> Result<impl Stream<Item = Bytes> + Send + use<>, NotOpened> {
        if ids.iter().all(|id| self.market.aggregator.resolve(id).is_none()) {
            return Err(NotOpened::Unlisted);
        }
        let seat = Arc::clone(&self.seats).try_acquire_owned();
        let seat = seat.map_err(|_| NotOpened::Full { most: self.most })?;
        let watches = ids.iter().map(|id| Watch::new(id, form)).collect();
        let now = Instant::now();
        let client = Client { market: Arc::clone(&self.market), watches, looked: None, sent: now, _seat: seat };
        Ok(stream::unfold(client, move |client| client.next(last)))
    }
}

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlisted => f.write_str("No such instrument is listed."),
            Self::Full { most } => write!(f, "{most} streams are open, which is as many as may be. Try again later."),
        }
    }
}

impl std::error::Error for NotOpened {}

/// One client of a stream.
#[derive(Debug)]
struct Client {
    market: Arc<Market>,
    watches: Box<[Watch]>,
    /// When it looked at the market last; `None` before the first time.
    looked: Option<Instant>,
    /// When something was sent last.
    sent: Instant,
    _seat: OwnedSemaphorePermit,
}

impl Client {
    /// Waits until there is something to send; `last` is what the client had seen before it came.
    async fn next(mut self, last: Option<Timestamp>) -> Option<(Bytes, Self)> {
        let mut out = Vec::new();
        while out.is_empty() {
            match self.looked {
                None => self.begin(&mut out, last),
                Some(looked) => {
                    sleep_until(looked + PACE).await;
                    let now = self.market.clock.now();
                    for watch in &mut self.watches {
                        watch.catch_up(&mut out, &self.market, now);
                    }
                }
            }
            self.looked = Some(Instant::now());
            if out.is_empty() && self.sent.elapsed() >= COMMENT_AFTER {
                out.extend_from_slice(sse::COMMENT);
            }
        }
        self.sent = Instant::now();
        Some((out.into(), self))
    }

    fn begin(&mut self, out: &mut Vec<u8>, last: Option<Timestamp>) {
        sse::retry(out, RETRY);
        let now = self.market.clock.now();
        for watch in &mut self.watches {
            match last {
                Some(last) => watch.catch_up_since(out, &self.market, now, last),
                None => watch.catch_up(out, &self.market, now),
            }
            if !watch.is_listed() {
                watch.delisted(out, now);
            }
        }
    }
}
