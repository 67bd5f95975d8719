//! One connection, from accept to close.

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

/// Time to wait for the client to close after our close: a round trip on a very slow line.
const LINGER_TIME: Duration = Duration::from_secs(2);
/// Bytes to discard in that time: the part of an early rejected request that may be in flight.
const LINGER_BYTES: usize = 256 * 1024;

/// Serves `socket` until either side closes it. After `stopping` changes, only the request in flight is answered.
pub(super) async fn run<H: Handler>(service: &Service<H>, socket: TcpStream, mut stopping: watch::Receiver<()>) {
    // Responses are written whole, so that Nagle's algorithm would only delay them. A failure shows at the first read.
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
        // hyper was reading, so that no response is in flight. Bytes in its buffer are part of a request.
        if !parts.read_buf.is_empty() {
            send_timeout(&socket);
        }
    }
    close(socket).await;
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // `DeadlineSocket` has the timeouts. `pipeline_flush` stays off: it buffers responses without bound until every
    // received request is answered, and drops them if the connection closes first.
    builder.header_read_timeout(None).max_buf_size(limits.buffer_bytes());
    builder
}

/// Sends a 408 without hyper, which sends no response to an incomplete request.
fn send_timeout(socket: &TcpStream) {
    let body = Problem::Timeout.document("The request did not arrive in time.");
    let head = format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // The send buffer is empty and has room. If the write fails, the client is gone.
    let _ = socket.try_write(&[head.as_bytes(), &body].concat());
}

/// Closes our half and waits up to [`LINGER_TIME`] for the client's half.
///
/// A close with unread bytes resets the connection, and a reset can destroy the response before the client reads it.
async fn close(mut socket: TcpStream) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let _ = timeout(LINGER_TIME, discard(&socket)).await;
}

async fn discard(socket: &TcpStream) {
    let mut left = LINGER_BYTES;
    while left > 0 && socket.readable().await.is_ok() {
        // The buffer is not alive across the await: it would add 4 KiB to the future of every connection.
        let mut scratch = [0; 4096];
        match socket.try_read(&mut scratch) {
            Ok(0) => return,
            Ok(read) => left = left.saturating_sub(read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
