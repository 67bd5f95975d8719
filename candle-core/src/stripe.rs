//! The instruments behind one lock: a table of ids over parallel arrays. The lock itself is not part of this module.

mod closed;
mod drain;
mod slot;
mod undelivered;
mod views;

use std::sync::Arc;

use hashbrown::HashTable;

use crate::arrival::Arrival;
use crate::candle::Candle;
use crate::hash::IdHash;
use crate::history::History;
use crate::instrument_id::InstrumentId;
use crate::outcome::{Outcome, Outcomes};
use crate::record_context::RecordContext;
use crate::ring::{self, PastMut, Ring, RingRef};
use crate::rules::Rules;
use crate::tick::Tick;
use crate::time::Timestamp;
use crate::validator::Validator;
use crate::version::{Latest, Update, Version};
use crate::window::Window;
use closed::ClosedCandles;
use slot::{Flag, Slot, SlotState};
use undelivered::{SlotChanges, Undelivered};

/// The result of comparing the views of an instrument with the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FloorCheck {
    /// The instrument is a leader, or below the floor.
    Unchanged,
    /// The instrument is no leader and has reached the floor.
    Reached,
}

/// Instruments by slot.
///
/// Invariant: `slots` and `descriptions` have the same length. A slot is either in `index` under its id or in `free`.
#[derive(Debug)]
// In this order, the fields that every tick writes share the cache line of the lock. One line moves from one writer's core
// to the next, and the fields that ticks only read are in other lines.
#[repr(C)]
pub(crate) struct Stripe {
    slots: Vec<Slot>,
    /// The highest lsn of any write so far.
    lsn: u64,
    /// Candles that open before this time were delivered by [`drain_closed`](Self::drain_closed).
    delivered_until: Timestamp,
    outcomes: Outcomes,
    /// The revision given last; see [`Slot::revision`].
    last_revision: u64,
    window: Window,
    index: HashTable<u32>,
    /// A copy of the number of views that an instrument must reach to be considered as a leader.
    floor: u64,
    /// True if a view was counted since the views were last drained.
    has_new_views: bool,
    closed: ClosedCandles,
    undelivered: Undelivered,
    descriptions: Vec<Option<Arc<str>>>,
    free: Vec<u32>,
}

impl Stripe {
    /// Bytes of one slot without its closed candles, the overhead of the allocator and the spare room of the table.
    pub(crate) const SLOT_BYTES: usize = size_of::<Slot>() + size_of::<Option<Arc<str>>>();

    /// The smallest number of slots by which the arrays grow.
    pub(crate) const MIN_GROWTH: usize = 8;

    /// Returns the bytes of the closed candles of one slot.
    pub(crate) const fn closed_bytes(window: Window) -> usize {
        closed::bytes(window) + Undelivered::bytes(window)
    }

    /// Returns the number of slots in a stripe of `slots` slots for whose closed candles memory is allocated ahead.
    pub(crate) const fn spare_closed(window: Window, slots: usize) -> usize {
        closed::spare_slots(window, slots)
    }

