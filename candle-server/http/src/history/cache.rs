//! A cache for the histories of the most viewed instruments.

use std::hash::BuildHasher;
use std::sync::Arc;

use parking_lot::Mutex;
use rapidhash::fast::RandomState;

use super::cached::CachedHistory;
use crate::route::HistoryOptions;

/// The default number of cached histories. They use up to 213 MB, at about 6.5 KB for each history.
///
/// If 50,000 instruments are read by Zipf's law, 24 of 25 reads find their history in the cache. A read that does not
/// find its history takes as long as three reads that do.
pub(crate) const DEFAULT_CAPACITY: usize = 32_768;
/// The number of entries in one set.
///
/// With one entry, a fifth of the most viewed histories would evict each other. With more than four entries, the search
/// would take longer than the cache saves.
const WAYS: usize = 4;

/// A set-associative cache of histories: the hash of a history selects a set of four entries that can store it.
///
/// An insertion into a full set replaces a history that was written in another minute. If all were written in the same
/// minute, it replaces the history with the fewest views. The most viewed histories therefore stay in the cache, and no
/// list of recent use is needed.
#[derive(Debug)]
pub(crate) struct HistoryCache {
    /// Each lock protects one set. A lock is held only to search the set and copy a pointer, never to write text.
    sets: Box<[Mutex<Set>]>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Set {
    /// 32 bits of the hash of the id and options of each entry. If the tag differs, the id is not compared.
    tags: [u32; WAYS],
    entries: [Option<Arc<CachedHistory>>; WAYS],
}

impl HistoryCache {
    /// Creates an empty cache. `capacity` is rounded up to a power of two that is at least four.
    pub(crate) fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).max(1).next_power_of_two();
        Self { sets: (0..sets).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    /// Returns the cached history of an instrument, or `None` if the cache does not contain the history.
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
            // The evicted history is freed after the lock is released.
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

    /// Returns the index of the entry to replace. An empty entry is replaced first, then an entry of another minute,
    /// then the entry with the fewest views.
    fn victim(&self, minute: i64) -> usize {
        let rank = |index: &usize| self.entries[*index].as_ref().map(|entry| entry.rank(minute));
        (0..WAYS).min_by_key(rank).unwrap_or(0)
    }
}
