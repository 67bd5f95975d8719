//! What goes wrong with a simulated feed, and when: drawn once from the seed, so that the truth is known beforehand.

use fastrand::Rng;

use super::{LIFE, Millis};

/// How a feed is for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing is wrong.
    None,
    /// It has dropped its connections and refuses others.
    Dead,
    /// The same, and it comes back with other instruments.
    Restart,
    /// It is connected to and answers pings, and brings nothing.
    Mute,
    /// It does nothing at all, as a stopped process; what it would have sent comes at its end.
    Frozen,
    /// It brings one run of quotes a second, and the others never.
    Drip,
    /// Its quotes come later and later, up to this much, and the rest of them at once at its end.
    Late(Millis),
}

impl Trouble {
    /// Whether it brings all that there is.
    pub(super) const fn supplies(self) -> bool {
        matches!(self, Self::None | Self::Late(_))
    }
}

/// A time for which a feed is one way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spell {
    pub(super) from: Millis,
    pub(super) to: Millis,
    pub(super) trouble: Trouble,
    /// How often it has restarted: which instruments it has.
    pub(super) era: u64,
}

/// The spells of one feed from the start of its life to after its end, without a hole.
#[derive(Clone, Debug)]
pub(super) struct Fate(Vec<Spell>);

impl Fate {
    /// Well for a minute at first, then well and in trouble by turns.
    pub(super) fn drawn(random: &mut Rng) -> Self {
        let mut spells = vec![Spell { from: 0, to: 60_000, trouble: Trouble::None, era: 0 }];
        while let Some(last) = spells.last().copied().filter(|last| last.to < LIFE + 60_000) {
            let trouble = if last.trouble == Trouble::None { any_trouble(random) } else { Trouble::None };
            let most = match (trouble, random.u8(..3)) {
                // Some feeds come and go.
                (Trouble::None, 0) => 5_000,
                (Trouble::None, _) => 400_000,
                (Trouble::Drip, _) => 60_000,
                (_, 0) => 4_000,
                _ => 150_000,
            };
            let to = last.to + random.u64(200..most);
            let era = last.era + u64::from(trouble == Trouble::Restart);
            spells.push(Spell { from: last.to, to, trouble, era });
        }
        Self(spells)
    }

    /// How the feed is at `now`.
    pub(super) fn at(&self, now: Millis) -> Spell {
        self.0[self.0.partition_point(|spell| spell.to <= now)]
    }

    /// The spells that begin after `now`, in their order.
    pub(super) fn after(&self, now: Millis) -> impl Iterator<Item = &Spell> {
        self.0[self.0.partition_point(|spell| spell.from <= now)..].iter()
    }

    /// Since when it has brought all that there is, if it does at `now`.
    pub(super) fn well_since(&self, now: Millis) -> Option<Millis> {
        let upto = self.0.partition_point(|spell| spell.from <= now);
        self.0[..upto].iter().rev().take_while(|spell| spell.trouble.supplies()).last().map(|spell| spell.from)
    }
}

fn any_trouble(random: &mut Rng) -> Trouble {
    match random.u8(..6) {
        0 => Trouble::Dead,
        1 => Trouble::Restart,
        2 => Trouble::Mute,
        3 => Trouble::Frozen,
        4 => Trouble::Drip,
        _ => Trouble::Late(random.u64(1_000..20_000)),
    }
}
