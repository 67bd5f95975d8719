//! Files that are no store, disks that fail.

use std::panic::catch_unwind;
use std::path::Path;
use std::time::Duration;

use super::super::file::{File, medium};
use super::super::{Fault, Options, StoreError, open};
use super::disk::{Disk, Loss};
use super::run::{Run, config};
use crate::journal::{Durability, MAX_PENDING_BYTES};

/// A store with something of everything in it, as a kill leaves it: before its last commit, and after.
fn a_killed_store() -> [Vec<u8>; 2] {
    let mut random = fastrand::Rng::with_seed(1);
    let mut run = Run::start(Disk::new(), 1);
    for _ in 0..100 {
        run.write(&mut random);
        run.pass(Duration::from_millis(900));
        run.turn();
    }
    let before = run.disk.bytes();
    run.ticks(1);
    run.turn();
    [before, run.disk.bytes()]
}

/// What is read from bytes, as text; whoever can't be read is told by the fault.
fn read(bytes: &[u8]) -> Result<String, Fault> {
    let disk = Disk::holding(bytes.to_vec());
    let content = File::open(Box::new(disk.clone())).and_then(|file| file.recover(config(0)));
    assert!(disk.bytes() == bytes, "the file was touched");
    let content = content?;
    let parts: Vec<_> = content.aggregator.snapshot().collect();
    Ok(format!("{parts:?} {:?} {:?}", content.now, content.feed))
}

