//! Writes as fewer that come to the same.

use std::collections::HashMap;
use std::time::Duration;

use candle_core::{Prices, Rules, Tick, Timestamp};

use super::{Outbox, RUN};
use crate::journal::{TickContext, Write};

/// The most that a price, a size or a time may be for the core to take it; what it refuses need not be folded.
const MAX_SIZE: f64 = 1e15;

/// What the writes so far say of listings.
#[derive(Debug, Default)]
pub(super) struct Listings {
    /// By the id of an instrument that was listed: its description.
    described: HashMap<Box<str>, Option<Box<str>>>,
}

impl Listings {
    /// Whether a write that is no tick changes anything, as it does unless it lists what is listed already, described alike.
    pub(super) fn are_changed_by(&mut self, write: Write<'_>) -> bool {
        match write {
            Write::List { id, description } => {
                let description: Option<Box<str>> = description.map(Into::into);
                self.described.insert(id.into(), description.clone()) != Some(description)
            }
            Write::Delist { id } => {
                self.described.remove(id);
                true
            }
            Write::Clear | Write::Ticks(_) => true,
        }
    }
}

/// Ticks of any number, as the few that make the same open, high, low and close.
pub(super) struct Fold {
    rules: Rules,
    minutes: HashMap<(Box<str>, i64), Extremes>,
    pub(super) context: Option<TickContext>,
    ticks: usize,
}

struct Extremes {
    first: Tick,
    high: Tick,
    low: Tick,
    last: Tick,
}

impl Fold {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, minutes: HashMap::new(), context: None, ticks: 0 }
    }

    /// Adds a tick, unless the core would refuse it whatever `now`: by a later `now` it would validator otherwise.
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

    /// Puts what was folded into `outbox`; how many ticks became fewer.
    pub(super) fn finish(&mut self, outbox: &mut Outbox, until: Duration) -> usize {
        let Some(context) = self.context.take() else { return 0 };
        let mut kept: Vec<(Box<str>, Tick)> = Vec::with_capacity(4 * self.minutes.len());
        for ((id, _), extremes) in self.minutes.drain() {
            let mut ticks = vec![extremes.first];
            for tick in [extremes.high, extremes.low, extremes.last] {
                if !ticks.contains(&tick) {
                    ticks.push(tick);
                }
            }
            kept.extend(ticks.into_iter().map(|tick| (id.clone(), tick)));
        }
        kept.sort_by(|(a_id, a), (b_id, b)| (a.time, a.seq, a_id).cmp(&(b.time, b.seq, b_id)));
        for run in kept.chunks(RUN) {
            let ticks = run.iter().map(|(id, tick)| (&**id, *tick));
            outbox.with_back(until, |batch| batch.push_ticks(ticks, context));
        }
        std::mem::take(&mut self.ticks).saturating_sub(kept.len())
    }
}
