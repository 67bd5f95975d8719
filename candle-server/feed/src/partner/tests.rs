use std::sync::Arc;

use candle_core::{Aggregator, Config, Outcome};
use candle_engine::Engine;
use candle_engine::clock::{Clock, ClockMode};

use super::*;

const fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn intake() -> Intake {
    Intake::new(Arc::new(Engine::new(
        Aggregator::new(Config::default().with_reserved_id("popular")),
        Clock::new(ClockMode::Wall),
    )))
}

fn connect(intake: &mut Intake) -> Partner<'_> {
    let mut partner = Partner::new(intake);
    partner.connected(Connect::First, at(0));
    partner
}

fn send(partner: &mut Partner<'_>, frames: &[String], millis: u64) {
    partner.frames(frames.iter().map(|frame| Ok(frame.as_bytes())), at(millis));
    partner.expire(at(millis));
}

fn add(id: &str) -> String {
    format!(r#"{{"type":"ADD","data":{{"isin":"{id}","description":"about {id}"}}}}"#)
}

fn delete(id: &str) -> String {
    format!(r#"{{"type":"DELETE","data":{{"isin":"{id}"}}}}"#)
}

fn quote(id: &str, price: f64) -> String {
    format!(r#"{{"type":"QUOTE","data":{{"isin":"{id}","price":{price}}}}}"#)
}

fn accepted(partner: &Partner<'_>) -> u64 {
    partner.intake.engine().aggregator.outcomes().accepted()
}

fn unknown(partner: &Partner<'_>) -> u64 {
    partner.intake.engine().aggregator.outcomes().of(Outcome::UnknownInstrument)
}

fn listed(partner: &Partner<'_>) -> Vec<String> {
    partner.intake.engine().aggregator.page(None, "", 1000).iter().map(|summary| summary.id.to_string()).collect()
}

#[test]
fn an_early_quote_waits_for_its_add() {
    let mut intake = intake();
    let mut partner = connect(&mut intake);
    send(&mut partner, &[quote("A", 1.0), quote("A", 2.0)], 0);
    assert_eq!(partner.intake.engine().aggregator.outcomes().received(), 0);
    assert_eq!(partner.deadline(), Some(at(2000)));
    send(&mut partner, &[add("A"), quote("A", 3.0)], 1999);
    assert_eq!((accepted(&partner), unknown(&partner)), (3, 0));
    assert_eq!(partner.intake.engine().aggregator.history("A").unwrap().last_price(), Some(3.0));
    send(&mut partner, &[], 9999);
    assert_eq!((accepted(&partner), unknown(&partner)), (3, 0), "each quote counts once");
}

#[test]
fn an_early_quote_is_rejected_after_two_seconds() {
    let mut intake = intake();
    let mut partner = connect(&mut intake);
    send(&mut partner, &[quote("A", 1.0)], 0);
    send(&mut partner, &[quote("A", 2.0)], 500);
    send(&mut partner, &[], 2000);
    assert_eq!((accepted(&partner), unknown(&partner)), (0, 1));
    assert_eq!(partner.deadline(), Some(at(2500)));
    send(&mut partner, &[add("A")], 2400);
    assert_eq!((accepted(&partner), unknown(&partner)), (1, 1));
}

#[test]
fn an_early_quote_is_rejected_when_the_connection_ends() {
    let mut intake = intake();
    let mut partner = connect(&mut intake);
    send(&mut partner, &[quote("A", 1.0)], 0);
    partner.disconnected();
    assert_eq!(intake.engine().aggregator.outcomes().of(Outcome::UnknownInstrument), 1);
}

#[test]
fn a_late_quote_does_not_wait_and_never_lists_the_instrument_again() {
    let mut intake = intake();
    let mut partner = connect(&mut intake);
    send(&mut partner, &[add("A"), quote("A", 1.0), delete("A"), quote("A", 2.0)], 0);
    assert_eq!((accepted(&partner), unknown(&partner)), (1, 1));
    send(&mut partner, &[quote("A", 3.0)], 2000);
    assert_eq!((unknown(&partner), partner.deadline()), (2, None));
    send(&mut partner, &[add("A")], 2001);
    let again = partner.intake.engine().aggregator.history("A").unwrap();
    assert_eq!((again.views, again.last_price()), (0, None), "another instrument");
    send(&mut partner, &[quote("A", 4.0)], 2002);
    assert_eq!(accepted(&partner), 2);
}

#[test]
fn a_second_add_changes_only_the_description() {
    let mut intake = intake();
    let mut partner = connect(&mut intake);
    send(&mut partner, &[add("A"), quote("A", 1.0)], 0);
    assert_eq!(partner.intake.engine().aggregator.count_view("A"), Some(1));
    send(&mut partner, &[r#"{"type":"ADD","data":{"isin":"A","description":"new"}}"#.to_owned()], 1);
    let history = partner.intake.engine().aggregator.history("A").unwrap();
    assert_eq!((history.description.as_deref(), history.views, history.last_price()), (Some("new"), 1, Some(1.0)));
}

#[test]
fn an_invalid_id_does_not_wait_and_is_not_remembered() {
    let mut intake = intake();
    let mut partner = connect(&mut intake);
    let long = "x".repeat(5000);
    send(&mut partner, &[quote(&long, 1.0), add(&long), delete(&long), quote("popular", 1.0), add("popular")], 0);
    assert_eq!((unknown(&partner), partner.deadline()), (2, None));
    assert!(listed(&partner).is_empty());
    assert!(!partner.is_deleted(&long, at(0)));
}

#[test]
fn after_a_reconnect_an_instrument_that_is_not_announced_again_is_delisted_after_a_second_without_an_add() {
    let mut intake = intake();
    let mut partner = connect(&mut intake);
    send(&mut partner, &[add("A"), add("B"), add("C"), quote("A", 1.0)], 0);
    partner.connected(Connect::Again, at(10_000));
    send(&mut partner, &[add("A")], 10_500);
    send(&mut partner, &[add("D"), quote("B", 1.0)], 11_400);
    assert_eq!(partner.deadline(), Some(at(12_400)));
    send(&mut partner, &[], 12_399);
    assert_eq!(listed(&partner), ["A", "B", "C", "D"]);
    send(&mut partner, &[], 12_400);
    assert_eq!(listed(&partner), ["A", "D"]);
    assert_eq!(
        partner.intake.engine().aggregator.history("A").unwrap().last_price(),
        Some(1.0),
        "a listed instrument keeps its candles"
    );
}

#[test]
fn a_replay_without_a_pause_ends_after_ten_seconds() {
    let mut intake = intake();
    let mut partner = connect(&mut intake);
    send(&mut partner, &[add("A")], 0);
    partner.connected(Connect::Again, at(20_000));
    for step in 0..20 {
        send(&mut partner, &[add(&format!("B{step}"))], 20_000 + 500 * step);
    }
    assert_eq!(listed(&partner).len(), 21);
    send(&mut partner, &[], 30_000);
    assert_eq!(listed(&partner).len(), 20);
}

#[test]
fn a_reconnect_without_an_add_delists_nothing() {
    let mut intake = intake();
    let mut partner = connect(&mut intake);
    send(&mut partner, &[add("A")], 0);
    partner.connected(Connect::Again, at(10_000));
    send(&mut partner, &[quote("A", 1.0)], 60_000);
    assert_eq!((listed(&partner), partner.deadline()), (vec!["A".to_owned()], None));
}

#[test]
fn a_first_connect_delists_nothing() {
    let mut intake = intake();
    let mut partner = connect(&mut intake);
    partner.intake.engine().aggregator.list("kept", None).unwrap();
    send(&mut partner, &[add("A")], 0);
    send(&mut partner, &[], 60_000);
    assert_eq!(listed(&partner), ["A", "kept"]);
}

#[test]
fn an_interrupted_replay_delists_nothing_and_the_next_replay_does() {
    let mut intake = intake();
    let mut partner = connect(&mut intake);
    send(&mut partner, &[add("A"), add("B")], 0);
    partner.connected(Connect::Again, at(1000));
    send(&mut partner, &[add("A")], 1500);
    partner.disconnected();
    send(&mut partner, &[], 9000);
    assert_eq!(listed(&partner), ["A", "B"]);
    partner.connected(Connect::Again, at(9000));
    send(&mut partner, &[add("B")], 9000);
    send(&mut partner, &[], 10_000);
    assert_eq!(listed(&partner), ["B"]);
}

#[test]
fn an_instrument_deleted_during_a_replay_is_delisted_and_one_added_again_stays_listed() {
    let mut intake = intake();
    let mut partner = connect(&mut intake);
    send(&mut partner, &[add("A"), add("B")], 0);
    partner.connected(Connect::Again, at(1000));
    send(&mut partner, &[add("A"), add("B"), delete("A"), delete("B"), add("B")], 1000);
    assert_eq!(listed(&partner), ["B"]);
    send(&mut partner, &[], 2000);
    assert_eq!(listed(&partner), ["B"]);
}

#[test]
fn an_instrument_beyond_the_limit_is_not_listed_and_its_quotes_count_as_unknown() {
    let config = Config::default().with_max_instruments(1);
    let engine = Engine::new(Aggregator::new(config), Clock::new(ClockMode::Wall));
    let mut intake = Intake::new(Arc::new(engine));
    let mut partner = connect(&mut intake);
    send(&mut partner, &[add("A"), add("B"), quote("A", 1.0), quote("B", 1.0)], 0);
    send(&mut partner, &[], 2000);
    assert_eq!((listed(&partner), accepted(&partner), unknown(&partner)), (vec!["A".to_owned()], 1, 1));
}

#[test]
fn a_deletion_is_remembered_for_two_seconds_unless_the_instrument_is_added_again() {
    let mut intake = intake();
    let mut partner = connect(&mut intake);
    send(&mut partner, &[add("A"), add("B"), delete("A"), delete("B"), add("B")], 0);
    assert!(partner.is_deleted("A", at(2000)) && !partner.is_deleted("B", at(2000)));
    send(&mut partner, &[delete("A")], 2000);
    assert!(partner.is_deleted("A", at(4000)));
    assert!(!partner.is_deleted("A", at(5000)));
    assert_eq!(partner.deletions.deadline(), None, "no entry is left");
}
