//! The coverage of minutes by the feed: distinguishes a quiet market from an outage.

use crate::time::{MICROS_PER_MINUTE, Minute, Timestamp, WINDOW_MINUTES};

/// The number of minutes stored: the window, and two minutes for readers and writers whose `now` differ.
const SLOTS: usize = 32;
/// [`SLOTS`] as a difference of minute numbers.
const SPAN: i64 = 32;
const _: () = assert!(SPAN.unsigned_abs() == SLOTS as u64 && SPAN >= WINDOW_MINUTES + 2);

/// The part of a minute for which the feed was up.
///
/// ```
/// assert_eq!(candle_core::Coverage::Partial.name(), "partial");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coverage {
    /// The feed was down for the whole minute, so the prices of the minute are unknown.
    None,
    /// The feed was up for a part of the minute.
    Partial,
    /// The feed was up for the whole minute. While the minute is forming: for the whole time so far.
    Complete,
}

impl Coverage {
    /// Returns the name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Partial => "partial",
            Self::Complete => "complete",
        }
    }
}

/// The up time of the active feed in the last 32 minutes, on the clock of the candles.
///
/// The caller reports the times at which the feed came up and went down, in order. A time before the last reported one
/// counts as the last reported one. An outage is often noticed late, so [`down`](Self::down) accepts a time in the past. The
/// coverage of minutes that readers have seen already may then fall.
///
/// ```
/// use candle_core::{Coverage, CoverageRing, Timestamp};
///
/// let at = |second: i64| Timestamp::from_seconds(second).unwrap();
/// let mut ring = CoverageRing::default();
/// ring.up(at(20));
/// ring.down(at(150));
/// ring.up(at(240));
/// let window = ring.window(at(250));
/// let of = |minute: i64| window.of(at(60 * minute).minute());
/// assert_eq!([0, 1, 2, 3, 4].map(of), [
///     Coverage::Partial,
///     Coverage::Complete,
///     Coverage::Partial,
///     Coverage::None,
///     Coverage::Complete,
/// ]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageRing {
    /// Microseconds of up time of minute `m` in slot `m % 32`, for the 32 minutes up to that of the last report. The time
    /// since the feed last came up is not included.
    up_micros: [u32; SLOTS],
    /// The time of the last report, and the state of the feed since then.
    last: Option<(Timestamp, LinkState)>,
}

/// The state of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkState {
    Up,
    Down,
}

impl Default for CoverageRing {
    /// Creates the ring of a feed that was never up.
    fn default() -> Self {
        Self { up_micros: [0; SLOTS], last: None }
    }
}

impl CoverageRing {
    /// Records that the feed is up since `at`. Has no effect if the feed is up already.
    pub fn up(&mut self, at: Timestamp) {
        if self.is_up() {
            return;
        }
        let at = self.last.map_or(at, |(last, _)| at.max(last));
        self.clear_until(at.minute());
        self.last = Some((at, LinkState::Up));
    }

    /// Records that the feed is down since `at`. Has no effect if the feed is down already.
    pub fn down(&mut self, at: Timestamp) {
        let Some((since, LinkState::Up)) = self.last else { return };
        let until = at.max(since);
        self.clear_until(until.minute());
        let oldest = oldest_stored(until.minute());
        let mut minute = since.minute().max(oldest);
        while minute <= until.minute() {
            self.up_micros[slot(minute)] += overlap(minute, since, until);
            minute = minute.saturating_add(1);
        }
        self.last = Some((until, LinkState::Down));
    }

    /// Returns true if the feed is up.
    pub const fn is_up(&self) -> bool {
        matches!(self.last, Some((_, LinkState::Up)))
    }

    /// Returns the ring as plain numbers, as if the feed went down at `now`. The first is the time of the last report in
    /// microseconds since the epoch, or `None` if the feed was never up. The array contains the microseconds of up time of
    /// minute `m` at index `m` modulo 32.
    pub fn to_parts(&self, now: Timestamp) -> (Option<i64>, [u32; 32]) {
        let mut closed = self.clone();
        closed.down(now);
        (closed.last.map(|(at, _)| at.as_micros()), closed.up_micros)
    }

    /// Creates a ring from the numbers of [`to_parts`](Self::to_parts), with the feed down. Returns `None` if a number is out
    /// of range.
    pub fn from_parts(last_micros: Option<i64>, up_micros: [u32; 32]) -> Option<Self> {
        let is_valid = up_micros.iter().all(|micros| i64::from(*micros) <= MICROS_PER_MINUTE);
        let last = match last_micros {
            Some(micros) => Some((Timestamp::from_micros(micros)?, LinkState::Down)),
            None => None,
        };
        is_valid.then_some(Self { up_micros, last })
    }

