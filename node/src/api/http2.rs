//! What one HTTP/2 connection may do: many requests at a time, each with a place of its own, none without an end.
//!
//! HTTP/1 has one request under way, so that the bounds of a connection are those of a request. HTTP/2 needs them again:
//!
//! | what a caller may try | the bound |
//! |---|---|
//! | many requests at once | `API_HTTP2_STREAMS_MAX` a connection, and each beyond the first takes a place like a connection |
//! | requests that are given up at once ("rapid reset") | [`API_HTTP2_ABANDONED_MAX`] over a connection's life |
//! | answers for which it opens no window | a stall of [`API_WRITE_STALL_MS_MAX`] closes the connection |
//! | a connection without requests | closed after the time that a request's headers may take |
//! | long headers, pieces of headers, resets, pings, windows | bounds of the HTTP/2 library, set in `super::server` |

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use super::connection::{Place, Places};
use super::error::ApiError;
use super::limits::{API_HTTP2_ABANDONED_MAX, API_HTTP2_PORTION_BYTES, API_WRITE_STALL_MS_MAX};

/// What a look at a connection says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may go on.
    Fine,
    /// No request is under way, and none has been for as long as a caller may take to send one.
    Idle,
    /// It gave up too many requests before they were answered.
    Abandons,
    /// It takes no more of an answer.
    Stalls,
}

/// The requests of one HTTP/2 connection.
pub(super) struct Streams {
    places: Arc<Places>,
    address: IpAddr,
    idle_max: Duration,
    stall_max: Duration,
    under_way: Mutex<UnderWay>,
}

struct UnderWay {
    /// By number: since when the caller takes no more of the answer; `None` while the node works on it.
    requests: BTreeMap<u64, Option<Instant>>,
    begun: u64,
    abandoned: u32,
    idle_since: Instant,
}

/// One request, from its headers to its answer's end.
struct Request {
    streams: Arc<Streams>,
    number: u64,
    is_answered: bool,
    /// The connection's own place serves its first request.
    _place: Option<Place>,
}

impl Streams {
    /// Of a connection from `address` that may be idle for `idle_max`.
    pub(super) fn new(places: Arc<Places>, address: IpAddr, idle_max: Duration) -> Self {
        let under_way =
            UnderWay { requests: BTreeMap::new(), begun: 0, abandoned: 0, idle_since: Instant::now() };
        let stall_max = Duration::from_millis(API_WRITE_STALL_MS_MAX);
        Self { places, address, idle_max, stall_max, under_way: Mutex::new(under_way) }
    }

    /// Each change is whole under this lock, so a panic elsewhere leaves nothing half-changed.
    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request of this connection with `answer`, or refuses it when there is no place for it.
    pub(super) async fn answer(
        self: Arc<Self>,
        answer: impl Future<Output = Response>,
    ) -> Response<Portions> {
        let Some(mut request) = self.begin() else {
            let busy = ApiError::Busy {
                code: "too_many_requests",
                message: "this address has all the requests under way that it may have \
                          (api.connections_per_address_max), or the node has (api.connections_max): wait for answers"
                    .to_owned(),
                retry_after_s: 1,
            };
            return busy.into_response().map(|body| Portions { body, rest: Bytes::new(), request: None });
        };
        let response = answer.await;
        request.is_answered = true;
        response.map(|body| Portions { body, rest: Bytes::new(), request: Some(request) })
    }

    fn begin(self: &Arc<Self>) -> Option<Request> {
        let mut under_way = self.under_way();
        // The connection is about to be closed; what else it asks must cost nothing.
        if under_way.abandoned > API_HTTP2_ABANDONED_MAX {
            return None;
        }
        let is_first = under_way.requests.is_empty();
        let place = if is_first { None } else { Some(self.places.take(self.address)?) };
        let number = under_way.begun;
        under_way.begun += 1;
        under_way.requests.insert(number, None);
        Some(Request { streams: Arc::clone(self), number, is_answered: false, _place: place })
    }

