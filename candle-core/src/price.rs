//! Prices that a candle can contain, and the choice of accepted prices.

/// The finite prices that are accepted.
///
/// ```
/// use candle_core::{Price, Prices};
///
/// assert!(Price::new(-37.63, Prices::Positive).is_none());
/// assert_eq!(Price::new(-37.63, Prices::Any).map(Price::get), Some(-37.63)); // oil, April 2020
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Prices {
    /// Prices greater than zero, as shares and currencies have. The default, because broken feeds most often send zero.
    #[default]
    Positive,
    /// Zero and negative prices as well: spreads, interest rates, power, oil in 2020.
    Any,
}

/// A finite price. Never NaN, infinite or -0.0.
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
    /// Creates a price, or returns `None` if `raw` is not finite or `prices` excludes it.
    #[inline]
    pub fn new(raw: f64, prices: Prices) -> Option<Self> {
        let above = match prices {
            Prices::Positive => 0.0,
            Prices::Any => f64::NEG_INFINITY,
        };
        let is_accepted = above < raw && raw < f64::INFINITY;
        // Adding +0.0 changes -0.0 to 0.0 and no other number.
        is_accepted.then_some(Self(raw + 0.0))
    }

    /// Creates a price if `raw` is greater than zero and below [`PLAIN_LIMIT`](Self::PLAIN_LIMIT), which satisfies every
    /// rule. One comparison is enough: the bits of positive numbers have the order of the numbers, and the bits of all others
    /// are zero or above those of the limit.
    #[inline]
    pub(crate) const fn plain(raw: f64) -> Option<Self> {
        if raw.to_bits().wrapping_sub(1) < Self::PLAIN_LIMIT.to_bits() - 1 { Some(Self(raw)) } else { None }
    }

    /// No candle of prices below this limit has a quote volume that overflows: 2^30 ticks of the largest size reach 1e304.
    pub(crate) const PLAIN_LIMIT: f64 = 1e280;

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
    fn only_finite_prices_are_accepted() {
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
    fn one_comparison_accepts_exactly_the_positive_prices_below_the_limit() {
        let limit = Price::PLAIN_LIMIT;
        let edges =
            [0.0, f64::from_bits(1), f64::MIN_POSITIVE, 1.0, 1e15, limit.next_down(), limit, f64::MAX, f64::INFINITY];
        for raw in edges.into_iter().flat_map(|edge| [edge, -edge]).chain([f64::NAN, -f64::NAN]) {
            let expected = Price::new(raw, Prices::Positive).filter(|_| raw < limit);
            assert_eq!(Price::plain(raw), expected, "{raw}");
        }
    }
}
