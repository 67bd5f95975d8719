//! The value of `--feed`.

use candle_feed::source::lines;
use candle_feed::url::{FeedUrl, FeedUrlError};

/// Parses a feed, and opens a file once to check it. The error repeats no secret.
pub(super) fn feed(text: &str) -> Result<FeedUrl, String> {
    let feed: FeedUrl =
        text.parse().map_err(|error: FeedUrlError| format!("invalid value for '--feed <URL>': {error}"))?;
    if let FeedUrl::File { path, .. } = &feed {
        lines::open(path).map_err(|error| format!("can't read the feed {feed}: {error}"))?;
    }
    Ok(feed)
}
