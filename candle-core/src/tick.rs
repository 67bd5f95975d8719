//! A price update as the feed sent it.

use crate::size::Side;
use crate::time::Timestamp;

/// One price update that enters the core. No field is validated yet.
///
/// ```
/// use candle_core::{Tick, Timestamp};
///
/// let at = Timestamp::from_micros(1_742_944_020_715_000).unwrap();
/// let tick = Tick::new(at, 87_232.0).with_size(0.000_12).with_seq(4_744_868_157);
/// assert_eq!(tick.time, at);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    /// The time of the update on the feed's clock. Decides the candle.
    pub time: Timestamp,
    /// The feed's own sequence or trade number. Orders the ticks of one microsecond. If a feed has no numbers, the reader of
    /// the feed numbers its ticks in the order of arrival.
    pub seq: u64,
    /// The price, in the currency or unit of the instrument.
    pub price: f64,
    /// The traded amount, or 0 if the feed sends none. A negative size is a sell of the magnitude, as some exchanges
    /// send it.
    pub size: f64,
}

impl Tick {
    /// Creates a tick with size 0 and sequence number 0.
    pub const fn new(time: Timestamp, price: f64) -> Self {
        Self { time, seq: 0, price, size: 0.0 }
    }

    /// Sets the size, negative for a sell. If [`with_side`](Self::with_side) made the tick a sell before, the tick remains
    /// one.
    #[must_use]
    pub const fn with_size(self, size: f64) -> Self {
        let is_sell = self.size.is_sign_negative() || size.is_sign_negative();
        Self { size: if is_sell { -size.abs() } else { size }, ..self }
    }

    /// Sets the side, and keeps the magnitude of the size.
    #[must_use]
    pub const fn with_side(self, side: Side) -> Self {
        let sign = match side {
            Side::Buy => 1.0,
            Side::Sell => -1.0,
        };
        Self { size: self.size.abs() * sign, ..self }
    }

    /// Returns the side: a sell if the size is negative.
    pub const fn side(&self) -> Side {
        if self.size.is_sign_negative() { Side::Sell } else { Side::Buy }
    }

    /// Sets the sequence number.
    #[must_use]
    pub const fn with_seq(self, seq: u64) -> Self {
        Self { seq, ..self }
    }
}
