//! One simulated world: its feeds, the engine that they feed, and the truth about both.

use std::sync::Arc;
use std::time::Duration;

use candle_core::{Gaps, Timestamp, WINDOW_MINUTES, WindowCandle};
use fastrand::Rng;
use tokio::time::Instant;

use super::book::{Bar, Book, Catalogue};
use super::supply::{Kind, Supply};
use super::tape::{self, EPOCH, Made, STEP};
use super::trouble::{Fate, Spell, Trouble};
use super::{COME_BACK, FAIL_OVER, LONGEST, Millis, SHOWN};
use crate::engine::Engine;
use crate::feed::health::{MAX_LAG, State};
use crate::feed::rate::FIRST_QUOTE;

/// Everything that is simulated, shared by the connections and the checks.
#[derive(Debug)]
pub(super) struct World {
    seed: u64,
    pub(super) began: Instant,
    pub(super) random: Rng,
    pub(super) fates: Vec<Fate>,
    catalogues: Vec<Catalogue>,
    engine: Arc<Engine>,
    pub(super) book: Book,
    supply: Supply,
    /// The active feed, since when, and the connection that is read for candles, by its feed and when it was opened.
    active: usize,
    active_since: Millis,
    reading: Option<(usize, Millis)>,
    reading_since: Millis,
    /// The longest pause that is no silence, as the active feed tells it; it is looked at twice a second.
    silence_timeout: Millis,
    /// When the engine was last supplied in full.
    supplied: Millis,
    /// When quotes last came as they are made, or a few of them.
    flowed: Millis,
    pub(super) turns: u64,
}

impl World {
    pub(super) fn new(seed: u64, catalogues: Vec<Catalogue>, engine: Arc<Engine>) -> Self {
        let mut random = Rng::with_seed(seed);
        Self {
            seed,
            began: Instant::now(),
            fates: catalogues.iter().map(|_| Fate::drawn(&mut random)).collect(),
            random,
            catalogues,
            engine,
            book: Book::default(),
            supply: Supply::new(),
            active: 0,
            active_since: 0,
            reading: None,
            reading_since: 0,
            silence_timeout: 0,
            supplied: 0,
            flowed: 0,
            turns: 0,
        }
    }

