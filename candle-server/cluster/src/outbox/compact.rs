//! Compaction: fewer writes with an equal effect on listings and prices.

use std::collections::HashMap;

use candle_core::{Prices, Rules, Tick, Timestamp};
use candle_engine::journal::{TickContext, Write};

/// The largest size of an accepted tick. Ticks that the core rejects are not compacted.
const MAX_SIZE: f64 = 1e15;

/// The listings after all writes so far.
#[derive(Debug, Default)]
pub(super) struct Listings {
    /// The description of each listed instrument, by id.
    descriptions: HashMap<Box<str>, Option<Box<str>>>,
}

impl Listings {
    /// Applies a write that is not a run of ticks. Returns false if it lists an instrument that is listed with the same
    /// description.
    pub(super) fn are_changed_by(&mut self, write: Write<'_>) -> bool {
        match write {
            Write::List { id, description } => {
                let description: Option<Box<str>> = description.map(Into::into);
                self.descriptions.insert(id.into(), description.clone()) != Some(description)
            }
            Write::Delist { id } => {
                self.descriptions.remove(id);
                true
            }
            Write::Clear | Write::Ticks(_) => true,
        }
    }
}

/// A compactor of ticks to the few with an equal open, high, low and close.
pub(super) struct Compactor {
    rules: Rules,
    minutes: HashMap<(Box<str>, i64), Extremes>,
    pub(super) context: Option<TickContext>,
    ticks: usize,
}

/// The result of a compaction.
pub(super) struct Compacted {
    /// The ticks in the order of time and number.
    pub(super) ticks: Vec<(Box<str>, Tick)>,
    /// The context of the last tick that was added.
    pub(super) context: TickContext,
    /// The number of removed ticks.
    pub(super) removed: usize,
}

struct Extremes {
    first: Tick,
    high: Tick,
    low: Tick,
    last: Tick,
}

impl Compactor {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, minutes: HashMap::new(), context: None, ticks: 0 }
    }

    /// Adds a tick. Ticks that the core rejects are removed, because a later `now` could make them acceptable.
    pub(super) fn add(&mut self, id: &str, tick: &Tick, context: TickContext) {
        self.context = Some(context);
        self.ticks += 1;
        let latest: Timestamp = context.now.saturating_add(self.rules.max_ahead_micros());
        let is_price = tick.price.is_finite() && (tick.price > 0.0 || self.rules.prices() == Prices::Any);
        if !is_price || !(0.0..=MAX_SIZE).contains(&tick.size) || tick.time > latest {
            return;
        }
        let key = |tick: &Tick| (tick.time, tick.seq);
        let extremes = self.minutes.entry((id.into(), tick.time.minute().number()));
        let extremes = extremes.or_insert(Extremes { first: *tick, high: *tick, low: *tick, last: *tick });
        if key(tick) < key(&extremes.first) {
            extremes.first = *tick;
        }
        if key(tick) >= key(&extremes.last) {
            extremes.last = *tick;
        }
        if tick.price > extremes.high.price {
            extremes.high = *tick;
        }
        if tick.price < extremes.low.price {
            extremes.low = *tick;
        }
    }

    /// Returns the compacted ticks, or `None` if no tick was added since the last call.
    pub(super) fn finish(&mut self) -> Option<Compacted> {
        let context = self.context.take()?;
        let mut compacted: Vec<(Box<str>, Tick)> = Vec::with_capacity(4 * self.minutes.len());
        for ((id, _), extremes) in self.minutes.drain() {
            let mut ticks = vec![extremes.first];
            for tick in [extremes.high, extremes.low, extremes.last] {
                if !ticks.contains(&tick) {
                    ticks.push(tick);
                }
            }
            compacted.extend(ticks.into_iter().map(|tick| (id.clone(), tick)));
        }
        compacted.sort_by(|(a_id, a), (b_id, b)| (a.time, a.seq, a_id).cmp(&(b.time, b.seq, b_id)));
        let removed = std::mem::take(&mut self.ticks).saturating_sub(compacted.len());
        Some(Compacted { ticks: compacted, context, removed })
    }
}
