//! The store against the obvious program: whatever the power does, what comes back is what was written by then.

mod disk;
mod faults;
mod growth;
mod run;

use std::time::Duration;

use disk::{Disk, Loss};
use run::Run;

/// Steps of one seeded life of a store.
const STEPS: u32 = 1200;

/// Far enough that many steps make a round of snapshots, near enough that a minute's candles fill up.
const STEP: Duration = Duration::from_millis(900);

fn a_life(seed: u64, loss: Loss) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut run = Run::start(Disk::new(), seed);
    let mut losses = 0;
    for step in 0..STEPS {
        run.write(&mut random);
        run.pass(STEP);
        if random.u8(..3) == 0 {
            run.turn();
        }
        if random.u8(..40) == 0 {
            losses += 1;
            run = run.lose(loss);
            run.assert_nothing_kept_is_lost(&format!("seed {seed}, step {step}"));
        }
    }
    assert!(losses > 10, "a life without losses proves nothing");
}

#[test]
fn after_a_kill_everything_kept_is_there_exactly_once() {
    (0..4).for_each(|seed| a_life(seed, Loss::OfTheProcess));
}

#[test]
fn after_a_loss_of_power_everything_kept_is_there_exactly_once() {
    (4..8).for_each(|seed| a_life(seed, Loss::OfPower));
}

#[test]
fn a_clean_stop_loses_nothing() {
    let mut random = fastrand::Rng::with_seed(9);
    let mut run = Run::start(Disk::new(), 9);
    for life in 0..20 {
        for _ in 0..30 {
            run.write(&mut random);
            run.pass(STEP);
        }
        run = run.stop();
        run.assert_nothing_kept_is_lost(&format!("life {life}"));
    }
}

#[test]
fn a_file_stops_growing_under_a_steady_load() {
    let mut random = fastrand::Rng::with_seed(10);
    let disk = Disk::new();
    let mut run = Run::start(disk.clone(), 10);
    let mut lengths = Vec::new();
    for _ in 0..10 {
        // Four minutes, so four rounds of snapshots.
        for _ in 0..240 {
            run.write(&mut random);
            run.pass(Duration::from_secs(1));
            run.turn();
        }
        lengths.push(disk.len());
    }
    assert!(lengths[9] <= lengths[4], "it grows on: {lengths:?}");
}
