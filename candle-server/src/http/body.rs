//! What follows a response's head: bytes that are there already, or events that are still to come.

use std::convert::Infallible;
use std::fmt;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
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
    /// `None` once they are sent.
    Whole(Option<Parts>),
    /// Asked for the next part only when the one before has left for the socket: a slow reader holds nothing back.
    Events(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

/// Bytes that lie in up to three places, and are sent from there in one write.
#[derive(Debug, Default)]
pub struct Parts([Bytes; 3]);

impl Buf for Parts {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.iter().find(|part| !part.is_empty()).map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = self.0.iter().filter(|part| !part.is_empty());
        slices.iter_mut().zip(parts).map(|(slice, part)| *slice = IoSlice::new(part)).count()
    }

    fn advance(&mut self, mut count: usize) {
        for part in &mut self.0 {
            let here = count.min(part.len());
            part.advance(here);
            count -= here;
        }
    }
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
        Self::from([bytes, Bytes::new(), Bytes::new()])
    }
}

impl From<[Bytes; 3]> for Body {
    /// A body of these, one behind another.
    fn from(parts: [Bytes; 3]) -> Self {
        Self(Kind::Whole(Some(Parts(parts)).filter(Buf::has_remaining)))
    }
}

impl HttpBody for Body {
    type Data = Parts;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Parts>, Infallible>>> {
        match &mut self.get_mut().0 {
            Kind::Whole(parts) => Poll::Ready(parts.take().map(|parts| Ok(Frame::data(parts)))),
            Kind::Events(parts) => {
                let event = |part| Ok(Frame::data(Parts([part, Bytes::new(), Bytes::new()])));
                parts.as_mut().poll_next(context).map(|part| part.map(event))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Kind::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(parts) => SizeHint::with_exact(parts.as_ref().map_or(0, |parts| parts.remaining() as u64)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_sent_in_order_however_the_socket_cuts_them() {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        for step in 1..=7 {
            let mut parts = Parts([bytes("ab"), Bytes::new(), bytes("cdefg")]);
            let mut sent = Vec::new();
            while parts.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 4];
                let count = parts.chunks_vectored(&mut slices);
                let together: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
                assert_eq!(together.len(), parts.remaining());
                assert!(together.starts_with(parts.chunk()) && !parts.chunk().is_empty());
                let taken = step.min(together.len());
                sent.extend_from_slice(&together[..taken]);
                parts.advance(taken);
            }
            assert_eq!(sent, b"abcdefg");
        }
    }
}
