//! One client's connection, from its seat to its close.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::io;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::listener::Server;
use super::respond::respond;
use super::stream::Stream;
use super::{Answer, Body, Limits};
use crate::problem::{MEDIA_TYPE, Problem};

/// Time to wait for the client's own close after ours: a round trip on the worst of lines.
const LINGER_TIME: Duration = Duration::from_secs(2);
/// Bytes to throw away meanwhile: what may be under way of a request that was refused early.
const LINGER_BYTES: usize = 256 * 1024;

/// Serves `socket` until either side is done with it, or `stopping` changes and the request in flight is answered.
pub(super) async fn run<A: Answer>(server: &Server<A>, socket: TcpStream, mut stopping: watch::Receiver<()>) {
    // Answers are written whole, so waiting to fill a packet only delays them. An error shows at the first read.
    let _ = socket.set_nodelay(true);
    let until = stopping.clone();
    let service = service_fn(|request: Request<Incoming>| ready(Ok::<_, Infallible>(serve(server, &request, &until))));
    let stream = Stream::new(socket, *server.limits(), server.counts().seconds.clone());
    let mut connection = builder(server.limits()).serve_connection(stream, service);
    let ended = tokio::select! {
        biased;
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => Some(ended),
        _ = stopping.changed() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            let rest = poll_fn(|context| connection.poll_without_shutdown(context));
            timeout(server.limits().drain_time, rest).await.ok()
        }
    };
    if ended.is_none() {
        return;
    }
    let parts = connection.into_parts();
    let is_overdue = parts.io.is_overdue();
    let socket = parts.io.into_socket();
    if is_overdue {
        server.counts().timeouts.inc();
        // Part of a request is here and no answer is under way, or hyper would not have been reading.
        if !parts.read_buf.is_empty() {
            say_timeout(&socket);
        }
    }
    close(socket).await;
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // `Stream` keeps the times. `pipeline_flush` stays off: it holds answers back until every request read so far is
    // answered, in a buffer without bound, and loses them when the connection closes meanwhile.
    builder.header_read_timeout(None).max_buf_size(limits.buffer_bytes());
    builder
}

fn serve<A: Answer>(server: &Server<A>, request: &Request<Incoming>, stopping: &watch::Receiver<()>) -> Response<Body> {
    let mut response = respond(server, request);
    if server.is_full() {
        // Others are waiting for a seat; keeping this one would let the first comers stay for ever.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| body.until(stopping))
}

/// Writes a 408 past hyper, which has no answer for a request that never became one.
fn say_timeout(socket: &TcpStream) {
    let body = Problem::Timeout.document("The request did not arrive in time.");
    let head = format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // The send buffer is empty and takes this at once; if not, the client is not reading and misses nothing.
    let _ = socket.try_write(&[head.as_bytes(), &body].concat());
}

/// Closes our half and waits a little for the client's: closing with bytes unread resets the connection, and a reset
/// can overtake the answer.
async fn close(mut socket: TcpStream) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let _ = timeout(LINGER_TIME, discard(&socket)).await;
}

async fn discard(socket: &TcpStream) {
    let mut left = LINGER_BYTES;
    while left > 0 && socket.readable().await.is_ok() {
        // Not held across the wait: a buffer in the future would weigh on every connection.
        let mut scrap = [0; 4096];
        match socket.try_read(&mut scrap) {
            Ok(0) => return,
            Ok(read) => left = left.saturating_sub(read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
