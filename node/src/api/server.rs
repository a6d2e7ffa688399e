//! Listens: one address, TLS unless it is loopback, bounded connections, bounded headers, tidy shutdown.
//!
//! HTTP/1.1, and HTTP/2 to those who agree on it in the TLS handshake.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::connection::{BoundedStream, Place, Places};
use super::http2::{Streams, Verdict};
use super::limits;
use super::tls::{self, Certificate, TlsError};
use crate::base::port_holder;

/// Where and how to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenOptions {
    /// The address; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Certificate chain and key, PEM files; `None` speaks plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Connections at a time; requests under way, too.
    pub connections_max: usize,
    /// Connections at a time from one address; requests under way, too.
    pub connections_per_address_max: usize,
    /// How long a request's headers may take, also the wait for the next request on a kept connection.
    pub header_timeout_ms: u64,
}

/// Why the API does not listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address is taken or not ours.
    #[error(
        "the API cannot listen on {listen}{}: {source}; stop the process that uses the port, or set another `api.listen`",
        port_holder::of(*listen)
    )]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error(
        "the API cannot speak TLS: {0}; set `api.tls_certificate` and `api.tls_key` to PEM files that belong together"
    )]
    Tls(#[from] TlsError),
}

/// An address that is taken, with the certificate read: what can go wrong before anything is served.
pub struct ApiListener {
    /// The address, with the port that was picked.
    pub address: SocketAddr,
    listener: TcpListener,
    serving: Serving,
}

/// A server that listens.
pub struct ApiServer {
    /// The address, with the port that was picked.
    pub address: SocketAddr,
    stopping: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What every connection shares.
#[derive(Clone)]
struct Serving {
    tls: Option<Arc<Certificate>>,
    places: Arc<Places>,
    header_timeout: Duration,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl ApiListener {
    /// Takes the address and reads the certificate. Callers wait until it is served.
    ///
    /// # Errors
    /// When the address or the certificate cannot be used.
    pub async fn bind(options: &ListenOptions) -> Result<Self, ListenError> {
        let tls = match &options.tls {
            None => None,
            Some((certificate, key)) => Some(Arc::new(Certificate::read(certificate, key)?)),
        };
        let bind = |source| ListenError::Bind { listen: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let header_timeout = Duration::from_millis(options.header_timeout_ms);
        let serving = Serving {
            tls,
            places: Arc::new(Places::new(options.connections_max, options.connections_per_address_max)),
            header_timeout,
            http1: http1(header_timeout),
            http2: http2(),
        };
        Ok(Self { address, listener, serving })
    }

    /// What it speaks TLS with, if it does.
    pub fn certificate(&self) -> Option<Arc<Certificate>> {
        self.serving.tls.clone()
    }

    /// Serves on the current tokio runtime.
    pub fn serve(self, router: Router) -> ApiServer {
        let (stopping, stops) = watch::channel(false);
        let task = tokio::spawn(accept(self.listener, self.serving, router, stops));
        ApiServer { address: self.address, stopping, task }
    }
}

impl ApiServer {
    /// Stops accepting, lets requests in flight finish for a moment, and closes all connections.
    pub async fn shutdown(self) {
        // Nobody listens any more when the task has ended; the next line says why.
        let _ = self.stopping.send(true);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the API's task ended unexpectedly");
        }
    }
}

fn http1(header_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(limits::API_HEADER_READ_BYTES_MAX);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::API_HTTP2_STREAMS_MAX)
        .max_header_list_size(limits::API_HEADER_READ_BYTES_MAX as u32)
        .max_pending_accept_reset_streams(limits::API_HTTP2_RESETS_MAX)
        .max_local_error_reset_streams(limits::API_HTTP2_RESETS_MAX)
        .initial_stream_window_size(limits::API_HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::API_HTTP2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(limits::API_HTTP2_SEND_BYTES_MAX)
        .keep_alive_interval(Duration::from_millis(limits::API_HTTP2_PING_INTERVAL_MS))
        .keep_alive_timeout(Duration::from_millis(limits::API_HTTP2_PING_TIMEOUT_MS));
    builder
}

/// Waits until the server stops.
async fn stopped(stops: &mut watch::Receiver<bool>) {
    // An error says that whoever could tell is gone.
    let _ = stops.wait_for(|stops| *stops).await;
}

/// Accepts connections as long as there are places; beyond that it closes them at once.
async fn accept(listener: TcpListener, serving: Serving, router: Router, mut stops: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut looks = interval(Duration::from_millis(limits::API_CERTIFICATE_LOOK_INTERVAL_MS));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    if let Some(place) = serving.places.take(from.ip()) {
                        let (serving, router, stops) = (serving.clone(), router.clone(), stops.clone());
                        connections.spawn(serving.connection(stream, from.ip(), place, router, stops));
                    }
                }
                // Files run out, or a caller left while it waited: neither is helped by trying again at once.
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    sleep(Duration::from_millis(limits::API_ACCEPT_PAUSE_MS)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = looks.tick() => serving.tls.iter().for_each(|certificate| certificate.follow()),
            () = stopped(&mut stops) => break,
        }
    }
    drop(listener);
    let grace = Duration::from_millis(limits::API_SHUTDOWN_GRACE_MS);
    let _ = timeout(grace, async { while connections.join_next().await.is_some() {} }).await;
    connections.shutdown().await;
}

