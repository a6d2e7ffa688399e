//! Thousands of connections a second from strangers: most send bytes that mean nothing, some prove a key that no ledger
//! names.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use yilian_spec::crypto::signature::SecretKey;

use super::field::Field;
use super::peer::line::total;
use super::peer::substream::Deaf;
use super::{Attack, Tally};

/// Connections to one node that are under way at a time.
const AT_A_TIME: u8 = 4;
/// One in so many proves a key.
const STRANGER_EVERY: u64 = 200;
const PAUSE: Duration = Duration::from_micros(500);

pub struct GarbageConnections;

/// Connects from an address of this machine that is not the honest nodes', by its last two numbers.
pub async fn connect_from((site, host): (u8, u8), to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, site, host), 0)))?;
    socket.connect(to).await
}

async fn knock(field: Field, to: SocketAddr, lane: u8, until: Instant) -> (u64, u64) {
    let (mut made, mut refused) = (0_u64, 0);
    let garbage: Vec<u8> = (0..=255).cycle().take(300).collect();
    while Instant::now() < until {
        // Many addresses, so that no port of one is used up.
        let host = (made % 200) as u8 + 1;
        let done = match made % STRANGER_EVERY {
            0 => {
                let key = SecretKey::from_seed(&[host; 32]);
                field.door_as(&key, to, Arc::new(Deaf)).connect().await.map(drop).is_ok()
            }
            _ => match connect_from((lane + 1, host), to).await {
                Ok(mut stream) => stream.write_all(&garbage).await.is_ok(),
                Err(_) => false,
            },
        };
        made += 1;
        refused += u64::from(!done);
        tokio::time::sleep(PAUSE).await;
    }
    (made, refused)
}

#[async_trait]
impl Attack for GarbageConnections {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let mut knocking = JoinSet::new();
        for to in field.targets.values() {
            for lane in 0..AT_A_TIME {
                knocking.spawn(knock(field.clone(), *to, lane, until));
            }
        }
        Ok(total("connections", knocking.join_all().await))
    }
}
