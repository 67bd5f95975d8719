//! One-minute candles of many instruments, kept right under late, shuffled and repeated ticks, with an exact top ten of
//! what is viewed most.
//!
//! ```
//! use candle_core::{Aggregator, Gaps, Outcome, Tick, Timestamp};
//!
//! let aggregator = Aggregator::default();
//! aggregator.list("BTC", Some("Bitcoin"))?;
//!
//! let start = Timestamp::from_seconds(1_742_944_020).unwrap();
//! let now = start.saturating_add(90_000_000); // a minute and a half later, in microseconds
//! for (second, price) in [(5, 10.0), (65, 12.0), (30, 11.0)] {
//!     let tick = Tick::new(start.saturating_add(second * 1_000_000), price);
//!     assert!(aggregator.record("BTC", &tick, now).is_accepted()); // in any order, from any thread
//! }
//! let history = aggregator.history_counting_view("BTC").unwrap(); // one instant of it, and a view counted
//! let closes: Vec<f64> = history.candles(now, Gaps::Filled).map(|candle| candle.close).collect();
//! assert_eq!(closes, [11.0, 12.0]);
//!
//! let mut top = Vec::new();
//! aggregator.top(10, &mut top);
//! assert_eq!((top[0].id.as_str(), top[0].views), ("BTC", 1));
//! # Ok::<(), candle_core::ListError>(())
//! ```
//!
//! ```text
//!  Tick ── record ──▶ Stripe ──▶ Ring ──▶ Candle         32 minutes of each instrument, each tick in its own
//!                       │ one lock for a share of them
//!  id ──── view ───────▶├──▶ History ── candles(now) ──▶ WindowCandle × 30, fillers marked
//!                       └──▶ views ─ over the floor? ──▶ 64 leaders ── top(k) ──▶ Popular × k
//! ```
//!
//! It is plain data and plain calls: no async, no I/O, no clock, no `unsafe`. Time is an argument, so that the same ticks
//! give the same candles, always. [`Aggregator`] is the whole store; [`Ring`] is the series of one instrument for those
//! who have their own map and their own threads.
//!
//! # A minute, worked out
//!
//! Ticks at 13:00:05, :06, :13, :19, :32, :49 and :57 make one candle; that of 13:01:00 belongs to the next.
//!
//! ```
//! use candle_core::{Gaps, Ring, Rules, Timestamp, Tick};
//!
//! let mut ring = Ring::default();
//! let at = |minute: i64, second: i64| Timestamp::from_seconds((13 * 60 + minute) * 60 + second).unwrap();
//! let ticks = [
//!     (at(0, 5), 10.0), (at(0, 6), 11.0), (at(0, 13), 15.0), (at(0, 19), 11.0),
//!     (at(0, 32), 13.0), (at(0, 49), 12.0), (at(0, 57), 12.0), (at(1, 0), 9.0),
//! ];
//! for (time, price) in ticks {
//!     assert!(ring.record(&Tick::new(time, price), &Rules::default().at(time)).is_accepted());
//! }
//! let candle = ring.candles(at(1, 0), Gaps::Filled).next().unwrap();
//! assert_eq!((candle.minute.start(), candle.minute.end()), (at(0, 0), at(1, 0)));
//! assert_eq!([candle.open, candle.high, candle.low, candle.close], [10.0, 15.0, 10.0, 12.0]);
//! assert_eq!(ring.newest().unwrap().open(), 9.0);
//! ```
//!
//! # Guarantees
//!
//! - **Order.** Ticks of an instrument are ordered by `(time, seq)`. Open and close are the prices at the two ends of that
//!   order, whatever the order of arrival: the candles are those of a sort. Of exactly equal keys the first arrival has the
//!   open, the last the close. Delivering a tick twice changes nothing but count and volume. Volume is a sum of floats: in
//!   another order it may differ by a relative 10⁻⁹.
//! - **Late ticks.** A tick of the window goes to its own minute in constant time. If that minute was over, its candle is
//!   [`Revised`](State::Revised) from then on. What is older than the window is refused, and counted.
//! - **Fills.** A minute without ticks is filled when it is read, with the previous close, and is marked; it is never stored,
//!   so that a late tick simply takes its place. Nothing comes before the first tick ever.
//! - **What a reader sees while writers run.** One [`History`] is one instant of its instrument, with `low <= open, close
//!   <= high` always. Two calls are two instants. A write that returned is seen by every read that begins after it. A page
//!   of the catalogue, the sum of outcomes and a snapshot go from stripe to stripe: each part is one instant, the whole is
//!   not.
//! - **The top is exact** when no view is being counted at the same time: it is what sorting all counters would give, ties by
//!   id. While views are counted, what it returns is in order, and a view that is just being counted may be missing. There
//!   is no lock-free step in it: every counter and every copy of the floor is read and written under its stripe's lock. An
//!   instrument that is delisted and listed again starts from nothing, and no view under way counts for it.
//! - **Every tick has one [`Outcome`]**, and all are counted: received = accepted + rejected.
//! - **No allocation** for a tick of a listed instrument, for a batch of them, for a view, or for a top that is read into
//!   a buffer with room (unless over fifty of the leaders were delisted, when all counters are read again).
//! - **Parts join.** [`Candle::merged`], [`Ring::merge`] and [`Aggregator::merge`] make of parts that each saw some of the
//!   ticks what one would hold that saw all. [`Aggregator::snapshot`] takes parts out while writers run, and
//!   [`RecordContext::lsn`] makes the replay of what came after exact.
//!
//! # Limits
//!
//! | what | limit | why |
//! |---|---|---|
//! | window | [`WINDOW_MINUTES`] = 30 | the forming minute and the 29 before it |
//! | ring | [`RING_MINUTES`] = 32 | one spare for a tick ahead of `now`, one for a reader behind the writer |
//! | ahead of `now` | 5 s, at most 60 s ([`Rules::MAX_AHEAD_LIMIT_MICROS`]) | one bad time must not push candles out |
//! | instruments | 100,000, at most 2²⁴ ([`Config::MAX_INSTRUMENTS_LIMIT`]) | memory is known up front |
//! | id | [`InstrumentId::MAX_BYTES`] = 64 bytes | a request line must hold it |
//! | description | [`MAX_DESCRIPTION_BYTES`] = 256 bytes | bounds what a feed can make us store |
//! | `k` of the top | [`MAX_TOP`] = 64 | how many leaders are kept |
//! | time | years 1 to 9999, microseconds | every date can be printed |
//! | `seq` | spans below 2³⁷ within one microsecond | serial numbers: right across the wrap at 2⁶⁴ |
//! | count | [`Candle::MAX_COUNT`] a minute | 30 bits; prices still move beyond it |
//!
//! # Memory
//!
//! All of an instrument's memory is taken when it is listed ([`Aggregator::memory_bytes`]):
//!
//! | instruments | memory |
//! |---|---|
//! | 50,000 | 116 MB |
//! | 1,000,000 | 2327 MB |
//!
//! # What it does not do
//!
//! It does not read feeds, keep a clock, persist or serve: `candle-server` does. It has one width of candle (a minute) and
//! one depth (the window). It does not recognise repeated ticks, so that their count and volume add up, nor correct or
//! cancel trades. Counts of views can be forged by whoever may view.
//!
//! # Features
//!
//! `serde`: snapshots serialise in any format, and have a compact stored form of their own (`StripeSnapshot::encode`).
#![forbid(unsafe_code)]

mod aggregator;
mod arrival;
mod candle;
mod catalogue;
mod config;
mod coverage;
mod hash;
mod history;
mod instrument;
mod key;
mod outcome;
mod popularity;
mod price;
mod record_context;
mod ring;
mod snapshot;
mod stripe;
mod tick;
mod time;
mod top_k;
mod version;
mod window;

pub use aggregator::{Aggregator, MAX_TOP, ViewTotal};
pub use arrival::Arrival;
pub use candle::Candle;
pub use catalogue::{ListError, MAX_DESCRIPTION_BYTES, Summary};
pub use config::Config;
pub use coverage::{Coverage, CoverageRing, CoverageWindow};
pub use history::History;
pub use instrument::{BadId, Handle, InstrumentId};
pub use outcome::{Outcome, Outcomes};
pub use popularity::Popular;
pub use price::{Price, Prices, Size};
pub use record_context::{RecordContext, Unlisted};
pub use ring::{RING_MINUTES, Ring};
pub use snapshot::{SnapshotError, StripeSnapshot};
pub use tick::{Rules, Tick, Validator};
pub use time::{Minute, OutOfRange, Timestamp, WINDOW_MINUTES};
pub use version::{Latest, Update, Version};
pub use window::{Gaps, State, WindowCandle};
