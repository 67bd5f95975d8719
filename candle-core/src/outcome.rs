//! The outcome of a tick, and the number of ticks by outcome.

/// The outcome of recording one tick. Every tick has exactly one outcome and is counted under it.
///
/// If there are several reasons to refuse a tick, the first one in this order is its outcome.
///
/// ```
/// use candle_core::Outcome;
///
/// assert!(Outcome::LateAmended.is_accepted());
/// assert!(!Outcome::TooOld.is_accepted());
/// assert_eq!(Outcome::TooOld.name(), "too_old");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[must_use = "the tick may have been refused"]
#[non_exhaustive]
pub enum Outcome {
    /// Accepted: the first tick of its minute.
    Opened,
    /// Accepted: another tick of a minute that is not over.
    Updated,
    /// Accepted: the minute was over, and its candle is [`Revised`](crate::State::Revised) from now on.
    LateAmended,
    /// Refused: the price is not finite, or [`Rules`](crate::Rules) require a positive price.
    BadPrice,
    /// Refused: the size is not a number from 0 to [`Size::MAX`](crate::Size::MAX).
    BadSize,
    /// Refused: the instrument is not listed.
    UnknownInstrument,
    /// Refused: the tick would list its instrument, but the id is invalid.
    BadId,
    /// Refused: the tick would list its instrument, but the maximum number of instruments is listed.
    Full,
    /// Refused: the time of the tick is further ahead of `now` than allowed.
    TooFarAhead,
    /// Refused: the minute of the tick is older than the window.
    TooOld,
}

impl Outcome {
    /// Every outcome, in the order of declaration.
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

    /// Returns true if the tick became part of a candle.
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::Opened | Self::Updated | Self::LateAmended)
    }

    /// Returns the name in snake case, as in metrics and logs.
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

/// The number of ticks by [`Outcome`].
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
    /// Counts one tick with this outcome.
    #[inline]
    pub fn count(&mut self, outcome: Outcome) {
        self.add(outcome, 1);
    }

    /// Counts `ticks` ticks with this outcome.
    #[inline]
    pub(crate) fn add(&mut self, outcome: Outcome, ticks: u64) {
        // Saturating, because a restored snapshot may contain any number.
        let count = &mut self.0[outcome as usize];
        *count = count.saturating_add(ticks);
    }

    /// Returns the number of ticks with this outcome.
    pub const fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    /// Returns the number of all ticks, the sum of [`accepted`](Self::accepted) and [`rejected`](Self::rejected).
    pub fn received(&self) -> u64 {
        self.0.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Returns the number of ticks that became part of a candle.
    pub fn accepted(&self) -> u64 {
        self.sum(Outcome::is_accepted)
    }

    /// Returns the number of refused ticks.
    pub fn rejected(&self) -> u64 {
        self.sum(|outcome| !outcome.is_accepted())
    }

    fn sum(&self, which: impl Fn(Outcome) -> bool) -> u64 {
        let chosen = Outcome::ALL.into_iter().filter(|outcome| which(*outcome));
        chosen.fold(0, |sum, outcome| sum.saturating_add(self.of(outcome)))
    }

    /// Adds the numbers of `other`.
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
    fn every_outcome_has_its_own_counter() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
    }
}
