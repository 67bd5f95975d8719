//! Replication and storage: keeping an [`Aggregator`] in step with a log.
//!
//! A program that only embeds the aggregator needs nothing from this page. A program that stores the aggregator, or keeps
//! several copies of it, does the following:
//!
//! 1. **Log every write.** A log assigns each write a log sequence number, the `lsn`. Numbers start at 1 and rise. 0 means
//!    that there is no log. The writes of one stripe must be applied in the order of the log.
//! 2. **Apply every write under its lsn.** Ticks carry it in [`RecordContext::lsn`](crate::RecordContext::lsn). The other
//!    writes go through [`Aggregator::at_lsn`]. Each stripe remembers the highest lsn that it has seen.
//! 3. **Take snapshots while writers run.** [`Aggregator::stripe_snapshot`] copies one stripe, with its lsn.
//! 4. **Restore and replay.** [`Aggregator::restore`] builds an aggregator from the snapshots of all stripes. Then apply
//!    each logged write whose lsn is higher than [`Aggregator::lsn_of`] its instrument. The result is exact, although the
//!    snapshots are of different moments.
//!
//! Views are too frequent to be logged one by one. There are two ways to log them:
//!
//! - **One process counts.** Log the totals of [`Aggregator::drain_view_totals`], and replay them with
//!   [`Aggregator::raise_views`].
//! - **Several processes count.** Log the number of new views of each process, and apply it everywhere with
//!   [`LoggedWrites::add_views`].
//!
//! ```
//! use candle_core::{Aggregator, RecordContext, Tick, Timestamp};
//!
//! let now = Timestamp::EPOCH;
//! let tick = Tick::new(now, 9.5);
//! let write = |aggregator: &Aggregator, lsn: u64| match lsn {
//!     1 => drop(aggregator.at_lsn(lsn).list("BTC", Some("Bitcoin"))),
//!     2 => assert!(aggregator.record("BTC", &tick, RecordContext { lsn, ..now.into() }).is_accepted()),
//!     _ => aggregator.at_lsn(lsn).add_views("BTC", 4),
//! };
//!
//! let original = Aggregator::default();
//! write(&original, 1);
//! write(&original, 2);
//! let snapshots = original.snapshot().collect(); // taken between the writes 2 and 3
//! write(&original, 3);
//!
//! let replica = Aggregator::restore(*original.config(), snapshots)?;
//! (1..=3).filter(|lsn| *lsn > replica.lsn_of("BTC")).for_each(|lsn| write(&replica, lsn));
//! assert!(replica.snapshot().eq(original.snapshot()));
//! # Ok::<(), candle_core::SnapshotError>(())
//! ```

use super::Aggregator;
use crate::config::Config;
use crate::handle::Handle;
use crate::instrument_id::InstrumentId;
use crate::list_error::ListError;
use crate::snapshot::StripeSnapshot;
use crate::summary::cut_description;

/// Writes to an aggregator under one log sequence number. Returned by [`Aggregator::at_lsn`].
///
/// Ticks are logged through [`RecordContext::lsn`](crate::RecordContext::lsn) instead.
///
/// ```
/// let aggregator = candle_core::Aggregator::default();
/// aggregator.at_lsn(7).list("BTC", None)?;
/// assert_eq!(aggregator.lsn_of("BTC"), 7);
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is written until a method is called"]
pub struct LoggedWrites<'a> {
    aggregator: &'a Aggregator,
    lsn: u64,
}

impl LoggedWrites<'_> {
    /// Lists an instrument; see [`Aggregator::list`].
    ///
    /// # Errors
    /// Returns [`ListError`] as [`Aggregator::list`] does. The stripe then does not advance to the lsn.
    pub fn list(self, id: &str, description: Option<&str>) -> Result<Handle, ListError> {
        let description = description.map(cut_description);
        let (mut stripe, handle) = self.aggregator.list_in(&mut self.aggregator.catalogue.lock(), id)?;
        stripe.set_description(handle.slot, description);
        stripe.advance_lsn(self.lsn);
        Ok(handle)
    }

    /// Delists an instrument; see [`Aggregator::delist`]. The stripe of `id` advances to the lsn, also if `id` is not
    /// listed.
    #[expect(clippy::must_use_candidate, reason = "the instrument is delisted whether or not the result is used")]
    pub fn delist(self, id: &str) -> bool {
        let mut catalogue = self.aggregator.catalogue.lock();
        let (mut stripe, listed) = self.aggregator.lock_id(id);
        stripe.advance_lsn(self.lsn);
        let Some(slot) = listed else { return false };
        catalogue.remove(stripe.id(slot));
        stripe.delist(self.aggregator.hash(id), slot);
        true
    }

    /// Removes all candles; see [`Aggregator::clear_candles`]. A stripe with a higher lsn is not cleared, so that replaying
    /// this write over a snapshot is exact.
    pub fn clear_candles(self) {
        for (_, mut stripe) in self.aggregator.stripes.lock_each() {
            if stripe.lsn() <= self.lsn {
                stripe.clear_candles();
                stripe.advance_lsn(self.lsn);
            }
        }
    }

    /// Adds views that another process counted, if `id` is listed. [`Aggregator::drain_view_totals`] does not return an
    /// instrument because of these views, but the totals that it returns include them.
    ///
    /// ```
    /// let aggregator = candle_core::Aggregator::default();
    /// aggregator.list("BTC", None)?;
    /// aggregator.count_view("BTC");
    /// aggregator.at_lsn(1).add_views("BTC", 4);
    /// assert_eq!(aggregator.history("BTC").unwrap().views, 5);
    /// # Ok::<(), candle_core::ListError>(())
    /// ```
    pub fn add_views(self, id: &str, views: u64) {
        self.aggregator.update_views(id, self.lsn, |current| current.saturating_add(views));
    }
}

