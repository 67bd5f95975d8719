//! One lock's share of the instruments: a table of ids over parallel arrays, which knows nothing of locks.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::arrival::Arrival;
use crate::candle::Candle;
use crate::hash::IdHash;
use crate::history::History;
use crate::instrument::InstrumentId;
use crate::outcome::{Outcome, Outcomes};
use crate::record_context::RecordContext;
use crate::ring::{self, Past, Ring};
use crate::tick::{Rules, Tick, Validator};
use crate::time::Timestamp;
use crate::top_k::Rank;
use crate::version::{Latest, Update, Version};

/// Instruments by slot.
///
/// Invariant: `slots` and `descriptions` are of one length; a slot is either in `index` under its id or in `free`.
#[derive(Debug, Default)]
// The lock comes before it; what each tick changes lies in the lock's own cache line, so that one line travels from one
// writer's core to the next, and what ticks only read lies apart.
#[repr(C)]
pub(crate) struct Stripe {
    slots: Vec<Slot>,
    /// The highest lsn of any write so far.
    lsn: u64,
    outcomes: Outcomes,
    /// How many changes there were, but for ticks in order and views, so that no two of them have one number.
    changes: u64,
    index: HashTable<u32>,
    /// This stripe's copy of the views that one who is no leader must reach to be considered.
    floor: u64,
    /// Whether any views were counted since the counts were last taken.
    has_new_views: bool,
    descriptions: Vec<Option<Arc<str>>>,
    free: Vec<u32>,
}

/// What a tick or a view needs of one instrument, in two neighbouring cache lines: the newest candle, which a tick in order
/// changes, and what a look-up compares.
#[derive(Debug)]
#[repr(C)]
struct Slot {
    newest: Option<Candle>,
    id: InstrumentId,
    generation: u32,
    last_arrival: Option<Arrival>,
    views: u64,
    /// Which change of the stripe this slot last saw; see [`Version`].
    revision: u64,
    past: Box<Past>,
    is_leader: bool,
    /// Whether it was viewed since the counts were last taken.
    is_viewed: bool,
}

const _: () = assert!(size_of::<Slot>() == 128);

/// What counting a view led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Viewed {
    /// Nothing: it is a leader, or far from being one.
    Counted,
    /// It is no leader and has reached the floor.
    CrossedFloor,
}

impl Stripe {
    /// Bytes that one slot takes, without what the allocator and the table's spare room add.
    pub(crate) const SLOT_BYTES: usize = size_of::<Slot>() + size_of::<Option<Arc<str>>>() + Self::BOXED_BYTES;

    /// Those of them that are allocated one by one.
    pub(crate) const BOXED_BYTES: usize = size_of::<Past>();

    /// Room grows by at least this many slots at a time.
    pub(crate) const MIN_GROWTH: usize = 8;

    /// The slot of an id, if it is listed. The guess first: to compare ids within the table's own search takes forty
    /// instructions more.
    #[inline]
    pub(crate) fn find(&self, hash: u64, id: &[u8]) -> Option<u32> {
        let guess = self.guess(hash);
        if self.is_at(guess, id) { Some(guess) } else { self.search(hash, id) }
    }

    /// What [`find`](Self::find) does where the guess is wrong.
    #[cold]
    #[inline(never)]
    pub(crate) fn search(&self, hash: u64, id: &[u8]) -> Option<u32> {
        self.index.find(hash, |slot| self.slots[*slot as usize].id.is(id)).copied()
    }

    /// The first slot whose id has this hash as far as the table remembers it: nearly always that of the id, if it is
    /// listed, and found without waiting for its line; else a place where no slot is. [`is_at`](Self::is_at)
    /// tells.
    #[inline]
    pub(crate) fn guess(&self, hash: u64) -> u32 {
        self.index.find(hash, |_| true).copied().unwrap_or(u32::MAX)
    }

    /// Whether `id` is listed at this slot.
    #[inline]
    pub(crate) fn is_at(&self, slot: u32, id: &[u8]) -> bool {
        self.slots.get(slot as usize).is_some_and(|slot| slot.id.is(id))
    }

    /// The slot, if it still belongs to the instrument that had this generation.
    #[inline]
    pub(crate) fn check(&self, slot: u32, generation: u32) -> Option<u32> {
        (self.slots.get(slot as usize)?.generation == generation).then_some(slot)
    }

