//! Counts the views that a node must publish, and adds the views that other nodes published.
//!
//! A view is one read of an instrument by a client. The aggregator of each read node counts its own views. The node
//! publishes the increase once a second, and all other nodes add it to their aggregators.

use std::collections::{HashMap, VecDeque};

use candle_core::Aggregator;
use candle_core::replication::ViewTotal;
use candle_engine::codec::RecordedViews;

use crate::message::first_lsn;

/// The number of messages for which a delisting is stored. Views are normally published within seconds, which is about
/// a hundred messages.
const REMEMBERED_MESSAGES: u64 = 10_000;

/// The approximate size of the longest message of views, in bytes. It is half of the default limit of the broker.
///
/// After a long time without a broker, every instrument can have views to publish, which then need several messages.
const MAX_MESSAGE_BYTES: usize = 512 << 10;

/// The longest encoding of the numbers that follow an id, in bytes: index, length, views and lsn.
const NUMBERS_BYTES: usize = 5 + 1 + 10 + 10;

/// The views that this node has published, and the views that other nodes have published.
///
/// Views belong to one listing of an instrument. A listing ends at the same message on all nodes. If an instrument is
/// delisted and listed again, views of the earlier listing must not count for the later listing. So each message
/// contains the lsn (log sequence number) of the stripe at the time of counting, and nodes ignore views from before the
/// delisting.
#[derive(Debug, Default)]
pub(crate) struct ViewLedger {
    /// By id: the views in the aggregator that need not be published.
    ///
    /// The log contains these views, or they are in flight.
    accounted: HashMap<Box<str>, u64>,
    /// By id: the lsn of the last stored delisting.
    delisted: HashMap<Box<str>, u64>,
    /// The stored delistings (lsn and id), oldest first.
    order: VecDeque<(u64, Box<str>)>,
    /// Collected views that did not fit into the previous messages.
    unpublished: VecDeque<ViewTotal>,
}

impl ViewLedger {
    /// Removes and returns the views of the next message. Returns an empty list if there are no new views.
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

    /// Marks all views of an aggregator that was restored from a checkpoint as published.
    pub(crate) fn account_for(&mut self, aggregator: &Aggregator) {
        for summary in aggregator.instruments() {
            if summary.views > 0 {
                self.accounted.insert(summary.id.as_str().into(), summary.views);
            }
        }
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

    /// Returns the lsn of the last delisting of an instrument, or `None` if there was no recent delisting.
    pub(crate) fn last_delisted(&self, id: &str) -> Option<u64> {
        self.delisted.get(id).copied()
    }

    /// Removes the published views of an instrument whose listing has ended.
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
