//! The running state of a candle server: the aggregator with its clock, journal and feed health.
//!
//! | module | job |
//! |---|---|
//! | `engine` | the shared state: [`Engine`] |
//! | `write` | the methods of [`Engine`] that change candles or the catalogue, and log that |
//! | [`clock`] | `now` for candles, from the wall clock or the feed |
//! | [`feeds`] | health, failover and coverage of the feeds |
//! | [`status`] | the status of an instrument: live, stale or never |
//! | [`journal`] | the in-memory log of writes |
//! | [`codec`] | the encoding of a batch of writes (feature `codec`) |
//! | [`replay`] | the application of an encoded batch to a restored aggregator (feature `codec`) |
//! | [`stripe_rounds`] | a schedule that visits each stripe once a round |
//! | [`throttled_log`] | limits on repeated log lines |
//! | [`background`] | an async task on a thread of its own |
//!
//! Feeds write to the [`Engine`], and HTTP reads from it. If the engine has a journal, every write is logged. There is no
//! socket and no disk here.
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
