//! The order of ticks within one interval.

use crate::interval::Interval;

/// The position of a tick among the ticks of its candle: the microsecond, then the sequence number.
///
/// Packed as the offset in microseconds above the low bits of the sequence number. The longer the interval, the more bits
/// the offset has, and the fewer remain for the sequence number:
///
/// | interval up to | prefix | offset | sequence number |
/// |---|---|---|---|
/// | one minute | | 26 bits | 38 bits |
/// | one hour | `11110` | 32 bits | 27 bits |
/// | one day | `11111` | 37 bits | 22 bits |
///
/// No offset of the first form begins with `1111`, because a minute has fewer microseconds. A key therefore knows its form.
///
/// Sequence numbers of one microsecond are compared as serial numbers (RFC 1982). The comparison is right if the numbers of
/// one instrument and microsecond span less than half the range, also across the wrap at 2^64.
///
/// `Ord` is not implemented, because serial numbers have no total order outside that span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

const MINUTE_SEQ_BITS: u32 = 38;
const HOUR_SEQ_BITS: u32 = 27;
const DAY_SEQ_BITS: u32 = 22;
const PREFIX_BITS: u32 = 5;
const HOUR_PREFIX: u64 = 0b11110 << (u64::BITS - PREFIX_BITS);
const DAY_PREFIX: u64 = 0b11111 << (u64::BITS - PREFIX_BITS);

const fn micros(interval: Interval) -> u64 {
    interval.as_seconds() as u64 * 1_000_000
}

const _: () = assert!((micros(Interval::MINUTE) - 1) << MINUTE_SEQ_BITS < HOUR_PREFIX);
const _: () = assert!(micros(Interval::HOUR) < 1 << (u64::BITS - PREFIX_BITS - HOUR_SEQ_BITS));
const _: () = assert!(micros(Interval::DAY) < 1 << (u64::BITS - PREFIX_BITS - DAY_SEQ_BITS));

impl Key {
    /// Creates the key of a tick `offset` microseconds after the open time of its candle.
    #[inline]
    pub(crate) const fn new(offset: u64, seq: u64, interval: Interval) -> Self {
        if interval.as_seconds() <= Interval::MINUTE.as_seconds() {
            Self(offset << MINUTE_SEQ_BITS | seq & ((1 << MINUTE_SEQ_BITS) - 1))
        } else if interval.as_seconds() <= Interval::HOUR.as_seconds() {
            Self(HOUR_PREFIX | offset << HOUR_SEQ_BITS | seq & ((1 << HOUR_SEQ_BITS) - 1))
        } else {
            Self(DAY_PREFIX | offset << DAY_SEQ_BITS | seq & ((1 << DAY_SEQ_BITS) - 1))
        }
    }

    /// Returns the number of bits of the sequence number.
    #[inline]
    const fn seq_bits(self) -> u32 {
        if self.0 < HOUR_PREFIX {
            MINUTE_SEQ_BITS
        } else if self.0 < DAY_PREFIX {
            HOUR_SEQ_BITS
        } else {
            DAY_SEQ_BITS
        }
    }

    /// Returns the microseconds since the open time.
    #[inline]
    pub(crate) const fn offset(self) -> u64 {
        if self.0 < HOUR_PREFIX {
            self.0 >> MINUTE_SEQ_BITS
        } else {
            (self.0 << PREFIX_BITS) >> (self.seq_bits() + PREFIX_BITS)
        }
    }

    /// Returns true if this key comes before `other`; false if the keys are equal. Both are of one candle.
    #[inline]
    pub(crate) const fn precedes(self, other: Self) -> bool {
        // The first case has constant shifts.
        match self.seq_bits() {
            MINUTE_SEQ_BITS => self.precedes_by(other, MINUTE_SEQ_BITS),
            seq_bits => self.precedes_by(other, seq_bits),
        }
    }

    /// Implements [`precedes`](Self::precedes) for keys with this number of bits of the sequence number.
    #[inline]
    #[expect(clippy::cast_possible_wrap, reason = "at least one bit is left of the sequence numbers")]
    const fn precedes_by(self, other: Self, seq_bits: u32) -> bool {
        // Without a branch on equal times. Most trades of a burst share their time with the one before and some do not, so
        // the branch would often be predicted wrong.
        let micros_ahead = (self.0 >> seq_bits) as i64 - (other.0 >> seq_bits) as i64;
        // 1 if the sequence number is before that of `other`: the step back to it is at least half the range.
        let is_behind = (self.0.wrapping_sub(other.0) >> (seq_bits - 1) & 1) as i64;
        micros_ahead < is_behind
    }

    #[cfg(feature = "serde")]
    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns the key with these bits, or `None` if no tick of a candle of this interval has such a key.
    #[cfg(feature = "serde")]
    pub(crate) fn from_bits(bits: u64, interval: Interval) -> Option<Self> {
        let key = Self(bits);
        let is_valid = Self::new(key.offset(), bits, interval) == key
            && i64::try_from(key.offset()).is_ok_and(|offset| offset < interval.micros());
        is_valid.then_some(key)
    }
}

/// The parts of a [`Key`], for loops that compare many: the comparison has no branch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyParts {
    offset: u64,
    /// The bits of the sequence number that the key has, at the top.
    seq: u64,
    shift: u32,
}

