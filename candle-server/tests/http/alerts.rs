//! Checks that the server exports every metric, label and value in `ops/alerts.yml`.
//!
//! An alert on an unknown name would never fire.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;

use crate::client::eventually;
use crate::operators::{RealServer, get};

const ALERTS: &str = include_str!("../../../ops/alerts.yml");
/// The label that Prometheus adds to every series.
const ADDED: &str = "instance";

/// The values of each label of each metric.
type Labels<'t> = BTreeMap<&'t str, BTreeMap<&'t str, BTreeSet<&'t str>>>;

/// Parses the text of `/metrics`. A gauge without values has no labels.
fn exported(text: &str) -> Labels<'_> {
    let mut exported = Labels::new();
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            if kind == "gauge" {
                exported.entry(name).or_default();
            }
            continue;
        }
        let Some((name, rest)) = line.split_once(['{', ' ']) else { continue };
        let labels = exported.entry(name).or_default();
        let Some((inside, _)) = rest.split_once('}') else { continue };
        // No label value contains a comma or a brace.
        for label in inside.split(',') {
            let (label, value) = label.split_once('=').unwrap();
            labels.entry(label).or_default().insert(value.trim_matches('"'));
        }
    }
    exported
}

/// Returns the expressions of the alert rules.
fn expressions() -> impl Iterator<Item = &'static str> {
    ALERTS.lines().filter_map(|line| line.trim().strip_prefix("expr: "))
}

/// Returns the metrics of an expression, each with the text between the braces after its name.
fn selectors(expression: &str) -> impl Iterator<Item = (&str, &str)> {
    expression.match_indices("candle_").map(|(at, _)| {
        let selector = &expression[at..];
        let end = selector.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(selector.len());
        let matchers = selector[end..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        (&selector[..end], matchers.map_or("", |(inside, _)| inside))
    })
}

/// Returns the labels in the `by` and `on` clauses of an expression.
fn groupings(expression: &str) -> impl Iterator<Item = &str> {
    let starts = ["by (", "on ("].into_iter().flat_map(|word| expression.match_indices(word));
    starts.flat_map(|(at, word)| {
        let inside = expression[at + word.len()..].split_once(')').unwrap().0;
        inside.split(',').map(str::trim).filter(|label| !label.is_empty())
    })
}

/// Returns the names in an expression that the server does not export.
fn missing(expression: &str, exported: &Labels<'_>) -> Vec<String> {
    let mut missing = Vec::new();
    let mut labels = BTreeSet::from([ADDED]);
    for (metric, matchers) in selectors(expression) {
        let Some(known) = exported.get(metric) else {
            missing.push(metric.to_owned());
            continue;
        };
        labels.extend(known.keys());
        for matcher in matchers.split(',').filter(|matcher| !matcher.is_empty()) {
            let (label, values) = matcher.split_once('"').unwrap();
            let label = label.trim_end_matches(['=', '~', '!']);
            for value in values.trim_end_matches('"').split('|') {
                if !known.get(label).is_some_and(|known| known.contains(value)) {
                    missing.push(format!("{metric}{{{label}=\"{value}\"}}"));
                }
            }
        }
    }
    missing.extend(groupings(expression).filter(|label| !labels.contains(label)).map(str::to_owned));
    missing
}

#[test]
fn every_metric_label_and_value_of_the_alerts_is_exported() {
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = RealServer::reading(&format!("ws://{refusing}"));
    let metrics = || get(server.public, "/metrics").text().to_owned();
    // The label `reason` exists after the first failed connection.
    eventually("refused", || metrics().contains("candle_feed_reconnects_total{"));
    let text = metrics();
    let exported = exported(&text);
    assert!(expressions().count() >= 9, "the rules are not found");
    for expression in expressions() {
        assert_eq!(missing(expression, &exported), Vec::<String>::new(), "{expression}");
    }
    server.stop();
}

#[test]
fn a_name_that_is_not_exported_is_found() {
    let exported =
        exported("# TYPE candle_state gauge\ncandle_state{feed=\"a\",state=\"live\"} 1\ncandle_losses_total 3\n");
    for (expression, expected) in [
        ("sum by (instance, feed) (candle_state{state=~\"live\"}) == 0", &[][..]),
        ("candle_status > 0 and on (instance) candle_losses_total > 1", &["candle_status"]),
        ("candle_losses > 0", &["candle_losses"]),
        ("candle_state{state=~\"live|well\"}", &["candle_state{state=\"well\"}"]),
        ("candle_state{kind!~\"live\"}", &["candle_state{kind=\"live\"}"]),
        ("sum by (instance, place) (candle_state)", &["place"]),
    ] {
        assert_eq!(missing(expression, &exported), expected, "{expression}");
    }
}
