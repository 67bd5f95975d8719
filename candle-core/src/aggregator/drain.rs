//! The delivery of closed candles.

use super::Aggregator;
use crate::instrument_id::InstrumentId;
use crate::time::Timestamp;
use crate::window_candle::WindowCandle;

impl Aggregator {
    /// Calls `each` with every candle that closed until `now`, exactly once, and once more after each change by a late tick.
    /// Of one instrument, older candles come first.
    ///
    /// - A candle is delivered in the first call whose `now` is at or after its close time: [`Final`](crate::State::Final),
    ///   or [`Revised`](crate::State::Revised) if a late tick changed it. If late ticks change a delivered candle, the next
    ///   call delivers it again, `Revised`, with all of them.
    /// - The first call delivers the closed candles that are in the rings, and starts the delivery. From then on, candles
    ///   that leave the window before a call are stored until it, so call this at least once a window.
    /// - Candles survive delisting. One that was forming is delivered when its interval is over. Before the first call, at
    ///   most 256 candles of delisted instruments are stored for each stripe.
    /// - A call never goes back: ticks that are recorded later at an earlier `now` are late for the candles of this call.
    /// - [`clear_candles`](Self::clear_candles) drops what was not delivered, and deliveries start afresh.
    ///
    /// A call takes a moment for each stripe. In addition, it reads each instrument once if an interval was over since the
    /// last call, and the changed instruments if there were late ticks. No lock is held while `each` runs.
    ///
    /// ```
    /// use candle_core::{Aggregator, State, Tick, Timestamp};
    ///
    /// let aggregator = Aggregator::default();
    /// let btc = aggregator.list("BTC", None)?;
    /// let at = |second: i64| Timestamp::from_seconds(second).unwrap();
    /// let drained = |now| {
    ///     let mut drained = Vec::new();
    ///     aggregator.drain_closed(now, |id, candle| drained.push((id.to_string(), candle.close, candle.state)));
    ///     drained
    /// };
    /// let _ = aggregator.record_at(btc, &Tick::new(at(5), 10.0), at(5));
    /// assert_eq!(drained(at(59)), []);
    /// assert_eq!(drained(at(60)), [("BTC".to_owned(), 10.0, State::Final)]);
    /// let _ = aggregator.record_at(btc, &Tick::new(at(30), 11.0), at(61));
    /// assert_eq!(drained(at(62)), [("BTC".to_owned(), 11.0, State::Revised)]);
    /// assert_eq!(drained(at(63)), []);
    /// # Ok::<(), candle_core::ListError>(())
    /// ```
    pub fn drain_closed(&self, now: Timestamp, mut each: impl FnMut(&InstrumentId, &WindowCandle)) {
        let mut drained = Vec::new();
        for (_, mut stripe) in self.stripes.lock_each() {
            stripe.drain_closed(now, &mut drained);
            drop(stripe);
            drained.drain(..).for_each(|(id, candle)| each(&id, &candle));
        }
    }
}
