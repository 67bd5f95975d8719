//! The faults of a simulated feed, drawn from the seed before the run.

use fastrand::Rng;

use super::{Millis, RUN_LENGTH};

/// The behaviour of a feed during a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The feed works.
    None,
    /// The feed closes its connections and refuses new ones.
    Dead,
    /// The feed closes its connections and refuses new ones, and has other instruments afterwards.
    Restart,
    /// The feed accepts connections and answers pings, but sends no quotes.
    Mute,
    /// The feed does nothing, like a stopped process. At the end of the phase, it sends the quotes of the phase.
    Frozen,
    /// The feed sends one step of quotes per second and drops the others.
    Drip,
    /// The feed sends its quotes with a delay that grows up to this time. At the end of the phase, it sends the delayed
    /// quotes.
    Late(Millis),
}

impl Fault {
    /// Returns true if the feed delivers every quote.
    pub(super) const fn supplies(self) -> bool {
        matches!(self, Self::None | Self::Late(_))
    }
}

/// A time span in which the behaviour of a feed does not change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    pub(super) from: Millis,
    pub(super) to: Millis,
    pub(super) fault: Fault,
    /// The number of restarts so far, which determines the instruments.
    pub(super) restarts: u64,
}

/// The consecutive phases of one feed, from the start of a run until after its end.
#[derive(Clone, Debug)]
pub(super) struct Scenario(Vec<Phase>);

impl Scenario {
    /// Draws a scenario: one minute without a fault, then random faults with pauses between them.
    pub(super) fn random(random: &mut Rng) -> Self {
        let mut phases = vec![Phase { from: 0, to: 60_000, fault: Fault::None, restarts: 0 }];
        while let Some(last) = phases.last().copied().filter(|last| last.to < RUN_LENGTH + 60_000) {
            let fault = if last.fault == Fault::None { random_fault(random) } else { Fault::None };
            let longest = match (fault, random.u8(..3)) {
                // One pause in three is short, to simulate a feed that fails repeatedly.
                (Fault::None, 0) => 5_000,
                (Fault::None, _) => 400_000,
                (Fault::Drip, _) => 60_000,
                (_, 0) => 4_000,
                _ => 150_000,
            };
            let to = last.to + random.u64(200..longest);
            let restarts = last.restarts + u64::from(fault == Fault::Restart);
            phases.push(Phase { from: last.to, to, fault, restarts });
        }
        Self(phases)
    }

    /// Returns the phase at `now`.
    pub(super) fn at(&self, now: Millis) -> Phase {
        self.0[self.0.partition_point(|phase| phase.to <= now)]
    }

    /// Returns the phases that start after `now`, in order.
    pub(super) fn after(&self, now: Millis) -> impl Iterator<Item = &Phase> {
        self.0[self.0.partition_point(|phase| phase.from <= now)..].iter()
    }

    /// Returns the time since which the feed has delivered every quote; `None` if the feed does not deliver at `now`.
    pub(super) fn healthy_since(&self, now: Millis) -> Option<Millis> {
        let upto = self.0.partition_point(|phase| phase.from <= now);
        self.0[..upto].iter().rev().take_while(|phase| phase.fault.supplies()).last().map(|phase| phase.from)
    }
}

fn random_fault(random: &mut Rng) -> Fault {
    match random.u8(..6) {
        0 => Fault::Dead,
        1 => Fault::Restart,
        2 => Fault::Mute,
        3 => Fault::Frozen,
        4 => Fault::Drip,
        _ => Fault::Late(random.u64(1_000..20_000)),
    }
}
