//! One instrument of a stripe.

use crate::arrival::Arrival;
use crate::candle::Candle;
use crate::instrument_id::InstrumentId;

/// One instrument in two neighbouring cache lines: the fields of the newest candle that a tick in order changes, and the
/// fields that a look-up or a view needs.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Slot {
    pub(super) newest: Option<Candle>,
    pub(super) id: InstrumentId,
    pub(super) generation: u32,
    pub(super) last_arrival: Option<Arrival>,
    pub(super) views: u64,
    pub(super) state: SlotState,
}

/// The revision of a slot, and flags in its low bits.
///
/// The revision is the number of the last change of this slot within the stripe. Ticks in order and views give no new
/// revision; see [`Version`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SlotState(u64);

/// A flag of a slot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flag {
    Leader = 1,
    /// The instrument was viewed since the views were last drained.
    NewViews = 2,
    /// A candle was changed after it was delivered as closed.
    Revised = 4,
}

impl SlotState {
    const FLAG_BITS: u32 = 4;

    pub(super) const fn revision(self) -> u64 {
        self.0 >> Self::FLAG_BITS
    }

    pub(super) const fn set_revision(&mut self, revision: u64) {
        self.0 = revision << Self::FLAG_BITS | self.0 & ((1 << Self::FLAG_BITS) - 1);
    }

    #[inline]
    pub(super) const fn has(self, flag: Flag) -> bool {
        self.0 & flag as u64 != 0
    }

    #[inline]
    pub(super) const fn set(&mut self, flag: Flag) {
        self.0 |= flag as u64;
    }

    pub(super) const fn clear(&mut self, flag: Flag) {
        self.0 &= !(flag as u64);
    }
}

const _: () = assert!(size_of::<Slot>() == 128);

impl Slot {
    pub(super) fn clear(&mut self, past: &mut [Option<Candle>]) {
        self.last_arrival = None;
        if self.newest.take().is_some() {
            past.fill(None);
        }
    }
}
