use std::collections::BTreeMap;

use candle_core::{Aggregator, Tick};
use candle_engine::clock::{Clock, ClockMode};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

const ID: &str = "a\"</script>";

fn engine() -> Engine {
    let clock = Clock::new(ClockMode::Feed);
    clock.restart_at(at(6000.0));
    Engine::new(Aggregator::default(), clock)
}

fn at(second: f64) -> Timestamp {
    Timestamp::from_micros(micros(second)).unwrap()
}

#[expect(clippy::cast_possible_truncation, reason = "a few thousand seconds")]
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

/// A client that applies events, and removes candles older than the window of 30 minutes.
#[derive(Default)]
struct Client {
    history: Option<Value>,
    names: Vec<String>,
}

impl Client {
    fn apply(&mut self, events: &[u8]) {
        for block in std::str::from_utf8(events).unwrap().split_terminator("\n\n") {
            let fields: BTreeMap<&str, &str> = block.lines().map(|line| line.split_once(": ").unwrap()).collect();
            let data: Value = serde_json::from_str(fields["data"]).unwrap();
            assert_eq!(data["id"], ID);
            match fields["event"] {
                "snapshot" => self.history = Some(data),
                "delisted" => self.history = None,
                _ => self.merge(data),
            }
            self.names.push(fields["event"].to_owned());
        }
    }

    fn merge(&mut self, mut data: Value) {
        let mine = self.history.as_mut().expect("a snapshot comes first").as_object_mut().unwrap();
        if let Some(candle) = data.as_object_mut().unwrap().remove("candle") {
            let candles = mine["candles"].as_array_mut().unwrap();
            let time = |candle: &Value| candle["openTimestamp"].as_i64().unwrap();
            match candles.binary_search_by_key(&time(&candle), time) {
                Ok(index) => candles[index] = candle,
                Err(index) => candles.insert(index, candle),
            }
        }
        for (name, value) in data.as_object().unwrap() {
            mine[name] = value.clone();
        }
    }

    /// Returns the history of the client at `now`, without `views` and `asOf`.
    ///
    /// These two fields have the values of the last event, which differ from those of a read.
    fn shown(&self, now: Timestamp) -> Option<Value> {
        let mut history = self.history.clone()?;
        let first = 60 * (now.minute().number() - 29);
        history["candles"].as_array_mut().unwrap().retain(|candle| candle["openTimestamp"].as_i64().unwrap() >= first);
        Some(without_time(history))
    }
}

fn without_time(mut history: Value) -> Value {
    history.as_object_mut().unwrap().retain(|name, _| name != "views" && name != "asOf");
    history
}

/// Returns the history of a read, without `views` and `asOf`.
fn read(engine: &Engine, gaps: Gaps) -> Option<Value> {
    let now = engine.clock.now();
    let Update::Changed(history, version) = engine.aggregator.history_if_changed(ID, now, None)? else { return None };
    let latest = Latest::from(&*history);
    let coverage = engine.feeds.coverage(now);
    let status = engine.status(&latest, history.ring.usual_gap(now));
    let options = HistoryOptions { gaps, format: Format::Full };
    let text = CachedHistory::new(ID, &history, version, options, now, coverage);
    let body = text.body(&latest, ReadContext { now, status, coverage });
    Some(without_time(serde_json::from_slice(&body.into_vec()).unwrap()))
}

#[derive(Clone, Debug)]
enum Step {
    List(Option<&'static str>),
    Delist,
    /// Records a tick with this time (seconds from now) and this price. A tick ahead of the clock advances the clock.
    Tick(f64, f64),
    /// Advances the clock by this many seconds without a tick.
    Pass(f64),
    /// Connects the feed and sends a quote.
    Up,
    /// Disconnects the feed.
    Lost,
    /// Restarts the feed at a time this many seconds earlier.
    Restart(f64),
    /// Sends the changes to the client.
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => prop_oneof![Just(None), Just(Some("x\ny")), Just(Some("z"))].prop_map(Step::List),
        1 => Just(Step::Delist),
        12 => (-2100.0..90.0_f64, 1.0..100.0_f64).prop_map(|(second, price)| Step::Tick(second, price)),
        12 => (0.0..20.0_f64, 1.0..100.0_f64).prop_map(|(second, price)| Step::Tick(second, price)),
        3 => (0.0..200.0_f64).prop_map(Step::Pass),
        1 => (0.0..3000.0_f64).prop_map(Step::Pass),
        2 => Just(Step::Up),
        2 => Just(Step::Lost),
        1 => (5.0..3000.0_f64).prop_map(Step::Restart),
        10 => Just(Step::Poll),
    ]
}

