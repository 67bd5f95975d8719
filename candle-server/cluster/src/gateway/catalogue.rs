//! Publishes the differences between the catalogue of the feed and the catalogue of the log.
//!
//! A catalogue is the list of all instruments.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Aggregator;
use candle_engine::feeds::CATALOGUE_REPLAY_LIMIT;
use candle_engine::journal::Write;

use super::Gateway;
use super::lease::Leadership;
use crate::broker::Broker;
use crate::catalogue::Catalogue;
use crate::follower::Follower;

/// The time within which a connected feed announces all instruments.
///
/// The value is the time limit of an announcement of the whole catalogue, plus a margin of 2 s.
const ANNOUNCED_AFTER: Duration = CATALOGUE_REPLAY_LIMIT.saturating_add(Duration::from_secs(2));

/// Returns the description of every listed instrument, by id.
fn descriptions(aggregator: &Aggregator) -> HashMap<Box<str>, Option<Arc<str>>> {
    let mut descriptions = HashMap::new();
    for summary in aggregator.instruments() {
        descriptions.insert(summary.id.as_str().into(), summary.description);
    }
    descriptions
}

impl<B: Broker> Gateway<B> {
    /// Adds listings to the outbox that the feed has and the log does not have.
    ///
    /// A listing with another description counts as missing.
    pub(super) fn list_missing(&mut self, follower: &Follower) {
        let now = self.now();
        let logged = descriptions(follower.aggregator());
        let mut missing: Vec<_> = descriptions(&self.engine.aggregator).into_iter().collect();
        missing.retain(|(id, description)| logged.get(id) != Some(description));
        missing.sort();
        for (id, description) in &missing {
            let write = Write::List { id, description: description.as_deref() };
            self.outbox.with_last(now, |batch| batch.push(write));
        }
    }

    /// Returns the time at which a new leader delists instruments that the feed does not list.
    ///
    /// Returns `None` if the feed does not announce instruments.
    pub(super) fn first_reconciliation(&self) -> Option<Duration> {
        (self.catalogue == Catalogue::Announced).then(|| self.now() + ANNOUNCED_AFTER)
    }

    /// Publishes the catalogue of the feed after listings were lost between the feed and the outbox.
    pub(super) fn publish_catalogue(&mut self, leadership: &mut Leadership, follower: &Follower) {
        self.list_missing(follower);
        // A scheduled reconciliation is not moved forward: the feed may announce instruments until that time.
        let now = self.now();
        let due = leadership.reconcile_at.map_or(now, |due| due.max(now));
        leadership.reconcile_at = (self.catalogue == Catalogue::Announced).then_some(due);
    }

    /// Returns true if the feed has been up long enough to have announced all instruments.
    pub(super) fn catalogue_is_complete(&self, now: Duration) -> bool {
        self.up_since.is_some_and(|since| now.saturating_sub(since) >= ANNOUNCED_AFTER)
    }

    /// Delists the instruments that the log lists and the feed does not list.
    ///
    /// The feed deleted them while no gateway was connected.
    pub(super) fn reconcile(&mut self, follower: &Follower) {
        let now = self.now();
        let listed = descriptions(&self.engine.aggregator);
        let mut deleted: Vec<Box<str>> = descriptions(follower.aggregator()).into_keys().collect();
        deleted.retain(|id| !listed.contains_key(id));
        deleted.sort();
        for id in &deleted {
            self.outbox.with_last(now, |batch| batch.push(Write::Delist { id }));
        }
        if !deleted.is_empty() {
            tracing::info!(instruments = deleted.len(), "delisted instruments that the feed does not list");
        }
    }
}
