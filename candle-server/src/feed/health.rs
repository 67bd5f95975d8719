//! How one feed is doing, from what came of it and when.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rate::RateEstimator;

/// A feed whose freshest quotes are older than this on arrival flows late. Clocks of well-kept machines differ by less.
pub const LATE: Duration = Duration::from_secs(5);

/// How a feed is doing.
///
/// ```
/// assert_eq!(candle_server::feed::health::State::Silent.name(), "silent");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not in use: another feed is.
    Standby,
    /// A connection is being made.
    Connecting,
    /// Connected, and no quote so far.
    Waiting,
    /// Quotes come.
    Live,
    /// Quotes come, but late: their own time is more than [`LATE`] ago.
    Lagging,
    /// Quotes come, but at less than a tenth of the usual rate.
    Slow,
    /// Connected, but no quote has come for longer than is usual.
    Silent,
    /// The connection is lost, or did not come to be; there will be another try.
    Down,
    /// It came to its end, as files do.
    Ended,
}

impl State {
    /// Every state, in declaration order.
    pub const ALL: [Self; 9] = [
        Self::Standby,
        Self::Connecting,
        Self::Waiting,
        Self::Live,
        Self::Lagging,
        Self::Slow,
        Self::Silent,
        Self::Down,
        Self::Ended,
    ];

    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::Connecting => "connecting",
            Self::Waiting => "waiting",
            Self::Live => "live",
            Self::Lagging => "lagging",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Down => "down",
            Self::Ended => "ended",
        }
    }

    /// Whether it brings what it should. A late quote still goes to its own minute, so a feed that lags does.
    pub const fn is_healthy(self) -> bool {
        matches!(self, Self::Live | Self::Lagging)
    }
}

/// When a feed without quotes counts as silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceTimeout {
    /// After what its own recent rate makes unusual: see [`RateEstimator::silence_timeout`].
    OwnRate,
    /// After this long.
    Fixed(Duration),
    /// Never: it is played at will, as files and standard input are.
    Never,
}

/// Why a connection is gone, or did not come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// In one word.
    pub reason: &'static str,
    /// For how long nothing had come of it by then, not even a pong: as far as is known it brought nothing since.
    pub quiet_for: Duration,
}

/// A loss that was noticed at once.
impl From<&'static str> for Loss {
    fn from(reason: &'static str) -> Self {
        Self { reason, quiet_for: Duration::ZERO }
    }
}

