//! The health of one feed, computed from its events and their times.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::rate::RateEstimator;

/// The age of the newest quotes on arrival above which a feed is lagging: 5 s. Synchronized clocks differ by less.
pub const MAX_LAG: Duration = Duration::from_secs(5);

/// The state of a feed.
///
/// ```
/// assert_eq!(candle_engine::feeds::health::State::Silent.name(), "silent");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The feed is not in use, because another feed is active.
    Standby,
    /// A connection is being opened.
    Connecting,
    /// Connected, but no quote has arrived yet.
    Waiting,
    /// Quotes arrive.
    Live,
    /// Quotes arrive late: even the newest quotes are older than [`MAX_LAG`].
    Lagging,
    /// Quotes arrive at less than a tenth of the usual rate.
    Slow,
    /// Connected, but no quote has arrived within the silence timeout.
    Silent,
    /// The connection was lost or could not be opened; a reconnect follows.
    Down,
    /// The feed has ended, for example at the end of a file.
    Ended,
}

impl State {
    /// All states, in declaration order.
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

    /// Returns the name in lower case.
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

    /// Returns true if the feed delivers all of its quotes. A lagging feed is healthy: late quotes are still added to
    /// their candles.
    pub const fn is_healthy(self) -> bool {
        matches!(self, Self::Live | Self::Lagging)
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The time without quotes after which a feed is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceTimeout {
    /// Computed from the feed's recent rate: see [`RateEstimator::silence_timeout`].
    FromRate,
    /// A fixed time.
    Fixed(Duration),
    /// No timeout: files and standard input may pause for any time.
    Never,
}

/// The end of a connection, or the failure to open one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The reason in one word.
    pub reason: &'static str,
    /// The time before the loss in which nothing was received, not even a pong. Quotes of this time are missing.
    pub quiet_for: Duration,
}

/// Creates a loss that was noticed immediately.
impl From<&'static str> for Loss {
    fn from(reason: &'static str) -> Self {
        Self { reason, quiet_for: Duration::ZERO }
    }
}

/// The health of one feed. All times are counted from the server's start.
///
/// ```
/// use std::time::Duration;
///
/// use candle_engine::feeds::health::{Health, SilenceTimeout, State};
///
/// let mut health = Health::new(SilenceTimeout::Fixed(Duration::from_secs(2)));
/// health.opened(Duration::from_secs(1));
/// health.quoted(Duration::from_secs(2), 1, None);
/// assert_eq!(health.state(Duration::from_secs(3)), State::Live);
/// assert_eq!(health.state(Duration::from_secs(4)), State::Silent);
/// ```
#[derive(Clone, Debug)]
pub struct Health {
    silence_timeout: SilenceTimeout,
    link: Link,
    /// The time of the last accepted quote.
    quoted: Option<Duration>,
    rate: RateEstimator,
    lag: Lag,
    /// The number of consecutive connections that delivered no quote.
    quoteless_connections: u32,
    connects: u64,
    losses: BTreeMap<&'static str, u64>,
}

/// The state of the connection, regardless of the quotes that arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Link {
    Standby,
    Connecting,
    Open { since: Duration },
    Down { since: Duration, reason: &'static str },
    Ended { since: Duration },
}

impl Health {
    /// Creates the health of a feed on standby.
    pub fn new(silence_timeout: SilenceTimeout) -> Self {
        Self {
            silence_timeout,
            link: Link::Standby,
            quoted: None,
            rate: RateEstimator::default(),
            lag: Lag::default(),
            quoteless_connections: 0,
            connects: 0,
            losses: BTreeMap::new(),
        }
    }

    /// Records that a connection is being opened.
    pub fn connecting(&mut self) {
        self.link = Link::Connecting;
    }

    /// Records that a connection was opened.
    pub fn opened(&mut self, now: Duration) {
        self.link = Link::Open { since: now };
        self.connects += 1;
        self.lag = Lag::default();
        self.rate.resume(now);
    }

    /// Records `quotes` accepted quotes, at least one. `lag` is the age of the newest of these quotes on arrival, if
    /// known.
    pub fn quoted(&mut self, now: Duration, quotes: u64, lag: Option<Duration>) {
        self.quoted = Some(now);
        self.quoteless_connections = 0;
        self.rate.arrived(now, quotes);
        if let Some(lag) = lag {
            self.lag.measured(now, lag);
        }
    }

