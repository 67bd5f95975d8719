//! What the feed side writes and the HTTP side reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use candle_core::{Aggregator, Handle, History, ListError, Outcomes, Terms, Tick};
use tokio::sync::SetOnce;

use crate::clock::Clock;
use crate::journal::{Journal, Standing};

/// How long an instrument may be without a quote and still count as live: at two quotes a second each, 50,000
/// instruments raise a false alarm less than once a day.
pub const STALE_AFTER: Duration = Duration::from_secs(15);

/// The state of one server, shared by all of its threads.
#[derive(Debug)]
pub struct Market {
    /// Candles, catalogue and views.
    pub aggregator: Aggregator,
    /// Their time.
    pub clock: Clock,
    /// Logs what is written, where it is to survive.
    journal: Option<Arc<Journal>>,
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
            clock,
            journal: None,
            started: SetOnce::new(),
            unreadable: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// The same market, whose writes are logged.
    #[must_use]
    pub fn with_journal(self, journal: Arc<Journal>) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// Lists an instrument or describes it anew.
    ///
    /// # Errors
    /// As [`Aggregator::list`].
    pub fn list(&self, id: &str, description: Option<&str>) -> Result<Handle, ListError> {
        match &self.journal {
            Some(journal) => journal.list(&self.aggregator, id, description),
            None => self.aggregator.list(id, description),
        }
    }

    /// Removes an instrument; whether it was listed.
    pub fn delist(&self, id: &str) -> bool {
        match &self.journal {
            Some(journal) => journal.delist(&self.aggregator, id),
            None => self.aggregator.delist(id),
        }
    }

    /// Records ticks in their order under the same terms.
    pub fn record_batch(&self, ticks: &[(&str, Tick)], terms: Terms) -> Outcomes {
        match &self.journal {
            Some(journal) => journal.record_batch(&self.aggregator, ticks, terms),
            None => self.aggregator.record_batch(ticks, terms),
        }
    }

    /// Forgets all candles.
    pub fn clear_candles(&self) {
        match &self.journal {
            Some(journal) => journal.clear_candles(&self.aggregator),
            None => self.aggregator.clear_candles(0),
        }
    }

    /// The first number for ticks without one: above all those of the process before.
    pub fn first_seq(&self) -> u64 {
        self.journal.as_ref().map_or(0, |journal| journal.mark())
    }

    /// Notes that a feed of this name is connected.
    pub fn note_feed(&self, feed: &str) {
        if let Some(journal) = &self.journal {
            journal.note_feed(feed);
        }
    }

    /// The feed that was connected last, by this process or the one before; known only where it is to survive.
    pub fn last_feed(&self) -> Option<String> {
        self.journal.as_ref().and_then(|journal| journal.feed())
    }

    /// How well what is written is kept, where it is to survive.
    pub fn standing(&self) -> Option<Standing> {
        self.journal.as_ref().map(|journal| journal.standing(self.clock.elapsed()))
    }

    /// How fresh `history` is now.
    pub fn status(&self, history: &History) -> Status {
        let age = history.last_arrival.map(|arrival| arrival.age(self.clock.arrival()));
        match (age, history.ring.newest()) {
            (_, None) => Status::Never,
            (Some(age), _) if age <= STALE_AFTER => Status::Live,
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
