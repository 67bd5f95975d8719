//! Of which minutes the feed brought all there was: what tells a quiet engine from an outage.

use crate::time::{MICROS_PER_MINUTE, Minute, Timestamp, WINDOW_MINUTES};

/// How many minutes are remembered: the window, and two for readers and writers whose `now` is not the same.
const SLOTS: usize = 32;
/// The same as a distance between minutes.
const SPAN: i64 = 32;
const _: () = assert!(SPAN.unsigned_abs() == SLOTS as u64 && SPAN >= WINDOW_MINUTES + 2);

/// For how much of a minute the feed was up.
///
/// ```
/// assert_eq!(candle_core::Coverage::Partial.name(), "partial");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coverage {
    /// For nothing of it: whatever happened then is not known.
    None,
    /// For a part of it.
    Partial,
    /// For all of it, or, while it is forming, all of it so far.
    Complete,
}

impl Coverage {
    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Partial => "partial",
            Self::Complete => "complete",
        }
    }
}

/// When the one active feed was up, on the candles' clock, for the last minutes.
///
/// It is fed with the moments at which the feed came up and went down, in their order; a moment before the latest one
/// counts as that one. What goes down may be known late: [`down`](Self::down) takes the moment since when it was down,
/// which may be before what readers were told meanwhile.
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
    /// Microseconds of up time of minute `m` in slot `m % 32`, for the 32 minutes up to that of the last moment; the
    /// time since the feed last came up is not in it.
    up_micros: [u32; SLOTS],
    /// The latest moment heard of, and what the feed has been since.
    last: Option<(Timestamp, Link)>,
}

/// What the feed is since a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Up,
    Down,
}

impl Default for CoverageRing {
    /// A feed that has never been up.
    fn default() -> Self {
        Self { up_micros: [0; SLOTS], last: None }
    }
}

impl CoverageRing {
    /// The feed is up since `at`. Nothing changes if it was up already.
    pub fn up(&mut self, at: Timestamp) {
        if self.is_up() {
            return;
        }
        let at = self.last.map_or(at, |(last, _)| at.max(last));
        self.forget_until(at.minute());
        self.last = Some((at, Link::Up));
    }

    /// The feed is down since `at`. Nothing changes if it was down already.
    pub fn down(&mut self, at: Timestamp) {
        let Some((since, Link::Up)) = self.last else { return };
        let until = at.max(since);
        self.forget_until(until.minute());
        let oldest = oldest_kept(until.minute());
        let mut minute = since.minute().max(oldest);
        while minute <= until.minute() {
            self.up_micros[slot(minute)] += overlap(minute, since, until);
            minute = minute.saturating_add(1);
        }
        self.last = Some((until, Link::Down));
    }

    /// Whether the feed is up.
    pub const fn is_up(&self) -> bool {
        matches!(self.last, Some((_, Link::Up)))
    }

    /// All of it as plain numbers, as if the feed went down at `now`: the moment of that in microseconds since the epoch
    /// (`None` if the feed was never up), and the microseconds of up time of minute `m` at `m` modulo 32.
    pub fn to_parts(&self, now: Timestamp) -> (Option<i64>, [u32; 32]) {
        let mut closed = self.clone();
        closed.down(now);
        (closed.last.map(|(at, _)| at.as_micros()), closed.up_micros)
    }

    /// What [`to_parts`](Self::to_parts) gave, or `None` if these are no such numbers. The feed is down since then.
    pub fn from_parts(last_micros: Option<i64>, up_micros: [u32; 32]) -> Option<Self> {
        let is_sound = up_micros.iter().all(|micros| i64::from(*micros) <= MICROS_PER_MINUTE);
        let last = match last_micros {
            Some(micros) => Some((Timestamp::from_micros(micros)?, Link::Down)),
            None => None,
        };
        is_sound.then_some(Self { up_micros, last })
    }

    /// What readers at `now` see.
    pub fn window(&self, now: Timestamp) -> CoverageWindow {
        let newest = now.minute();
        let mut window = CoverageWindow { newest, bits: 0 };
        let Some((last, link)) = self.last else { return window };
        let ago = newest.number() - last.minute().number();
        // Readers ask for every answer. Each minute between that of the last moment and the present one is as the feed has
        // been since: all of them at once.
        let between = ago.clamp(1, WINDOW_MINUTES);
        if link == Link::Up {
            window.bits = (EACH * Coverage::Complete as u64) & ((1 << (2 * between)) - 1) & !0b11;
        }
        window.put(0, self.of(newest, now));
        for back in between..WINDOW_MINUTES {
            window.put(back, self.of(newest.saturating_add(-back), now));
        }
        window
    }

