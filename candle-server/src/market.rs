//! What the feed side writes and the HTTP side reads.

mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use candle_core::{Aggregator, Latest};
use tokio::sync::SetOnce;

use crate::clock::Clock;
use crate::feeds::Feeds;
use crate::journal::Journal;

/// How long an instrument may be without a quote and still count as live: at two quotes a second each, 50,000
/// instruments raise a false alarm less than once a day.
pub const STALE_AFTER: Duration = Duration::from_secs(15);

/// How many of its usual gaps an instrument may miss: where quotes come by chance, one gap in 20,000 is this long.
const USUAL_GAPS: u32 = 10;

/// How long an instrument may be without a quote, by its quotes so far.
fn patience(usual_gap: Option<Duration>) -> Duration {
    STALE_AFTER.max(usual_gap.unwrap_or_default().saturating_mul(USUAL_GAPS))
}

/// The state of one server, shared by all of its threads.
#[derive(Debug)]
pub struct Market {
    /// Candles, catalogue and views.
    pub aggregator: Aggregator,
    /// Their time.
    pub clock: Clock,
    /// Logs what is written, where it is to survive.
    journal: Option<Arc<Journal>>,
    /// Where they come from, and which minutes that covered.
    pub feeds: Feeds,
    started: SetOnce<()>,
    unreadable: AtomicU64,
    stopping: AtomicBool,
}

/// How fresh an instrument's candles are, by the age of its last quote's arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Quotes come in.
    Live,
    /// None came for a while.
    Stale,
    /// None came ever.
    Never,
}

impl Status {
    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Never => "never",
        }
    }
}

impl Market {
    /// An empty market.
    pub fn new(aggregator: Aggregator, clock: Clock) -> Self {
        Self {
            aggregator,
            feeds: Feeds::unwatched(clock.source()),
            clock,
            journal: None,
            started: SetOnce::new(),
            unreadable: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// The same market with these feeds.
    #[must_use]
    pub fn with_feeds(self, feeds: Feeds) -> Self {
        Self { feeds, ..self }
    }

    /// The same market, whose writes are logged.
    #[must_use]
    pub fn with_journal(self, journal: Arc<Journal>) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// How fresh an instrument is now of which this is the latest, and whose quotes usually come at this distance.
    pub fn status(&self, latest: &Latest, usual_gap: Option<Duration>) -> Status {
        let age = latest.last_arrival.map(|arrival| arrival.age(self.clock.arrival()));
        match (age, latest.newest) {
            (_, None) => Status::Never,
            (Some(age), _) if age <= STALE_AFTER => Status::Live,
            // While the feed is up, a long pause is no news of an instrument that always pauses for long.
            (Some(age), _) if self.feeds.are_up() && age <= patience(usual_gap) => Status::Live,
            _ => Status::Stale,
        }
    }

    /// Lets the feeds run; safe to repeat.
    pub fn start(&self) {
        // Set already: it runs already.
        let _ = self.started.set(());
    }

    /// Waits until [`start`](Self::start) was called.
    pub async fn started(&self) {
        self.started.wait().await;
    }

    /// Counts messages that could not be read.
    pub fn count_unreadable(&self, messages: u64) {
        self.unreadable.fetch_add(messages, Ordering::Relaxed);
    }

    /// How many messages could not be read so far.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Notes that the server is about to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether it is.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
