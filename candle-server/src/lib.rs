//! The candle server: reads quotes from feeds and serves one-minute candles over HTTP.
//!
//! This crate combines the other crates. [`feed`] records quotes in [`engine`], and [`http`] answers requests from
//! [`engine`]. `store` (feature `store`) persists the engine in a file. `cluster` (feature `nats`) replicates the
//! engine.
//!
//! | module | job |
//! |---|---|
//! | [`settings`] | parses the command line and the environment |
//! | [`backend`] | opens the engine with its persistence: none, a store or a cluster |
//! | [`serve`](mod@serve) | starts and stops the threads for the feeds and for HTTP |
//! | [`commands`] | runs the subcommands |
//!
//! ```
//! use candle_server::settings::Settings;
//! use tokio::net::TcpListener;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let settings = Settings::from_args(["candle-server", "--feed", "demo:?instruments=2"])?;
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let shutdown = async {}; // resolves immediately; a real program waits for a signal
//! candle_server::serve(listener, settings, shutdown).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod backend;
pub mod commands;
pub mod serve;
pub mod settings;

#[cfg(feature = "nats")]
pub use candle_cluster as cluster;
pub use candle_engine as engine;
pub use candle_feed as feed;
pub use candle_http as http;
pub use candle_http::server::Listeners;
#[cfg(feature = "store")]
pub use candle_store as store;

pub use crate::serve::{serve, serve_engine};
