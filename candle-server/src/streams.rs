//! Streams of events: how many there may be, and the pace of each.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use candle_core::Timestamp;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use crate::engine::Engine;
use crate::feeds::health::State;
use crate::replica::Replica;
use crate::route::Form;
use crate::sse;

/// Time between two looks at the engine, and so between two events of one candle: four a second is as fast as an eye
/// reads numbers.
pub const PACE: Duration = Duration::from_millis(250);
/// Silence after which a comment is sent: proxies commonly cut what is silent for 60 s, some for 30 s.
pub const COMMENT_AFTER: Duration = Duration::from_secs(15);
/// Streams open at once unless told otherwise: half of the connections, so that plain reads always find one.
pub const MOST: usize = 5000;
/// Time between two looks at how the feed is doing: its states are of seconds, and who looks meets the feed's own lock.
const FEED_PACE: Duration = Duration::from_secs(1);
/// How long clients are asked to wait before they connect again (ms).
const RETRY: u32 = 2000;

/// The streams out of one engine; they end where this is dropped, as when another engine takes its place.
#[derive(Debug)]
pub struct Streams {
    engine: Arc<Engine>,
    seats: Arc<Semaphore>,
    most: usize,
    /// Nothing is ever sent: whoever holds the other end sees when this one is gone.
    here: watch::Sender<()>,
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
    /// The streams out of `engine`, at most `most` at a time.
    pub fn new(engine: Arc<Engine>, most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self { engine, seats: Arc::new(Semaphore::new(most)), most, here: watch::Sender::new(()) }
    }

    /// How many are open.
    pub fn open_now(&self) -> usize {
        self.most.saturating_sub(self.seats.available_permits())
    }

