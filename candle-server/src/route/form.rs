//! How a history is told: what its query says.

use candle_core::Gaps;

use super::{Refusal, parameter};

/// How candles are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Form {
    /// What happens to minutes without quotes.
    pub gaps: Gaps,
    /// What a candle looks like.
    pub format: Format,
}

/// What a candle looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// All that is known of it, within all that is known of its instrument.
    #[default]
    Full,
    /// What the chart library "lightweight-charts" takes as it is.
    Lightweight,
}

impl Form {
    /// Reads `fill` and `format`.
    pub(super) fn parse(query: &str) -> Result<Self, Refusal> {
        if query.is_empty() {
            return Ok(Self::default());
        }
        let gaps = match parameter(query, "fill")? {
            None => Gaps::Filled,
            Some("none") => Gaps::Omitted,
            Some(_) => return Err(Refusal::Parameter("fill")),
        };
        let format = match parameter(query, "format")? {
            None => Format::Full,
            Some("lightweight") => Format::Lightweight,
            Some(_) => return Err(Refusal::Parameter("format")),
        };
        Ok(Self { gaps, format })
    }
}
