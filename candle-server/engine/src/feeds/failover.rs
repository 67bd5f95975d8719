//! The failover state machine: selects the active feed, records gaps, and decides when to switch feeds.
//!
//! A gap is a period in which the active feed did not deliver quotes. The state machine has no clock, lock or socket:
//! every event carries its time.

use std::collections::VecDeque;
use std::time::Duration;

use candle_core::Timestamp;

use super::health::{Health, Loss, SilenceTimeout, State};
use super::rate::MAX_SILENCE_TIMEOUT;
use crate::clock::{ClockMode, Reading};

/// The maximum number of stored gaps: 100. If a feed disconnects more often, only its latest gaps are stored.
pub const MAX_GAPS: usize = 100;
/// The time after its end for which a gap is reported, in microseconds: 30 min. The candles of the gap are served as
/// long.
const GAP_MICROS: i64 = 30 * 60_000_000;
/// The limit up to which the time before a failover doubles while no feed is healthy: 30 s.
const MAX_FAIL_OVER_AFTER: Duration = Duration::from_secs(30);
/// The silence after which a single feed is reconnected: 20 s.
///
/// A peer that answers pings but sends no quotes may have failed. The time doubles after each connection without a
/// quote, because a quiet market looks the same as a failure.
pub const RECONNECT_AFTER: Duration = Duration::from_secs(20);
/// The jump of the wall clock above which quotes count as missed, in microseconds: 2 s.
///
/// A smaller jump is shorter than the shortest silence timeout that is computed from a rate.
const LEAP_MICROS: i64 = 2_000_000;

/// The times after which the server fails over to the next feed, and fails back to the first feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailoverConfig {
    /// The time for which the active feed may be unhealthy before the failover.
    pub fail_over_after: Duration,
    /// The time for which the first feed must be healthy without interruption before the fail-back.
    pub fail_back_after: Duration,
}

/// A change of delivery, from which coverage is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "coverage is computed from this value"]
pub enum Delivery {
    /// The active feed has delivered every quote since this time.
    Started(Timestamp),
    /// The active feed has not delivered since this time.
    Stopped(Timestamp),
}

/// An action to take on the active feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Switch to the feed with this index.
    FailOver(usize),
    /// Reconnect to the active feed.
    Reconnect,
}

/// A period without delivery, on the candles' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first microsecond of the gap.
    pub from: Timestamp,
    /// The first microsecond after the gap; `None` while the gap lasts.
    pub to: Option<Timestamp>,
    /// The cause in one word: the reason of a [`Loss`], or the name of a [`State`].
    pub reason: &'static str,
}

/// The feeds of a server in order of preference. Exactly one feed is active.
///
/// ```
/// use std::time::Duration;
///
/// use candle_core::Timestamp;
/// use candle_engine::clock::{ClockMode, Reading};
/// use candle_engine::feeds::failover::{Action, Failover, FailoverConfig};
/// use candle_engine::feeds::health::SilenceTimeout;
///
/// let config =
///     FailoverConfig { fail_over_after: Duration::from_secs(2), fail_back_after: Duration::from_secs(10) };
/// let mut failover = Failover::new([SilenceTimeout::FromRate; 2], ClockMode::Wall, config);
/// let at = |second: u64| Reading { elapsed: Duration::from_secs(second), now: Timestamp::EPOCH };
/// let _ = failover.lost(0, "closed", at(0));
/// assert_eq!(failover.action(at(2).elapsed), Some(Action::FailOver(1)));
/// ```
#[derive(Clone, Debug)]
pub struct Failover {
    feeds: Box<[Health]>,
    /// The index of the active feed.
    active: usize,
    mode: ClockMode,
    config: FailoverConfig,
    is_delivering: bool,
    /// The time since which the active feed is known to be unhealthy.
    unhealthy_since: Option<Duration>,
    /// The number of switches since the active feed was last healthy.
    futile_switches: u32,
    gaps: VecDeque<Gap>,
    /// The times of both clocks at the last refresh.
    refreshed: Option<Reading>,
}

