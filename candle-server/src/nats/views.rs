//! ViewTotal are counted where they happen, told once a second, and added up by everyone.

use std::collections::{HashMap, VecDeque};

use candle_core::Aggregator;
use candle_core::replication::ViewTotal;

use super::follower::{LSNS_PER_MESSAGE, lsn_of};
use crate::codec::RecordedViews;

/// For how many messages it is remembered that an instrument was delisted: views are told within seconds, which is a
/// hundred messages or two.
const REMEMBERED_MESSAGES: u64 = 10_000;

/// About the most that one message of views takes: half of what servers allow by default. After a time without a broker
/// there may be views of every instrument.
const MAX_TOLD_BYTES: usize = 512 << 10;

/// The most that the numbers beside an id take: its own, its length, views and lsn.
const NUMBERS_BYTES: usize = 5 + 1 + 10 + 10;

/// What this node has told of its readers' views, and what others told it.
///
/// ViewTotal are of a listing, and a listing ends at the same place of the log for everyone. Those counted before it are left
/// out by everyone: they tell the lsn that their stripe had when they were counted.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// By id: as many of the views in the aggregator as the log has, or is being told.
    accounted: HashMap<Box<str>, u64>,
    /// By id: the lsn of its last delisting.
    delisted: HashMap<Box<str>, u64>,
    /// The same, oldest first.
    order: VecDeque<(u64, Box<str>)>,
    /// What did not fit the messages so far.
    untold: VecDeque<ViewTotal>,
}

impl Ledger {
    /// What is to be told now: the views since the last time, or as many of them as fit a message.
    pub(super) fn take(&mut self, aggregator: &Aggregator) -> Vec<ViewTotal> {
        if self.untold.is_empty() {
            self.gather(aggregator);
        }
        let mut bytes = 0;
        let mut fits = |views: &ViewTotal| {
            bytes += views.id.as_str().len() + NUMBERS_BYTES;
            bytes <= MAX_TOLD_BYTES
        };
        let fitting = self.untold.iter().take_while(|views| fits(views)).count();
        self.untold.drain(..fitting).collect()
    }

    fn gather(&mut self, aggregator: &Aggregator) {
        for mut views in aggregator.drain_view_totals() {
            let accounted = self.accounted.entry(views.id.as_str().into()).or_default();
            let total = std::mem::replace(accounted, views.views);
            views.views = views.views.saturating_sub(total);
            if views.views > 0 {
                self.untold.push_back(views);
            }
        }
    }

    /// Takes what an aggregator was restored with as known to all.
    pub(super) fn account_for(&mut self, aggregator: &Aggregator) {
        /// How many are looked at under one lock of the catalogue.
        const PAGE: usize = 1000;
        let mut page = aggregator.page(None, "", PAGE);
        while let Some(last) = page.last().map(|summary| summary.id.clone()) {
            let viewed = page.iter().filter(|summary| summary.views > 0);
            self.accounted.extend(viewed.map(|summary| (summary.id.as_str().into(), summary.views)));
            page = aggregator.page(Some(last.as_str()), "", PAGE);
        }
    }

    /// Adds what another node told at `lsn`, unless the listing it was of is over.
    pub(super) fn add(&mut self, aggregator: &Aggregator, viewed: RecordedViews<'_>, lsn: u64) {
        let is_over = self.delisted.get(viewed.id).is_some_and(|delisted| *delisted > viewed.lsn);
        let is_known = aggregator.lsn_of(viewed.id) >= lsn;
        if is_over || is_known || aggregator.resolve(viewed.id).is_none() {
            return;
        }
        aggregator.at_lsn(lsn).add_views(viewed.id, viewed.views);
        let accounted = self.accounted.entry(viewed.id.into()).or_default();
        *accounted = accounted.saturating_add(viewed.views);
    }

    /// The lsn at which an instrument was delisted, if that is not long ago.
    pub(super) fn last_delisted(&self, id: &str) -> Option<u64> {
        self.delisted.get(id).copied()
    }

    /// Forgets what is accounted for of a listing that is over.
    pub(super) fn forget(&mut self, id: &str) {
        self.accounted.remove(id);
    }

    /// Notes that an instrument was delisted at `lsn`.
    pub(super) fn delisted(&mut self, id: &str, lsn: u64) {
        self.delisted.insert(id.into(), lsn);
        self.order.push_back((lsn, id.into()));
        let oldest = lsn_of(REMEMBERED_MESSAGES);
        while self.order.front().is_some_and(|(old, _)| old.saturating_add(oldest) < lsn) {
            if let Some((old, id)) = self.order.pop_front()
                && self.delisted.get(&id) == Some(&old)
            {
                self.delisted.remove(&id);
            }
        }
    }
}

const _: () = assert!(LSNS_PER_MESSAGE.is_power_of_two());
