//! The cached histories of the instruments that are read most.

use std::hash::BuildHasher;
use std::sync::Arc;

use parking_lot::Mutex;
use rapidhash::fast::RandomState;

use super::cached::CachedHistory;
use crate::route::HistoryOptions;

/// The default capacity: 213 MB, at about 6.5 KB for each history. For 50,000 instruments read by Zipf's law, 24 of 25
/// reads find their history. A read without costs as much as three reads with.
pub(crate) const DEFAULT_CAPACITY: usize = 32_768;
/// The entries of one set: with one, a fifth of the most read histories would evict each other; with more than four, the
/// search costs more than the entries save.
const WAYS: usize = 4;

/// A set-associative cache of histories.
///
/// A full set evicts the history whose minute is not the new one's, and within one minute the one with the fewest views.
/// The cache therefore fills with the most read histories without a list of recent use.
#[derive(Debug)]
pub(crate) struct HistoryCache {
    /// A lock is held to copy one pointer, and never to write text.
    sets: Box<[Mutex<Set>]>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Set {
    /// Part of the hash of each entry's id and options. A different tag rules an entry out without a look at its text.
    tags: [u32; WAYS],
    entries: [Option<Arc<CachedHistory>>; WAYS],
}

impl HistoryCache {
    /// An empty cache. `capacity` is rounded up to a power of two of at least four.
    pub(crate) fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).max(1).next_power_of_two();
        Self { sets: (0..sets).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    /// Returns the cached history of an instrument.
    pub(crate) fn get(&self, id: &str, options: HistoryOptions) -> Option<Arc<CachedHistory>> {
        let (set, tag) = self.find_set(id, options);
        let set = set.lock();
        set.find(id, options, tag).and_then(|index| set.entries[index].clone())
    }

    /// Stores the history of an instrument, unless its set is full of histories with more views.
    pub(crate) fn insert(&self, id: &str, history: &Arc<CachedHistory>) {
        let (set, tag) = self.find_set(id, history.options());
        let mut set = set.lock();
        let own = set.find(id, history.options(), tag);
        let index = own.unwrap_or_else(|| set.victim(history.minute()));
        let stays = own.is_none() && set.entries[index].as_ref().is_some_and(|entry| entry.outranks(history));
        if !stays {
            set.tags[index] = tag;
            let evicted = set.entries[index].replace(Arc::clone(history));
            drop(set);
            // The memory is freed outside the lock.
            drop(evicted);
        }
    }

    fn find_set(&self, id: &str, options: HistoryOptions) -> (&Mutex<Set>, u32) {
        let hash = self.hasher.hash_one((id, options));
        let bytes = hash.to_le_bytes();
        let tag = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
        let index = hash as usize & (self.sets.len() - 1);
        (&self.sets[index], tag)
    }
}

impl Set {
    fn find(&self, id: &str, options: HistoryOptions, tag: u32) -> Option<usize> {
        let is_at = |index: &usize| {
            let entry = self.entries[*index].as_ref().filter(|_| self.tags[*index] == tag);
            entry.is_some_and(|entry| entry.is_of(id, options))
        };
        (0..WAYS).find(is_at)
    }

    /// The entry to replace: an empty one, else one of another minute, else the one with the fewest views.
    fn victim(&self, minute: i64) -> usize {
        let rank = |index: &usize| self.entries[*index].as_ref().map(|entry| entry.rank(minute));
        (0..WAYS).min_by_key(rank).unwrap_or(0)
    }
}
