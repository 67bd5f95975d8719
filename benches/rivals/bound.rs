//! The bound: a vector of candles with one owner, without lock, look-up or validation. Its speed is the limit that the
//! memory sets.

use candle_core::Tick;

use super::plain::{PlainCandle, PlainRing, minute_of};

/// The newest candles of all instruments side by side, and the closed candles apart from them.
#[derive(Debug)]
pub struct Bound {
    newest: Vec<Slot>,
    closed: Vec<PlainRing>,
}

/// A candle in a cache line of its own.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Slot(PlainCandle);

impl Bound {
    /// Creates the candles of this many instruments.
    pub fn new(instruments: usize) -> Self {
        Self { newest: vec![Slot::default(); instruments], closed: vec![PlainRing::default(); instruments] }
    }

    /// Adds a tick of the instrument at `index`.
    #[inline]
    pub fn record(&mut self, index: u32, tick: &Tick) {
        let minute = minute_of(tick);
        let candle = &mut self.newest[index as usize].0;
        if candle.count > 0 && candle.minute == minute {
            candle.update(tick);
        } else {
            self.start_minute(index, minute, tick);
        }
    }

    #[cold]
    #[inline(never)]
    fn start_minute(&mut self, index: u32, minute: i64, tick: &Tick) {
        let candle = &mut self.newest[index as usize].0;
        if candle.count > 0 {
            self.closed[index as usize].put(*candle);
        }
        *candle = PlainCandle::opened(minute, tick);
    }
}
