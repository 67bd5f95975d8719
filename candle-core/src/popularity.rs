//! An exact top-k of ids by number of views, without candles.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::config::Config;
use crate::handle::Handle;
use crate::hash::IdHash;
use crate::instrument_id::InstrumentId;
use crate::leaders::{Counters, Demotion, LEADERS, Leaders, Popular, Promotion, Rank};
use crate::list_error::ListError;

/// The largest `k` of [`Popularity::top`] and [`Aggregator::top`](crate::Aggregator::top).
pub const MAX_TOP: usize = LEADERS;

/// Counts views of ids, and returns the most viewed ids exactly: the result is that of sorting all counters.
///
/// A count costs a table look-up and one comparison. A query reads at most 128 counters, however many ids there are. A
/// query reads all counters only if removals left fewer than `k` of these 128.
///
/// An id takes 40 bytes and a table entry. Ids over 22 bytes take their text in addition. New ids are refused above a
/// limit, so memory is bounded.
///
/// Ids follow the rules of [`InstrumentId`]. The type has one owner and no lock. An
/// [`Aggregator`](crate::Aggregator) counts views of its instruments by itself, from many threads.
///
/// ```
/// use candle_core::Popularity;
///
/// let mut popularity = Popularity::new(1_000);
/// for id in ["/b", "/a", "/b", "/c"] {
///     popularity.count(id)?;
/// }
/// popularity.remove("/c");
/// popularity.raise("/d", 5)?;
///
/// let top = popularity.top(10);
/// let top: Vec<_> = top.iter().map(|popular| (popular.id.as_str(), popular.views)).collect();
/// assert_eq!(top, [("/d", 5), ("/b", 2), ("/a", 1)]);
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Debug)]
pub struct Popularity {
    max_ids: usize,
    table: CounterTable,
    leaders: Leaders,
}

/// The counters of a [`Popularity`].
///
/// Invariant: a slot is either in `index` under its id or in `free`.
#[derive(Debug)]
struct CounterTable {
    hash: IdHash,
    index: HashTable<u32>,
    slots: Vec<Counter>,
    free: Vec<u32>,
    /// The number of views from which on a counter that is no leader is passed to the leader set.
    floor: u64,
}

#[derive(Debug)]
struct Counter {
    id: InstrumentId,
    views: u64,
    generation: u32,
    is_leader: bool,
}

const _: () = assert!(size_of::<Counter>() == 40);

impl Popularity {
    /// Creates an empty set of counters for at most `max_ids` ids, itself at most
    /// [`Config::MAX_INSTRUMENTS_LIMIT`]. Memory is allocated as ids are added.
    pub fn new(max_ids: usize) -> Self {
        Self {
            max_ids: max_ids.min(Config::MAX_INSTRUMENTS_LIMIT),
            table: CounterTable {
                // Random, so that nobody can choose ids that all fall into one chain of the table.
                hash: IdHash::new(RandomState::new().hash_one(0)),
                index: HashTable::new(),
                slots: Vec::new(),
                free: Vec::new(),
                floor: 0,
            },
            leaders: Leaders::new(),
        }
    }

    /// Counts one view of `id`, adds the id if it is new, and returns its number of views.
    ///
    /// # Errors
    /// Returns [`ListError`] if `id` is new, and is invalid or exceeds the limit on ids.
    pub fn count(&mut self, id: &str) -> Result<u64, ListError> {
        self.update(id, |views| views.saturating_add(1))
    }

    /// Raises the number of views of `id` to `views` unless it is higher already, and returns the result. Adds the id if
    /// it is new and `views` is not 0.
    ///
    /// # Errors
    /// Returns [`ListError`] if `id` is new, and is invalid or exceeds the limit on ids.
    pub fn raise(&mut self, id: &str, views: u64) -> Result<u64, ListError> {
        if views == 0 {
            return Ok(self.views(id).unwrap_or(0));
        }
        self.update(id, |current| current.max(views))
    }

    /// Removes `id` with its views. Returns true if it was counted.
    pub fn remove(&mut self, id: &str) -> bool {
        self.table.remove(id)
    }

    /// Returns the number of views of `id`, or `None` if the id is not counted.
    pub fn views(&self, id: &str) -> Option<u64> {
        self.table.find(id).map(|slot| self.table.slots[slot as usize].views)
    }

    /// Returns the number of ids.
    pub fn len(&self) -> usize {
        self.table.index.len()
    }

    /// Returns true if no id is counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the `k` most viewed ids, or all if there are fewer. The order is most views first, ties by the bytes of the
    /// id. `k` is cut to [`MAX_TOP`].
    pub fn top(&mut self, k: usize) -> Vec<Popular> {
        let mut top = Vec::with_capacity(k.min(MAX_TOP));
        self.top_into(k, &mut top);
        top
    }

