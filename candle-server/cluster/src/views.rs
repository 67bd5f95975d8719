//! The ledger of views: views are counted in the aggregator, published once a second, and added by all other nodes.

use std::collections::{HashMap, VecDeque};

use candle_core::Aggregator;
use candle_core::replication::ViewTotal;
use candle_engine::codec::RecordedViews;

use crate::catalogue::each_listed;
use crate::message::first_lsn;

/// The number of messages for which a delisting is remembered. Views are published within seconds, which is about a
/// hundred messages.
const REMEMBERED_MESSAGES: u64 = 10_000;

/// The approximate limit of one message of views, in bytes: half of the default limit of the broker. After a long time
/// without a broker every instrument can have views to publish.
const MAX_MESSAGE_BYTES: usize = 512 << 10;

/// The longest encoding of the numbers beside an id, in bytes: its index, length, views and lsn.
const NUMBERS_BYTES: usize = 5 + 1 + 10 + 10;

/// The views that this node published, and those that other nodes published.
///
/// Views belong to one listing of an instrument, and a listing ends at the same sequence for every node. Every node
/// ignores views that were counted before. Each message contains the lsn that the stripe had when they were counted.
#[derive(Debug, Default)]
pub(crate) struct ViewLedger {
    /// By id: the number of views in the aggregator that the log has or that are being published.
    accounted: HashMap<Box<str>, u64>,
    /// By id: the lsn of the last delisting.
    delisted: HashMap<Box<str>, u64>,
    /// The delistings, oldest first.
    order: VecDeque<(u64, Box<str>)>,
    /// Views that did not fit the messages so far.
    unpublished: VecDeque<ViewTotal>,
}

impl ViewLedger {
    /// Removes and returns the views to publish next, at most one message of them.
    pub(crate) fn take(&mut self, aggregator: &Aggregator) -> Vec<ViewTotal> {
        if self.unpublished.is_empty() {
            self.collect(aggregator);
        }
        let mut bytes = 0;
        let mut fits = |views: &ViewTotal| {
            bytes += views.id.as_str().len() + NUMBERS_BYTES;
            bytes <= MAX_MESSAGE_BYTES
        };
        let fitting = self.unpublished.iter().take_while(|views| fits(views)).count();
        self.unpublished.drain(..fitting).collect()
    }

    fn collect(&mut self, aggregator: &Aggregator) {
        for mut views in aggregator.drain_view_totals() {
            let accounted = self.accounted.entry(views.id.as_str().into()).or_default();
            let total = std::mem::replace(accounted, views.views);
            views.views = views.views.saturating_sub(total);
            if views.views > 0 {
                self.unpublished.push_back(views);
            }
        }
    }

    /// Counts all views of a restored aggregator as known to every node.
    pub(crate) fn account_for(&mut self, aggregator: &Aggregator) {
        each_listed(aggregator, |summary| {
            if summary.views > 0 {
                self.accounted.insert(summary.id.as_str().into(), summary.views);
            }
        });
    }

    /// Adds views that another node published at `lsn`, unless their listing has ended.
    pub(crate) fn add(&mut self, aggregator: &Aggregator, viewed: RecordedViews<'_>, lsn: u64) {
        let has_ended = self.delisted.get(viewed.id).is_some_and(|delisted| *delisted > viewed.lsn);
        let is_known = aggregator.lsn_of(viewed.id) >= lsn;
        if has_ended || is_known || aggregator.resolve(viewed.id).is_none() {
            return;
        }
        aggregator.at_lsn(lsn).add_views(viewed.id, viewed.views);
        let accounted = self.accounted.entry(viewed.id.into()).or_default();
        *accounted = accounted.saturating_add(viewed.views);
    }

    /// The lsn of the last delisting of an instrument, if that was recent.
    pub(crate) fn last_delisted(&self, id: &str) -> Option<u64> {
        self.delisted.get(id).copied()
    }

    /// Removes the accounted views of a listing that has ended.
    pub(crate) fn remove(&mut self, id: &str) {
        self.accounted.remove(id);
    }

    /// Records that an instrument was delisted at `lsn`.
    pub(crate) fn record_delisting(&mut self, id: &str, lsn: u64) {
        self.delisted.insert(id.into(), lsn);
        self.order.push_back((lsn, id.into()));
        let remembered = first_lsn(REMEMBERED_MESSAGES);
        while self.order.front().is_some_and(|(old, _)| old.saturating_add(remembered) < lsn) {
            if let Some((old, id)) = self.order.pop_front()
                && self.delisted.get(&id) == Some(&old)
            {
                self.delisted.remove(&id);
            }
        }
    }
}
