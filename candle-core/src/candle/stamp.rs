//! The open time, the revised flag and the count of a candle in one word.

use std::num::NonZeroU64;

use crate::interval::{Interval, OpenTime};

/// The open time, the revised flag and the count. The count is never zero, so the stamp is never zero.
///
/// | interval | prefix | open time | revised | count |
/// |---|---|---|---|---|
/// | a number of minutes | | 33 bits, in minutes | 1 bit | 30 bits |
/// | any other | `11` | 39 bits, in seconds | 1 bit | 22 bits |
///
/// No minute of the years 1 to 9999 begins with `11`. A stamp therefore knows its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(NonZeroU64);

/// The two forms of a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Minutes,
    Seconds,
}

const PREFIX: u64 = 0b11 << 62;
const _: () = assert!(OpenTime::MAX.0 / 60 < PREFIX >> Form::Minutes.open_shift());
const _: () = assert!(OpenTime::MAX.0 < (1 << 62) >> Form::Seconds.open_shift());
const _: () = assert!(Form::Minutes.count_mask() == Interval::MINUTE.max_count() as u64);
const _: () = assert!(Form::Seconds.count_mask() == Interval::SECOND.max_count() as u64);

impl Form {
    const fn count_bits(self) -> u32 {
        match self {
            Self::Minutes => 30,
            Self::Seconds => 22,
        }
    }

    const fn count_mask(self) -> u64 {
        (1 << self.count_bits()) - 1
    }

    const fn revised(self) -> u64 {
        1 << self.count_bits()
    }

    const fn open_shift(self) -> u32 {
        self.count_bits() + 1
    }
}

impl Stamp {
    /// Creates the stamp of a candle with one tick.
    pub(super) const fn new(open: OpenTime, interval: Interval) -> Self {
        let bits = if interval.is_minutes() {
            (open.0 / 60) << Form::Minutes.open_shift()
        } else {
            PREFIX | open.0 << Form::Seconds.open_shift()
        };
        Self(NonZeroU64::MIN.saturating_add(bits))
    }

    #[inline]
    pub(super) const fn form(self) -> Form {
        if self.0.get() < PREFIX { Form::Minutes } else { Form::Seconds }
    }

    #[inline]
    pub(super) const fn open(self) -> OpenTime {
        match self.form() {
            Form::Minutes => OpenTime((self.0.get() >> Form::Minutes.open_shift()) * 60),
            Form::Seconds => OpenTime((self.0.get() & !PREFIX) >> Form::Seconds.open_shift()),
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a count has at most 30 bits")]
    pub(super) const fn count(self) -> u32 {
        (self.0.get() & self.form().count_mask()) as u32
    }

    #[inline]
    pub(super) const fn is_revised(self) -> bool {
        self.0.get() & self.form().revised() != 0
    }

    pub(super) const fn revise(&mut self) {
        self.0 = self.0.saturating_add(!self.0.get() & self.form().revised());
    }

    /// Adds one to the count, up to its maximum.
    #[inline]
    pub(super) const fn count_one(&mut self) {
        // The count of the shorter form decides for both. It is full once in four million ticks.
        let next = self.0.get().wrapping_add(1);
        match NonZeroU64::new(next) {
            Some(next) if next.get() & Form::Seconds.count_mask() != 0 => self.0 = next,
            _ => self.count_one_at_a_limit(),
        }
    }

    #[cold]
    const fn count_one_at_a_limit(&mut self) {
        self.count_more(1);
    }

    /// Adds `more` to the count, up to its maximum.
    pub(super) const fn count_more(&mut self, more: u64) {
        let mask = self.form().count_mask();
        let room = mask - (self.0.get() & mask);
        self.0 = self.0.saturating_add(if more < room { more } else { room });
    }
}
