//! The HTTP interface of a candle server: it reads a [`candle_engine::Engine`] and writes bytes.
//!
//! From the lowest module to the highest; a module imports only modules above it in this list:
//!
//! | module | job |
//! |---|---|
//! | [`problem`] | problem documents (RFC 9457) |
//! | [`server`] | the HTTP/1.1 server with its limits; knows no route and no candle |
//! | [`route`] | from a method and a target to a route |
//! | [`router`] | the seam between the server and the handlers of routes |
//! | [`json`] | the JSON of histories and of the listing |
//! | `body_writer` | a body with a digest of its content, for the `ETag` |
//! | `history` | histories as JSON, and the cache of their constant text |
//! | `stream` | streams of server-sent events |
//! | `page` | the chart page (feature `page`) |
//! | [`api`] | the responses of all routes that read an engine |
//! | [`metrics`] | the metrics in the format of Prometheus |
//! | [`endpoints`] | all routes of one engine |
//! | [`starting`] | the responses until the state is loaded |
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use candle_core::Aggregator;
//! use candle_engine::Engine;
//! use candle_engine::clock::{Clock, ClockMode};
//! use candle_http::api::Api;
//! use candle_http::router::Router;
//! use candle_http::server::{Limits, Server};
//!
//! # async fn example() -> std::io::Result<()> {
//! let engine = Arc::new(Engine::new(Aggregator::default(), Clock::new(ClockMode::Wall)));
//! let server = Arc::new(Server::new(Router::new(Api::new(engine)), Limits::default()));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:5001").await?;
//! server.serve(listener, async { let _ = tokio::signal::ctrl_c().await; }).await;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod api;
mod body_writer;
pub mod endpoints;
mod history;
pub mod json;
pub mod metrics;
#[cfg_attr(not(feature = "page"), path = "no_page.rs")]
mod page;
pub mod problem;
pub mod route;
pub mod router;
pub mod server;
pub mod starting;
mod stream;
