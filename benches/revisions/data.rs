//! Ticks for both revisions.

use std::fs;

/// The number of ticks in one pass.
pub(crate) const TICKS: usize = 1 << 17;

/// The number of real trades in one round. The next round has the next trades, so that no branch predictor learns them, and
/// the trades of both revisions fit a second-level cache.
pub(crate) const TRADES: usize = 20_000;

/// A tick without a type of either revision.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) instrument: usize,
    pub(crate) micros: i64,
    pub(crate) seq: u64,
    pub(crate) price: f64,
    pub(crate) size: f64,
}

/// Reads trades of one instrument from a CSV file with milliseconds, price and size.
pub(crate) fn trades(path: &str) -> Vec<Row> {
    let text = fs::read_to_string(path).expect("the file of trades is readable");
    let rows = text.lines().skip(1).zip(1..).map(|(line, seq)| {
        let mut fields = line.split(',').map(|field| field.parse::<f64>().expect("each field is a number"));
        let mut next = || fields.next().expect("each line has three fields");
        Row { instrument: 0, micros: next() as i64 * 1_000, seq, price: next(), size: next().abs() }
    });
    rows.collect()
}

/// Returns the same trades, 60 ms apart.
pub(crate) fn with_distinct_times(rows: &[Row]) -> Vec<Row> {
    let first = rows[0].micros;
    rows.iter().zip(0..).map(|(row, n)| Row { micros: first + n * 60_011, ..*row }).collect()
}

/// Ticks of many instruments in runs of one instrument, 120 a minute for each instrument.
pub(crate) struct Feed {
    pub(crate) ids: Vec<String>,
    pub(crate) rows: Vec<Row>,
    /// The ids of all ticks one after another, as in the buffer of a socket.
    text: &'static str,
    /// The resolution of times.
    micros: i64,
    passes: usize,
}

const ID_BYTES: usize = 12;

impl Feed {
    pub(crate) fn new(instruments: usize, mean_run: u64, micros: i64) -> Self {
        let ids: Vec<String> =
            (0..instruments).map(|n| format!("{n:06X}{:06X}", Prng(n as u64).next() >> 40)).collect();
        let mut prng = Prng(7);
        let mut instrument = 0;
        let rows: Vec<Row> = (0..TICKS)
            .map(|n| {
                if n == 0 || prng.below(mean_run) == 0 {
                    instrument = prng.below(instruments as u64) as usize;
                }
                let [price, size] = [(); 2].map(|()| 1.0 + prng.below(10_000) as f64 / 1e4);
                Row { instrument, micros: 0, seq: 0, price, size }
            })
            .collect();
        let text: String = rows.iter().map(|row| ids[row.instrument].as_str()).collect();
        Self { ids, rows, text: text.leak(), micros, passes: 0 }
    }

    /// Moves all ticks to the next pass: later in time and number, in the same order.
    pub(crate) fn advance(&mut self) {
        let instruments = self.ids.len() as i64;
        for (n, row) in (self.passes * TICKS..).zip(&mut self.rows) {
            row.micros = n as i64 * 500_000 / instruments / self.micros * self.micros;
            row.seq = n as u64;
        }
        self.passes += 1;
    }

    /// Reverses the order of the instruments.
    pub(crate) fn reverse(&mut self) {
        self.rows.reverse();
        let text: String = self.rows.iter().map(|row| self.ids[row.instrument].as_str()).collect();
        self.text = text.leak();
    }

    /// Returns the ticks by id.
    pub(crate) fn by_id(&self) -> impl Iterator<Item = (&'static str, &Row)> {
        self.rows.iter().enumerate().map(|(n, row)| (&self.text[n * ID_BYTES..(n + 1) * ID_BYTES], row))
    }
}

/// Returns ids in random order.
pub(crate) fn shuffled(instruments: usize) -> Vec<String> {
    let mut ids = Feed::new(instruments, 1, 1).ids;
    let mut prng = Prng(3);
    for n in (1..ids.len()).rev() {
        ids.swap(n, prng.below(n as u64 + 1) as usize);
    }
    ids
}

/// SplitMix64.
struct Prng(u64);

impl Prng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((self.next() >> 32) * bound) >> 32
    }
}
