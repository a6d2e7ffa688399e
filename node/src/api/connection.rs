//! What one TCP connection may take: a place among a bounded number, and no endless stall in reading its answers.
//!
//! Slow headers are bounded by the HTTP reader, slow TLS handshakes by the acceptor's own timeout, slow bodies by the
//! request's timeout. What remains is a caller that never reads: its connection is closed after a bounded stall.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::limits::{API_REFUSAL_LOG_INTERVAL_MS, API_WRITE_STALL_MS_MAX};

/// The places for requests under way: some in all, fewer for one address, so that no caller takes them from the others. A
/// connection holds one, since it may have one request under way; each further stream of HTTP/2 takes one of its own.
pub(super) struct Places {
    connections_max: usize,
    per_address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    in_all: usize,
    /// Addresses without a connection have no entry, so there are never more than connections.
    by_address: BTreeMap<IpAddr, usize>,
    refused_since: u64,
    logged_at: Option<Instant>,
}

/// A place that is taken, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

/// Who counts as one caller: an IPv4 address, or a /64 of IPv6, which one site has to itself (RFC 6177).
fn caller(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

impl Places {
    /// Places for `connections_max` at a time, `per_address_max` of them from one address.
    pub(super) fn new(connections_max: usize, per_address_max: usize) -> Self {
        Self { connections_max, per_address_max, taken: Mutex::default() }
    }

    /// Counts are changed as a whole under this lock, so a panic elsewhere cannot leave them half-changed.
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a caller, unless all are taken, or all that this caller may have.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = caller(address);
        let mut taken = self.taken();
        let own = taken.by_address.get(&address).copied().unwrap_or(0);
        let bound = if taken.in_all >= self.connections_max {
            "all places of the API are taken (api.connections_max)"
        } else if own >= self.per_address_max {
            "one address has all the places it may have (api.connections_per_address_max)"
        } else {
            taken.in_all += 1;
            taken.by_address.insert(address, own + 1);
            return Some(Place { places: Arc::clone(self), address });
        };
        taken.refused(bound, address);
        None
    }
}

impl Taken {
    /// Says that connections are refused, once in a while: a flood must not fill the log.
    fn refused(&mut self, bound: &str, address: IpAddr) {
        self.refused_since += 1;
        let pause = Duration::from_millis(API_REFUSAL_LOG_INTERVAL_MS);
        if self.logged_at.is_none_or(|at| at.elapsed() >= pause) {
            let connections = std::mem::take(&mut self.refused_since);
            tracing::warn!(connections, last_from = %address, "connections or requests were refused: {bound}");
            self.logged_at = Some(Instant::now());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.in_all -= 1;
        if let Some(own) = taken.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// A connection that holds its place, and whose writes may stall for a bounded time.
pub(super) struct BoundedStream {
    stream: TcpStream,
    stall: Pin<Box<Sleep>>,
    is_stalled: bool,
    _place: Place,
}

impl BoundedStream {
    const STALL_MAX: Duration = Duration::from_millis(API_WRITE_STALL_MS_MAX);

    pub(super) fn new(stream: TcpStream, place: Place) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_for_one_address_and_for_all_and_come_back() {
        let places = Arc::new(Places::new(3, 2));
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse::<IpAddr>().unwrap());
        let (first, _second) = (places.take(one).unwrap(), places.take(one).unwrap());
        assert!(places.take(one).is_none(), "one address has its two places");
        let third = places.take(other).unwrap();
        assert!(places.take(other).is_none(), "there are three in all");
        drop(first);
        assert!(places.take(other).is_some());
        drop(third);
        assert_eq!(places.taken().by_address.len(), 1);
    }

    #[test]
    fn addresses_of_one_site_are_one_caller() {
        let of = |text: &str| caller(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::5"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::5"), of("2001:db8:1:3::5"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
