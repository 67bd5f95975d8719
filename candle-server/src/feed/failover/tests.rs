use super::*;

const TURNS: FailoverConfig =
    FailoverConfig { fail_over_after: Duration::from_secs(2), fail_back_after: Duration::from_secs(10) };

/// Both clocks `seconds` after the start, which was at the epoch.
fn at(seconds: f64) -> Reading {
    let elapsed = Duration::from_secs_f64(seconds);
    Reading { elapsed, now: Timestamp::EPOCH.saturating_add(i64::try_from(elapsed.as_micros()).unwrap()) }
}

fn watch(feeds: usize) -> Failover {
    Failover::new(vec![SilenceTimeout::OwnRate; feeds], ClockMode::Wall, TURNS)
}

/// Lets the feed at `place` bring 100 quotes a second from `from` to `to`.
fn flow(watch: &mut Failover, place: usize, from: f64, to: f64) {
    let mut now = from;
    while now < to {
        let _ = watch.quoted(place, 10, None, at(now));
        now += 0.1;
    }
}

/// A watch whose first feed has been live from second 0 to second 60.
fn live(feeds: usize) -> Failover {
    let mut watch = watch(feeds);
    assert_eq!(watch.opened(0, at(0.0)), Some(Supply::Up(at(0.0).now)));
    flow(&mut watch, 0, 0.1, 60.0);
    watch
}

#[test]
fn a_lost_connection_is_a_gap_from_its_loss_to_the_next_connect() {
    let mut watch = live(1);
    assert_eq!(watch.lost(0, "closed", at(60.0)), Some(Supply::Down(at(60.0).now)));
    assert_eq!(watch.connecting(0, at(60.1)), None);
    assert_eq!(watch.opened(0, at(61.0)), Some(Supply::Up(at(61.0).now)));
    assert_eq!(watch.quoted(0, 1, None, at(61.1)), None);
    let gaps: Vec<Gap> = watch.gaps(at(70.0).now).copied().collect();
    assert_eq!(gaps, [Gap { from: at(60.0).now, to: Some(at(61.0).now), reason: "closed" }]);
    assert_eq!(watch.gaps(at(61.0 + 1800.0).now).count(), 0);
}

#[test]
fn silence_is_noticed_after_two_seconds_and_counts_from_the_last_quote() {
    let mut watch = live(1);
    let last = watch.feeds()[0].quote_age(at(61.0).elapsed).unwrap();
    assert_eq!(watch.settle(at(61.8)), None);
    let Some(Supply::Down(since)) = watch.settle(at(62.0)) else { panic!("nothing is noticed") };
    assert_eq!(at(61.0).now.as_micros() - since.as_micros(), i64::try_from(last.as_micros()).unwrap());
    assert_eq!(watch.state(at(62.0).elapsed), State::Silent);
}

#[test]
fn a_feed_that_connects_and_brings_nothing_never_was_up() {
    let mut watch = live(1);
    let _ = watch.lost(0, "closed", at(60.0));
    for second in [61.0, 63.0, 65.0] {
        assert_eq!(watch.opened(0, at(second)), Some(Supply::Up(at(second).now)));
        assert_eq!(watch.lost(0, "closed", at(second + 1.0)), Some(Supply::Down(at(second).now)));
    }
    let gaps: Vec<Gap> = watch.gaps(at(70.0).now).copied().collect();
    // Of each connection a moment without length is left, and the gap around it goes on.
    assert_eq!(gaps, [Gap { from: at(60.0).now, to: None, reason: "closed" }]);
}

#[test]
fn a_lost_feed_has_two_seconds_to_come_back_before_the_next_ones_turn() {
    let mut watch = live(2);
    let _ = watch.lost(0, "closed", at(60.0));
    assert_eq!(watch.verdict(at(61.9).elapsed), None);
    assert_eq!(watch.verdict(at(62.0).elapsed), Some(Action::FailOver(1)));
    let _ = watch.opened(0, at(62.1));
    assert_eq!(watch.verdict(at(62.2).elapsed), None, "it is given the time for its first quote");
    let _ = watch.quoted(0, 1, None, at(62.3));
    assert_eq!(watch.verdict(at(62.4).elapsed), None);
}

#[test]
fn a_feed_that_comes_and_goes_is_left_too() {
    let mut watch = live(2);
    let mut second = 60.0;
    while watch.verdict(at(second).elapsed).is_none() {
        let _ = watch.opened(0, at(second));
        let _ = watch.lost(0, "closed", at(second + 0.2));
        second += 0.3;
    }
    assert!(second < 62.5, "{second}");
}

