//! Repetition of an operation that can fail for a while.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::sleep;

/// Calls `attempt` until it breaks with a result, with a `pause` after each call that continues.
///
/// The state moves through the calls. An async closure that borrows state mutably is not `Send`.
pub(crate) async fn retry<S, T, F>(pause: Duration, mut state: S, mut attempt: impl FnMut(S) -> F) -> T
where
    F: Future<Output = ControlFlow<T, S>>,
{
    loop {
        match attempt(state).await {
            ControlFlow::Break(result) => return result,
            ControlFlow::Continue(next) => state = next,
        }
        sleep(pause).await;
    }
}
