//! Tests with damaged files, files that are not stores, and disks that fail.

use std::panic::catch_unwind;
use std::path::Path;
use std::time::Duration;

use candle_engine::journal::{Durability, MAX_PENDING_BYTES};

use super::disk::{Disk, Loss};
use super::process::{Process, config};
use crate::error::{StoreError, StoreErrorKind};
use crate::file::{File, file_backend};
use crate::store::{Options, open};

/// Returns the bytes of a store after a kill, before and after its last commit. The store has all kinds of content.
fn killed_store() -> [Vec<u8>; 2] {
    let mut random = fastrand::Rng::with_seed(1);
    let mut process = Process::start(Disk::new(), 1);
    for _ in 0..100 {
        process.write_at_random(&mut random);
        process.advance(Duration::from_millis(900));
        process.commit();
    }
    let before = process.disk.bytes();
    process.ticks(1);
    process.commit();
    [before, process.disk.bytes()]
}

/// Reads a store from bytes, and returns its content as text.
fn read(bytes: &[u8]) -> Result<String, StoreErrorKind> {
    let disk = Disk::with_bytes(bytes.to_vec());
    let state = File::open(Box::new(disk.clone())).and_then(|file| file.recover(config(0)));
    assert!(disk.bytes() == bytes, "the file was changed");
    let state = state?;
    let snapshots: Vec<_> = state.aggregator.snapshot().collect();
    Ok(format!("{snapshots:?} {:?} {:?}", state.now, state.feed))
}

#[test]
fn a_corrupted_file_is_refused_or_read_correctly_and_never_changed() {
    let [before, sound] = killed_store();
    // A corrupted header looks like a header that a kill left incomplete. redb then uses the previous commit.
    let expected = [&before, &sound].map(|bytes| read(bytes).unwrap());
    let mut random = fastrand::Rng::with_seed(2);
    let (mut refused, mut same) = (0, 0);
    let mut attempt = |bytes: Vec<u8>, what: String| match catch_unwind(|| read(&bytes)).ok() {
        Some(Ok(content)) => {
            assert!(expected.contains(&content), "{what}: other content is read");
            same += 1;
        }
        Some(Err(kind)) => {
            assert!(!matches!(kind, StoreErrorKind::Locked), "{what}: {kind}");
            assert_eq!(StoreError::new(Path::new("x"), kind).to_string().lines().count(), 1, "{what}");
            refused += 1;
        }
        None => panic!("{what}: reading panics"),
    };
    for _ in 0..1200 {
        let mut bytes = sound.clone();
        // Half of the bits are in the header.
        let end = if random.bool() { 512 } else { bytes.len() };
        let (index, bit) = (random.usize(..end), random.u8(..8));
        bytes[index] ^= 1 << bit;
        attempt(bytes, format!("bit {bit} of byte {index}"));
    }
    for _ in 0..150 {
        let mut bytes = sound.clone();
        let page = random.usize(..bytes.len() / 4096) * 4096;
        let fill = random.u8(..);
        bytes[page..page + 4096].fill(fill);
        attempt(bytes, format!("page at {page} filled with {fill}"));
    }
    for _ in 0..150 {
        let len = random.usize(10..sound.len());
        attempt(sound[..len].to_vec(), format!("cut to {len}"));
    }
    assert!(refused > 300 && same > 10, "{refused} refused, {same} read");
}

#[test]
fn writes_during_a_disk_failure_are_durable_after_it() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut process = Process::start(Disk::new(), 3);
    for round in 0..6 {
        for _ in 0..20 {
            process.write_at_random(&mut random);
            process.advance(Duration::from_millis(900));
            process.commit();
        }
        assert_eq!(process.journal.durability(process.elapsed), Durability::Persisted);
        if round % 2 == 0 {
            process.disk.break_down();
        } else {
            process.disk.limit(process.disk.len());
            process.ticks(100_000);
        }
        for _ in 0..20 {
            process.write_at_random(&mut random);
            process.advance(Duration::from_millis(900));
            process.commit();
        }
        if round % 2 == 0 {
            assert_eq!(process.journal.durability(process.elapsed), Durability::Failed);
        }
        process.disk.repair();
        process.disk.limit(usize::MAX);
        // This is longer than the pause before the next attempt.
        process.advance(Duration::from_secs(2));
        process.commit();
        assert_eq!(process.journal.durability(process.elapsed), Durability::Persisted, "round {round}");
        process = process.crash(Loss::Power);
        process.assert_durable_writes_are_present(&format!("round {round}"));
    }
}

