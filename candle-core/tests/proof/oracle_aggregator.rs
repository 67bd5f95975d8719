//! The oracle of an aggregator: a sorted map of the oracles of its instruments.

use std::collections::BTreeMap;

use candle_core::{Aggregator, Gaps, Outcome, Tick, Timestamp, Unlisted};

use crate::oracle::{OracleRing, OracleRules};

/// A listed instrument of the oracle.
#[derive(Clone, Debug)]
struct OracleInstrument {
    description: Option<String>,
    views: u64,
    ring: OracleRing,
}

/// An aggregator of the oracle.
#[derive(Clone, Debug)]
pub(crate) struct OracleAggregator {
    limits: OracleRules,
    max_instruments: usize,
    listed: BTreeMap<String, OracleInstrument>,
    counts: BTreeMap<Outcome, u64>,
}

impl OracleAggregator {
    pub(crate) fn new(limits: OracleRules, max_instruments: usize) -> Self {
        Self { limits, max_instruments, listed: BTreeMap::new(), counts: BTreeMap::new() }
    }

    fn refuse_listing(&self, id: &str) -> Option<Outcome> {
        if id.is_empty() || id.len() > 64 || id != id.trim() || id.contains(char::is_control) {
            return Some(Outcome::BadId);
        }
        (self.listed.len() >= self.max_instruments).then_some(Outcome::Full)
    }

    /// Lists an instrument. Returns true if it is listed after the call.
    pub(crate) fn list(&mut self, id: &str, description: Option<&str>) -> bool {
        if !self.listed.contains_key(id) {
            if self.refuse_listing(id).is_some() {
                return false;
            }
            let ring = OracleRing::new(self.limits, 0);
            self.listed.insert(id.to_owned(), OracleInstrument { description: None, views: 0, ring });
        }
        self.listed.get_mut(id).unwrap().description = description.map(str::to_owned);
        true
    }

    pub(crate) fn delist(&mut self, id: &str) -> bool {
        self.listed.remove(id).is_some()
    }

    pub(crate) fn record(&mut self, id: &str, tick: &Tick, now: Timestamp, unlisted: Unlisted) -> Outcome {
        let outcome = self.validate(id, tick, now, unlisted);
        *self.counts.entry(outcome).or_default() += 1;
        outcome
    }

    fn validate(&mut self, id: &str, tick: &Tick, now: Timestamp, unlisted: Unlisted) -> Outcome {
        if let Some(refused) = self.limits.refuse_values(tick) {
            return refused;
        }
        if !self.listed.contains_key(id) {
            if unlisted == Unlisted::Reject {
                return Outcome::UnknownInstrument;
            }
            if let Some(refused) = self.limits.refuse_time(tick, now).or_else(|| self.refuse_listing(id)) {
                return refused;
            }
            self.list(id, None);
        }
        self.listed.get_mut(id).unwrap().ring.record(tick, now)
    }

    pub(crate) fn count_view(&mut self, id: &str) -> Option<u64> {
        let entry = self.listed.get_mut(id)?;
        entry.views += 1;
        Some(entry.views)
    }

    pub(crate) fn clear_candles(&mut self) {
        self.listed.values_mut().for_each(|entry| entry.ring.clear());
    }

    pub(crate) fn top(&self, k: usize) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self.listed.iter().map(|(id, entry)| (id.clone(), entry.views)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.as_bytes().cmp(b.0.as_bytes())));
        all.truncate(k);
        all
    }

    /// Asserts that the aggregator returns the same candles, catalogue, views, top and outcomes.
    pub(crate) fn assert_is(&self, aggregator: &Aggregator, now: Timestamp) {
        assert_eq!(aggregator.len(), self.listed.len());
        let page = aggregator.page(None, "", usize::MAX);
        assert!(page.iter().map(|line| line.id.as_str()).eq(self.listed.keys()), "{page:?}");
        for (line, (id, entry)) in page.iter().zip(&self.listed) {
            let history = aggregator.history(id).unwrap();
            entry.ring.assert_is(&history.ring, now);
            for (n, gaps) in [(1, Gaps::Filled), (5, Gaps::Omitted)] {
                assert_eq!(aggregator.last(id, n, now, gaps), Some(history.last(n, now, gaps).collect()));
            }
            assert_eq!((history.description.as_deref(), history.views), (entry.description.as_deref(), entry.views));
            assert_eq!((&line.description, line.views), (&history.description, history.views));
            assert_eq!(line.last_price, history.last_price());
        }
        for k in [1, 10, 64] {
            assert_eq!(top(aggregator, k), self.top(k));
        }
        let outcomes = aggregator.outcomes();
        for outcome in Outcome::ALL {
            assert_eq!(outcomes.of(outcome), self.counts.get(&outcome).copied().unwrap_or(0), "{outcome}");
        }
        assert_eq!(outcomes.received(), self.counts.values().sum::<u64>());
        assert_eq!(outcomes.received(), outcomes.accepted() + outcomes.rejected());
    }
}

pub(crate) fn top(aggregator: &Aggregator, k: usize) -> Vec<(String, u64)> {
    aggregator.top(k).into_iter().map(|popular| (popular.id.as_str().to_owned(), popular.views)).collect()
}
