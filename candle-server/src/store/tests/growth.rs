//! How large a file becomes under a load that goes on.

use std::sync::Arc;
use std::time::Duration;

use candle_core::{Config, RecordContext, Tick, Timestamp, Unlisted};

use super::super::file::{self, File, Place};
use super::super::keeper::Keeper;
use super::disk::Disk;
use crate::clock::{Clock, ClockMode};
use crate::engine::Engine;
use crate::journal::Journal;

/// Two quotes a second of each.
const INSTRUMENTS: usize = 10_000;

/// The window fills for half an hour; the same again shows what comes then.
const MINUTES: usize = 60;

/// Commits in a second, as by default.
const TURNS: u32 = 10;

#[test]
#[ignore = "72 million quotes: half a minute in a release build, many in a debug one"]
fn at_twenty_thousand_quotes_a_second_a_file_levels_off_once_the_window_is_full() {
    let instruments = std::env::var("CANDLE_GROWTH_INSTRUMENTS").map_or(INSTRUMENTS, |text| text.parse().unwrap());
    let ids: Vec<String> = (0..instruments).map(|number| format!("INSTR{number:07}")).collect();
    let config = Config::default();
    let disk = Disk::new();
    file::initialise(Box::new(disk.clone()), config).unwrap();
    let file = File::open(Box::new(disk.clone())).unwrap();
    let content = file.recover(config).unwrap();
    file.go_live().unwrap();
    let journal = Arc::new(Journal::new(content.next_lsn, None));
    let engine = Engine::new(content.aggregator, Clock::new(ClockMode::Feed)).with_journal(Arc::clone(&journal));
    let engine = Arc::new(engine);
    let state = (content.covered, content.last_batch);
    let place = Place::of("nothing is opened anew".as_ref());
    let mut keeper = Keeper::new(Arc::clone(&engine), Arc::clone(&journal), place, file, state, Duration::ZERO);

    let together = instruments * 2 / TURNS as usize;
    let mut number = 0_usize;
    let mut sizes = Vec::new();
    for turn in 0..u32::try_from(MINUTES).unwrap() * 60 * TURNS {
        let elapsed = Duration::from_secs(1) * turn / TURNS;
        let micros = i64::try_from(elapsed.as_micros()).unwrap();
        let now = Timestamp::from_seconds(1_700_000_000).unwrap().saturating_add(micros);
        let quotes = (number..number + together).map(|number| {
            let mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            let tick = Tick::new(now, 100.0 + (mixed % 1000) as f64 / 100.0).with_seq(number as u64);
            (ids[mixed as usize % instruments].as_str(), tick)
        });
        let quotes: Vec<_> = quotes.collect();
        let outcomes =
            engine.record_batch(&quotes, RecordContext { unlisted: Unlisted::List, ..RecordContext::from(now) });
        assert_eq!(outcomes.accepted(), together as u64);
        number += together;
        keeper.turn(elapsed);
        if (turn + 1).is_multiple_of(5 * 60 * TURNS) {
            sizes.push(disk.len());
        }
    }
    let megabytes: Vec<usize> = sizes.iter().map(|bytes| bytes >> 20).collect();
    let written = journal.persisted_bytes() as f64 / number as f64;
    println!("{instruments} instruments, MiB after every five minutes: {megabytes:?}; {written:.0} bytes a quote");
    // A round and the window's filling are over by then.
    let (full, last) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
    assert!(last <= full, "it grows on: {megabytes:?}");
}
