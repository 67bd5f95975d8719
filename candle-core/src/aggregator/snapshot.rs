//! Snapshots of an aggregator: taking, restoring and merging them.

use std::collections::{BTreeMap, HashSet};

use super::Aggregator;
use crate::config::Config;
use crate::handle::Handle;
use crate::instrument_id::InstrumentId;
use crate::list_error::ListError;
use crate::ring::Ring;
use crate::snapshot::{InstrumentSnapshot, SnapshotError, StripeSnapshot};
use crate::window::Window;

impl Aggregator {
    /// Copies one stripe after another, each at one moment under its lock, while writers continue in the others.
    ///
    /// Each part contains the instruments of its stripe with forming candles and views, and the highest
    /// [`lsn`](crate::RecordContext::lsn) of any write to the stripe.
    pub fn snapshot(&self) -> impl Iterator<Item = StripeSnapshot> {
        (0..).zip(0..self.config.stripes()).map(|(number, index)| self.copy_stripe(number, index))
    }

    pub(super) fn copy_stripe(&self, number: u32, index: usize) -> StripeSnapshot {
        let mut snapshot = self.copy_unsorted(number, index);
        // By id and not by slot: equal contents are equal snapshots, whatever was delisted before.
        snapshot.instruments.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        snapshot
    }

    fn copy_unsorted(&self, number: u32, index: usize) -> StripeSnapshot {
        let stripe = self.stripes.lock(index);
        let instruments = stripe.listed().map(|slot| InstrumentSnapshot {
            id: stripe.id(slot).clone(),
            description: stripe.description(slot).cloned(),
            views: stripe.views(slot),
            candles: stripe.ring(slot).stored().copied().collect(),
        });
        StripeSnapshot {
            seed: self.config.seed(),
            #[expect(clippy::cast_possible_truncation, reason = "there are at most 1024 stripes")]
            stripes: self.config.stripes() as u32,
            stripe: number,
            window: self.config.window(),
            lsn: stripe.lsn(),
            outcomes: *stripe.outcomes(),
            instruments: instruments.collect(),
        }
    }

    /// Creates an aggregator from the snapshots of all stripes, in any order. Limits, rules and the length of the window are
    /// those of `config`. Stripes and seed are those of the snapshots.
    ///
    /// # Errors
    /// Returns [`SnapshotError`] if the snapshots are not those of all stripes of one aggregator, have candles of another
    /// interval than `config`, or are damaged.
    pub fn restore(config: Config, parts: Vec<StripeSnapshot>) -> Result<Self, SnapshotError> {
        let Some(first) = parts.first() else {
            return Err(SnapshotError::Missing { stripe: 0 });
        };
        let (seed, stripes) = (first.seed, first.stripes);
        let aggregator = Self::new(config.with_seed(seed).with_stripes(stripes as usize));
        let mut parts = parts;
        parts.sort_unstable_by_key(|part| part.stripe);
        for (number, part) in (0..).zip(&parts) {
            check_interval(&config, part)?;
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
            aggregator.restore_stripe(part)?;
        }
        Ok(aggregator)
    }

    /// Fills one stripe of a new aggregator.
    fn restore_stripe(&self, part: &StripeSnapshot) -> Result<(), SnapshotError> {
        for instrument in &part.instruments {
            if self.stripe_index(self.hash(instrument.id.as_str())) != part.stripe as usize {
                return Err(SnapshotError::Damaged { what: "an instrument belongs to another stripe" });
            }
            if self.resolve(instrument.id.as_str()).is_some() {
                return Err(SnapshotError::Damaged { what: "an instrument is repeated" });
            }
            self.merge_instrument(&mut self.catalogue.lock(), instrument)?;
        }
        let mut stripe = self.stripes.lock(part.stripe as usize);
        *stripe.outcomes_mut() = part.outcomes;
        stripe.advance_lsn(part.lsn);
        Ok(())
    }

    /// Merges a stripe of another aggregator into this one. Merging every stripe gives the aggregator that would have seen
    /// the ticks of both.
    ///
    /// - Every instrument of either is listed. If both have a description, that of `self` remains.
    /// - Candles are merged. Of ticks with equal `(time, seq)`, those of `later` count as the later ones.
    /// - Counts, volumes, views and outcomes are added.
    /// - The lsn of `later` is ignored, because it belongs to another log.
    ///
    /// # Errors
    /// Returns [`SnapshotError::Full`] if more instruments would be listed than allowed, and
    /// [`SnapshotError::OtherInterval`] if the candles are of another interval. Nothing is changed then.
    pub fn merge(&self, later: &StripeSnapshot) -> Result<(), SnapshotError> {
        check_interval(&self.config, later)?;
        let mut catalogue = self.catalogue.lock();
        let ids: HashSet<_> = later.instruments.iter().map(|instrument| &instrument.id).collect();
        let new = ids.iter().filter(|id| !catalogue.contains_key(**id)).count();
        if catalogue.len() + new > self.config.max_instruments() {
            return Err(SnapshotError::Full { max_instruments: self.config.max_instruments() });
        }
        for instrument in &later.instruments {
            self.merge_instrument(&mut catalogue, instrument)?;
        }
        self.stripes.lock(self.stripes.index(u64::from(later.stripe))).outcomes_mut().merge(&later.outcomes);
        Ok(())
    }

    fn merge_instrument(
        &self,
        catalogue: &mut BTreeMap<InstrumentId, Handle>,
        later: &InstrumentSnapshot,
    ) -> Result<(), SnapshotError> {
        let listing = self.list_in(catalogue, later.id.as_str());
        let (mut stripe, handle) = listing.map_err(|error| match error {
            ListError::Full { max_instruments } => SnapshotError::Full { max_instruments },
            ListError::InvalidId(_) => SnapshotError::Damaged { what: "an instrument id is invalid" },
        })?;
        if stripe.description(handle.slot).is_none() {
            stripe.set_description(handle.slot, later.description.clone());
        }
        let mut ring = Ring::copied(stripe.ring(handle.slot));
        ring.merge_stored(later.candles.iter());
        stripe.set_ring(handle.slot, &ring);
        let views = stripe.views(handle.slot).saturating_add(later.views);
        stripe.set_views(handle.slot, views);
        drop(stripe);
        if later.views > 0 {
            self.consider_leader(handle);
        }
        Ok(())
    }
}

fn check_interval(config: &Config, part: &StripeSnapshot) -> Result<(), SnapshotError> {
    let [expected, found] = [config.window(), part.window].map(Window::interval);
    if expected == found { Ok(()) } else { Err(SnapshotError::OtherInterval { expected, found }) }
}
