//! One connection: authenticated by Noise, multiplexed by Yamux, and nothing else that a node would insist on.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result};
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox};
use libp2p::core::transport::{DialOpts, PortUse};
use libp2p::core::{Endpoint, Transport as _, upgrade};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, noise, tcp, yamux};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use yilian_spec::crypto::signature::SecretKey;

use super::substream::{self, Host};

/// Time for TCP, Noise and Yamux together, and for a substream to be agreed on.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to one node; it ends when this is dropped.
pub struct Connection {
    network: String,
    orders: mpsc::UnboundedSender<oneshot::Sender<SubstreamBox>>,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Connects to the node at `to` as the peer of `key`, in the ledger that `network` names. What the node opens and says
    /// goes to `host`.
    ///
    /// # Errors
    /// When the node does not let it in.
    pub async fn open(key: &SecretKey, to: SocketAddr, network: &str, host: Arc<dyn Host>) -> Result<Self> {
        let identity = Keypair::ed25519_from_bytes(*key.seed())?;
        let mut transport = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true))
            .upgrade(upgrade::Version::V1)
            .authenticate(noise::Config::new(&identity)?)
            .multiplex(yamux::Config::default())
            .map(|(_, muxer), _| StreamMuxerBox::new(muxer))
            .boxed();
        let address = Multiaddr::from(to.ip()).with(Protocol::Tcp(to.port()));
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let muxer = tokio::time::timeout(PATIENCE, transport.dial(address, options)?)
            .await
            .context("the handshake hangs")??;
        let (orders, received) = mpsc::unbounded_channel();
        let driver =
            Driver { muxer, orders: received, waiting: VecDeque::new(), network: network.to_owned(), host };
        Ok(Self { network: network.to_owned(), orders, driver: tokio::spawn(driver) })
    }

    /// Whether the node has ended it.
    pub fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    /// Waits until the node has ended it, at most so long; whether it has.
    pub async fn closed_within(&mut self, limit: Duration) -> bool {
        tokio::time::timeout(limit, &mut self.driver).await.is_ok()
    }

    /// A substream on which nothing is said yet.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn substream(&self) -> Result<SubstreamBox> {
        let (order, opened) = oneshot::channel();
        self.orders.send(order).ok().context("the connection has ended")?;
        Ok(tokio::time::timeout(PATIENCE, opened).await.context("no substream opens")??)
    }

    /// A substream for what the nodes call `name` (a lane, or `sync`), agreed on.
    ///
    /// # Errors
    /// When the connection has ended, or the node does not agree.
    pub async fn agreed(&self, name: &str) -> Result<SubstreamBox> {
        let mut stream = self.substream().await?;
        let protocol = format!("/yilian/{}/{name}/1", self.network);
        let agreed = substream::ask(&mut stream, &protocol);
        tokio::time::timeout(PATIENCE, agreed).await.context("the node does not agree on a protocol")??;
        Ok(stream)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Drives the connection; ends with it.
struct Driver {
    muxer: StreamMuxerBox,
    orders: mpsc::UnboundedReceiver<oneshot::Sender<SubstreamBox>>,
    waiting: VecDeque<oneshot::Sender<SubstreamBox>>,
    network: String,
    host: Arc<dyn Host>,
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            let mut moved = false;
            match this.muxer.poll_unpin(context) {
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => moved = true,
                Poll::Pending => {}
            }
            match this.muxer.poll_inbound_unpin(context) {
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(stream)) => {
                    moved = true;
                    tokio::spawn(substream::answer(stream, this.network.clone(), Arc::clone(&this.host)));
                }
                Poll::Pending => {}
            }
            while let Poll::Ready(Some(order)) = this.orders.poll_recv(context) {
                this.waiting.push_back(order);
            }
            if !this.waiting.is_empty() {
                match this.muxer.poll_outbound_unpin(context) {
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(stream)) => {
                        moved = true;
                        if let Some(order) = this.waiting.pop_front() {
                            // Whoever ordered it may have given up.
                            let _ = order.send(stream);
                        }
                    }
                    Poll::Pending => {}
                }
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }
}
