//! Taking an aggregator out, putting it back, and joining two.

use std::collections::{BTreeMap, HashSet};

use super::Aggregator;
use crate::catalogue::ListError;
use crate::config::Config;
use crate::instrument::{Handle, InstrumentId};
use crate::snapshot::{Listed, SnapshotError, StripeSnapshot};

impl Aggregator {
    /// Every stripe in turn, each at one instant under its lock, while writers go on in the others.
    ///
    /// Each part holds what its stripe held, forming candles and views included, and the highest
    /// [`lsn`](crate::RecordContext::lsn) of any write in it. Replaying into a restored aggregator every write of a higher lsn
    /// than [`lsn_of`](Self::lsn_of) its instrument is therefore exact, although the parts are of different instants.
    pub fn snapshot(&self) -> impl Iterator<Item = StripeSnapshot> {
        (0..).zip(0..self.config.stripes()).map(|(number, stripe)| self.snapshot_of(number, stripe))
    }

    /// One stripe of [`snapshot`](Self::snapshot), for a caller that takes them at its own pace; `None` where there is no
    /// such stripe.
    pub fn stripe_snapshot(&self, stripe: u32) -> Option<StripeSnapshot> {
        let place = usize::try_from(stripe).ok().filter(|place| *place < self.config.stripes())?;
        Some(self.snapshot_of(stripe, place))
    }

    fn snapshot_of(&self, number: u32, stripe: usize) -> StripeSnapshot {
        let mut part = self.copy_of(number, stripe);
        // By id and not by slot: then equal contents are equal snapshots, whatever was delisted on the way.
        part.listed.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        part
    }

    fn copy_of(&self, number: u32, stripe: usize) -> StripeSnapshot {
        let stripe = self.stripes.lock(stripe);
        let listed = stripe.listed().map(|slot| Listed {
            id: stripe.id(slot).clone(),
            description: stripe.description(slot).cloned(),
            views: stripe.views(slot),
            ring: stripe.ring(slot),
        });
        StripeSnapshot {
            seed: self.config.seed(),
            #[expect(clippy::cast_possible_truncation, reason = "there are at most 1024 stripes")]
            stripes: self.config.stripes() as u32,
            stripe: number,
            lsn: stripe.lsn(),
            outcomes: *stripe.outcomes(),
            listed: listed.collect(),
        }
    }

    /// The aggregator that these parts were taken from, with the limits and rules of `config` and the stripes and seed
    /// of the parts.
    ///
    /// # Errors
    /// [`SnapshotError`], where the parts are not all those of one aggregator, or hold what it cannot have held.
    pub fn restore(config: Config, parts: Vec<StripeSnapshot>) -> Result<Self, SnapshotError> {
        let Some(first) = parts.first() else {
            return Err(SnapshotError::Missing { stripe: 0 });
        };
        let (seed, stripes) = (first.seed, first.stripes);
        let aggregator = Self::new(config.with_seed(seed).with_stripes(stripes as usize));
        let mut parts = parts;
        parts.sort_unstable_by_key(|part| part.stripe);
        for (number, part) in (0..).zip(&parts) {
            if part.seed != seed || part.stripes != stripes {
                return Err(SnapshotError::Mixed);
            }
            if part.stripe < number {
                return Err(SnapshotError::Repeated { stripe: part.stripe });
            }
            if part.stripe > number {
                return Err(SnapshotError::Missing { stripe: number });
            }
        }
        if parts.len() < stripes as usize {
            #[expect(clippy::cast_possible_truncation, reason = "below the 32-bit number of stripes")]
            return Err(SnapshotError::Missing { stripe: parts.len() as u32 });
        }
        for part in &parts {
            aggregator.take_in(part)?;
        }
        Ok(aggregator)
    }

    /// Fills one stripe of a new aggregator.
    fn take_in(&self, part: &StripeSnapshot) -> Result<(), SnapshotError> {
        for listed in &part.listed {
            if self.stripe_index(self.hash(listed.id.as_str())) != part.stripe as usize {
                return Err(SnapshotError::Damaged { what: "an instrument is in another's stripe" });
            }
            if self.resolve(listed.id.as_str()).is_some() {
                return Err(SnapshotError::Damaged { what: "an instrument is there twice" });
            }
            self.join(&mut self.catalogue.lock(), listed)?;
        }
        let mut stripe = self.stripes.lock(part.stripe as usize);
        *stripe.outcomes_mut() = part.outcomes;
        stripe.advance_lsn(part.lsn);
        Ok(())
    }

    /// Joins what another aggregator held in one stripe, that part being the later one where keys of ticks are exactly
    /// equal. Merging every part of another makes this one hold what it would hold had it seen the ticks of both:
    /// candles are joined, counts, volumes, views and outcomes add up, and every instrument that either lists is listed.
    /// Where both describe an instrument, this one's description stays. LSNs are not merged: they are positions in
    /// another log.
    ///
    /// # Errors
    /// [`SnapshotError::Full`], where more instruments would be listed than may be; nothing is changed then.
    pub fn merge(&self, later: &StripeSnapshot) -> Result<(), SnapshotError> {
        let mut catalogue = self.catalogue.lock();
        let new: HashSet<_> = later.listed.iter().map(|listed| &listed.id).collect();
        let more = new.iter().filter(|id| !catalogue.contains_key(**id)).count();
        if catalogue.len() + more > self.config.max_instruments() {
            return Err(SnapshotError::Full { max_instruments: self.config.max_instruments() });
        }
        for listed in &later.listed {
            self.join(&mut catalogue, listed)?;
        }
        self.stripes.lock(later.stripe as usize & (self.config.stripes() - 1)).outcomes_mut().merge(&later.outcomes);
        Ok(())
    }

    fn join(&self, catalogue: &mut BTreeMap<InstrumentId, Handle>, later: &Listed) -> Result<(), SnapshotError> {
        let listing = self.list_in(catalogue, later.id.as_str());
        let (mut stripe, handle) = listing.map_err(|error| match error {
            ListError::Full { max_instruments } => SnapshotError::Full { max_instruments },
            ListError::BadId(_) => SnapshotError::Damaged { what: "an instrument id is none" },
        })?;
        if stripe.description(handle.slot).is_none() {
            stripe.describe(handle.slot, later.description.clone());
        }
        let mut ring = stripe.ring(handle.slot);
        ring.merge(&later.ring);
        stripe.set_ring(handle.slot, ring);
        let views = stripe.views(handle.slot).saturating_add(later.views);
        stripe.set_views(handle.slot, views);
        drop(stripe);
        if later.views > 0 {
            self.popularity.consider(handle, &self.stripes);
        }
        Ok(())
    }

    /// The highest [`lsn`](crate::RecordContext::lsn) of any write to the stripe of `id`, listed or not.
    pub fn lsn_of(&self, id: &str) -> u64 {
        self.lock_id(id).0.lsn()
    }

    /// Which [`stripe_snapshot`](Self::stripe_snapshot) an instrument belongs to, listed or not.
    #[expect(clippy::cast_possible_truncation, reason = "there are at most 1024 stripes")]
    pub fn stripe_of(&self, id: &str) -> u32 {
        self.stripe_index(self.hash(id)) as u32
    }
}
