//! Compares a store with a log of its writes: after any loss, the store must contain all durable writes.

mod disk;
mod faults;
mod growth;
mod process;

use std::time::Duration;

use disk::{Disk, Loss};
use process::Process;

/// The number of steps of one simulation.
const STEPS: u32 = 1200;

/// The time between two steps: 900 ms. A simulation then lasts 18 minutes, and each candle has many ticks.
const STEP: Duration = Duration::from_millis(900);

fn simulate(seed: u64, loss: Loss) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut process = Process::start(Disk::new(), seed);
    let mut losses = 0;
    for step in 0..STEPS {
        process.write_at_random(&mut random);
        process.advance(STEP);
        if random.u8(..3) == 0 {
            process.commit();
        }
        if random.u8(..40) == 0 {
            losses += 1;
            process = process.crash(loss);
            process.assert_durable_writes_are_present(&format!("seed {seed}, step {step}"));
        }
    }
    assert!(losses > 10, "a simulation without losses proves nothing");
}

#[test]
fn after_a_kill_every_durable_write_is_present_exactly_once() {
    (0..4).for_each(|seed| simulate(seed, Loss::Process));
}

#[test]
fn after_a_loss_of_power_every_durable_write_is_present_exactly_once() {
    (4..8).for_each(|seed| simulate(seed, Loss::Power));
}

#[test]
fn a_clean_stop_loses_no_write() {
    let mut random = fastrand::Rng::with_seed(9);
    let mut process = Process::start(Disk::new(), 9);
    for round in 0..20 {
        for _ in 0..30 {
            process.write_at_random(&mut random);
            process.advance(STEP);
        }
        process = process.restart();
        process.assert_durable_writes_are_present(&format!("round {round}"));
    }
}

#[test]
fn a_file_stops_growing_under_a_steady_load() {
    let mut random = fastrand::Rng::with_seed(10);
    let disk = Disk::new();
    let mut process = Process::start(disk.clone(), 10);
    let mut lengths = Vec::new();
    for _ in 0..10 {
        // Four minutes are four rounds of snapshots.
        for _ in 0..240 {
            process.write_at_random(&mut random);
            process.advance(Duration::from_secs(1));
            process.commit();
        }
        lengths.push(disk.len());
    }
    assert!(lengths[9] <= lengths[4], "the file still grows: {lengths:?}");
}
