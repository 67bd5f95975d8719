use candle_core::{Aggregator, Config, Gaps, State, WindowCandle};
use candle_engine::clock::Clock;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second).unwrap()
}

/// Creates an intake for an empty engine. A feed clock shows `second`.
fn intake(mode: ClockMode, second: i64) -> Intake {
    let clock = Clock::new(mode);
    if mode == ClockMode::Feed {
        clock.restart_at(at(second));
    }
    Intake::new(Arc::new(Engine::new(Aggregator::new(Config::default().with_reserved_id("popular")), clock)))
}

fn send(intake: &mut Intake, frames: &[impl AsRef<[u8]>]) {
    intake.frames(frames.iter().map(|frame| Ok(frame.as_ref())));
}

fn candles(intake: &Intake, id: &str) -> Vec<WindowCandle> {
    let history = intake.engine.aggregator.history(id).unwrap();
    history.candles(intake.engine.clock.now(), Gaps::Filled).collect()
}

fn count(intake: &Intake, outcome: Outcome) -> u64 {
    intake.engine.aggregator.outcomes().of(outcome)
}

/// Returns frames of three instruments over eight minutes. Some quotes are late, have no timestamp or have a bad price.
fn mixed_frames() -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(7);
    let frame = |step: i64| {
        let (id, price) = (random.u8(0..3), random.u32(1..1000));
        match step % 50 {
            7 => format!(r#"{{"id":{id},"price":{price}}}"#),
            11 => format!(r#"{{"id":{id},"price":-1,"timestamp":{}}}"#, 1000 + step + 30),
            _ => format!(r#"{{"id":{id},"price":{price},"timestamp":{}.5}}"#, 1000 + step - random.i64(0..90)),
        }
    };
    (0..480).map(frame).collect()
}

#[test]
fn on_a_feed_clock_the_batch_size_does_not_change_the_candles() {
    let frames = mixed_frames();
    let mut one_by_one = intake(ClockMode::Feed, 2_000_000);
    one_by_one.connected();
    for frame in &frames {
        send(&mut one_by_one, &[frame]);
    }
    for size in [2, 7, 61, 480] {
        let mut together = intake(ClockMode::Feed, 2_000_000);
        together.connected();
        frames.chunks(size).for_each(|batch| send(&mut together, batch));
        for id in ["0", "1", "2"] {
            assert_eq!(candles(&together, id), candles(&one_by_one, id), "batches of {size}");
        }
        assert_eq!(together.engine.aggregator.outcomes(), one_by_one.engine.aggregator.outcomes());
        assert_eq!(together.engine.clock.now(), one_by_one.engine.clock.now());
    }
    assert!(count(&one_by_one, Outcome::LateAmended) > 0 && count(&one_by_one, Outcome::BadPrice) > 0);
}

#[test]
fn a_quote_without_a_timestamp_gets_the_newest_time_so_far() {
    let mut intake = intake(ClockMode::Feed, 9_000_000);
    intake.connected();
    send(
        &mut intake,
        &[
            r#"{"id":1,"price":5,"timestamp":1000}"#,
            r#"{"id":1,"price":6,"timestamp":990}"#,
            r#"[{"id":1,"price":7},{"id":1,"price":8,"timestamp":1001}]"#,
        ],
    );
    let all = candles(&intake, "1");
    let last = all.last().unwrap();
    assert_eq!((last.open, last.high, last.low, last.close, last.count), (6.0, 8.0, 5.0, 8.0, 4));
    assert_eq!(intake.engine.clock.now(), at(1001));
}

#[test]
fn a_first_quote_without_a_timestamp_does_not_set_the_feed_clock() {
    for size in [1, 3] {
        let mut intake = intake(ClockMode::Feed, 9_000_000);
        intake.connected();
        let frames = [r#"{"id":1,"price":5}"#, r#"{"id":1,"price":6,"timestamp":1000}"#, r#"{"id":1,"price":7}"#];
        frames.chunks(size).for_each(|batch| send(&mut intake, batch));
        assert_eq!(intake.engine.clock.now(), at(1000), "batches of {size}");
        let closes: Vec<_> = candles(&intake, "1").iter().map(|candle| (candle.open, candle.close)).collect();
        assert_eq!(closes, [(6.0, 7.0)], "batches of {size}");
    }
}

#[test]
fn a_connection_that_starts_more_than_five_seconds_earlier_clears_the_candles() {
    let mut intake = intake(ClockMode::Feed, 0);
    intake.connected();
    send(&mut intake, &[r#"{"id":1,"price":5,"timestamp":100000}"#, r#"{"id":2,"price":5,"timestamp":100000}"#]);
    assert_eq!(intake.engine.aggregator.count_view("1"), Some(1));

    intake.connected();
    send(&mut intake, &[r#"{"id":1,"price":9,"timestamp":99994.999999}"#]);
    assert_eq!(intake.engine.clock.now(), at(99_995).saturating_add(-1));
    let history = intake.engine.aggregator.history("1").unwrap();
    assert_eq!((history.views, candles(&intake, "1").len()), (1, 1));
    assert_eq!(candles(&intake, "1")[0].open, 9.0);
    assert!(candles(&intake, "2").is_empty(), "still listed, without candles");
    assert_eq!(count(&intake, Outcome::Opened), 3, "the counts of outcomes stay");
}

#[test]
fn a_connection_that_starts_five_seconds_earlier_clears_nothing() {
    let mut intake = intake(ClockMode::Feed, 0);
    intake.connected();
    send(&mut intake, &[r#"{"id":1,"price":5,"timestamp":100000}"#]);
    intake.connected();
    send(&mut intake, &[r#"{"id":1,"price":9,"timestamp":99995}"#]);
    assert_eq!(intake.engine.clock.now(), at(100_000));
    assert_eq!(candles(&intake, "1").iter().map(|candle| candle.count).sum::<u32>(), 2);
}

#[test]
fn within_a_connection_time_that_goes_back_clears_nothing() {
    let mut intake = intake(ClockMode::Feed, 0);
    intake.connected();
    for time in [100_000, 90_000, 99_000] {
        send(&mut intake, &[format!(r#"{{"id":1,"price":5,"timestamp":{time}}}"#)]);
    }
    assert_eq!(intake.engine.clock.now(), at(100_000));
    assert_eq!(count(&intake, Outcome::TooOld), 1);
    assert_eq!(count(&intake, Outcome::LateAmended), 1);
}

#[test]
fn on_a_feed_clock_no_quote_is_too_far_ahead() {
    let mut intake = intake(ClockMode::Feed, 0);
    intake.connected();
    send(&mut intake, &[r#"{"id":1,"price":5,"timestamp":100}"#, r#"{"id":1,"price":6,"timestamp":4000000000}"#]);
    assert_eq!(intake.engine.aggregator.outcomes().accepted(), 2);
    let real = candles(&intake, "1").iter().filter(|candle| !candle.filled).count();
    assert_eq!(real, 1, "the first candle has left the window");
}

#[test]
fn on_a_wall_clock_a_quote_of_the_future_is_rejected() {
    let mut intake = intake(ClockMode::Wall, 0);
    intake.connected();
    send(&mut intake, &[r#"{"id":1,"price":5}"#, r#"{"id":1,"price":6,"timestamp":4000000000}"#]);
    assert_eq!((count(&intake, Outcome::Opened), count(&intake, Outcome::TooFarAhead)), (1, 1));
    assert_eq!(intake.engine.aggregator.history("1").unwrap().last_price(), Some(5.0));
}

#[test]
fn quotes_without_a_number_are_numbered_in_arrival_order_across_connections() {
    let mut intake = intake(ClockMode::Feed, 0);
    let mut seq_of = |frame: &str| {
        let mut seq = None;
        decode(frame.as_bytes(), |message| {
            if let Ok(Message::Quote(quote)) = message {
                seq = Some(intake.tick(&quote).seq);
            }
        });
        intake.connected();
        seq.unwrap()
    };
    let plain = r#"{"id":1,"price":5,"timestamp":100}"#;
    let numbered = r#"{"id":1,"price":5,"timestamp":100,"seq":77}"#;
    assert_eq!([seq_of(plain), seq_of(numbered), seq_of(plain), seq_of(plain)], [0, 77, 1, 2]);
}

#[test]
fn among_quotes_of_equal_time_the_first_opens_and_the_last_closes() {
    let mut intake = intake(ClockMode::Feed, 0);
    intake.connected();
    let frames: Vec<_> = [3, 9, 1, 4].map(|price| format!(r#"{{"id":1,"price":{price},"timestamp":100}}"#)).into();
    send(&mut intake, &frames);
    let candle = candles(&intake, "1")[0];
    assert_eq!((candle.open, candle.high, candle.low, candle.close), (3.0, 9.0, 1.0, 4.0));
    assert_eq!(candle.state, State::Forming);
}

#[test]
fn an_instrument_is_listed_at_its_first_acceptable_quote() {
    let mut intake = intake(ClockMode::Feed, 0);
    intake.connected();
    let bad_ids = ["popular", " a", &"x".repeat(65)].map(|id| format!(r#"{{"id":"{id}","price":5,"timestamp":9}}"#));
    send(&mut intake, &bad_ids);
    send(&mut intake, &[r#"{"id":"a","price":-5,"timestamp":9}"#, r#"{"id":"a","price":0,"timestamp":9}"#]);
    assert!(intake.engine.aggregator.is_empty());
    assert_eq!((count(&intake, Outcome::BadId), count(&intake, Outcome::BadPrice)), (3, 2));
    send(&mut intake, &[r#"{"id":"a","price":0.5,"timestamp":9}"#]);
    assert_eq!(intake.engine.aggregator.len(), 1);
}

#[test]
fn unreadable_messages_are_counted_and_the_others_are_recorded() {
    let mut intake = intake(ClockMode::Feed, 0);
    intake.connected();
    let frames = [
        Ok(&b"garbage"[..]),
        Err((Unreadable::Binary, &b"\x00"[..])),
        Ok(br#"[{"id":1,"price":5,"timestamp":9},{"id":1,"price":NaN}]"#),
        Ok(br#"[{"id":1,"price":1e999},{"id":1,"price":6,"timestamp":9}]"#),
        Ok(b"\xff"),
    ];
    intake.frames(frames.into_iter());
    assert_eq!(intake.engine.unreadable(), 5);
    assert_eq!(intake.engine.aggregator.outcomes().accepted(), 2);
}

#[test]
fn a_connection_whose_quotes_are_mostly_rejected_for_their_time_warns_once() {
    let mut intake = intake(ClockMode::Wall, 0);
    let old = r#"{"id":1,"price":5,"timestamp":100}"#;
    intake.connected();
    for _ in 1..CLOCK_CHECK_TICKS {
        send(&mut intake, &[old]);
    }
    assert!(!intake.connection.wrong_clock.is_ongoing());
    send(&mut intake, &[old]);
    assert!(intake.connection.wrong_clock.is_ongoing());

    intake.connected();
    assert!(!intake.connection.wrong_clock.is_ongoing());
    let half: Vec<_> = (0..CLOCK_CHECK_TICKS).flat_map(|_| [old, r#"{"id":1,"price":5}"#]).collect();
    send(&mut intake, &half);
    assert!(!intake.connection.wrong_clock.is_ongoing(), "half of the quotes are rejected, not most");
}

#[test]
fn a_rejected_quote_of_the_previous_feed_makes_no_later_quote_old() {
    let mut intake = intake(ClockMode::Wall, 0).with_deduplication();
    intake.connected();
    let now = intake.engine.clock.now().as_micros() / 1_000_000;
    let quote =
        |seq: i64, time: i64, price: i64| format!(r#"{{"id":"a","price":{price},"timestamp":{time},"seq":{seq}}}"#);
    send(&mut intake, &[quote(1, now, 5), quote(1_000_000, now + 3600, 5), quote(2_000_000, now + 4, -1)]);
    assert_eq!((count(&intake, Outcome::TooFarAhead), count(&intake, Outcome::BadPrice)), (1, 1));
    intake.switched();
    send(&mut intake, &[quote(1, now, 5), quote(2, now, 6)]);
    assert_eq!((intake.engine.feeds.repeated(), intake.engine.aggregator.outcomes().accepted()), (1, 2));
    assert_eq!(candles(&intake, "a").last().unwrap().close.to_string(), "6");
}

#[test]
fn rejected_quotes_of_the_future_do_not_make_a_late_feed_look_fresh() {
    let mut intake = intake(ClockMode::Wall, 0);
    intake.connected();
    let now = intake.engine.clock.now().as_micros() / 1_000_000;
    let late = format!(r#"{{"id":"a","price":5,"timestamp":{}}}"#, now - 20);
    let ahead = format!(r#"{{"id":"a","price":5,"timestamp":{}}}"#, now + 3600);
    let bad = format!(r#"{{"id":"a","price":0,"timestamp":{now}}}"#);
    send(&mut intake, &[late, ahead, bad]);
    let lag = intake.engine.feeds.feed_reports(intake.engine.clock.elapsed())[0].lag.unwrap();
    assert!(lag >= std::time::Duration::from_secs(20), "{lag:?}");
}
