//! The whole store: every instrument's ring behind striped locks, the catalogue, and who is viewed most.

mod batch;
mod joining;
mod memory;
mod read;
mod record;
mod views;

pub use read::MAX_TOP;
pub use views::ViewTotal;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::catalogue::{ListError, MAX_DESCRIPTION_BYTES};
use crate::config::Config;
use crate::hash::IdHash;
use crate::instrument::{Handle, InstrumentId};
use crate::popularity::{Counters, Popularity, Promotion};
use crate::stripe::Stripe;
use crate::top_k::{Leave, Rank};

/// The candles of many instruments, written and read by any number of threads through a shared reference.
///
/// Writers and readers of different stripes never meet. Each call takes one stripe's lock for a few dozen nanoseconds
/// and copies out what it returns; no lock is ever held while the caller's code runs.
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
    config: Config,
    hash: IdHash,
    stripes: Stripes,
    /// Every listed instrument, in the order of ids. Held while one is listed or delisted, so that it and the stripes
    /// always agree; never taken by a tick of a listed instrument or by a reader of one.
    catalogue: Mutex<BTreeMap<InstrumentId, Handle>>,
    popularity: Popularity,
}

/// Where the number of the stripe is in a hash: bits that a stripe's table uses neither for the bucket nor for the tag.
const STRIPE_SHIFT: u32 = 32;

/// Lock order: the catalogue's, that of [`Popularity`], a stripe's. Never two stripes' at once.
struct Stripes(Box<[Padded]>);

/// Two cache lines, which processors fetch as a pair: neighbouring locks never slow each other.
#[repr(align(128))]
struct Padded(Mutex<Stripe>);

impl Stripes {
    /// The number of a stripe, of a hash's bits or of a handle's; every number names one, even that of a handle of another
    /// aggregator with more stripes.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are what is asked for")]
    fn number(&self, bits: u64) -> usize {
        bits as usize & (self.0.len() - 1)
    }

    #[inline]
    fn lock(&self, stripe: usize) -> MutexGuard<'_, Stripe> {
        self.0[stripe].0.lock()
    }

    /// The stripe of a handle, and the slot if the handle still names a listed instrument.
    #[inline]
    fn lock_handle(&self, handle: Handle) -> (MutexGuard<'_, Stripe>, Option<u32>) {
        let stripe = self.lock(self.number(u64::from(handle.stripe)));
        let slot = stripe.check(handle.slot, handle.generation);
        (stripe, slot)
    }

    fn each(&self) -> impl Iterator<Item = (u16, MutexGuard<'_, Stripe>)> {
        (0..).zip(self.0.iter().map(|stripe| stripe.0.lock()))
    }
}

impl Counters for Stripes {
    fn rank(&self, handle: Handle) -> Option<Rank> {
        let (stripe, slot) = self.lock_handle(handle);
        slot.map(|slot| stripe.rank(slot))
    }

    fn promote(&self, handle: Handle, floor: Option<&Rank>) -> Promotion {
        let (mut stripe, slot) = self.lock_handle(handle);
        match slot {
            Some(slot) if !stripe.is_leader(slot) && floor.is_none_or(|floor| stripe.rank(slot) < *floor) => {
                stripe.set_leader(slot);
                Promotion::Promoted
            }
            _ => Promotion::Refused,
        }
    }

    fn demote(&self, handle: Handle, floor: &Rank) -> Leave {
        let (mut stripe, slot) = self.lock_handle(handle);
        match slot {
            Some(slot) if stripe.rank(slot) < *floor => Leave::Stays,
            Some(slot) => {
                stripe.clear_leader(slot);
                Leave::Gone
            }
            None => Leave::Gone,
        }
    }

    fn set_floor(&self, views: u64) {
        self.each().for_each(|(_, mut stripe)| stripe.set_floor(views));
    }

    fn outsiders(&self, each: &mut dyn FnMut(Rank, Handle)) {
        for (number, stripe) in self.each() {
            for slot in stripe.listed() {
                if stripe.views(slot) > 0 && !stripe.is_leader(slot) {
                    each(stripe.rank(slot), Handle { stripe: number, slot, generation: stripe.generation(slot) });
                }
            }
        }
    }
}

impl Aggregator {
    /// An empty aggregator.
    pub fn new(config: Config) -> Self {
        let stripes = (0..config.stripes()).map(|_| Padded(Mutex::default())).collect();
        Self {
            hash: IdHash::new(config.seed()),
            config,
            stripes: Stripes(stripes),
            catalogue: Mutex::default(),
            popularity: Popularity::new(),
        }
    }

    /// The settings it was made with.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    #[inline]
    fn hash(&self, id: &str) -> u64 {
        self.hash.of(id.as_bytes())
    }

    /// The stripe of a hash.
    #[inline]
    fn stripe_index(&self, hash: u64) -> usize {
        self.stripes.number(hash >> STRIPE_SHIFT)
    }

    /// The stripe of an id, and the slot if the id is listed.
    #[inline]
    fn lock_id(&self, id: &str) -> (MutexGuard<'_, Stripe>, Option<u32>) {
        let hash = self.hash(id);
        let stripe = self.stripes.lock(self.stripe_index(hash));
        let slot = stripe.find(hash, id.as_bytes());
        (stripe, slot)
    }

    /// Lists an instrument, and returns its handle. Where the id is listed already, its description becomes this one
    /// and nothing else changes: feeds repeat their catalogue on every connect.
    ///
    /// # Errors
    /// [`ListError`], where the id is none or no room is left.
    pub fn list(&self, id: &str, description: Option<&str>) -> Result<Handle, ListError> {
        self.list_logged(id, description, 0)
    }

