//! Reading a ring: single candles, the window, statistics.

use std::iter::FusedIterator;
use std::time::Duration;

use crate::candle::Candle;
use crate::interval::OpenTime;
use crate::time::Timestamp;
use crate::window::Window;
use crate::window_candle::{Gaps, WindowCandle};

/// The candles of one instrument, wherever they are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingRef<'a> {
    pub(crate) window: Window,
    pub(crate) newest: Option<&'a Candle>,
    /// See [`slots`](super::past::slots).
    pub(crate) past: &'a [Option<Candle>],
}

impl<'a> RingRef<'a> {
    fn evicted(self) -> Option<&'a Candle> {
        self.past[self.window.stored()].as_ref()
    }

    /// Returns the candle that opens at `open`, whose slot is `slot`. Includes the evicted candle, because its interval is
    /// in the window of a reader whose `now` is far behind the newest tick.
    #[inline]
    fn at(self, open: OpenTime, slot: usize) -> Option<&'a Candle> {
        match &self.past[slot] {
            Some(candle) if candle.opens_at() == open => Some(candle),
            _ => self.elsewhere(open),
        }
    }

    /// Returns the candle that opens at `open` if it is in no slot.
    fn elsewhere(self, open: OpenTime) -> Option<&'a Candle> {
        self.newest.into_iter().chain(self.evicted()).find(|candle| candle.opens_at() == open)
    }

    /// Returns the candles in slots, oldest first.
    fn closed(self) -> impl DoubleEndedIterator<Item = &'a Candle> {
        // The slot after that of the newest candle has the oldest one.
        let first = self.newest.map_or(0, |newest| self.window.slot(newest.opens_at()));
        let (second, first) = self.past[..self.window.stored()].split_at(first);
        first.iter().chain(second).flatten()
    }

    /// Returns every candle, oldest first.
    pub(crate) fn stored(self) -> impl DoubleEndedIterator<Item = &'a Candle> {
        self.evicted().into_iter().chain(self.remaining())
    }

    /// Returns every candle but the evicted one, oldest first.
    pub(crate) fn remaining(self) -> impl DoubleEndedIterator<Item = &'a Candle> {
        self.closed().chain(self.newest)
    }

    /// Returns the candle that opens at `open`, unless it left the ring.
    #[inline]
    pub(crate) fn remaining_at(self, open: OpenTime) -> Option<&'a Candle> {
        let is_it = |candle: &&Candle| candle.opens_at() == open;
        self.newest.filter(is_it).or_else(|| self.past[self.window.slot(open)].as_ref().filter(is_it))
    }

    /// Returns the newest candle before `open`.
    fn before(self, open: OpenTime) -> Option<&'a Candle> {
        if self.newest.is_some_and(|newest| newest.opens_at() < open) {
            return self.newest;
        }
        let older = self.evicted().into_iter().chain(self.closed());
        older.take_while(|candle| candle.opens_at() < open).last()
    }

    pub(crate) fn usual_gap(self, now: Timestamp) -> Option<Duration> {
        let forming = self.window.open(now);
        // Without the evicted candle, which may be much older.
        let over = || self.remaining().take_while(|candle| candle.opens_at() < forming);
        let (first, last) = (over().next()?.first_time(), over().last()?.last_time());
        let ticks: u64 = over().map(|candle| u64::from(candle.count())).sum();
        let micros = u64::try_from(last.micros_since(first)).unwrap_or(0);
        Some(Duration::from_micros(micros.checked_div(ticks - 1)?))
    }

    #[inline]
    pub(crate) fn candles(self, now: Timestamp, gaps: Gaps) -> WindowCandles<'a> {
        WindowCandles::new(self, now, gaps)
    }
}

/// The candles of a window, oldest first. Returned by [`Ring::candles`](crate::Ring::candles).
///
/// ```
/// use candle_core::{Gaps, Ring, Rules, Tick, Timestamp};
///
/// let now = Timestamp::EPOCH;
/// let mut ring = Ring::default();
/// let _ = ring.record(&Tick::new(now, 7.0), &Rules::default().at(now));
/// let candles = ring.candles(now.saturating_add(120_000_000), Gaps::Filled);
/// assert_eq!(candles.len(), 3);
/// assert!(candles.rev().next().unwrap().filled);
/// ```
#[derive(Clone, Debug)]
pub struct WindowCandles<'a> {
    ring: RingRef<'a>,
    gaps: Gaps,
    forming: OpenTime,
    /// The open time of the next candle from the front, and its slot.
    open: OpenTime,
    slot: usize,
    /// The number of intervals left, with or without a candle.
    left: usize,
    /// The close before the next candle from the front. It fills gaps.
    previous: Option<f64>,
    /// The close that fills the next gap from the back, if a gap was the last one that was returned from there.
    filling: Option<f64>,
}

