//! What follows a response's head: bytes that are there already, or events that are still to come.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;

/// The body of an answer.
///
/// ```
/// use bytes::Bytes;
/// use candle_server::http::Body;
/// use futures_util::stream;
///
/// let _whole = Body::from(Bytes::from_static(b"{}"));
/// let _events = Body::events(stream::pending());
/// ```
pub struct Body(Kind);

enum Kind {
    Whole(Full<Bytes>),
    /// Asked for the next part only when the one before has left for the socket: a slow reader holds nothing back.
    Events(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl Body {
    /// A body whose parts come as they happen; each is sent at once. It ends with the stream, or when the server stops.
    pub fn events(parts: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Kind::Events(Box::pin(parts)))
    }

    /// The same body, with events that end at the latest when `stopping` changes.
    pub(super) fn until(self, stopping: &watch::Receiver<()>) -> Self {
        match self.0 {
            Kind::Whole(_) => self,
            Kind::Events(parts) => {
                let mut stopping = stopping.clone();
                // Fails where the server is gone altogether, which is a stop too.
                Self::events(parts.take_until(async move { stopping.changed().await.is_ok() }))
            }
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(Full::new(bytes)))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.get_mut().0 {
            Kind::Whole(whole) => Pin::new(whole).poll_frame(context),
            Kind::Events(parts) => parts.as_mut().poll_next(context).map(|part| part.map(|part| Ok(Frame::data(part)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(whole) => whole.is_end_stream(),
            Kind::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(whole) => whole.size_hint(),
            Kind::Events(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Whole(_) => "Body(whole)",
            Kind::Events(_) => "Body(events)",
        })
    }
}
