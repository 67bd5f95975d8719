//! The closed candles of the instruments of a stripe, in chunks that are found by the number of the slot.

use crate::candle::Candle;
use crate::ring;
use crate::window::Window;

/// The past candles of each slot; see [`ring::slots`]. A chunk has the candles of a power of two of neighbouring slots, so
/// that a slot needs no pointer to its candles, and memory does not move when slots are added.
#[derive(Debug)]
pub(super) struct ClosedCandles {
    chunks: Vec<Vec<Option<Candle>>>,
    /// The number of candles of a slot.
    per_slot: usize,
    /// The binary logarithm of the slots of a chunk.
    shift: u32,
}

/// The largest chunk in bytes, unless a single slot takes more.
const CHUNK_BYTES: usize = 32 * 1024;

impl ClosedCandles {
    pub(super) const fn new(window: Window) -> Self {
        Self { chunks: Vec::new(), per_slot: ring::slots(window), shift: chunk_slots(window).ilog2() }
    }

    /// Makes room for one more slot, if `slots` slots are in use.
    pub(super) fn grow(&mut self, slots: usize) {
        let (chunk, first) = (slots >> self.shift, (slots & ((1 << self.shift) - 1)) * self.per_slot);
        if chunk == self.chunks.len() {
            self.chunks.push(Vec::new());
        }
        // A stripe with few slots takes no more memory than they need. In a large one, half a chunk is nothing.
        let room = if slots < EXACT_SLOTS { self.per_slot } else { (self.per_slot << self.shift) - first };
        let chunk = &mut self.chunks[chunk];
        if chunk.len() == first {
            chunk.reserve_exact(room);
            chunk.resize(first + room, None);
        }
    }

    #[inline]
    pub(super) fn of(&self, slot: u32) -> &[Option<Candle>] {
        let (chunk, first) = self.position(slot);
        &self.chunks[chunk][first..first + self.per_slot]
    }

    #[inline]
    pub(super) fn of_mut(&mut self, slot: u32) -> &mut [Option<Candle>] {
        let (chunk, first) = self.position(slot);
        &mut self.chunks[chunk][first..first + self.per_slot]
    }

    #[inline]
    fn position(&self, slot: u32) -> (usize, usize) {
        let slot = slot as usize;
        (slot >> self.shift, (slot & ((1 << self.shift) - 1)) * self.per_slot)
    }
}

/// The number of slots up to which memory is allocated slot by slot.
const EXACT_SLOTS: usize = 64;

/// Returns the number of slots whose memory is spare on average in a stripe with `slots` slots.
pub(super) const fn spare_slots(window: Window, slots: usize) -> usize {
    if slots < EXACT_SLOTS { 0 } else { (chunk_slots(window) - 1) / 2 }
}

/// Bytes of the closed candles of one slot.
pub(super) const fn bytes(window: Window) -> usize {
    ring::slots(window) * size_of::<Option<Candle>>()
}

/// Returns the number of slots of a chunk.
const fn chunk_slots(window: Window) -> usize {
    let fitting = CHUNK_BYTES / bytes(window);
    if fitting == 0 { 1 } else { 1 << fitting.ilog2() }
}
