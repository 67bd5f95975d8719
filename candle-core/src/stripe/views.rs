//! The views of the instruments in a stripe, the leader flags and the copy of the floor.

use super::slot::Flag;
use super::{FloorCheck, Stripe};
use crate::leaders::Rank;

impl Stripe {
    /// Counts a view.
    #[inline]
    pub(crate) fn count_view(&mut self, slot: u32) -> FloorCheck {
        let slot = &mut self.slots[slot as usize];
        // Saturating, because a restored snapshot may contain any number.
        slot.views = slot.views.saturating_add(1);
        slot.state.set(Flag::NewViews);
        self.has_new_views = true;
        if slot.views >= self.floor && !slot.state.has(Flag::Leader) {
            FloorCheck::Reached
        } else {
            FloorCheck::Unchanged
        }
    }

    #[inline]
    pub(crate) fn views(&self, slot: u32) -> u64 {
        self.slots[slot as usize].views
    }

    /// Calls `each` with the slots that were viewed since the last call.
    pub(crate) fn drain_viewed(&mut self, mut each: impl FnMut(&Self, u32)) {
        if !std::mem::take(&mut self.has_new_views) {
            return;
        }
        for slot in (0..).take(self.slots.len()) {
            if self.slots[slot as usize].state.has(Flag::NewViews) {
                self.slots[slot as usize].state.clear(Flag::NewViews);
                each(self, slot);
            }
        }
    }

    pub(crate) fn set_views(&mut self, slot: u32, views: u64) {
        self.slots[slot as usize].views = views;
    }

    pub(crate) fn set_floor(&mut self, views: u64) {
        self.floor = views;
    }

    pub(crate) fn rank(&self, slot: u32) -> Rank {
        Rank { views: self.views(slot), id: self.id(slot).clone() }
    }

    pub(crate) fn is_leader(&self, slot: u32) -> bool {
        self.slots[slot as usize].state.has(Flag::Leader)
    }

    pub(crate) fn set_leader(&mut self, slot: u32) {
        self.slots[slot as usize].state.set(Flag::Leader);
    }

    pub(crate) fn clear_leader(&mut self, slot: u32) {
        self.slots[slot as usize].state.clear(Flag::Leader);
    }
}