    /// Returns the coverage of the window seen from `now`.
    pub fn window(&self, now: Timestamp) -> CoverageWindow {
        let newest = now.minute();
        let mut window = CoverageWindow { newest, bits: 0 };
        let Some((last, state)) = self.last else { return window };
        let ago = newest.number() - last.minute().number();
        // On the path of every read. The minutes between the last report and the forming minute are all covered or all
        // uncovered, so their bits are set at once.
        let between = ago.clamp(1, WINDOW_MINUTES);
        if state == LinkState::Up {
            window.bits = (EACH * Coverage::Complete as u64) & ((1 << (2 * between)) - 1) & !0b11;
        }
        window.put(0, self.of(newest, now));
        for back in between..WINDOW_MINUTES {
            window.put(back, self.of(newest.saturating_add(-back), now));
        }
        window
    }

    fn of(&self, minute: Minute, now: Timestamp) -> Coverage {
        let Some((last, state)) = self.last else { return Coverage::None };
        let is_stored = minute >= oldest_stored(last.minute()) && minute <= last.minute();
        let closed = if is_stored { self.up_micros[slot(minute)] } else { 0 };
        let end = minute.end().min(now);
        let open = if state == LinkState::Up { overlap(minute, last, end) } else { 0 };
        let length = overlap(minute, minute.start(), end);
        // At the first moment of a minute there is no time to measure, so the state of the feed decides.
        let is_up = if length == 0 { state == LinkState::Up && last <= end } else { closed + open > 0 };
        match is_up {
            false => Coverage::None,
            true if closed + open >= length => Coverage::Complete,
            true => Coverage::Partial,
        }
    }

    /// Clears the slots of the minutes after the last report, up to `minute`.
    fn clear_until(&mut self, minute: Minute) {
        let Some((last, _)) = self.last else { return };
        let mut next = last.minute().saturating_add(1).max(oldest_stored(minute));
        while next <= minute {
            self.up_micros[slot(next)] = 0;
            next = next.saturating_add(1);
        }
    }
}

/// The coverage of the minutes of one window, as a small value to copy and compare.
///
/// ```
/// use candle_core::{Coverage, CoverageRing, Timestamp};
///
/// let mut ring = CoverageRing::default();
/// ring.up(Timestamp::EPOCH);
/// let window = ring.window(Timestamp::from_seconds(90).unwrap());
/// assert_eq!(window.of(Timestamp::EPOCH.minute()), Coverage::Complete);
/// assert_eq!(window.of(Timestamp::from_seconds(-1).unwrap().minute()), Coverage::None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CoverageWindow {
    newest: Minute,
    /// Two bits for each minute. The newest minute has the lowest bits.
    bits: u64,
}

const _: () = assert!(2 * WINDOW_MINUTES <= 64);

/// The lower of the two bits of each minute.
const EACH: u64 = u64::MAX / 0b11;

impl CoverageWindow {
    const fn put(&mut self, back: i64, coverage: Coverage) {
        self.bits |= (coverage as u64) << (2 * back);
    }

    /// Returns the coverage of the minutes of a candle: complete if all are, none if all are, and otherwise partial. Of a
    /// forming candle, the minutes so far count.
    ///
    /// ```
    /// use candle_core::{Coverage, CoverageRing, Timestamp};
    ///
    /// let at = |second: i64| Timestamp::from_seconds(second).unwrap();
    /// let mut ring = CoverageRing::default();
    /// ring.up(at(60));
    /// let window = ring.window(at(200));
    /// assert_eq!(window.of_candle(at(0), at(300)), Coverage::Partial);
    /// assert_eq!(window.of_candle(at(60), at(360)), Coverage::Complete);
    /// ```
    pub fn of_candle(self, open_time: Timestamp, close_time: Timestamp) -> Coverage {
        let last = close_time.saturating_add(-1).minute().min(self.newest);
        let mut minute = open_time.minute();
        let mut coverage = self.of(minute);
        while minute < last && coverage != Coverage::Partial {
            minute = minute.saturating_add(1);
            coverage = if self.of(minute) == coverage { coverage } else { Coverage::Partial };
        }
        coverage
    }

    /// Returns the coverage of `minute`, or [`Coverage::None`] outside the window.
    pub const fn of(self, minute: Minute) -> Coverage {
        let back = self.newest.number() - minute.number();
        if back < 0 || back >= WINDOW_MINUTES {
            return Coverage::None;
        }
        match (self.bits >> (2 * back)) & 0b11 {
            0 => Coverage::None,
            1 => Coverage::Partial,
            _ => Coverage::Complete,
        }
    }
}

/// Returns the slot of a minute, whose number may be negative.
#[expect(clippy::cast_possible_truncation, reason = "the remainder is below 32")]
const fn slot(minute: Minute) -> usize {
    minute.number().rem_euclid(SPAN) as usize
}