impl<'a> WindowCandles<'a> {
    fn new(ring: RingRef<'a>, now: Timestamp, gaps: Gaps) -> Self {
        let window = ring.window;
        let forming = window.open(now);
        let open = window.first(forming);
        let left = window.candles().min(window.intervals(open, forming) + 1);
        let previous = ring.before(open).map(Candle::close);
        let slot = window.slot(open);
        let mut candles = Self { ring, gaps, forming, open, slot, left, previous, filling: None };
        // There is no candle before the first tick.
        while candles.previous.is_none() && candles.left > 0 && ring.at(candles.open, candles.slot).is_none() {
            candles.step();
        }
        candles
    }

    /// Returns the last `n` of these candles.
    pub(crate) fn last_of(mut self, n: usize) -> Self {
        match self.gaps {
            Gaps::Filled => {
                for _ in n..self.left {
                    self.next();
                }
            }
            Gaps::Omitted => {
                let mut back = self.clone();
                back.by_ref().rev().take(n).for_each(drop);
                for _ in 0..back.left {
                    self.step();
                }
            }
        }
        self
    }

    /// Goes on to the next interval.
    #[inline]
    fn step(&mut self) {
        self.left -= 1;
        self.open = self.ring.window.after(self.open, 1);
        self.slot = self.ring.window.slot_after(self.slot, 1);
    }

    /// Returns the stored candle `steps` intervals after the next one from the front, and its open time.
    #[inline]
    fn ahead(&self, steps: usize) -> (OpenTime, Option<&'a Candle>) {
        let open = self.ring.window.after(self.open, steps);
        (open, self.ring.at(open, self.ring.window.slot_after(self.slot, steps)))
    }

    #[inline]
    fn filler(&self, open: OpenTime, close: f64) -> WindowCandle {
        WindowCandle::filler(self.ring.window.interval(), open, close, self.forming)
    }

    #[inline]
    fn traded(&self, open: OpenTime, candle: &Candle) -> WindowCandle {
        WindowCandle::traded_at(self.ring.window.interval(), open, candle, self.forming)
    }
}

impl Iterator for WindowCandles<'_> {
    type Item = WindowCandle;

    #[inline]
    fn next(&mut self) -> Option<WindowCandle> {
        while self.left > 0 {
            let (open, candle) = self.ahead(0);
            self.step();
            if let Some(candle) = candle {
                self.previous = Some(candle.close());
                return Some(self.traded(open, candle));
            }
            if let (Gaps::Filled, Some(close)) = (self.gaps, self.previous) {
                return Some(self.filler(open, close));
            }
        }
        None
    }

    /// For `for_each`, `sum` and the like: the state stays in registers.
    #[inline]
    fn fold<B, F: FnMut(B, WindowCandle) -> B>(self, init: B, mut f: F) -> B {
        let (window, gaps, forming) = (self.ring.window, self.gaps, self.forming);
        let (mut folded, mut previous) = (init, self.previous);
        for steps in 0..self.left {
            let (open, candle) = self.ahead(steps);
            let candle = match (candle, gaps, previous) {
                (Some(candle), _, _) => {
                    previous = Some(candle.close());
                    WindowCandle::traded_at(window.interval(), open, candle, forming)
                }
                (None, Gaps::Filled, Some(close)) => WindowCandle::filler(window.interval(), open, close, forming),
                _ => continue,
            };
            folded = f(folded, candle);
        }
        folded
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = match self.gaps {
            Gaps::Filled => self.left,
            Gaps::Omitted => (0..self.left).filter(|steps| self.ahead(*steps).1.is_some()).count(),
        };
        (len, Some(len))
    }
}

impl DoubleEndedIterator for WindowCandles<'_> {
    fn next_back(&mut self) -> Option<WindowCandle> {
        while self.left > 0 {
            self.left -= 1;
            let (open, candle) = self.ahead(self.left);
            if let Some(candle) = candle {
                self.filling = None;
                return Some(self.traded(open, candle));
            }
            if self.gaps == Gaps::Filled {
                let before = |steps| self.ahead(steps).1.map(Candle::close);
                let close = self.filling.or_else(|| (0..self.left).rev().find_map(before)).or(self.previous)?;
                self.filling = Some(close);
                return Some(self.filler(open, close));
            }
        }
        None
    }
}

impl ExactSizeIterator for WindowCandles<'_> {}

impl FusedIterator for WindowCandles<'_> {}
