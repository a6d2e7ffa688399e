//! Listens: one address, TLS unless it is loopback, bounded connections, bounded headers, tidy shutdown.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use thiserror::Error;
use tokio::task::JoinHandle;

use super::connection::BoundedAcceptor;
use super::limits::{API_HANDSHAKE_TIMEOUT_MS, API_HEADER_BYTES_MAX, API_SHUTDOWN_GRACE_MS};

/// Where and how to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenOptions {
    /// The address; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Certificate chain and key, PEM files; `None` speaks plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections at a time from one address.
    pub connections_per_address_max: usize,
    /// How long a request's headers may take, also the wait for the next request on a kept connection.
    pub header_timeout_ms: u64,
}

/// Why the API does not listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address is taken or not ours.
    #[error(
        "the API cannot listen on {listen}: {source}; stop the process that uses the port, or set another `api.listen`"
    )]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error(
        "the API's certificate {} and key {} cannot be used: {source}; give PEM files that belong together",
        certificate.display(), key.display()
    )]
    Tls {
        /// The certificate chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
}

/// A server that listens.
pub struct ApiServer {
    /// The address, with the port that was picked.
    pub address: SocketAddr,
    handle: Handle<SocketAddr>,
    task: JoinHandle<std::io::Result<()>>,
}

impl ApiServer {
    /// Listens and serves on the current tokio runtime.
    ///
    /// # Errors
    /// When the address or the certificate cannot be used.
    pub async fn start(router: Router, options: &ListenOptions) -> Result<Self, ListenError> {
        let bind = |source| ListenError::Bind { listen: options.listen, source };
        let listener = TcpListener::bind(options.listen).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let handle = Handle::new();
        let mut server = axum_server::from_tcp(listener).map_err(bind)?.handle(handle.clone());
        server
            .http_builder()
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(options.header_timeout_ms))
            .max_buf_size(API_HEADER_BYTES_MAX);
        let bounded = BoundedAcceptor::new(options.connections_max, options.connections_per_address_max);
        let task = match &options.tls {
            None => tokio::spawn(serve(server.acceptor(bounded), router)),
            Some((certificate, key)) => {
                // An error means that this process has chosen its cryptography already.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let tls = RustlsConfig::from_pem_file(certificate, key).await.map_err(|source| {
                    ListenError::Tls { certificate: certificate.clone(), key: key.clone(), source }
                })?;
                let acceptor = RustlsAcceptor::new(tls)
                    .handshake_timeout(Duration::from_millis(API_HANDSHAKE_TIMEOUT_MS))
                    .acceptor(bounded);
                tokio::spawn(serve(server.acceptor(acceptor), router))
            }
        };
        Ok(Self { address, handle, task })
    }

    /// Stops accepting, lets requests in flight finish for a moment, and closes all connections.
    pub async fn shutdown(self) {
        self.handle.graceful_shutdown(Some(Duration::from_millis(API_SHUTDOWN_GRACE_MS)));
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the API ended with an error"),
            Err(error) => tracing::warn!(%error, "the API's task ended unexpectedly"),
        }
    }
}

async fn serve<A>(server: Server<SocketAddr, A>, router: Router) -> std::io::Result<()>
where
    A: axum_server::accept::Accept<tokio::net::TcpStream, Router> + Clone + Send + Sync + 'static,
    A::Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
    A::Service: axum_server::service::SendService<axum::http::Request<hyper::body::Incoming>> + Send,
    A::Future: Send,
{
    // Said last, since setting an acceptor forgets it. Without it the server waits for the first bytes of HTTP/1 or HTTP/2
    // without a timeout, so that silent connections keep their places.
    server.http1_only().serve(router.into_make_service()).await
}
