//! Shares one aggregator between tokio tasks: a feed records, a timer prints closed candles, a reader prints the last ones.
//!
//!     cargo run --example tokio_shared

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use candle_core::{Aggregator, Config, Gaps, Interval, Tick, Timestamp};
use tokio::time::{interval, sleep};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    // No call waits for longer than a few dozen nanoseconds, so none needs `spawn_blocking`.
    let aggregator = Arc::new(Aggregator::new(Config::default().with_interval(Interval::SECOND).with_window(600)?));
    let btc = aggregator.list("BTC-USD", None)?;

    let feed = tokio::spawn({
        let aggregator = Arc::clone(&aggregator);
        async move {
            for number in 0..40 {
                let now = now();
                let price = 87_000.0 + f64::from(number % 7);
                let _ = aggregator.record_at(btc, &Tick::new(now, price).with_size(0.01), now);
                sleep(Duration::from_millis(100)).await;
            }
        }
    });
    let closed = tokio::spawn({
        let aggregator = Arc::clone(&aggregator);
        async move {
            let mut timer = interval(Duration::from_millis(200));
            loop {
                timer.tick().await;
                aggregator.drain_closed(now(), |id, candle| println!("closed {id} {candle}"));
            }
        }
    });
    feed.await?;
    closed.abort();
    for candle in aggregator.last("BTC-USD", 3, now(), Gaps::Filled).unwrap_or_default() {
        println!("last   {candle}, {}", candle.state.name());
    }
    Ok(())
}

fn now() -> Timestamp {
    SystemTime::now().into()
}
