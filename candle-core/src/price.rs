//! Prices and sizes that a candle can hold: finite numbers, checked once where they enter.

/// Which finite prices are taken.
///
/// ```
/// use candle_core::{Price, Prices};
///
/// assert!(Price::new(-37.63, Prices::Positive).is_none());
/// assert_eq!(Price::new(-37.63, Prices::Any).map(Price::get), Some(-37.63)); // oil, April 2020
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Prices {
    /// Greater than zero: what shares and currencies have, and what a broken feed most often violates.
    #[default]
    Positive,
    /// Zero and negative ones too: spreads, interest rates, power, oil in 2020.
    Any,
}

/// A finite price; never NaN, infinite or -0.0.
///
/// ```
/// use candle_core::{Price, Prices};
///
/// assert!(Price::new(f64::NAN, Prices::Any).is_none());
/// assert!(Price::new(-0.0, Prices::Any).unwrap().get().is_sign_positive());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Price(f64);

impl Price {
    /// The price `raw`, or `None` where `prices` refuses it.
    #[inline]
    pub fn new(raw: f64, prices: Prices) -> Option<Self> {
        let above = match prices {
            Prices::Positive => 0.0,
            Prices::Any => f64::NEG_INFINITY,
        };
        let taken = above < raw && raw < f64::INFINITY;
        // Adding +0.0 turns -0.0 into 0.0 and leaves every other number as it is.
        taken.then_some(Self(raw + 0.0))
    }

    /// The price `raw` if it is greater than zero, which every rule takes. In one comparison: the bits of positive
    /// numbers have the order of the numbers, and those of all others lie above infinity's, or are zero.
    #[inline]
    pub(crate) const fn positive(raw: f64) -> Option<Self> {
        if raw.to_bits().wrapping_sub(1) < f64::INFINITY.to_bits() - 1 { Some(Self(raw)) } else { None }
    }

    /// The number.
    #[inline]
    pub const fn get(self) -> f64 {
        self.0
    }
}

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
    /// The largest size taken. Sums of a minute's sizes stay far from the point where `f64` overflows.
    pub const MAX: f64 = 1e15;

    /// The size `raw`, or `None` if it is negative, not a number, or above [`Size::MAX`].
    #[inline]
    pub fn new(raw: f64) -> Option<Self> {
        (0.0..=Self::MAX).contains(&raw).then_some(Self(raw + 0.0))
    }

    /// The size `raw` if it is one and not spelled -0.0; in one comparison, as [`Price::positive`].
    #[inline]
    pub(crate) const fn plain(raw: f64) -> Option<Self> {
        if raw.to_bits() <= Self::MAX.to_bits() { Some(Self(raw)) } else { None }
    }

    /// The number.
    #[inline]
    pub const fn get(self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_prices_are_taken() {
        for raw in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Price::new(raw, Prices::Any).is_none());
            assert!(Price::new(raw, Prices::Positive).is_none());
        }
        for raw in [0.0, -0.0, -5.0] {
            assert!(Price::new(raw, Prices::Positive).is_none());
            assert!(Price::new(raw, Prices::Any).is_some());
        }
        assert!(Price::new(f64::MAX, Prices::Positive).is_some());
        assert!(Price::new(f64::from_bits(1), Prices::Positive).is_some());
    }

    #[test]
    fn one_comparison_takes_just_the_numbers_that_all_rules_take() {
        let edges =
            [0.0, f64::from_bits(1), f64::MIN_POSITIVE, 1.0, Size::MAX, Size::MAX.next_up(), f64::MAX, f64::INFINITY];
        for raw in edges.into_iter().flat_map(|edge| [edge, -edge]).chain([f64::NAN, -f64::NAN]) {
            assert_eq!(Price::positive(raw), Price::new(raw, Prices::Positive), "{raw}");
            // Of the sizes only -0.0 is left to `new`, which turns it into 0.0.
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