    /// Replaces the content of `top` by the result of [`top`](Self::top). Allocates nothing if `top` has room for `k` and no
    /// removal left fewer than `k` leaders.
    pub fn top_into(&mut self, k: usize, top: &mut Vec<Popular>) {
        self.leaders.top(k.min(MAX_TOP), &mut self.table, top);
    }

    /// Sets the number of views of `id` to the result of `update`, which must not be lower.
    fn update(&mut self, id: &str, update: impl FnOnce(u64) -> u64) -> Result<u64, ListError> {
        let slot = match self.table.find(id) {
            Some(slot) => slot,
            None if self.len() >= self.max_ids => {
                return Err(InstrumentId::new(id)
                    .map_or_else(ListError::InvalidId, |_| ListError::Full { max_instruments: self.max_ids }));
            }
            None => self.table.add(InstrumentId::new(id).map_err(ListError::InvalidId)?),
        };
        let counter = &mut self.table.slots[slot as usize];
        counter.views = update(counter.views);
        let views = counter.views;
        if views >= self.table.floor && !counter.is_leader {
            let handle = self.table.handle(slot);
            self.leaders.consider(handle, &mut self.table);
        }
        Ok(views)
    }
}

impl Default for Popularity {
    /// Creates an empty set of counters for at most [`Config::DEFAULT_MAX_INSTRUMENTS`] ids.
    fn default() -> Self {
        Self::new(Config::DEFAULT_MAX_INSTRUMENTS)
    }
}

impl CounterTable {
    fn find(&self, id: &str) -> Option<u32> {
        let hash = self.hash.of(id.as_bytes());
        self.index.find(hash, |slot| self.slots[*slot as usize].id.is(id.as_bytes())).copied()
    }

    /// Adds an id that is not in the table, with 0 views, and returns its slot.
    fn add(&mut self, id: InstrumentId) -> u32 {
        let hash = self.hash.of(id.as_bytes());
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize].id = id;
            slot
        } else {
            self.slots.push(Counter { id, views: 0, generation: 0, is_leader: false });
            u32::try_from(self.slots.len() - 1).expect("the limit on ids is below 2^32")
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |slot| self.hash.of(slots[*slot as usize].id.as_bytes()));
        slot
    }

    fn remove(&mut self, id: &str) -> bool {
        let hash = self.hash.of(id.as_bytes());
        let slots = &mut self.slots;
        let Ok(entry) = self.index.find_entry(hash, |slot| slots[*slot as usize].id.is(id.as_bytes())) else {
            return false;
        };
        let (slot, _) = entry.remove();
        let counter = &mut slots[slot as usize];
        counter.generation = counter.generation.wrapping_add(1);
        counter.views = 0;
        counter.is_leader = false;
        self.free.push(slot);
        true
    }

    fn handle(&self, slot: u32) -> Handle {
        Handle { stripe: 0, slot, generation: self.slots[slot as usize].generation }
    }

    /// Returns the counter of a handle, or `None` if its id was removed.
    fn get(&mut self, handle: Handle) -> Option<&mut Counter> {
        self.slots.get_mut(handle.slot as usize).filter(|counter| counter.generation == handle.generation)
    }
}

impl Counter {
    fn rank(&self) -> Rank {
        Rank { views: self.views, id: self.id.clone() }
    }
}

impl Counters for CounterTable {
    fn rank(&mut self, handle: Handle) -> Option<Rank> {
        self.get(handle).map(|counter| counter.rank())
    }

    fn promote(&mut self, handle: Handle, floor: Option<&Rank>) -> Promotion {
        match self.get(handle) {
            Some(counter) if !counter.is_leader && floor.is_none_or(|floor| counter.rank() < *floor) => {
                counter.is_leader = true;
                Promotion::Promoted
            }
            _ => Promotion::Refused,
        }
    }

    fn demote(&mut self, handle: Handle, floor: &Rank) -> Demotion {
        match self.get(handle) {
            Some(counter) if counter.rank() < *floor => Demotion::Refused,
            Some(counter) => {
                counter.is_leader = false;
                Demotion::Demoted
            }
            None => Demotion::Demoted,
        }
    }

    fn set_floor(&mut self, views: u64) {
        self.floor = views;
    }

    fn for_each_outsider(&mut self, each: &mut dyn FnMut(Rank, Handle)) {
        for slot in &self.index {
            let counter = &self.slots[*slot as usize];
            if counter.views > 0 && !counter.is_leader {
                each(counter.rank(), self.handle(*slot));
            }
        }
    }
}
