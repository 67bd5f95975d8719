//! Throughput from a WebSocket into candles: a loopback socket that is always full, read by the server's feed supervisor.
//!
//! `cargo bench -p benches --bench socket`. The first figure is quotes per second of processor time of the one thread
//! that reads, decodes and records: the throughput of one core.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Aggregator;
use candle_server::engine::Engine;
use candle_server::engine::clock::{Clock, ClockMode};
use candle_server::feed;
use tokio_tungstenite::tungstenite;

use benches::common::median;

const INSTRUMENTS: usize = 50_000;
/// The number of quotes in the buffer that is sent repeatedly.
const QUOTES: usize = 200_000;
const TIME: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;

/// Returns the frames of a stream, unmasked as a server sends them, with `in_frame` quotes each.
fn frames(in_frame: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in 0..QUOTES / in_frame {
        let quotes: Vec<String> = (0..in_frame)
            .map(|place| {
                let n = (frame * in_frame + place) * 7919;
                format!("{{\"id\":{},\"price\":{}.{:02}}}", n % INSTRUMENTS, 10 + n % 990, n / 7 % 100)
            })
            .collect();
        let text = if in_frame == 1 { quotes.concat() } else { format!("[{}]", quotes.join(",")) };
        bytes.push(0x81);
        match u16::try_from(text.len()) {
            Ok(length @ 0..=125) => bytes.push(length.to_le_bytes()[0]),
            Ok(length) => {
                bytes.push(126);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => unreachable!("frames are short here"),
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// Returns the processor time of a thread in seconds. The system counts in hundredths.
fn processor_time(thread: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Returns millions of quotes per second of wall time, and per second of processor time of the reader.
fn measure(bytes: &[u8]) -> (f64, f64) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("bound")).parse().expect("a feed");
    let engine = Arc::new(Engine::new(Aggregator::default(), Clock::new(ClockMode::Wall)));
    engine.start();
    let (told, thread) = std::sync::mpsc::channel();
    let reader = Arc::clone(&engine);
    std::thread::scope(|scope| {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        scope.spawn(move || {
            let path = std::fs::read_link("/proc/thread-self").expect("Linux");
            let name = path.file_name().expect("a thread").to_string_lossy().into_owned();
            told.send(name).expect("someone listens");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let feeds = [url];
            runtime.block_on(async {
                tokio::select! {
                    () = feed::run(reader, &feeds) => {}
                    _ = ended => {}
                }
            });
        });
        let thread = thread.recv().expect("a thread");
        let (socket, _) = listener.accept().expect("the feed connects");
        let mut socket = tungstenite::accept(socket).expect("a handshake").into_inner();
        let mut send = |time: Duration| {
            let began = Instant::now();
            while began.elapsed() < time {
                socket.write_all(bytes).expect("the feed reads on");
            }
        };
        // The first quotes list the instruments.
        send(TIME / 4);
        let before = (engine.aggregator.outcomes().accepted(), processor_time(&thread), Instant::now());
        send(TIME);
        let quotes = (engine.aggregator.outcomes().accepted() - before.0) as f64 / 1e6;
        let by_clock = quotes / before.2.elapsed().as_secs_f64();
        let by_processor = quotes / (processor_time(&thread) - before.1);
        drop(end);
        drop(socket);
        (by_clock, by_processor)
    })
}

fn main() {
    println!("| frames | M quotes/s of one core | M quotes/s by the clock, the sender beside it |\n|---|---|---|");
    let kinds = [("single messages", 1), ("arrays of 10", 10), ("arrays of 100", 100)];
    let streams = kinds.map(|(_, in_frame)| frames(in_frame));
    let mut figures = kinds.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (bytes, figures) in streams.iter().zip(&mut figures) {
            figures.push(measure(bytes));
        }
    }
    for ((name, _), figures) in kinds.iter().zip(&figures) {
        let by_clock = median(figures.iter().map(|figure| figure.0).collect());
        let by_processor = median(figures.iter().map(|figure| figure.1).collect());
        println!("| {name} | {by_processor:.2} | {by_clock:.2} |");
    }
}