    /// Records that the connection was lost or could not be opened.
    pub fn lost(&mut self, now: Duration, loss: impl Into<Loss>) {
        let Loss { reason, quiet_for } = loss.into();
        *self.losses.entry(reason).or_default() += 1;
        let since = self.quoteless_since().unwrap_or(now.saturating_sub(quiet_for));
        self.count_if_quoteless();
        self.link = Link::Down { since, reason };
    }

    /// Records that the connection was closed because the feed is not used any more.
    pub fn put_on_standby(&mut self) {
        self.count_if_quoteless();
        self.link = Link::Standby;
    }

    /// Records that the feed has ended.
    pub fn ended(&mut self, now: Duration) {
        self.link = Link::Ended { since: now };
    }

    fn count_if_quoteless(&mut self) {
        let quoteless = u32::from(self.quoteless_since().is_some());
        self.quoteless_connections = self.quoteless_connections.saturating_add(quoteless);
    }

    /// Returns the opening time of a connection that has delivered no quote. Such a connection may never have worked.
    fn quoteless_since(&self) -> Option<Duration> {
        match self.link {
            Link::Open { since } if self.quoted.is_none_or(|quoted| quoted < since) => Some(since),
            _ => None,
        }
    }

    /// Returns the state at `now`.
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
        if self.silence_timeout().is_some_and(|timeout| quiet_for >= timeout) {
            State::Silent
        } else if quoted.is_none() {
            State::Waiting
        } else if self.silence_timeout != SilenceTimeout::Never && self.rate.is_slow() {
            State::Slow
        } else if self.lag.lag().is_some_and(|lag| lag > MAX_LAG) {
            State::Lagging
        } else {
            State::Live
        }
    }

    /// Returns the time since which the feed is in its unhealthy [`state`](Self::state), or `now` if the feed is
    /// healthy.
    pub fn unhealthy_since(&self, now: Duration) -> Duration {
        match self.link {
            Link::Down { since, .. } | Link::Ended { since } => since,
            Link::Standby | Link::Connecting => now,
            Link::Open { since } => match self.state(now) {
                State::Silent => self.quoted.map_or(since, |quoted| quoted.max(since)),
                State::Slow => self.rate.slow_since().unwrap_or(now).max(since),
                _ => now,
            },
        }
    }

    /// Returns the reason of the current state in one word.
    pub fn reason(&self, now: Duration) -> &'static str {
        match self.link {
            Link::Down { reason, .. } => reason,
            _ => self.state(now).name(),
        }
    }

    /// Returns the silence timeout; `None` if there is none.
    pub fn silence_timeout(&self) -> Option<Duration> {
        match self.silence_timeout {
            SilenceTimeout::Never => None,
            SilenceTimeout::Fixed(timeout) => Some(timeout),
            SilenceTimeout::FromRate => Some(self.rate.silence_timeout()),
        }
    }

    /// Returns the time since the last accepted quote; `None` if there was no quote.
    pub fn quote_age(&self, now: Duration) -> Option<Duration> {
        self.quoted.map(|quoted| now.saturating_sub(quoted))
    }

    /// Returns the age that the newest recent quotes had on arrival; `None` if quotes carry no time.
    pub fn lag(&self) -> Option<Duration> {
        self.lag.lag()
    }

    /// Returns the mean number of accepted quotes per second, over the minutes before the last quote.
    pub fn quotes_per_second(&self) -> f64 {
        self.rate.per_second()
    }

    /// Returns the number of consecutive connections that delivered no quote.
    pub const fn quoteless_connections(&self) -> u32 {
        self.quoteless_connections
    }

    /// Returns the number of connections that were opened.
    pub const fn connects(&self) -> u64 {
        self.connects
    }

    /// Returns the number of losses by reason.
    pub const fn losses(&self) -> &BTreeMap<&'static str, u64> {
        &self.losses
    }
}

/// The minimum lag of the last one to two seconds. The minimum ignores single late quotes.
#[derive(Clone, Debug, Default)]
struct Lag {
    second: u64,
    least: Option<Duration>,
    /// The minimum lag of the previous second in which quotes arrived.
    previous: Option<Duration>,
}

impl Lag {
    fn measured(&mut self, now: Duration, lag: Duration) {
        if now.as_secs() != self.second {
            self.second = now.as_secs();
            self.previous = self.least.take();
        }
        self.least = Some(self.least.map_or(lag, |least| least.min(lag)));
    }

    fn lag(&self) -> Option<Duration> {
        self.least.into_iter().chain(self.previous).min()
    }
}

#[cfg(test)]
mod tests;
