//! The bound: a vector of candles with one owner, no lock, no look-up, no judgement. What the memory allows.

use candle_core::Tick;

use super::bar::{Bar, Ring, minute_of};

/// The newest candles of all instruments side by side, the closed ones out of the way.
#[derive(Debug)]
pub struct Bound {
    newest: Vec<Slot>,
    closed: Vec<Ring>,
}

/// One cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Slot(Bar);

impl Bound {
    /// Room for this many instruments.
    pub fn new(instruments: usize) -> Self {
        Self { newest: vec![Slot::default(); instruments], closed: vec![Ring::default(); instruments] }
    }

    /// Folds a tick of the instrument at `place` in.
    #[inline]
    pub fn record(&mut self, place: u32, tick: &Tick) {
        let minute = minute_of(tick);
        let bar = &mut self.newest[place as usize].0;
        if bar.count > 0 && bar.minute == minute {
            bar.update(tick);
        } else {
            self.turn(place, minute, tick);
        }
    }

    #[cold]
    #[inline(never)]
    fn turn(&mut self, place: u32, minute: i64, tick: &Tick) {
        let bar = &mut self.newest[place as usize].0;
        if bar.count > 0 {
            self.closed[place as usize].put(*bar);
        }
        *bar = Bar::opened(minute, tick);
    }
}
