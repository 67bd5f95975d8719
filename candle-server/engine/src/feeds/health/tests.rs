use super::*;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Returns a feed that connected at 0 and delivered 200 quotes per second for `length` seconds.
fn busy(silence_timeout: SilenceTimeout, length: u32) -> Health {
    let mut health = Health::new(silence_timeout);
    health.opened(Duration::ZERO);
    for step in 0..(20 * length) {
        health.quoted(seconds(0.05 * f64::from(step + 1)), 10, None);
    }
    health
}

#[test]
fn a_busy_feed_is_silent_after_two_seconds_since_its_last_quote() {
    let health = busy(SilenceTimeout::FromRate, 10);
    assert_eq!(health.state(seconds(10.5)), State::Live);
    assert_eq!(health.state(seconds(12.0)), State::Silent);
    assert_eq!(health.unhealthy_since(seconds(13.0)), seconds(10.0));
}

#[test]
fn a_fixed_timeout_applies_at_any_rate() {
    let health = busy(SilenceTimeout::Fixed(seconds(0.5)), 10);
    assert_eq!(health.state(seconds(10.49)), State::Live);
    assert_eq!(health.state(seconds(10.5)), State::Silent);
    assert_eq!(busy(SilenceTimeout::Never, 10).state(seconds(1e6)), State::Live);
}

#[test]
fn a_connection_without_a_quote_waits_and_then_is_silent_from_its_start() {
    let mut health = Health::new(SilenceTimeout::FromRate);
    health.connecting();
    assert_eq!(health.state(seconds(1.0)), State::Connecting);
    health.opened(seconds(2.0));
    assert_eq!(health.state(seconds(16.9)), State::Waiting);
    assert_eq!(health.state(seconds(17.0)), State::Silent);
    assert_eq!(health.unhealthy_since(seconds(18.0)), seconds(2.0));
}

#[test]
fn connections_without_a_quote_are_counted_until_one_delivers() {
    let mut health = busy(SilenceTimeout::FromRate, 10);
    let mut seen = Vec::new();
    for round in 1..=4 {
        health.lost(seconds(20.0 * f64::from(round)), "closed");
        seen.push(health.quoteless_connections());
        health.opened(seconds(20.0 * f64::from(round) + 1.0));
    }
    assert_eq!(seen, [0, 1, 2, 3]);
    health.quoted(seconds(82.0), 1, None);
    assert_eq!(health.quoteless_connections(), 0);
}

#[test]
fn late_quotes_make_a_feed_lag_and_one_late_quote_does_not() {
    let mut health = Health::new(SilenceTimeout::FromRate);
    health.opened(Duration::ZERO);
    health.quoted(seconds(0.1), 1, Some(seconds(0.01)));
    health.quoted(seconds(0.2), 1, Some(seconds(60.0)));
    assert_eq!(health.state(seconds(0.3)), State::Live);
    for second in 1..4 {
        health.quoted(seconds(f64::from(second)), 1, Some(seconds(6.0)));
    }
    assert_eq!(health.state(seconds(3.1)), State::Lagging);
    assert_eq!(health.lag(), Some(seconds(6.0)));
}

#[test]
fn losses_are_counted_by_reason() {
    let mut health = Health::new(SilenceTimeout::FromRate);
    for reason in ["closed", "silent", "closed"] {
        health.opened(Duration::ZERO);
        health.lost(Duration::ZERO, reason);
    }
    assert_eq!(
        health.losses().iter().map(|(reason, count)| (*reason, *count)).collect::<Vec<_>>(),
        [("closed", 2), ("silent", 1)]
    );
    assert_eq!(
        (health.connects(), health.state(Duration::ZERO), health.reason(Duration::ZERO)),
        (3, State::Down, "closed")
    );
}