impl Failover {
    /// Creates the state for unconnected feeds, in order of preference.
    ///
    /// # Panics
    /// Panics if there is no feed.
    pub fn new(feeds: impl IntoIterator<Item = SilenceTimeout>, mode: ClockMode, config: FailoverConfig) -> Self {
        let feeds: Box<[Health]> = feeds.into_iter().map(Health::new).collect();
        assert!(!feeds.is_empty(), "there must be at least one feed");
        Self {
            feeds,
            active: 0,
            mode,
            config,
            is_delivering: false,
            unhealthy_since: None,
            futile_switches: 0,
            gaps: VecDeque::new(),
            refreshed: None,
        }
    }

    /// Returns the feeds in order of preference.
    pub const fn feeds(&self) -> &[Health] {
        &self.feeds
    }

    /// Returns the index of the active feed.
    pub const fn active(&self) -> usize {
        self.active
    }

    /// Returns the state of the active feed.
    pub fn state(&self, elapsed: Duration) -> State {
        self.feeds[self.active].state(elapsed)
    }

    /// Returns the configuration.
    pub const fn config(&self) -> FailoverConfig {
        self.config
    }

    /// Returns the gaps of the half hour before `now`, oldest first. The time before the first delivery is not a gap.
    pub fn gaps(&self, now: Timestamp) -> impl Iterator<Item = &Gap> {
        let oldest = now.saturating_add(-GAP_MICROS);
        self.gaps.iter().filter(move |gap| gap.to.is_none_or(|to| to > oldest))
    }

    /// Records that a connection to the feed is being opened.
    pub fn connecting(&mut self, feed: usize, at: Reading) -> Option<Delivery> {
        self.feeds[feed].connecting();
        self.refresh(at)
    }

    /// Records that the feed is connected.
    pub fn opened(&mut self, feed: usize, at: Reading) -> Option<Delivery> {
        self.feeds[feed].opened(at.elapsed);
        self.refresh(at)
    }

    /// Records accepted quotes of the feed; see [`Health::quoted`].
    pub fn quoted(&mut self, feed: usize, quotes: u64, lag: Option<Duration>, at: Reading) -> Option<Delivery> {
        if quotes == 0 {
            return None;
        }
        self.feeds[feed].quoted(at.elapsed, quotes, lag);
        self.refresh(at)
    }

    /// Records that the feed's connection was lost or could not be opened.
    pub fn lost(&mut self, feed: usize, loss: impl Into<Loss>, at: Reading) -> Option<Delivery> {
        self.feeds[feed].lost(at.elapsed, loss);
        self.refresh(at)
    }

    /// Records that the feed has ended.
    pub fn ended(&mut self, feed: usize, at: Reading) -> Option<Delivery> {
        self.feeds[feed].ended(at.elapsed);
        self.refresh(at)
    }

    /// Makes `feed` the active feed, and puts the previous active feed on standby.
    pub fn switched_to(&mut self, feed: usize, at: Reading) -> Option<Delivery> {
        self.feeds[self.active].put_on_standby();
        self.active = feed;
        self.unhealthy_since = None;
        self.futile_switches = self.futile_switches.saturating_add(1);
        self.refresh(at)
    }

    /// Removes all gaps and marks the active feed as not delivering, because all candles were cleared.
    pub fn clear_gaps(&mut self) {
        self.gaps.clear();
        self.is_delivering = false;
    }

    /// Updates the state to the time `at`. A silence or a jump of the wall clock changes delivery without another
    /// event.
    pub fn refresh(&mut self, at: Reading) -> Option<Delivery> {
        let previous = self.refreshed.replace(at);
        if let Some(previous) = previous.filter(|previous| self.is_delivering && self.has_leapt(previous, at)) {
            return Some(self.stop(previous.now, "clock"));
        }
        let health = &self.feeds[self.active];
        let state = health.state(at.elapsed);
        if state.is_healthy() {
            self.unhealthy_since = None;
            self.futile_switches = 0;
        } else if state != State::Waiting {
            self.unhealthy_since.get_or_insert(at.elapsed);
        }
        match (self.is_delivering, self.delivers(state)) {
            (false, true) => Some(self.start(at.now)),
            (true, false) => {
                let since = health.unhealthy_since(at.elapsed);
                let reason = health.reason(at.elapsed);
                Some(self.stop(self.candle_time(since, at), reason))
            }
            _ => None,
        }
    }

