//! Repeats an operation until it succeeds or can never succeed.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::sleep;

/// Calls `attempt` until it returns [`ControlFlow::Break`], and returns the result. Waits for `pause` between two
/// calls.
///
/// Each call gets the `state` that the previous call returned with [`ControlFlow::Continue`]. The state is passed by
/// value, because an async closure that borrows state mutably is not `Send`.
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
