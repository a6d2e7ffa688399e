//! What one TCP connection may take: a place among a bounded number, and no endless stall in reading its answers.
//!
//! Slow headers are bounded by the HTTP reader, slow TLS handshakes by the acceptor's own timeout, slow bodies by the
//! request's timeout. What remains is a caller that never reads: its connection is closed after a bounded stall.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use super::limits::API_WRITE_STALL_MS_MAX;

/// Accepts connections as long as there are places; beyond that it closes them at once.
#[derive(Clone)]
pub struct BoundedAcceptor {
    places: Arc<Semaphore>,
}

impl BoundedAcceptor {
    /// An acceptor for `connections_max` connections at a time.
    pub fn new(connections_max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(connections_max)) }
    }
}

impl<S> Accept<TcpStream, S> for BoundedAcceptor {
    type Stream = BoundedStream;
    type Service = S;
    type Future = std::future::Ready<io::Result<(BoundedStream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let accepted = match place {
            Ok(place) => stream.set_nodelay(true).map(|()| (BoundedStream::new(stream, place), service)),
            Err(_) => {
                tracing::warn!(
                    "a connection was closed: all places of the API are taken (api.connections_max)"
                );
                Err(io::Error::other("all places are taken"))
            }
        };
        std::future::ready(accepted)
    }
}

/// A connection that holds its place, and whose writes may stall for a bounded time.
pub struct BoundedStream {
    stream: TcpStream,
    stall: Pin<Box<Sleep>>,
    is_stalled: bool,
    _place: OwnedSemaphorePermit,
}

impl BoundedStream {
    const STALL_MAX: Duration = Duration::from_millis(API_WRITE_STALL_MS_MAX);

    fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        Self { stream, stall: Box::pin(sleep(Self::STALL_MAX)), is_stalled: false, _place: place }
    }

    /// Lets a result of writing pass, or fails once writes have been pending for too long.
    fn bound<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_stalled = false;
            return written;
        }
        if !self.is_stalled {
            self.is_stalled = true;
            self.stall.as_mut().reset(Instant::now() + Self::STALL_MAX);
        }
        ready!(self.stall.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller does not read")))
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, into)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.bound(context, written)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.bound(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.bound(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
