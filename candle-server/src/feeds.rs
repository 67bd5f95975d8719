//! What is known of the feeds, shared: the feed side tells it, the HTTP side shows it.

mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use candle_core::{CoverageRing, CoverageWindow, Timestamp};
use parking_lot::{Mutex, MutexGuard, RwLock};
use prometheus_client::metrics::histogram::Histogram;

pub use report::{FeedReport, GapReport, Report};
use report::{seconds, timestamp};

use crate::clock::{ClockMode, Reading};
use crate::feed::failover::{Action, Failover, FailoverConfig, Supply};
use crate::feed::health::{Health, Loss, SilenceTimeout, State};
use crate::feed::source::websocket::LastHeard;

/// The bounds of the lags that are told apart, in seconds: from what a good network does to what is no price any more.
const LAG_BOUNDS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 30.0, 300.0];

/// The feeds of one server: which is active, how each is doing, and which minutes they covered.
///
/// Readers of candles meet the feed side only where supply comes up or goes down.
#[derive(Debug)]
pub struct Feeds {
    /// Their addresses, without what may be secret in them; no two are equal.
    names: Box<[String]>,
    watch: Mutex<Watched>,
    coverage: RwLock<CoverageRing>,
    lags: Histogram,
    /// Quotes left out because the feed before had brought them.
    repeated: AtomicU64,
    told: Told,
}

/// Who tells whether the engine is supplied.
#[derive(Debug)]
enum Told {
    /// The watch over the feeds.
    ByWatch,
    /// The log that is read, as long as it is heard of.
    #[cfg(feature = "nats")]
    ByLog(std::sync::atomic::AtomicBool),
}

#[derive(Debug)]
struct Watched {
    watch: Failover,
    /// What each feed's present or last connection heard, a last_heard for each socket.
    last_heard: Box<[Vec<Arc<LastHeard>>]>,
}

impl Feeds {
    /// Feeds of these names, in the order of preference, each silent by its own measure; candles run on `mode`. Of names
    /// that are equal, as addresses are that differ in what is secret, the later ones get their place besides: `#2`.
    ///
    /// # Panics
    /// Where there is no feed.
    pub fn new(
        feeds: impl IntoIterator<Item = (String, SilenceTimeout)>,
        mode: ClockMode,
        turns: FailoverConfig,
    ) -> Self {
        let (names, measures): (Vec<_>, Vec<_>) = feeds.into_iter().unzip();
        let last_heard = names.iter().map(|_| Vec::new()).collect();
        let own = |(place, name): (usize, &String)| {
            if names[..place].contains(name) { format!("{name}#{}", place + 1) } else { name.clone() }
        };
        Self {
            names: names.iter().enumerate().map(own).collect(),
            watch: Mutex::new(Watched { watch: Failover::new(measures, mode, turns), last_heard }),
            coverage: RwLock::default(),
            lags: Histogram::new(LAG_BOUNDS),
            repeated: AtomicU64::new(0),
            told: Told::ByWatch,
        }
    }

    /// One feed that nothing can be wrong with, on `mode`: for a engine that is filled by hand.
    pub fn unwatched(mode: ClockMode) -> Self {
        let turns = FailoverConfig { fail_over_after: Duration::MAX, fail_back_after: Duration::MAX };
        Self::new([("none:".to_owned(), SilenceTimeout::Never)], mode, turns)
    }

    /// The same feeds, which are a log: what it says of coverage stands.
    #[cfg(feature = "nats")]
    #[must_use]
    pub fn told_by_log(self) -> Self {
        Self { told: Told::ByLog(std::sync::atomic::AtomicBool::new(false)), ..self }
    }

    /// Whether a log tells of them.
    pub const fn are_told_by_log(&self) -> bool {
        !matches!(self.told, Told::ByWatch)
    }

    /// The log says that this is covered, and whether the engine is supplied.
    #[cfg(feature = "nats")]
    pub fn log_tells(&self, coverage: CoverageRing, is_supplied: bool) {
        *self.coverage.write() = coverage;
        if let Told::ByLog(supplied) = &self.told {
            supplied.store(is_supplied, Ordering::Relaxed);
        }
    }

    /// Nothing is heard of the log: whether the engine is supplied is not known.
    #[cfg(feature = "nats")]
    pub fn log_is_silent(&self) {
        if let Told::ByLog(supplied) = &self.told {
            supplied.store(false, Ordering::Relaxed);
        }
    }

