//! One-minute candles of many instruments, exact under late, shuffled and repeated ticks, with an exact top ten by views.
//!
//! ```
//! use candle_core::{Aggregator, Gaps, Tick, Timestamp};
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
//! let history = aggregator.history_counting_view("BTC").unwrap(); // a consistent copy
//! let closes: Vec<f64> = history.candles(now, Gaps::Filled).map(|candle| candle.close).collect();
//! assert_eq!(closes, [11.0, 12.0]);
//!
//! let top = aggregator.top(10);
//! assert_eq!((top[0].id.as_str(), top[0].views), ("BTC", 1));
//! # Ok::<(), candle_core::ListError>(())
//! ```
//!
//! ```text
//!  Tick ── record ─────▶ Stripe ──▶ Ring ──▶ Candle       the window of each instrument
//!                          │ one lock for many instruments
//!  id ──── history ───────▶├──▶ History ── candles(now) ──▶ WindowCandle × 30
//!  id ──── count_view ────▶└──▶ views ── floor reached? ──▶ 64 leaders ── top(k) ──▶ Popular × k
//! ```
//!
//! New here? Start with the [guide](_guide).
//!
//! The crate has no async, no I/O, no clock and no `unsafe`. Time is an argument, so the same ticks always give the same
//! candles.
//!
//! # Layout
//!
//! | module | job |
//! |---|---|
//! | `aggregator` | the store: listing, recording, reading, counting views, snapshots |
//! | `aggregator::replication` | public: writes and reads for programs that keep a log |
//! | `stripe` | the instruments behind one lock |
//! | `ring`, `candle`, `key` | the candles of one instrument, one candle, the order of ticks within it |
//! | `interval`, `window` | the length of candles, how many of them a read can go back |
//! | `window_candle`, `history`, `version` | results of reads: candles seen from `now`, a copy of one instrument, changed or not |
//! | `tick`, `rules`, `validator`, `outcome` | a tick, the rules for ticks, the validation at one `now`, its result |
//! | `record_context`, `arrival` | arguments of a record call besides the tick |
//! | `time`, `time_text`, `timestamp`, `price`, `size`, `instrument_id`, `handle` | values that are valid by construction |
//! | `popularity`, `leaders` | the public top-k, and the leader set that it shares with the aggregator |
//! | `coverage` | the part of each minute for which the feed was up |
//! | `snapshot` | a stripe as plain data, and its stored form |
//! | `config`, `summary`, `list_error`, `hash` | settings, a line of the catalogue, listing errors, the hash of ids |
//!
//! # Types by role
//!
//! | role | types |
//! |---|---|
//! | store everything | [`Aggregator`], [`Config`], [`Interval`], [`Window`], [`WINDOW_MINUTES`] |
//! | list an instrument | [`InstrumentId`], [`Handle`], [`Summary`], [`MAX_DESCRIPTION_BYTES`] |
//! | record a tick | [`Tick`], [`RecordContext`], [`Unlisted`], [`Arrival`], [`Outcome`], [`Outcomes`] |
//! | validate a tick | [`Rules`], [`Validator`], [`Price`], [`Prices`], [`Size`], [`Side`] |
//! | read candles | [`History`], [`WindowCandle`], [`WindowCandles`], [`State`], [`Gaps`] |
//! | read only changes | [`Version`], [`Update`], [`Latest`] |
//! | learn that a candle closed | [`Aggregator::drain_closed`], [`Ring::record_all`], [`Ring::replay`] |
//! | find the most viewed | [`Popular`], [`MAX_TOP`]; without candles: [`Popularity`] |
//! | measure the feed | [`Coverage`], [`CoverageRing`], [`CoverageWindow`] |
//! | build a store of your own | [`Ring`], [`Candle`] |
//! | express time | [`Timestamp`], [`Minute`] |
//! | store and replicate | [`StripeSnapshot`]; with a log: [`replication`], [`LoggedWrites`](replication::LoggedWrites), [`ViewTotal`](replication::ViewTotal) |
//! | handle errors | [`ListError`], [`InvalidId`], [`SnapshotError`], [`TimestampOutOfRange`], [`InvalidTimestamp`], [`InvalidInterval`], [`InvalidWindow`], [`InvalidRollUp`] |
//!
//! # A minute as an example
//!
//! Seven ticks from 13:00:05 to 13:00:57 make one candle. The tick at 13:01:00 belongs to the next candle. A [`Ring`] is
//! enough for one instrument.
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
//! assert_eq!((candle.open_time, candle.close_time), (at(0, 0), at(1, 0)));
//! assert_eq!([candle.open, candle.high, candle.low, candle.close], [10.0, 15.0, 10.0, 12.0]);
//! assert_eq!(ring.newest().unwrap().open(), 9.0);
//! ```
//!
//! # Guarantees
//!
//! - **Order.** Candles do not depend on the order of arrival. Open is the price at the smallest `(time, seq)`, close is the
//!   price at the largest. Of ticks with equal `(time, seq)`, the first to arrive sets the open and the last sets the close.
//!   Volume is a sum of floats, so another order may change it by a relative 10⁻⁹.
//! - **Repetition.** A repeated tick changes count and volume only.
//! - **Late ticks.** A tick inside the window is added to its own candle in constant time. If the minute was over, the
//!   candle is [`Revised`](State::Revised). A tick before the window is refused and counted.
//! - **Gaps.** A minute without ticks is filled with the previous close when it is read, and marked. Fillers are never
//!   stored, so a late tick replaces them. There is no candle before the first tick.
//! - **Closed candles.** [`Aggregator::drain_closed`] delivers each candle once when it is over, and once more after each
//!   change by a late tick. Delisting and leaving the window lose none.
//! - **Roll-up.** [`History::rolled_up`] returns only coarse candles that lie wholly inside the window, so no candle has the
//!   open or the volume of a part.
//! - **Consistency.** A [`History`] is a copy at one moment, with `low <= open <= high` and `low <= close <= high`. A write
//!   that returned is visible to every read that starts later. A page of the catalogue, the sum of outcomes and a snapshot
//!   read one stripe after another: each stripe is consistent, the whole is not.
//! - **Exact top.** If no view is counted during the call, [`Aggregator::top`] is equal to sorting all counters, ties by
//!   id. Otherwise, views that are counted during the call may be missing.
//! - **New listings.** An instrument that is delisted and listed again starts empty. A concurrent view of the old one does
//!   not count for the new one.
//! - **Outcomes.** Every tick has one [`Outcome`] and is counted under it: received = accepted + rejected.
//! - **No allocation** for ticks and batches of listed instruments, for views, and for a top read into a buffer with room.
//!   Exception: a top allocates if delistings left fewer than `k` leaders.
//! - **Merging.** [`Candle::merged`], [`Ring::merge`] and [`Aggregator::merge`] combine parts that each recorded some of the
//!   ticks. The result is that of recording all ticks in one place.
//! - **Snapshots.** [`Aggregator::snapshot`] copies the store while writers run. With a log, [`replication`] restores it
//!   exactly.
//!
//! # Limits
//!
//! | limit | value | reason |
//! |---|---|---|
//! | interval | 1 s to 1 day, divides a day; by default one minute | days start with a new candle |
//! | window | 1 to [`Window::MAX_CANDLES`] = 1,440 (two hours of candles below 5 s); by default [`WINDOW_MINUTES`] = 30 | memory is known in advance |
//! | ring | [`Window::stored`], by default 32 | spare candles for a tick ahead of `now`, one for a reader behind the writer |
//! | ahead of `now` | 5 s, at most 60 s ([`Rules::MAX_AHEAD_LIMIT_MICROS`]) | a wrong time must not evict candles |
//! | instruments | 100,000, at most 2²⁴ ([`Config::MAX_INSTRUMENTS_LIMIT`]) | memory is known in advance |
//! | id | [`InstrumentId::MAX_BYTES`] = 64 bytes | an id must fit a request line |
//! | description | [`MAX_DESCRIPTION_BYTES`] = 256 bytes | bounds the memory that a feed can use |
//! | `k` of the top | [`MAX_TOP`] = 64 | the number of leaders |
//! | time | years 1 to 9999, microseconds | every date can be printed |
//! | `seq` | spans below 2³⁷ within one microsecond (2²⁶ above a minute, 2²¹ above an hour) | serial numbers, which may wrap at 2⁶⁴ |
//! | count | [`Candle::MAX_COUNT`] a candle (2²² − 1 if the interval is no whole minutes) | 30 bits; prices and volumes are updated beyond it |
//!
//! The crate does not read feeds, keep a clock, write files or serve requests: `candle-server` does. It does not detect
//! repeated ticks, and does not correct or cancel trades. Views can be forged by anybody with access to the caller's
//! interface.
//!
//! # Memory
//!
//! The memory of an instrument is allocated when it is listed; see [`Aggregator::memory_bytes`] and
//! [`Aggregator::bytes_per_instrument`]. These are the defaults:
//!
//! | instruments | memory |
//! |---|---|
//! | 50,000 | 143 MB |
//! | 1,000,000 | 2863 MB |
//!
//! | interval | window | an instrument |
//! |---|---|---|
//! | 1 m | 30 | 2.9 KB |
//! | 1 m | 60 | 5.3 KB |
//! | 1 m | 240 | 19.7 KB |
//! | 1 m | 1440 | 115.8 KB |
//! | 1 s | 60 | 10.0 KB |
//! | 1 s | 600 | 53.3 KB |
//! | 1 s | 7200 | 582.1 KB |
//! | 1 d | 365 | 29.7 KB |
//!
//! # Features
//!
//! `serde`: snapshots serialise in any format, and have a compact stored form (`StripeSnapshot::encode`).
#![forbid(unsafe_code)]

