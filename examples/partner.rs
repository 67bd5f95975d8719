//! A mock of the two-socket partner, which sends random instruments and quotes.
//!
//! ```sh
//! cargo run --example partner -- --port 8032
//! cargo run --release -- --feed partner+ws://127.0.0.1:8032      # in another terminal
//! ```

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use clap::Parser;
use examples::partner::{Partner, RandomSession, SessionOptions};
use examples::rate::{Rate, parse_duration};
use tokio::signal::ctrl_c;

/// Serves ws://HOST:PORT/instruments and ws://HOST:PORT/quotes.
#[derive(Debug, Parser)]
#[command(name = "partner")]
struct Options {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port to listen on; 0 selects a free one
    #[arg(long, default_value_t = 8032)]
    port: u16,
    /// The seed of the instruments and prices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of instruments at the start, and on average
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    instruments: u32,
    /// The rate of quotes of all instruments together, such as 100/s or 5000/min
    #[arg(long, default_value = "100/s")]
    rate: Rate,
    /// The mean time between an ADD or DELETE and the next, such as 30s or 500ms; 0 for none
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    churn: Duration,
    /// The percentage of ADDs that follow a first quote, and of DELETEs that precede a last one
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    disorder: u8,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Options { host, port, seed, instruments, rate, churn, disorder } = Options::parse();
    let churn = Some(churn).filter(|mean| !mean.is_zero());
    let partner =
        Partner::bind((host, port)).await.map_err(|error| format!("cannot listen on {host}:{port}: {error}"))?;
    println!("partner listens on ws://{}", partner.addr());

    tokio::select! {
        () = partner.play(RandomSession::new(SessionOptions { seed, instruments, rate, churn, disorder })) => {}
        stopped = ctrl_c() => stopped?,
    }
    partner.shutdown().await;
    Ok(())
}
