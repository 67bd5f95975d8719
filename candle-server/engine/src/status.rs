//! The freshness of one instrument.

use std::time::Duration;

/// An instrument with a quote this recent is live: 15 s. At two quotes a second each, 50,000 instruments raise less than
/// one false alarm a day.
pub const STALE_AFTER: Duration = Duration::from_secs(15);

/// The usual gaps that an instrument may miss: among random arrivals, one gap in 20,000 is this long.
const USUAL_GAPS: u32 = 10;

/// The freshness of an instrument's candles, from the time since its last quote arrived.
///
/// ```
/// assert_eq!(candle_engine::status::Status::Live.name(), "live");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Quotes arrive.
    Live,
    /// No quote has arrived for a while.
    Stale,
    /// No quote has ever arrived.
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

/// Returns the quote age up to which an instrument stays live while the feed delivers, from its usual gap.
pub(crate) fn live_for(usual_gap: Option<Duration>) -> Duration {
    STALE_AFTER.max(usual_gap.unwrap_or_default().saturating_mul(USUAL_GAPS))
}
