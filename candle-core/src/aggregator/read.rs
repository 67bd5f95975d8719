//! Reads that count no view: one instrument, a page of the catalogue, the latest of every instrument, the outcomes.

use std::ops::Bound;
use std::time::Duration;

use super::Aggregator;
use crate::arrival::Arrival;
use crate::candle::Candle;
use crate::handle::Handle;
use crate::history::History;
use crate::instrument_id::InstrumentId;
use crate::outcome::Outcomes;
use crate::summary::Summary;
use crate::time::Timestamp;
use crate::version::{Latest, Update, Version};
use crate::window_candle::{Gaps, WindowCandle};

impl Aggregator {
    /// Returns a copy of one instrument, or `None` if the instrument is not listed.
    pub fn history(&self, id: &str) -> Option<History> {
        let (stripe, slot) = self.lock_id(id);
        slot.map(|slot| stripe.history(slot))
    }

    /// Returns the last `n` candles of the window of one instrument as seen from `now`, oldest first, or `None` if the
    /// instrument is not listed. Cheaper than a [`history`](Self::history), because no other candle is copied.
    ///
    /// ```
    /// use candle_core::{Aggregator, Gaps, Tick, Timestamp};
    ///
    /// let aggregator = Aggregator::default();
    /// aggregator.list("BTC", None)?;
    /// let now = Timestamp::EPOCH;
    /// let _ = aggregator.record("BTC", &Tick::new(now, 9.5), now);
    /// let later = now.saturating_add(600_000_000);
    /// assert_eq!(aggregator.last("BTC", 5, later, Gaps::Filled).unwrap().len(), 5);
    /// # Ok::<(), candle_core::ListError>(())
    /// ```
    pub fn last(&self, id: &str, n: usize, now: Timestamp, gaps: Gaps) -> Option<Vec<WindowCandle>> {
        let mut candles = Vec::with_capacity(n.min(self.config.window().candles()));
        let (stripe, slot) = self.lock_id(id);
        candles.extend(stripe.ring(slot?).candles(now, gaps).last_of(n));
        Some(candles)
    }

    /// Returns a copy of one instrument as seen from `now`, or only its [`Latest`] if the version is still `cached`. Returns
    /// `None` if the instrument is not listed.
    pub fn history_if_changed(&self, id: &str, now: Timestamp, cached: Option<&Version>) -> Option<Update> {
        let (stripe, slot) = self.lock_id(id);
        slot.map(|slot| stripe.update(slot, now, cached))
    }

    /// Returns at most `limit` instruments whose ids start with `prefix` and come after `after`, in the order of the bytes
    /// of their ids.
    pub fn page(&self, after: Option<&str>, prefix: &str, limit: usize) -> Vec<Summary> {
        let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_bytes()));
        let from = match start {
            Bound::Excluded(after) if after >= prefix.as_bytes() => start,
            _ => Bound::Included(prefix.as_bytes()),
        };
        // Locked to the end: a concurrent delisting would shorten the page, and a short page means the last page.
        let catalogue = self.catalogue.lock();
        let range = catalogue.range::<[u8], _>((from, Bound::Unbounded));
        let matching = range.take_while(|(id, _)| id.as_bytes().starts_with(prefix.as_bytes()));
        let summary = |(id, handle): (&InstrumentId, &Handle)| {
            let (stripe, slot) = self.stripes.lock_handle(*handle);
            slot.map(|slot| Summary {
                id: id.clone(),
                description: stripe.description(slot).cloned(),
                last_price: stripe.newest(slot).map(Candle::close),
                views: stripe.views(slot),
            })
        };
        matching.take(limit).filter_map(summary).collect()
    }

    /// Returns every listed instrument, in the order of the bytes of their ids.
    ///
    /// The catalogue is read in pages, so listing and delisting wait for at most one page. Instruments that are listed or
    /// delisted during the iteration may be missing or present.
    ///
    /// ```
    /// let aggregator = candle_core::Aggregator::default();
    /// for id in ["ETH", "BTC"] {
    ///     aggregator.list(id, None)?;
    /// }
    /// assert_eq!(aggregator.instruments().map(|line| line.id.to_string()).collect::<Vec<_>>(), ["BTC", "ETH"]);
    /// # Ok::<(), candle_core::ListError>(())
    /// ```
    pub fn instruments(&self) -> impl Iterator<Item = Summary> {
        /// A hold of the catalogue's lock of about 20 microseconds.
        const PAGE: usize = 128;
        let mut page = Vec::new().into_iter();
        let mut last: Option<InstrumentId> = None;
        std::iter::from_fn(move || {
            let next = page.next().or_else(|| {
                page = self.page(last.as_ref().map(InstrumentId::as_str), "", PAGE).into_iter();
                page.next()
            });
            last = next.as_ref().map(|line: &Summary| line.id.clone()).or(last.take());
            next
        })
    }

    /// Calls `each` with the [`Latest`] of every listed instrument, in no order. Each stripe is copied at one moment, and
    /// its lock is released before `each` is called.
    ///
    /// The second argument of `each` is the [usual gap](crate::Ring::usual_gap) seen from `now`. It is computed only for
    /// instruments whose last tick arrived before `quiet_since`, and is `None` for the others.
    ///
    /// ```
    /// use candle_core::{Aggregator, Arrival, Timestamp};
    ///
    /// let aggregator = Aggregator::default();
    /// aggregator.list("BTC", None)?;
    /// let mut listed = 0;
    /// aggregator
    ///     .for_each_latest(Timestamp::EPOCH, Arrival::START, |latest, _| listed += u32::from(latest.newest.is_none()));
    /// assert_eq!(listed, 1);
    /// # Ok::<(), candle_core::ListError>(())
    /// ```
    pub fn for_each_latest(
        &self,
        now: Timestamp,
        quiet_since: Arrival,
        mut each: impl FnMut(&Latest, Option<Duration>),
    ) {
        let mut copied = Vec::new();
        for (_, stripe) in self.stripes.lock_each() {
            copied.extend(stripe.listed().map(|slot| {
                let latest = stripe.latest(slot);
                let is_quiet = latest.last_arrival.is_none_or(|arrival| arrival < quiet_since);
                (latest, is_quiet.then(|| stripe.ring(slot).usual_gap(now)).flatten())
            }));
            drop(stripe);
            copied.drain(..).for_each(|(latest, usual_gap)| each(&latest, usual_gap));
        }
    }

    /// Returns the number of ticks by outcome. The stripes are read one after another, so the sum is exact only if nothing
    /// is recorded during the call.
    pub fn outcomes(&self) -> Outcomes {
        let mut sum = Outcomes::default();
        self.stripes.lock_each().for_each(|(_, stripe)| sum.merge(stripe.outcomes()));
        sum
    }
}