    fn watch(&self) -> MutexGuard<'_, Watched> {
        self.watch.lock()
    }

    /// Tells the watch something, and passes on what follows for coverage.
    fn tell(&self, told: impl FnOnce(&mut Watched) -> Option<Supply>) {
        let mut watched = self.watch();
        let Some(supply) = told(&mut watched) else { return };
        #[cfg(feature = "nats")]
        if matches!(self.told, Told::ByLog(_)) {
            return;
        }
        // Under the watch's lock, so that changes of coverage keep their order.
        let mut coverage = self.coverage.write();
        match supply {
            Supply::Up(at) => coverage.up(at),
            Supply::Down(at) => coverage.down(at),
        }
    }

    /// The feed at `place` is being connected to.
    pub fn connecting(&self, place: usize, at: Reading) {
        self.tell(|watched| watched.watch.connecting(place, at));
    }

    /// The feed at `place` is connected, by sockets with these last_heard.
    pub fn opened(&self, place: usize, last_heard: Vec<Arc<LastHeard>>, at: Reading) {
        self.tell(|watched| {
            watched.last_heard[place] = last_heard;
            watched.watch.opened(place, at)
        });
    }

    /// The active feed brought `quotes` accepted quotes, the freshest of those that tell their time from `newest`.
    pub fn quoted(&self, quotes: u64, newest: Option<Timestamp>, at: Reading) {
        if quotes == 0 {
            return;
        }
        let lag = newest.map(|newest| micros(at.now.as_micros().saturating_sub(newest.as_micros())));
        if let Some(lag) = lag {
            self.lags.observe(lag.as_secs_f64());
        }
        self.tell(|watched| watched.watch.quoted(watched.watch.active(), quotes, lag, at));
    }

    /// The feed at `place`, which is not the active one, brought `quotes` quotes.
    pub fn probed(&self, place: usize, quotes: u64, at: Reading) {
        if quotes > 0 {
            self.tell(|watched| watched.watch.quoted(place, quotes, None, at));
        }
    }

    /// The connection to the feed at `place` is lost, or did not come to be.
    pub fn lost(&self, place: usize, loss: impl Into<Loss>, at: Reading) {
        self.tell(|watched| watched.watch.lost(place, loss, at));
    }

    /// The feed at `place` has come to its end.
    pub fn ended(&self, place: usize, at: Reading) {
        self.tell(|watched| watched.watch.ended(place, at));
    }

    /// The feed at `place` is the active one from now on.
    pub fn turned_to(&self, place: usize, at: Reading) {
        self.tell(|watched| watched.watch.turned_to(place, at));
    }

    /// A feed's own clock was set back, and candles start afresh: so does their coverage.
    pub fn started_over(&self) {
        let mut watched = self.watch();
        watched.watch.started_over();
        *self.coverage.write() = CoverageRing::default();
    }

    /// The name of the feed at `place`.
    pub fn name(&self, place: usize) -> &str {
        &self.names[place]
    }

    /// The place of the feed of this name.
    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// What should be done about the active feed, if anything.
    pub fn verdict(&self, at: Reading) -> Option<Action> {
        self.tell(|watched| watched.watch.settle(at));
        self.watch().watch.verdict(at.elapsed)
    }

    /// When feeds take turns.
    pub fn turns(&self) -> FailoverConfig {
        self.watch().watch.turns()
    }

    /// The place of the active feed.
    #[cfg(test)]
    pub(crate) fn active(&self) -> usize {
        self.watch().watch.active()
    }

    /// How the feed at `place` is doing.
    pub fn state_of(&self, place: usize, elapsed: Duration) -> State {
        self.watch().watch.feeds()[place].state(elapsed)
    }

    /// How the active feed is doing.
    pub fn state(&self, elapsed: Duration) -> State {
        self.watch().watch.state(elapsed)
    }

    /// Which minutes of the window at `now` were covered.
    pub fn coverage(&self, now: Timestamp) -> CoverageWindow {
        self.coverage.read().window(now)
    }

    /// Everything that is known of coverage.
    pub fn coverage_ring(&self) -> CoverageRing {
        self.coverage.read().clone()
    }

    /// The same feeds, of which an earlier process knew this.
    #[must_use]
    pub fn with_coverage(self, known: CoverageRing) -> Self {
        Self { coverage: RwLock::new(known), ..self }
    }

    /// Whether the engine is supplied, as far as is known.
    pub fn are_up(&self) -> bool {
        match &self.told {
            Told::ByWatch => self.coverage.read().is_up(),
            #[cfg(feature = "nats")]
            Told::ByLog(supplied) => supplied.load(Ordering::Relaxed),
        }
    }

    /// All that is known, as `GET /feed` shows it. Candles that are read afterwards say the same of coverage.
    pub fn report(&self, at: Reading) -> Report {
        self.tell(|watched| watched.watch.settle(at));
        let feed = |standing: Standing| FeedReport {
            url: standing.url,
            active: standing.is_active,
            state: standing.state.name(),
            last_message_age: standing.message_age.map(seconds),
            last_quote_age: standing.quote_age.map(seconds),
            lag: standing.lag.map(seconds),
            quotes_per_second: (standing.quotes_per_second * 1e3).round() / 1e3,
            stale_after: standing.silence_timeout.map(seconds),
            connects: standing.connects,
            losses: standing.losses,
        };
        let gap = |gap: &crate::feed::failover::Gap| GapReport {
            from: timestamp(gap.from),
            to: gap.to.map(timestamp),
            reason: gap.reason,
        };
        let watched = self.watch();
        Report {
            state: watched.watch.state(at.elapsed).name(),
            as_of: timestamp(at.now),
            feeds: self.standings_of(&watched, at.elapsed).into_iter().map(feed).collect(),
            gaps: watched.watch.gaps(at.now).map(gap).collect(),
            repeated: self.repeated(),
        }
    }

    /// How each feed stands, in the order of preference.
    pub fn standings(&self, elapsed: Duration) -> Vec<Standing> {
        self.standings_of(&self.watch(), elapsed)
    }

    fn standings_of(&self, watched: &Watched, elapsed: Duration) -> Vec<Standing> {
        let watch = &watched.watch;
        let standing = |(place, health): (usize, &Health)| Standing {
            url: self.names[place].clone(),
            is_active: place == watch.active(),
            state: health.state(elapsed),
            message_age: watched.last_heard[place].iter().map(|last_heard| last_heard.age()).max(),
            quote_age: health.quote_age(elapsed),
            lag: health.lag(),
            quotes_per_second: health.quotes_per_second(),
            silence_timeout: health.silence_timeout(),
            connects: health.connects(),
            losses: health.losses().clone(),
        };
        watch.feeds().iter().enumerate().map(standing).collect()
    }

    /// Counts a quote left out because the feed before had brought it.
    pub fn count_repeated(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    /// How many quotes were left out because the feed before had brought them.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// How old the freshest quotes of each run were on arrival, in seconds.
    pub const fn lags(&self) -> &Histogram {
        &self.lags
    }
}

