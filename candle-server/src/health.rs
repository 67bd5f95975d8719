//! Asking a running server whether it is well: for whoever starts it and has no other way to ask.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::Scheme;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest an answer may take: a server that takes longer is of no use to anyone.
pub const ANSWER: Duration = Duration::from_secs(5);

/// What is asked where the address has no path.
const READY: &str = "/readyz";

/// The address of a server, or of one of its routes: `http://HOST[:PORT][/PATH]`, by default `/readyz`.
///
/// ```
/// use candle_server::health::HealthUrl;
///
/// assert!("http://127.0.0.1:5001".parse::<HealthUrl>().is_ok());
/// assert!("https://127.0.0.1:5001".parse::<HealthUrl>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthUrl(Uri);

impl FromStr for HealthUrl {
    type Err = HealthUrlError;

    fn from_str(text: &str) -> Result<Self, HealthUrlError> {
        let uri: Uri = text.parse().map_err(|_| HealthUrlError)?;
        let is_plain = uri.scheme() == Some(&Scheme::HTTP) && uri.host().is_some_and(|host| !host.is_empty());
        if is_plain { Ok(Self(uri)) } else { Err(HealthUrlError) }
    }
}

/// A text that is the address of no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthUrlError;

impl fmt::Display for HealthUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address of a server is http://HOST[:PORT][/PATH]")
    }
}

impl std::error::Error for HealthUrlError {}

/// Asks the server at `url`.
///
/// # Errors
/// Where it gives another answer than 200, or none in time; one line that says which.
pub async fn ask(url: &HealthUrl) -> Result<(), String> {
    match timeout(ANSWER, status(url)).await {
        Ok(Ok(200)) => Ok(()),
        Ok(Ok(status)) => Err(format!("the server answers {status}")),
        Ok(Err(error)) => Err(format!("the server can't be asked: {error}")),
        Err(_) => Err(format!("the server gives no answer within {} s", ANSWER.as_secs())),
    }
}

async fn status(HealthUrl(url): &HealthUrl) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, url.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = if url.path() == "/" { READY } else { url.path() };
    let authority = url.authority().map(|authority| HeaderValue::from_str(authority.as_str())).transpose()?;
    let mut request = Request::get(path).body(Empty::<Bytes>::new())?;
    request.headers_mut().extend(authority.map(|authority| (HOST, authority)));
    tokio::select! {
        response = sender.send_request(request) => Ok(response?.status().as_u16()),
        // It drives the exchange, and ends before it only where that fails.
        ended = connection => Err(ended.err().map_or_else(|| "the connection was closed".into(), Into::into)),
    }
}
