//! Traded amounts and their sides.

/// The side of the aggressor of a trade: the party that did not wait in the order book.
///
/// ```
/// use candle_core::{Side, Tick, Timestamp};
///
/// let sell = Tick::new(Timestamp::EPOCH, 9.5).with_size(2.0).with_side(Side::Sell);
/// assert_eq!((sell.size, sell.side()), (-2.0, Side::Sell));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Side {
    /// Somebody bought from a waiting seller.
    Buy,
    /// Somebody sold to a waiting buyer.
    Sell,
}

/// A traded amount: finite, with a magnitude of 0 to [`Size::MAX`]. A negative size is a sell, every other a buy.
///
/// ```
/// use candle_core::{Side, Size};
///
/// let size = Size::new(-0.5).unwrap();
/// assert_eq!((size.magnitude(), size.side()), (0.5, Side::Sell));
/// assert!(Size::new(-2e15).is_none());
/// assert!(Size::new(f64::NAN).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Size(f64);

impl Size {
    /// The largest magnitude. The volume of a candle stays far below the point at which `f64` overflows.
    pub const MAX: f64 = 1e15;

    /// Creates a size, or returns `None` if `raw` is not a number, or its magnitude is above [`Size::MAX`].
    #[inline]
    pub const fn new(raw: f64) -> Option<Self> {
        // One comparison is enough: the bits of positive numbers have the order of the numbers, and NaN is above all.
        if raw.abs().to_bits() <= Self::MAX.to_bits() { Some(Self(raw)) } else { None }
    }

    /// Returns the number: negative for a sell.
    #[inline]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Returns the amount, 0 or more.
    #[inline]
    pub const fn magnitude(self) -> f64 {
        self.0.abs()
    }

    /// Returns the amount that was bought: the magnitude of a buy, 0 for a sell.
    #[inline]
    pub(crate) const fn bought(self) -> f64 {
        if self.0 > 0.0 { self.0 } else { 0.0 }
    }

    /// Returns the side.
    pub const fn side(self) -> Side {
        if self.0 < 0.0 { Side::Sell } else { Side::Buy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_end_at_their_bounds() {
        for sign in [1.0, -1.0] {
            for valid in [0.0, f64::from_bits(1), f64::MIN_POSITIVE, 1.0, Size::MAX] {
                let size = Size::new(sign * valid).unwrap();
                assert_eq!(size.magnitude().to_bits(), valid.to_bits());
                assert_eq!(size.bought().to_bits(), (if sign > 0.0 { valid } else { 0.0 }).to_bits());
            }
            for invalid in [Size::MAX.next_up(), f64::MAX, f64::INFINITY, f64::NAN] {
                assert_eq!(Size::new(sign * invalid), None);
            }
        }
    }
}
