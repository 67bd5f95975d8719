//! The top is exact: equal to sorting all counters, after any demotions, delistings and new listings.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use candle_core::{Aggregator, Config, InvalidId, ListError, MAX_TOP, Popular, Popularity};
use proptest::prelude::*;

use crate::oracle::OracleRules;
use crate::oracle_aggregator::{OracleAggregator, top};

/// Enough instruments that leaders are demoted, floors rise and outsiders are recruited.
const INSTRUMENTS: usize = 400;

#[derive(Clone, Copy, Debug)]
enum Change {
    /// Views of random instruments, skewed towards the first ones. Seed and number of views.
    ViewSkewed(u64, usize),
    /// One view of each instrument in a span, so that there are many ties.
    ViewEach(usize, usize),
    /// Delistings of the present leaders.
    DelistLeaders(usize),
    Delist(usize, usize),
    List(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let span = || (0..INSTRUMENTS, 1..250_usize);
    prop_oneof![
        3 => (any::<u64>(), 1..600_usize).prop_map(|(seed, views)| Change::ViewSkewed(seed, views)),
        3 => span().prop_map(|(from, many)| Change::ViewEach(from, many)),
        2 => (1..100_usize).prop_map(Change::DelistLeaders),
        1 => span().prop_map(|(from, many)| Change::Delist(from, many)),
        1 => span().prop_map(|(from, many)| Change::List(from, many)),
    ]
}

/// A small generator, so that short inputs give long runs of views.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound as u64) as usize
    }
}

/// Returns an id. The order of ids differs from that of their numbers, and a third of them is too long to be stored inline.
fn id(number: usize) -> String {
    let number = number % INSTRUMENTS * 7919 % 1009;
    if number % 3 == 0 { format!("{number}-with-more-than-22-bytes") } else { number.to_string() }
}

fn apply(change: Change, aggregator: &Aggregator, oracle: &mut OracleAggregator) {
    match change {
        Change::ViewSkewed(seed, views) => {
            let mut random = Random(seed);
            for _ in 0..views {
                let bound = 1 + random.below(INSTRUMENTS);
                let id = id(random.below(bound));
                assert_eq!(aggregator.count_view(&id), oracle.count_view(&id));
            }
        }
        Change::ViewEach(from, many) => (from..from + many).for_each(|number| {
            assert_eq!(aggregator.count_view(&id(number)), oracle.count_view(&id(number)));
        }),
        Change::DelistLeaders(many) => oracle.top(many).into_iter().for_each(|(id, _)| {
            assert!(aggregator.delist(&id) && oracle.delist(&id));
        }),
        Change::Delist(from, many) => (from..from + many).for_each(|number| {
            assert_eq!(aggregator.delist(&id(number)), oracle.delist(&id(number)));
        }),
        Change::List(from, many) => (from..from + many).for_each(|number| {
            assert!(aggregator.list(&id(number), None).is_ok() && oracle.list(&id(number), None));
        }),
    }
}

