//! Frames into quotes: our decoder against `serde_json` into a struct made for the shape, in turn.
//!
//! `cargo bench -p benches --bench decode`

use std::hint::black_box;

use candle_server::message::{Message, decode};
use serde::Deserialize;

use benches::common::Pairs;

/// Messages decoded for one figure, long enough for the clock not to matter.
const MESSAGES: usize = 200_000;
const ROUNDS: usize = 31;

#[derive(Deserialize)]
struct Plain<'a> {
    id: u64,
    price: f64,
    #[serde(default)]
    timestamp: Option<f64>,
    #[serde(default, borrow)]
    note: Option<&'a str>,
}

#[derive(Deserialize)]
struct Enveloped<'a> {
    #[serde(borrow)]
    r#type: &'a str,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    isin: &'a str,
    price: f64,
}

/// A shape of message: how one is written, and how serde reads it.
struct Shape {
    name: &'static str,
    write: fn(usize) -> String,
    serde: fn(&[u8]) -> f64,
    serde_array: fn(&[u8]) -> f64,
}

const SHAPES: [Shape; 4] = [
    Shape {
        name: "id, price",
        write: |n| format!("{{\"id\":{},\"price\":{}}}", n % 50_000, price(n)),
        serde: plain,
        serde_array: plains,
    },
    Shape {
        name: "id, price, timestamp",
        write: |n| {
            format!("{{\"id\":{},\"price\":{},\"timestamp\":1629648467.{:06}}}", n % 50_000, price(n), n % 1_000_000)
        },
        serde: plain,
        serde_array: plains,
    },
    Shape {
        name: "the same with spaces",
        write: |n| format!("{{\"id\": {}, \"price\": {}, \"timestamp\": 1629648467.{}}}", n % 50_000, price(n), n % 10),
        serde: plain,
        serde_array: plains,
    },
    Shape {
        name: "QUOTE, data",
        write: |n| {
            format!("{{\"type\":\"QUOTE\",\"data\":{{\"isin\":\"QV532Y{:06}\",\"price\":{}}}}}", n % 50_000, price(n))
        },
        serde: enveloped,
        serde_array: |frame| {
            serde_json::from_slice::<Vec<Enveloped<'_>>>(frame).map_or(0.0, |all| all.iter().map(read).sum())
        },
    },
];

fn price(n: usize) -> String {
    format!("{}.{:04}", 100 + n % 900, n * 7919 % 10_000)
}

fn plain(frame: &[u8]) -> f64 {
    serde_json::from_slice::<Plain<'_>>(frame).map_or(0.0, |quote| read_plain(&quote))
}

fn plains(frame: &[u8]) -> f64 {
    serde_json::from_slice::<Vec<Plain<'_>>>(frame).map_or(0.0, |all| all.iter().map(read_plain).sum())
}

fn read_plain(quote: &Plain<'_>) -> f64 {
    quote.price
        + black_box(quote.id + quote.note.map_or(0, str::len) as u64) as f64 * 0.0
        + black_box(quote.timestamp.unwrap_or(0.0)) * 0.0
}

fn enveloped(frame: &[u8]) -> f64 {
    serde_json::from_slice::<Enveloped<'_>>(frame).map_or(0.0, |message| read(&message))
}

fn read(message: &Enveloped<'_>) -> f64 {
    black_box((message.r#type, message.data.isin));
    message.data.price
}

fn ours(frame: &[u8]) -> f64 {
    let mut sum = 0.0;
    decode(frame, |message| {
        if let Ok(Message::Quote(quote)) = message {
            black_box((&quote.id, quote.time));
            sum += quote.price;
        }
    });
    sum
}

fn main() {
    println!("| shape | frames | ours, ns | serde_json, ns | x serde_json |\n|---|---|---|---|---|");
    for shape in &SHAPES {
        for (frames, in_array) in [("single", 1), ("arrays of 100", 100)] {
            let texts: Vec<Vec<u8>> = (0..20_000 / in_array)
                .map(|frame| {
                    let messages: Vec<String> = (0..in_array).map(|n| (shape.write)(frame * in_array + n)).collect();
                    if in_array == 1 { messages.concat().into() } else { format!("[{}]", messages.join(",")).into() }
                })
                .collect();
            let serde = if in_array == 1 { shape.serde } else { shape.serde_array };
            let passes = MESSAGES / 20_000;
            let time = |decoder: fn(&[u8]) -> f64| {
                let mut sum = 0.0;
                let nanos = Pairs::clock(MESSAGES, || {
                    for _ in 0..passes {
                        sum += texts.iter().map(|text| decoder(black_box(text))).sum::<f64>();
                    }
                });
                (nanos, sum)
            };
            assert_eq!(time(ours).1, time(serde).1, "both read the same");
            let mut pairs = Pairs::new(&["ours", "serde"]);
            for _ in 0..ROUNDS {
                pairs.round(|name| time(if name == "ours" { ours } else { serde }).0);
            }
            println!(
                "| {} | {frames} | {:.0} | {:.0} | {:.1} |",
                shape.name,
                pairs.time("ours"),
                pairs.time("serde"),
                pairs.ratio("serde", "ours")
            );
        }
    }
}
