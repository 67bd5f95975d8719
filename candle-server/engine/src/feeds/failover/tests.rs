use super::*;

const CONFIG: FailoverConfig =
    FailoverConfig { fail_over_after: Duration::from_secs(2), fail_back_after: Duration::from_secs(10) };

/// Returns the times of both clocks `seconds` after the start. The start is at the epoch.
fn at(seconds: f64) -> Reading {
    let elapsed = Duration::from_secs_f64(seconds);
    Reading { elapsed, now: Timestamp::EPOCH.saturating_add(i64::try_from(elapsed.as_micros()).unwrap()) }
}

fn new(feeds: usize) -> Failover {
    Failover::new(vec![SilenceTimeout::FromRate; feeds], ClockMode::Wall, CONFIG)
}

/// Delivers 100 quotes per second of `feed` from second `from` to second `to`.
fn quote_steadily(failover: &mut Failover, feed: usize, from: f64, to: f64) {
    let mut now = from;
    while now < to {
        let _ = failover.quoted(feed, 10, None, at(now));
        now += 0.1;
    }
}

/// Returns the failover state after the first feed was live for 60 seconds.
fn live(feeds: usize) -> Failover {
    let mut failover = new(feeds);
    assert_eq!(failover.opened(0, at(0.0)), Some(Delivery::Started(at(0.0).now)));
    quote_steadily(&mut failover, 0, 0.1, 60.0);
    failover
}

#[test]
fn a_lost_connection_is_a_gap_from_its_loss_to_the_next_connect() {
    let mut failover = live(1);
    assert_eq!(failover.lost(0, "closed", at(60.0)), Some(Delivery::Stopped(at(60.0).now)));
    assert_eq!(failover.connecting(0, at(60.1)), None);
    assert_eq!(failover.opened(0, at(61.0)), Some(Delivery::Started(at(61.0).now)));
    assert_eq!(failover.quoted(0, 1, None, at(61.1)), None);
    let gaps: Vec<Gap> = failover.gaps(at(70.0).now).copied().collect();
    assert_eq!(gaps, [Gap { from: at(60.0).now, to: Some(at(61.0).now), reason: "closed" }]);
    assert_eq!(failover.gaps(at(61.0 + 1800.0).now).count(), 0);
}

#[test]
fn silence_is_noticed_after_two_seconds_and_counts_from_the_last_quote() {
    let mut failover = live(1);
    let last = failover.feeds()[0].quote_age(at(61.0).elapsed).unwrap();
    assert_eq!(failover.refresh(at(61.8)), None);
    let Some(Delivery::Stopped(since)) = failover.refresh(at(62.0)) else { panic!("the silence was not noticed") };
    assert_eq!(at(61.0).now.as_micros() - since.as_micros(), i64::try_from(last.as_micros()).unwrap());
    assert_eq!(failover.state(at(62.0).elapsed), State::Silent);
}

#[test]
fn a_connection_without_a_quote_counts_as_never_delivering() {
    let mut failover = live(1);
    let _ = failover.lost(0, "closed", at(60.0));
    for second in [61.0, 63.0, 65.0] {
        assert_eq!(failover.opened(0, at(second)), Some(Delivery::Started(at(second).now)));
        assert_eq!(failover.lost(0, "closed", at(second + 1.0)), Some(Delivery::Stopped(at(second).now)));
    }
    let gaps: Vec<Gap> = failover.gaps(at(70.0).now).copied().collect();
    // No connection delivered a quote, so the gap continues.
    assert_eq!(gaps, [Gap { from: at(60.0).now, to: None, reason: "closed" }]);
}

#[test]
fn a_lost_feed_has_two_seconds_to_reconnect_before_failover() {
    let mut failover = live(2);
    let _ = failover.lost(0, "closed", at(60.0));
    assert_eq!(failover.action(at(61.9).elapsed), None);
    assert_eq!(failover.action(at(62.0).elapsed), Some(Action::FailOver(1)));
    let _ = failover.opened(0, at(62.1));
    assert_eq!(failover.action(at(62.2).elapsed), None, "the feed has time for its first quote");
    let _ = failover.quoted(0, 1, None, at(62.3));
    assert_eq!(failover.action(at(62.4).elapsed), None);
}

#[test]
fn a_flapping_feed_fails_over_too() {
    let mut failover = live(2);
    let mut second = 60.0;
    while failover.action(at(second).elapsed).is_none() {
        let _ = failover.opened(0, at(second));
        let _ = failover.lost(0, "closed", at(second + 0.2));
        second += 0.3;
    }
    assert!(second < 62.5, "{second}");
}

#[test]
fn a_silent_feed_fails_over_within_five_seconds_and_a_lone_one_reconnects() {
    let mut two = live(2);
    let _ = two.refresh(at(62.0));
    assert_eq!(two.action(at(63.9).elapsed), None);
    assert_eq!(two.action(at(64.0).elapsed), Some(Action::FailOver(1)));
    let mut one = live(1);
    let _ = one.refresh(at(62.0));
    assert_eq!(one.action(at(79.7).elapsed), None);
    assert_eq!(one.action(at(80.0).elapsed), Some(Action::Reconnect));
}

