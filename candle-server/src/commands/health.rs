//! `candle-server health`: checks if a running server is ready, for images without another HTTP client.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::settings::HealthUrl;

/// The maximum time for the response: 5 s. A healthy server responds much faster.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// The path that is requested if the address has no path.
const READY: &str = "/readyz";

/// Sends one request to the server at `url`, and checks that the status is 200.
///
/// # Errors
/// Returns one line of text if the status is not 200, or if the server does not respond in time.
pub async fn check(url: &HealthUrl) -> Result<(), String> {
    match timeout(TIMEOUT, status(url)).await {
        Ok(Ok(200)) => Ok(()),
        Ok(Ok(status)) => Err(format!("the server answered {status}")),
        Ok(Err(error)) => Err(format!("the server can't be reached: {error}")),
        Err(_) => Err(format!("the server did not answer within {} s", TIMEOUT.as_secs())),
    }
}

async fn status(url: &HealthUrl) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
    let url = url.uri();
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, url.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = if url.path() == "/" { READY } else { url.path() };
    let authority = url.authority().map(|authority| HeaderValue::from_str(authority.as_str())).transpose()?;
    let mut request = Request::get(path).body(Empty::<Bytes>::new())?;
    request.headers_mut().extend(authority.map(|authority| (HOST, authority)));
    tokio::select! {
        response = sender.send_request(request) => Ok(response?.status().as_u16()),
        // The connection sends the request and receives the response. It ends before the response only after a failure.
        ended = connection => Err(ended.err().map_or_else(|| "the connection was closed".into(), Into::into)),
    }
}
