//! Compacts writes: fewer writes that result in the same listings and the same open, high, low and close prices.

use std::collections::HashMap;

use candle_core::{Prices, Rules, Tick, Timestamp};
use candle_engine::journal::{TickContext, Write};

/// The largest size of a tick that the core accepts.
const MAX_SIZE: f64 = 1e15;

/// The instruments that are listed after the writes so far.
#[derive(Debug, Default)]
pub(super) struct Listings {
    /// The description of each listed instrument, by id.
    descriptions: HashMap<Box<str>, Option<Box<str>>>,
}

impl Listings {
    /// Applies a write that contains no ticks.
    ///
    /// Returns false if the write lists an instrument that is already listed with the same description.
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

/// Reduces the ticks of each minute to the at most four ticks that determine open, high, low and close.
pub(super) struct Compactor {
    rules: Rules,
    minutes: HashMap<(Box<str>, i64), Extremes>,
    pub(super) context: Option<TickContext>,
    ticks: usize,
}

/// The result of a compaction.
pub(super) struct Compacted {
    /// The remaining ticks, sorted by time and sequence number.
    pub(super) ticks: Vec<(Box<str>, Tick)>,
    /// The context in which the last added tick was recorded.
    pub(super) context: TickContext,
    /// The number of ticks that were removed.
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

    /// Adds a tick. Ticks that the core rejects are dropped, because with the later `now` of the compacted run the core
    /// could accept them.
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
