//! The top is exact: it is what sorting all counters gives, whoever was cut, delisted or listed again in between.

use std::sync::Barrier;
use std::thread;

use candle_core::{Aggregator, Config, MAX_TOP};
use proptest::prelude::*;

use crate::oracle::{Book, Limits, top};

/// Enough that leaders are cut back, floors rise and outsiders are recruited.
const INSTRUMENTS: usize = 400;

#[derive(Clone, Copy, Debug)]
enum Act {
    /// Views of instruments chosen by a generator with this seed, the first ones far more often.
    Skewed(u64, usize),
    /// One view of each of these, so that there are many ties.
    Each(usize, usize),
    /// Delists the leaders of the moment.
    DelistLeaders(usize),
    Delist(usize, usize),
    List(usize, usize),
}

fn act() -> impl Strategy<Value = Act> {
    let span = || (0..INSTRUMENTS, 1..250_usize);
    prop_oneof![
        3 => (any::<u64>(), 1..600_usize).prop_map(|(seed, views)| Act::Skewed(seed, views)),
        3 => span().prop_map(|(from, many)| Act::Each(from, many)),
        2 => (1..100_usize).prop_map(Act::DelistLeaders),
        1 => span().prop_map(|(from, many)| Act::Delist(from, many)),
        1 => span().prop_map(|(from, many)| Act::List(from, many)),
    ]
}

/// A small generator, so that long runs of views come from short inputs.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound as u64) as usize
    }
}

/// Ids whose order by bytes is not that of their numbers, a part of them too long to be held in place.
fn id(number: usize) -> String {
    let number = number % INSTRUMENTS * 7919 % 1009;
    if number % 3 == 0 { format!("{number}-with-more-than-22-bytes") } else { number.to_string() }
}

fn apply(act: Act, aggregator: &Aggregator, book: &mut Book) {
    match act {
        Act::Skewed(seed, views) => {
            let mut draw = Draw(seed);
            for _ in 0..views {
                let bound = 1 + draw.below(INSTRUMENTS);
                let id = id(draw.below(bound));
                assert_eq!(aggregator.count_view(&id), book.count_view(&id));
            }
        }
        Act::Each(from, many) => (from..from + many).for_each(|number| {
            assert_eq!(aggregator.count_view(&id(number)), book.count_view(&id(number)));
        }),
        Act::DelistLeaders(many) => book.top(many).into_iter().for_each(|(id, _)| {
            assert!(aggregator.delist(&id) && book.delist(&id));
        }),
        Act::Delist(from, many) => (from..from + many).for_each(|number| {
            assert_eq!(aggregator.delist(&id(number)), book.delist(&id(number)));
        }),
        Act::List(from, many) => (from..from + many).for_each(|number| {
            assert!(aggregator.list(&id(number), None).is_ok() && book.list(&id(number), None));
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
    fn the_top_is_what_sorting_all_counters_gives(
        acts in prop::collection::vec((act(), 0..=MAX_TOP), 1..24), stripes in 0..5_u32,
    ) {
        let aggregator = listed(1 << stripes);
        let mut book = Book::new(Limits::USUAL, INSTRUMENTS);
        (0..INSTRUMENTS).for_each(|number| assert!(book.list(&id(number), None)));
        for (act, k) in acts {
            apply(act, &aggregator, &mut book);
            prop_assert_eq!(top(&aggregator, k), book.top(k));
        }
        prop_assert_eq!(top(&aggregator, MAX_TOP), book.top(MAX_TOP));
    }

    #[test]
    fn views_counted_by_one_to_eight_threads_are_all_counted(
        seeds in prop::collection::vec(any::<u64>(), 1..=8), stripes in 0..5_u32,
    ) {
        let aggregator = listed(1 << stripes);
        thread::scope(|scope| for seed in &seeds {
            scope.spawn(|| {
                let mut draw = Draw(*seed);
                let mut seen = Vec::new();
                for round in 0..1500 {
                    let bound = 1 + draw.below(INSTRUMENTS);
                    assert!(aggregator.count_view(&id(draw.below(bound))).is_some());
                    if round % 100 == 0 {
                        aggregator.top(10, &mut seen);
                        assert!(seen.len() == 10 && seen.is_sorted_by(|a, b| (b.views, &a.id) < (a.views, &b.id)));
                    }
                }
            });
        });
        let mut book = Book::new(Limits::USUAL, INSTRUMENTS);
        (0..INSTRUMENTS).for_each(|number| assert!(book.list(&id(number), None)));
        for seed in seeds {
            let mut draw = Draw(seed);
            (0..1500).for_each(|_| {
                let bound = 1 + draw.below(INSTRUMENTS);
                book.count_view(&id(draw.below(bound)));
            });
        }
        for k in [1, 10, MAX_TOP] {
            prop_assert_eq!(top(&aggregator, k), book.top(k));
        }
    }

    #[test]
    fn the_top_is_exact_after_threads_that_viewed_delisted_and_listed(
        seeds in prop::collection::vec(any::<u64>(), 1..=8), stripes in 0..4_u32,
    ) {
        let aggregator = listed(1 << stripes);
        thread::scope(|scope| for seed in &seeds {
            scope.spawn(|| {
                let mut draw = Draw(*seed);
                for _ in 0..1200 {
                    let bound = 1 + draw.below(INSTRUMENTS);
                    let id = id(draw.below(bound));
                    match draw.below(12) {
                        0 => drop(aggregator.delist(&id)),
                        1 => assert!(aggregator.list(&id, None).is_ok()),
                        2 => drop(top(&aggregator, 10)),
                        _ => drop(aggregator.count_view(&id)),
                    }
                }
            });
        });
        let mut all: Vec<_> =
            aggregator.page(None, "", INSTRUMENTS).into_iter().map(|line| (line.id.as_str().to_owned(), line.views)).collect();
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
    // Each listing counted 1, 2, 3, ... without a gap; so no count is seen more often than the one before it.
    let runs: Vec<_> = counted.chunk_by(|a, b| a == b).collect();
    for (expected, run) in (1..).zip(&runs) {
        assert_eq!(run[0], expected, "a listing began with views that were not its own");
    }
    assert!(runs.windows(2).all(|pair| pair[0].len() >= pair[1].len()));
}

#[test]
fn fewer_than_k_are_all_of_them_with_views_or_without() {
    let aggregator = Aggregator::default();
    assert_eq!(top(&aggregator, 10), []);
    ["9", "10", "11"].into_iter().for_each(|id| assert!(aggregator.list(id, None).is_ok()));
    aggregator.count_view("9");
    assert_eq!(top(&aggregator, 10), [("9".to_owned(), 1), ("10".to_owned(), 0), ("11".to_owned(), 0)]);
    assert_eq!(top(&aggregator, 0), []);
}
