//! More than one machine: the same server on a log that NATS JetStream keeps.
//!
//! A gateway writes what its feed brings into the log; read nodes fold the log and serve. Everyone sees the same
//! messages in the same order, and what they hold is a function of these messages alone: candles, catalogue, views and
//! coverage, judged by the `now` that the messages carry. So all nodes give the same answers, whoever wrote, and a
//! checkpoint of one is a checkpoint of all.

mod begin;
mod checkpoint;
mod delivery;
mod follower;
mod gateway;
mod log;
mod message;
mod outbox;
mod overlap;
mod reader;
mod tail;
mod url;
mod views;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};

use begin::{Role, Way};
pub use log::{Access, Identity, Keeping};
pub use url::{LogUrl, LogUrlError};

use crate::Listeners;
use crate::engine::Engine;
use crate::feed::url::FeedUrl;
use crate::journal::Journal;
use crate::settings::Settings;

/// The way to the log, on a thread of its own.
#[derive(Debug)]
pub struct Linked {
    stop: oneshot::Sender<()>,
    broken: oneshot::Receiver<()>,
    /// What was read last; no one writes here where nothing is read.
    engines: watch::Receiver<Option<Arc<Engine>>>,
    thread: JoinHandle<Result<(), String>>,
}

impl Linked {
    fn spawn<F>(
        engines: watch::Receiver<Option<Arc<Engine>>>,
        run: impl FnOnce(oneshot::Receiver<()>) -> F + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = Result<(), String>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (ended, broken) = oneshot::channel();
        let work = move || {
            let result = runtime.block_on(run(stopped));
            runtime.shutdown_background();
            // Fails only if nobody serves any more.
            let _ = ended.send(());
            result
        };
        let thread = std::thread::Builder::new().name("log".into()).spawn(work)?;
        Ok(Self { stop, broken, engines, thread })
    }

    /// Waits for another engine than the last one that was read, as its log had to be begun anew; `None` where the way
    /// has ended by itself, which it does only where it can't go on.
    async fn next_engine(&mut self) -> Option<Arc<Engine>> {
        // Nobody writes here where nothing is read, or where it has ended.
        while self.engines.changed().await.is_ok() {
            if let Some(engine) = self.engines.borrow_and_update().clone() {
                return Some(engine);
            }
        }
        // Gone without a word only where it panicked: that is no less broken.
        let _ = (&mut self.broken).await;
        None
    }

    /// Tells the log what is left to tell. Blocks while it does.
    ///
    /// # Errors
    /// Where it had to end before, for the reason why.
    pub fn stop(self) -> io::Result<()> {
        // Fails only if it is gone, which the join tells.
        let _ = self.stop.send(());
        let ended = self.thread.join().map_err(|_| io::Error::other("the way to the log panicked"))?;
        ended.map_err(io::Error::other)
    }
}

fn way(settings: &Settings, url: &LogUrl, role: Role) -> Way {
    Way { url: url.clone(), access: settings.nats.access(), role, core: settings.core(), node: fastrand::u64(..) }
}

/// The engine that the log at `url` makes, once it is caught up; whoever connects to `listeners` meanwhile hears that it
/// is not.
///
/// # Errors
/// Where the log will not do, or no thread can be started.
pub(crate) async fn read(
    listeners: &Listeners,
    settings: &Settings,
    url: &LogUrl,
) -> io::Result<(Arc<Engine>, Linked)> {
    let mut starting = candle_http::starting::serve(listeners, "The server is catching up with the log.")?;
    let (settings, url) = (settings.clone(), url.clone());
    let feeds = settings.clone();
    let way = move || way(&settings, &url, Role::Reader);
    let feeds = move || feeds.watched().with_log_coverage();
    let (shown, engines) = watch::channel(None);
    let mut linked =
        Linked::spawn(engines, move |stop| async move { reader::Node::new(way, feeds, shown, stop).run().await })?;
    let engine = linked.next_engine().await;
    starting.shutdown().await;
    if let Some(engine) = engine {
        return Ok((engine, linked));
    }
    let ended = tokio::task::spawn_blocking(move || linked.stop()).await?;
    Err(ended.err().unwrap_or_else(|| io::Error::other("the log ended before it was read")))
}

/// The journal of a engine that is to be written to a log: numbers of arrival are known by their size there.
pub(crate) fn journal() -> Journal {
    Journal::new(message::ARRIVAL_NUMBERS, None)
}

/// Writes what `journal` gathers of `engine` to the log at `url`, while no other gateway does.
///
/// # Errors
/// Where no thread can be started.
pub(crate) fn write(
    engine: Arc<Engine>,
    journal: Arc<Journal>,
    settings: &Settings,
    url: &LogUrl,
) -> io::Result<Linked> {
    let way = way(settings, url, Role::Gateway(settings.nats.keeping()));
    let announces = |feed: &FeedUrl| matches!(feed, FeedUrl::Partner { .. });
    let catalogue =
        if settings.feeds.iter().all(announces) { gateway::Catalogue::Whole } else { gateway::Catalogue::None };
    let (_, nothing) = watch::channel(None);
    Linked::spawn(nothing, move |stop| gateway::Gateway::new(engine, journal, way, catalogue).run(stop))
}

/// Serves `listeners` out of `engine`, and out of the next one wherever the log had to be begun anew, until `shutdown` or
/// until the way to the log has ended. At such a turn connections stay; streams end, and are opened again by their clients.
///
/// # Errors
/// As [`crate::serve_engine`]'s and [`Linked::stop`]'s.
pub(crate) async fn serve(
    engine: Arc<Engine>,
    mut linked: Linked,
    listeners: Listeners,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (turn, shown) = watch::channel(engine);
    let shutdown = async {
        let turning = async {
            while let Some(next) = linked.next_engine().await {
                turn.send_replace(next);
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = turning => {}
        }
    };
    let served = crate::serve_shown(shown, listeners, settings, shutdown).await;
    tokio::task::spawn_blocking(move || linked.stop()).await??;
    served
}