fn listed(stripes: usize) -> Aggregator {
    let aggregator = Aggregator::new(Config::default().with_stripes(stripes));
    (0..INSTRUMENTS).for_each(|number| assert!(aggregator.list(&id(number), None).is_ok()));
    aggregator
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_top_is_equal_to_sorting_all_counters(
        changes in prop::collection::vec((change(), 0..=MAX_TOP), 1..24), stripes in 0..5_u32,
    ) {
        let aggregator = listed(1 << stripes);
        let mut oracle = OracleAggregator::new(OracleRules::DEFAULT, INSTRUMENTS);
        (0..INSTRUMENTS).for_each(|number| assert!(oracle.list(&id(number), None)));
        for (change, k) in changes {
            apply(change, &aggregator, &mut oracle);
            prop_assert_eq!(top(&aggregator, k), oracle.top(k));
        }
        prop_assert_eq!(top(&aggregator, MAX_TOP), oracle.top(MAX_TOP));
    }

    #[test]
    fn views_counted_by_one_to_eight_threads_are_all_counted(
        seeds in prop::collection::vec(any::<u64>(), 1..=8), stripes in 0..5_u32,
    ) {
        let aggregator = listed(1 << stripes);
        thread::scope(|scope| for seed in &seeds {
            scope.spawn(|| {
                let mut random = Random(*seed);
                let mut listed_top = Vec::new();
                for round in 0..1500 {
                    let bound = 1 + random.below(INSTRUMENTS);
                    assert!(aggregator.count_view(&id(random.below(bound))).is_some());
                    if round % 100 == 0 {
                        aggregator.top_into(10, &mut listed_top);
                        assert!(listed_top.len() == 10 && listed_top.is_sorted_by(|a, b| (b.views, &a.id) < (a.views, &b.id)));
                    }
                }
            });
        });
        let mut oracle = OracleAggregator::new(OracleRules::DEFAULT, INSTRUMENTS);
        (0..INSTRUMENTS).for_each(|number| assert!(oracle.list(&id(number), None)));
        for seed in seeds {
            let mut random = Random(seed);
            (0..1500).for_each(|_| {
                let bound = 1 + random.below(INSTRUMENTS);
                oracle.count_view(&id(random.below(bound)));
            });
        }
        for k in [1, 10, MAX_TOP] {
            prop_assert_eq!(top(&aggregator, k), oracle.top(k));
        }
    }

    #[test]
    fn the_top_is_exact_after_threads_that_viewed_delisted_and_listed(
        seeds in prop::collection::vec(any::<u64>(), 1..=8), stripes in 0..4_u32,
    ) {
        let aggregator = listed(1 << stripes);
        thread::scope(|scope| for seed in &seeds {
            scope.spawn(|| {
                let mut random = Random(*seed);
                for _ in 0..1200 {
                    let bound = 1 + random.below(INSTRUMENTS);
                    let id = id(random.below(bound));
                    match random.below(12) {
                        0 => drop(aggregator.delist(&id)),
                        1 => assert!(aggregator.list(&id, None).is_ok()),
                        2 => drop(top(&aggregator, 10)),
                        _ => drop(aggregator.count_view(&id)),
                    }
                }
            });
        });
        let mut all: Vec<_> =
            aggregator.page(None, "", INSTRUMENTS).into_iter().map(|summary| (summary.id.as_str().to_owned(), summary.views)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        for k in [MAX_TOP, 10, 1] {
            all.truncate(k);
            prop_assert_eq!(&top(&aggregator, k), &all);
        }
    }
}

#[test]
fn a_view_never_counts_for_an_instrument_listed_later_under_the_same_id() {
    const THREADS: usize = 4;
    let aggregator = Aggregator::default();
    let start = Barrier::new(THREADS + 1);
    let counted = thread::scope(|scope| {
        let viewers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    (0..20_000).filter_map(|_| aggregator.count_view("BTC")).collect::<Vec<_>>()
                })
            })
            .collect();
        start.wait();
        let mut listings = 0;
        while !viewers.iter().all(thread::ScopedJoinHandle::is_finished) {
            aggregator.list("BTC", None).unwrap();
            listings += 1;
            aggregator.delist("BTC");
        }
        let mut counted: Vec<u64> = viewers.into_iter().flat_map(|viewer| viewer.join().unwrap()).collect();
        counted.sort_unstable();
        assert!(counted.iter().filter(|count| **count == 1).count() <= listings);
        counted
    });
    // Each listing counted 1, 2, 3, ... without a gap, so no number is returned more often than the one before it.
    let runs: Vec<_> = counted.chunk_by(|a, b| a == b).collect();
    for (expected, run) in (1..).zip(&runs) {
        assert_eq!(run[0], expected, "a listing started with views of an earlier one");
    }
    assert!(runs.windows(2).all(|pair| pair[0].len() >= pair[1].len()));
}

