//! After any calls in any order, the aggregator has the same content as the oracle.

use candle_core::{Aggregator, Config, RecordContext, Timestamp, Unlisted};
use proptest::prelude::*;

use crate::oracle_aggregator::OracleAggregator;
use crate::ticks::{Step, Steps, steps_and_limits};

const IDS: [&str; 8] =
    ["4", "10", "9", "é", "\u{a0}white", "white space", "another-id-that-is-longer-than-inline", "z/z"];
const DESCRIPTIONS: [Option<&str>; 3] = [None, Some(""), Some("luptatum senectus")];

#[derive(Clone, Copy, Debug)]
enum Call {
    List(usize),
    Delist,
    Record(Unlisted),
    RecordAt,
    CountView,
    HistoryCountingView,
    ClearCandles,
    Restore,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        2 => (0..DESCRIPTIONS.len()).prop_map(Call::List),
        2 => Just(Call::Delist),
        8 => Just(Call::Record(Unlisted::List)),
        4 => Just(Call::Record(Unlisted::Reject)),
        4 => Just(Call::RecordAt),
        3 => Just(Call::CountView),
        2 => Just(Call::HistoryCountingView),
        1 => Just(Call::ClearCandles),
        1 => Just(Call::Restore),
    ]
}

fn apply(call: Call, id: &str, step: &Step, aggregator: &mut Aggregator, oracle: &mut OracleAggregator) {
    let Step { tick, now } = step;
    match call {
        Call::List(description) => {
            let description = DESCRIPTIONS[description];
            assert_eq!(aggregator.list(id, description).is_ok(), oracle.list(id, description));
        }
        Call::Delist => assert_eq!(aggregator.delist(id), oracle.delist(id)),
        Call::Record(unlisted) => {
            let context = RecordContext { unlisted, ..RecordContext::from(*now) };
            assert_eq!(aggregator.record(id, tick, context), oracle.record(id, tick, *now, unlisted));
        }
        Call::RecordAt => {
            if let Some(handle) = aggregator.resolve(id) {
                assert_eq!(aggregator.record_at(handle, tick, *now), oracle.record(id, tick, *now, Unlisted::Reject));
            }
        }
        Call::CountView => assert_eq!(aggregator.count_view(id), oracle.count_view(id)),
        Call::HistoryCountingView => {
            assert_eq!(aggregator.history_counting_view(id).map(|history| history.views), oracle.count_view(id));
        }
        Call::ClearCandles => {
            aggregator.clear_candles();
            oracle.clear_candles();
        }
        Call::Restore => {
            *aggregator = Aggregator::restore(*aggregator.config(), aggregator.snapshot().collect()).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn after_any_calls_in_any_order_the_content_is_that_of_the_oracle(
        (Steps { steps, base }, limits) in steps_and_limits(1..100),
        calls in prop::collection::vec((call(), 0..IDS.len()), 100),
        stripes in 0..3_u32, max in 1..8_usize,
    ) {
        let config = limits.config().with_stripes(1 << stripes).with_max_instruments(max);
        let (mut aggregator, mut oracle) = (Aggregator::new(config), OracleAggregator::new(limits, max));
        let mut now = Timestamp::EPOCH;
        for (step, (call, id)) in steps.iter().zip(calls) {
            // Sequence numbers start at 0 in the oracle.
            let tick = step.tick.with_seq(step.tick.seq.wrapping_sub(base));
            apply(call, IDS[id], &Step { tick, ..*step }, &mut aggregator, &mut oracle);
            now = step.now;
        }
        oracle.assert_is(&aggregator, now);
    }
}

#[test]
fn the_handle_of_a_delisted_instrument_finds_nothing_after_any_id_is_listed_in_its_slot() {
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
fn consecutive_pages_have_no_gap_and_no_repetition() {
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

#[test]
fn every_instrument_is_returned_while_others_are_listed_and_delisted() {
    let aggregator = Aggregator::default();
    let ids: Vec<_> = (0..1_000).map(|number| format!("{number:03}")).collect();
    ids.iter().for_each(|id| assert!(aggregator.list(id, None).is_ok()));
    assert!(aggregator.instruments().eq(aggregator.page(None, "", usize::MAX)));
    let mut seen = Vec::new();
    for line in aggregator.instruments() {
        // The instrument at which the iteration stands is delisted, and one before and one far behind are listed.
        assert!(aggregator.delist(line.id.as_str()));
        assert!(aggregator.list("!", None).is_ok() && aggregator.list("~", None).is_ok());
        seen.push(line.id.as_str().to_owned());
    }
    assert_eq!(seen[..1_000], ids);
    assert_eq!(seen[1_000..], ["~"]);
}
