//! Which feed is active, whether the engine is supplied, and when to turn to another feed.
//!
//! A state machine without a clock, a lock or a socket: it is told what happens and when, and tells what follows.

use std::collections::VecDeque;
use std::time::Duration;

use candle_core::Timestamp;

use super::health::{Health, Loss, SilenceTimeout, State};
use super::rate::MAX_SILENCE_TIMEOUT;
use crate::clock::{ClockMode, Reading};

/// How many gaps are remembered: the worst half hour of a feed that comes and goes is told by its latest ones.
pub const MAX_GAPS: usize = 100;
/// How long a gap is remembered, in microseconds: as long as the candles that it concerns.
const GAP_MICROS: i64 = 30 * 60_000_000;
/// The longest that any feed is tried before the next one's turn comes.
const MAX_TURN: Duration = Duration::from_secs(30);
/// A feed that has been silent for this long, with no other to turn to, is connected anew: what answers pings and
/// brings no quotes may well be half dead. Twice as long for each connection in vain before it: it may be night.
pub const STALLED: Duration = Duration::from_secs(20);

/// A wall clock that leaps ahead by more than this skipped time in which quotes came to nobody; one that is set right by
/// less skipped none that a feed's silence_timeout would have noticed.
const LEAP_MICROS: i64 = 2_000_000;

/// When to turn to the next feed, and when to come back to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailoverConfig {
    /// How long the active feed may be known to be unwell.
    pub fail_over_after: Duration,
    /// How long the first feed must have been well without a break.
    pub fail_back_after: Duration,
}

/// A change of supply: what coverage is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "coverage is made of these"]
pub enum Supply {
    /// The active feed brings what it should, since then.
    Up(Timestamp),
    /// It has not done so since then.
    Down(Timestamp),
}

/// What should be done about the active feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Turn to the feed at this place.
    FailOver(usize),
    /// Connect to it anew.
    Reconnect,
}

/// A time without supply, on the candles' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Its first microsecond.
    pub from: Timestamp,
    /// The first one after it; `None` while it lasts.
    pub to: Option<Timestamp>,
    /// Why, in a word: a reason of a lost connection, or a [`State`].
    pub reason: &'static str,
}

/// All feeds of a server, watched.
#[derive(Clone, Debug)]
pub struct Failover {
    feeds: Box<[Health]>,
    active: usize,
    mode: ClockMode,
    turns: FailoverConfig,
    is_supplied: bool,
    /// Since when the active feed is known to be unwell.
    unwell: Option<Duration>,
    /// FailoverConfig taken since a feed was last well.
    turns_in_vain: u32,
    gaps: VecDeque<Gap>,
    /// When it was looked at last.
    looked: Option<Reading>,
}

impl Failover {
    /// A watch over feeds in the order of preference, none of them connected yet; candles run on `mode`.
    ///
    /// # Panics
    /// Where there is no feed.
    pub fn new(feeds: impl IntoIterator<Item = SilenceTimeout>, mode: ClockMode, turns: FailoverConfig) -> Self {
        let feeds: Box<[Health]> = feeds.into_iter().map(Health::new).collect();
        assert!(!feeds.is_empty(), "there is nothing to watch");
        Self {
            feeds,
            active: 0,
            mode,
            turns,
            is_supplied: false,
            unwell: None,
            turns_in_vain: 0,
            gaps: VecDeque::new(),
            looked: None,
        }
    }

    /// The feeds, in the order of preference.
    pub const fn feeds(&self) -> &[Health] {
        &self.feeds
    }

    /// The place of the active feed.
    pub const fn active(&self) -> usize {
        self.active
    }

    /// How the active feed is doing.
    pub fn state(&self, elapsed: Duration) -> State {
        self.feeds[self.active].state(elapsed)
    }

    /// When feeds take turns.
    pub const fn turns(&self) -> FailoverConfig {
        self.turns
    }

    /// The times without supply in the last half hour before `now`, oldest first. The time before the first supply ever
    /// is none of them.
    pub fn gaps(&self, now: Timestamp) -> impl Iterator<Item = &Gap> {
        let oldest = now.saturating_add(-GAP_MICROS);
        self.gaps.iter().filter(move |gap| gap.to.is_none_or(|to| to > oldest))
    }

    /// The feed at `place` is being connected to.
    pub fn connecting(&mut self, place: usize, at: Reading) -> Option<Supply> {
        self.feeds[place].connecting();
        self.settle(at)
    }

    /// The feed at `place` is connected.
    pub fn opened(&mut self, place: usize, at: Reading) -> Option<Supply> {
        self.feeds[place].opened(at.elapsed);
        self.settle(at)
    }

    /// The feed at `place` brought quotes that were accepted; see [`Health::quoted`].
    pub fn quoted(&mut self, place: usize, quotes: u64, lag: Option<Duration>, at: Reading) -> Option<Supply> {
        self.feeds[place].quoted(at.elapsed, quotes, lag);
        self.settle(at)
    }

    /// The connection to the feed at `place` is lost, or did not come to be.
    pub fn lost(&mut self, place: usize, loss: impl Into<Loss>, at: Reading) -> Option<Supply> {
        self.feeds[place].lost(at.elapsed, loss);
        self.settle(at)
    }