    /// Judges the connection as it is now.
    pub(super) fn look(&self) -> Verdict {
        let under_way = self.under_way();
        if under_way.abandoned > API_HTTP2_ABANDONED_MAX {
            Verdict::Abandons
        } else if under_way.requests.values().flatten().any(|since| since.elapsed() > self.stall_max) {
            Verdict::Stalls
        } else if under_way.requests.is_empty() && under_way.idle_since.elapsed() > self.idle_max {
            Verdict::Idle
        } else {
            Verdict::Fine
        }
    }
}

impl Request {
    /// Notes whether it is the caller's turn to take what lies ready.
    fn lies_ready(&self, is_ready: bool) {
        let since = is_ready.then(Instant::now);
        self.streams.under_way().requests.insert(self.number, since);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut under_way = self.streams.under_way();
        under_way.requests.remove(&self.number);
        under_way.idle_since = Instant::now();
        if !self.is_answered {
            under_way.abandoned = under_way.abandoned.saturating_add(1);
        }
    }
}

/// An answer's body in portions: HTTP/2 asks for the next one when the caller has made room, so that a stall shows, and
/// little of it lies where only the library sees it.
pub(super) struct Portions {
    body: Body,
    rest: Bytes,
    request: Option<Request>,
}

impl HttpBody for Portions {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if let Some(request) = &this.request {
            request.lies_ready(false);
        }
        while this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => this.rest = bytes,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
            }
        }
        let length = this.rest.len().min(API_HTTP2_PORTION_BYTES);
        let portion = this.rest.split_to(length);
        if let Some(request) = &this.request {
            request.lies_ready(true);
        }
        Poll::Ready(Some(Ok(Frame::data(portion))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(per_address_max: usize) -> Streams {
        let places = Arc::new(Places::new(8, per_address_max));
        let address = "192.0.2.1".parse().unwrap();
        Streams { stall_max: Duration::ZERO, ..Streams::new(places, address, Duration::from_secs(3_600)) }
    }

    async fn next(body: &mut Portions) -> Option<Bytes> {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        frame.map(|frame| frame.unwrap().into_data().unwrap())
    }

    #[tokio::test]
    async fn a_body_comes_whole_in_portions_and_stalls_only_while_the_caller_takes_nothing() {
        let streams = Arc::new(streams(8));
        let sent: Vec<u8> = (0..40_000_u32).map(|one| (one % 251) as u8).collect();
        let answer = Body::from(sent.clone()).into_response();
        let mut body = Arc::clone(&streams).answer(async { answer }).await.into_body();
        assert_eq!(body.size_hint().exact(), Some(40_000));
        assert_eq!(streams.look(), Verdict::Fine, "the caller was given nothing yet");
        let mut taken = next(&mut body).await.unwrap().to_vec();
        assert_eq!((taken.len(), body.size_hint().exact()), (API_HTTP2_PORTION_BYTES, Some(40_000 - 16_384)));
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(streams.look(), Verdict::Stalls);
        while !body.is_end_stream() {
            taken.extend(next(&mut body).await.unwrap());
        }
        assert_eq!(taken, sent);
        assert_eq!(next(&mut body).await, None);
        assert_eq!(streams.look(), Verdict::Fine);
    }

    #[tokio::test]
    async fn requests_beyond_a_connections_first_take_places_and_give_them_back() {
        let streams = Arc::new(streams(1));
        let (first, second) = (streams.begin().unwrap(), streams.begin().unwrap());
        let refused = Arc::clone(&streams).answer(std::future::pending()).await;
        assert_eq!(refused.status(), 429);
        drop(second);
        drop(streams.begin().unwrap());
        drop(first);
        assert!(streams.begin().is_some());
    }

    #[tokio::test]
    async fn whoever_gives_up_too_many_requests_gets_nothing_more() {
        let streams = Arc::new(streams(8));
        for _ in 0..=API_HTTP2_ABANDONED_MAX {
            assert_eq!(streams.look(), Verdict::Fine);
            drop(streams.begin().unwrap());
        }
        assert_eq!(streams.look(), Verdict::Abandons);
        assert!(streams.begin().is_none(), "its next request is not even begun");
    }
}