fn run(engine: &Engine, step: &Step) {
    let now = engine.clock.now();
    match *step {
        Step::List(description) => assert!(engine.aggregator.list(ID, description).is_ok()),
        Step::Delist => assert!(engine.aggregator.delist(ID) || engine.aggregator.is_empty()),
        Step::Tick(seconds, price) => {
            let time = now.saturating_add(micros(seconds));
            engine.clock.advance_to(time);
            let _ = engine.aggregator.record(ID, &Tick::new(time, price), engine.clock.now());
        }
        Step::Pass(seconds) => engine.clock.advance_to(now.saturating_add(micros(seconds))),
        Step::Up => {
            engine.feeds.update(|failover| failover.connecting(0, engine.clock.reading()));
            engine.feeds.opened(0, Vec::new(), engine.clock.reading());
            engine.feeds.quoted(1, None, engine.clock.reading());
        }
        Step::Lost => engine.feeds.update(|failover| failover.lost(0, "test", engine.clock.reading())),
        Step::Restart(seconds) => {
            engine.feeds.clear_coverage();
            engine.aggregator.clear_candles();
            engine.clock.restart_at(now.saturating_add(-micros(seconds)));
        }
        Step::Poll => {}
    }
}

proptest! {
    #[test]
    fn a_client_that_applies_the_events_has_the_history_of_a_read(
        steps in prop::collection::vec(step(), 1..60),
        gaps in prop_oneof![Just(Gaps::Filled), Just(Gaps::Omitted)],
    ) {
        let engine = engine();
        let mut client = Client::default();
        let mut diff = HistoryDiff::new(ID, HistoryOptions { gaps, format: Format::Full });
        for step in steps.iter().chain([&Step::Poll]) {
            run(&engine, step);
            if matches!(step, Step::Poll) {
                let (now, mut out) = (engine.clock.now(), Vec::new());
                diff.write_changes(&mut out, &engine, now);
                client.apply(&out);
                prop_assert_eq!(client.shown(now), read(&engine, gaps));
                out.clear();
                diff.write_changes(&mut out, &engine, now);
                prop_assert!(out.is_empty(), "nothing changed since");
            }
        }
    }
}

/// A listed instrument and its client.
struct Fixture {
    engine: Engine,
    diff: HistoryDiff,
    client: Client,
}

impl Fixture {
    fn new(options: HistoryOptions) -> Self {
        let engine = engine();
        engine.aggregator.list(ID, None).unwrap();
        Self { engine, diff: HistoryDiff::new(ID, options), client: Client::default() }
    }

    fn tick(&self, second: f64, price: f64) {
        self.engine.clock.advance_to(at(second));
        assert!(
            self.engine.aggregator.record(ID, &Tick::new(at(second), price), self.engine.clock.now()).is_accepted()
        );
    }

    fn poll(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        self.diff.write_changes(&mut out, &self.engine, self.engine.clock.now());
        self.client.apply(&out);
        std::mem::take(&mut self.client.names)
    }
}

