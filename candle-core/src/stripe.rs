//! One lock's share of the instruments: a table of ids over parallel arrays, which knows nothing of locks.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::arrival::Arrival;
use crate::candle::Candle;
use crate::edition::{Edition, Latest, Update};
use crate::hash::IdHash;
use crate::history::History;
use crate::instrument::InstrumentId;
use crate::outcome::{Outcome, Outcomes};
use crate::ring::{self, Past, Ring};
use crate::terms::Terms;
use crate::tick::{Admitted, Judge};
use crate::time::Timestamp;
use crate::top_k::Rank;

/// Instruments by slot. The arrays are apart so that a tick touches the lines it needs and no others: with ticks in
/// order, one of `identities` and one of `newest`.
///
/// Invariant: all arrays are of one length; a slot is either in `index` under its id or in `free`.
#[derive(Debug, Default)]
pub(crate) struct Stripe {
    index: HashTable<u32>,
    identities: Vec<Identity>,
    newest: Vec<Option<Candle>>,
    outcomes: Outcomes,
    /// The highest mark of any write so far.
    mark: u64,
    /// Whether some instrument has views that were not taken yet.
    has_new_views: bool,
    /// This stripe's copy of the views that one who is no leader must reach to be considered.
    floor: u64,
    popularity: Vec<Popularity>,
    /// One by one: in the array they would be copied whenever it grows.
    #[expect(clippy::vec_box, reason = "2 KB each, and the array grows")]
    past: Vec<Box<Past>>,
    descriptions: Vec<Option<Arc<str>>>,
    /// Which change of this stripe each slot last saw, but for ticks in order and views; see [`Edition`].
    versions: Vec<u64>,
    /// How many such changes there were, so that no two of them have one number.
    changes: u64,
    free: Vec<u32>,
}

/// What is compared, and written, when a tick comes in.
#[derive(Debug)]
struct Identity {
    id: InstrumentId,
    generation: u32,
    last_arrival: Option<Arrival>,
}

const _: () = assert!(size_of::<Identity>() == 32);

