//! Response bodies: bytes in memory, or a stream of parts.

use std::convert::Infallible;
use std::fmt;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;

/// The body of a response, either in memory or streamed.
///
/// ```
/// use bytes::Bytes;
/// use candle_http::server::Body;
/// use futures_util::stream;
///
/// let _whole = Body::from(Bytes::from_static(b"{}"));
/// let _stream = Body::stream(stream::pending());
/// ```
pub struct Body(Kind);

enum Kind {
    /// A body in memory; `None` after it was sent.
    Whole(Option<Segments>),
    /// A body without a length. The next part is polled after the previous part was written to the socket. A slow
    /// client therefore makes the server buffer at most one part.
    Stream(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

/// Up to three byte ranges that are sent in one write, without a copy.
#[derive(Debug, Default)]
pub struct Segments([Bytes; 3]);

impl Buf for Segments {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.iter().find(|segment| !segment.is_empty()).map_or(&[], |segment| segment)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let segments = self.0.iter().filter(|segment| !segment.is_empty());
        slices.iter_mut().zip(segments).map(|(slice, segment)| *slice = IoSlice::new(segment)).count()
    }

    fn advance(&mut self, mut count: usize) {
        for segment in &mut self.0 {
            let here = count.min(segment.len());
            segment.advance(here);
            count -= here;
        }
    }
}

impl Body {
    /// Creates a body that sends each part as soon as `parts` yields it.
    ///
    /// The body ends when `parts` ends or when the server stops.
    pub fn stream(parts: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Kind::Stream(Box::pin(parts)))
    }

    /// Makes a streamed body end when `stopping` changes. Other bodies are returned unchanged.
    pub(super) fn until(self, stopping: &watch::Receiver<()>) -> Self {
        match self.0 {
            Kind::Whole(_) => self,
            Kind::Stream(parts) => {
                let mut stopping = stopping.clone();
                // `changed` fails if the server was dropped. The failure ends the stream too.
                Self::stream(parts.take_until(async move { stopping.changed().await.is_ok() }))
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
    /// Creates a body that sends the segments in order.
    fn from(segments: [Bytes; 3]) -> Self {
        Self(Kind::Whole(Some(Segments(segments)).filter(Buf::has_remaining)))
    }
}

impl HttpBody for Body {
    type Data = Segments;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Segments>, Infallible>>> {
        match &mut self.get_mut().0 {
            Kind::Whole(segments) => Poll::Ready(segments.take().map(|segments| Ok(Frame::data(segments)))),
            Kind::Stream(parts) => {
                let frame = |part| Ok(Frame::data(Segments([part, Bytes::new(), Bytes::new()])));
                parts.as_mut().poll_next(context).map(|part| part.map(frame))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Kind::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(whole) => {
                SizeHint::with_exact(whole.as_ref().map_or(0, |segments| segments.remaining() as u64))
            }
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Whole(_) => "Body(whole)",
            Kind::Stream(_) => "Body(stream)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_sent_in_order_for_any_write_size() {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        for step in 1..=7 {
            let mut segments = Segments([bytes("ab"), Bytes::new(), bytes("cdefg")]);
            let mut sent = Vec::new();
            while segments.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 4];
                let count = segments.chunks_vectored(&mut slices);
                let joined: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
                assert_eq!(joined.len(), segments.remaining());
                assert!(joined.starts_with(segments.chunk()) && !segments.chunk().is_empty());
                let written = step.min(joined.len());
                sent.extend_from_slice(&joined[..written]);
                segments.advance(written);
            }
            assert_eq!(sent, b"abcdefg");
        }
    }
}