#[test]
fn each_futile_round_takes_twice_as_long_up_to_half_a_minute() {
    let mut failover = live(2);
    let mut now = 60.0;
    let _ = failover.lost(0, "closed", at(now));
    let mut waits = Vec::new();
    for _ in 0..14 {
        let started = now;
        let next = loop {
            now += 0.5;
            if let Some(Action::FailOver(next)) = failover.action(at(now).elapsed) {
                break next;
            }
        };
        waits.push(now - started);
        let _ = failover.switched_to(next, at(now));
        let _ = failover.lost(next, "unreachable", at(now));
    }
    assert_eq!(waits, [2.0, 2.0, 4.0, 4.0, 8.0, 8.0, 16.0, 16.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0]);
}

#[test]
fn failing_back_to_an_open_connection_leaves_no_gap() {
    let mut failover = live(2);
    let _ = failover.lost(0, "closed", at(60.0));
    let _ = failover.switched_to(1, at(62.0));
    assert_eq!(failover.opened(1, at(62.1)), Some(Delivery::Started(at(62.1).now)));
    quote_steadily(&mut failover, 1, 62.2, 80.0);
    assert_eq!(failover.opened(0, at(70.0)), None, "a probe does not deliver");
    quote_steadily(&mut failover, 0, 70.1, 80.0);
    assert_eq!(failover.opened(0, at(80.0)), None);
    assert_eq!(failover.switched_to(0, at(80.0)), None);
    assert_eq!(failover.quoted(0, 1, None, at(80.1)), None);
    assert_eq!(failover.gaps(at(90.0).now).count(), 1);
}

#[test]
fn on_a_feeds_own_clock_silence_is_not_a_gap_but_a_loss_is() {
    let mut failover = Failover::new([SilenceTimeout::FromRate], ClockMode::Feed, CONFIG);
    assert_eq!(failover.opened(0, at(0.0)), None, "the feed's time is unknown before the first quote");
    assert!(matches!(failover.quoted(0, 1, None, at(0.1)), Some(Delivery::Started(_))));
    quote_steadily(&mut failover, 0, 0.2, 60.0);
    assert_eq!(failover.refresh(at(100.0)), None);
    assert_eq!(failover.state(at(100.0).elapsed), State::Silent);
    assert!(matches!(failover.lost(0, "closed", at(101.0)), Some(Delivery::Stopped(_))));
}

#[test]
fn gaps_are_bounded_in_number() {
    let mut failover = live(1);
    for loss in 0..1000 {
        let now = 60.0 + f64::from(loss);
        let _ = failover.lost(0, "closed", at(now));
        let _ = failover.opened(0, at(now + 0.1));
        let _ = failover.quoted(0, 1, None, at(now + 0.2));
    }
    assert_eq!(failover.gaps(at(1061.0).now).count(), MAX_GAPS);
}

#[test]
fn the_gap_of_a_dead_connection_starts_at_its_last_frame() {
    let mut failover = new(1);
    let _ = failover.opened(0, at(0.0));
    (1..600).for_each(|second| assert_eq!(failover.quoted(0, 1, None, at(f64::from(second))), None));
    assert_eq!(failover.refresh(at(619.0)), None, "the silence timeout of one quote a second is longer");
    let loss = Loss { reason: "silent", quiet_for: Duration::from_secs(20) };
    assert_eq!(failover.lost(0, loss, at(619.5)), Some(Delivery::Stopped(at(599.5).now)));
    let gaps: Vec<Gap> = failover.gaps(at(620.0).now).copied().collect();
    assert_eq!(gaps, [Gap { from: at(599.5).now, to: None, reason: "silent" }]);
}

#[test]
fn time_that_the_wall_clock_skips_is_a_gap() {
    let mut failover = live(1);
    let woken = |seconds: f64| Reading { now: at(seconds + 3600.0).now, ..at(seconds) };
    assert_eq!(failover.refresh(Reading { now: at(62.0).now, ..at(60.0) }), None, "a small correction is not a jump");
    let before = Reading { now: at(62.1).now, ..at(60.1) };
    assert_eq!(failover.quoted(0, 1, None, before), None);
    assert_eq!(failover.quoted(0, 1, None, woken(60.2)), Some(Delivery::Stopped(before.now)));
    assert_eq!(failover.quoted(0, 1, None, woken(60.3)), Some(Delivery::Started(woken(60.3).now)));
    let gaps: Vec<Gap> = failover.gaps(woken(61.0).now).copied().collect();
    assert_eq!(gaps, [Gap { from: before.now, to: Some(woken(60.3).now), reason: "clock" }]);
}
