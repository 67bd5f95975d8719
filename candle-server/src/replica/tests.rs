use std::collections::BTreeMap;

use candle_core::{Aggregator, Tick};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::clock::{Clock, ClockMode};

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

/// A client that knows nothing but what the events say, and the rule that a window is 30 minutes.
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
                Ok(place) => candles[place] = candle,
                Err(place) => candles.insert(place, candle),
            }
        }
        for (name, value) in data.as_object().unwrap() {
            mine[name] = value.clone();
        }
    }

    /// What the client shows at `now`; views and `asOf` are as of the last event, so they are left out.
    fn shown(&self, now: Timestamp) -> Option<Value> {
        let mut history = self.history.clone()?;
        let first = 60 * (now.minute().number() - 29);
        history["candles"].as_array_mut().unwrap().retain(|candle| candle["openTimestamp"].as_i64().unwrap() >= first);
        Some(without_moment(history))
    }
}

fn without_moment(mut history: Value) -> Value {
    history.as_object_mut().unwrap().retain(|name, _| name != "views" && name != "asOf");
    history
}

/// What a plain read says.
fn read(engine: &Engine, gaps: Gaps) -> Option<Value> {
    let now = engine.clock.now();
    let Update::Changed(history, version) = engine.aggregator.history_if_changed(ID, now, None)? else { return None };
    let latest = Latest::from(&*history);
    let coverage = engine.feeds.coverage(now);
    let status = engine.status(&latest, history.ring.usual_gap(now));
    let form = Form { gaps, format: Format::Full };
    let document =
        Rendering::new(ID, &history, version, form, now, coverage).document(&latest, Moment { now, status, coverage });
    Some(without_moment(serde_json::from_slice(&document.into_body()).unwrap()))
}

#[derive(Clone, Debug)]
enum Step {
    List(Option<&'static str>),
    Delist,
    /// A tick this many seconds from now; a later one moves the clock.
    Tick(f64, f64),
    /// The clock goes on, without a tick.
    Pass(f64),
    /// The feed comes up with a quote.
    Up,
    /// The feed is lost.
    Lost,
    /// The feed starts over this many seconds earlier.
    Restart(f64),
    CatchUp,
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
        10 => Just(Step::CatchUp),
    ]
}

fn take(engine: &Engine, step: &Step) {
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
            engine.aggregator.clear_candles(0);
            engine.clock.restart_at(now.saturating_add(-micros(seconds)));
        }
        Step::CatchUp => {}
    }
}

proptest! {
    #[test]
    fn whoever_applies_the_events_knows_what_a_read_says(
        steps in prop::collection::vec(step(), 1..60),
        gaps in prop_oneof![Just(Gaps::Filled), Just(Gaps::Omitted)],
    ) {
        let engine = engine();
        let mut client = Client::default();
        let mut replica = Replica::new(ID, Form { gaps, format: Format::Full });
        for step in steps.iter().chain([&Step::CatchUp]) {
            take(&engine, step);
            if matches!(step, Step::CatchUp) {
                let (now, mut out) = (engine.clock.now(), Vec::new());
                replica.catch_up(&mut out, &engine, now);
                client.apply(&out);
                prop_assert_eq!(client.shown(now), read(&engine, gaps));
                out.clear();
                replica.catch_up(&mut out, &engine, now);
                prop_assert!(out.is_empty(), "nothing changed since");
            }
        }
    }
}

/// A listed instrument and a client that looks when told.
struct Desk {
    engine: Engine,
    replica: Replica,
    client: Client,
}

impl Desk {
    fn new(form: Form) -> Self {
        let engine = engine();
        engine.aggregator.list(ID, None).unwrap();
        Self { engine, replica: Replica::new(ID, form), client: Client::default() }
    }

    fn tick(&self, second: f64, price: f64) {
        self.engine.clock.advance_to(at(second));
        assert!(
            self.engine.aggregator.record(ID, &Tick::new(at(second), price), self.engine.clock.now()).is_accepted()
        );
    }

    fn look(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        self.replica.catch_up(&mut out, &self.engine, self.engine.clock.now());
        self.client.apply(&out);
        std::mem::take(&mut self.client.names)
    }
}