    /// Opens a stream of `ids` for a client whose last event before, if any, was that of `last`.
    ///
    /// It begins with a snapshot of each instrument (`delisted` where there is none, which may change), looks for
    /// changes at most once in [`PACE`], and ends only with these streams. It does nothing while nobody asks it for more.
    ///
    /// # Errors
    /// [`NotOpened`]; a client may try again later.
    pub fn open(
        &self,
        ids: &[Cow<'_, str>],
        form: Form,
        last: Option<Timestamp>,
    ) -> Result<impl Stream<Item = Bytes> + Send + use<>, NotOpened> {
        if ids.iter().all(|id| self.engine.aggregator.resolve(id).is_none()) {
            return Err(NotOpened::Unlisted);
        }
        let seat = Arc::clone(&self.seats).try_acquire_owned();
        let seat = seat.map_err(|_| NotOpened::Full { most: self.most })?;
        let replicas = ids.iter().map(|id| Replica::new(id, form)).collect();
        let now = Instant::now();
        let client =
            Client { engine: Arc::clone(&self.engine), replicas, feed: None, looked: None, sent: now, _seat: seat };
        let mut here = self.here.subscribe();
        let gone = async move { here.changed().await.is_err() };
        Ok(stream::unfold(client, move |client| client.next(last)).take_until(gone))
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
    engine: Arc<Engine>,
    replicas: Box<[Replica]>,
    /// How the feed was doing when the client was told last, and when that was looked at; `None` before the first time.
    feed: Option<(State, Instant)>,
    /// When it looked at the engine last; `None` before the first time.
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
                    self.engine.at_one_instant(|now| {
                        self.replicas.iter_mut().for_each(|replica| replica.catch_up(&mut out, &self.engine, now));
                    });
                }
            }
            self.tell_feed(&mut out);
            self.looked = Some(Instant::now());
            if out.is_empty() && self.sent.elapsed() >= COMMENT_AFTER {
                out.extend_from_slice(sse::COMMENT);
            }
        }
        self.sent = Instant::now();
        Some((out.into(), self))
    }

    /// Appends how the active feed is doing, where that is not what the client was told.
    fn tell_feed(&mut self, out: &mut Vec<u8>) {
        if self.feed.is_some_and(|(_, looked)| looked.elapsed() < FEED_PACE) {
            return;
        }
        let state = self.engine.feeds.inspect(|failover| failover.state(self.engine.clock.elapsed()));
        if self.feed.is_none_or(|(told, _)| told != state) {
            sse::event(out, "feed", self.engine.clock.now(), |out| {
                out.extend_from_slice(format!("{{\"state\":\"{}\"}}", state.name()).as_bytes());
            });
        }
        self.feed = Some((state, Instant::now()));
    }

    fn begin(&mut self, out: &mut Vec<u8>, last: Option<Timestamp>) {
        sse::retry(out, RETRY);
        self.engine.at_one_instant(|now| {
            for replica in &mut self.replicas {
                match last {
                    Some(last) => replica.catch_up_since(out, &self.engine, now, last),
                    None => replica.catch_up(out, &self.engine, now),
                }
                if !replica.is_listed() {
                    replica.delisted(out, now);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Aggregator, Tick};

    use super::*;
    use crate::clock::{Clock, ClockMode};

    fn streams(most: usize) -> Streams {
        let engine = Engine::new(Aggregator::default(), Clock::new(ClockMode::Feed));
        engine.aggregator.list("a", None).unwrap();
        engine.aggregator.list("b", None).unwrap();
        Streams::new(Arc::new(engine), most)
    }

    fn tick(streams: &Streams, id: &str, price: f64) {
        let now = streams.engine.clock.now();
        assert!(streams.engine.aggregator.record(id, &Tick::new(now, price), now).is_accepted());
    }

    fn open(streams: &Streams, ids: &[&str]) -> Result<std::pin::Pin<Box<dyn Stream<Item = Bytes>>>, NotOpened> {
        let ids: Vec<Cow<'_, str>> = ids.iter().map(|id| Cow::Borrowed(*id)).collect();
        Ok(Box::pin(streams.open(&ids, Form::default(), None)?))
    }

    async fn next(stream: &mut (impl Stream<Item = Bytes> + Unpin)) -> (Duration, String) {
        let begun = Instant::now();
        let part = stream.next().await.unwrap();
        (begun.elapsed(), String::from_utf8(part.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn changes_come_four_times_a_second_and_silence_is_broken_by_comments() {
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
            assert_eq!((waited.div_duration_f64(PACE).round(), events.matches("event: candle").count()), (1.0, 2));
        }
        let (waited, comment) = next(&mut stream).await;
        assert!(waited >= COMMENT_AFTER && waited <= COMMENT_AFTER + 2 * PACE, "{waited:?}");
        assert_eq!(comment.as_bytes(), sse::COMMENT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_for_an_hour_misses_no_state() {
        let streams = streams(1);
        let mut stream = open(&streams, &["a"]).unwrap();
        next(&mut stream).await;
        for second in 0..3600 {
            streams.engine.clock.advance_to(streams.engine.clock.now().saturating_add(1_000_000));
            tick(&streams, "a", f64::from(second + 1));
        }
        tokio::time::advance(Duration::from_hours(1)).await;
        let (waited, events) = next(&mut stream).await;
        assert_eq!(waited, Duration::ZERO, "a look is overdue");
        assert_eq!(events.matches("event: final").count(), 29);
        assert!(events.contains("\"closePrice\":3600,"));
        assert_eq!(events.matches("event: candle").count(), 1);
    }

    #[tokio::test]
    async fn streams_are_capped_and_a_closed_one_makes_room() {
        let streams = streams(2);
        let first = open(&streams, &["a"]).unwrap();
        let _second = open(&streams, &["a"]).unwrap();
        assert_eq!(open(&streams, &["a"]).err(), Some(NotOpened::Full { most: 2 }));
        assert_eq!(open(&streams, &["c"]).err(), Some(NotOpened::Unlisted));
        drop(first);
        assert_eq!(streams.open_now(), 1);
        assert!(open(&streams, &["b"]).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_where_another_market_takes_the_place_of_its_own() {
        let streams = streams(1);
        let mut stream = open(&streams, &["a"]).unwrap();
        next(&mut stream).await;
        drop(streams);
        assert_eq!(stream.next().await, None);
    }
}