#[test]
fn the_top_of_fewer_than_k_instruments_is_all_of_them_also_without_views() {
    let aggregator = Aggregator::default();
    assert_eq!(top(&aggregator, 10), []);
    ["9", "10", "11"].into_iter().for_each(|id| assert!(aggregator.list(id, None).is_ok()));
    aggregator.count_view("9");
    assert_eq!(top(&aggregator, 10), [("9".to_owned(), 1), ("10".to_owned(), 0), ("11".to_owned(), 0)]);
    assert_eq!(top(&aggregator, 0), []);
}

/// Applies a change to a [`Popularity`] and to a map. A listing becomes a raise to at most six views.
fn apply_to_popularity(change: Change, popularity: &mut Popularity, oracle: &mut BTreeMap<String, u64>) {
    let mut count = |id: String| {
        let expected = oracle.entry(id.clone()).or_default();
        *expected += 1;
        assert_eq!(popularity.count(&id), Ok(*expected));
    };
    match change {
        Change::ViewSkewed(seed, views) => {
            let mut random = Random(seed);
            for _ in 0..views {
                let bound = 1 + random.below(INSTRUMENTS);
                count(id(random.below(bound)));
            }
        }
        Change::ViewEach(from, many) => (from..from + many).for_each(|number| count(id(number))),
        Change::DelistLeaders(many) => sorted(oracle, many).into_iter().for_each(|(id, _)| {
            assert_eq!(popularity.remove(&id), oracle.remove(&id).is_some());
        }),
        Change::Delist(from, many) => (from..from + many).for_each(|number| {
            assert_eq!(popularity.remove(&id(number)), oracle.remove(&id(number)).is_some());
        }),
        Change::List(from, many) => (from..from + many).for_each(|number| {
            let (id, views) = (id(number), (number % 7) as u64);
            let expected = oracle.get(&id).copied().unwrap_or(0).max(views);
            assert_eq!(popularity.raise(&id, views), Ok(expected));
            if expected > 0 {
                oracle.insert(id, expected);
            }
        }),
    }
}

fn sorted(counts: &BTreeMap<String, u64>, k: usize) -> Vec<(String, u64)> {
    let mut all: Vec<_> = counts.iter().map(|(id, views)| (id.clone(), *views)).collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.as_bytes().cmp(b.0.as_bytes())));
    all.truncate(k);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_top_without_candles_is_equal_to_sorting_all_counters(
        changes in prop::collection::vec((change(), 0..=MAX_TOP), 1..24),
    ) {
        let (mut popularity, mut oracle) = (Popularity::default(), BTreeMap::new());
        let mut top: Vec<Popular> = Vec::new();
        for (change, k) in changes {
            apply_to_popularity(change, &mut popularity, &mut oracle);
            for k in [k, MAX_TOP] {
                popularity.top_into(k, &mut top);
                let top: Vec<_> = top.iter().map(|popular| (popular.id.as_str().to_owned(), popular.views)).collect();
                prop_assert_eq!(top, sorted(&oracle, k));
            }
            prop_assert_eq!(popularity.len(), oracle.len());
            for number in 0..INSTRUMENTS {
                prop_assert_eq!(popularity.views(&id(number)), oracle.get(&id(number)).copied());
            }
        }
    }
}

#[test]
fn new_ids_are_refused_if_invalid_or_over_the_limit() {
    let mut popularity = Popularity::new(2);
    assert_eq!(popularity.count(""), Err(ListError::InvalidId(InvalidId::Empty)));
    assert_eq!((popularity.count("a"), popularity.raise("b", u64::MAX)), (Ok(1), Ok(u64::MAX)));
    assert_eq!(popularity.count("c"), Err(ListError::Full { max_instruments: 2 }));
    assert_eq!(popularity.count(""), Err(ListError::InvalidId(InvalidId::Empty)));
    assert_eq!((popularity.count("a"), popularity.count("b")), (Ok(2), Ok(u64::MAX)), "known ids are counted");
    assert!(popularity.remove("a") && !popularity.remove("a"));
    assert_eq!((popularity.count("c"), popularity.views("a"), popularity.len()), (Ok(1), None, 2));
}