#[test]
fn finals_and_revisions_are_sent_even_to_a_client_that_seldom_polls() {
    let mut fixture = Fixture::new(HistoryOptions::default());
    assert_eq!(fixture.poll(), ["snapshot"]);
    fixture.tick(6000.0, 1.0);
    fixture.tick(6001.0, 2.0);
    assert_eq!(fixture.poll(), ["candle"], "two ticks, one event: the latest price");
    fixture.tick(6061.0, 3.0);
    fixture.tick(6185.0, 4.0);
    assert_eq!(fixture.poll(), ["final", "final", "final", "candle"], "a filled minute has a final too");
    fixture.tick(6002.0, 9.0);
    fixture.tick(6186.0, 5.0);
    assert_eq!(fixture.poll(), ["revised", "candle"]);
    fixture.tick(5990.0, 8.0);
    assert_eq!(fixture.poll(), ["revised"], "a minute before the first one of the client");
    fixture.tick(6245.0, 5.0);
    fixture.tick(6003.0, 9.5);
    assert_eq!(fixture.poll(), ["revised", "final", "candle"]);
}

#[test]
fn a_new_past_and_a_new_listing_are_sent_as_a_snapshot() {
    let mut fixture = Fixture::new(HistoryOptions::default());
    fixture.tick(6000.0, 1.0);
    assert_eq!(fixture.poll(), ["snapshot"]);
    assert!(fixture.engine.aggregator.delist(ID));
    assert_eq!(fixture.poll(), ["delisted"]);
    assert!(fixture.poll().is_empty());
    fixture.engine.aggregator.list(ID, Some("new")).unwrap();
    assert_eq!(fixture.poll(), ["snapshot"]);
    fixture.engine.aggregator.list(ID, Some("newer")).unwrap();
    assert_eq!(fixture.poll(), ["snapshot"]);
    fixture.tick(6001.0, 1.0);
    assert_eq!(fixture.poll(), ["candle"]);
    run(&fixture.engine, &Step::Restart(600.0));
    assert_eq!(fixture.poll(), ["snapshot"]);
}

#[test]
fn a_stream_counts_one_view() {
    let mut fixture = Fixture::new(HistoryOptions::default());
    for second in [6000.0, 6030.0, 6090.0] {
        fixture.tick(second, 1.0);
        fixture.poll();
    }
    assert_eq!(fixture.engine.aggregator.history(ID).unwrap().views, 1);
    assert_eq!(fixture.client.history.unwrap()["views"], 1);
}

#[test]
fn a_client_that_reconnects_gets_the_finals_of_the_minutes_since() {
    let mut fixture = Fixture::new(HistoryOptions::default());
    for second in [6000.0, 6061.0, 6121.0, 6181.0] {
        fixture.tick(second, 1.0);
    }
    let mut out = Vec::new();
    fixture.diff.write_changes_since(&mut out, &fixture.engine, fixture.engine.clock.now(), at(6100.0));
    fixture.client.apply(&out);
    assert_eq!(fixture.client.names, ["snapshot", "final", "final"]);
    assert_eq!(
        fixture.client.shown(at(6181.0)),
        read(&fixture.engine, Gaps::Filled),
        "a repeated final changes nothing"
    );
}

#[test]
fn the_chart_library_gets_items_in_seconds_and_white_space() {
    let mut fixture = Fixture::new(HistoryOptions { gaps: Gaps::Omitted, format: Format::Lightweight });
    fixture.tick(6000.0, 1.5);
    fixture.tick(6130.0, 2.0);
    let mut out = Vec::new();
    let now = fixture.engine.clock.now();
    fixture.diff.write_changes(&mut out, &fixture.engine, now);
    let text = String::from_utf8(out).unwrap();
    let items = concat!(
        r#"[{"time":6000,"open":1.5,"high":1.5,"low":1.5,"close":1.5,"volume":0},{"time":6060},"#,
        r#"{"time":6120,"open":2,"high":2,"low":2,"close":2,"volume":0}]"#
    );
    assert_eq!(text, format!("event: snapshot\nid: 6130000000\ndata: {items}\n\n"));
    fixture.tick(6131.0, 3.0);
    let mut out = Vec::new();
    fixture.diff.write_changes(&mut out, &fixture.engine, fixture.engine.clock.now());
    let item = r#"{"time":6120,"open":2,"high":3,"low":2,"close":3,"volume":0}"#;
    assert_eq!(String::from_utf8(out).unwrap(), format!("event: candle\nid: 6131000000\ndata: {item}\n\n"));
}
