//! A guide for programs that embed the crate: from an empty project to a live candle, and from there to each task.
//!
//! # A live candle in ten lines
//!
//! Add the crate from the repository: `cargo add candle-core --git <URL of this repository>`.
//!
//! ```
//! use candle_core::{Aggregator, Gaps, Side, Tick, Timestamp};
//! use std::time::SystemTime;
//!
//! let aggregator = Aggregator::default(); // one-minute candles, a window of 30
//! let btc = aggregator.list("BTC-USD", Some("Bitcoin"))?;
//! let now = Timestamp::from(SystemTime::now()); // the crate reads no clock
//! let outcome = aggregator.record_at(btc, &Tick::new(now, 87_232.0).with_size(0.5).with_side(Side::Buy), now);
//! assert!(outcome.is_accepted(), "{outcome}");
//! let history = aggregator.history("BTC-USD").unwrap();
//! println!("{}", history.candles(now, Gaps::Filled).last().unwrap()); // time, open, high, low, close, volume
//! # Ok::<(), candle_core::ListError>(())
//! ```
//!
//! All methods take `&self`. Share an aggregator between threads or tasks as an `Arc<Aggregator>`; no call blocks for longer
//! than a few dozen nanoseconds.
//!
//! # Intervals, windows, roll-ups, closed candles
//!
//! Interval and window are chosen once; [`Aggregator::memory_bytes`](crate::Aggregator::memory_bytes) tells their memory in
//! advance. Coarser candles are made when they are read.
//!
//! ```
//! use candle_core::{Aggregator, Config, Gaps, Interval, Side, Tick, Timestamp};
//! use std::time::SystemTime;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let aggregator = Aggregator::new(Config::default().with_interval(Interval::seconds(1)?).with_window(600)?);
//! let btc = aggregator.list("BTC-USD", None)?;
//! let now = Timestamp::from(SystemTime::now());
//! let _ = aggregator.record_at(btc, &Tick::new(now, 87_232.0).with_size(0.5).with_side(Side::Buy), now);
//! let history = aggregator.history("BTC-USD").unwrap(); // reads; counts nothing
//! for candle in history.candles(now, Gaps::Filled) {
//!     println!("{candle}"); // Display: time, O H L C, volume
//! }
//! # let mut out = Vec::new();
//! # #[cfg(feature = "serde")]
//! for candle in history.rolled_up(Interval::minutes(5)?, now, Gaps::Filled)? {
//!     serde_json::to_writer(&mut out, &candle)?;
//! }
//! aggregator.drain_closed(now, |id, candle| {
//!     println!("{id} {candle}"); // each final candle once, each revision once
//! });
//! # Ok(())
//! # }
//! ```
//!
//! # Five-minute bars with the average price, from a CSV file
//!
//! On a file, the present is the time of the newest trade.
//!
//! ```
//! use candle_core::{Aggregator, Interval, RecordContext, Tick, Timestamp, Unlisted, Config};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let csv = "BTC,0,10,1\nETH,1000,5,-2\nBTC,299999,11,3\nSOL,300000,7,1\nBTC,300001,12,1\nBTC,900000,1,1\n";
//! let aggregator = Aggregator::new(Config::default().with_interval(Interval::minutes(5)?));
//! let mut now = Timestamp::MIN;
//! let print = |now| aggregator.drain_closed(now, |id, bar| println!("{id} {bar} vwap {:?}", bar.vwap()));
//! print(now); // the deliveries start
//! for line in csv.lines() {
//!     let [id, millis, price, size] = line.split(',').collect::<Vec<_>>()[..] else { continue };
//!     let time = Timestamp::from_millis(millis.parse()?).ok_or("a time out of range")?;
//!     now = now.max(time);
//!     let tick = Tick::new(time, price.parse()?).with_size(size.parse()?); // a negative size is a sell
//!     let _ = aggregator.record(id, &tick, RecordContext { unlisted: Unlisted::List, ..now.into() });
//!     print(now);
//! }
//! # let mut rest = 0;
//! # aggregator.drain_closed(Timestamp::MAX, |_, _| rest += 1);
//! # assert_eq!(rest, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Other tasks
//!
//! | task | method |
//! |---|---|
//! | a two-hour window of one-second candles | `Config::default().with_interval(Interval::SECOND).with_window(7_200)?`, the interval first |
//! | a callback for each closed minute | [`Aggregator::drain_closed`](crate::Aggregator::drain_closed), from a timer of your own |
//! | the last five candles | [`Aggregator::last`](crate::Aggregator::last), [`History::last`](crate::History::last) |
//! | the three most viewed | [`Aggregator::count_view`](crate::Aggregator::count_view), [`Aggregator::top`](crate::Aggregator::top) |
//! | all instruments | [`Aggregator::instruments`](crate::Aggregator::instruments) |
//! | many ticks at once | [`Aggregator::record_batch`](crate::Aggregator::record_batch) |
//! | one series at full speed | [`Ring::replay`](crate::Ring::replay) |
//! | JSON | the feature `serde`; units of times in `timestamp` |
//! | a store or copies of your own | [`replication`](crate::replication) |
//!
//! The package `examples` of the repository has programs to copy from: trades from a CSV file, tokio, a backtest of a file,
//! indicators.
//!
//! # Limits
//!
//! - Prices and sizes are `f64`. There are no decimals; open, high, low and close are copied, never computed.
//! - There are no corrections and no cancellations: a trade that was recorded cannot be taken back.
//! - Repeated ticks are counted again. Deduplicate a feed that repeats.
//! - If a feed sends no sides, all volume is buy volume.
//! - There are no time zones. Days are UTC days.