/// What is known of one feed. Times are those since the server's start.
#[derive(Clone, Debug)]
pub struct Health {
    stale_after: SilenceTimeout,
    link: Link,
    /// When its last quote was accepted.
    quoted: Option<Duration>,
    flow: RateEstimator,
    lag: Lag,
    /// Connections in a row that brought no quote.
    barren: u32,
    connects: u64,
    losses: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Link {
    Standby,
    Connecting,
    Open { since: Duration },
    Down { since: Duration, reason: &'static str },
    Ended { since: Duration },
}

impl Health {
    /// A feed that is not in use yet.
    pub fn new(stale_after: SilenceTimeout) -> Self {
        Self {
            stale_after,
            link: Link::Standby,
            quoted: None,
            flow: RateEstimator::default(),
            lag: Lag::default(),
            barren: 0,
            connects: 0,
            losses: BTreeMap::new(),
        }
    }

    /// A connection is being made.
    pub fn connecting(&mut self) {
        self.link = Link::Connecting;
    }

    /// A connection is there.
    pub fn opened(&mut self, now: Duration) {
        self.link = Link::Open { since: now };
        self.connects += 1;
        self.lag = Lag::default();
        self.flow.resume(now);
    }

    /// `quotes` quotes were accepted, above none; the freshest of those that tell their time was `lag` old.
    pub fn quoted(&mut self, now: Duration, quotes: u64, lag: Option<Duration>) {
        self.quoted = Some(now);
        self.barren = 0;
        self.flow.arrived(now, quotes);
        if let Some(lag) = lag {
            self.lag.measured(now, lag);
        }
    }

    /// The connection is lost, or did not come to be.
    pub fn lost(&mut self, now: Duration, loss: impl Into<Loss>) {
        let Loss { reason, quiet_for } = loss.into();
        *self.losses.entry(reason).or_default() += 1;
        let since = self.barren_since().unwrap_or(now.saturating_sub(quiet_for));
        self.note_if_barren();
        self.link = Link::Down { since, reason };
    }

    /// It is not used any more, and was not lost.
    pub fn stood_by(&mut self) {
        self.note_if_barren();
        self.link = Link::Standby;
    }

    /// It has come to its end.
    pub fn ended(&mut self, now: Duration) {
        self.link = Link::Ended { since: now };
    }

    fn note_if_barren(&mut self) {
        self.barren = self.barren.saturating_add(u32::from(self.barren_since().is_some()));
    }

    /// Since when there is a connection that has brought no quote: as far as is known it never was any good.
    fn barren_since(&self) -> Option<Duration> {
        match self.link {
            Link::Open { since } if self.quoted.is_none_or(|quoted| quoted < since) => Some(since),
            _ => None,
        }
    }

    /// How it is doing at `now`.
    pub fn state(&self, now: Duration) -> State {
        let since = match self.link {
            Link::Standby => return State::Standby,
            Link::Connecting => return State::Connecting,
            Link::Down { .. } => return State::Down,
            Link::Ended { .. } => return State::Ended,
            Link::Open { since } => since,
        };
        let quoted = self.quoted.filter(|quoted| *quoted >= since);
        let quiet_for = now.saturating_sub(quoted.unwrap_or(since));
        if self.silence_timeout().is_some_and(|silence_timeout| quiet_for >= silence_timeout) {
            State::Silent
        } else if quoted.is_none() {
            State::Waiting
        } else if self.stale_after != SilenceTimeout::Never && self.flow.is_slow() {
            State::Slow
        } else if self.lag.lag().is_some_and(|lag| lag > LATE) {
            State::Lagging
        } else {
            State::Live
        }
    }

    /// Since when it is as [`state`](Self::state) says where that is not healthy; never after `now`.
    pub fn unwell_since(&self, now: Duration) -> Duration {
        match self.link {
            Link::Down { since, .. } | Link::Ended { since } => since,
            Link::Standby | Link::Connecting => now,
            Link::Open { since } => match self.state(now) {
                State::Silent => self.quoted.map_or(since, |quoted| quoted.max(since)),
                State::Slow => self.flow.slow_since().unwrap_or(now).max(since),
                _ => now,
            },
        }
    }

    /// What is wrong with it at `now`, in a word.
    pub fn complaint(&self, now: Duration) -> &'static str {
        match self.link {
            Link::Down { reason, .. } => reason,
            _ => self.state(now).name(),
        }
    }

    /// For how long it may bring no quote; `None` where that is no limit.
    pub fn silence_timeout(&self) -> Option<Duration> {
        match self.stale_after {
            SilenceTimeout::Never => None,
            SilenceTimeout::Fixed(silence_timeout) => Some(silence_timeout),
            SilenceTimeout::OwnRate => Some(self.flow.silence_timeout()),
        }
    }

    /// How old its last accepted quote is.
    pub fn quote_age(&self, now: Duration) -> Option<Duration> {
        self.quoted.map(|quoted| now.saturating_sub(quoted))
    }

    /// How old the freshest quotes lately were on arrival, where they tell their time.
    pub fn lag(&self) -> Option<Duration> {
        self.lag.lag()
    }

    /// Accepted quotes a second, over the last minutes up to the last quote.
    pub fn quotes_per_second(&self) -> f64 {
        self.flow.per_second()
    }

    /// How many connections in a row brought no quote.
    pub const fn barren(&self) -> u32 {
        self.barren
    }

    /// How many connections came to be.
    pub const fn connects(&self) -> u64 {
        self.connects
    }

    /// How often a connection was lost or did not come to be, by reason.
    pub const fn losses(&self) -> &BTreeMap<&'static str, u64> {
        &self.losses
    }
}

/// The least lag of the last one to two seconds: one late quote among fresh ones is no late feed.
#[derive(Clone, Debug, Default)]
struct Lag {
    second: u64,
    least: Option<Duration>,
    before: Option<Duration>,
}

impl Lag {
    fn measured(&mut self, now: Duration, lag: Duration) {
        if now.as_secs() != self.second {
            self.second = now.as_secs();
            self.before = self.least.take();
        }
        self.least = Some(self.least.map_or(lag, |least| least.min(lag)));
    }

    fn lag(&self) -> Option<Duration> {
        self.least.into_iter().chain(self.before).min()
    }
}

#[cfg(test)]
mod tests;
