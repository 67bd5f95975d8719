//! Whatever is listed, delisted, recorded, viewed and forgotten in whatever order, the aggregator holds what the obvious
//! program holds.

use candle_core::{Aggregator, Config, RecordContext, Timestamp, Unlisted};
use proptest::prelude::*;

use crate::inputs::{Step, Steps, limits, steps};
use crate::oracle::Book;

const IDS: [&str; 8] = ["4", "10", "9", "é", "popular", "white space", "another-id-that-is-longer-than-inline", "z/z"];
const DESCRIPTIONS: [Option<&str>; 3] = [None, Some(""), Some("luptatum senectus")];

#[derive(Clone, Copy, Debug)]
enum Act {
    List(usize),
    Delist,
    Record(Unlisted),
    RecordAt,
    Hit,
    View,
    ClearCandles,
    Restore,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0..DESCRIPTIONS.len()).prop_map(Act::List),
        2 => Just(Act::Delist),
        8 => Just(Act::Record(Unlisted::List)),
        4 => Just(Act::Record(Unlisted::Reject)),
        4 => Just(Act::RecordAt),
        3 => Just(Act::Hit),
        2 => Just(Act::View),
        1 => Just(Act::ClearCandles),
        1 => Just(Act::Restore),
    ]
}

fn apply(act: Act, id: &str, step: &Step, aggregator: &mut Aggregator, book: &mut Book) {
    let Step { tick, now } = step;
    match act {
        Act::List(description) => {
            let description = DESCRIPTIONS[description];
            assert_eq!(aggregator.list(id, description).is_ok(), book.list(id, description));
        }
        Act::Delist => assert_eq!(aggregator.delist(id), book.delist(id)),
        Act::Record(unlisted) => {
            let context = RecordContext { unlisted, ..RecordContext::from(*now) };
            assert_eq!(aggregator.record(id, tick, context), book.record(id, tick, *now, unlisted));
        }
        Act::RecordAt => {
            if let Some(handle) = aggregator.resolve(id) {
                assert_eq!(aggregator.record_at(handle, tick, *now), book.record(id, tick, *now, Unlisted::Reject));
            }
        }
        Act::Hit => assert_eq!(aggregator.count_view(id), book.count_view(id)),
        Act::View => assert_eq!(aggregator.history_counting_view(id).map(|history| history.views), book.count_view(id)),
        Act::ClearCandles => {
            aggregator.clear_candles(0);
            book.clear_candles();
        }
        Act::Restore => {
            *aggregator = Aggregator::restore(*aggregator.config(), aggregator.snapshot().collect()).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn any_calls_in_any_order_leave_what_the_obvious_program_has(
        Steps { steps, base } in steps(1..100),
        acts in prop::collection::vec((act(), 0..IDS.len()), 100),
        limits in limits(), stripes in 0..3_u32, max in 1..8_usize,
    ) {
        let config = Config::default().with_rules(limits.rules()).with_stripes(1 << stripes).with_max_instruments(max);
        let (mut aggregator, mut book) = (Aggregator::new(config), Book::new(limits, max));
        let mut now = Timestamp::EPOCH;
        for (step, (act, id)) in steps.iter().zip(acts) {
            // The book's sequence numbers start at 0.
            let tick = step.tick.with_seq(step.tick.seq.wrapping_sub(base));
            apply(act, IDS[id], &Step { tick, ..*step }, &mut aggregator, &mut book);
            now = step.now;
        }
        book.assert_is(&aggregator, now);
    }
}

#[test]
fn a_handle_of_a_delisted_instrument_finds_nothing_whatever_is_listed_in_its_place() {
    let aggregator = Aggregator::new(Config::default().with_stripes(1));
    let old = aggregator.list("a", None).unwrap();
    assert!(aggregator.delist("a"));
    for id in ["a", "b"] {
        let new = aggregator.list(id, None).unwrap();
        let tick = candle_core::Tick::new(Timestamp::EPOCH, 1.0);
        assert_eq!(aggregator.record_at(old, &tick, Timestamp::EPOCH), candle_core::Outcome::UnknownInstrument);
        assert!(aggregator.record_at(new, &tick, Timestamp::EPOCH).is_accepted());
    }
}

#[test]
fn pages_follow_each_other_without_gap_or_repetition() {
    let aggregator = Aggregator::default();
    let ids: std::collections::BTreeSet<String> = (0..300).map(|number| format!("{}", number * 7919 % 1000)).collect();
    ids.iter().for_each(|id| assert!(aggregator.list(id, None).is_ok()));
    for (prefix, limit) in [("", 1), ("", 7), ("1", 10), ("99", 1000), ("x", 5)] {
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = aggregator.page(after.as_deref(), prefix, limit);
            let Some(last) = page.last() else { break };
            assert!(page.len() <= limit);
            after = Some(last.id.as_str().to_owned());
            seen.extend(page.iter().map(|line| line.id.as_str().to_owned()));
        }
        assert!(seen.iter().eq(ids.iter().filter(|id| id.starts_with(prefix))), "{prefix:?} by {limit}");
    }
}