#[test]
fn ends_of_minutes_and_amendments_are_told_however_seldom_a_client_looks() {
    let mut desk = Desk::new(Form::default());
    assert_eq!(desk.look(), ["snapshot"]);
    desk.tick(6000.0, 1.0);
    desk.tick(6001.0, 2.0);
    assert_eq!(desk.look(), ["candle"], "two ticks, one event: the latest wins");
    desk.tick(6061.0, 3.0);
    desk.tick(6185.0, 4.0);
    assert_eq!(desk.look(), ["final", "final", "final", "candle"], "the filled minute has an end too");
    desk.tick(6002.0, 9.0);
    desk.tick(6186.0, 5.0);
    assert_eq!(desk.look(), ["revised", "candle"]);
    desk.tick(5990.0, 8.0);
    assert_eq!(desk.look(), ["revised"], "a minute before the first one the client knew");
    desk.tick(6245.0, 5.0);
    desk.tick(6003.0, 9.5);
    assert_eq!(desk.look(), ["revised", "final", "candle"]);
}

#[test]
fn a_new_past_and_a_new_listing_are_told_by_a_snapshot() {
    let mut desk = Desk::new(Form::default());
    desk.tick(6000.0, 1.0);
    assert_eq!(desk.look(), ["snapshot"]);
    assert!(desk.engine.aggregator.delist(ID));
    assert_eq!(desk.look(), ["delisted"]);
    assert!(desk.look().is_empty());
    desk.engine.aggregator.list(ID, Some("new")).unwrap();
    assert_eq!(desk.look(), ["snapshot"]);
    desk.engine.aggregator.list(ID, Some("newer")).unwrap();
    assert_eq!(desk.look(), ["snapshot"]);
    desk.tick(6001.0, 1.0);
    assert_eq!(desk.look(), ["candle"]);
    take(&desk.engine, &Step::Restart(600.0));
    assert_eq!(desk.look(), ["snapshot"]);
}

#[test]
fn a_stream_counts_one_view() {
    let mut desk = Desk::new(Form::default());
    for second in [6000.0, 6030.0, 6090.0] {
        desk.tick(second, 1.0);
        desk.look();
    }
    assert_eq!(desk.engine.aggregator.history(ID).unwrap().views, 1);
    assert_eq!(desk.client.history.unwrap()["views"], 1);
}

#[test]
fn who_comes_back_is_told_the_ends_of_the_minutes_since() {
    let mut desk = Desk::new(Form::default());
    for second in [6000.0, 6061.0, 6121.0, 6181.0] {
        desk.tick(second, 1.0);
    }
    let mut out = Vec::new();
    desk.replica.catch_up_since(&mut out, &desk.engine, desk.engine.clock.now(), at(6100.0));
    desk.client.apply(&out);
    assert_eq!(desk.client.names, ["snapshot", "final", "final"]);
    assert_eq!(desk.client.shown(at(6181.0)), read(&desk.engine, Gaps::Filled), "told twice is told the same");
}

#[test]
fn the_chart_library_gets_items_in_seconds_and_white_space() {
    let mut desk = Desk::new(Form { gaps: Gaps::Omitted, format: Format::Lightweight });
    desk.tick(6000.0, 1.5);
    desk.tick(6130.0, 2.0);
    let mut out = Vec::new();
    let now = desk.engine.clock.now();
    desk.replica.catch_up(&mut out, &desk.engine, now);
    let text = String::from_utf8(out).unwrap();
    let items = concat!(
        r#"[{"time":6000,"open":1.5,"high":1.5,"low":1.5,"close":1.5,"volume":0},{"time":6060},"#,
        r#"{"time":6120,"open":2,"high":2,"low":2,"close":2,"volume":0}]"#
    );
    assert_eq!(text, format!("event: snapshot\nid: 6130000000\ndata: {items}\n\n"));
    desk.tick(6131.0, 3.0);
    let mut out = Vec::new();
    desk.replica.catch_up(&mut out, &desk.engine, desk.engine.clock.now());
    let item = r#"{"time":6120,"open":2,"high":3,"low":2,"close":3,"volume":0}"#;
    assert_eq!(String::from_utf8(out).unwrap(), format!("event: candle\nid: 6131000000\ndata: {item}\n\n"));
}
