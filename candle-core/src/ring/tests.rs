//! The guarantees of a ring, case by case.

use super::*;
use crate::time::Minute;
use crate::window_candle::State;

fn at(minute: i64) -> Timestamp {
    Minute::EPOCH.saturating_add(minute).start()
}

fn record(ring: &mut Ring, minute: i64, price: f64, now: i64) -> Outcome {
    ring.record(&Tick::new(at(minute), price), &Rules::default().at(at(now)))
}

fn window(ring: &Ring, now: i64) -> Vec<(i64, f64, bool)> {
    ring.candles(at(now), Gaps::Filled).map(|c| (c.open_time.minute().number(), c.close, c.filled)).collect()
}

#[test]
fn sizes_are_pinned() {
    assert_eq!(slots(Window::DEFAULT), 33); // 32 slots and the evicted candle
    assert_eq!(size_of::<Ring>(), 34 * 80 + 32);
}

#[test]
fn no_candle_is_before_the_first_tick() {
    let mut ring = Ring::default();
    assert_eq!(window(&ring, 100), []);
    assert_eq!(record(&mut ring, 98, 5.0, 98), Outcome::Opened);
    assert_eq!(window(&ring, 100), [(98, 5.0, false), (99, 5.0, true), (100, 5.0, true)]);
}

#[test]
fn the_close_that_left_the_window_fills_its_first_minutes() {
    let mut ring = Ring::default();
    for minute in [0, 1, 40] {
        assert_eq!(record(&mut ring, minute, 1.0 + minute as f64, minute), Outcome::Opened);
    }
    let window = window(&ring, 40);
    assert_eq!(window.len(), 30);
    assert_eq!(window[0], (11, 2.0, true));
    assert_eq!(window[29], (40, 41.0, false));
}

#[test]
fn an_instrument_idle_for_over_30_minutes_has_30_fillers() {
    let mut ring = Ring::default();
    assert_eq!(record(&mut ring, 0, 7.0, 0), Outcome::Opened);
    let window = window(&ring, 1_000_000);
    assert_eq!(window.len(), 30);
    assert!(window.iter().all(|(_, close, filled)| *close == 7.0 && *filled));
}

#[test]
fn a_tick_ahead_of_now_evicts_no_visible_candle_and_is_not_visible() {
    let mut ring = Ring::default();
    (0..30).for_each(|minute| assert!(record(&mut ring, minute, 1.0, minute).is_accepted()));
    let now = at(29).saturating_add(58_000_000);
    let ahead = Tick::new(at(30), 2.0);
    assert_eq!(ring.record(&ahead, &Rules::default().at(now)), Outcome::Opened);
    let window: Vec<_> = ring.candles(now, Gaps::Filled).collect();
    assert_eq!(window.len(), 30);
    assert!(window.iter().all(|candle| !candle.filled && candle.close == 1.0));
}

#[test]
fn a_late_tick_replaces_the_filler_and_is_marked() {
    let mut ring = Ring::default();
    for minute in [0, 5] {
        assert_eq!(record(&mut ring, minute, 1.0, minute), Outcome::Opened);
    }
    assert_eq!(record(&mut ring, 3, 2.0, 5), Outcome::LateAmended);
    assert_eq!(record(&mut ring, 3, 3.0, 5), Outcome::LateAmended);
    let states: Vec<_> = ring.candles(at(5), Gaps::Filled).map(|c| (c.state, c.filled, c.count)).collect();
    assert_eq!(states[3], (State::Revised, false, 2));
    assert_eq!(states[4], (State::Final, true, 0));
    assert_eq!(states[5], (State::Forming, false, 1));
}

#[test]
fn after_a_jump_of_a_million_minutes_only_the_last_close_remains() {
    let mut ring = Ring::default();
    (0..32).for_each(|minute| assert!(record(&mut ring, minute, minute as f64 + 1.0, minute).is_accepted()));
    assert_eq!(record(&mut ring, 1_000_000, 99.0, 1_000_000), Outcome::Opened);
    assert_eq!(ring.stored().map(|c| c.open_time().minute().number()).collect::<Vec<_>>(), [31, 1_000_000]);
}

#[test]
fn after_now_stepped_back_a_slot_of_a_later_minute_is_not_overwritten() {
    let mut ring = Ring::default();
    assert_eq!(record(&mut ring, 100, 1.0, 100), Outcome::Opened);
    assert_eq!(record(&mut ring, 68, 9.0, 90), Outcome::TooOld);
    assert_eq!(record(&mut ring, 69, 9.0, 90), Outcome::LateAmended);
    assert_eq!(ring.stored().map(|c| c.open_time().minute().number()).collect::<Vec<_>>(), [69, 100]);
}

#[test]
fn minutes_before_the_epoch_have_slots_of_their_own() {
    let mut ring = Ring::default();
    (-40..-9).for_each(|minute| assert_eq!(record(&mut ring, minute, 50.0 + minute as f64, minute), Outcome::Opened));
    let window = window(&ring, -10);
    assert_eq!(window.len(), 30);
    assert!(window.iter().all(|(minute, close, filled)| *close == 50.0 + *minute as f64 && !filled));
}
