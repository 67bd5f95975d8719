use super::*;
use crate::clock::{Clock, ClockMode};
use candle_core::{Aggregator, Config, Outcome};

const fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn partner() -> Partner {
    let engine = Engine::new(Aggregator::default(), Clock::new(ClockMode::Wall));
    let mut partner = Partner::new(Intake::new(Arc::new(engine)));
    partner.connected(Connect::Fresh, at(0));
    partner
}

fn send(partner: &mut Partner, frames: &[String], millis: u64) {
    partner.frames(frames.iter().map(|frame| Ok(frame.as_bytes())), at(millis));
    partner.pass(at(millis));
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

fn accepted(partner: &Partner) -> u64 {
    partner.engine().aggregator.outcomes().accepted()
}

fn unknown(partner: &Partner) -> u64 {
    partner.engine().aggregator.outcomes().of(Outcome::UnknownInstrument)
}

fn listed(partner: &Partner) -> Vec<String> {
    partner.engine().aggregator.page(None, "", 1000).iter().map(|summary| summary.id.to_string()).collect()
}

#[test]
fn an_early_quote_waits_for_its_add() {
    let mut partner = partner();
    send(&mut partner, &[quote("A", 1.0), quote("A", 2.0)], 0);
    assert_eq!(partner.engine().aggregator.outcomes().received(), 0);
    assert_eq!(partner.deadline(), Some(at(2000)));
    send(&mut partner, &[add("A"), quote("A", 3.0)], 1999);
    assert_eq!((accepted(&partner), unknown(&partner)), (3, 0));
    assert_eq!(partner.engine().aggregator.history("A").unwrap().last_price(), Some(3.0));
    send(&mut partner, &[], 9999);
    assert_eq!((accepted(&partner), unknown(&partner)), (3, 0), "each counts once");
}

#[test]
fn an_early_quote_is_given_up_after_two_seconds() {
    let mut partner = partner();
    send(&mut partner, &[quote("A", 1.0)], 0);
    send(&mut partner, &[quote("A", 2.0)], 500);
    send(&mut partner, &[], 2000);
    assert_eq!((accepted(&partner), unknown(&partner)), (0, 1));
    assert_eq!(partner.deadline(), Some(at(2500)));
    send(&mut partner, &[add("A")], 2400);
    assert_eq!((accepted(&partner), unknown(&partner)), (1, 1));
}

#[test]
fn an_early_quote_is_given_up_with_its_connection() {
    let mut partner = partner();
    send(&mut partner, &[quote("A", 1.0)], 0);
    let intake = partner.into_intake();
    assert_eq!(intake.engine().aggregator.outcomes().of(Outcome::UnknownInstrument), 1);
}

#[test]
fn a_late_quote_does_not_wait_and_never_revives() {
    let mut partner = partner();
    send(&mut partner, &[add("A"), quote("A", 1.0), delete("A"), quote("A", 2.0)], 0);
    assert_eq!((accepted(&partner), unknown(&partner)), (1, 1));
    send(&mut partner, &[quote("A", 3.0)], 2000);
    assert_eq!((unknown(&partner), partner.deadline()), (2, None));
    send(&mut partner, &[add("A")], 2001);
    let again = partner.engine().aggregator.history("A").unwrap();
    assert_eq!((again.views, again.last_price()), (0, None), "another instrument");
    send(&mut partner, &[quote("A", 4.0)], 2002);
    assert_eq!(accepted(&partner), 2);
}

#[test]
fn a_second_add_changes_the_description_alone() {
    let mut partner = partner();
    send(&mut partner, &[add("A"), quote("A", 1.0)], 0);
    assert_eq!(partner.engine().aggregator.count_view("A"), Some(1));
    send(&mut partner, &[r#"{"type":"ADD","data":{"isin":"A","description":"new"}}"#.to_owned()], 1);
    let history = partner.engine().aggregator.history("A").unwrap();
    assert_eq!((history.description.as_deref(), history.views, history.last_price()), (Some("new"), 1, Some(1.0)));
}

#[test]
fn an_id_that_can_not_be_listed_waits_for_nothing_and_is_not_remembered() {
    let mut partner = partner();
    let long = "x".repeat(5000);
    send(&mut partner, &[quote(&long, 1.0), add(&long), delete(&long), quote("popular", 1.0), add("popular")], 0);
    assert_eq!((unknown(&partner), partner.deadline()), (2, None));
    assert!(listed(&partner).is_empty());
    assert!(!partner.deletions.contains(&long, at(0)));
}

#[test]
fn after_a_reconnect_what_is_not_announced_again_within_a_second_of_silence_is_gone() {
    let mut partner = partner();
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
        partner.engine().aggregator.history("A").unwrap().last_price(),
        Some(1.0),
        "what stays keeps its candles"
    );
}

#[test]
fn a_catalogue_that_never_falls_silent_counts_as_replayed_after_ten_seconds() {
    let mut partner = partner();
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
fn nothing_is_concluded_from_a_reconnect_without_an_add() {
    let mut partner = partner();
    send(&mut partner, &[add("A")], 0);
    partner.connected(Connect::Again, at(10_000));
    send(&mut partner, &[quote("A", 1.0)], 60_000);
    assert_eq!((listed(&partner), partner.deadline()), (vec!["A".to_owned()], None));
}

#[test]
fn nothing_is_missed_after_a_first_connect() {
    let mut partner = partner();
    partner.engine().aggregator.list("kept", None).unwrap();
    send(&mut partner, &[add("A")], 0);
    send(&mut partner, &[], 60_000);
    assert_eq!(listed(&partner), ["A", "kept"]);
}

#[test]
fn a_replay_that_broke_off_concludes_nothing_and_the_next_one_does() {
    let mut partner = partner();
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
fn what_is_deleted_during_a_replay_is_gone_and_what_is_added_again_stays() {
    let mut partner = partner();
    send(&mut partner, &[add("A"), add("B")], 0);
    partner.connected(Connect::Again, at(1000));
    send(&mut partner, &[add("A"), add("B"), delete("A"), delete("B"), add("B")], 1000);
    assert_eq!(listed(&partner), ["B"]);
    send(&mut partner, &[], 2000);
    assert_eq!(listed(&partner), ["B"]);
}

#[test]
fn an_instrument_beyond_the_limit_is_refused_and_its_quotes_count_as_unknown() {
    let config = Config::default().with_max_instruments(1);
    let engine = Engine::new(Aggregator::new(config), Clock::new(ClockMode::Wall));
    let mut partner = Partner::new(Intake::new(Arc::new(engine)));
    partner.connected(Connect::Fresh, at(0));
    send(&mut partner, &[add("A"), add("B"), quote("A", 1.0), quote("B", 1.0)], 0);
    send(&mut partner, &[], 2000);
    assert_eq!((listed(&partner), accepted(&partner), unknown(&partner)), (vec!["A".to_owned()], 1, 1));
}
