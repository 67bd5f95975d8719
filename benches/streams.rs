//! Ten thousand open streams on one machine: memory, processor time, and the delay of quotes.
//!
//! `cargo bench -p benches --bench streams -- [STREAMS]`. The server runs in a process of its own, so that its memory
//! and time are measured without the clients. It records 20,000 quotes a second of 1,000 instruments. Each stream
//! follows one instrument. Both processes need a file descriptor for each stream: `ulimit -n 20000`.
#![allow(clippy::unwrap_used, reason = "a benchmark that fails has no result")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use candle_core::{Aggregator, RecordContext, Tick, Unlisted};
use candle_http::api::Api;
use candle_http::router::Router;
use candle_http::server::{Limits, Server};
use candle_server::engine::Engine;
use candle_server::engine::clock::{Clock, ClockMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const STREAMS: usize = 10_000;
const INSTRUMENTS: usize = 1_000;
/// The quotes of a batch and the time between batches: 20,000 quotes a second.
const BATCH: usize = 100;
const PACE: Duration = Duration::from_millis(5);
/// The duration of each measurement.
const MEASURED: Duration = Duration::from_secs(15);

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match args.next().as_deref() {
        Some("serve") => serve(args.next().unwrap().parse().unwrap()),
        // `cargo test --all-targets` runs benchmarks without `--bench`. A few streams show that the benchmark works.
        streams => {
            let is_bench = std::env::args().any(|arg| arg == "--bench");
            let all = if is_bench { STREAMS } else { 10 };
            let measured = if is_bench { MEASURED } else { Duration::from_secs(1) };
            measure(streams.map_or(all, |streams| streams.parse().unwrap()), measured);
        }
    }
}

/// The measurements of the server since the last report.
#[derive(Debug)]
struct Report {
    /// Resident memory (bytes).
    memory: u64,
    /// Processor time of the process so far (ms).
    processor: u64,
    /// The delay of a batch of quotes (µs): median, 99th percentile and maximum.
    late: [u64; 3],
}

/// Runs the server. For each line on standard input, it writes a line of measurements.
fn serve(streams: usize) {
    let engine = Arc::new(Engine::new(Aggregator::default(), Clock::new(ClockMode::Wall)));
    let ids: Vec<String> = (0..INSTRUMENTS).map(|number| number.to_string()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    println!("{}", listener.local_addr().unwrap());
    let limits = Limits { connections: streams + 100, ..Limits::default() };
    let api = Api::new(Arc::clone(&engine)).with_streams(streams);
    let server = Arc::new(Server::new(Router::new(api), limits));
    runtime.spawn(server.serve(listener, std::future::pending()));
    let (ask, asked) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || ingest(&engine, &ids, &asked));
    for _ in std::io::stdin().lines() {
        ask.send(()).unwrap();
    }
}

/// Records each batch of quotes when it is due.
fn ingest(engine: &Engine, ids: &[String], asked: &std::sync::mpsc::Receiver<()>) {
    let mut late: Vec<u64> = Vec::new();
    let mut due = Instant::now();
    for number in 0_usize.. {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let now = engine.clock.now();
        let batch: Vec<(&str, Tick)> = (0..BATCH)
            .map(|index| {
                let step = number * BATCH + index;
                (ids[step % ids.len()].as_str(), Tick::new(now, 100.0 + (step % 997) as f64).with_seq(step as u64))
            })
            .collect();
        let context =
            RecordContext { arrival: engine.clock.arrival(), unlisted: Unlisted::List, ..RecordContext::from(now) };
        let _ = engine.aggregator.record_batch(&batch, context);
        late.push(u64::try_from(due.elapsed().as_micros()).unwrap());
        due += PACE;
        if asked.try_recv().is_ok() {
            late.sort_unstable();
            let at = |per_mille: usize| late[(late.len() - 1) * per_mille / 1000];
            println!("{} {} {} {} {}", memory(), processor(), at(500), at(990), at(1000));
            late.clear();
        }
    }
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn processor() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let ticks: u64 = after_name.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    // Linux reports this time in hundredths of a second.
    ticks * 10
}

struct Subject {
    child: Child,
    ask: ChildStdin,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Subject {
    fn start(streams: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["serve", &streams.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (ask, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        Self { child, ask, output, address: line.trim().parse().unwrap() }
    }

    fn report(&mut self) -> Report {
        writeln!(self.ask).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
        Report { memory: numbers[0], processor: numbers[1], late: [numbers[2], numbers[3], numbers[4]] }
    }

    /// Measures for `time`. Returns the last report and the used cores.
    fn during(&mut self, time: Duration) -> (Report, f64) {
        let before = self.report();
        std::thread::sleep(time);
        let after = self.report();
        let cores = (after.processor - before.processor) as f64 / time.as_millis() as f64;
        (after, cores)
    }
}

fn measure(streams: usize, measured: Duration) {
    let mut subject = Subject::start(streams);
    // The server has listed every instrument after this time.
    std::thread::sleep(Duration::from_secs(1));
    let (idle, idle_cores) = subject.during(measured);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let events = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let address = subject.address;
    let clients = {
        let (events, stop) = (Arc::clone(&events), Arc::clone(&stop));
        std::thread::spawn(move || runtime.block_on(follow(address, streams, &events, &stop)))
    };
    let start = Instant::now();
    while events.load(Ordering::Relaxed) < 2 * streams as u64 {
        assert!(start.elapsed() < Duration::from_mins(2), "not every stream opens; check ulimit -n");
        std::thread::sleep(Duration::from_millis(100));
    }
    let before = events.load(Ordering::Relaxed);
    let (busy, busy_cores) = subject.during(measured);
    let rate = (events.load(Ordering::Relaxed) - before) as f64 / measured.as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    clients.join().unwrap();
    let each = (busy.memory.saturating_sub(idle.memory)) as f64 / streams as f64 / 1024.0;
    println!("{streams} streams, {:.0} quotes/s of {INSTRUMENTS} instruments", BATCH as f64 / PACE.as_secs_f64());
    println!("memory            {each:8.1} KiB a stream ({} MiB in all)", busy.memory >> 20);
    println!("events            {rate:8.0} a second, {:.2} a stream", rate / streams as f64);
    println!("processor         {idle_cores:8.2} cores without streams, {busy_cores:.2} with them");
    println!("                  {:8.1} µs an event", (busy_cores - idle_cores) * 1e6 / rate.max(1.0));
    for (name, report) in [("without", &idle), ("with", &busy)] {
        let [median, high, worst] = report.late;
        println!(
            "a batch is late   {median:8} µs at the median, {high} at the 99th percentile, {worst} at worst, {name} streams"
        );
    }
    let _ = subject.child.kill();
    let _ = subject.child.wait();
    let _ = subject.output.read(&mut [0; 1]);
}

/// Opens the streams in turn and counts their events until `stop`.
async fn follow(address: SocketAddr, streams: usize, events: &Arc<AtomicU64>, stop: &AtomicBool) {
    for number in 0..streams {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let path = format!("/instruments/{}/stream", number % INSTRUMENTS);
        socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes()).await.unwrap();
        let events = Arc::clone(events);
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            loop {
                match socket.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    // Each event has one line with this prefix. A prefix split between two reads is not counted.
                    Ok(read) => {
                        let found = buffer[..read].windows(6).filter(|window| window == b"data: ").count();
                        events.fetch_add(found as u64, Ordering::Relaxed);
                    }
                }
            }
        });
    }
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