#[derive(Clone, Copy, Debug, Default)]
struct Popularity {
    views: u64,
    is_leader: bool,
    /// Whether a view was counted since the counts were last taken.
    is_new: bool,
}

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
    pub(crate) const SLOT_BYTES: usize = size_of::<Identity>()
        + size_of::<Option<Candle>>()
        + size_of::<Popularity>()
        + size_of::<Box<Past>>()
        + size_of::<Option<Arc<str>>>()
        + size_of::<u64>()
        + Self::BOXED_BYTES;

    /// Those of them that are allocated one by one.
    pub(crate) const BOXED_BYTES: usize = size_of::<Past>();

    /// Room grows by at least this many slots at a time.
    pub(crate) const MIN_GROWTH: usize = 8;

    #[inline]
    pub(crate) fn find(&self, hash: u64, id: &[u8]) -> Option<u32> {
        self.index.find(hash, |slot| self.identities[*slot as usize].id.as_bytes() == id).copied()
    }

    /// The slot, if it still belongs to the instrument that had this generation.
    #[inline]
    pub(crate) fn check(&self, slot: u32, generation: u32) -> Option<u32> {
        (self.identities.get(slot as usize)?.generation == generation).then_some(slot)
    }

    /// Lists an instrument whose id is not in here, and returns its slot.
    pub(crate) fn list(&mut self, hash: u64, id: InstrumentId, hasher: &IdHash) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| self.grow(&id));
        self.identities[slot as usize].id = id;
        self.change(slot as usize);
        let identities = &self.identities;
        self.index.insert_unique(hash, slot, |slot| hasher.of(identities[*slot as usize].id.as_bytes()));
        slot
    }

    /// Adds an empty slot. Room grows by an eighth, not by doubling: candles are large, and a predictable footprint is
    /// worth more than the few copies it saves while the catalogue builds up.
    fn grow(&mut self, id: &InstrumentId) -> u32 {
        let len = self.identities.len();
        if len == self.identities.capacity() {
            let more = (len / 8).max(Self::MIN_GROWTH);
            self.identities.reserve_exact(more);
            self.newest.reserve_exact(more);
            self.popularity.reserve_exact(more);
            self.past.reserve_exact(more);
            self.descriptions.reserve_exact(more);
            self.versions.reserve_exact(more);
        }
        self.identities.push(Identity { id: id.clone(), generation: 0, last_arrival: None });
        self.newest.push(None);
        self.popularity.push(Popularity::default());
        self.past.push(Box::default());
        self.descriptions.push(None);
        self.versions.push(0);
        u32::try_from(len).expect("the limit on instruments is below 2^32")
    }

    /// Removes the instrument with all that is known of it, and makes its handles find nothing.
    pub(crate) fn delist(&mut self, hash: u64, slot: u32) {
        let entry = self.index.find_entry(hash, |listed| *listed == slot);
        entry.expect("a slot that was found is in the index").remove();
        let place = slot as usize;
        self.identities[place].generation = self.identities[place].generation.wrapping_add(1);
        self.popularity[place] = Popularity::default();
        self.descriptions[place] = None;
        self.clear(place);
        self.free.push(slot);
    }

    /// Forgets the candles of every instrument, and nothing else.
    pub(crate) fn clear_candles(&mut self) {
        (0..self.newest.len()).for_each(|place| self.clear(place));
    }

    pub(crate) fn forget_arrivals(&mut self) {
        self.identities.iter_mut().for_each(|identity| identity.last_arrival = None);
    }

    fn clear(&mut self, place: usize) {
        self.change(place);
        self.identities[place].last_arrival = None;
        if self.newest[place].take().is_some() {
            *self.past[place] = Past::default();
        }
    }

    /// Makes every [`Edition`] of the slot so far an old one.
    #[inline]
    fn change(&mut self, place: usize) {
        self.changes += 1;
        self.versions[place] = self.changes;
    }

    /// Records what a judge said of a tick for this slot's instrument.
    #[inline]
    pub(crate) fn record(
        &mut self,
        slot: u32,
        judged: &Result<Admitted, Outcome>,
        judge: &Judge,
        terms: &Terms,
    ) -> Outcome {
        let place = slot as usize;
        let outcome = match judged {
            Ok(tick) => ring::record(
                &mut self.newest[place],
                || {
                    // Whoever asks for the past is about to change it, or the newest candle after its minute.
                    self.changes += 1;
                    self.versions[place] = self.changes;
                    &mut *self.past[place]
                },
                tick,
                judge.minute,
            ),
            Err(refused) => *refused,
        };
        if outcome.is_accepted() {
            self.identities[place].last_arrival = Some(terms.arrival);
        }
        self.note(outcome, terms.mark)
    }

    /// Counts a tick that no slot takes.
    pub(crate) fn refuse(&mut self, judged: &Result<Admitted, Outcome>, instead: Outcome, terms: &Terms) -> Outcome {
        // The order of reasons: what is wrong with the values, then the instrument, then the time.
        let outcome = match judged {
            Err(refused @ (Outcome::BadPrice | Outcome::BadSize)) => *refused,
            _ => instead,
        };
        self.note(outcome, terms.mark)
    }

    #[inline]
    fn note(&mut self, outcome: Outcome, mark: u64) -> Outcome {
        self.outcomes.count(outcome);
        self.advance_mark(mark);
        outcome
    }

    /// Reads a line of the newest candle, so that it is near when the tick is recorded; the value tells nothing.
    #[inline]
    pub(crate) fn touch(&self, slot: u32) -> f64 {
        self.newest[slot as usize].as_ref().map_or(0.0, Candle::close)
    }

    pub(crate) fn advance_mark(&mut self, mark: u64) {
        self.mark = self.mark.max(mark);
    }

    pub(crate) fn mark(&self) -> u64 {
        self.mark
    }

    pub(crate) fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    pub(crate) fn outcomes_mut(&mut self) -> &mut Outcomes {
        &mut self.outcomes
    }

    /// Counts a view.
    #[inline]
    pub(crate) fn view(&mut self, slot: u32) -> Viewed {
        let popularity = &mut self.popularity[slot as usize];
        // Saturating, because a snapshot from outside may hold any count.
        popularity.views = popularity.views.saturating_add(1);
        popularity.is_new = true;
        self.has_new_views = true;
        if !popularity.is_leader && popularity.views >= self.floor { Viewed::CrossedFloor } else { Viewed::Counted }
    }

    pub(crate) fn views(&self, slot: u32) -> u64 {
        self.popularity[slot as usize].views
    }

    /// Calls `each` with the slots that were viewed since the last call.
    pub(crate) fn take_new_views(&mut self, mut each: impl FnMut(&Self, u32)) {
        if !std::mem::take(&mut self.has_new_views) {
            return;
        }
        for slot in (0..).take(self.popularity.len()) {
            if std::mem::take(&mut self.popularity[slot as usize].is_new) {
                each(self, slot);
            }
        }
    }

    pub(crate) fn raise_views(&mut self, slot: u32, views: u64) {
        let mine = &mut self.popularity[slot as usize].views;
        *mine = views.max(*mine);
    }

    pub(crate) fn add_views(&mut self, slot: u32, views: u64) {
        let mine = &mut self.popularity[slot as usize].views;
        *mine = mine.saturating_add(views);
    }

    pub(crate) fn generation(&self, slot: u32) -> u32 {
        self.identities[slot as usize].generation
    }

    pub(crate) fn set_floor(&mut self, views: u64) {
        self.floor = views;
    }

    pub(crate) fn rank(&self, slot: u32) -> Rank {
        Rank { views: self.views(slot), id: self.identities[slot as usize].id.clone() }
    }

    pub(crate) fn is_leader(&self, slot: u32) -> bool {
        self.popularity[slot as usize].is_leader
    }

    pub(crate) fn set_leader(&mut self, slot: u32) {
        self.popularity[slot as usize].is_leader = true;
    }

    pub(crate) fn clear_leader(&mut self, slot: u32) {
        self.popularity[slot as usize].is_leader = false;
    }

    /// The slots of everything listed, in no order.
    pub(crate) fn listed(&self) -> impl Iterator<Item = u32> {
        self.index.iter().copied()
    }

    pub(crate) fn id(&self, slot: u32) -> &InstrumentId {
        &self.identities[slot as usize].id
    }

    pub(crate) fn description(&self, slot: u32) -> Option<&Arc<str>> {
        self.descriptions[slot as usize].as_ref()
    }

    pub(crate) fn describe(&mut self, slot: u32, description: Option<Arc<str>>) {
        // Feeds repeat their catalogue on every connect, mostly word for word.
        if self.descriptions[slot as usize] != description {
            self.descriptions[slot as usize] = description;
            self.change(slot as usize);
        }
    }

    pub(crate) fn newest(&self, slot: u32) -> Option<&Candle> {
        self.newest[slot as usize].as_ref()
    }

    pub(crate) fn ring(&self, slot: u32) -> Ring {
        Ring::from_parts(self.newest[slot as usize], (*self.past[slot as usize]).clone())
    }

    pub(crate) fn set_ring(&mut self, slot: u32, ring: Ring) {
        (self.newest[slot as usize], *self.past[slot as usize]) = ring.into_parts();
        self.change(slot as usize);
    }

    pub(crate) fn history(&self, slot: u32) -> History {
        History {
            description: self.descriptions[slot as usize].clone(),
            views: self.views(slot),
            last_arrival: self.identities[slot as usize].last_arrival,
            ring: self.ring(slot),
        }
    }

    /// All of an instrument, or only the latest of it where the reader knows the rest.
    #[inline]
    pub(crate) fn update(&self, slot: u32, now: Timestamp, known: Option<&Edition>) -> Update {
        let place = slot as usize;
        let newest = self.newest[place];
        let edition = Edition::new(self.versions[place], newest.as_ref(), now);
        if known == Some(&edition) {
            return Update::Same(Latest::new(self.views(slot), self.identities[place].last_arrival, newest));
        }
        Update::Changed(Box::new(self.history(slot)), edition)
    }
}