    /// [`list`](Self::list), for a caller that keeps a log in which this has the position `lsn` (see
    /// [`RecordContext::lsn`](crate::RecordContext::lsn)).
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn list_logged(&self, id: &str, description: Option<&str>, lsn: u64) -> Result<Handle, ListError> {
        let description = description.map(cut_description);
        let (mut stripe, handle) = self.list_in(&mut self.catalogue.lock(), id)?;
        stripe.describe(handle.slot, description);
        stripe.advance_lsn(lsn);
        Ok(handle)
    }

    /// The locked stripe and the handle of an instrument that is listed from now on.
    fn list_in(
        &self,
        catalogue: &mut BTreeMap<InstrumentId, Handle>,
        id: &str,
    ) -> Result<(MutexGuard<'_, Stripe>, Handle), ListError> {
        let (mut stripe, listed) = self.lock_id(id);
        if let Some(slot) = listed {
            let handle = self.handle(id, &stripe, slot);
            return Ok((stripe, handle));
        }
        let valid = InstrumentId::new(id).map_err(ListError::BadId)?;
        let max_instruments = self.config.max_instruments();
        if catalogue.len() >= max_instruments {
            return Err(ListError::Full { max_instruments });
        }
        let slot = stripe.list(self.hash(id), valid.clone(), &self.hash);
        let handle = self.handle(id, &stripe, slot);
        catalogue.insert(valid, handle);
        Ok((stripe, handle))
    }

    fn handle(&self, id: &str, stripe: &Stripe, slot: u32) -> Handle {
        Handle { stripe: self.stripe_number(self.hash(id)), slot, generation: stripe.generation(slot) }
    }

    #[expect(clippy::cast_possible_truncation, reason = "there are at most 2^16 stripes")]
    fn stripe_number(&self, hash: u64) -> u16 {
        self.stripe_index(hash) as u16
    }

    /// Removes an instrument at once, with its candles and views; whether it was listed. If the id is listed again,
    /// that is another instrument.
    pub fn delist(&self, id: &str) -> bool {
        self.delist_logged(id, 0)
    }

    /// [`delist`](Self::delist), for a caller that keeps a log in which this has the position `lsn`.
    pub fn delist_logged(&self, id: &str, lsn: u64) -> bool {
        let mut catalogue = self.catalogue.lock();
        let (mut stripe, listed) = self.lock_id(id);
        stripe.advance_lsn(lsn);
        let Some(slot) = listed else { return false };
        catalogue.remove(stripe.id(slot));
        stripe.delist(self.hash(id), slot);
        true
    }

    /// The handle of a listed instrument.
    pub fn resolve(&self, id: &str) -> Option<Handle> {
        let (stripe, slot) = self.lock_id(id);
        slot.map(|slot| self.handle(id, &stripe, slot))
    }

    /// How many instruments are listed.
    pub fn len(&self) -> usize {
        self.catalogue.lock().len()
    }

    /// Whether none is listed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the candles of every instrument; listing, views and counts of outcomes stay. For a feed that runs on its
    /// own time and starts again earlier. Stripe by stripe: a reader may meet one that is not cleared yet.
    ///
    /// `lsn` is its position in the caller's log (see [`RecordContext::lsn`](crate::RecordContext::lsn)), 0 where there is none.
    /// Stripes that hold later writes are left alone, so that replaying it over a snapshot is exact.
    pub fn clear_candles(&self, lsn: u64) {
        for (_, mut stripe) in self.stripes.each() {
            if stripe.lsn() <= lsn {
                stripe.clear_candles();
                stripe.advance_lsn(lsn);
            }
        }
    }

    /// Forgets when quotes arrived: after a replay, whose moments are not those of arrival.
    pub fn forget_arrivals(&self) {
        self.stripes.each().for_each(|(_, mut stripe)| stripe.forget_arrivals());
    }

    /// Takes over the limits and rules of `config`; stripes and seed stay. Where more instruments are listed than may be
    /// from now on, they stay and no further one is listed.
    pub fn reconfigure(&mut self, config: Config) {
        self.config = config.with_stripes(self.config.stripes()).with_seed(self.config.seed());
    }
}

fn cut_description(text: &str) -> Arc<str> {
    let mut end = text.len().min(MAX_DESCRIPTION_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

impl Default for Aggregator {
    fn default() -> Self {
        Self::new(Config::default())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leads_is_judged_again_under_the_lock_of_the_stripe() {
        let aggregator = Aggregator::new(Config::default().with_stripes(1));
        let [rising, other] = ["b", "c"].map(|id| aggregator.list(id, None).unwrap());
        let stripes = &aggregator.stripes;
        let rank = |views, id: &str| Rank { views, id: InstrumentId::new(id).unwrap() };
        stripes.set_floor(u64::MAX);
        (0..5).for_each(|_| assert!(aggregator.count_view("b").is_some()));

        // As many views as the floor has: the id decides.
        assert_eq!(stripes.promote(rising, Some(&rank(5, "a"))), Promotion::Refused);
        assert_eq!(stripes.promote(rising, Some(&rank(5, "c"))), Promotion::Promoted);
        assert_eq!(stripes.promote(rising, Some(&rank(5, "c"))), Promotion::Refused, "it is a leader already");

        // Ranked behind the floor before, it has overtaken it since.
        assert_eq!(stripes.demote(rising, &rank(4, "x")), Leave::Stays);
        assert_eq!(stripes.demote(rising, &rank(6, "x")), Leave::Gone);
        assert_eq!(stripes.promote(rising, None), Promotion::Promoted);

        aggregator.delist("c");
        assert_eq!(stripes.promote(other, None), Promotion::Refused);
        assert_eq!((stripes.demote(other, &rank(0, "x")), stripes.rank(other)), (Leave::Gone, None));
    }
}
