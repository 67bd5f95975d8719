//! The HTTP interface of a candle server. It reads a [`candle_engine::Engine`] and writes responses.
//!
//! `server` receives a request and checks its limits. `route` turns the method and the target of the request into a
//! [`Route`](route::Route), without reading an engine. `router` calls the handler of that route, and responds with a
//! problem document to requests that have no route.
//!
//! The modules in import order. A module imports only modules above it in this table:
//!
//! | module | job |
//! |---|---|
//! | [`json`] | writes histories and the listing as JSON |
//! | [`problem`] | writes error responses as problem documents (RFC 9457) |
//! | [`route`] | parses a method and a target into a route |
//! | [`server`] | serves HTTP/1.1 within limits; independent of routes and candles |
//! | `body_writer` | writes a body and computes the digest for its `ETag` |
//! | [`metrics`] | writes the metrics in the Prometheus format |
//! | `no_page` | responds 404 in builds without the feature `page` |
//! | `page` | serves the chart page (feature `page`) |
//! | [`router`] | calls the handler of a route, or responds with a problem |
//! | `history` | writes histories as JSON, and caches the text that all reads share |
//! | [`starting`] | responds 503 until the state is loaded |
//! | `stream` | sends the changes of histories as server-sent events |
//! | [`api`] | handles the routes that read an engine |
//! | [`endpoints`] | handles all routes: those of `api`, the metrics and the `OpenAPI` description |
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use candle_core::Aggregator;
//! use candle_engine::Engine;
//! use candle_engine::clock::{Clock, ClockMode};
//! use candle_http::api::Api;
//! use candle_http::endpoints::Endpoints;
//! use candle_http::metrics::Metrics;
//! use candle_http::route::Route;
//! use candle_http::router::Router;
//! use candle_http::server::{Limits, Server, ServerMetrics};
//!
//! # async fn example() -> std::io::Result<()> {
//! let engine = Arc::new(Engine::new(Aggregator::default(), Clock::new(ClockMode::Wall)));
//! let http = Arc::new(ServerMetrics::new(&Route::FREQUENT));
//! let endpoints = Endpoints {
//!     api: Api::new(Arc::clone(&engine)),
//!     metrics: Metrics::new(engine, Arc::clone(&http)),
//! };
//! let server = Arc::new(Server::new(Router::new(endpoints), Limits::default()).with_metrics(http));
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
