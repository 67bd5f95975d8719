//! What readers ask: one instrument, the catalogue, the most viewed, the counts.

use std::ops::Bound;
use std::time::Duration;

use super::Aggregator;
use crate::arrival::Arrival;
use crate::candle::Candle;
use crate::catalogue::Summary;
use crate::history::History;
use crate::instrument::{Handle, InstrumentId};
use crate::outcome::Outcomes;
use crate::popularity::Popular;
use crate::stripe::{Stripe, Viewed};
use crate::time::Timestamp;
use crate::top_k::LEADERS;
use crate::version::{Latest, Update, Version};

/// The largest `k` that [`Aggregator::top`] answers exactly.
pub const MAX_TOP: usize = LEADERS;

impl Aggregator {
    /// One instrument as it is now, or `None` if it is not listed.
    pub fn history(&self, id: &str) -> Option<History> {
        let (stripe, slot) = self.lock_id(id);
        slot.map(|slot| stripe.history(slot))
    }

    /// Counts a view, and returns the instrument with this view counted, or `None` if it is not listed.
    pub fn history_counting_view(&self, id: &str) -> Option<History> {
        self.count_view_and_read(id, 0, Stripe::history)
    }

    /// [`history`](Self::history), for a reader who sees it from `now` and has kept what was `known` then: where nothing
    /// else changed, only the [`Latest`](crate::Latest) is copied out.
    pub fn history_if_changed(&self, id: &str, now: Timestamp, known: Option<&Version>) -> Option<Update> {
        let (stripe, slot) = self.lock_id(id);
        slot.map(|slot| stripe.update(slot, now, known))
    }

    /// [`history_counting_view`](Self::history_counting_view), for a reader who sees it from `now` and has kept what was `known` then: where nothing else
    /// changed, only the [`Latest`](crate::Latest) is copied out.
    pub fn history_if_changed_counting_view(
        &self,
        id: &str,
        now: Timestamp,
        known: Option<&Version>,
    ) -> Option<Update> {
        self.count_view_and_read(id, 0, |stripe, slot| stripe.update(slot, now, known))
    }

    /// Counts a view and returns how many there are now, or `None` if the instrument is not listed.
    pub fn count_view(&self, id: &str) -> Option<u64> {
        self.count_view_logged(id, 0)
    }

    /// [`count_view`](Self::count_view), for a caller that keeps a log of views too, in which this one has the position `lsn` (see
    /// [`RecordContext::lsn`](crate::RecordContext::lsn)).
    pub fn count_view_logged(&self, id: &str, lsn: u64) -> Option<u64> {
        self.count_view_and_read(id, lsn, Stripe::views)
    }

    /// Counts a view, and reads under the same lock.
    #[inline]
    fn count_view_and_read<T>(&self, id: &str, lsn: u64, read: impl FnOnce(&Stripe, u32) -> T) -> Option<T> {
        let (mut stripe, slot) = self.lock_id(id);
        stripe.advance_lsn(lsn);
        let slot = slot?;
        let viewed = stripe.count_view(slot);
        let read = read(&stripe, slot);
        if viewed == Viewed::CrossedFloor {
            let handle = self.handle(id, &stripe, slot);
            drop(stripe);
            self.popularity.consider(handle, &self.stripes);
        }
        Some(read)
    }

    /// The `k` most viewed instruments into `top`, most first, ties by the bytes of the id; all of them if fewer are
    /// listed. `k` is cut to [`MAX_TOP`].
    ///
    /// Exact when no view is being counted at the same time. While views are counted, the order is that of the counts
    /// returned, and views whose [`count_view`](Self::count_view) or [`history_counting_view`](Self::history_counting_view) had not returned when this began may be
    /// missing from them. Nothing is allocated where `top` has room for `k`, unless so many of the most viewed were delisted that all
    /// counters must be read again.
    pub fn top(&self, k: usize, top: &mut Vec<Popular>) {
        let k = k.min(MAX_TOP);
        self.popularity.top(k, &self.stripes, top);
        if top.len() < k {
            // Everyone with views is in already; the others follow by id.
            let viewed = top.len();
            for id in self.catalogue.lock().keys() {
                if top.len() == k {
                    break;
                }
                if top[..viewed].iter().all(|popular| popular.id != *id) {
                    top.push(Popular { id: id.clone(), views: 0 });
                }
            }
        }
    }

    /// At most `limit` instruments by the bytes of their ids: those that start with `prefix` and come after `after`.
    pub fn page(&self, after: Option<&str>, prefix: &str, limit: usize) -> Vec<Summary> {
        let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_bytes()));
        let from = match start {
            Bound::Excluded(after) if after >= prefix.as_bytes() => start,
            _ => Bound::Included(prefix.as_bytes()),
        };
        // Held to the end: what is delisted meanwhile would make the page shorter, and look like the last one.
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

    /// Calls `each` with the latest of every listed instrument, and with its [usual gap](crate::Ring::usual_gap) seen from
    /// `now` where its last tick arrived before `quiet_since`. Stripe by stripe, each copied out at one instant; in no
    /// order.
    ///
    /// ```
    /// use candle_core::{Aggregator, Arrival, Timestamp};
    ///
    /// let aggregator = Aggregator::default();
    /// aggregator.list("BTC", None)?;
    /// let mut listed = 0;
    /// aggregator.each_latest(Timestamp::EPOCH, Arrival::START, |latest, _| listed += u32::from(latest.newest.is_none()));
    /// assert_eq!(listed, 1);
    /// # Ok::<(), candle_core::ListError>(())
    /// ```
    pub fn each_latest(&self, now: Timestamp, quiet_since: Arrival, mut each: impl FnMut(&Latest, Option<Duration>)) {
        let mut latest = Vec::new();
        for (_, stripe) in self.stripes.each() {
            latest.extend(stripe.listed().map(|slot| {
                let one = stripe.latest(slot);
                let is_quiet = one.last_arrival.is_none_or(|arrival| arrival < quiet_since);
                (one, is_quiet.then(|| stripe.ring(slot).usual_gap(now)).flatten())
            }));
            drop(stripe);
            latest.drain(..).for_each(|(one, usual_gap)| each(&one, usual_gap));
        }
    }

    /// How many ticks had each outcome so far. Stripe by stripe; exact when nothing is being recorded.
    pub fn outcomes(&self) -> Outcomes {
        let mut sum = Outcomes::default();
        self.stripes.each().for_each(|(_, stripe)| sum.merge(stripe.outcomes()));
        sum
    }
}
