//! The catalogue of a feed: the instruments that it announces.

/// States if a feed announces its catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catalogue {
    /// The feed announces every instrument after each connect. Instruments that the feed does not announce are
    /// delisted.
    Announced,
    /// The feed does not announce instruments. An instrument is delisted only if the feed sends its delisting.
    Unannounced,
}
