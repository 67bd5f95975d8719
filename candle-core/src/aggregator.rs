//! The store: the rings of all instruments behind striped locks, the catalogue, and the leaders by views.

// Not in alphabetical order: the documentation of `Aggregator` lists its methods in the order of these modules.
mod create;

mod listing;

mod record;

mod batch;

mod read;

mod drain;

mod views;

mod snapshot;

mod memory;

mod stripes;

pub mod replication;

use std::collections::BTreeMap;
use std::fmt;

use parking_lot::{Mutex, MutexGuard};

use crate::config::Config;
use crate::handle::Handle;
use crate::hash::IdHash;
use crate::instrument_id::InstrumentId;
use crate::leaders::Leaders;
use crate::stripe::Stripe;
use stripes::Stripes;

/// The candles of many instruments. Any number of threads write and read through a shared reference.
///
/// The instruments are spread over stripes, each behind a lock of its own. Each call holds a stripe's lock for a few dozen
/// nanoseconds and copies out its result. No stripe's lock is held while code of the caller runs.
///
/// ```
/// use candle_core::{Aggregator, Gaps, Outcome, Tick, Timestamp};
///
/// let aggregator = Aggregator::default();
/// aggregator.list("BTC", Some("Bitcoin"))?;
/// let now = Timestamp::from_seconds(1_742_944_020).unwrap();
/// assert_eq!(aggregator.record("BTC", &Tick::new(now, 87_232.0), now), Outcome::Opened);
/// let history = aggregator.history("BTC").unwrap();
/// assert_eq!(history.candles(now, Gaps::Filled).last().unwrap().close, 87_232.0);
/// # Ok::<(), candle_core::ListError>(())
/// ```
pub struct Aggregator {
    // Lock order: the catalogue, the leaders, one stripe. No thread waits for a lock while it holds the lock of a stripe.
    // A small batch holds the locks of several stripes: it waits for the first one only, and takes others if they are free.
    config: Config,
    hash: IdHash,
    stripes: Stripes,
    /// Every listed instrument, in the order of ids. Locked while an instrument is listed or delisted, so that the
    /// catalogue and the stripes agree. Never locked by a tick or a read of a listed instrument.
    catalogue: Mutex<BTreeMap<InstrumentId, Handle>>,
    /// Locked by a view that reached its stripe's copy of the floor, after the lock of that stripe was released.
    leaders: Mutex<Leaders>,
}

/// The lowest bit of the stripe's number in a hash. A stripe's table uses these bits neither for the bucket nor for the
/// tag.
const STRIPE_SHIFT: u32 = 32;

impl Aggregator {
    #[inline]
    fn hash(&self, id: &str) -> u64 {
        self.hash.of(id.as_bytes())
    }

    /// Returns the number of the stripe of a hash.
    #[inline]
    fn stripe_index(&self, hash: u64) -> usize {
        self.stripes.index(hash >> STRIPE_SHIFT)
    }

    /// Locks the stripe of an id, and returns the slot of the id if it is listed.
    #[inline]
    fn lock_id(&self, id: &str) -> (MutexGuard<'_, Stripe>, Option<u32>) {
        self.lock_hashed(self.hash(id), id)
    }

    /// Implements [`lock_id`](Self::lock_id) for an id whose hash is known.
    #[inline]
    fn lock_hashed(&self, hash: u64, id: &str) -> (MutexGuard<'_, Stripe>, Option<u32>) {
        let stripe = self.stripes.lock(self.stripe_index(hash));
        let slot = stripe.find(hash, id.as_bytes());
        (stripe, slot)
    }

    fn handle(&self, id: &str, stripe: &Stripe, slot: u32) -> Handle {
        self.handle_hashed(self.hash(id), stripe, slot)
    }

    /// Implements [`handle`](Self::handle) for an id whose hash is known.
    fn handle_hashed(&self, hash: u64, stripe: &Stripe, slot: u32) -> Handle {
        #[expect(clippy::cast_possible_truncation, reason = "there are at most 1024 stripes")]
        let number = self.stripe_index(hash) as u16;
        Handle { stripe: number, slot, generation: stripe.generation(slot) }
    }

    /// Passes an instrument that reached the floor to the leader set.
    #[cold]
    fn consider_leader(&self, handle: Handle) {
        self.leaders.lock().consider(handle, &mut &self.stripes);
    }
}

impl fmt::Debug for Aggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aggregator")
            .field("config", &self.config)
            .field("instruments", &self.len())
            .finish_non_exhaustive()
    }
}
