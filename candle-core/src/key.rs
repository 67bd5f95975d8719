//! The order of ticks within one minute.

/// The position of a tick among the ticks of its minute: the microsecond, then the sequence number.
///
/// Packed as 26 bits of offset above the low 38 bits of the sequence number. Sequence numbers of one microsecond are
/// compared as serial numbers (RFC 1982). The comparison is right if the numbers of one instrument and microsecond span less
/// than 2^37, also across the wrap at 2^64.
///
/// `Ord` is not implemented, because serial numbers have no total order outside that span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

/// The 60,000,000 microseconds of a minute fit 26 bits, which leaves 38.
const SEQ_BITS: u32 = 38;

impl Key {
    /// Creates the key of a tick `offset` microseconds after the start of its minute.
    #[inline]
    pub(crate) const fn new(offset: u32, seq: u64) -> Self {
        Self((offset as u64) << SEQ_BITS | seq & ((1 << SEQ_BITS) - 1))
    }

    /// Returns the microseconds since the start of the minute.
    #[inline]
    pub(crate) const fn offset(self) -> u32 {
        (self.0 >> SEQ_BITS) as u32
    }

    /// Returns true if this key comes before `other`; false if the keys are equal.
    #[inline]
    #[expect(clippy::cast_possible_wrap, reason = "offsets have 26 bits, and one bit is left of the sequence numbers")]
    pub(crate) const fn precedes(self, other: Self) -> bool {
        // Without a branch on equal times. Most trades of a burst share their time with the one before and some do not, so
        // the branch would often be predicted wrong.
        let micros_ahead = (self.0 >> SEQ_BITS) as i64 - (other.0 >> SEQ_BITS) as i64;
        // 1 if the sequence number is before that of `other`: the step back to it is at least 2^37, modulo 2^38.
        let is_behind = (self.0.wrapping_sub(other.0) >> (SEQ_BITS - 1) & 1) as i64;
        micros_ahead < is_behind
    }

    #[cfg(feature = "serde")]
    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns the key with these bits, or `None` if the offset is longer than a minute.
    #[cfg(feature = "serde")]
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        let key = Self(bits);
        (i64::from(key.offset()) < crate::time::MICROS_PER_MINUTE).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_compared_before_the_sequence_number() {
        assert!(Key::new(1, u64::MAX).precedes(Key::new(2, 0)));
        assert!(!Key::new(2, 0).precedes(Key::new(1, u64::MAX)));
        assert!(Key::new(59_999_998, 5).precedes(Key::new(59_999_999, 4)));
    }

    #[test]
    fn the_sequence_number_is_compared_within_a_microsecond() {
        for base in [0, 1 << 37, (1 << 38) - 1, 4_744_868_157, u64::MAX] {
            for step in [1, 2, (1 << 37) - 1] {
                let (early, late) = (Key::new(7, base), Key::new(7, base.wrapping_add(step)));
                assert!(early.precedes(late), "{base} + {step}");
                assert!(!late.precedes(early), "{base} + {step}");
            }
        }
    }

    #[test]
    fn the_order_is_that_of_the_time_and_then_of_the_sequence_number() {
        let offsets = [0, 1, 2, 999, 1_000, 1 << 25, 59_999_999];
        let seqs = [0, 1, 2, 1 << 36, (1 << 37) - 1];
        let bases = [0, 1 << 37, (1 << 38) - 2, u64::MAX - 1];
        let times_and_seqs = || offsets.into_iter().flat_map(|offset| seqs.map(|seq| (offset, seq)));
        for base in bases {
            for (a, b) in times_and_seqs().flat_map(|a| times_and_seqs().map(move |b| (a, b))) {
                let key = |(offset, seq): (u32, u64)| Key::new(offset, base.wrapping_add(seq));
                assert_eq!(key(a).precedes(key(b)), a < b, "{base} {a:?} {b:?}");
            }
        }
    }

    #[test]
    fn equal_keys_do_not_precede_each_other() {
        assert!(!Key::new(7, 3).precedes(Key::new(7, 3)));
        assert_eq!(Key::new(59_999_999, 3).offset(), 59_999_999);
    }
}
