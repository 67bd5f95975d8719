//! The marks of candles that must be delivered.

use super::slot::{Flag, SlotState};
use crate::candle::Candle;
use crate::instrument_id::InstrumentId;
use crate::ring::Changes;
use crate::time::Timestamp;
use crate::window::Window;

/// The smallest number of slots by which the marks grow.
const MIN_GROWTH: usize = 8;

/// The state of the delivery of closed candles.
///
/// Invariant: after the first delivery, every candle that opens before `since` was delivered, except those with a mark in
/// `revised` and those in `departed`.
#[derive(Debug)]
pub(super) struct Undelivered {
    /// True after the first delivery.
    pub(super) is_started: bool,
    /// One bit for each slot of each ring: the candle changed after it was delivered.
    pub(super) revised: Vec<u64>,
    /// True if a bit may be set.
    pub(super) has_revised: bool,
    /// Candles that left their ring, or whose instrument was delisted.
    pub(super) departed: Vec<(InstrumentId, Candle)>,
}

/// The largest number of candles of delisted instruments in each stripe before the first delivery. A program that never
/// asks for closed candles uses no more memory for them.
const MAX_DEPARTED_BEFORE_START: usize = 256;

/// Returns the number of words with a bit for each slot of a ring.
const fn words(window: Window) -> usize {
    window.stored().div_ceil(u64::BITS as usize)
}

impl Undelivered {
    pub(super) const fn new() -> Self {
        Self { is_started: false, revised: Vec::new(), has_revised: false, departed: Vec::new() }
    }

    /// Makes room for the marks of one more slot.
    pub(super) fn grow(&mut self, window: Window, slots: usize) {
        if self.revised.len() < slots * words(window) {
            self.revised.reserve_exact(slots.div_ceil(8).max(MIN_GROWTH) * words(window));
            self.revised.resize(slots * words(window), 0);
        }
    }

    /// Bytes of the marks of one slot.
    pub(super) const fn bytes(window: Window) -> usize {
        words(window) * size_of::<u64>()
    }

    fn bit(window: Window, slot: u32, candle: &Candle) -> (usize, u64) {
        let bit = window.slot(candle.opens_at());
        (slot as usize * words(window) + bit / 64, 1 << (bit % 64))
    }

    pub(super) fn is_marked(&self, window: Window, slot: u32, candle: &Candle) -> bool {
        let (word, mask) = Self::bit(window, slot, candle);
        self.revised[word] & mask != 0
    }

    pub(super) fn mark(&mut self, window: Window, slot: u32, candle: &Candle) {
        let (word, mask) = Self::bit(window, slot, candle);
        self.revised[word] |= mask;
        self.has_revised = true;
    }

    /// Removes the mark of a candle, and returns true if it had one.
    pub(super) fn unmark(&mut self, window: Window, slot: u32, candle: &Candle) -> bool {
        let (word, mask) = Self::bit(window, slot, candle);
        let was_marked = self.revised[word] & mask != 0;
        self.revised[word] &= !mask;
        was_marked
    }

    pub(super) fn depart(&mut self, id: &InstrumentId, candle: &Candle) {
        if self.is_started || self.departed.len() < MAX_DEPARTED_BEFORE_START {
            self.departed.push((id.clone(), *candle));
        }
    }

    /// Forgets every candle and every delivery.
    pub(super) fn clear(&mut self) {
        self.revised.fill(0);
        self.has_revised = false;
        self.departed.clear();
    }
}

/// Observes the changes of one slot: gives it a new revision before its past candles change, and marks what must be
/// delivered.
pub(super) struct SlotChanges<'a> {
    pub(super) window: Window,
    pub(super) slot: u32,
    pub(super) id: &'a InstrumentId,
    pub(super) since: Timestamp,
    pub(super) last_revision: &'a mut u64,
    pub(super) state: &'a mut SlotState,
    pub(super) undelivered: &'a mut Undelivered,
}

impl Changes for SlotChanges<'_> {
    fn changing(&mut self) {
        *self.last_revision += 1;
        self.state.set_revision(*self.last_revision);
    }

    fn left(&mut self, candle: &Candle) {
        if !self.undelivered.is_started {
            return;
        }
        let is_marked = self.undelivered.has_revised && self.undelivered.unmark(self.window, self.slot, candle);
        if is_marked || candle.open_time() >= self.since {
            self.undelivered.depart(self.id, candle);
        }
    }

    fn revised(&mut self, candle: &Candle) {
        if candle.open_time() < self.since {
            self.undelivered.mark(self.window, self.slot, candle);
            self.state.set(Flag::Revised);
        }
    }
}
