//! The simulated quotes. They depend only on the seed and the time, so that all feeds deliver equal quotes.

use fastrand::Rng;

use super::Millis;

/// The interval between two steps with quotes, in milliseconds. It is much shorter than the shortest silence timeout of
/// 2 s.
pub(super) const STEP: Millis = 60;
/// The number of instruments of a feed at any time.
const INSTRUMENTS: u64 = 6;
/// The number of instruments that a restart of a feed replaces.
const REPLACED: u64 = 3;
/// The start of a run, in milliseconds since the epoch. The start is inside a minute.
pub(super) const START: Millis = 1_600_000_000_000;

/// One simulated quote.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SimulatedQuote {
    pub(super) id: u64,
    pub(super) price: f64,
    /// The number of the step, which is also the sequence number.
    pub(super) seq: u64,
}

impl SimulatedQuote {
    /// Returns the time of the quote, in milliseconds since the epoch.
    pub(super) const fn time(self) -> Millis {
        START + self.seq * STEP
    }

    /// Returns the quote as a JSON message.
    pub(super) fn json(self) -> String {
        let Self { id, price, seq } = self;
        let (seconds, millis) = (self.time() / 1000, self.time() % 1000);
        format!(r#"{{"id":{id},"price":{price},"timestamp":{seconds}.{millis:03},"size":1,"seq":{seq}}}"#)
    }
}

/// Returns the instruments of a feed after `restarts` restarts.
pub(super) fn instruments(restarts: u64) -> std::ops::Range<u64> {
    REPLACED * restarts..REPLACED * restarts + INSTRUMENTS
}

/// Returns the quotes of one step, at least one, of a feed after `restarts` restarts.
pub(super) fn quotes(seed: u64, step: u64, restarts: u64) -> impl Iterator<Item = SimulatedQuote> {
    instruments(restarts).filter_map(move |id| {
        let mut random = Rng::with_seed(seed ^ (step << 20) ^ (id << 40));
        let is_quoted = id % INSTRUMENTS == step % INSTRUMENTS || random.u8(..8) == 0;
        // Quarters are exact in binary, so sums do not depend on the order.
        is_quoted.then(|| SimulatedQuote { id, price: 100.0 + 0.25 * f64::from(random.u16(..400)), seq: step })
    })
}
