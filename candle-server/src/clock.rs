//! The one place that reads the machine's wall clock; time-outs and paces keep to the runtime's own.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use candle_core::{Arrival, Timestamp};

/// Whose time candles run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockMode {
    /// The machine's wall clock: for live feeds.
    Wall,
    /// The feed's own: `now` is the newest tick time of the connection. For replays and simulations.
    Feed,
}

/// What both clocks show at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The time since the start, on a clock that nothing can set.
    pub elapsed: Duration,
    /// The time on the candles' clock.
    pub now: Timestamp,
}

/// A wall clock that is this much behind its own past is worth a line in the log.
const STEP_BACK_MICROS: i64 = 1_000_000;

/// `now` for candles, which never goes back by itself, and the time since the start for everything else.
///
/// ```
/// use candle_core::Timestamp;
/// use candle_server::clock::{Clock, ClockMode};
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
    started: Instant,
    /// How many times as fast as the machine's it runs.
    speed: u32,
    /// The highest reading so far, in microseconds since the epoch; a feed's clock starts with the wall clock's.
    newest: AtomicI64,
    /// Whether the wall clock is being held, and the log knows.
    held: AtomicBool,
    /// What the wall clock showed and when that was on the runtime's clock, where a test drives it.
    #[cfg(test)]
    driven_from: Option<(Timestamp, tokio::time::Instant)>,
}

impl Clock {
    /// A clock that starts now.
    pub fn new(mode: ClockMode) -> Self {
        Self {
            mode,
            started: Instant::now(),
            speed: 1,
            newest: AtomicI64::new(wall().as_micros()),
            held: AtomicBool::new(false),
            #[cfg(test)]
            driven_from: None,
        }
    }

    /// A wall clock that shows `start` now and goes on with the runtime's time, which a test drives.
    #[cfg(test)]
    pub(crate) fn driven_from(start: Timestamp) -> Self {
        let newest = AtomicI64::new(start.as_micros());
        Self { newest, driven_from: Some((start, tokio::time::Instant::now())), ..Self::new(ClockMode::Wall) }
    }

    /// A clock that started this long ago.
    #[cfg(test)]
    pub(crate) fn started_ago(mode: ClockMode, ago: Duration) -> Self {
        Self { started: Instant::now().checked_sub(ago).unwrap(), ..Self::new(mode) }
    }

    /// The same, so many times as fast as the machine's: for whoever can't wait half an hour to see what one is like.
    #[must_use]
    pub const fn at_speed(self, speed: u32) -> Self {
        Self { speed, ..self }
    }

    /// Whose time this is.
    pub const fn mode(&self) -> ClockMode {
        self.mode
    }

    /// The time on the candles' clock. A wall clock that steps back is held until it catches up.
    pub fn now(&self) -> Timestamp {
        match self.mode {
            ClockMode::Feed => self.newest(),
            ClockMode::Wall => self.hold(self.wall()),
        }
    }

    fn newest(&self) -> Timestamp {
        Timestamp::from_micros(self.newest.load(Ordering::Relaxed)).unwrap_or(Timestamp::EPOCH)
    }

    fn hold(&self, reading: Timestamp) -> Timestamp {
        let held = self.newest.fetch_max(reading.as_micros(), Ordering::Relaxed);
        let behind = held - reading.as_micros();
        if behind > STEP_BACK_MICROS && !self.held.swap(true, Ordering::Relaxed) {
            tracing::warn!("the wall clock stepped back; candles' time is held until it catches up");
        } else if behind <= 0 && self.held.load(Ordering::Relaxed) && self.held.swap(false, Ordering::Relaxed) {
            tracing::info!("the wall clock has caught up");
        }
        reading.max(Timestamp::from_micros(held).unwrap_or(reading))
    }

    /// Moves the clock on, never back: a feed's to a tick's time. A wall clock is held there until it catches up.
    pub fn advance_to(&self, time: Timestamp) {
        self.newest.fetch_max(time.as_micros(), Ordering::Relaxed);
    }

    /// Sets a feed's clock, back too: a new connection may start over.
    pub fn restart_at(&self, time: Timestamp) {
        self.newest.store(time.as_micros(), Ordering::Relaxed);
    }

    /// The wall clock, whatever candles run on.
    pub fn wall(&self) -> Timestamp {
        self.wall_after(self.passed())
    }

    /// The machine's time since the start.
    fn passed(&self) -> Duration {
        #[cfg(test)]
        if let Some((_, began)) = self.driven_from {
            return began.elapsed();
        }
        self.started.elapsed()
    }

    /// The wall clock so much of the machine's time after the start.
    fn wall_after(&self, passed: Duration) -> Timestamp {
        #[cfg(test)]
        if let Some((start, _)) = self.driven_from {
            return start.saturating_add(i64::try_from(passed.as_micros()).unwrap_or(i64::MAX));
        }
        let ahead = passed.saturating_mul(self.speed.saturating_sub(1));
        wall().saturating_add(i64::try_from(ahead.as_micros()).unwrap_or(i64::MAX))
    }

    /// Time since the start, on a clock that nothing can set.
    pub fn elapsed(&self) -> Duration {
        self.passed().saturating_mul(self.speed)
    }

    /// Both clocks, at one moment.
    pub fn reading(&self) -> Reading {
        let passed = self.passed();
        let now = match self.mode {
            ClockMode::Feed => self.newest(),
            ClockMode::Wall => self.hold(self.wall_after(passed)),
        };
        Reading { elapsed: passed.saturating_mul(self.speed), now }
    }

    /// The time since the start, as the core takes it.
    pub fn arrival(&self) -> Arrival {
        Arrival::after(self.elapsed())
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).ok().and_then(Timestamp::from_micros).unwrap_or(Timestamp::MAX)
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
        assert!(clock.held.load(Ordering::Relaxed));
        assert_eq!(clock.hold(at(101)), at(101));
        assert!(!clock.held.load(Ordering::Relaxed));
    }

    #[test]
    fn a_feeds_clock_stands_still_without_ticks() {
        let clock = Clock::new(ClockMode::Feed);
        clock.restart_at(at(5));
        assert_eq!([clock.now(), clock.now()], [at(5), at(5)]);
    }
}