/// The number of views of one instrument. Returned by [`Aggregator::drain_view_totals`].
///
/// A number of views never falls while its instrument is listed. Replaying a total with
/// [`raise_views`](Aggregator::raise_views) is therefore idempotent.
///
/// ```
/// let aggregator = candle_core::Aggregator::default();
/// aggregator.list("BTC", None)?;
/// aggregator.count_view("BTC");
/// let totals = aggregator.drain_view_totals();
/// assert_eq!((totals.len(), totals[0].views), (1, 1));
/// assert!(aggregator.drain_view_totals().is_empty());
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewTotal {
    /// The id.
    pub id: InstrumentId,
    /// The number of views since the instrument was listed.
    pub views: u64,
    /// The highest lsn of the instrument's stripe when the total was read.
    pub lsn: u64,
}

/// # Replication and storage
///
/// Methods for a program that keeps a log: see [`replication`](crate::replication).
impl Aggregator {
    /// Returns the writes that a log records under `lsn`.
    pub const fn at_lsn(&self, lsn: u64) -> LoggedWrites<'_> {
        LoggedWrites { aggregator: self, lsn }
    }

    /// Returns the highest lsn of any write to the stripe of `id`. The id need not be listed.
    pub fn lsn_of(&self, id: &str) -> u64 {
        self.lock_id(id).0.lsn()
    }

    /// Returns the number of the stripe of `id`, counted from 0. The id need not be listed.
    #[expect(clippy::cast_possible_truncation, reason = "there are at most 1024 stripes")]
    pub fn stripe_of(&self, id: &str) -> u32 {
        self.stripe_index(self.hash(id)) as u32
    }

    /// Copies one stripe under its lock, as [`snapshot`](Self::snapshot) does with each. Returns `None` if there is no such
    /// stripe.
    pub fn stripe_snapshot(&self, stripe: u32) -> Option<StripeSnapshot> {
        let index = usize::try_from(stripe).ok().filter(|index| *index < self.config.stripes())?;
        Some(self.copy_stripe(stripe, index))
    }

    /// Returns the views of every instrument that was viewed since the last call. Each stripe is read at one moment.
    pub fn drain_view_totals(&self) -> Vec<ViewTotal> {
        let mut totals = Vec::new();
        for (_, mut stripe) in self.stripes.lock_each() {
            stripe.drain_viewed(|stripe, slot| {
                totals.push(ViewTotal { id: stripe.id(slot).clone(), views: stripe.views(slot), lsn: stripe.lsn() });
            });
        }
        totals
    }

    /// Raises the views of an instrument to `views`, if it is listed and has fewer.
    pub fn raise_views(&self, id: &str, views: u64) {
        self.update_views(id, 0, |current| views.max(current));
    }

    /// Sets the views of an instrument to the result of `update`, which must not be lower.
    fn update_views(&self, id: &str, lsn: u64, update: impl FnOnce(u64) -> u64) {
        let (mut stripe, slot) = self.lock_id(id);
        stripe.advance_lsn(lsn);
        let Some(slot) = slot else { return };
        let views = update(stripe.views(slot));
        stripe.set_views(slot, views);
        let handle = self.handle(id, &stripe, slot);
        drop(stripe);
        // The leader set contains only instruments with views.
        if views > 0 {
            self.consider_leader(handle);
        }
    }

    /// Removes the arrival times of all ticks. Needed after a replay, because replayed ticks arrived before this process
    /// started.
    pub fn forget_arrivals(&self) {
        self.stripes.lock_each().for_each(|(_, mut stripe)| stripe.forget_arrivals());
    }

    /// Replaces limits and rules by those of `config`. Stripes, seed, interval and window remain. If more instruments are listed than the new
    /// maximum, all of them remain and new ones are refused.
    pub fn reconfigure(&mut self, config: Config) {
        self.config = config.like(&self.config);
    }
}