    pub(super) fn now(&self) -> Millis {
        u64::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    pub(super) fn spell(&self, place: usize) -> Spell {
        self.fates[place].at(self.now())
    }

    /// Accounts for the time up to now.
    fn settle(&mut self) -> Millis {
        let now = self.now();
        self.book.pass(now);
        while self.supply.present.to < now {
            let (kind, to) = match self.reading {
                Some((place, _)) => {
                    let spell = self.fates[place].at(self.supply.present.to);
                    (spell.trouble.into(), spell.to.min(now))
                }
                None => (Kind::Unconnected, now),
            };
            self.supply.goes_on(kind, to, self.silence_timeout);
        }
        now
    }

    /// Notes which feed is the active one.
    fn look(&mut self) {
        let active = self.engine.feeds.inspect(|failover| failover.active());
        if active != self.active {
            self.active = active;
            self.active_since = self.now();
            self.turns += 1;
            self.book.turns();
        }
    }

    /// A feed is connected to.
    pub(super) fn dialled(&mut self) {
        self.look();
    }

    /// The connection to the feed at `place` is read from, for candles or to see how it is.
    pub(super) fn reads(&mut self, place: usize, opened: Millis) {
        self.look();
        let line = (place, opened);
        if place == self.active && self.reading != Some(line) {
            let now = self.settle();
            assert_eq!(self.reading, None, "{}: two connections are read", self.moment());
            self.reading = Some(line);
            self.reading_since = now;
            self.book.connects(place, now);
        }
    }

    fn is_read(&self, place: usize) -> bool {
        self.reading.is_some_and(|(reading, _)| reading == place)
    }

    /// What the feed at `place` announces.
    pub(super) fn announces(&mut self, place: usize) -> std::ops::Range<u64> {
        let now = self.settle();
        let ids = tape::instruments(self.spell(place).era);
        if self.is_read(place) {
            ids.clone().for_each(|id| self.book.announces(id, now));
        }
        ids
    }

    /// The quotes of `step` that the feed at `place` delivers.
    pub(super) fn brings(&mut self, place: usize, step: u64) -> Vec<Made> {
        self.settle();
        let era = self.fates[place].at(step * STEP).era;
        let made: Vec<Made> = tape::quotes(self.seed, step, era).collect();
        if self.is_read(place) {
            self.supply.quoted();
            made.iter().for_each(|made| self.book.brings(*made, self.catalogues[place]));
        }
        made
    }

    /// A connection is dropped.
    pub(super) fn hangs_up(&mut self, place: usize, opened: Millis) {
        if self.reading == Some((place, opened)) {
            self.settle();
            self.reading = None;
            self.book.disconnects();
        }
    }

    /// Where in which life this is.
    fn moment(&self) -> String {
        let now = self.now();
        format!("CANDLE_SIMULATION_SEED={}, {:?}, step {} at {now} ms", self.seed, self.catalogues, now / STEP)
    }

    /// Holds everything that the engine says to the truth.
    pub(super) fn check(&mut self) {
        let now = self.settle();
        self.look();
        self.check_counts();
        for id in std::mem::take(&mut self.book.touched) {
            self.check_candles(id, 1);
        }
        if now.is_multiple_of(50 * STEP) {
            self.check_catalogue();
            self.book.bars.keys().for_each(|id| self.check_candles(*id, usize::MAX));
        }
        self.check_state(now);
        self.check_coverage(now);
        self.check_gap(now);
        self.check_turns(now);
    }

    fn check_counts(&self) {
        let outcomes = self.engine.aggregator.outcomes();
        let told = (outcomes.accepted(), outcomes.rejected(), self.engine.feeds.repeated(), self.engine.unreadable());
        let truth = (self.book.accepted, self.book.rejected, self.book.repeated, 0);
        assert_eq!(told, truth, "{}: quotes accepted, rejected, repeated, unreadable", self.moment());
    }

    fn check_catalogue(&self) {
        let mut listed: Vec<u64> = Vec::new();
        for summary in self.engine.aggregator.page(None, "", 1000) {
            listed.push(summary.id.as_str().parse().unwrap());
        }
        listed.sort_unstable();
        assert!(listed.iter().eq(self.book.bars.keys()), "{}: {listed:?} are listed", self.moment());
    }

    /// Compares the newest candles of an instrument with the obvious program's.
    fn check_candles(&self, id: u64, newest: usize) {
        let history = self.engine.aggregator.history(&id.to_string()).unwrap();
        let candles: Vec<WindowCandle> = history.candles(self.engine.clock.now(), Gaps::Omitted).collect();
        let forming = (EPOCH + self.now()) / 60_000;
        let window = forming + 1 - WINDOW_MINUTES.unsigned_abs()..=forming;
        let bars: Vec<(&u64, &Bar)> = self.book.bars[&id].range(window).collect();
        let told = candles.iter().map(|candle| {
            let WindowCandle { minute, open, high, low, close, count, volume, .. } = *candle;
            (minute.number().unsigned_abs(), [open, high, low, close, volume], count)
        });
        let truth = bars
            .into_iter()
            .map(|(minute, bar)| (*minute, [bar.open, bar.high, bar.low, bar.close, f64::from(bar.count)], bar.count));
        assert!(
            told.clone().rev().take(newest).eq(truth.clone().rev().take(newest)),
            "{}: candles of {id}\n{:?}\nare not\n{:?}",
            self.moment(),
            told.collect::<Vec<_>>(),
            truth.collect::<Vec<_>>(),
        );
    }

    /// Holds the states of the feeds to what they do, once they have done it for long enough to be seen.
    fn check_state(&mut self, now: Millis) {
        let feeds = &self.engine.feeds;
        let elapsed = self.engine.clock.elapsed();
        if (now / STEP).is_multiple_of(8) {
            let silence_timeout = feeds.feed_reports(elapsed)[self.active].silence_timeout.unwrap();
            assert!(silence_timeout <= FIRST_QUOTE, "{}: silence_timeout of {silence_timeout:?}", self.moment());
            self.silence_timeout = u64::try_from(silence_timeout.as_millis()).unwrap();
        }
        for place in (1..self.fates.len()).filter(|place| *place != self.active) {
            let state = feeds.inspect(|failover| failover.feeds()[place].state(elapsed));
            assert_eq!(state, State::Standby, "{}: the feed at {place}", self.moment());
        }
        let state = feeds.inspect(|failover| failover.state(elapsed));
        let Some((place, _)) = self.reading else {
            let is_known = matches!(state, State::Connecting | State::Down);
            assert!(is_known || now == 0, "{}: {state:?} without a connection", self.moment());
            return;
        };
        let Spell { from, trouble, .. } = self.fates[place].at(now);
        let lasted = now - from.max(self.reading_since);
        let expected = match trouble {
            Trouble::None if lasted > SHOWN => State::Live,
            Trouble::Late(lag) if lasted > SHOWN => {
                let lag = lag.min((now - from) / 3);
                let late = u64::try_from(MAX_LAG.as_millis()).unwrap();
                if lag.abs_diff(late) < SHOWN {
                    return;
                }
                if lag > late { State::Lagging } else { State::Live }
            }
            Trouble::Mute | Trouble::Frozen if lasted > self.silence_timeout + 2 * STEP => State::Silent,
            Trouble::Drip if lasted > 2 * SHOWN => State::Slow,
            _ => return,
        };
        assert_eq!(state, expected, "{}: {trouble:?} for {lasted} ms", self.moment());
    }

    fn check_coverage(&self, now: Millis) {
        let at: Timestamp = self.engine.clock.now();
        let window = self.engine.feeds.coverage(at);
        let looked = if now.is_multiple_of(50 * STEP) { WINDOW_MINUTES } else { 3 };
        for back in 1..looked {
            let minute = at.minute().saturating_add(-back);
            let number = minute.number().unsigned_abs();
            if number < EPOCH / 60_000 {
                break;
            }
            if let Err(wrong) = self.supply.allows(window.of(minute), number) {
                panic!("{}: {wrong}, {back} minutes before", self.moment());
            }
        }
    }

    /// A gap begins with the last that came, however late it is noticed.
    fn check_gap(&mut self, now: Millis) {
        if matches!(self.supply.present.kind, Kind::Supplied | Kind::Dripping) {
            self.flowed = now;
        } else if !self.engine.feeds.is_delivering() {
            let report = self.engine.feeds.report(self.engine.clock.reading());
            let Some(gap) = report.gaps.last() else { return };
            let latest = Duration::from_millis(EPOCH + self.flowed + 2 * STEP).as_secs_f64();
            let from = gap.from.as_micros() as f64 / 1e6;
            assert!(from <= latest && gap.to.is_none(), "{}: {gap:?} after {latest}", self.moment());
        }
    }

    /// Bounds the time without supply while there is a feed that is well, and how long the first one is not used.
    fn check_turns(&mut self, now: Millis) {
        let well_for = |place: usize| self.fates[place].well_since(now).map_or(0, |since| now - since);
        if self.supply.present.kind == Kind::Supplied {
            self.supplied = now;
        }
        let best = (0..self.fates.len()).map(well_for).max().unwrap();
        let neglected = (now - self.supplied).min(best);
        assert!(neglected <= LONGEST, "{}: {neglected} ms without supply", self.moment());
        if let [_, _] = *self.fates {
            // The other one was well when this one failed, and long before.
            let other = well_for(1 - self.active);
            let is_over_due = now - self.supplied > FAIL_OVER && other > now - self.supplied + LONGEST;
            assert!(!is_over_due, "{}: still not turned to the other feed", self.moment());
        }
        let first = well_for(0).min(now - self.active_since);
        assert!(self.active == 0 || first <= COME_BACK, "{}: the first feed is well for {first} ms", self.moment());
    }
}

/// A moment of a life on the candles' clock.
pub(super) fn start() -> Timestamp {
    Timestamp::EPOCH.saturating_add(i64::try_from(EPOCH).unwrap() * 1000)
}

/// A time as the runtime takes it.
pub(super) const fn duration(millis: Millis) -> Duration {
    Duration::from_millis(millis)
}