pub mod _guide;
mod aggregator;
mod arrival;
mod candle;
mod config;
mod coverage;
mod handle;
mod hash;
mod history;
mod instrument_id;
mod interval;
mod key;
mod leaders;
mod list_error;
mod outcome;
mod popularity;
mod price;
mod record_context;
mod ring;
mod rules;
mod size;
mod snapshot;
mod stripe;
mod summary;
mod tick;
mod time;
mod time_text;
#[cfg(feature = "serde")]
pub mod timestamp;
mod validator;
mod version;
mod window;
mod window_candle;

pub use aggregator::{Aggregator, replication};
pub use arrival::Arrival;
pub use candle::Candle;
pub use config::Config;
pub use coverage::{Coverage, CoverageRing, CoverageWindow};
pub use handle::Handle;
pub use history::History;
pub use instrument_id::{InstrumentId, InvalidId};
pub use interval::{Interval, InvalidInterval};
pub use leaders::Popular;
pub use list_error::ListError;
pub use outcome::{Outcome, Outcomes};
pub use popularity::{MAX_TOP, Popularity};
pub use price::{Price, Prices};
pub use record_context::{RecordContext, Unlisted};
pub use ring::{InvalidRollUp, Ring, WindowCandles};
pub use rules::Rules;
pub use size::{Side, Size};
pub use snapshot::{SnapshotError, StripeSnapshot};
pub use summary::{MAX_DESCRIPTION_BYTES, Summary};
pub use tick::Tick;
pub use time::{Minute, Timestamp, TimestampOutOfRange, WINDOW_MINUTES};
pub use time_text::InvalidTimestamp;
pub use validator::Validator;
pub use version::{Latest, Update, Version};
pub use window::{InvalidWindow, Window};
pub use window_candle::{Gaps, State, WindowCandle};
