//! Two revisions of `candle-core` in one process: `before` and `after`. See `run`.
//!
//! Each line is the median over rounds of the ratio of two times in that round. The contenders of a round run in turn, every
//! second round in reverse.

mod data;
mod layout;
mod pairs;
mod sides;

use std::collections::HashMap;

use data::{Row, TICKS};
use pairs::{Pairs, clock};

const ROUNDS: usize = 31;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let trades = arguments.next().expect("the first argument is a file of trades");
    let sections: Vec<String> = arguments.collect();
    let is_asked = |name: &str| sections.is_empty() || sections.iter().any(|section| section == name);
    if is_asked("series") {
        let real = data::trades(&trades);
        series("real trades", &real);
        series("distinct times", &data::with_distinct_times(&real));
    }
    if is_asked("batches") {
        for (name, mean_run, micros) in [("bursts in whole milliseconds", 3, 1_000), ("distinct times", 1, 1)] {
            batches(name, 50_000, &[4, 8, 16, 64, 127, 256, 1024, 4096], mean_run, micros);
        }
    }
    if is_asked("large") {
        batches("1 M instruments, bursts in whole milliseconds", 1_000_000, &[4, 16, 64, 4096], 3, 1_000);
    }
    if is_asked("writers") {
        writers();
    }
    if is_asked("listing") {
        listing();
    }
}

/// One instrument: a ring by itself, one by one by id and by handle, and batches.
fn series(name: &str, rows: &[Row]) {
    let mut pairs = Pairs::default();
    for rows in rows.chunks_exact(data::TRADES).cycle().take(ROUNDS) {
        let (old, new) = (before::rows(rows), after::rows(rows));
        pairs.round(&mut [
            ("ring before", &mut || clock(rows.len(), || before::ring(&old))),
            ("ring after", &mut || clock(rows.len(), || after::ring(&new))),
            ("id before", &mut || before::by_id(&old)),
            ("id after", &mut || after::by_id(&new)),
            ("handle before", &mut || before::by_handle(&old)),
            ("handle after", &mut || after::by_handle(&new)),
            ("batches of 4 before", &mut || before::by_batch(&old, 4)),
            ("batches of 4 after", &mut || after::by_batch(&new, 4)),
            ("batches of 16 before", &mut || before::by_batch(&old, 16)),
            ("batches of 16 after", &mut || after::by_batch(&new, 16)),
            ("batches of 4096 before", &mut || before::by_batch(&old, 4096)),
            ("batches of 4096 after", &mut || after::by_batch(&new, 4096)),
        ]);
    }
    for way in ["ring", "id", "handle", "batches of 4", "batches of 16", "batches of 4096"] {
        pairs.print(&format!("{name}, one instrument, {way}"), &format!("{way} after"), &format!("{way} before"));
    }
    for len in [4, 16, 4096] {
        let batch = format!("batches of {len} after");
        pairs.print(&format!("{name}, one instrument, batches of {len} / one by one"), &batch, "id after");
    }
}

/// Many instruments: batches by id and by handle against one by one, against the revision before, and against a `DashMap`.
fn batches(name: &str, instruments: usize, lens: &[usize], mean_run: u64, micros: i64) {
    let mut feed = data::Feed::new(instruments, mean_run, micros);
    let (old, new) = (before::Store::new(&feed.ids), after::Store::new(&feed.ids));
    let layout = layout::Layout::new(&feed.ids);
    for len in lens {
        let mut pairs = Pairs::default();
        for _ in 0..ROUNDS {
            // Each contender of one store takes ticks later than those before.
            let mut ticks = HashMap::new();
            for way in ["single", "batch"] {
                feed.advance();
                ticks.insert(way, (before::Ticks::new(&old, &feed), after::Ticks::new(&new, &feed)));
            }
            let (single, batch) = (&ticks["single"], &ticks["batch"]);
            pairs.round(&mut [
                ("id before", &mut || clock(TICKS, || old.record(&single.0))),
                ("id", &mut || clock(TICKS, || new.record(&single.1))),
                ("handle before", &mut || clock(TICKS, || old.record_at(&single.0))),
                ("handle", &mut || clock(TICKS, || new.record_at(&single.1))),
                ("layout", &mut || clock(TICKS, || layout.record(&feed))),
            ]);
            pairs.extend_round(&mut [
                ("batch by id before", &mut || clock(TICKS, || old.record_batches(&batch.0, *len))),
                ("batch by id", &mut || clock(TICKS, || new.record_batches(&batch.1, *len))),
                ("batch by handle before", &mut || clock(TICKS, || old.record_batches_at(&batch.0, *len))),
                ("batch by handle", &mut || clock(TICKS, || new.record_batches_at(&batch.1, *len))),
            ]);
        }
        let title = |what: &str| format!("{name}, batches of {len}: {what}");
        pairs.print(&title("by id, after / before"), "batch by id", "batch by id before");
        pairs.print(&title("by handle, after / before"), "batch by handle", "batch by handle before");
        pairs.print(&title("by id, batch / one by one"), "batch by id", "id");
        pairs.print(&title("by id, batch / one by one before"), "batch by id", "id before");
        pairs.print(&title("by handle, batch / one by one"), "batch by handle", "handle");
        pairs.print(&title("by handle, batch / one by one before"), "batch by handle", "handle before");
        pairs.print(&title("`DashMap`, our layout, foldhash / batch by id"), "layout", "batch by id");
    }
}

/// Two threads that record batches of the same instruments at the same time.
fn writers() {
    let mut feeds = [1, 2].map(|_| data::Feed::new(50_000, 3, 1_000));
    feeds[1].reverse();
    let (old, new) = (before::Store::new(&feeds[0].ids), after::Store::new(&feeds[0].ids));
    for len in [1, 4, 16, 64, 127, 1024] {
        let mut pairs = Pairs::default();
        for _ in 0..ROUNDS {
            feeds.iter_mut().for_each(data::Feed::advance);
            let [a, b] = [0, 1].map(|n| (before::Ticks::new(&old, &feeds[n]), after::Ticks::new(&new, &feeds[n])));
            pairs.round(&mut [
                ("before", &mut || pairs::at_once([&a.0, &b.0], |ticks| old.record_batches(ticks, len))),
                ("after", &mut || pairs::at_once([&a.1, &b.1], |ticks| new.record_batches(ticks, len))),
            ]);
        }
        pairs.print(&format!("two writers, batches of {len} by id: after / before"), "after", "before");
    }
}

/// The first ticks of 50,000 instruments in a stream without a catalogue.
fn listing() {
    let ids = data::shuffled(50_000);
    let mut pairs = Pairs::default();
    for _ in 0..ROUNDS {
        pairs.round(&mut [
            ("before 16", &mut || before::first_ticks(&ids, 16)),
            ("after 16", &mut || after::first_ticks(&ids, 16)),
            ("before 4096", &mut || before::first_ticks(&ids, 4096)),
            ("after 4096", &mut || after::first_ticks(&ids, 4096)),
        ]);
    }
    pairs.print("first ticks, batches of 16: after / before", "after 16", "before 16");
    pairs.print("first ticks, batches of 4096: after / before", "after 4096", "before 4096");
}

use sides::{after, before};
