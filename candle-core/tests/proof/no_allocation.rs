//! Ticks, views, and reads of the top into a buffer with room allocate nothing.

use candle_core::{
    Aggregator, Config, Gaps, MAX_TOP, Outcome, Popularity, RecordContext, Ring, Tick, Timestamp, Unlisted,
};

use crate::oracle::{MINUTE, OracleRules};
use crate::ticks::at;

const LONG: &str = "an-id-that-is-longer-than-22-bytes";
const IDS: [&str; 2] = ["BTC", LONG];

fn assert_no_allocation(what: &str, run: impl FnOnce()) {
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

/// Ticks of each kind, with their `now` and expected outcome.
fn kinds() -> Vec<(&'static str, Tick, Timestamp, Outcome)> {
    let (minute, later) = (now().saturating_add(MINUTE), now().saturating_add(1_000_000 * MINUTE));
    let mut kinds = vec![
        ("the first tick", Tick::new(now(), 2.0), now(), Outcome::Opened),
        ("a tick in order", Tick::new(now(), 3.0).with_seq(1), now(), Outcome::Updated),
        ("a new minute", Tick::new(minute, 4.0), minute, Outcome::Opened),
        ("a late tick", Tick::new(now().saturating_add(-5 * MINUTE), 1.0), minute, Outcome::LateAmended),
        ("a late tick again", Tick::new(now().saturating_add(-5 * MINUTE), 2.0), minute, Outcome::LateAmended),
        ("a bad price", Tick::new(minute, f64::NAN), minute, Outcome::BadPrice),
        ("a bad size", Tick::new(minute, 1.0).with_size(-2e15), minute, Outcome::BadSize),
        ("a tick too far ahead", Tick::new(later, 1.0), minute, Outcome::TooFarAhead),
        ("a tick too old", Tick::new(at(0), 1.0), minute, Outcome::TooOld),
    ];
    // More minutes than slots, so that every slot is reused.
    for number in 2..80 {
        let minute = now().saturating_add(number * MINUTE);
        kinds.push(("a minute that reuses a slot", Tick::new(minute, 5.0), minute, Outcome::Opened));
    }
    kinds.push(("a jump of a million minutes", Tick::new(later, 6.0), later, Outcome::Opened));
    kinds
}

#[test]
fn no_tick_allocates_whatever_its_outcome() {
    let aggregator = listed();
    let mut ring = Ring::default();
    for (what, tick, now, expected) in kinds() {
        assert_no_allocation(what, || {
            assert_eq!(ring.record(&tick, &OracleRules::DEFAULT.rules().at(now)), expected);
            for id in IDS {
                assert_eq!(aggregator.record(id, &tick, now), expected);
            }
        });
    }
    let aggregator_at = listed();
    let handles = IDS.map(|id| aggregator_at.resolve(id).unwrap());
    for (what, tick, now, expected) in kinds() {
        assert_no_allocation(what, || {
            for handle in handles {
                assert_eq!(aggregator_at.record_at(handle, &tick, now), expected);
            }
        });
    }
    let tick = Tick::new(now(), 1.0);
    assert_no_allocation("an unknown instrument", || {
        assert_eq!(aggregator.record("unknown", &tick, now()), Outcome::UnknownInstrument);
    });
}

#[test]
fn no_refused_listing_allocates() {
    let full = Aggregator::new(Config::default().with_max_instruments(2).with_stripes(1));
    IDS.into_iter().for_each(|id| assert!(full.list(id, None).is_ok()));
    let context = RecordContext { unlisted: Unlisted::List, ..now().into() };
    let tick = Tick::new(now(), 1.0);
    assert_no_allocation("a tick of an instrument over the limit", || {
        assert_eq!(full.record("more", &tick, context), Outcome::Full);
    });
    assert_no_allocation("a tick with an invalid id", || {
        assert_eq!(full.record("a ", &tick, context), Outcome::BadId);
    });
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
    assert_no_allocation("a batch", || assert_eq!(aggregator.record_batch(&batch, now()).received(), 5_000));
    let handles = IDS.map(|id| aggregator.resolve(id).expect("it is listed"));
    let by_handle: Vec<_> =
        batch.iter().enumerate().map(|(n, (_, tick))| (handles[n % handles.len()], *tick)).collect();
    assert_no_allocation("a batch by handles", || {
        assert_eq!(aggregator.record_batch_at(&by_handle, now()).received(), 5_000);
    });
}

#[test]
fn no_view_allocates() {
    let aggregator = listed();
    for id in IDS {
        let _ = aggregator.record(id, &Tick::new(now(), 1.0), now());
        assert_no_allocation("a counted view", || assert_eq!(aggregator.count_view(id), Some(1)));
        assert_no_allocation("a read that counts a view", || {
            let history = aggregator.history_counting_view(id).unwrap();
            assert_eq!(history.candles(now(), Gaps::Filled).map(|candle| candle.count).sum::<u32>(), 1);
        });
        assert_no_allocation("a read", || assert!(aggregator.history(id).is_some()));
    }
    assert_no_allocation("a view of an unknown instrument", || {
        assert!(aggregator.history_counting_view("unknown").is_none());
    });
}

#[test]
fn neither_counting_views_nor_reading_the_top_allocates() {
    let aggregator = Aggregator::new(Config::default().with_stripes(8));
    let ids: Vec<_> = (0..500).map(|number| format!("{number}-with-more-than-twenty-two-bytes")).collect();
    ids.iter().for_each(|id| assert!(aggregator.list(id, None).is_ok()));
    let mut top = Vec::with_capacity(MAX_TOP);
    // More instruments than leaders, so that the leaders are cut back many times.
    assert_no_allocation("counting views and reading the top", || {
        for round in 0..3_000_usize {
            assert!(aggregator.count_view(&ids[round * round % ids.len()]).is_some());
            if round % 10 == 0 {
                aggregator.top_into(MAX_TOP, &mut top);
            }
        }
    });
    assert_eq!(top.len(), MAX_TOP);
    ids.iter().take(5).for_each(|id| assert!(aggregator.delist(id)));
    assert_no_allocation("the top after delisting", || aggregator.top_into(10, &mut top));
}

#[test]
fn neither_counting_known_ids_nor_reading_their_top_allocates() {
    let mut popularity = Popularity::default();
    let ids: Vec<_> = (0..500).map(|number| format!("{number}-with-more-than-twenty-two-bytes")).collect();
    ids.iter().for_each(|id| assert_eq!(popularity.count(id), Ok(1)));
    let mut top = Vec::with_capacity(MAX_TOP);
    assert_no_allocation("counting and reading the top", || {
        for round in 0..3_000_usize {
            assert!(popularity.count(&ids[round * round % ids.len()]).is_ok());
            if round % 10 == 0 {
                popularity.top_into(MAX_TOP, &mut top);
            }
        }
    });
    assert_eq!(top.len(), MAX_TOP);
}
