//! A WebSocket server that sends quotes of random walks, on a clock of its own.
//!
//! ```sh
//! cargo run --example instrument_stream -- --port 8033
//! cargo run --release -- --feed ws://127.0.0.1:8033 --clock feed      # in another terminal
//! ```

use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use candle_core::Timestamp;
use candle_server::feed::source::demo::{Demo, DemoOptions, DemoQuote};
use clap::Parser;
use examples::rate::Rate;
use examples::websocket::{Channel, Frame, Server};
use serde_json::json;
use tokio::signal::ctrl_c;
use tokio::time::{Instant, sleep_until};

/// Sends quotes to every client of ws://HOST:PORT, on any path; each frame is one quote.
#[derive(Debug, Parser)]
#[command(name = "instrument_stream")]
struct Options {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port to listen on; 0 selects a free one
    #[arg(long, default_value_t = 8033)]
    port: u16,
    /// The number of instruments; the ids are 0 and following
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    instruments: u32,
    /// The rate of quotes of all instruments together, such as 100/s or 5000/min
    #[arg(long, default_value = "5000/min")]
    rate: Rate,
    /// The speed of the stream's clock: its seconds per second. The clock starts at the present time
    #[arg(long, default_value = "50", value_parser = parse_speed)]
    speed: f64,
    /// The seed of the prices
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Options { host, port, instruments, rate, speed, seed } = Options::parse();
    let quotes = Demo::new(&DemoOptions { instruments, rate: rate.per_second(), speed, seed }, wall_clock()?);

    let channel = Channel::new();
    let subscribe = {
        let channel = channel.clone();
        move |_path: &str| Some(channel.subscribe(Vec::new()))
    };
    let server = Server::bind((host, port), subscribe)
        .await
        .map_err(|error| format!("cannot listen on {host}:{port}: {error}"))?;
    println!("instrument stream listens on ws://{}", server.addr());

    tokio::select! {
        () = send(&channel, quotes, rate.gap()) => {}
        stopped = ctrl_c() => stopped?,
    }
    server.shutdown().await;
    Ok(())
}

/// Sends one quote every `gap`, and catches up after a delay.
async fn send(channel: &Channel, quotes: Demo, gap: Duration) {
    let mut due = Instant::now();
    for quote in quotes {
        sleep_until(due).await;
        channel.send(to_frame(quote));
        due += gap;
    }
}

fn to_frame(DemoQuote { instrument, price, time }: DemoQuote) -> Frame {
    let seconds = time.as_micros() as f64 / 1e6;
    Frame::text(json!({ "id": instrument, "price": price, "timestamp": seconds }).to_string())
}

fn wall_clock() -> Result<Timestamp, Box<dyn Error>> {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    Timestamp::from_micros(micros.try_into()?).ok_or_else(|| "the clock is set after the year 9999".into())
}

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if speed > 0.0 && speed <= 1e6 => Ok(speed),
        _ => Err("expected a number above 0 and at most 1000000".to_owned()),
    }
}
