//! The status of one instrument: live, stale or never.

use std::time::Duration;

/// The age of the last quote up to which an instrument is live: 15 s.
///
/// With 50,000 instruments at two quotes per second each, fewer than one instrument per day is stale by chance.
pub const STALE_AFTER: Duration = Duration::from_secs(15);

/// The multiple of the usual time between quotes after which an instrument is stale: 10.
///
/// If quotes arrive at random, one pause between quotes in 20,000 is this long.
const USUAL_GAPS: u32 = 10;

/// The status of an instrument, computed from the time since its last quote arrived.
///
/// ```
/// assert_eq!(candle_engine::status::Status::Live.name(), "live");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The last quote is recent, or the instrument is quoted rarely and the feed delivers.
    Live,
    /// The last quote is older than usual, or was restored from a store.
    Stale,
    /// No quote has been recorded.
    Never,
}

impl Status {
    /// All statuses, in declaration order.
    pub const ALL: [Self; 3] = [Self::Live, Self::Stale, Self::Never];

    /// Returns the name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Never => "never",
        }
    }
}

/// Returns the quote age up to which an instrument is live while the feed delivers.
///
/// `usual_gap` is the usual time between two quotes of the instrument.
pub(crate) fn live_for(usual_gap: Option<Duration>) -> Duration {
    STALE_AFTER.max(usual_gap.unwrap_or_default().saturating_mul(USUAL_GAPS))
}