    /// Lists an instrument whose id is not in here, and returns its slot.
    pub(crate) fn list(&mut self, hash: u64, id: InstrumentId, hasher: &IdHash) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| self.grow(&id));
        self.slots[slot as usize].id = id;
        self.change(slot);
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |slot| hasher.of(slots[*slot as usize].id.as_bytes()));
        slot
    }

    /// Adds an empty slot. Room grows by an eighth, not by doubling: candles are large, and a predictable footprint is
    /// worth more than the few copies it saves while the catalogue builds up.
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
            revision: 0,
            past: Box::default(),
            is_leader: false,
            is_viewed: false,
        });
        self.descriptions.push(None);
        u32::try_from(len).expect("the limit on instruments is below 2^32")
    }

    /// Removes the instrument with all that is known of it, and makes its handles find nothing.
    pub(crate) fn delist(&mut self, hash: u64, slot: u32) {
        let entry = self.index.find_entry(hash, |listed| *listed == slot);
        entry.expect("a slot that was found is in the index").remove();
        let listed = &mut self.slots[slot as usize];
        listed.generation = listed.generation.wrapping_add(1);
        listed.views = 0;
        listed.is_leader = false;
        listed.is_viewed = false;
        listed.clear();
        self.descriptions[slot as usize] = None;
        self.change(slot);
        self.free.push(slot);
    }

    /// Forgets the candles of every instrument, and nothing else.
    pub(crate) fn clear_candles(&mut self) {
        for slot in &mut self.slots {
            self.changes += 1;
            slot.revision = self.changes;
            slot.clear();
        }
    }

    pub(crate) fn forget_arrivals(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.last_arrival = None);
    }

    /// Makes every [`Version`] of the slot so far an old one.
    fn change(&mut self, slot: u32) {
        self.changes += 1;
        self.slots[slot as usize].revision = self.changes;
    }

    /// Records a tick of this slot's instrument.
    #[inline]
    pub(crate) fn record(&mut self, slot: u32, tick: &Tick, rules: &Rules, context: &RecordContext) -> Outcome {
        let outcome = self.fold(slot, tick, rules, context);
        self.note(outcome, context.lsn)
    }

    /// Counts a tick under its outcome.
    #[inline]
    pub(crate) fn note(&mut self, outcome: Outcome, lsn: u64) -> Outcome {
        self.count(outcome, 1);
        self.advance_lsn(lsn);
        outcome
    }

    /// Puts a tick into this slot's candles, and leaves to the caller, who may have many, to count it and to advance the
    /// lsn.
    #[inline]
    pub(crate) fn fold(&mut self, slot: u32, tick: &Tick, rules: &Rules, context: &RecordContext) -> Outcome {
        let slot = &mut self.slots[slot as usize];
        if ring::record_in_order(&mut slot.newest, tick, rules, context.now) {
            slot.last_arrival = Some(context.arrival);
            return Outcome::Updated;
        }
        slot.record_elsewhere(tick, &rules.at(context.now), context.arrival, &mut self.changes)
    }

    /// Counts so many ticks under their outcome.
    #[inline]
    pub(crate) fn count(&mut self, outcome: Outcome, ticks: u64) {
        self.outcomes.add(outcome, ticks);
    }

    /// Reads both lines of a slot, so that they are near when a tick is recorded; the value tells nothing.
    #[inline]
    pub(crate) fn touch(&self, slot: u32) -> u64 {
        self.slots.get(slot as usize).map_or(0, |slot| u64::from(slot.newest.is_some()) ^ slot.views)
    }

    #[inline]
    pub(crate) fn advance_lsn(&mut self, lsn: u64) {
        // A branch on purpose: without a log there is nothing to write.
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

    /// Counts a view.
    #[inline]
    pub(crate) fn count_view(&mut self, slot: u32) -> Viewed {
        let slot = &mut self.slots[slot as usize];
        // Saturating, because a snapshot from outside may hold any count.
        slot.views = slot.views.saturating_add(1);
        slot.is_viewed = true;
        self.has_new_views = true;
        if slot.views >= self.floor && !slot.is_leader { Viewed::CrossedFloor } else { Viewed::Counted }
    }

    #[inline]
    pub(crate) fn views(&self, slot: u32) -> u64 {
        self.slots[slot as usize].views
    }

    /// Calls `each` with the slots that were viewed since the last call.
    pub(crate) fn drain_view_totals(&mut self, mut each: impl FnMut(&Self, u32)) {
        if !std::mem::take(&mut self.has_new_views) {
            return;
        }
        for slot in (0..).take(self.slots.len()) {
            if std::mem::take(&mut self.slots[slot as usize].is_viewed) {
                each(self, slot);
            }
        }
    }

    pub(crate) fn set_views(&mut self, slot: u32, views: u64) {
        self.slots[slot as usize].views = views;
    }

    pub(crate) fn generation(&self, slot: u32) -> u32 {
        self.slots[slot as usize].generation
    }

    pub(crate) fn set_floor(&mut self, views: u64) {
        self.floor = views;
    }

    pub(crate) fn rank(&self, slot: u32) -> Rank {
        Rank { views: self.views(slot), id: self.id(slot).clone() }
    }

    pub(crate) fn is_leader(&self, slot: u32) -> bool {
        self.slots[slot as usize].is_leader
    }

    pub(crate) fn set_leader(&mut self, slot: u32) {
        self.slots[slot as usize].is_leader = true;
    }

    pub(crate) fn clear_leader(&mut self, slot: u32) {
        self.slots[slot as usize].is_leader = false;
    }

    /// The slots of everything listed, in no order.
    pub(crate) fn listed(&self) -> impl Iterator<Item = u32> {
        self.index.iter().copied()
    }

    pub(crate) fn id(&self, slot: u32) -> &InstrumentId {
        &self.slots[slot as usize].id
    }

    pub(crate) fn description(&self, slot: u32) -> Option<&Arc<str>> {
        self.descriptions[slot as usize].as_ref()
    }

    pub(crate) fn describe(&mut self, slot: u32, description: Option<Arc<str>>) {
        // Feeds repeat their catalogue on every connect, mostly word for word.
        if self.descriptions[slot as usize] != description {
            self.descriptions[slot as usize] = description;
            self.change(slot);
        }
    }

    pub(crate) fn newest(&self, slot: u32) -> Option<&Candle> {
        self.slots[slot as usize].newest.as_ref()
    }

    pub(crate) fn ring(&self, slot: u32) -> Ring {
        self.slots[slot as usize].ring()
    }

    pub(crate) fn set_ring(&mut self, slot: u32, ring: Ring) {
        let place = &mut self.slots[slot as usize];
        (place.newest, *place.past) = ring.into_parts();
        self.change(slot);
    }

    #[inline]
    pub(crate) fn history(&self, slot: u32) -> History {
        let description = self.description(slot).cloned();
        let slot = &self.slots[slot as usize];
        History { description, views: slot.views, last_arrival: slot.last_arrival, ring: slot.ring() }
    }

    pub(crate) fn latest(&self, slot: u32) -> Latest {
        let slot = &self.slots[slot as usize];
        Latest::new(slot.views, slot.last_arrival, slot.newest)
    }

    /// All of an instrument, or only the latest of it where the reader knows the rest.
    #[inline]
    pub(crate) fn update(&self, slot: u32, now: Timestamp, known: Option<&Version>) -> Update {
        let place = &self.slots[slot as usize];
        let version = Version::new(place.revision, place.newest.as_ref(), now);
        if known == Some(&version) {
            return Update::Unchanged(Latest::new(place.views, place.last_arrival, place.newest));
        }
        Update::Changed(Box::new(self.history(slot)), version)
    }
}

impl Slot {
    /// Records a tick that takes a closer look: of a new minute, late, at a price of zero or less, or to be refused. What is
    /// more than a change of the forming candle is noted in `changes`.
    #[cold]
    #[inline(never)]
    fn record_elsewhere(&mut self, tick: &Tick, validator: &Validator, arrival: Arrival, changes: &mut u64) -> Outcome {
        let outcome = ring::record(
            &mut self.newest,
            || {
                *changes += 1;
                self.revision = *changes;
                &mut *self.past
            },
            tick,
            validator,
        );
        if outcome.is_accepted() {
            self.last_arrival = Some(arrival);
        }
        outcome
    }

    fn clear(&mut self) {
        self.last_arrival = None;
        if self.newest.take().is_some() {
            *self.past = Past::default();
        }
    }

    #[inline]
    fn ring(&self) -> Ring {
        Ring::from_parts(self.newest, (*self.past).clone())
    }
}
