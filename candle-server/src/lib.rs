//! A price stream in, one-minute candles out over HTTP.
//!
//! This crate wires the others together. A tick travels down from [`feed`] through [`engine`] into [`candle_core`]; a
//! request travels up from [`engine`] through [`http`].
//!
//! | module | job |
//! |---|---|
//! | [`settings`] | the command line and the environment |
//! | [`backend`] | the engine to serve, and its persistence |
//! | [`serve`](mod@serve) | threads for the feeds and for HTTP, and their shutdown |
//! | [`commands`] | the subcommands |
//!
//! ```
//! use candle_server::settings::Settings;
//! use tokio::net::TcpListener;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let settings = Settings::from_args(["candle-server", "--feed", "demo:?instruments=2"])?;
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let shutdown = async {}; // at once; a real server waits for a signal
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
