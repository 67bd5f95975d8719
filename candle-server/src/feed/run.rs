//! Which feed is read, and what happens when it ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::backoff::Backoff;
use super::intake::Intake;
use super::partner::{Connect, Partner};
use super::url::{FeedUrl, Pace, SocketUrl};
use super::websocket::{Connection, Ended, Frame};
use super::{lines, pace};
use crate::market::Market;

/// Reads the feeds into the market: one at a time, the next in order where one is lost, from the first again after the
/// last. Returns when one came to its end, as files do.
pub async fn run(market: Arc<Market>, feeds: &[FeedUrl]) {
    market.started().await;
    let mut intake = Intake::new(Arc::clone(&market));
    let mut backoff = Backoff::new();
    // The process before may have left what the feed announced to it.
    let last_feed = market.last_feed();
    let mut last_connected = feeds.iter().position(|feed| Some(feed.to_string()) == last_feed);
    loop {
        for (place, feed) in feeds.iter().enumerate() {
            let connect = if last_connected == Some(place) { Connect::Again } else { Connect::Fresh };
            let ended;
            (intake, ended) = Box::pin(read(intake, feed, connect)).await;
            match ended {
                Read::Finished => {
                    tracing::info!(%feed, "the feed came to its end; serving goes on");
                    return;
                }
                Read::Failed(error) => {
                    tracing::error!(%feed, "the feed can't be read on: {error}");
                    return;
                }
                Read::Lost { ended, healthy_for } => {
                    if healthy_for.is_some() {
                        last_connected = Some(place);
                    }
                    let wait = backoff.after(healthy_for.unwrap_or_default(), fastrand::u64(..));
                    tracing::warn!(%feed, reason = ended.reason(), ?wait, "the feed is lost: {ended}");
                    sleep(wait).await;
                }
            }
        }
    }
}

/// How the reading of a feed ended.
enum Read {
    /// There is no more.
    Finished,
    /// A file or standard input broke.
    Failed(std::io::Error),
    /// A socket is gone, or never was there; `healthy_for` tells how long it brought data, if it was connected.
    Lost { ended: Ended, healthy_for: Option<Duration> },
}

async fn read(mut intake: Intake, feed: &FeedUrl, connect: Connect) -> (Intake, Read) {
    let read = match feed {
        FeedUrl::Demo(options) => {
            pace::run(&mut intake, options).await;
            Read::Finished
        }
        FeedUrl::Stdin => finished(lines::run(&mut intake, tokio::io::stdin(), Pace::Full).await),
        FeedUrl::File { path, pace } => match lines::open(path) {
            Ok(file) => finished(lines::run(&mut intake, tokio::fs::File::from_std(file), *pace).await),
            Err(error) => Read::Failed(error),
        },
        FeedUrl::WebSocket(url) => websocket(&mut intake, feed, url).await,
        FeedUrl::Partner { instruments, quotes } => {
            let mut partner = Partner::new(intake);
            let read = Box::pin(partnership(&mut partner, feed, [instruments, quotes], connect)).await;
            return (partner.into_intake(), read);
        }
    };
    (intake, read)
}

fn finished(result: std::io::Result<()>) -> Read {
    match result {
        Ok(()) => Read::Finished,
        Err(error) => Read::Failed(error),
    }
}

/// Reads one WebSocket until it is lost.
async fn websocket(intake: &mut Intake, feed: &FeedUrl, url: &SocketUrl) -> Read {
    let mut connection = match Connection::open(url).await {
        Ok(connection) => connection,
        Err(ended) => return Read::Lost { ended, healthy_for: None },
    };
    tracing::info!(%feed, "connected");
    intake.market().note_feed(&feed.to_string());
    intake.connected();
    loop {
        match connection.run().await {
            Ok(run) => intake.frames(run.iter().map(bytes)),
            Err(ended) => return Read::Lost { ended, healthy_for: Some(connection.healthy_for()) },
        }
    }
}

/// Reads a partner's two WebSockets until either is lost: half a partner is none.
async fn partnership(partner: &mut Partner, feed: &FeedUrl, urls: [&SocketUrl; 2], connect: Connect) -> Read {
    let [instruments, quotes] = urls;
    let opened = tokio::try_join!(Connection::open(instruments), Connection::open(quotes));
    let (mut instruments, mut quotes) = match opened {
        Ok(both) => both,
        Err(ended) => return Read::Lost { ended, healthy_for: None },
    };
    tracing::info!(%feed, "connected");
    let market = Arc::clone(partner.market());
    market.note_feed(&feed.to_string());
    partner.connected(connect, market.clock.elapsed());
    loop {
        let due = partner.deadline().map(|due| due.saturating_sub(market.clock.elapsed()));
        let run = tokio::select! {
            run = instruments.run() => run,
            run = quotes.run() => run,
            () = sleep(due.unwrap_or_default()), if due.is_some() => Ok(&[][..]),
        };
        let now = market.clock.elapsed();
        match run {
            Ok(run) => partner.frames(run.iter().map(bytes), now),
            Err(ended) => {
                let healthy_for = instruments.healthy_for().max(quotes.healthy_for());
                return Read::Lost { ended, healthy_for: Some(healthy_for) };
            }
        }
        partner.pass(now);
    }
}

fn bytes(frame: &Frame) -> Result<&[u8], crate::message::Unreadable> {
    match frame {
        Frame::Text(text) => Ok(text.as_bytes()),
        Frame::Unreadable(reason) => Err(*reason),
    }
}
