//! A socket that fails when a phase of its connection takes too long.
//!
//! hyper has one timeout, for the head of a request. That timeout counts idle time as reading, does not cover clients
//! that stop reading, and creates a timer for each request. Here one timer serves a connection for its lifetime.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::histogram::Histogram;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::Limits;

/// The phase of a connection, as seen from its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waiting for the rest of a request, or for the first request.
    Receiving,
    /// Sending a response.
    Sending,
    /// Waiting for the next request.
    Idle,
}

/// A client's socket. Operations fail with [`io::ErrorKind::TimedOut`] after the limit of the current phase.
#[derive(Debug)]
pub(super) struct DeadlineSocket {
    io: TokioIo<TcpStream>,
    limits: Limits,
    phase: Phase,
    since: Instant,
    /// The time of the first byte of the current request.
    request_start: Option<Instant>,
    /// Receives the time from that byte until the response has left.
    request_seconds: Histogram,
    /// Never set further ahead than the shortest limit, so that a phase cannot end before the timer fires. A change of
    /// phase therefore does not touch the timer: a busy connection resets it a few times a minute.
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

    /// Returns true if the current phase has exceeded its limit.
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

    /// Pends until the deadline, then fails. The caller has found that the socket itself is pending.
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

    /// Returns the result of the socket, or polls the deadline if the socket is pending.
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
        // An end of file counts as a byte: the connection ends in any case.
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

    /// Marks the end of a response: hyper flushes when its own buffers are empty.
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
