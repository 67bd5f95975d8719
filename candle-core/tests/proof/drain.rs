//! Each final candle is delivered once, and once more after each change, whatever is late, delisted or merged meanwhile.

use std::collections::BTreeMap;

use candle_core::{Aggregator, RecordContext, State, Tick, Timestamp, Unlisted, WindowCandle};
use proptest::prelude::*;

use crate::oracle::{OracleRing, OracleRules};
use crate::ticks::{Step, Steps, at, steps_and_limits};

const IDS: [&str; 3] = ["a", "b", "an-id-that-is-longer-than-an-inline-one"];

/// The obvious program: has every tick of every instrument there ever was, and the candles as they were delivered.
struct Model {
    limits: OracleRules,
    base: u64,
    until: Timestamp,
    /// Every listing of an instrument, also of delisted ones.
    listings: Vec<(usize, OracleRing)>,
    listed: [Option<usize>; IDS.len()],
    /// The count of each candle when it was delivered, by listing and open time.
    delivered: BTreeMap<(usize, i64), u32>,
}

impl Model {
    fn record(&mut self, id: usize, tick: &Tick, now: Timestamp) -> candle_core::Outcome {
        let is_new = self.listed[id].is_none();
        let listing = *self.listed[id].get_or_insert_with(|| {
            self.listings.push((id, OracleRing::new(self.limits, self.base)));
            self.listings.len() - 1
        });
        // A delivery does not go back, also for a tick at an earlier `now`. A tick that lists its instrument is validated at
        // its own `now` before.
        let refused = is_new.then(|| self.limits.rules().at(now).refusal(tick, self.limits.window())).flatten();
        let outcome = refused.unwrap_or_else(|| self.listings[listing].1.record(tick, now.max(self.until)));
        if refused.is_some() {
            self.listed[id] = None;
        }
        outcome
    }

    /// Returns what is delivered until `now`: id, open time, count, and true if the candle is revised.
    fn drain(&mut self, now: Timestamp) -> Vec<(usize, i64, u32, bool)> {
        self.until = self.until.max(self.limits.window().interval().open_time(now));
        let mut due = Vec::new();
        for (listing, (id, ring)) in self.listings.iter().enumerate() {
            for (open_time, count, revised) in ring.counts() {
                let last = self.delivered.get(&(listing, open_time)).copied();
                if open_time < self.until.as_micros() && last != Some(count) {
                    self.delivered.insert((listing, open_time), count);
                    due.push((*id, open_time, count, revised));
                }
            }
        }
        due.sort_unstable();
        due
    }
}

fn drained(aggregator: &Aggregator, now: Timestamp) -> Vec<(usize, i64, u32, bool)> {
    let mut drained = Vec::new();
    let mut last: BTreeMap<usize, WindowCandle> = BTreeMap::new();
    aggregator.drain_closed(now, |id, candle| {
        let id = IDS.iter().position(|listed| *listed == id.as_str()).unwrap();
        assert!(!candle.filled && candle.state != State::Forming);
        last.insert(id, *candle);
        drained.push((id, candle.open_time.as_micros(), candle.count, candle.state == State::Revised));
    });
    drained.sort_unstable();
    drained
}

proptest! {
    #[test]
    fn every_closed_candle_is_delivered_once_and_again_after_each_change(
        (Steps { steps, base }, limits) in steps_and_limits(1..150),
        actions in prop::collection::vec((0..20_u8, 0..IDS.len()), 150), stripes in 0..2_u32,
    ) {
        let aggregator = Aggregator::new(limits.config().with_stripes(1 << stripes));
        let mut model = Model {
            limits, base, until: Timestamp::MIN, listings: Vec::new(), listed: [None; IDS.len()], delivered: BTreeMap::new(),
        };
        prop_assert_eq!(drained(&aggregator, steps[0].now), model.drain(steps[0].now));
        for (number, (Step { tick, now }, (action, id))) in steps.into_iter().zip(actions).enumerate() {
            match action {
                0 => {
                    prop_assert_eq!(aggregator.delist(IDS[id]), model.listed[id].take().is_some());
                }
                1..=4 => prop_assert_eq!(drained(&aggregator, now), model.drain(now), "step {}", number),
                _ => {
                    let context = RecordContext { unlisted: Unlisted::List, ..now.into() };
                    let outcome = aggregator.record(IDS[id], &tick, context);
                    prop_assert_eq!(outcome, model.record(id, &tick, now), "step {}", number);
                }
            }
        }
        prop_assert_eq!(drained(&aggregator, Timestamp::MAX), model.drain(Timestamp::MAX));
        prop_assert_eq!(drained(&aggregator, Timestamp::MAX), vec![]);
    }
}

#[test]
fn a_merge_delivers_the_candles_that_it_changes() {
    let minute = |minute: i64| at(60_000_000 * minute);
    let [ours, other] = [1, 2].map(|seed| Aggregator::new(OracleRules::DEFAULT.config().with_seed(seed)));
    let context = |now: Timestamp| RecordContext { unlisted: Unlisted::List, ..now.into() };
    for (aggregator, minutes) in [(&ours, 0..3), (&other, 1..5)] {
        for number in minutes {
            let now = minute(number);
            assert!(aggregator.record("a", &Tick::new(now, 1.0), context(now)).is_accepted());
        }
    }
    let open_times = |now| {
        drained(&ours, now)
            .into_iter()
            .map(|(_, open_time, count, _)| (open_time / 60_000_000, count))
            .collect::<Vec<_>>()
    };
    assert_eq!(open_times(minute(2)), [(0, 1), (1, 1)]);
    other.snapshot().for_each(|part| ours.merge(&part).unwrap());
    // Minute 1 changed after its delivery; minute 2 was not delivered before; minutes 3 and 4 are new.
    assert_eq!(open_times(minute(2)), [(1, 2)]);
    assert_eq!(open_times(minute(4)), [(2, 2), (3, 1)]);
    assert_eq!(open_times(minute(5)), [(4, 1)]);
}

#[test]
fn candles_of_a_delisted_instrument_are_delivered_also_before_the_first_call() {
    let aggregator = Aggregator::default();
    aggregator.list("a", None).unwrap();
    for now in [at(0), at(60_000_000)] {
        assert!(aggregator.record("a", &Tick::new(now, 1.0), now).is_accepted());
    }
    assert!(aggregator.delist("a"));
    assert_eq!(drained(&aggregator, at(60_000_000)), [(0, 0, 1, false)]);
    assert_eq!(drained(&aggregator, at(120_000_000)), [(0, 60_000_000, 1, false)]);
    assert_eq!(drained(&aggregator, Timestamp::MAX), []);
}

#[test]
fn after_candles_were_cleared_deliveries_start_afresh() {
    let aggregator = Aggregator::default();
    aggregator.list("a", None).unwrap();
    for start in [at(600_000_000), at(0)] {
        assert!(aggregator.record("a", &Tick::new(start, 1.0), start).is_accepted());
        assert_eq!(drained(&aggregator, start), []);
        assert_eq!(drained(&aggregator, start.saturating_add(60_000_000)), [(0, start.as_micros(), 1, false)]);
        assert!(aggregator.record("a", &Tick::new(start, 1.0), start.saturating_add(60_000_000)).is_accepted());
        aggregator.clear_candles();
        assert_eq!(drained(&aggregator, start), []);
        aggregator.clear_candles();
    }
}
