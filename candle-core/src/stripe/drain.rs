//! The closed candles that were not delivered yet.

use super::{Flag, Stripe};
use crate::candle::Candle;
use crate::instrument_id::InstrumentId;
use crate::ring::{Changes, Ring, RingRef};
use crate::time::Timestamp;
use crate::window::Window;
use crate::window_candle::WindowCandle;

/// The state of the delivery of closed candles.
///
/// Invariant: after the first delivery, every candle that opens before `since` was delivered, except those with a mark in
/// `revised` and those in `departed`.
#[derive(Debug)]
pub(super) struct Undelivered {
    /// True after the first delivery.
    is_started: bool,
    /// One bit for each slot of each ring: the candle changed after it was delivered.
    revised: Vec<u64>,
    /// True if a bit may be set.
    has_revised: bool,
    /// Candles that left their ring, or whose instrument was delisted.
    departed: Vec<(InstrumentId, Candle)>,
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
            self.revised.reserve_exact(slots.div_ceil(8).max(Stripe::MIN_GROWTH) * words(window));
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

    fn is_marked(&self, window: Window, slot: u32, candle: &Candle) -> bool {
        let (word, mask) = Self::bit(window, slot, candle);
        self.revised[word] & mask != 0
    }

    fn mark(&mut self, window: Window, slot: u32, candle: &Candle) {
        let (word, mask) = Self::bit(window, slot, candle);
        self.revised[word] |= mask;
        self.has_revised = true;
    }

    /// Removes the mark of a candle, and returns true if it had one.
    fn unmark(&mut self, window: Window, slot: u32, candle: &Candle) -> bool {
        let (word, mask) = Self::bit(window, slot, candle);
        let was_marked = self.revised[word] & mask != 0;
        self.revised[word] &= !mask;
        was_marked
    }

    fn depart(&mut self, id: &InstrumentId, candle: &Candle) {
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
    pub(super) state: &'a mut super::SlotState,
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

impl Stripe {
    /// Returns true if a candle of the ring of this slot was not delivered, forming or not.
    fn is_undelivered(&self, slot: u32, candle: &Candle) -> bool {
        candle.open_time() >= self.delivered_until || self.undelivered.is_marked(self.window, slot, candle)
    }

    /// Moves the candles of a slot that were not delivered out of the ring, because the instrument is delisted.
    pub(super) fn depart_all(&mut self, slot: u32) {
        let candles: Vec<_> =
            self.ring(slot).remaining().filter(|candle| self.is_undelivered(slot, candle)).copied().collect();
        let id = self.id(slot).clone();
        for candle in &candles {
            self.undelivered.unmark(self.window, slot, candle);
            self.undelivered.depart(&id, candle);
        }
        self.slots[slot as usize].state.clear(Flag::Revised);
    }

    /// Prepares the replacement of the ring of a slot by `ring`: marks the delivered candles that differ, and moves the
    /// undelivered ones that `ring` does not contain out of the ring.
    pub(super) fn mark_differences(&mut self, slot: u32, ring: &Ring) {
        if !self.undelivered.is_started {
            return;
        }
        let (old, new) = (self.ring(slot).to_ring(), ring.as_ref());
        let same = |ring: RingRef<'_>, candle: &Candle| {
            ring.remaining().find(|other| other.opens_at() == candle.opens_at()).copied()
        };
        let id = self.id(slot).clone();
        let mut marked: Vec<_> = new
            .remaining()
            .filter(|candle| candle.open_time() < self.delivered_until && same(old.as_ref(), candle) != Some(**candle))
            .copied()
            .collect();
        for candle in old.as_ref().remaining() {
            let is_undelivered = self.is_undelivered(slot, candle);
            let is_marked = self.undelivered.unmark(self.window, slot, candle);
            match same(new, candle) {
                Some(candle) if is_marked => marked.push(candle),
                None if is_undelivered => self.undelivered.depart(&id, candle),
                _ => {}
            }
        }
        for candle in &marked {
            self.undelivered.mark(self.window, slot, candle);
            self.slots[slot as usize].state.set(Flag::Revised);
        }
    }

    /// Appends the candles that closed until `now` and were not delivered, and those that changed since they were. Of one
    /// instrument, the oldest comes first.
    pub(crate) fn drain_closed(&mut self, now: Timestamp, out: &mut Vec<(InstrumentId, WindowCandle)>) {
        let interval = self.window.interval();
        // A delivery does not go back.
        let until = interval.open_time(now).max(self.delivered_until);
        let forming = interval.open(until);
        let undelivered = &mut self.undelivered;
        undelivered.is_started = true;
        undelivered.departed.retain(|(id, candle)| {
            let is_open = candle.opens_at() >= forming;
            if !is_open {
                out.push((id.clone(), WindowCandle::traded(interval, candle, forming)));
            }
            is_open
        });
        let (is_later, has_revised) = (until > self.delivered_until, undelivered.has_revised);
        if !is_later && !has_revised {
            return;
        }
        let steps = until.micros_since(self.delivered_until) / interval.micros();
        for slot in self.index.iter().copied() {
            let stored = &self.slots[slot as usize];
            let is_revised = has_revised && stored.state.has(Flag::Revised);
            let ring = RingRef { window: self.window, newest: stored.newest.as_ref(), past: self.closed.of(slot) };
            let mut deliver = |candle: &Candle| {
                out.push((stored.id.clone(), WindowCandle::traded(interval, candle, forming)));
            };
            if is_revised || steps > 1 {
                let revised = &self.undelivered;
                let is_due = |candle: &&Candle| {
                    candle.opens_at() < forming
                        && (candle.open_time() >= self.delivered_until || revised.is_marked(self.window, slot, candle))
                };
                ring.remaining().filter(is_due).for_each(&mut deliver);
            } else if is_later {
                // The usual case: one interval was over since the last delivery.
                ring.remaining_at(interval.open(self.delivered_until)).into_iter().for_each(&mut deliver);
            }
        }
        if has_revised {
            self.slots.iter_mut().for_each(|slot| slot.state.clear(Flag::Revised));
            self.undelivered.revised.fill(0);
            self.undelivered.has_revised = false;
        }
        self.delivered_until = until;
    }
}