    /// The feed at `place` has come to its end.
    pub fn ended(&mut self, place: usize, at: Reading) -> Option<Supply> {
        self.feeds[place].ended(at.elapsed);
        self.settle(at)
    }

    /// The feed at `place` is the active one from now on. The one before it stands by.
    pub fn turned_to(&mut self, place: usize, at: Reading) -> Option<Supply> {
        self.feeds[self.active].stood_by();
        self.active = place;
        self.unwell = None;
        self.turns_in_vain = self.turns_in_vain.saturating_add(1);
        self.settle(at)
    }

    /// A feed's own clock was set back, and candles start afresh.
    pub fn started_over(&mut self) {
        self.gaps.clear();
        self.is_supplied = false;
    }

    /// Looks whether time alone has changed anything.
    pub fn settle(&mut self, at: Reading) -> Option<Supply> {
        if let Some(before) = self.looked.replace(at).filter(|before| self.is_supplied && self.has_leapt(before, at)) {
            return Some(self.down(before.now, "clock"));
        }
        let health = &self.feeds[self.active];
        let state = health.state(at.elapsed);
        if state.is_healthy() {
            self.unwell = None;
            self.turns_in_vain = 0;
        } else if state != State::Waiting {
            self.unwell.get_or_insert(at.elapsed);
        }
        match (self.is_supplied, self.supplies(state)) {
            (false, true) => Some(self.up(at.now)),
            (true, false) => {
                let since = health.unwell_since(at.elapsed);
                let reason = health.complaint(at.elapsed);
                Some(self.down(self.on_candles_clock(since, at), reason))
            }
            _ => None,
        }
    }

    /// Whether a feed in this state leaves no gap in the candles.
    ///
    /// A new connection is believed to bring all that happens until it turns out to be silent: then it never was up.
    /// On a feed's own clock no time passes without a quote, so that there is no such thing as silence.
    const fn supplies(&self, state: State) -> bool {
        match (state, self.mode) {
            (State::Live | State::Lagging, _) | (State::Waiting, ClockMode::Wall) => true,
            (State::Waiting | State::Silent | State::Slow, ClockMode::Feed) => self.is_supplied,
            _ => false,
        }
    }

    /// Whether the wall clock leapt ahead since `before`, as after a machine was suspended: what happened in between came
    /// to nobody. The next look finds the engine supplied again.
    fn has_leapt(&self, before: &Reading, at: Reading) -> bool {
        let passed = i64::try_from(at.elapsed.saturating_sub(before.elapsed).as_micros()).unwrap_or(i64::MAX);
        let shown = at.now.as_micros().saturating_sub(before.now.as_micros());
        self.mode == ClockMode::Wall && shown.saturating_sub(passed) > LEAP_MICROS
    }

    fn on_candles_clock(&self, since: Duration, at: Reading) -> Timestamp {
        match self.mode {
            ClockMode::Feed => at.now,
            ClockMode::Wall => {
                let ago = at.elapsed.saturating_sub(since).as_micros();
                at.now.saturating_add(i64::try_from(ago).map_or(i64::MIN, |micros| -micros))
            }
        }
    }

    fn up(&mut self, at: Timestamp) -> Supply {
        self.is_supplied = true;
        if let Some(gap) = self.gaps.back_mut() {
            gap.to = Some(at.max(gap.from));
        }
        Supply::Up(at)
    }

    fn down(&mut self, at: Timestamp, reason: &'static str) -> Supply {
        self.is_supplied = false;
        match self.gaps.back_mut() {
            // What seemed to end the last gap never was up: the gap goes on.
            Some(gap) if gap.to.is_some_and(|to| to >= at) => gap.to = None,
            _ => {
                if self.gaps.len() == MAX_GAPS {
                    self.gaps.pop_front();
                }
                self.gaps.push_back(Gap { from: at, to: None, reason });
            }
        }
        Supply::Down(at)
    }

    /// What should be done about the active feed at `elapsed`, if anything.
    pub fn verdict(&self, elapsed: Duration) -> Option<Action> {
        let state = self.state(elapsed);
        let unwell_for = elapsed.saturating_sub(self.unwell?);
        if state == State::Waiting || state == State::Ended {
            return None;
        }
        if self.feeds.len() > 1 {
            let next = (self.active + 1) % self.feeds.len();
            return (unwell_for >= self.turn()).then_some(Action::FailOver(next));
        }
        let stalled = doubled(STALLED, self.feeds[self.active].barren()).min(MAX_SILENCE_TIMEOUT);
        let silent_for = elapsed.saturating_sub(self.feeds[self.active].unwell_since(elapsed));
        (state == State::Silent && silent_for >= stalled).then_some(Action::Reconnect)
    }

    /// How long the active feed may be unwell: twice as long for each round in which no feed was well, so that the feeds
    /// of a bad night are not hammered.
    fn turn(&self) -> Duration {
        let rounds = self.turns_in_vain / u32::try_from(self.feeds.len()).unwrap_or(u32::MAX);
        doubled(self.turns.fail_over_after, rounds).min(MAX_TURN.max(self.turns.fail_over_after))
    }
}

/// `time`, doubled so many times.
fn doubled(time: Duration, times: u32) -> Duration {
    time.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
