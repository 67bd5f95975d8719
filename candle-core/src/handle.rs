//! The handle of a listed instrument.

/// The position of a listed instrument in one [`Aggregator`](crate::Aggregator). Finds the instrument without hashing or
/// comparing its id.
///
/// The handle of a delisted instrument finds nothing, also after the same id is listed again. A handle is valid only in
/// the aggregator that returned it: another aggregator may store a different instrument at the same position.
///
/// ```
/// use candle_core::{Aggregator, Outcome, Tick, Timestamp};
///
/// let aggregator = Aggregator::default();
/// let handle = aggregator.list("BTC", None)?;
/// let now = Timestamp::EPOCH;
/// assert_eq!(aggregator.record_at(handle, &Tick::new(now, 9.5), now), Outcome::Opened);
/// aggregator.delist("BTC");
/// aggregator.list("BTC", None)?;
/// assert_eq!(aggregator.record_at(handle, &Tick::new(now, 9.5), now), Outcome::UnknownInstrument);
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    pub(crate) stripe: u16,
    pub(crate) slot: u32,
    /// The number of instruments that were delisted from the slot before.
    pub(crate) generation: u32,
}
