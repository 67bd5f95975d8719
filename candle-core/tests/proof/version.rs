//! A reader who keeps what it has read, and is told only what is new, sees what a reader of everything sees.

use candle_core::{Aggregator, Config, Gaps, History, RecordContext, Unlisted, Update, Version, WindowCandle};
use proptest::prelude::*;

use crate::inputs::{Step, Steps, limits, steps};
use crate::oracle::MINUTE;

/// What one reader kept of an instrument.
#[derive(Default)]
struct Kept(Option<(Box<History>, Version)>);

impl Kept {
    /// Reads again, and asserts that it is what a reader of everything sees.
    fn read(&mut self, aggregator: &Aggregator, id: &str, now: candle_core::Timestamp) {
        let known = self.0.as_ref().map(|(_, version)| version);
        let Some(update) = aggregator.history_if_changed(id, now, known) else {
            assert!(aggregator.history(id).is_none());
            return;
        };
        let whole = aggregator.history(id).unwrap();
        let latest = match update {
            Update::Changed(history, version) => {
                assert_eq!(*history, whole);
                self.0 = Some((history, version));
                return;
            }
            Update::Unchanged(latest) => latest,
        };
        let (kept, _) = self.0.as_ref().unwrap();
        assert_eq!(
            (latest.views, latest.last_arrival, latest.last_time()),
            (whole.views, whole.last_arrival, whole.last_time())
        );
        assert_eq!(kept.description, whole.description);
        for gaps in [Gaps::Filled, Gaps::Omitted] {
            let mut seen: Vec<WindowCandle> = kept.candles(now, gaps).collect();
            if let Some(forming) = latest.forming(now) {
                *seen.last_mut().unwrap() = forming;
            }
            assert_eq!(seen, whole.candles(now, gaps).collect::<Vec<_>>());
        }
    }
}

proptest! {
    #[test]
    fn what_is_kept_and_the_latest_are_together_the_whole(
        Steps { steps, .. } in steps(1..150), limits in limits(),
        acts in prop::collection::vec((0..30_u8, 0..2_usize, -2 * MINUTE..2 * MINUTE), 150),
    ) {
        let aggregator = Aggregator::new(Config::default().with_rules(limits.rules()).with_stripes(1));
        let ids = ["a", "b"];
        let mut kept = [Kept::default(), Kept::default()];
        for (Step { tick, now }, (act, id, aside)) in steps.into_iter().zip(acts) {
            match act {
                0 => _ = aggregator.delist(ids[id]),
                1 => aggregator.clear_candles(0),
                2 => assert!(aggregator.list(ids[id], Some("described")).is_ok()),
                3 => assert!(aggregator.list(ids[id], None).is_ok()),
                4 => _ = aggregator.count_view(ids[id]),
                5 => aggregator.snapshot().for_each(|part| aggregator.merge(&part).unwrap()),
                _ => _ = aggregator.record(ids[id], &tick, RecordContext { unlisted: Unlisted::List, ..now.into() }),
            }
            // Readers whose clocks differ from the writer's.
            let reader = if act % 2 == 0 { now } else { now.saturating_add(aside) };
            kept[id].read(&aggregator, ids[id], reader);
            kept[1 - id].read(&aggregator, ids[1 - id], now);
        }
    }
}
