//! A network that misbehaves on purpose: every way from one node to another goes through a TCP proxy on loopback, which
//! delays, narrows, holds back or cuts what passes.
//!
//! Bytes that are held back are delivered once the way is open again, as TCP would by repeating them; bytes are never
//! altered, since the nodes' connections are authenticated and would only break.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A way from one node to another.
pub type Way = (usize, usize);

const CHUNK_BYTES: usize = 16 << 10;
/// Chunks on their way over one connection in one direction; beyond it the sender feels the proxy's back pressure.
const CHUNKS_MAX: usize = 1_024;

/// The state of all ways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Conditions {
    /// Nothing passes here.
    held: BTreeSet<Way>,
    /// How much later everything arrives.
    delay: Duration,
    /// How much passes in a second over one connection and direction; `None` is as much as fits.
    bytes_per_second: Option<u64>,
    /// Connections of an earlier generation are cut.
    generation: u64,
}

/// All ways between some nodes.
#[derive(Debug)]
pub struct Network {
    conditions: Arc<watch::Sender<Conditions>>,
    tasks: JoinSet<()>,
}

impl Default for Network {
    fn default() -> Self {
        Self { conditions: Arc::new(watch::Sender::new(Conditions::default())), tasks: JoinSet::new() }
    }
}

impl Network {
    /// Opens the way on which `way.0` dials `way.1`, who listens at `target`; returns where to dial instead.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn open(&mut self, way: Way, target: SocketAddr) -> Result<SocketAddr> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no free port on loopback")?;
        let address = listener.local_addr()?;
        let conditions = self.conditions.subscribe();
        self.tasks.spawn(accept(listener, way, target, conditions));
        Ok(address)
    }

    /// Holds everything back that goes between the two groups, in both directions.
    pub fn part(&self, left: &[usize], right: &[usize]) {
        for from in left {
            for to in right {
                self.conditions.send_modify(|now| now.held.extend([(*from, *to), (*to, *from)]));
            }
        }
    }

    /// Holds back what `from` sends to the others; what they send to it passes.
    pub fn mute(&self, from: usize, others: &[usize]) {
        self.conditions.send_modify(|now| now.held.extend(others.iter().map(|to| (from, *to))));
    }

    /// Everything passes again.
    pub fn heal(&self) {
        self.conditions.send_modify(|now| now.held.clear());
    }

    /// Everything arrives later, and only so much passes in a second.
    pub fn slow(&self, delay: Duration, bytes_per_second: Option<u64>) {
        self.conditions.send_modify(|now| (now.delay, now.bytes_per_second) = (delay, bytes_per_second));
    }

    /// Cuts every connection there is; new ones may be made.
    pub fn cut(&self) {
        self.conditions.send_modify(|now| now.generation += 1);
    }
}

async fn accept(
    listener: TcpListener,
    (from, to): Way,
    target: SocketAddr,
    conditions: watch::Receiver<Conditions>,
) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        // A node that is down refuses; so does the proxy then, by closing.
        let Ok(far) = TcpStream::connect(target).await else { continue };
        // Small messages must not wait for each other here either.
        if near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).is_err() {
            continue;
        }
        let (near_in, near_out) = near.into_split();
        let (far_in, far_out) = far.into_split();
        connections.spawn(pass((from, to), near_in, far_out, conditions.clone()));
        connections.spawn(pass((to, from), far_in, near_out, conditions.clone()));
    }
}

/// Passes bytes on in one direction until either end closes or the connection is cut.
async fn pass(
    way: Way,
    mut from: OwnedReadHalf,
    to: OwnedWriteHalf,
    mut conditions: watch::Receiver<Conditions>,
) {
    let generation = conditions.borrow_and_update().generation;
    let (chunks, waiting) = mpsc::channel(CHUNKS_MAX);
    let delivery = tokio::spawn(deliver(way, waiting, to, conditions.clone(), generation));
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    let due = Instant::now() + conditions.borrow().delay;
                    if chunks.send((due, buffer[..count].to_vec())).await.is_err() {
                        break;
                    }
                }
            },
            changed = conditions.changed() => {
                if changed.is_err() || conditions.borrow_and_update().generation != generation {
                    delivery.abort();
                    return;
                }
            }
        }
    }
    drop(chunks);
    // What was read before the end still arrives.
    let _ = delivery.await;
}

async fn deliver(
    way: Way,
    mut chunks: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    mut conditions: watch::Receiver<Conditions>,
    generation: u64,
) {
    while let Some((due, chunk)) = chunks.recv().await {
        tokio::time::sleep_until(due).await;
        let open = conditions.wait_for(|now| now.generation != generation || !now.held.contains(&way)).await;
        let Ok(now) = open.map(|now| now.clone()) else { return };
        if now.generation != generation || to.write_all(&chunk).await.is_err() {
            return;
        }
        if let Some(rate) = now.bytes_per_second {
            tokio::time::sleep(Duration::from_secs_f64(chunk.len() as f64 / rate as f64)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A way to somebody who sends everything back.
    async fn echo(network: &mut Network) -> Result<TcpStream> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let target = listener.local_addr()?;
        network.tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut read, mut write) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut read, &mut write).await });
            }
        });
        Ok(TcpStream::connect(network.open((0, 1), target).await?).await?)
    }

    async fn says(stream: &mut TcpStream, text: &[u8]) -> Result<()> {
        stream.write_all(text).await?;
        let mut heard = vec![0; text.len()];
        stream.read_exact(&mut heard).await?;
        anyhow::ensure!(heard == text);
        Ok(())
    }

    #[tokio::test]
    async fn what_is_held_back_arrives_after_the_healing_and_a_cut_ends_the_connection() -> Result<()> {
        let mut network = Network::default();
        let mut stream = echo(&mut network).await?;
        says(&mut stream, b"open").await?;
        for hold in [|network: &Network| network.part(&[0], &[1]), |network: &Network| network.mute(1, &[0])]
        {
            hold(&network);
            let held = tokio::time::timeout(Duration::from_millis(200), says(&mut stream, b"held")).await;
            anyhow::ensure!(held.is_err(), "it passed");
            network.heal();
            let mut heard = [0; 4];
            stream.read_exact(&mut heard).await?;
            anyhow::ensure!(heard == *b"held");
        }
        network.slow(Duration::from_millis(20), Some(1 << 20));
        says(&mut stream, &[7; 40_000]).await?;
        network.cut();
        let mut rest = Vec::new();
        anyhow::ensure!(matches!(stream.read_to_end(&mut rest).await, Ok(0) | Err(_)), "{rest:?}");
        Ok(())
    }
}