    /// Returns true if an active feed in this state counts as delivering, so that there is no gap.
    ///
    /// In wall mode, a new connection counts as delivering. If no quote arrives within the silence timeout, the gap
    /// starts at the connect. On the feed's own clock, no time passes without a quote, so a silence is not a gap.
    const fn delivers(&self, state: State) -> bool {
        match (state, self.mode) {
            (State::Live | State::Lagging, _) | (State::Waiting, ClockMode::Wall) => true,
            (State::Waiting | State::Silent | State::Slow, ClockMode::Feed) => self.is_delivering,
            _ => false,
        }
    }

    /// Returns true if the wall clock jumped ahead since `previous`, for example after the machine was suspended.
    ///
    /// Quotes of the skipped time were missed. The next refresh starts delivery again.
    fn has_leapt(&self, previous: &Reading, at: Reading) -> bool {
        let monotonic = at.elapsed.saturating_sub(previous.elapsed).as_micros();
        let monotonic = i64::try_from(monotonic).unwrap_or(i64::MAX);
        let wall = at.now.as_micros().saturating_sub(previous.now.as_micros());
        self.mode == ClockMode::Wall && wall.saturating_sub(monotonic) > LEAP_MICROS
    }

    /// Converts a time since the start into a time on the candles' clock. In feed mode, the result is always the
    /// current time.
    fn candle_time(&self, since: Duration, at: Reading) -> Timestamp {
        match self.mode {
            ClockMode::Feed => at.now,
            ClockMode::Wall => {
                let ago = at.elapsed.saturating_sub(since).as_micros();
                at.now.saturating_add(i64::try_from(ago).map_or(i64::MIN, |micros| -micros))
            }
        }
    }

    fn start(&mut self, at: Timestamp) -> Delivery {
        self.is_delivering = true;
        if let Some(gap) = self.gaps.back_mut() {
            gap.to = Some(at.max(gap.from));
        }
        Delivery::Started(at)
    }

    fn stop(&mut self, at: Timestamp, reason: &'static str) -> Delivery {
        self.is_delivering = false;
        match self.gaps.back_mut() {
            // The feed delivered nothing after the end of the last gap, so the gap continues.
            Some(gap) if gap.to.is_some_and(|to| to >= at) => gap.to = None,
            _ => {
                if self.gaps.len() == MAX_GAPS {
                    self.gaps.pop_front();
                }
                self.gaps.push_back(Gap { from: at, to: None, reason });
            }
        }
        Delivery::Stopped(at)
    }

    /// Returns the action that is due at `elapsed`, if any.
    pub fn action(&self, elapsed: Duration) -> Option<Action> {
        let state = self.state(elapsed);
        let unhealthy_for = elapsed.saturating_sub(self.unhealthy_since?);
        if state == State::Waiting || state == State::Ended {
            return None;
        }
        if self.feeds.len() > 1 {
            let next = (self.active + 1) % self.feeds.len();
            return (unhealthy_for >= self.fail_over_after()).then_some(Action::FailOver(next));
        }
        let health = &self.feeds[self.active];
        let reconnect_after = doubled(RECONNECT_AFTER, health.quoteless_connections()).min(MAX_SILENCE_TIMEOUT);
        let silent_for = elapsed.saturating_sub(health.unhealthy_since(elapsed));
        (state == State::Silent && silent_for >= reconnect_after).then_some(Action::Reconnect)
    }

    /// Returns the time for which the active feed may be unhealthy before the failover.
    ///
    /// The time doubles each time that all feeds were tried and none was healthy, up to [`MAX_FAIL_OVER_AFTER`]. So few
    /// connections are tried while all feeds are down.
    fn fail_over_after(&self) -> Duration {
        let rounds = self.futile_switches / u32::try_from(self.feeds.len()).unwrap_or(u32::MAX);
        doubled(self.config.fail_over_after, rounds).min(MAX_FAIL_OVER_AFTER.max(self.config.fail_over_after))
    }
}

/// Returns `time`, doubled `times` times.
fn doubled(time: Duration, times: u32) -> Duration {
    time.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
