//! A reader with a cache that reads only changes has the same view as a reader without a cache.

use candle_core::{Aggregator, Gaps, History, RecordContext, Unlisted, Update, Version, WindowCandle};
use proptest::prelude::*;

use crate::ticks::{Step, Steps, steps_and_limits};

/// The cached history of one instrument, with its version.
#[derive(Default)]
struct CachedRead(Option<(Box<History>, Version)>);

impl CachedRead {
    /// Reads changes, and asserts that cache and changes together are equal to a full read.
    fn read(&mut self, aggregator: &Aggregator, id: &str, now: candle_core::Timestamp) {
        let cached = self.0.as_ref().map(|(_, version)| version);
        let Some(update) = aggregator.history_if_changed(id, now, cached) else {
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
        let (cached, _) = self.0.as_ref().unwrap();
        assert_eq!(
            (latest.views, latest.last_arrival, latest.last_time()),
            (whole.views, whole.last_arrival, whole.last_time())
        );
        assert_eq!(cached.description, whole.description);
        for gaps in [Gaps::Filled, Gaps::Omitted] {
            let mut window: Vec<WindowCandle> = cached.candles(now, gaps).collect();
            if let Some(forming) = latest.forming(now) {
                *window.last_mut().unwrap() = forming;
            }
            assert_eq!(window, whole.candles(now, gaps).collect::<Vec<_>>());
        }
    }
}

proptest! {
    #[test]
    fn cache_and_latest_are_together_equal_to_a_full_read(
        (Steps { steps, .. }, limits) in steps_and_limits(1..150),
        actions in prop::collection::vec((0..30_u8, 0..2_usize, -2_000_000..2_000_000_i64), 150),
    ) {
        let aggregator = Aggregator::new(limits.config().with_stripes(1));
        let ids = ["a", "b"];
        let mut caches = [CachedRead::default(), CachedRead::default()];
        for (Step { tick, now }, (action, id, aside)) in steps.into_iter().zip(actions) {
            match action {
                0 => _ = aggregator.delist(ids[id]),
                1 => aggregator.clear_candles(),
                2 => assert!(aggregator.list(ids[id], Some("described")).is_ok()),
                3 => assert!(aggregator.list(ids[id], None).is_ok()),
                4 => _ = aggregator.count_view(ids[id]),
                5 => aggregator.snapshot().for_each(|stripe| aggregator.merge(&stripe).unwrap()),
                _ => _ = aggregator.record(ids[id], &tick, RecordContext { unlisted: Unlisted::List, ..now.into() }),
            }
            // Readers whose `now` differs from the writer's.
            let reader = if action % 2 == 0 { now } else { now.saturating_add(aside * limits.seconds) };
            caches[id].read(&aggregator, ids[id], reader);
            caches[1 - id].read(&aggregator, ids[1 - id], now);
        }
    }
}
