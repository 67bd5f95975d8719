//! Parses the values of `--feed`.

use candle_feed::source::lines;
use candle_feed::url::{FeedUrl, FeedUrlError};

/// Parses the URL of a feed. If the feed is a file, checks that the file can be opened. The error contains no secret.
pub(super) fn feed(text: &str) -> Result<FeedUrl, String> {
    let feed: FeedUrl =
        text.parse().map_err(|error: FeedUrlError| format!("invalid value for '--feed <URL>': {error}"))?;
    if let FeedUrl::File { path, .. } = &feed {
        lines::open(path).map_err(|error| format!("can't read the feed {feed}: {error}"))?;
    }
    Ok(feed)
}
