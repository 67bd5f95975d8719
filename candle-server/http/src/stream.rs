//! Sends the changes of histories as server-sent events.
//!
//! This module limits the number of open streams, and polls the engine for each stream.
//!
//! - `diff`: writes the events for the changes of one instrument
//! - `sse`: formats events as text

mod diff;
pub(crate) mod sse;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use candle_core::Timestamp;
use candle_engine::Engine;
use candle_engine::feeds::health::State as FeedState;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use crate::route::HistoryOptions;
use diff::HistoryDiff;

/// The time between two polls of the engine, which limits a stream to four events a second for each candle.
///
/// People cannot read numbers that change faster.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The time without an event after which the stream sends a comment.
///
/// Proxies commonly close silent connections after 60 s, some after 30 s.
pub(crate) const COMMENT_AFTER: Duration = Duration::from_secs(15);
/// The default limit of open streams. It is half of the connection limit, so that other requests find a connection.
pub const DEFAULT_LIMIT: usize = 5000;
/// The time between two polls of the feed state. The state changes slowly, and each poll locks the feeds.
const FEED_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The time that clients wait before they reconnect (milliseconds).
const RETRY_MILLIS: u32 = 2000;

/// The open streams of one engine. All streams end when `Streams` is dropped.
#[derive(Debug)]
pub(crate) struct Streams {
    engine: Arc<Engine>,
    permits: Arc<Semaphore>,
    limit: usize,
    /// Ends all streams when dropped: the receiver of each stream then fails. No value is ever sent.
    alive: watch::Sender<()>,
}

/// The reason why a stream was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// No requested instrument is listed.
    Unlisted,
    /// The limit of open streams is reached.
    TooMany {
        /// The limit that is reached.
        limit: usize,
    },
}

impl Streams {
    /// Creates streams that read `engine`. At most `limit` streams can be open at once.
    pub(crate) fn new(engine: Arc<Engine>, limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { engine, permits: Arc::new(Semaphore::new(limit)), limit, alive: watch::Sender::new(()) }
    }

    /// Opens a stream of the instruments `ids`.
    ///
    /// `last` is the time of the last event that a reconnecting client received.
    ///
    /// The stream starts with a snapshot of each instrument, or with `delisted` if the instrument is not listed yet.
    /// The stream then sends changes at most once in each [`POLL_INTERVAL`]. A stream that is not polled does no work.
    ///
    /// # Errors
    /// [`OpenError`] if no instrument is listed or too many streams are open. A client may retry later.
    pub(crate) fn open(
        &self,
        ids: &[Cow<'_, str>],
        options: HistoryOptions,
        last: Option<Timestamp>,
    ) -> Result<impl Stream<Item = Bytes> + Send + use<>, OpenError> {
        if ids.iter().all(|id| self.engine.aggregator.resolve(id).is_none()) {
            return Err(OpenError::Unlisted);
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|_| OpenError::TooMany { limit: self.limit })?;
        let subscriber = Subscriber {
            engine: Arc::clone(&self.engine),
            histories: ids.iter().map(|id| HistoryDiff::new(id, options)).collect(),
            feed: None,
            polled: None,
            sent: Instant::now(),
            _permit: permit,
        };
        let mut alive = self.alive.subscribe();
        let dropped = async move { alive.changed().await.is_err() };
        Ok(stream::unfold(subscriber, move |subscriber| subscriber.next(last)).take_until(dropped))
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlisted => f.write_str("No such instrument is listed."),
            Self::TooMany { limit } => write!(f, "The limit of {limit} open streams is reached. Try again later."),
        }
    }
}

impl std::error::Error for OpenError {}

