//! What truly happens in the simulated engine: quotes that depend on the seed and the moment alone, so that every feed
//! tells of the same.

use fastrand::Rng;

use super::Millis;

/// Time between two moments at which quotes are made: so often that a feed is missed after the shortest silence_timeout.
pub(super) const STEP: Millis = 60;
/// How many instruments there are at a time.
const INSTRUMENTS: u64 = 6;
/// How many of them are others after a restart.
const REPLACED: u64 = 3;
/// The start of a life, in milliseconds since the epoch: within a minute.
pub(super) const EPOCH: Millis = 1_600_000_000_000;

/// One quote as it was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Made {
    pub(super) id: u64,
    pub(super) price: f64,
    /// Its step, which is its sequence number too.
    pub(super) seq: u64,
}

impl Made {
    /// When it was made, in milliseconds since the epoch.
    pub(super) const fn time(self) -> Millis {
        EPOCH + self.seq * STEP
    }

    /// Its message in an array.
    pub(super) fn json(self) -> String {
        let Self { id, price, seq } = self;
        let (seconds, millis) = (self.time() / 1000, self.time() % 1000);
        format!(r#"{{"id":{id},"price":{price},"timestamp":{seconds}.{millis:03},"size":1,"seq":{seq}}}"#)
    }
}

/// The instruments of a feed that has restarted so often.
pub(super) fn instruments(era: u64) -> std::ops::Range<u64> {
    REPLACED * era..REPLACED * era + INSTRUMENTS
}

/// The quotes of one step, at least one, for these instruments.
pub(super) fn quotes(seed: u64, step: u64, era: u64) -> impl Iterator<Item = Made> {
    instruments(era).filter_map(move |id| {
        let mut random = Rng::with_seed(seed ^ (step << 20) ^ (id << 40));
        let is_made = id % INSTRUMENTS == step % INSTRUMENTS || random.u8(..8) == 0;
        // A quarter is exact in binary: sums don't depend on the order.
        is_made.then(|| Made { id, price: 100.0 + 0.25 * f64::from(random.u16(..400)), seq: step })
    })
}
