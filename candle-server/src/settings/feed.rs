//! The value of `--feed`: a feed, or the replicated log of a gateway.

use std::fmt;

#[cfg(feature = "nats")]
use candle_cluster::{LogUrl, LogUrlError};
use candle_feed::source::lines;
use candle_feed::url::{FeedUrl, FeedUrlError};

/// The value of one `--feed`.
pub(super) enum FeedSource {
    /// A feed.
    Feed(FeedUrl),
    /// The log of a gateway.
    #[cfg(feature = "nats")]
    Log(LogUrl),
}

/// Parses the value of `--feed`, and opens a file once to check it. The error repeats no secret.
pub(super) fn source(text: &str) -> Result<FeedSource, String> {
    let invalid = |error: &dyn fmt::Display| format!("invalid value for '--feed <URL>': {error}");
    #[cfg(feature = "nats")]
    if text.starts_with("nats:") || text.starts_with("tls:") {
        return text.parse().map(FeedSource::Log).map_err(|error: LogUrlError| invalid(&error));
    }
    let feed: FeedUrl = text.parse().map_err(|error: FeedUrlError| invalid(&error))?;
    if let FeedUrl::File { path, .. } = &feed {
        lines::open(path).map_err(|error| format!("can't read the feed {feed}: {error}"))?;
    }
    Ok(FeedSource::Feed(feed))
}
