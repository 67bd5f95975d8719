//! A bare hyper server that returns the same bytes for every request: the upper bound for a server on hyper.
//!
//! `bare PORT FILE [THREADS]`: one current-thread runtime for each thread, on clones of one listening socket.

use std::convert::Infallible;
use std::error::Error;
use std::future::ready;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, port, file, rest @ ..] = arguments.as_slice() else {
        return Err("usage: bare PORT FILE [THREADS]".into());
    };
    let threads = rest.first().map_or(Ok(2), |text| text.parse())?;
    let body = Bytes::from(std::fs::read(file)?);
    let listener = std::net::TcpListener::bind(("127.0.0.1", port.parse::<u16>()?))?;
    listener.set_nonblocking(true)?;
    let mut workers = Vec::new();
    for _ in 0..threads {
        let (listener, body) = (listener.try_clone()?, body.clone());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        workers.push(std::thread::spawn(move || runtime.block_on(serve(listener, body))));
    }
    workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err("a worker panicked".into())))?;
    Ok(())
}

async fn serve(listener: std::net::TcpListener, body: Bytes) -> Result<(), Box<dyn Error + Send + Sync>> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let body = body.clone();
        let service = service_fn(move |_: Request<_>| {
            let mut response = Response::new(Full::new(body.clone()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            ready(Ok::<_, Infallible>(response))
        });
        tokio::spawn(async move {
            // Errors of a client do not affect the benchmark.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}