    fn of(&self, minute: Minute, now: Timestamp) -> Coverage {
        let Some((last, link)) = self.last else { return Coverage::None };
        let is_kept = minute >= oldest_kept(last.minute()) && minute <= last.minute();
        let closed = if is_kept { self.up_micros[slot(minute)] } else { 0 };
        let end = minute.end().min(now);
        let open = if link == Link::Up { overlap(minute, last, end) } else { 0 };
        let length = overlap(minute, minute.start(), end);
        // At the very start of a minute nothing of it is over: it is as the feed is.
        let is_up = if length == 0 { link == Link::Up && last <= end } else { closed + open > 0 };
        match is_up {
            false => Coverage::None,
            true if closed + open >= length => Coverage::Complete,
            true => Coverage::Partial,
        }
    }

    /// Empties the slots between the minute of the last moment and `minute`, which the latter's minutes take over.
    fn forget_until(&mut self, minute: Minute) {
        let Some((last, _)) = self.last else { return };
        let mut next = last.minute().saturating_add(1).max(oldest_kept(minute));
        while next <= minute {
            self.up_micros[slot(next)] = 0;
            next = next.saturating_add(1);
        }
    }
}

/// The coverage of the minutes of one window: a small value to copy and compare.
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
    /// Two bits for each minute, the newest lowest.
    bits: u64,
}

const _: () = assert!(2 * WINDOW_MINUTES <= 64);

/// The lower of the two bits of each minute.
const EACH: u64 = u64::MAX / 0b11;

impl CoverageWindow {
    const fn put(&mut self, back: i64, coverage: Coverage) {
        self.bits |= (coverage as u64) << (2 * back);
    }

    /// The coverage of `minute`; [`Coverage::None`] outside the window.
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

/// The slot of a minute; right for negative numbers too.
#[expect(clippy::cast_possible_truncation, reason = "the remainder is below 32")]
const fn slot(minute: Minute) -> usize {
    minute.number().rem_euclid(SPAN) as usize
}

/// The first minute that is kept when `newest` is the last.
const fn oldest_kept(newest: Minute) -> Minute {
    newest.saturating_add(1 - SPAN)
}

/// How many microseconds of `minute` lie in `[from, until)`.
fn overlap(minute: Minute, from: Timestamp, until: Timestamp) -> u32 {
    let start = minute.start().max(from).as_micros();
    let end = minute.end().min(until).as_micros();
    // At most a minute, which fits.
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
    fn an_outage_of_ninety_seconds_marks_exactly_its_three_minutes() {
        let mut ring = CoverageRing::default();
        ring.up(seconds(0));
        ring.down(seconds(165));
        ring.up(seconds(255));
        let marks = [0, 1, 2, 3, 4, 5].map(|minute| of(&ring, minute, seconds(400)));
        assert_eq!(marks, ["complete", "complete", "partial", "none", "partial", "complete"]);
    }

    #[test]
    fn a_silence_that_is_noticed_late_takes_back_what_was_told() {
        let mut ring = CoverageRing::default();
        ring.up(seconds(0));
        let told = ring.window(seconds(121));
        ring.down(seconds(119));
        let known = ring.window(seconds(121));
        assert_eq!(
            (told.of(seconds(60).minute()), known.of(seconds(60).minute())),
            (Coverage::Complete, Coverage::Partial)
        );
        assert_ne!(told, known);
    }

    #[test]
    fn the_forming_minute_tells_what_was_so_far() {
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
    fn a_connection_that_brought_nothing_covers_nothing() {
        let mut ring = CoverageRing::default();
        for start in 0..100 {
            ring.up(seconds(start));
            ring.down(seconds(start));
        }
        assert_eq!(of(&ring, 0, seconds(100)), "none");
        assert_eq!(of(&ring, 1, seconds(100)), "none");
    }

    /// The obvious program: every up interval, cut with the minute.
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
        fn every_minute_is_what_the_up_intervals_say(
            origin in -5_000_000_000_i64..5_000_000_000,
            // How long the feed was up and then down, in turn; some for longer than the ring, some for nothing.
            turns in proptest::collection::vec(prop_oneof![
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
            for (place, length) in turns.iter().enumerate() {
                if place % 2 == 0 {
                    ring.up(at(time));
                    ups.push((time, i64::MAX));
                } else {
                    // Noticed late, and told with the time since when it was so.
                    let _ = ring.window(at(time + noticed_late));
                    ring.down(at(time));
                    ups.last_mut().unwrap().1 = time;
                }
                time += length;
                let now = at(time);
                // At the very start of a minute there is nothing to measure.
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
