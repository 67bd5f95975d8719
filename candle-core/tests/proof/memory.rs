//! The memory of an aggregator is known before it is created.

use candle_core::{Aggregator, Config, Interval, Tick, Timestamp, Window};

/// Returns the bytes that an aggregator with these instruments allocates, each instrument with a tick.
fn measured(config: Config, ids: &[String]) -> usize {
    let mut aggregator = None;
    let counted = allocation_counter::measure(|| {
        let filled = aggregator.insert(Aggregator::new(config));
        for id in ids {
            let handle = filled.list(id, None).unwrap();
            assert!(filled.record_at(handle, &Tick::new(Timestamp::EPOCH, 1.0), Timestamp::EPOCH).is_accepted());
        }
    });
    assert_eq!(aggregator.unwrap().len(), ids.len());
    usize::try_from(counted.bytes_current).unwrap()
}

fn assert_predicted(config: Config, ids: &[String], order: &str) {
    let config = config.with_max_instruments(ids.len()).with_seed(7);
    let (predicted, measured) = (Aggregator::memory_bytes(&config, ids.len()), measured(config, ids));
    let error = predicted.abs_diff(measured) as f64 / measured as f64;
    let (n, stripes) = (ids.len(), config.stripes());
    println!(
        "{n} instruments, {stripes} stripes, {order}: predicted {predicted}, measured {measured}, off by {error:.4}"
    );
    assert!(error < 0.05, "{n} instruments, {stripes} stripes, {order}: predicted {predicted}, measured {measured}");
}

/// Asserts for ids of twelve bytes, as ISINs have, listed in ascending and in scattered order.
fn assert_predicted_in_both_orders(instruments: u64, stripes: usize) {
    let config = Config::default().with_stripes(stripes);
    let ascending: Vec<_> = (0..instruments).map(|number| format!("{number:012}")).collect();
    assert_predicted(config, &ascending, "ascending");
    let scattered = |number: u64| format!("{:012}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 25);
    assert_predicted(config, &(0..instruments).map(scattered).collect::<Vec<_>>(), "scattered");
}

#[test]
fn memory_is_as_predicted_within_five_per_cent() {
    for instruments in [0, 1_000, 10_000] {
        [1, 16, 256, 1024].into_iter().for_each(|stripes| assert_predicted_in_both_orders(instruments, stripes));
    }
    assert_predicted_in_both_orders(50_000, Config::DEFAULT_STRIPES);
}

#[test]
fn memory_is_as_predicted_for_other_windows() {
    let ids: Vec<_> = (0..1_000).map(|number| format!("{number:012}")).collect();
    for (interval, candles) in [(Interval::SECOND, 60), (Interval::MINUTE, 240), (Interval::DAY, 1)] {
        let config = Config::default().with_interval(interval).with_window(candles).unwrap();
        [1, 64].into_iter().for_each(|stripes| assert_predicted(config.with_stripes(stripes), &ids, "ascending"));
    }
}

#[test]
fn the_front_page_gives_the_memory_of_an_instrument() {
    let page = include_str!("../../src/lib.rs");
    for (interval, candles) in [
        (Interval::MINUTE, 30),
        (Interval::MINUTE, 60),
        (Interval::MINUTE, 240),
        (Interval::MINUTE, 1_440),
        (Interval::SECOND, 60),
        (Interval::SECOND, 600),
        (Interval::SECOND, 7_200),
        (Interval::DAY, 365),
    ] {
        let bytes = Aggregator::bytes_per_instrument(Window::new(interval, candles).unwrap());
        let (number, unit): (String, String) = interval.to_string().chars().partition(char::is_ascii_digit);
        let row = format!("| {number} {unit} | {candles} | {:.1} KB |", bytes as f64 / 1e3);
        assert!(page.contains(&row), "{row}");
    }
}

#[test]
fn the_front_page_gives_the_memory_of_instruments() {
    let megabytes = |instruments| Aggregator::memory_bytes(&Config::default(), instruments) / 1_000_000;
    let page = include_str!("../../src/lib.rs");
    for (instruments, name) in [(50_000, "50,000"), (1_000_000, "1,000,000")] {
        assert!(
            page.contains(&format!("| {name} | {} MB |", megabytes(instruments))),
            "{name}: {}",
            megabytes(instruments)
        );
    }
}