impl KeyParts {
    #[inline]
    pub(crate) const fn of(key: Key, interval: Interval) -> Self {
        let shift = u64::BITS - Key::new(0, 0, interval).seq_bits();
        Self { offset: key.offset(), seq: key.0 << shift, shift }
    }

    /// Returns the parts of another key of the same candle.
    #[inline]
    pub(crate) const fn at(self, offset: u64, seq: u64) -> Self {
        Self { offset, seq: seq << self.shift, shift: self.shift }
    }

    #[inline]
    pub(crate) const fn offset(self) -> u64 {
        self.offset
    }

    /// Returns the same as [`Key::precedes`].
    #[inline]
    #[expect(
        clippy::cast_possible_wrap,
        reason = "offsets are below 2^37, and only the sign of the sequence numbers is used"
    )]
    pub(crate) const fn precedes(self, other: Self) -> bool {
        let micros_ahead = self.offset as i64 - other.offset as i64;
        let is_behind = (self.seq.wrapping_sub(other.seq) as i64) < 0;
        micros_ahead < is_behind as i64
    }

    pub(crate) const fn key(self, interval: Interval) -> Key {
        Key::new(self.offset, self.seq >> self.shift, interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shortest and longest interval of each form, with the bits of its sequence numbers.
    fn forms() -> [(Interval, u32); 6] {
        let of = |seconds| Interval::seconds(seconds).unwrap();
        [(of(1), 38), (of(60), 38), (of(64), 27), (of(3_600), 27), (of(4_320), 22), (of(86_400), 22)]
    }

    #[test]
    fn the_time_is_compared_before_the_sequence_number() {
        for (interval, _) in forms() {
            let last = interval.micros().unsigned_abs() - 1;
            let key = |offset, seq| Key::new(offset, seq, interval);
            assert!(key(1, u64::MAX).precedes(key(2, 0)));
            assert!(!key(2, 0).precedes(key(1, u64::MAX)));
            assert!(key(last - 1, 5).precedes(key(last, 4)));
            assert!(key(0, 5).precedes(key(last, 4)));
            assert_eq!((key(last, u64::MAX).offset(), key(0, 0).offset()), (last, 0));
        }
    }

    #[test]
    fn the_sequence_number_is_compared_within_a_microsecond() {
        for (interval, bits) in forms() {
            for base in [0, 1 << (bits - 1), (1 << bits) - 1, 1 << 37, (1 << 38) - 1, 4_744_868_157, u64::MAX] {
                for step in [1, 2, (1 << (bits - 1)) - 1] {
                    let [early, late] = [base, base.wrapping_add(step)].map(|seq| Key::new(7, seq, interval));
                    assert!(early.precedes(late), "{base} + {step}");
                    assert!(!late.precedes(early), "{base} + {step}");
                }
                // The first step that is too large: each key is taken for the earlier one.
                let [early, late] = [base, base.wrapping_add(1 << (bits - 1))].map(|seq| Key::new(7, seq, interval));
                assert!(early.precedes(late) && late.precedes(early));
            }
        }
    }

    #[test]
    fn parts_are_compared_as_keys_are() {
        for (interval, bits) in forms() {
            let seqs = [0, 1, (1 << (bits - 1)) - 1, 1 << (bits - 1), (1 << bits) - 1, u64::MAX, u64::MAX - 1];
            let keys: Vec<_> = [0, 1, 999_999].iter().flat_map(|offset| seqs.map(|seq| (*offset, seq))).collect();
            for (offset, seq) in &keys {
                let a = Key::new(*offset, *seq, interval);
                let parts = KeyParts::of(a, interval);
                assert_eq!((parts.key(interval), parts.offset()), (a, *offset));
                for (offset, seq) in &keys {
                    let b = Key::new(*offset, *seq, interval);
                    assert_eq!(parts.precedes(parts.at(*offset, *seq)), a.precedes(b), "{a:?} {b:?}");
                    assert_eq!(parts.at(*offset, *seq).key(interval), b);
                }
            }
        }
    }

    #[test]
    fn the_order_is_that_of_the_time_and_then_of_the_sequence_number() {
        for (interval, bits) in forms() {
            let offsets = [0, 1, 2, 999, 999_998, interval.micros().unsigned_abs() - 1];
            let seqs = [0, 1, 2, 1 << (bits - 2), (1 << (bits - 1)) - 1];
            let times_and_seqs = || offsets.into_iter().flat_map(|offset| seqs.map(|seq| (offset, seq)));
            for base in [0, 1 << (bits - 1), (1 << bits) - 2, u64::MAX - 1] {
                for (a, b) in times_and_seqs().flat_map(|a| times_and_seqs().map(move |b| (a, b))) {
                    let key = |(offset, seq): (u64, u64)| Key::new(offset, base.wrapping_add(seq), interval);
                    assert_eq!(key(a).precedes(key(b)), a < b, "{interval:?} {base} {a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn equal_keys_do_not_precede_each_other() {
        for (interval, _) in forms() {
            assert!(!Key::new(7, 3, interval).precedes(Key::new(7, 3, interval)));
        }
    }
}
