//! The renderings of what is asked for most.

use std::hash::BuildHasher;
use std::sync::Arc;

use parking_lot::Mutex;
use rapidhash::fast::RandomState;

use super::Rendering;
use crate::route::Form;

/// Most texts kept at once, about 6.5 KB each: 213 MB when all of them are asked for. Of 50,000 instruments that are
/// asked for by Zipf's law this is 24 reads in 25; to write one afresh costs as much as three reads of one that is kept.
pub const KEPT: usize = 32_768;
/// The places of one set, in which a rendering may lie in any: with one place each, a fifth of those asked for most
/// would push each other out; with more than four, looking through them costs more than they hold.
const WAYS: usize = 4;

/// At most [`KEPT`] renderings, each in one of the few places that its id and form hash to.
///
/// Where one is too many, the one of the minute read longest ago goes, and within one minute the one that is viewed
/// least: so the places fill with what is asked for most, and there is no list to keep in order.
#[derive(Debug)]
pub struct Renderings {
    /// Held for the copy of one pointer, never while bytes are written.
    sets: Box<[Mutex<Set>]>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Set {
    /// A part of the hash of each place's id and form, so that others' are told apart without a look at them.
    tags: [u32; WAYS],
    places: [Option<Arc<Rendering>>; WAYS],
}

impl Renderings {
    /// Nothing yet, with room for at most `kept` renderings, rounded up to a power of two of at least four.
    pub fn new(kept: usize) -> Self {
        let sets = kept.div_ceil(WAYS).max(1).next_power_of_two();
        Self { sets: (0..sets).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    /// The rendering of an instrument, if one is kept.
    pub fn get(&self, id: &str, form: Form) -> Option<Arc<Rendering>> {
        let (set, tag) = self.find(id, form);
        let set = set.lock();
        set.place(id, form, tag).and_then(|place| set.places[place].clone())
    }

    /// Keeps the rendering of an instrument, unless all its places hold others that are viewed more.
    pub fn keep(&self, id: &str, rendering: &Arc<Rendering>) {
        let (set, tag) = self.find(id, rendering.form);
        let mut set = set.lock();
        let own = set.place(id, rendering.form, tag);
        let place = own.unwrap_or_else(|| set.least(rendering.minute));
        let stays = own.is_none() && set.places[place].as_ref().is_some_and(|held| held.outranks(rendering));
        if !stays {
            set.tags[place] = tag;
            let held = set.places[place].replace(Arc::clone(rendering));
            drop(set);
            // Its memory is given back out of the lock.
            drop(held);
        }
    }

    fn find(&self, id: &str, form: Form) -> (&Mutex<Set>, u32) {
        let hash = self.hasher.hash_one((id, form));
        let bytes = hash.to_le_bytes();
        let tag = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
        let place = hash as usize & (self.sets.len() - 1);
        (&self.sets[place], tag)
    }
}

impl Set {
    fn place(&self, id: &str, form: Form, tag: u32) -> Option<usize> {
        let is_at = |place: &usize| {
            let held = self.places[*place].as_ref().filter(|_| self.tags[*place] == tag);
            held.is_some_and(|held| held.is_of(id, form))
        };
        (0..WAYS).find(is_at)
    }

    /// The place that is empty, or else of another minute, or else holds what is viewed least.
    fn least(&self, minute: i64) -> usize {
        let rank = |place: &usize| self.places[*place].as_ref().map(|held| (held.minute == minute, held.views));
        (0..WAYS).min_by_key(rank).unwrap_or(0)
    }
}

impl Rendering {
    /// Whether it stays although there is no room for `other`: only within one minute, as what is of another is no use to
    /// anyone, be it of an earlier one or of a later one that a feed went back from.
    const fn outranks(&self, other: &Self) -> bool {
        self.minute == other.minute && self.views > other.views
    }
}
