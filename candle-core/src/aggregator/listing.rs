//! Listing and delisting instruments.

use std::collections::BTreeMap;

use parking_lot::MutexGuard;

use super::Aggregator;
use crate::handle::Handle;
use crate::instrument_id::{InstrumentId, InvalidId};
use crate::list_error::ListError;
use crate::stripe::Stripe;

impl Aggregator {
    /// Lists an instrument and returns its handle. If the id is listed already, only the description is replaced, because
    /// feeds repeat their catalogue on every connect.
    ///
    /// # Errors
    /// Returns [`ListError`] if `id` is new, and is invalid or exceeds [`Config::max_instruments`](crate::Config).
    pub fn list(&self, id: &str, description: Option<&str>) -> Result<Handle, ListError> {
        self.at_lsn(0).list(id, description)
    }

    /// Lists an instrument if needed, and returns its locked stripe and its handle.
    pub(super) fn list_in(
        &self,
        catalogue: &mut BTreeMap<InstrumentId, Handle>,
        id: &str,
    ) -> Result<(MutexGuard<'_, Stripe>, Handle), ListError> {
        let hash = self.hash(id);
        let (mut stripe, listed) = self.lock_hashed(hash, id);
        if let Some(slot) = listed {
            let handle = self.handle_hashed(hash, &stripe, slot);
            return Ok((stripe, handle));
        }
        let valid = InstrumentId::new(id).map_err(ListError::InvalidId)?;
        if self.config.reserved_id() == Some(id) {
            return Err(ListError::InvalidId(InvalidId::Reserved));
        }
        let max_instruments = self.config.max_instruments();
        if catalogue.len() >= max_instruments {
            return Err(ListError::Full { max_instruments });
        }
        let slot = stripe.list(hash, valid.clone(), &self.hash);
        let handle = self.handle_hashed(hash, &stripe, slot);
        catalogue.insert(valid, handle);
        Ok((stripe, handle))
    }

    /// Removes an instrument at once, with its candles and views. Returns true if it was listed. A later listing of the
    /// same id is a new instrument.
    pub fn delist(&self, id: &str) -> bool {
        self.at_lsn(0).delist(id)
    }

    /// Returns the handle of a listed instrument.
    pub fn resolve(&self, id: &str) -> Option<Handle> {
        let (stripe, slot) = self.lock_id(id);
        slot.map(|slot| self.handle(id, &stripe, slot))
    }

    /// Returns the number of listed instruments.
    pub fn len(&self) -> usize {
        self.catalogue.lock().len()
    }

    /// Returns true if no instrument is listed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes the candles of every instrument. Listing, views and outcomes remain.
    ///
    /// Needed for a feed on its own clock that starts again at an earlier time. The stripes are cleared one after another,
    /// so a concurrent reader may still see candles in some of them.
    pub fn clear_candles(&self) {
        self.stripes.lock_each().for_each(|(_, mut stripe)| stripe.clear_candles());
    }
}
