//! Serves one connection, from accept to close.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::io;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::deadline::DeadlineSocket;
use super::handler::Handler;
use super::limits::Limits;
use super::service::Service;
use crate::problem::{MEDIA_TYPE, Problem};

/// The longest wait for the client to close its side: a round trip on a very slow line.
const LINGER_TIME: Duration = Duration::from_secs(2);
/// The most bytes that the server discards during [`LINGER_TIME`].
///
/// A client may still be sending this much of a request that was rejected before all of it arrived.
const LINGER_BYTES: usize = 256 * 1024;

/// Serves `socket` until either side closes it. After `stopping` changes, the server responds only to a request that
/// has already begun.
pub(super) async fn run<H: Handler>(service: &Service<H>, socket: TcpStream, mut stopping: watch::Receiver<()>) {
    // Each response is written at once, and Nagle's algorithm would only delay it. If the socket has failed, the first
    // read returns the error.
    let _ = socket.set_nodelay(true);
    let body_end = stopping.clone();
    let respond = service_fn(|request: Request<Incoming>| {
        let response = service.respond(&request).map(|body| body.until(&body_end));
        ready(Ok::<_, Infallible>(response))
    });
    let socket = DeadlineSocket::new(socket, service.limits, service.metrics.request_seconds.clone());
    let mut connection = builder(&service.limits).serve_connection(socket, respond);
    let ended = tokio::select! {
        biased;
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => Some(ended),
        _ = stopping.changed() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            let rest = poll_fn(|context| connection.poll_without_shutdown(context));
            timeout(service.limits.drain_time, rest).await.ok()
        }
    };
    if ended.is_none() {
        return;
    }
    let parts = connection.into_parts();
    let is_overdue = parts.io.is_overdue();
    let socket = parts.io.into_inner();
    if is_overdue {
        service.metrics.timeouts.inc();
        // hyper was reading, so no response is partly sent. Bytes in its buffer belong to an incomplete request.
        if !parts.read_buf.is_empty() {
            send_timeout(&socket);
        }
    }
    close(socket).await;
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // `DeadlineSocket` applies the timeouts instead of hyper. `pipeline_flush` stays off: it would buffer the responses
    // to all received requests without a limit, and drop them if the connection closed first.
    builder.header_read_timeout(None).max_buf_size(limits.buffer_bytes());
    builder
}

/// Writes a 408 response to the socket directly, because hyper does not respond to an incomplete request.
fn send_timeout(socket: &TcpStream) {
    let body = Problem::Timeout.document("The request did not arrive in time.");
    let head = format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // The send buffer is empty, so the response fits. If the write fails, the client has disconnected.
    let _ = socket.try_write(&[head.as_bytes(), &body].concat());
}

/// Stops sending, then waits up to [`LINGER_TIME`] until the client stops sending too.
///
/// Closing a socket with unread bytes resets the connection. A reset can destroy the response before the client reads
/// it.
async fn close(mut socket: TcpStream) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let _ = timeout(LINGER_TIME, discard(&socket)).await;
}

async fn discard(socket: &TcpStream) {
    let mut left = LINGER_BYTES;
    while left > 0 && socket.readable().await.is_ok() {
        // The buffer is created after the await. Otherwise it would add 4 KiB to the future of every connection.
        let mut scratch = [0; 4096];
        match socket.try_read(&mut scratch) {
            Ok(0) => return,
            Ok(read) => left = left.saturating_sub(read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