#[test]
fn a_file_that_was_changed_is_refused_or_read_right_and_never_touched() {
    let [before, sound] = a_killed_store();
    // A head that was torn by a kill looks the same as one that was changed: the commit before stands then.
    let expected = [&before, &sound].map(|bytes| read(bytes).unwrap());
    let mut random = fastrand::Rng::with_seed(2);
    let (mut refused, mut same) = (0, 0);
    let mut attempt = |bytes: Vec<u8>, what: String| match catch_unwind(|| read(&bytes)).ok() {
        Some(Ok(content)) => {
            assert!(expected.contains(&content), "{what}: something else is read");
            same += 1;
        }
        Some(Err(fault)) => {
            assert!(!matches!(fault, Fault::Locked), "{what}: {fault}");
            assert_eq!(StoreError::new(Path::new("x"), fault).to_string().lines().count(), 1, "{what}");
            refused += 1;
        }
        None => panic!("{what}: it panics"),
    };
    for _ in 0..1200 {
        let mut bytes = sound.clone();
        // Half of them where it hurts most: in the file's head.
        let end = if random.bool() { 512 } else { bytes.len() };
        let (place, bit) = (random.usize(..end), random.u8(..8));
        bytes[place] ^= 1 << bit;
        attempt(bytes, format!("bit {bit} of byte {place}"));
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
fn while_the_disk_fails_the_market_goes_on_and_afterwards_nothing_is_missing() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut run = Run::start(Disk::new(), 3);
    for round in 0..6 {
        for _ in 0..20 {
            run.write(&mut random);
            run.pass(Duration::from_millis(900));
            run.turn();
        }
        assert_eq!(run.journal.durability(run.elapsed), Durability::Persisted);
        if round % 2 == 0 {
            run.disk.break_down();
        } else {
            run.disk.limit(run.disk.len());
            run.ticks(100_000);
        }
        for _ in 0..20 {
            run.write(&mut random);
            run.pass(Duration::from_millis(900));
            run.turn();
        }
        if round % 2 == 0 {
            assert_eq!(run.journal.durability(run.elapsed), Durability::Failed);
        }
        run.disk.repair();
        run.disk.limit(usize::MAX);
        // Longer than the pause before it is tried again.
        run.pass(Duration::from_secs(2));
        run.turn();
        assert_eq!(run.journal.durability(run.elapsed), Durability::Persisted, "round {round}");
        run = run.lose(Loss::OfPower);
        run.assert_nothing_kept_is_lost(&format!("round {round}"));
    }
}

#[test]
fn a_kill_while_the_disk_fails_leaves_what_was_kept_before() {
    let mut random = fastrand::Rng::with_seed(4);
    let mut run = Run::start(Disk::new(), 4);
    for _ in 0..50 {
        run.write(&mut random);
        run.pass(Duration::from_millis(900));
        run.turn();
    }
    run.disk.break_down();
    for _ in 0..5 {
        run.write(&mut random);
        run.pass(Duration::from_millis(900));
        run.turn();
    }
    run.disk.repair();
    run = run.lose(Loss::OfPower);
    run.assert_nothing_kept_is_lost("after the kill");
}

#[test]
fn a_keeper_that_is_too_slow_is_behind_and_makes_up_for_it() {
    let mut run = Run::start(Disk::new(), 5);
    run.turn();
    let ticks = MAX_PENDING_BYTES / 48;
    for _ in 0..10 {
        run.ticks(ticks / 8);
    }
    run.pass(Duration::from_secs(3));
    assert_eq!(run.journal.durability(run.elapsed), Durability::Behind);
    run.turn();
    assert_eq!(run.journal.durability(run.elapsed), Durability::Persisted);
    run.ticks(1);
    run.turn();
    run = run.lose(Loss::OfPower);
    run.assert_nothing_kept_is_lost("after ten times too much");
}

/// A directory of its own, gone at the end.
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
fn one_file_has_one_user() {
    let directory = Directory::new("one-user");
    let options = directory.options();
    let first = open(options.clone(), config(0)).unwrap();
    let refused = open(options.clone(), config(0)).unwrap_err();
    assert!(matches!(refused.fault(), Fault::Locked), "{refused}");
    drop(first);
    open(options, config(0)).unwrap();
    assert_eq!(std::fs::read_dir(&directory.0).unwrap().count(), 1, "something else is left lying");
}

#[test]
fn what_is_no_store_is_refused_and_stays_as_it_is() {
    let directory = Directory::new("foreign");
    let options = directory.options();
    for content in [&b""[..], b"r", b"redb", b"hello, this is my diary\n", &[0; 8192]] {
        std::fs::write(&options.path, content).unwrap();
        let refused = open(options.clone(), config(0)).unwrap_err();
        assert!(matches!(refused.fault(), Fault::Foreign), "{refused}");
        assert_eq!(std::fs::read(&options.path).unwrap(), content);
    }
    std::fs::remove_file(&options.path).unwrap();
    let other = redb::Database::create(&options.path).unwrap();
    let writing = other.begin_write().unwrap();
    writing.open_table(redb::TableDefinition::<u64, u64>::new("mine")).unwrap();
    writing.commit().unwrap();
    drop(other);
    let before = std::fs::read(&options.path).unwrap();
    let refused = open(options.clone(), config(0)).unwrap_err();
    assert!(matches!(refused.fault(), Fault::Foreign), "{refused}");
    assert!(std::fs::read(&options.path).unwrap() == before);
    assert!(matches!(medium(&directory.0).unwrap_err(), Fault::Io(_)));
}

#[test]
fn a_later_format_is_left_to_the_later_version() {
    let directory = Directory::new("newer");
    let options = directory.options();
    drop(open(options.clone(), config(0)).unwrap());
    let database = redb::Database::open(&options.path).unwrap();
    let writing = database.begin_write().unwrap();
    writing.open_table(redb::TableDefinition::<&str, i64>::new("numbers")).unwrap().insert("format", 2).unwrap();
    writing.commit().unwrap();
    drop(database);
    let before = std::fs::read(&options.path).unwrap();
    let refused = open(options.clone(), config(0)).unwrap_err();
    assert!(matches!(refused.fault(), Fault::Newer { format: 2 }), "{refused}");
    assert!(std::fs::read(&options.path).unwrap() == before);
}