impl Serving {
    async fn connection(
        self,
        stream: TcpStream,
        from: IpAddr,
        place: Place,
        router: Router,
        stops: watch::Receiver<bool>,
    ) {
        // It only delays small packets where it fails.
        let _ = stream.set_nodelay(true);
        let stream = BoundedStream::new(stream, place);
        let Some(certificate) = &self.tls else {
            return self.serve_http1(stream, router, stops).await;
        };
        let handshake = Duration::from_millis(limits::API_HANDSHAKE_TIMEOUT_MS);
        match timeout(handshake, certificate.acceptor().accept(stream)).await {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2) => {
                self.serve_http2(stream, from, router, stops).await;
            }
            Ok(Ok(stream)) => self.serve_http1(stream, router, stops).await,
            Ok(Err(error)) => tracing::debug!(%from, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%from, "a TLS handshake took too long"),
        }
    }

    async fn serve_http1<S>(&self, stream: S, router: Router, mut stops: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = TowerToHyperService::new(router);
        let mut connection = pin!(self.http1.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut stops) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "an HTTP/1 connection ended early");
        }
    }

    async fn serve_http2<S>(&self, stream: S, from: IpAddr, router: Router, stops: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let streams = Arc::new(Streams::new(Arc::clone(&self.places), from, self.header_timeout));
        let router = TowerToHyperService::new(router);
        let known = Arc::clone(&streams);
        let service = service_fn(move |request| {
            let answered = router.call(request);
            let answer = async { answered.await.unwrap_or_else(|never: Infallible| match never {}) };
            let response = Arc::clone(&known).answer(answer);
            async { Ok::<Response<_>, Infallible>(response.await) }
        });
        let mut connection = pin!(self.http2.serve_connection(TokioIo::new(stream), service));
        let mut ending = pin!(told_to_end(&streams, stops));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            ending = ending.as_mut() => match ending {
                Ending::Tidy => {
                    connection.as_mut().graceful_shutdown();
                    let grace = Duration::from_millis(limits::API_SHUTDOWN_GRACE_MS);
                    timeout(grace, connection).await.unwrap_or(Ok(()))
                }
                Ending::AtOnce(verdict) => {
                    tracing::debug!(%from, ?verdict, "an HTTP/2 connection is closed");
                    return;
                }
            },
        };
        if let Err(error) = ended {
            tracing::debug!(%from, %error, "an HTTP/2 connection ended early");
        }
    }
}

/// How a connection ends that the caller does not end.
enum Ending {
    /// What is under way may finish.
    Tidy,
    /// It misbehaves.
    AtOnce(Verdict),
}

/// Waits until a connection should end.
async fn told_to_end(streams: &Streams, mut stops: watch::Receiver<bool>) -> Ending {
    let mut looks = interval(Duration::from_millis(limits::API_HTTP2_LOOK_INTERVAL_MS));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => match streams.look() {
                Verdict::Fine => {}
                Verdict::Idle => return Ending::Tidy,
                verdict @ (Verdict::Abandons | Verdict::Stalls) => return Ending::AtOnce(verdict),
            },
            () = stopped(&mut stops) => return Ending::Tidy,
        }
    }
}
