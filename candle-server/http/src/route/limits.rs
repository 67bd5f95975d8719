//! The methods of all routes, and the limits of their queries.

/// The methods that every route supports, as the value of `Allow`.
pub const ALLOW: &str = "GET, HEAD, OPTIONS";
/// Instruments on one page of the listing without `limit`: a few screens.
pub const DEFAULT_LIMIT: u16 = 100;
/// The most instruments on one page of the listing: the response has about 100 KB.
pub const MAX_LIMIT: u16 = 1000;
/// The most instruments in one stream: twice the popular ones, and a first response of at most 150 KB.
pub const MAX_STREAMED: usize = 20;
