//! One-minute candles of many instruments.
#![forbid(unsafe_code)]

mod aggregator;
mod arrival;
mod candle;
mod catalogue;
mod config;
mod hash;
mod history;
mod instrument;
mod key;
mod outcome;
mod popularity;
mod price;
mod ring;
mod snapshot;
mod stripe;
mod terms;
mod tick;
mod time;
mod top_k;
mod window;

pub use aggregator::{Aggregator, MAX_TOP, Views};
pub use arrival::Arrival;
pub use candle::Candle;
pub use catalogue::{ListError, MAX_DESCRIPTION_BYTES, Summary};
pub use config::Config;
pub use history::History;
pub use instrument::{BadId, Handle, InstrumentId};
pub use outcome::{Outcome, Outcomes};
pub use popularity::Popular;
pub use price::{Price, Prices, Size};
pub use ring::{RING_MINUTES, Ring};
pub use snapshot::{SnapshotError, StripeSnapshot};
pub use terms::{Terms, Unlisted};
pub use tick::{Judge, Rules, Tick};
pub use time::{Minute, OutOfRange, Timestamp, WINDOW_MINUTES};
pub use window::{Gaps, State, WindowCandle};
