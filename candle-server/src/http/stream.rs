//! A socket with a deadline for whatever its connection is doing.
//!
//! hyper has one time-out of its own, for reading a head. It counts idling as reading, knows nothing of clients that
//! don't read, and makes a timer per request. Here one timer serves a connection for its life.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::histogram::Histogram;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::Limits;

/// What a connection is doing, as seen from its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waiting for the rest of a request (or for the first one).
    Receiving,
    /// An answer is on its way.
    Sending,
    /// All is answered and nothing has come since.
    Idle,
}

/// A client's socket; operations fail with [`io::ErrorKind::TimedOut`] once the phase has lasted too long.
#[derive(Debug)]
pub(super) struct Stream {
    io: TokioIo<TcpStream>,
    limits: Limits,
    phase: Phase,
    since: Instant,
    /// When the first byte came of the request that is being read or answered.
    began: Option<Instant>,
    /// Takes the time from there until the answer has left.
    seconds: Histogram,
    /// Never set further ahead than the shortest limit, so a phase that begins meanwhile can't end before it rings.
    /// Changing phase therefore leaves the timer alone: a busy connection pays for it a few times a minute.
    alarm: Pin<Box<Sleep>>,
}

impl Stream {
    pub(super) fn new(socket: TcpStream, limits: Limits, seconds: Histogram) -> Self {
        let since = Instant::now();
        Self {
            io: TokioIo::new(socket),
            limits,
            phase: Phase::Receiving,
            since,
            began: None,
            seconds,
            alarm: Box::pin(sleep_until(since + limits.shortest_time())),
        }
    }

    pub(super) fn into_socket(self) -> TcpStream {
        self.io.into_inner()
    }

    /// Whether the phase has outlasted its limit.
    pub(super) fn is_overdue(&self) -> bool {
        Instant::now() >= self.deadline()
    }

    fn deadline(&self) -> Instant {
        let limit = match self.phase {
            Phase::Receiving => self.limits.request_time,
            Phase::Sending => self.limits.answer_time,
            Phase::Idle => self.limits.idle_time,
        };
        self.since + limit
    }

    fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.since = Instant::now();
        }
    }

    /// Called where the socket has nothing to do: pending until the deadline, then an error.
    fn poll_deadline<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let (now, deadline) = (Instant::now(), self.deadline());
            if now >= deadline {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(deadline.min(now + self.limits.shortest_time()));
        }
    }

    /// The socket's own answer, or the deadline's where the socket has none.
    fn or_deadline<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        match polled {
            Poll::Pending => self.poll_deadline(context),
            done @ Poll::Ready(_) => done,
        }
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_read(context, buffer);
        // An end of file passes for a byte here: the connection is over either way.
        if polled.is_ready() {
            if this.phase == Phase::Idle {
                this.enter(Phase::Receiving);
                this.began = Some(this.since);
            } else if this.began.is_none() {
                this.began = Some(Instant::now());
            }
        }
        this.or_deadline(polled, context)
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.enter(Phase::Sending);
        let polled = Pin::new(&mut this.io).poll_write(context, bytes);
        this.or_deadline(polled, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.enter(Phase::Sending);
        let polled = Pin::new(&mut this.io).poll_write_vectored(context, parts);
        this.or_deadline(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper flushes when its own buffers are empty, so this is where an answer has left.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.phase == Phase::Sending {
            this.enter(Phase::Idle);
            if let Some(began) = this.began.take() {
                this.seconds.observe((this.since - began).as_secs_f64());
            }
        }
        Pin::new(&mut this.io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
