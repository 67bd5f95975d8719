//! The candles' clock: `now` for candles, and the time since the start for everything else.
//!
//! The machine's clocks are read through [`TimeSource`] only, so that simulations drive them. Time-outs and paces use the
//! async runtime's timer.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use candle_core::{Arrival, Timestamp};

use crate::throttled_log::Incident;

/// The time that candles run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockMode {
    /// The machine's wall clock: for live feeds.
    Wall,
    /// The feed's own time: `now` is the newest tick time of the connection. For replays and simulations.
    Feed,
}

/// A source of machine time.
///
/// ```
/// use std::time::Duration;
///
/// use candle_core::Timestamp;
/// use candle_engine::clock::{Clock, ClockMode, TimeSource};
///
/// #[derive(Debug)]
/// struct Noon;
///
/// impl TimeSource for Noon {
///     fn elapsed(&self) -> Duration {
///         Duration::from_secs(60)
///     }
///
///     fn wall(&self) -> Timestamp {
///         Timestamp::from_seconds(43_200).unwrap()
///     }
/// }
///
/// let clock = Clock::with_time(ClockMode::Wall, Noon);
/// assert_eq!(clock.now(), Timestamp::from_seconds(43_200).unwrap());
/// ```
pub trait TimeSource: fmt::Debug + Send + Sync {
    /// Returns the time since the source was created, on a monotonic clock.
    fn elapsed(&self) -> Duration;

    /// Returns the time on the wall clock.
    fn wall(&self) -> Timestamp;
}

/// The machine's own clocks.
#[derive(Debug)]
struct MachineTime {
    started: Instant,
}

impl TimeSource for MachineTime {
    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_micros()).ok().and_then(Timestamp::from_micros).unwrap_or(Timestamp::MAX)
    }
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The time since the start, on a monotonic clock.
    pub elapsed: Duration,
    /// The time on the candles' clock.
    pub now: Timestamp,
}

/// A wall clock that steps back by more than this is logged: 1 s. Smaller steps are ordinary corrections.
const LOGGED_STEP_MICROS: i64 = 1_000_000;

/// The step back to a new connection's first quote from which all candles are cleared: 5 s before the feed's clock.
const RESTART_MICROS: i64 = 5_000_000;

/// Returns true if a connection whose first quote has the time `time` restarts a feed's clock that shows `clock`.
pub const fn is_restart(clock: Timestamp, time: Timestamp) -> bool {
    time.as_micros() < clock.as_micros().saturating_sub(RESTART_MICROS)
}

/// The clock of one server: `now` for candles never goes back by itself.
///
/// ```
/// use candle_core::Timestamp;
/// use candle_engine::clock::{Clock, ClockMode};
///
/// let clock = Clock::new(ClockMode::Feed);
/// clock.restart_at(Timestamp::EPOCH);
/// clock.advance_to(Timestamp::from_seconds(60).unwrap());
/// clock.advance_to(Timestamp::from_seconds(30).unwrap());
/// assert_eq!(clock.now(), Timestamp::from_seconds(60).unwrap());
/// ```
#[derive(Debug)]
pub struct Clock {
    mode: ClockMode,
    time: Box<dyn TimeSource>,
    /// The factor by which this clock runs faster than its time source.
    speed: u32,
    /// The highest `now` so far, in microseconds since the epoch. In feed mode it starts at the wall clock's time.
    newest: AtomicI64,
    /// Ongoing while the wall clock is behind `newest`.
    step_back: Incident,
}

impl Clock {
    /// Creates a clock on the machine's time that starts now.
    pub fn new(mode: ClockMode) -> Self {
        Self::with_time(mode, MachineTime { started: Instant::now() })
    }

    /// Creates a clock on the given time source.
    pub fn with_time(mode: ClockMode, time: impl TimeSource + 'static) -> Self {
        let newest = AtomicI64::new(time.wall().as_micros());
        Self { mode, time: Box::new(time), speed: 1, newest, step_back: Incident::default() }
    }

