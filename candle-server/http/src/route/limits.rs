//! The methods that all routes support, and the limits of the query parameters.

/// The methods that every route supports, as the value of `Allow`.
pub const ALLOW: &str = "GET, HEAD, OPTIONS";
/// The default number of instruments on one page of the listing: a few screens of text.
pub const DEFAULT_LIMIT: u16 = 100;
/// The most instruments on one page of the listing. The response then has about 100 KB.
pub const MAX_LIMIT: u16 = 1000;
/// The most instruments in one stream. The snapshots of 20 instruments have at most 150 KB.
pub const MAX_STREAMED: usize = 20;
