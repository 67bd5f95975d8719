//! Counting views, and the most viewed instruments.

use super::Aggregator;
use crate::history::History;
use crate::leaders::Popular;
use crate::popularity::MAX_TOP;
use crate::stripe::{FloorCheck, Stripe};
use crate::time::Timestamp;
use crate::version::{Update, Version};

impl Aggregator {
    /// Counts a view and returns the number of views, or `None` if the instrument is not listed.
    pub fn count_view(&self, id: &str) -> Option<u64> {
        self.count_view_and_read(id, Stripe::views)
    }

    /// Counts a view and returns the instrument with this view included, or `None` if the instrument is not listed.
    pub fn history_counting_view(&self, id: &str) -> Option<History> {
        self.count_view_and_read(id, Stripe::history)
    }

    /// Counts a view and returns the instrument as [`history_if_changed`](Self::history_if_changed) does.
    pub fn history_if_changed_counting_view(
        &self,
        id: &str,
        now: Timestamp,
        cached: Option<&Version>,
    ) -> Option<Update> {
        self.count_view_and_read(id, |stripe, slot| stripe.update(slot, now, cached))
    }

    /// Counts a view, and reads under the same lock.
    #[inline]
    fn count_view_and_read<T>(&self, id: &str, read: impl FnOnce(&Stripe, u32) -> T) -> Option<T> {
        let (mut stripe, slot) = self.lock_id(id);
        let slot = slot?;
        let check = stripe.count_view(slot);
        let read = read(&stripe, slot);
        if check == FloorCheck::Reached {
            let handle = self.handle(id, &stripe, slot);
            drop(stripe);
            self.consider_leader(handle);
        }
        Some(read)
    }

    /// Returns the `k` most viewed instruments, or all if fewer are listed. The order is most views first, ties by the bytes
    /// of the id. `k` is cut to [`MAX_TOP`].
    ///
    /// The result is exact if no view is counted during the call; see [`top_into`](Self::top_into), which allocates nothing.
    pub fn top(&self, k: usize) -> Vec<Popular> {
        let mut top = Vec::with_capacity(k.min(MAX_TOP));
        self.top_into(k, &mut top);
        top
    }

    /// Replaces the content of `top` by the result of [`top`](Self::top).
    ///
    /// The result is exact if no view is counted during the call. Otherwise, it is in order of the returned numbers, and
    /// views whose count had not returned before the call may be missing from them.
    ///
    /// The call allocates nothing if `top` has room for `k`. Exception: if delistings left fewer than `k` leaders, all
    /// counters are read again.
    pub fn top_into(&self, k: usize, top: &mut Vec<Popular>) {
        let k = k.min(MAX_TOP);
        self.leaders.lock().top(k, &mut &self.stripes, top);
        if top.len() < k {
            // All instruments with views are in `top`. The others follow by id.
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
}
