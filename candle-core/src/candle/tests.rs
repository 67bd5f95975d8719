//! The guarantees of a candle, case by case.

use super::*;
use crate::price::{Price, Prices};
use crate::size::Size;

fn tick(offset: u64, seq: u64, price: f64) -> ValidTick {
    ValidTick {
        open: OpenTime(0),
        key: Key::new(offset, seq, Interval::MINUTE),
        price: Price::new(price, Prices::Any).unwrap(),
        size: Size::new(1.0).unwrap(),
    }
}

fn candle_of(ticks: &[ValidTick]) -> Candle {
    let mut candle = Candle::opened(&ticks[0], Interval::MINUTE);
    ticks[1..].iter().for_each(|tick| candle.update_any(tick));
    candle
}

#[test]
fn of_equal_keys_the_first_sets_the_open_and_the_last_sets_the_close() {
    let candle = candle_of(&[tick(5, 1, 10.0), tick(5, 1, 11.0), tick(5, 1, 12.0)]);
    assert_eq!((candle.open(), candle.close()), (10.0, 12.0));
    let halves = candle_of(&[tick(5, 1, 10.0)]).merged(&candle_of(&[tick(5, 1, 11.0), tick(5, 1, 12.0)])).unwrap();
    assert_eq!(halves, candle);
}

#[test]
fn a_late_tick_with_the_smallest_key_sets_the_open() {
    let candle = candle_of(&[tick(5, 1, 10.0), tick(9, 0, 11.0), tick(5, 0, 9.0), tick(7, 3, 20.0)]);
    assert_eq!([candle.open(), candle.high(), candle.low(), candle.close()], [9.0, 20.0, 9.0, 11.0]);
}

#[test]
fn highs_of_negative_prices_are_right() {
    let candle = candle_of(&[tick(1, 0, -5.0), tick(2, 0, -3.0), tick(3, 0, -9.0)]);
    assert_eq!((candle.high(), candle.low()), (-3.0, -9.0));
}

#[test]
fn open_time_count_and_revised_flag_do_not_affect_each_other() {
    for seconds in [1, 45, 60, 90, 3_600, 86_400] {
        let interval = Interval::seconds(seconds).unwrap();
        let max = interval.max_count();
        for at in [Timestamp::MIN, Timestamp::EPOCH.saturating_add(-1), Timestamp::EPOCH, Timestamp::MAX] {
            let open = interval.open(at);
            let key = Key::new(0, 0, interval);
            let mut candle = Candle::opened(&ValidTick { open, key, ..tick(0, 0, 1.0) }, interval);
            let fields = |candle: &Candle| (candle.opens_at(), candle.count(), candle.is_revised());
            assert_eq!(fields(&candle), (open, 1, false));
            candle.stamp.count_one();
            assert_eq!(fields(&candle), (open, 2, false));
            candle.stamp.count_more(u64::MAX);
            candle.stamp.count_one();
            assert_eq!(fields(&candle), (open, max, false));
            candle.revise();
            candle.revise();
            candle.stamp.count_more(1);
            assert_eq!(fields(&candle), (open, max, true));
        }
    }
}

#[test]
fn candles_of_different_open_times_do_not_merge() {
    let other = Candle::opened(&ValidTick { open: OpenTime(60), ..tick(0, 0, 1.0) }, Interval::MINUTE);
    assert_eq!(candle_of(&[tick(0, 0, 1.0)]).merged(&other), None);
}

#[test]
fn sides_and_prices_are_weighted_by_size() {
    let sized = |price, size| ValidTick { size: Size::new(size).unwrap(), ..tick(0, 0, price) };
    let candle = candle_of(&[sized(10.0, 1.0), sized(20.0, -3.0), sized(5.0, -0.0)]);
    assert_eq!((candle.volume(), candle.buy_volume(), candle.quote_volume()), (4.0, 1.0, 70.0));
    assert_eq!(candle.vwap(), Some(17.5));
    assert_eq!(candle_of(&[sized(10.0, 0.0)]).vwap(), None);
}

#[test]
fn a_quote_volume_out_of_range_stays_finite() {
    let sized = |price, size| ValidTick { size: Size::new(size).unwrap(), ..tick(0, 0, price) };
    let mut candle = candle_of(&[sized(f64::MAX, 1e15), sized(f64::MAX, 1.0)]);
    assert_eq!((candle.quote_volume(), candle.vwap()), (1e305, Some(f64::MAX)));
    candle = candle.merged(&candle_of(&[sized(f64::MIN, 1e15)])).unwrap();
    assert_eq!(candle.quote_volume(), 0.0);
}
