//! The clock of a server: the current time of the candles, and the time since the start for other purposes.
//!
//! The candles use either the wall clock or the feed's clock, which shows the newest tick time. If a new connection
//! starts with a much earlier quote, the feed's clock restarts: the clock is set back, and all candles are cleared.
//!
//! The machine's clocks are read only through [`TimeSource`], so that simulations can replace them. Timeouts and
//! intervals use the async runtime's timer.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use candle_core::{Arrival, Timestamp};

use crate::throttled_log::Incident;

/// The source of the current time of the candles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockMode {
    /// The machine's wall clock, for live feeds.
    Wall,
    /// The feed's own time, for replays and simulations. `now` is the newest tick time of the connection.
    Feed,
}

/// A source of the time since the start and of the wall clock's time.
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

    /// Returns the time of the wall clock.
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

/// The times of both clocks at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The time since the start, on a monotonic clock.
    pub elapsed: Duration,
    /// The current time of the candles.
    pub now: Timestamp,
}

/// The backward step of the wall clock above which a warning is logged, in microseconds: 1 s. Smaller steps are
/// ordinary corrections.
const LOGGED_STEP_MICROS: i64 = 1_000_000;

/// The backward step above which a new connection restarts the feed's clock, in microseconds: 5 s.
///
/// The step is the time from the first quote of the connection to the feed's clock. With a smaller step, the first
/// quotes are only late quotes.
const RESTART_MICROS: i64 = 5_000_000;

/// Returns true if the first quote of a connection, at `time`, restarts a feed's clock that shows `clock`.
pub const fn is_restart(clock: Timestamp, time: Timestamp) -> bool {
    time.as_micros() < clock.as_micros().saturating_sub(RESTART_MICROS)
}

/// The clock of one server. Only [`restart_at`](Clock::restart_at) sets the time of the candles back.
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
    /// Begins when the wall clock is clearly behind `newest`, and ends when the wall clock has caught up.
    step_back: Incident,
}

impl Clock {
    /// Creates a clock that reads the machine's clocks. The time since the start is counted from this call.
    pub fn new(mode: ClockMode) -> Self {
        Self::with_time(mode, MachineTime { started: Instant::now() })
    }

    /// Creates a clock that reads the time source `time`.
    pub fn with_time(mode: ClockMode, time: impl TimeSource + 'static) -> Self {
        let newest = AtomicI64::new(time.wall().as_micros());
        Self { mode, time: Box::new(time), speed: 1, newest, step_back: Incident::default() }
    }

    /// Makes the clock `speed` times as fast as its time source, and returns the clock. Tests of half an hour then take
    /// seconds.
    #[must_use]
    pub fn at_speed(self, speed: u32) -> Self {
        Self { speed, ..self }
    }

    /// Returns the mode.
    pub const fn mode(&self) -> ClockMode {
        self.mode
    }

    /// Returns the current time of the candles. After a backward step of the wall clock, this time stops until the wall
    /// clock catches up.
    pub fn now(&self) -> Timestamp {
        match self.mode {
            ClockMode::Feed => self.newest(),
            ClockMode::Wall => self.never_back(self.wall()),
        }
    }

    fn newest(&self) -> Timestamp {
        Timestamp::from_micros(self.newest.load(Ordering::Relaxed)).unwrap_or(Timestamp::EPOCH)
    }

    /// Returns `wall`, or the newest time so far if `wall` is earlier. Logs when the wall clock falls behind and
    /// catches up.
    fn never_back(&self, wall: Timestamp) -> Timestamp {
        let newest = self.newest.fetch_max(wall.as_micros(), Ordering::Relaxed);
        let behind = newest - wall.as_micros();
        if behind > LOGGED_STEP_MICROS && self.step_back.begin() {
            tracing::warn!("the wall clock stepped back; candle time stops until the wall clock catches up");
        } else if behind <= 0 && self.step_back.end() {
            tracing::info!("the wall clock has caught up; candle time follows it again");
        }
        wall.max(Timestamp::from_micros(newest).unwrap_or(wall))
    }

    /// Advances the clock to `time`. An earlier time changes nothing. In wall mode, the time then stops until the wall
    /// clock catches up.
    pub fn advance_to(&self, time: Timestamp) {
        self.newest.fetch_max(time.as_micros(), Ordering::Relaxed);
    }

    /// Sets the feed's clock to `time`, which may be earlier: a new connection may replay earlier ticks.
    pub fn restart_at(&self, time: Timestamp) {
        self.newest.store(time.as_micros(), Ordering::Relaxed);
    }

    /// Returns the time of the wall clock in both modes.
    pub fn wall(&self) -> Timestamp {
        self.wall_after(self.time.elapsed())
    }

    /// Returns the time of the wall clock, plus the time by which a faster clock is ahead.
    ///
    /// `elapsed` is the time since the start on the time source.
    fn wall_after(&self, elapsed: Duration) -> Timestamp {
        let ahead = elapsed.saturating_mul(self.speed.saturating_sub(1));
        self.time.wall().saturating_add(i64::try_from(ahead.as_micros()).unwrap_or(i64::MAX))
    }

    /// Returns the time since the start, on a monotonic clock.
    pub fn elapsed(&self) -> Duration {
        self.time.elapsed().saturating_mul(self.speed)
    }

    /// Returns the times of both clocks at the same moment.
    pub fn reading(&self) -> Reading {
        let elapsed = self.time.elapsed();
        let now = match self.mode {
            ClockMode::Feed => self.newest(),
            ClockMode::Wall => self.never_back(self.wall_after(elapsed)),
        };
        Reading { elapsed: elapsed.saturating_mul(self.speed), now }
    }

    /// Returns the time since the start as an [`Arrival`], the core's type for the time at which a tick arrives.
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
    fn candle_time_stops_until_a_wall_clock_that_stepped_back_catches_up() {
        let clock = Clock::new(ClockMode::Wall);
        clock.restart_at(at(100));
        assert_eq!([clock.never_back(at(100)), clock.never_back(at(40)), clock.never_back(at(99))], [at(100); 3]);
        assert!(clock.step_back.is_ongoing());
        assert_eq!(clock.never_back(at(101)), at(101));
        assert!(!clock.step_back.is_ongoing());
    }

    #[test]
    fn a_feeds_clock_stands_still_without_ticks() {
        let clock = Clock::new(ClockMode::Feed);
        clock.restart_at(at(5));
        assert_eq!([clock.now(), clock.now()], [at(5), at(5)]);
    }
}
