//! A price stream on standard output: half an hour of the past at once, then `RATE` quotes a second.
//!
//! `quotes INSTRUMENTS RATE | candle-server --feed stdin:`. The stream ends when the pipe is closed or a byte arrives on
//! standard input. The number of quotes and the maximum delay are written to standard error.

use std::error::Error;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Minutes of the past. Each has one quote of each instrument.
const PAST: u64 = 30;
/// The time between two writes of due quotes.
const STEP: Duration = Duration::from_millis(10);
/// The start of the stream in seconds since the epoch, at a full minute.
const START: u64 = 1_742_944_020;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, instruments, rate] = arguments.as_slice() else { return Err("usage: quotes INSTRUMENTS RATE".into()) };
    let (instruments, rate) = (instruments.parse::<u64>()?, rate.parse::<u64>()?);
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopped);
    std::thread::spawn(move || {
        // A byte and the end of input both mean stop.
        let _ = std::io::stdin().read(&mut [0]);
        flag.store(true, Ordering::Relaxed);
    });
    let mut stream = Stream { random: 88_172_645_463_325_252, lines: Vec::new() };
    let mut out = std::io::stdout();
    for minute in 0..PAST {
        for id in 0..instruments {
            stream.quote(id, START + 60 * minute, id * 59_000_000 / instruments);
        }
        stream.send(&mut out)?;
    }
    let began = Instant::now();
    let (mut sent, mut latest) = (0, Duration::ZERO);
    while !stopped.load(Ordering::Relaxed) {
        let elapsed = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let due = elapsed.saturating_mul(rate) / 1_000_000;
        while sent < due {
            let micros = sent * 1_000_000 / rate;
            let id = stream.next() % instruments;
            stream.quote(id, START + 60 * PAST + micros / 1_000_000, micros % 1_000_000);
            sent += 1;
        }
        if stream.send(&mut out).is_err() {
            break;
        }
        // The delay of a write: from the due time of its first quote until the reader has accepted the last.
        let moment = Duration::from_micros((due * 1_000_000).checked_div(rate).unwrap_or(u64::MAX));
        latest = latest.max(began.elapsed().saturating_sub(moment));
        std::thread::sleep(STEP);
    }
    eprintln!("{sent} quotes, the latest {} ms late", latest.as_millis());
    Ok(())
}

struct Stream {
    random: u64,
    lines: Vec<u8>,
}

impl Stream {
    /// The generator of Marsaglia, "Xorshift RNGs" (2003).
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn quote(&mut self, id: u64, second: u64, micros: u64) {
        let price = 10_000 + self.next() % 100_000;
        let (whole, cents) = (price / 100, price % 100);
        // A write to memory cannot fail.
        let _ = writeln!(self.lines, "{{\"id\":{id},\"price\":{whole}.{cents:02},\"timestamp\":{second}.{micros:06}}}");
    }

    fn send(&mut self, out: &mut impl Write) -> std::io::Result<()> {
        out.write_all(&self.lines)?;
        self.lines.clear();
        out.flush()
    }
}