    pub(crate) fn new(window: Window) -> Self {
        Self {
            slots: Vec::new(),
            lsn: 0,
            delivered_until: Timestamp::MIN,
            window,
            outcomes: Outcomes::default(),
            last_revision: 0,
            index: HashTable::new(),
            floor: 0,
            has_new_views: false,
            closed: ClosedCandles::new(window),
            undelivered: Undelivered::new(),
            descriptions: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Returns the slot of `id`, if it is listed. The slot that the hash's tag suggests is checked first: the table's own
    /// search executes forty more instructions.
    #[inline]
    pub(crate) fn find(&self, hash: u64, id: &[u8]) -> Option<u32> {
        let guess = self.guess(hash);
        if self.has_id(guess, id) { Some(guess) } else { self.search(hash, id) }
    }

    /// Returns the slot of an id, if it is listed. The slow path of [`find`](Self::find).
    #[cold]
    #[inline(never)]
    pub(crate) fn search(&self, hash: u64, id: &[u8]) -> Option<u32> {
        self.index.find(hash, |slot| self.slots[*slot as usize].id.is(id)).copied()
    }

    /// Returns the first slot whose tag in the table matches the hash, or an invalid slot number if there is none. The slot
    /// is nearly always that of the id. The caller confirms it with [`has_id`](Self::has_id).
    #[inline]
    pub(crate) fn guess(&self, hash: u64) -> u32 {
        self.index.find(hash, |_| true).copied().unwrap_or(u32::MAX)
    }

    /// Returns true if `id` is listed at this slot.
    #[inline]
    pub(crate) fn has_id(&self, slot: u32, id: &[u8]) -> bool {
        self.slots.get(slot as usize).is_some_and(|slot| slot.id.is(id))
    }

    /// Returns the slot, if its instrument still has this generation.
    #[inline]
    pub(crate) fn resolve(&self, slot: u32, generation: u32) -> Option<u32> {
        (self.slots.get(slot as usize)?.generation == generation).then_some(slot)
    }

    /// Lists an instrument whose id is not in the stripe, and returns its slot.
    pub(crate) fn list(&mut self, hash: u64, id: InstrumentId, hasher: &IdHash) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| self.grow(&id));
        self.slots[slot as usize].id = id;
        self.revise(slot);
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |slot| hasher.of(slots[*slot as usize].id.as_bytes()));
        slot
    }

    /// Adds an empty slot. The arrays grow by an eighth instead of doubling, because slots are large. A predictable
    /// footprint is worth a few more copies while the catalogue is built.
    fn grow(&mut self, id: &InstrumentId) -> u32 {
        let len = self.slots.len();
        if len == self.slots.capacity() {
            let more = (len / 8).max(Self::MIN_GROWTH);
            self.slots.reserve_exact(more);
            self.descriptions.reserve_exact(more);
        }
        self.slots.push(Slot {
            newest: None,
            id: id.clone(),
            generation: 0,
            last_arrival: None,
            views: 0,
            state: SlotState::default(),
        });
        self.closed.grow(len);
        self.undelivered.grow(self.window, len + 1);
        self.descriptions.push(None);
        u32::try_from(len).expect("the limit on instruments is below 2^32")
    }

    /// Removes an instrument with its candles, views and description, and makes its handles invalid.
    pub(crate) fn delist(&mut self, hash: u64, slot: u32) {
        let entry = self.index.find_entry(hash, |listed| *listed == slot);
        entry.expect("a slot that was found is in the index").remove();
        self.depart_all(slot);
        let listed = &mut self.slots[slot as usize];
        listed.generation = listed.generation.wrapping_add(1);
        listed.views = 0;
        listed.state.clear(Flag::Leader);
        listed.state.clear(Flag::NewViews);
        listed.clear(self.closed.of_mut(slot));
        self.descriptions[slot as usize] = None;
        self.revise(slot);
        self.free.push(slot);
    }

    /// Removes the candles of every instrument, delivered or not.
    pub(crate) fn clear_candles(&mut self) {
        self.undelivered.clear();
        self.delivered_until = Timestamp::MIN;
        for (number, slot) in (0..).zip(&mut self.slots) {
            self.last_revision += 1;
            slot.state.set_revision(self.last_revision);
            slot.clear(self.closed.of_mut(number));
        }
    }

    pub(crate) fn forget_arrivals(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.last_arrival = None);
    }

    /// Gives the slot a new revision, so that no earlier [`Version`] equals a later one.
    fn revise(&mut self, slot: u32) {
        self.last_revision += 1;
        self.slots[slot as usize].state.set_revision(self.last_revision);
    }

    /// Records and counts a tick of the instrument in this slot.
    #[expect(clippy::inline_always, reason = "a call takes a tenth of the time of a tick")]
    #[inline(always)]
    pub(crate) fn record(&mut self, slot: u32, tick: &Tick, rules: &Rules, context: &RecordContext) -> Outcome {
        let outcome = self.record_uncounted(slot, tick, rules, context);
        self.count_outcome(outcome, context.lsn)
    }

    /// Counts the outcome of one tick, and advances the lsn.
    #[inline]
    pub(crate) fn count_outcome(&mut self, outcome: Outcome, lsn: u64) -> Outcome {
        self.add_outcomes(outcome, 1);
        self.advance_lsn(lsn);
        outcome
    }

    /// Records a tick of the instrument in this slot. The caller counts the outcome and advances the lsn, because a batch
    /// does both once for many ticks.
    #[expect(clippy::inline_always, reason = "a call takes a tenth of the time of a tick")]
    #[inline(always)]
    pub(crate) fn record_uncounted(
        &mut self,
        slot: u32,
        tick: &Tick,
        rules: &Rules,
        context: &RecordContext,
    ) -> Outcome {
        // A candle that was delivered is over, also for a writer whose `now` is a moment behind.
        let now = if context.now < self.delivered_until { self.delivered_until } else { context.now };
        let stored = &mut self.slots[slot as usize];
        if ring::record_in_order(&mut stored.newest, self.window.interval(), tick, rules, now) {
            stored.last_arrival = Some(context.arrival);
            return Outcome::Updated;
        }
        self.record_slow(slot, tick, &rules.at(now), context.arrival)
    }

    /// Records a tick that is not in order: of a new candle, late, at a price of zero or less, or refused. Gives the slot a
    /// new revision if more than the forming candle changes.
    #[cold]
    #[inline(never)]
    fn record_slow(&mut self, slot: u32, tick: &Tick, validator: &Validator, arrival: Arrival) -> Outcome {
        let stored = &mut self.slots[slot as usize];
        let past = PastMut::new(self.window, self.closed.of_mut(slot));
        let mut changes = SlotChanges {
            window: self.window,
            slot,
            id: &stored.id,
            since: self.delivered_until,
            last_revision: &mut self.last_revision,
            state: &mut stored.state,
            undelivered: &mut self.undelivered,
        };
        let outcome = ring::record(&mut stored.newest, past, tick, validator, &mut changes);
        if outcome.is_accepted() {
            stored.last_arrival = Some(arrival);
        }
        outcome
    }

    /// Counts `ticks` ticks with this outcome.
    #[inline]
    pub(crate) fn add_outcomes(&mut self, outcome: Outcome, ticks: u64) {
        self.outcomes.add(outcome, ticks);
    }

    /// Reads both cache lines of a slot, so that they are loaded when a tick is recorded. The result has no meaning.
    #[inline]
    pub(crate) fn prefetch(&self, slot: u32) -> u64 {
        self.slots.get(slot as usize).map_or(0, |slot| u64::from(slot.newest.is_some()) ^ slot.views)
    }

    #[inline]
    pub(crate) fn advance_lsn(&mut self, lsn: u64) {
        // A branch instead of a maximum: without a log, nothing is written.
        if lsn > self.lsn {
            self.lsn = lsn;
        }
    }

    pub(crate) fn lsn(&self) -> u64 {
        self.lsn
    }

    pub(crate) fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    pub(crate) fn outcomes_mut(&mut self) -> &mut Outcomes {
        &mut self.outcomes
    }

    pub(crate) fn generation(&self, slot: u32) -> u32 {
        self.slots[slot as usize].generation
    }

    /// Returns the slots of all listed instruments, in no order.
    pub(crate) fn listed(&self) -> impl Iterator<Item = u32> {
        self.index.iter().copied()
    }

    pub(crate) fn id(&self, slot: u32) -> &InstrumentId {
        &self.slots[slot as usize].id
    }

    pub(crate) fn description(&self, slot: u32) -> Option<&Arc<str>> {
        self.descriptions[slot as usize].as_ref()
    }

    pub(crate) fn set_description(&mut self, slot: u32, description: Option<Arc<str>>) {
        // Feeds repeat their catalogue on every connect, mostly without a change.
        if self.descriptions[slot as usize] != description {
            self.descriptions[slot as usize] = description;
            self.revise(slot);
        }
    }

    pub(crate) fn newest(&self, slot: u32) -> Option<&Candle> {
        self.slots[slot as usize].newest.as_ref()
    }

    #[inline]
    pub(crate) fn ring(&self, slot: u32) -> RingRef<'_> {
        let newest = self.slots[slot as usize].newest.as_ref();
        RingRef { window: self.window, newest, past: self.closed.of(slot) }
    }

    /// Replaces the ring of a slot. `ring` must have the window of the stripe.
    pub(crate) fn set_ring(&mut self, slot: u32, ring: &Ring) {
        self.mark_differences(slot, ring);
        let (newest, past) = ring.parts();
        self.slots[slot as usize].newest = newest;
        self.closed.of_mut(slot).copy_from_slice(past);
        self.revise(slot);
    }

    #[inline]
    pub(crate) fn history(&self, slot: u32) -> History {
        let description = self.description(slot).cloned();
        let ring = Ring::copied(self.ring(slot));
        let slot = &self.slots[slot as usize];
        History { description, views: slot.views, last_arrival: slot.last_arrival, ring }
    }

    pub(crate) fn latest(&self, slot: u32) -> Latest {
        let slot = &self.slots[slot as usize];
        Latest::new(slot.views, slot.last_arrival, slot.newest, self.window.interval())
    }

    /// Copies an instrument, or only its [`Latest`] if the version is still `cached`.
    #[inline]
    pub(crate) fn update(&self, slot: u32, now: Timestamp, cached: Option<&Version>) -> Update {
        let stored = &self.slots[slot as usize];
        let version = Version::new(stored.state.revision(), stored.newest.as_ref(), self.window.open(now));
        if cached == Some(&version) {
            return Update::Unchanged(self.latest(slot));
        }
        Update::Changed(Box::new(self.history(slot)), version)
    }
}
