//! The running state of a candle server: the aggregator with its clock, journal and feed health.
//!
//! | module | job |
//! |---|---|
//! | `engine` | the state that all threads share: [`Engine`] |
//! | `write` | the methods of [`Engine`] that change candles or the catalogue, and log the change |
//! | [`clock`] | the current time of the candles, from the wall clock or the feed |
//! | [`feeds`] | health and failover of the feeds, and coverage: the part of each minute with a working feed |
//! | [`status`] | the status of an instrument: live, stale or never |
//! | [`journal`] | the in-memory log of writes |
//! | [`codec`] | encodes and decodes a batch of writes (feature `codec`) |
//! | [`replay`] | applies an encoded batch to a restored aggregator (feature `codec`) |
//! | [`stripe_rounds`] | schedules one visit per round to each stripe, a part of the aggregator behind one lock |
//! | [`throttled_log`] | limits how often a log line is repeated |
//! | [`background`] | runs an async task on its own thread |
//!
//! Feeds write to the [`Engine`], and the HTTP server reads from the [`Engine`]. If there is a journal, it logs every
//! write. The crate opens no sockets and no files.
//!
//! ```
//! use candle_core::{Aggregator, RecordContext, Tick};
//! use candle_engine::Engine;
//! use candle_engine::clock::{Clock, ClockMode};
//!
//! let engine = Engine::new(Aggregator::default(), Clock::new(ClockMode::Wall));
//! engine.list("BTC", None)?;
//! let now = engine.clock.now();
//! let context = RecordContext { arrival: engine.clock.arrival(), ..RecordContext::from(now) };
//! let outcomes = engine.record_batch(&[("BTC", Tick::new(now, 87_232.0))], context);
//! assert_eq!(outcomes.accepted(), 1);
//! # Ok::<(), candle_core::ListError>(())
//! ```
#![forbid(unsafe_code)]

pub mod background;
pub mod clock;
#[cfg(feature = "codec")]
pub mod codec;
mod engine;
pub mod feeds;
pub mod journal;
#[cfg(feature = "codec")]
pub mod replay;
pub mod status;
pub mod stripe_rounds;
pub mod throttled_log;
mod write;

pub use engine::Engine;