    /// Returns the clock, running `speed` times as fast as its time source: tests of half an hour take seconds.
    #[must_use]
    pub fn at_speed(self, speed: u32) -> Self {
        Self { speed, ..self }
    }

    /// Returns the mode.
    pub const fn mode(&self) -> ClockMode {
        self.mode
    }

    /// Returns the time on the candles' clock. A wall clock that steps back is held until it catches up.
    pub fn now(&self) -> Timestamp {
        match self.mode {
            ClockMode::Feed => self.newest(),
            ClockMode::Wall => self.hold(self.wall()),
        }
    }

    fn newest(&self) -> Timestamp {
        Timestamp::from_micros(self.newest.load(Ordering::Relaxed)).unwrap_or(Timestamp::EPOCH)
    }

    fn hold(&self, wall: Timestamp) -> Timestamp {
        let newest = self.newest.fetch_max(wall.as_micros(), Ordering::Relaxed);
        let behind = newest - wall.as_micros();
        if behind > LOGGED_STEP_MICROS && self.step_back.begin() {
            tracing::warn!("the wall clock stepped back; candle time is held until the wall clock catches up");
        } else if behind <= 0 && self.step_back.end() {
            tracing::info!("the wall clock has caught up; candle time follows it again");
        }
        wall.max(Timestamp::from_micros(newest).unwrap_or(wall))
    }

    /// Advances the clock to `time`; an earlier time changes nothing. A wall clock is held at `time` until it catches up.
    pub fn advance_to(&self, time: Timestamp) {
        self.newest.fetch_max(time.as_micros(), Ordering::Relaxed);
    }

    /// Sets a feed's clock to `time`, also back: a new connection may replay earlier ticks.
    pub fn restart_at(&self, time: Timestamp) {
        self.newest.store(time.as_micros(), Ordering::Relaxed);
    }

    /// Returns the time on the wall clock, in either mode.
    pub fn wall(&self) -> Timestamp {
        self.wall_after(self.time.elapsed())
    }

    /// Returns the wall clock's time `elapsed` after the start, advanced by what the speed adds.
    fn wall_after(&self, elapsed: Duration) -> Timestamp {
        let ahead = elapsed.saturating_mul(self.speed.saturating_sub(1));
        self.time.wall().saturating_add(i64::try_from(ahead.as_micros()).unwrap_or(i64::MAX))
    }

    /// Returns the time since the start, on a monotonic clock.
    pub fn elapsed(&self) -> Duration {
        self.time.elapsed().saturating_mul(self.speed)
    }

    /// Returns both clocks at one moment.
    pub fn reading(&self) -> Reading {
        let elapsed = self.time.elapsed();
        let now = match self.mode {
            ClockMode::Feed => self.newest(),
            ClockMode::Wall => self.hold(self.wall_after(elapsed)),
        };
        Reading { elapsed: elapsed.saturating_mul(self.speed), now }
    }

    /// Returns the time since the start in the core's unit.
    pub fn arrival(&self) -> Arrival {
        Arrival::after(self.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second).unwrap()
    }

    #[test]
    fn a_wall_clock_that_steps_back_is_held_until_it_catches_up() {
        let clock = Clock::new(ClockMode::Wall);
        clock.restart_at(at(100));
        assert_eq!([clock.hold(at(100)), clock.hold(at(40)), clock.hold(at(99))], [at(100); 3]);
        assert!(clock.step_back.is_ongoing());
        assert_eq!(clock.hold(at(101)), at(101));
        assert!(!clock.step_back.is_ongoing());
    }

    #[test]
    fn a_feeds_clock_stands_still_without_ticks() {
        let clock = Clock::new(ClockMode::Feed);
        clock.restart_at(at(5));
        assert_eq!([clock.now(), clock.now()], [at(5), at(5)]);
    }
}
