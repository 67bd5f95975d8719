//! Nothing is allocated for a tick, a view, or a read of the top into a caller's buffer.

use candle_core::{Aggregator, Config, Gaps, MAX_TOP, Outcome, RecordContext, Ring, Tick, Timestamp, Unlisted};

use crate::inputs::at;
use crate::oracle::{Limits, MINUTE};

const LONG: &str = "an-id-that-is-longer-than-22-bytes";
const IDS: [&str; 2] = ["BTC", LONG];

fn assert_none(what: &str, run: impl FnOnce()) {
    let counted = allocation_counter::measure(run);
    assert_eq!(counted.count_total, 0, "{what} allocated {} bytes", counted.bytes_total);
}

fn now() -> Timestamp {
    at(1_742_944_020_000_000)
}

fn listed() -> Aggregator {
    let aggregator = Aggregator::new(Config::default().with_stripes(4));
    IDS.into_iter().for_each(|id| assert!(aggregator.list(id, Some("described")).is_ok()));
    aggregator
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1)))).count_total, 1);
}

/// A tick of each kind, with its `now` and what becomes of it.
fn kinds() -> Vec<(&'static str, Tick, Timestamp, Outcome)> {
    let (minute, later) = (now().saturating_add(MINUTE), now().saturating_add(1_000_000 * MINUTE));
    let mut kinds = vec![
        ("the first tick", Tick::new(now(), 2.0), now(), Outcome::Opened),
        ("a tick in order", Tick::new(now(), 3.0).with_seq(1), now(), Outcome::Updated),
        ("a new minute", Tick::new(minute, 4.0), minute, Outcome::Opened),
        ("a late tick", Tick::new(now().saturating_add(-5 * MINUTE), 1.0), minute, Outcome::LateAmended),
        ("a late tick again", Tick::new(now().saturating_add(-5 * MINUTE), 2.0), minute, Outcome::LateAmended),
        ("a bad price", Tick::new(minute, f64::NAN), minute, Outcome::BadPrice),
        ("a bad size", Tick::new(minute, 1.0).with_size(-1.0), minute, Outcome::BadSize),
        ("a tick too far ahead", Tick::new(later, 1.0), minute, Outcome::TooFarAhead),
        ("a tick too old", Tick::new(at(0), 1.0), minute, Outcome::TooOld),
    ];
    // The ring goes round more than once, so that every slot is let go of.
    for number in 2..80 {
        let minute = now().saturating_add(number * MINUTE);
        kinds.push(("a ring that goes round", Tick::new(minute, 5.0), minute, Outcome::Opened));
    }
    kinds.push(("a jump of a million minutes", Tick::new(later, 6.0), later, Outcome::Opened));
    kinds
}

#[test]
fn no_tick_allocates_whatever_becomes_of_it() {
    let aggregator = listed();
    let mut ring = Ring::default();
    for (what, tick, now, expected) in kinds() {
        assert_none(what, || {
            assert_eq!(ring.record(&tick, &Limits::USUAL.rules().at(now)), expected);
            for id in IDS {
                assert_eq!(aggregator.record(id, &tick, now), expected);
            }
        });
    }
    let aggregator_at = listed();
    let handles = IDS.map(|id| aggregator_at.resolve(id).unwrap());
    for (what, tick, now, expected) in kinds() {
        assert_none(what, || {
            for handle in handles {
                assert_eq!(aggregator_at.record_at(handle, &tick, now), expected);
            }
        });
    }
    let tick = Tick::new(now(), 1.0);
    assert_none("an unknown instrument", || {
        assert_eq!(aggregator.record("unknown", &tick, now()), Outcome::UnknownInstrument);
    });
}

#[test]
fn no_refused_listing_allocates() {
    let full = Aggregator::new(Config::default().with_max_instruments(2).with_stripes(1));
    IDS.into_iter().for_each(|id| assert!(full.list(id, None).is_ok()));
    let context = RecordContext { unlisted: Unlisted::List, ..now().into() };
    let tick = Tick::new(now(), 1.0);
    assert_none("a tick for which there is no room", || assert_eq!(full.record("more", &tick, context), Outcome::Full));
    assert_none("a tick with a bad id", || assert_eq!(full.record("a b", &tick, context), Outcome::BadId));
}

#[test]
fn no_batch_of_listed_instruments_allocates() {
    let aggregator = listed();
    let batch: Vec<_> = (0..5_000)
        .map(|seq| {
            let id = if seq % 17 == 0 { "unknown" } else { IDS[seq as usize % 2] };
            (id, Tick::new(now().saturating_add(-(seq as i64) * MINUTE / 100), 1.0).with_seq(seq))
        })
        .collect();
    assert_none("a batch", || assert_eq!(aggregator.record_batch(&batch, now()).received(), 5_000));
    let handles = IDS.map(|id| aggregator.resolve(id).expect("it is listed"));
    let by_handle: Vec<_> =
        batch.iter().enumerate().map(|(n, (_, tick))| (handles[n % handles.len()], *tick)).collect();
    assert_none("a batch by handles", || assert_eq!(aggregator.record_batch_at(&by_handle, now()).received(), 5_000));
}

#[test]
fn no_view_allocates() {
    let aggregator = listed();
    for id in IDS {
        let _ = aggregator.record(id, &Tick::new(now(), 1.0), now());
        assert_none("a hit", || assert_eq!(aggregator.count_view(id), Some(1)));
        assert_none("a view", || {
            let history = aggregator.history_counting_view(id).unwrap();
            assert_eq!(history.candles(now(), Gaps::Filled).map(|candle| candle.count).sum::<u32>(), 1);
        });
        assert_none("a read", || assert!(aggregator.history(id).is_some()));
    }
    assert_none("a view of nothing", || assert!(aggregator.history_counting_view("unknown").is_none()));
}

#[test]
fn neither_counting_views_nor_reading_the_top_allocates() {
    let aggregator = Aggregator::new(Config::default().with_stripes(8));
    let ids: Vec<_> = (0..500).map(|number| format!("{number}-with-more-than-twenty-two-bytes")).collect();
    ids.iter().for_each(|id| assert!(aggregator.list(id, None).is_ok()));
    let mut top = Vec::with_capacity(MAX_TOP);
    // More instruments than leaders, so that the leaders are cut back many times.
    assert_none("counting views and reading the top", || {
        for round in 0..3_000_usize {
            assert!(aggregator.count_view(&ids[round * round % ids.len()]).is_some());
            if round % 10 == 0 {
                aggregator.top(MAX_TOP, &mut top);
            }
        }
    });
    assert_eq!(top.len(), MAX_TOP);
    ids.iter().take(5).for_each(|id| assert!(aggregator.delist(id)));
    assert_none("the top after delisting", || aggregator.top(10, &mut top));
}