#[test]
fn a_silent_feed_is_left_within_five_seconds_and_a_lone_one_connected_anew() {
    let mut two = live(2);
    let _ = two.settle(at(62.0));
    assert_eq!(two.verdict(at(63.9).elapsed), None);
    assert_eq!(two.verdict(at(64.0).elapsed), Some(Action::FailOver(1)));
    let mut one = live(1);
    let _ = one.settle(at(62.0));
    assert_eq!(one.verdict(at(79.7).elapsed), None);
    assert_eq!(one.verdict(at(80.0).elapsed), Some(Action::Reconnect));
}

#[test]
fn rounds_in_vain_are_twice_as_long_each_up_to_half_a_minute() {
    let mut watch = live(2);
    let mut now = 60.0;
    let _ = watch.lost(0, "closed", at(now));
    let mut waits = Vec::new();
    for _ in 0..14 {
        let began = now;
        let next = loop {
            now += 0.5;
            if let Some(Action::FailOver(next)) = watch.verdict(at(now).elapsed) {
                break next;
            }
        };
        waits.push(now - began);
        let _ = watch.turned_to(next, at(now));
        let _ = watch.lost(next, "unreachable", at(now));
    }
    assert_eq!(waits, [2.0, 2.0, 4.0, 4.0, 8.0, 8.0, 16.0, 16.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0]);
}

#[test]
fn coming_back_by_a_connection_that_is_open_leaves_no_gap() {
    let mut watch = live(2);
    let _ = watch.lost(0, "closed", at(60.0));
    let _ = watch.turned_to(1, at(62.0));
    assert_eq!(watch.opened(1, at(62.1)), Some(Supply::Up(at(62.1).now)));
    flow(&mut watch, 1, 62.2, 80.0);
    assert_eq!(watch.opened(0, at(70.0)), None, "a probe supplies nothing");
    flow(&mut watch, 0, 70.1, 80.0);
    assert_eq!(watch.opened(0, at(80.0)), None);
    assert_eq!(watch.turned_to(0, at(80.0)), None);
    assert_eq!(watch.quoted(0, 1, None, at(80.1)), None);
    assert_eq!(watch.gaps(at(90.0).now).count(), 1);
}

#[test]
fn on_a_feeds_own_clock_silence_is_no_gap_and_a_loss_is() {
    let mut watch = Failover::new([SilenceTimeout::OwnRate], ClockMode::Feed, TURNS);
    assert_eq!(watch.opened(0, at(0.0)), None, "nothing is known before the first time");
    assert!(matches!(watch.quoted(0, 1, None, at(0.1)), Some(Supply::Up(_))));
    flow(&mut watch, 0, 0.2, 60.0);
    assert_eq!(watch.settle(at(100.0)), None);
    assert_eq!(watch.state(at(100.0).elapsed), State::Silent);
    assert!(matches!(watch.lost(0, "closed", at(101.0)), Some(Supply::Down(_))));
}

#[test]
fn gaps_are_bounded_in_number() {
    let mut watch = live(1);
    for loss in 0..1000 {
        let now = 60.0 + f64::from(loss);
        let _ = watch.lost(0, "closed", at(now));
        let _ = watch.opened(0, at(now + 0.1));
        let _ = watch.quoted(0, 1, None, at(now + 0.2));
    }
    assert_eq!(watch.gaps(at(1061.0).now).count(), MAX_GAPS);
}

#[test]
fn a_connection_that_died_quietly_is_a_gap_from_when_it_was_last_heard() {
    let mut watch = watch(1);
    let _ = watch.opened(0, at(0.0));
    (1..600).for_each(|second| assert_eq!(watch.quoted(0, 1, None, at(f64::from(second))), None));
    assert_eq!(watch.settle(at(619.0)), None, "a feed of one quote a second is given longer than that");
    let loss = Loss { reason: "silent", quiet_for: Duration::from_secs(20) };
    assert_eq!(watch.lost(0, loss, at(619.5)), Some(Supply::Down(at(599.5).now)));
    let gaps: Vec<Gap> = watch.gaps(at(620.0).now).copied().collect();
    assert_eq!(gaps, [Gap { from: at(599.5).now, to: None, reason: "silent" }]);
}

#[test]
fn what_a_wall_clock_leaps_over_was_not_covered() {
    let mut watch = live(1);
    let woken = |seconds: f64| Reading { now: at(seconds + 3600.0).now, ..at(seconds) };
    assert_eq!(watch.settle(Reading { now: at(62.0).now, ..at(60.0) }), None, "a clock that is set right is no leap");
    let before = Reading { now: at(62.1).now, ..at(60.1) };
    assert_eq!(watch.quoted(0, 1, None, before), None);
    assert_eq!(watch.quoted(0, 1, None, woken(60.2)), Some(Supply::Down(before.now)));
    assert_eq!(watch.quoted(0, 1, None, woken(60.3)), Some(Supply::Up(woken(60.3).now)));
    let gaps: Vec<Gap> = watch.gaps(woken(61.0).now).copied().collect();
    assert_eq!(gaps, [Gap { from: before.now, to: Some(woken(60.3).now), reason: "clock" }]);
}