/// One feed at one moment; [`FeedReport`] says what each field means.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the report's fields have the same meanings")]
pub struct Standing {
    pub url: String,
    pub is_active: bool,
    pub state: State,
    pub message_age: Option<Duration>,
    pub quote_age: Option<Duration>,
    pub lag: Option<Duration>,
    pub quotes_per_second: f64,
    pub silence_timeout: Option<Duration>,
    pub connects: u64,
    pub losses: BTreeMap<&'static str, u64>,
}

/// A span of microseconds; none where it is negative, as between clocks that differ a little.
fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_to_be_silent_is_not_covered_for_whoever_reads_on() {
        let turns = FailoverConfig { fail_over_after: Duration::MAX, fail_back_after: Duration::MAX };
        let silence_timeout = SilenceTimeout::Fixed(Duration::from_secs(2));
        let feeds = Feeds::new([("ws://h/".to_owned(), silence_timeout)], ClockMode::Wall, turns);
        let at = |seconds: i64| Reading {
            elapsed: Duration::from_secs(seconds.unsigned_abs()),
            now: Timestamp::from_seconds(seconds).unwrap(),
        };
        feeds.opened(0, Vec::new(), at(0));
        feeds.quoted(1, None, at(118));
        assert_eq!(feeds.report(at(121)).state, "silent");
        let minute = at(121).now.minute();
        assert_eq!(feeds.coverage(at(121).now).of(minute), candle_core::Coverage::None);
    }

    #[test]
    fn feeds_that_differ_in_their_secrets_alone_have_names_of_their_own() {
        let turns = FailoverConfig { fail_over_after: Duration::MAX, fail_back_after: Duration::MAX };
        let feeds = ["ws://h/", "ws://g/", "ws://h/"].map(|name| (name.to_owned(), SilenceTimeout::OwnRate));
        let feeds = Feeds::new(feeds, ClockMode::Wall, turns);
        assert_eq!([0, 1, 2].map(|place| feeds.name(place)), ["ws://h/", "ws://g/", "ws://h/#3"]);
        assert_eq!([0, 1, 2].map(|place| feeds.place_of(feeds.name(place))), [0, 1, 2].map(Some));
    }
}
