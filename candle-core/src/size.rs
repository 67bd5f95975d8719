//! Traded amounts that a candle can contain.

/// A traded amount: finite, 0 to [`Size::MAX`], and never -0.0.
///
/// ```
/// use candle_core::Size;
///
/// assert!(Size::new(0.0).is_some());
/// assert!(Size::new(-1.0).is_none());
/// assert!(Size::new(2e15).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Size(f64);

impl Size {
    /// The largest size. The volume of a candle stays far below the point at which `f64` overflows.
    pub const MAX: f64 = 1e15;

    /// Creates a size, or returns `None` if `raw` is negative, not a number, or above [`Size::MAX`].
    #[inline]
    pub fn new(raw: f64) -> Option<Self> {
        (0.0..=Self::MAX).contains(&raw).then_some(Self(raw + 0.0))
    }

    /// Creates a size if `raw` is valid and not -0.0. One comparison is enough, as in `Price::positive`.
    #[inline]
    pub(crate) const fn plain(raw: f64) -> Option<Self> {
        if raw.to_bits() <= Self::MAX.to_bits() { Some(Self(raw)) } else { None }
    }

    /// Returns the number.
    #[inline]
    pub const fn get(self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comparison_accepts_every_size_but_negative_zero() {
        let edges =
            [0.0, f64::from_bits(1), f64::MIN_POSITIVE, 1.0, Size::MAX, Size::MAX.next_up(), f64::MAX, f64::INFINITY];
        for raw in edges.into_iter().flat_map(|edge| [edge, -edge]).chain([f64::NAN, -f64::NAN]) {
            // `new` accepts -0.0 as well, and changes it to 0.0.
            let plain = Size::new(raw).filter(|_| raw.is_sign_positive());
            assert_eq!(Size::plain(raw), plain, "{raw}");
        }
    }

    #[test]
    fn sizes_end_at_their_bounds() {
        assert!(Size::new(Size::MAX).is_some());
        assert!(Size::new(Size::MAX.next_up()).is_none());
        assert!(Size::new(f64::NAN).is_none());
        assert!(Size::new(-0.0).unwrap().get().is_sign_positive());
    }
}