/// Returns the oldest minute that is stored if `newest` is the newest.
const fn oldest_stored(newest: Minute) -> Minute {
    newest.saturating_add(1 - SPAN)
}

/// Returns the microseconds of `minute` within `[from, until)`.
fn overlap(minute: Minute, from: Timestamp, until: Timestamp) -> u32 {
    let start = minute.start().max(from).as_micros();
    let end = minute.end().min(until).as_micros();
    // At most a minute, which fits 32 bits.
    u32::try_from((end - start).clamp(0, MICROS_PER_MINUTE)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn seconds(seconds: i64) -> Timestamp {
        at(1_000_000 * seconds)
    }

    fn of(ring: &CoverageRing, minute: i64, now: Timestamp) -> &'static str {
        ring.window(now).of(seconds(60 * minute).minute()).name()
    }

    #[test]
    fn an_outage_of_ninety_seconds_affects_exactly_its_three_minutes() {
        let mut ring = CoverageRing::default();
        ring.up(seconds(0));
        ring.down(seconds(165));
        ring.up(seconds(255));
        let names = [0, 1, 2, 3, 4, 5].map(|minute| of(&ring, minute, seconds(400)));
        assert_eq!(names, ["complete", "complete", "partial", "none", "partial", "complete"]);
    }

    #[test]
    fn an_outage_noticed_late_lowers_the_coverage_of_past_minutes() {
        let mut ring = CoverageRing::default();
        ring.up(seconds(0));
        let before = ring.window(seconds(121));
        ring.down(seconds(119));
        let after = ring.window(seconds(121));
        assert_eq!(
            (before.of(seconds(60).minute()), after.of(seconds(60).minute())),
            (Coverage::Complete, Coverage::Partial)
        );
        assert_ne!(before, after);
    }

    #[test]
    fn the_forming_minute_counts_the_time_so_far() {
        let mut ring = CoverageRing::default();
        ring.up(seconds(0));
        assert_eq!(of(&ring, 1, seconds(60)), "complete");
        assert_eq!(of(&ring, 1, seconds(61)), "complete");
        ring.down(seconds(60));
        assert_eq!(of(&ring, 1, seconds(60)), "none");
        assert_eq!(of(&ring, 1, seconds(61)), "none");
        ring.up(seconds(70));
        assert_eq!(of(&ring, 1, seconds(71)), "partial");
    }

    #[test]
    fn a_connection_of_no_duration_covers_nothing() {
        let mut ring = CoverageRing::default();
        for start in 0..100 {
            ring.up(seconds(start));
            ring.down(seconds(start));
        }
        assert_eq!(of(&ring, 0, seconds(100)), "none");
        assert_eq!(of(&ring, 1, seconds(100)), "none");
    }

    /// The oracle: the sum of the intersections of every up interval with the minute.
    fn oracle(ups: &[(i64, i64)], minute: Minute, now: Timestamp) -> Coverage {
        let (start, end) = (minute.start().as_micros(), minute.end().min(now).as_micros());
        let covered: i64 = ups.iter().map(|(from, to)| (*to.min(&end) - from.max(&start)).max(0)).sum();
        match covered {
            0 => Coverage::None,
            covered if covered == end - start => Coverage::Complete,
            _ => Coverage::Partial,
        }
    }

    proptest! {
        #[test]
        fn the_coverage_of_every_minute_is_that_of_the_up_intervals(
            origin in -5_000_000_000_i64..5_000_000_000,
            // Alternating lengths of up and down time; some are longer than the ring, some are zero.
            lengths in proptest::collection::vec(prop_oneof![
                0..200_000_000_i64,
                Just(0),
                Just(60_000_000),
                0..3_000_000_000_i64,
            ], 1..40),
            noticed_late in 0..10_000_000_i64,
        ) {
            let mut ring = CoverageRing::default();
            let mut ups: Vec<(i64, i64)> = Vec::new();
            let mut time = origin;
            for (index, length) in lengths.iter().enumerate() {
                if index % 2 == 0 {
                    ring.up(at(time));
                    ups.push((time, i64::MAX));
                } else {
                    // Noticed late, and reported with the time since which the feed was down.
                    let _ = ring.window(at(time + noticed_late));
                    ring.down(at(time));
                    ups.last_mut().unwrap().1 = time;
                }
                time += length;
                let now = at(time);
                // At the first moment of a minute there is no time to measure.
                prop_assume!(now != now.minute().start());
                let window = ring.window(now);
                for back in 0..WINDOW_MINUTES {
                    let minute = now.minute().saturating_add(-back);
                    prop_assert_eq!(window.of(minute), oracle(&ups, minute, now), "{} minutes back", back);
                }
            }
        }
    }
}