#[test]
fn a_kill_during_a_disk_failure_loses_no_earlier_write() {
    let mut random = fastrand::Rng::with_seed(4);
    let mut process = Process::start(Disk::new(), 4);
    for _ in 0..50 {
        process.write_at_random(&mut random);
        process.advance(Duration::from_millis(900));
        process.commit();
    }
    process.disk.break_down();
    for _ in 0..5 {
        process.write_at_random(&mut random);
        process.advance(Duration::from_millis(900));
        process.commit();
    }
    process.disk.repair();
    process = process.crash(Loss::Power);
    process.assert_durable_writes_are_present("after the kill");
}

#[test]
fn a_writer_that_falls_behind_reports_it_and_catches_up() {
    let mut process = Process::start(Disk::new(), 5);
    process.commit();
    let ticks = MAX_PENDING_BYTES / 48;
    for _ in 0..10 {
        process.ticks(ticks / 8);
    }
    process.advance(Duration::from_secs(3));
    assert_eq!(process.journal.durability(process.elapsed), Durability::Behind);
    process.commit();
    assert_eq!(process.journal.durability(process.elapsed), Durability::Persisted);
    process.ticks(1);
    process.commit();
    process = process.crash(Loss::Power);
    process.assert_durable_writes_are_present("after more writes than the journal buffers");
}

/// A temporary directory that is removed when this value is dropped.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("candle-store-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn options(&self) -> Options {
        Options { path: self.0.join("store"), interval: Duration::from_millis(100) }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_store_in_use_can_not_be_opened_again() {
    let directory = Directory::new("one-user");
    let options = directory.options();
    let first = open(options.clone(), config(0)).unwrap();
    let refused = open(options.clone(), config(0)).unwrap_err();
    assert!(matches!(refused.kind(), StoreErrorKind::Locked), "{refused}");
    drop(first);
    open(options, config(0)).unwrap();
    assert_eq!(std::fs::read_dir(&directory.0).unwrap().count(), 1, "a temporary file is left");
}

#[test]
fn a_file_that_is_not_a_store_is_refused_and_not_changed() {
    let directory = Directory::new("foreign");
    let options = directory.options();
    for content in [&b""[..], b"r", b"redb", b"hello, this is my diary\n", &[0; 8192]] {
        std::fs::write(&options.path, content).unwrap();
        let refused = open(options.clone(), config(0)).unwrap_err();
        assert!(matches!(refused.kind(), StoreErrorKind::NotAStore), "{refused}");
        assert_eq!(std::fs::read(&options.path).unwrap(), content);
    }
    std::fs::remove_file(&options.path).unwrap();
    let other = redb::Database::create(&options.path).unwrap();
    let transaction = other.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<u64, u64>::new("mine")).unwrap();
    transaction.commit().unwrap();
    drop(other);
    let before = std::fs::read(&options.path).unwrap();
    let refused = open(options.clone(), config(0)).unwrap_err();
    assert!(matches!(refused.kind(), StoreErrorKind::NotAStore), "{refused}");
    assert!(std::fs::read(&options.path).unwrap() == before);
    assert!(matches!(file_backend(&directory.0).unwrap_err(), StoreErrorKind::Io(_)));
}

#[test]
fn a_file_of_a_later_format_is_refused_and_not_changed() {
    let directory = Directory::new("newer");
    let options = directory.options();
    drop(open(options.clone(), config(0)).unwrap());
    let database = redb::Database::open(&options.path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<&str, i64>::new("numbers")).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let before = std::fs::read(&options.path).unwrap();
    let refused = open(options.clone(), config(0)).unwrap_err();
    assert!(matches!(refused.kind(), StoreErrorKind::Newer { format: 2 }), "{refused}");
    assert!(std::fs::read(&options.path).unwrap() == before);
}
