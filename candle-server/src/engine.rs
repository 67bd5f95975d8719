//! What the feed side writes and the HTTP side reads.

mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use candle_core::{Aggregator, Arrival, Latest, Timestamp};
use parking_lot::RwLock;
#[cfg(feature = "nats")]
use parking_lot::RwLockWriteGuard;
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
fn silence_timeout(usual_gap: Option<Duration>) -> Duration {
    STALE_AFTER.max(usual_gap.unwrap_or_default().saturating_mul(USUAL_GAPS))
}

/// The state of one server, shared by all of its threads.
#[derive(Debug)]
pub struct Engine {
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
    folding: RwLock<()>,
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

impl Engine {
    /// An empty engine.
    pub fn new(aggregator: Aggregator, clock: Clock) -> Self {
        Self {
            aggregator,
            feeds: Feeds::unwatched(clock.mode()),
            clock,
            journal: None,
            started: SetOnce::new(),
            unreadable: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            folding: RwLock::new(()),
        }
    }

    /// The same engine with these feeds.
    #[must_use]
    pub fn with_feeds(self, feeds: Feeds) -> Self {
        Self { feeds, ..self }
    }

    /// The same engine, whose writes are logged.
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
            (Some(age), _) if self.feeds.are_up() && age <= silence_timeout(usual_gap) => Status::Live,
            _ => Status::Stale,
        }
    }

    /// How many listed instruments have each status now. It looks at all of them, but for the usual gap of those only that
    /// are quiet: a millisecond or two for 50,000.
    pub fn statuses(&self) -> [(Status, u32); 3] {
        let quiet_since = Arrival::after(self.clock.elapsed().saturating_sub(STALE_AFTER));
        let mut statuses = [Status::Live, Status::Stale, Status::Never].map(|status| (status, 0));
        self.aggregator.for_each_latest(self.clock.now(), quiet_since, |latest, usual_gap| {
            let is = self.status(latest, usual_gap);
            statuses.iter_mut().filter(|(status, _)| *status == is).for_each(|(_, instruments)| *instruments += 1);
        });
        statuses
    }

    /// What `read` finds as seen from `now`. Of a engine that a log tells it never sees a part of what is folded at once, so
    /// that equal `now`s are equal places in the log. It must not be called by what it calls.
    pub fn at_one_moment<T>(&self, read: impl FnOnce(Timestamp) -> T) -> T {
        let _nothing_is_folded = self.feeds.are_told_by_log().then(|| self.folding.read());
        read(self.clock.now())
    }

    /// Keeps whoever reads [at one moment](Self::at_one_moment) waiting while something is folded and the clock moved.
    #[cfg(feature = "nats")]
    pub fn fold(&self) -> RwLockWriteGuard<'_, ()> {
        self.folding.write()
    }

    /// Lets the feeds run; safe to repeat.
    pub fn start(&self) {
        // Set already: it runs already.
        let _ = self.started.set(());
    }

    /// Whether [`start`](Self::start) was called.
    pub fn is_started(&self) -> bool {
        self.started.initialized()
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

#[cfg(test)]
mod tests {
    use candle_core::{RecordContext, Tick};

    use super::*;
    use crate::clock::ClockMode;

    #[test]
    fn every_listed_instrument_is_counted_under_the_status_that_its_readers_see() {
        let clock = Clock::started_ago(ClockMode::Feed, Duration::from_mins(10));
        let engine = Engine::new(Aggregator::default(), clock);
        let now = engine.clock.now();
        let tick = |id: &str, ago: u64| {
            let time = now.saturating_add(-i64::try_from(ago).unwrap() * 1_000_000);
            let arrival = Arrival::after(engine.clock.elapsed().saturating_sub(Duration::from_secs(ago)));
            let context = RecordContext { arrival, ..RecordContext::from(now) };
            assert!(engine.aggregator.record(id, &Tick::new(time, 1.0), context).is_accepted());
        };
        for id in ["busy", "fallen silent", "always slow", "restored", "never"] {
            engine.aggregator.list(id.split(' ').next().unwrap(), None).unwrap();
        }
        tick("busy", 0);
        (0..600).rev().filter(|ago| *ago > 60).for_each(|ago| tick("fallen", ago));
        [590, 470, 350, 230, 110].into_iter().for_each(|ago| tick("always", ago));
        assert!(engine.aggregator.record("restored", &Tick::new(now, 1.0), now).is_accepted());
        let counted = |engine: &Engine| engine.statuses().map(|(_, instruments)| instruments);
        let seen = |engine: &Engine| {
            let mut seen = [0; 3];
            for summary in engine.aggregator.page(None, "", 10) {
                let history = engine.aggregator.history(summary.id.as_str()).unwrap();
                let status = engine.status(&Latest::from(&history), history.ring.usual_gap(engine.clock.now()));
                seen[[Status::Live, Status::Stale, Status::Never].iter().position(|one| *one == status).unwrap()] += 1;
            }
            seen
        };
        assert_eq!((counted(&engine), seen(&engine)), ([1, 3, 1], [1, 3, 1]), "while the feed is down");
        engine.feeds.opened(0, Vec::new(), engine.clock.reading());
        engine.feeds.quoted(1, None, engine.clock.reading());
        assert_eq!((counted(&engine), seen(&engine)), ([2, 2, 1], [2, 2, 1]), "what is always slow is live");
    }
}
