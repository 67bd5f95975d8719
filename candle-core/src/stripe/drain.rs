//! The closed candles that were not delivered yet.

use super::Stripe;
use super::slot::Flag;
use crate::candle::Candle;
use crate::instrument_id::InstrumentId;
use crate::ring::{Ring, RingRef};
use crate::time::Timestamp;
use crate::window_candle::WindowCandle;

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
        let (old, new) = (Ring::copied(self.ring(slot)), ring.as_ref());
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
