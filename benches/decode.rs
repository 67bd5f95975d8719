//! Decoding of frames: the message decoder against `serde_json` with one struct per shape, in alternating runs.
//!
//! `cargo bench -p benches --bench decode`

use std::hint::black_box;

use candle_server::feed::message::{Message, decode};
use serde::Deserialize;

use benches::common::Pairs;

/// The number of messages decoded per measurement, so that reading the clock takes a negligible part of the time.
const MESSAGES: usize = 200_000;
const ROUNDS: usize = 31;

#[derive(Deserialize)]
struct Plain {
    id: u64,
    price: f64,
    #[serde(default)]
    timestamp: Option<f64>,
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

/// A message shape with its writer and its serde decoders.
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
    serde_json::from_slice::<Plain>(frame).map_or(0.0, |quote| read_plain(&quote))
}

fn plains(frame: &[u8]) -> f64 {
    serde_json::from_slice::<Vec<Plain>>(frame).map_or(0.0, |all| all.iter().map(read_plain).sum())
}

fn read_plain(quote: &Plain) -> f64 {
    black_box((quote.id, quote.timestamp));
    quote.price
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
            assert_eq!(time(ours).1, time(serde).1, "both decoders return equal prices");
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