/// The state of one stream: what its client has received.
#[derive(Debug)]
struct Subscriber {
    engine: Arc<Engine>,
    histories: Box<[HistoryDiff]>,
    /// The last feed state that was sent, and the time of the last poll of that state. `None` before the first poll.
    feed: Option<(FeedState, Instant)>,
    /// The time of the last poll of the engine. `None` before the first poll.
    polled: Option<Instant>,
    /// The time at which the last event or comment was sent.
    sent: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Subscriber {
    /// Waits for the next events or the next comment, and returns their text.
    ///
    /// `last` is the time of the last event that the client received before it reconnected.
    async fn next(mut self, last: Option<Timestamp>) -> Option<(Bytes, Self)> {
        let mut out = Vec::new();
        while out.is_empty() {
            match self.polled {
                None => self.write_start(&mut out, last),
                Some(polled) => {
                    sleep_until(polled + POLL_INTERVAL).await;
                    self.engine.at_one_instant(|now| {
                        self.histories.iter_mut().for_each(|diff| diff.write_changes(&mut out, &self.engine, now));
                    });
                }
            }
            self.write_feed_state(&mut out);
            self.polled = Some(Instant::now());
            if out.is_empty() && self.sent.elapsed() >= COMMENT_AFTER {
                out.extend_from_slice(sse::COMMENT);
            }
        }
        self.sent = Instant::now();
        Some((out.into(), self))
    }

    /// Appends the state of the active feed if the state has changed.
    fn write_feed_state(&mut self, out: &mut Vec<u8>) {
        if self.feed.is_some_and(|(_, polled)| polled.elapsed() < FEED_POLL_INTERVAL) {
            return;
        }
        let state = self.engine.feeds.inspect(|failover| failover.state(self.engine.clock.elapsed()));
        if self.feed.is_none_or(|(sent, _)| sent != state) {
            sse::event(out, "feed", self.engine.clock.now(), |out| {
                out.extend_from_slice(format!("{{\"state\":\"{}\"}}", state.name()).as_bytes());
            });
        }
        self.feed = Some((state, Instant::now()));
    }

    /// Appends the first events of the stream: a snapshot or `delisted` for each instrument.
    fn write_start(&mut self, out: &mut Vec<u8>, last: Option<Timestamp>) {
        sse::retry(out, RETRY_MILLIS);
        self.engine.at_one_instant(|now| {
            for diff in &mut self.histories {
                match last {
                    Some(last) => diff.write_changes_since(out, &self.engine, now, last),
                    None => diff.write_changes(out, &self.engine, now),
                }
                if !diff.is_listed() {
                    diff.write_delisted(out, now);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Aggregator, Tick};

    use super::*;
    use candle_engine::clock::{Clock, ClockMode};

    fn streams(limit: usize) -> Streams {
        let engine = Engine::new(Aggregator::default(), Clock::new(ClockMode::Feed));
        engine.aggregator.list("a", None).unwrap();
        engine.aggregator.list("b", None).unwrap();
        Streams::new(Arc::new(engine), limit)
    }

    fn tick(streams: &Streams, id: &str, price: f64) {
        let now = streams.engine.clock.now();
        assert!(streams.engine.aggregator.record(id, &Tick::new(now, price), now).is_accepted());
    }

    fn open(streams: &Streams, ids: &[&str]) -> Result<std::pin::Pin<Box<dyn Stream<Item = Bytes>>>, OpenError> {
        let ids: Vec<Cow<'_, str>> = ids.iter().map(|id| Cow::Borrowed(*id)).collect();
        Ok(Box::pin(streams.open(&ids, HistoryOptions::default(), None)?))
    }

    async fn next(stream: &mut (impl Stream<Item = Bytes> + Unpin)) -> (Duration, String) {
        let start = Instant::now();
        let part = stream.next().await.unwrap();
        (start.elapsed(), String::from_utf8(part.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_sent_four_times_a_second_and_comments_after_silence() {
        let streams = streams(1);
        let mut stream = open(&streams, &["a", "b", "c"]).unwrap();
        let (_, first) = next(&mut stream).await;
        let names: Vec<&str> = first.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        assert_eq!(names, ["snapshot", "snapshot", "delisted", "feed"]);
        assert!(first.starts_with("retry: 2000\n\n"));
        for price in 1..9 {
            tick(&streams, "a", f64::from(price));
            tick(&streams, "b", f64::from(price));
            let (waited, events) = next(&mut stream).await;
            let intervals = waited.div_duration_f64(POLL_INTERVAL).round();
            assert_eq!((intervals, events.matches("event: candle").count()), (1.0, 2));
        }
        let (waited, comment) = next(&mut stream).await;
        assert!(waited >= COMMENT_AFTER && waited <= COMMENT_AFTER + 2 * POLL_INTERVAL, "{waited:?}");
        assert_eq!(comment.as_bytes(), sse::COMMENT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_for_an_hour_misses_no_state() {
        let streams = streams(1);
        let mut stream = open(&streams, &["a"]).unwrap();
        next(&mut stream).await;
        for second in 0..3600 {
            streams.engine.clock.advance_to(streams.engine.clock.now().saturating_add(1_000_000));
            tick(&streams, "a", f64::from(second + 1));
        }
        tokio::time::advance(Duration::from_hours(1)).await;
        let (waited, events) = next(&mut stream).await;
        assert_eq!(waited, Duration::ZERO, "a poll is overdue");
        assert_eq!(events.matches("event: final").count(), 29);
        assert!(events.contains("\"closePrice\":3600,"));
        assert_eq!(events.matches("event: candle").count(), 1);
    }

    #[tokio::test]
    async fn open_streams_are_limited_and_a_closed_stream_makes_room() {
        let streams = streams(2);
        let first = open(&streams, &["a"]).unwrap();
        let _second = open(&streams, &["a"]).unwrap();
        assert_eq!(open(&streams, &["a"]).err(), Some(OpenError::TooMany { limit: 2 }));
        assert_eq!(open(&streams, &["c"]).err(), Some(OpenError::Unlisted));
        drop(first);
        assert_eq!(streams.permits.available_permits(), 1);
        assert!(open(&streams, &["b"]).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_its_engine_is_replaced() {
        let streams = streams(1);
        let mut stream = open(&streams, &["a"]).unwrap();
        next(&mut stream).await;
        drop(streams);
        assert_eq!(stream.next().await, None);
    }
}
