//! What became of a tick, and the count of each case.

/// What became of one tick: exactly one of these, counted under it.
///
/// A tick that could be refused for several reasons is refused for the first of them in this order.
///
/// ```
/// use candle_core::Outcome;
///
/// assert!(Outcome::LateAmended.is_accepted());
/// assert!(!Outcome::TooOld.is_accepted());
/// assert_eq!(Outcome::TooOld.name(), "too_old");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[must_use = "a tick may have been refused"]
#[non_exhaustive]
pub enum Outcome {
    /// Accepted: the first tick of its minute.
    Opened,
    /// Accepted: one more tick of a minute that was not over.
    Updated,
    /// Accepted: its minute was already final, and its candle is `revised` from now on.
    LateAmended,
    /// Refused: the price is not finite, or not positive where it must be.
    BadPrice,
    /// Refused: the size is not a number from 0 to [`Size::MAX`](crate::Size::MAX).
    BadSize,
    /// Refused: no instrument of this id is listed.
    UnknownInstrument,
    /// Refused: the tick would have listed its instrument, but the id is not one.
    BadId,
    /// Refused: the tick would have listed its instrument, but as many are listed as may be.
    Full,
    /// Refused: its time is further ahead of `now` than allowed.
    TooFarAhead,
    /// Refused: its minute has left the window.
    TooOld,
}

impl Outcome {
    /// Every outcome, in declaration order.
    pub const ALL: [Self; 10] = [
        Self::Opened,
        Self::Updated,
        Self::LateAmended,
        Self::BadPrice,
        Self::BadSize,
        Self::UnknownInstrument,
        Self::BadId,
        Self::Full,
        Self::TooFarAhead,
        Self::TooOld,
    ];

    /// Whether the tick became part of a candle.
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::Opened | Self::Updated | Self::LateAmended)
    }

    /// Its name in snake case, as metrics and logs spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::LateAmended => "late_amended",
            Self::BadPrice => "bad_price",
            Self::BadSize => "bad_size",
            Self::UnknownInstrument => "unknown_instrument",
            Self::BadId => "bad_id",
            Self::Full => "full",
            Self::TooFarAhead => "too_far_ahead",
            Self::TooOld => "too_old",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How many ticks had each [`Outcome`].
///
/// ```
/// use candle_core::{Outcome, Outcomes};
///
/// let mut outcomes = Outcomes::default();
/// outcomes.count(Outcome::Opened);
/// outcomes.count(Outcome::TooOld);
/// assert_eq!(outcomes.of(Outcome::TooOld), 1);
/// assert_eq!(outcomes.received(), outcomes.accepted() + outcomes.rejected());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Outcomes([u64; Outcome::ALL.len()]);

impl Outcomes {
    /// Counts one more tick with this outcome.
    #[inline]
    pub fn count(&mut self, outcome: Outcome) {
        self.add(outcome, 1);
    }

    /// Counts so many more ticks with this outcome.
    #[inline]
    pub(crate) fn add(&mut self, outcome: Outcome, ticks: u64) {
        // Saturating, because a snapshot from outside may hold any count.
        let count = &mut self.0[outcome as usize];
        *count = count.saturating_add(ticks);
    }

    /// How many ticks had this outcome.
    pub const fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    /// How many ticks came in: each is in exactly one of [`accepted`](Self::accepted) and [`rejected`](Self::rejected).
    pub fn received(&self) -> u64 {
        self.0.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// How many ticks became part of a candle.
    pub fn accepted(&self) -> u64 {
        self.sum(Outcome::is_accepted)
    }

    /// How many ticks were refused.
    pub fn rejected(&self) -> u64 {
        self.sum(|outcome| !outcome.is_accepted())
    }

    fn sum(&self, which: impl Fn(Outcome) -> bool) -> u64 {
        let chosen = Outcome::ALL.into_iter().filter(|outcome| which(*outcome));
        chosen.fold(0, |sum, outcome| sum.saturating_add(self.of(outcome)))
    }

    /// Adds the counts of `other` to these.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_place() {
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place);
        }
    }
}
