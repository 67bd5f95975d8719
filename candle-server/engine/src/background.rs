//! Runs an async task on its own thread.

use std::io;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// An async task with its own named thread and runtime, so that no other task delays this one.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use candle_engine::background::Background;
///
/// let task = Background::spawn("adder", |stop| async move {
///     let _ = stop.await;
///     1 + 1
/// })?;
/// assert_eq!(task.stop().await?, 2);
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Background<T> {
    name: String,
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<T>,
}

/// The way in which a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The task returned.
    Returned,
    /// The task panicked.
    Panicked,
}

impl<T: Send + 'static> Background<T> {
    /// Starts a thread named `name`, which runs the task that `run` returns.
    ///
    /// The argument of `run` is a receiver that resolves when [`stop`](Self::stop) is called or the handle is dropped.
    ///
    /// # Errors
    /// Returns an error if the runtime or the thread can't be created.
    pub fn spawn<F>(
        name: impl Into<String>,
        run: impl FnOnce(oneshot::Receiver<()>) -> F + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = T>,
    {
        let name = name.into();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let work = move || {
            let result = runtime.block_on(run(stopped));
            // A read of standard input can't be cancelled. Waiting for the read would keep the process alive.
            runtime.shutdown_background();
            // The send fails only if the handle was dropped. A panic drops the sender without a send.
            let _ = end.send(());
            result
        };
        let thread = std::thread::Builder::new().name(name.clone()).spawn(work)?;
        Ok(Self { name, stop, ended, thread })
    }

    /// Waits until the task has ended, and returns the way in which the task ended.
    ///
    /// The method must not be called again after it has returned.
    pub async fn ended(&mut self) -> Ended {
        match (&mut self.ended).await {
            Ok(()) => Ended::Returned,
            Err(_) => Ended::Panicked,
        }
    }

    /// Signals the task to stop, waits until the task has ended, and returns its result.
    ///
    /// # Errors
    /// Returns an error if the task panicked.
    pub async fn stop(self) -> io::Result<T> {
        // The send fails only if the task has ended.
        let _ = self.stop.send(());
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await?;
        joined.map_err(|_| io::Error::other(format!("the thread {} panicked", self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_returns_and_one_that_panics_end_differently() {
        let mut returning = Background::spawn("returning", |_stop| async { 1 }).unwrap();
        assert_eq!(returning.ended().await, Ended::Returned);
        assert_eq!(returning.stop().await.unwrap(), 1);
        let mut panicking = Background::spawn("panicking", |_stop| async { panic!("the panic of the test") }).unwrap();
        assert_eq!(panicking.ended().await, Ended::Panicked);
        let error: io::Result<()> = panicking.stop().await;
        assert_eq!(error.unwrap_err().to_string(), "the thread panicking panicked");
    }
}
