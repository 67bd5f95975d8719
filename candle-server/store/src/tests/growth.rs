//! Checks the size of a file under a continuous load.

use std::sync::Arc;
use std::time::Duration;

use candle_core::{Config, RecordContext, Tick, Timestamp, Unlisted};
use candle_engine::Engine;
use candle_engine::clock::{Clock, ClockMode};
use candle_engine::journal::Journal;

use super::disk::Disk;
use crate::file::{self, File, Location};
use crate::writer::Writer;

/// The number of instruments; each gets two quotes per second.
const INSTRUMENTS: usize = 10_000;

/// The number of simulated minutes. The window is full after 30 minutes. The next 30 minutes show if the file still
/// grows.
const MINUTES: usize = 60;

/// The number of commits per second, as with the default interval.
const COMMITS: u32 = 10;

#[test]
#[ignore = "72 million quotes: half a minute in a release build, many in a debug one"]
fn at_twenty_thousand_quotes_per_second_a_file_stops_growing_once_the_window_is_full() {
    let instruments = std::env::var("CANDLE_GROWTH_INSTRUMENTS").map_or(INSTRUMENTS, |text| text.parse().unwrap());
    let ids: Vec<String> = (0..instruments).map(|number| format!("INSTR{number:07}")).collect();
    let config = Config::default();
    let disk = Disk::new();
    file::initialise(Box::new(disk.clone()), config).unwrap();
    let file = File::open(Box::new(disk.clone())).unwrap();
    let state = file.recover(config).unwrap();
    file.enable_writes().unwrap();
    let journal = Arc::new(Journal::new(state.next_lsn, None));
    let engine = Engine::new(state.aggregator, Clock::new(ClockMode::Feed)).with_journal(Arc::clone(&journal));
    let engine = Arc::new(engine);
    let covered = (state.covered, state.last_batch);
    let location = Location::of("the file is never reopened".as_ref());
    let mut writer = Writer::new(Arc::clone(&engine), Arc::clone(&journal), location, file, covered, Duration::ZERO);

    let per_commit = instruments * 2 / COMMITS as usize;
    let mut number = 0_usize;
    let mut sizes = Vec::new();
    for commit in 0..u32::try_from(MINUTES).unwrap() * 60 * COMMITS {
        let elapsed = Duration::from_secs(1) * commit / COMMITS;
        let micros = i64::try_from(elapsed.as_micros()).unwrap();
        let now = Timestamp::from_seconds(1_700_000_000).unwrap().saturating_add(micros);
        let quotes = (number..number + per_commit).map(|number| {
            let mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            let tick = Tick::new(now, 100.0 + (mixed % 1000) as f64 / 100.0).with_seq(number as u64);
            (ids[mixed as usize % instruments].as_str(), tick)
        });
        let quotes: Vec<_> = quotes.collect();
        let outcomes =
            engine.record_batch(&quotes, RecordContext { unlisted: Unlisted::List, ..RecordContext::from(now) });
        assert_eq!(outcomes.accepted(), per_commit as u64);
        number += per_commit;
        writer.write(elapsed);
        if (commit + 1).is_multiple_of(5 * 60 * COMMITS) {
            sizes.push(disk.len());
        }
    }
    let megabytes: Vec<usize> = sizes.iter().map(|bytes| bytes >> 20).collect();
    let written = journal.persisted_bytes() as f64 / number as f64;
    println!("{instruments} instruments, MiB after every five minutes: {megabytes:?}; {written:.0} bytes per quote");
    // The window is full after half of the time.
    let (full, last) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
    assert!(last <= full, "the file still grows: {megabytes:?}");
}
