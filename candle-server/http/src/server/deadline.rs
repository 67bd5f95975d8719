//! A socket that fails when its connection exceeds a timeout.
//!
//! hyper has one timeout, for the head of a request. That timeout includes the idle time before the request, does not
//! apply to clients that stop reading, and creates a timer for each request. [`DeadlineSocket`] instead has one timer
//! for the whole connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::histogram::Histogram;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::Limits;

/// The phase of a connection. Each phase has its own timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The server waits for the first request, or for the rest of a later request.
    Receiving,
    /// The server sends a response.
    Sending,
    /// The server waits for the first byte of the next request.
    Idle,
}

/// A client's socket. Reads and writes fail with [`io::ErrorKind::TimedOut`] when the current phase exceeds its
/// timeout.
#[derive(Debug)]
pub(super) struct DeadlineSocket {
    io: TokioIo<TcpStream>,
    limits: Limits,
    phase: Phase,
    since: Instant,
    /// The time of the first byte of the current request.
    request_start: Option<Instant>,
    /// Records the time from the first byte of a request until its response was sent (seconds).
    request_seconds: Histogram,
    /// The timer of the connection. A change of phase does not reset the timer.
    ///
    /// The timer is never set further ahead than the shortest timeout. It therefore fires before any new phase can
    /// reach its timeout. A busy connection resets the timer only a few times a minute.
    timer: Pin<Box<Sleep>>,
}

impl DeadlineSocket {
    pub(super) fn new(socket: TcpStream, limits: Limits, request_seconds: Histogram) -> Self {
        let since = Instant::now();
        Self {
            io: TokioIo::new(socket),
            limits,
            phase: Phase::Receiving,
            since,
            request_start: None,
            request_seconds,
            timer: Box::pin(sleep_until(since + limits.shortest_time())),
        }
    }

    pub(super) fn into_inner(self) -> TcpStream {
        self.io.into_inner()
    }

    /// Returns true if the current phase has exceeded its timeout.
    pub(super) fn is_overdue(&self) -> bool {
        Instant::now() >= self.deadline()
    }

    fn deadline(&self) -> Instant {
        let limit = match self.phase {
            Phase::Receiving => self.limits.request_time,
            Phase::Sending => self.limits.response_time,
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

    /// Returns an error if the deadline has passed, and wakes the task at the deadline otherwise.
    ///
    /// The caller has already polled the socket, which was pending.
    fn poll_deadline<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let (now, deadline) = (Instant::now(), self.deadline());
            if now >= deadline {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.timer.as_mut().reset(deadline.min(now + self.limits.shortest_time()));
        }
    }

    /// Returns `polled` if it is ready, and polls the deadline otherwise.
    fn or_deadline<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        match polled {
            Poll::Pending => self.poll_deadline(context),
            done @ Poll::Ready(_) => done,
        }
    }
}

impl Read for DeadlineSocket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_read(context, buffer);
        // An end of file is treated like a byte, because the connection ends anyway.
        if polled.is_ready() {
            if this.phase == Phase::Idle {
                this.enter(Phase::Receiving);
                this.request_start = Some(this.since);
            } else if this.request_start.is_none() {
                this.request_start = Some(Instant::now());
            }
        }
        this.or_deadline(polled, context)
    }
}

impl Write for DeadlineSocket {
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

    /// Ends the phase [`Phase::Sending`]. hyper calls this method when it has written a whole response.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.phase == Phase::Sending {
            this.enter(Phase::Idle);
            if let Some(start) = this.request_start.take() {
                this.request_seconds.observe((this.since - start).as_secs_f64());
            }
        }
        Pin::new(&mut this.io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
