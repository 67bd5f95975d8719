//! Totals of views, for a caller that keeps a log: which counts changed, and putting them back.

use super::Aggregator;
use crate::instrument::InstrumentId;

/// The views of one instrument, as they stood when its stripe had seen `lsn`.
///
/// A count of views never falls while its instrument is listed, so a log of such counts is replayed by
/// [`raise_views`](Aggregator::raise_views), and twice is as good as once.
///
/// ```
/// let aggregator = candle_core::Aggregator::default();
/// aggregator.list("BTC", None)?;
/// aggregator.count_view("BTC");
/// let taken = aggregator.drain_view_totals();
/// assert_eq!((taken.len(), taken[0].views), (1, 1));
/// assert!(aggregator.drain_view_totals().is_empty());
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewTotal {
    /// Whose they are.
    pub id: InstrumentId,
    /// How many there are in all.
    pub views: u64,
    /// The highest [`lsn`](crate::RecordContext::lsn) of any write to the instrument's stripe by then.
    pub lsn: u64,
}

impl Aggregator {
    /// The counts of everything viewed since the last call; each stripe's at one instant.
    pub fn drain_view_totals(&self) -> Vec<ViewTotal> {
        let mut taken = Vec::new();
        for (_, mut stripe) in self.stripes.each() {
            stripe.drain_view_totals(|stripe, slot| {
                taken.push(ViewTotal { id: stripe.id(slot).clone(), views: stripe.views(slot), lsn: stripe.lsn() });
            });
        }
        taken
    }

    /// Raises an instrument's views to `views`, unless there are more already or it is not listed.
    pub fn raise_views(&self, id: &str, views: u64) {
        self.change_views(id, 0, |mine| views.max(mine));
    }

    /// Adds views that were counted elsewhere, unless the instrument is not listed: for aggregators that see the same
    /// log and count each its own readers. An instrument is not newly viewed by this; what
    /// [`drain_view_totals`](Self::drain_view_totals) gives of it later includes them, as it gives totals.
    ///
    /// `lsn` is the position of this in the caller's log (see [`RecordContext::lsn`](crate::RecordContext::lsn)), 0 where there is
    /// none.
    ///
    /// ```
    /// let aggregator = candle_core::Aggregator::default();
    /// aggregator.list("BTC", None)?;
    /// aggregator.count_view("BTC");
    /// aggregator.add_views("BTC", 4, 0);
    /// assert_eq!(aggregator.history("BTC").unwrap().views, 5);
    /// # Ok::<(), candle_core::ListError>(())
    /// ```
    pub fn add_views(&self, id: &str, views: u64, lsn: u64) {
        self.change_views(id, lsn, |mine| mine.saturating_add(views));
    }

    /// Sets an instrument's views to what `change` makes of them, which is no less.
    fn change_views(&self, id: &str, lsn: u64, change: impl FnOnce(u64) -> u64) {
        let (mut stripe, slot) = self.lock_id(id);
        stripe.advance_lsn(lsn);
        let Some(slot) = slot else { return };
        let views = change(stripe.views(slot));
        stripe.set_views(slot, views);
        let handle = self.handle(id, &stripe, slot);
        drop(stripe);
        // Those without views come after the others by their ids alone.
        if views > 0 {
            self.popularity.consider(handle, &self.stripes);
        }
    }
}
