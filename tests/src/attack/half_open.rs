//! Connections of strangers that never say anything, more than a node lets wait, from many addresses, and each that the node
//! closes is made again.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;
use yilian_node::network::limits::{HALF_OPEN_MAX, HALF_OPEN_PER_SITE_MAX};

use super::field::Field;
use super::garbage_connections::connect_from;
use super::peer::line::total;
use super::{Attack, Tally};

const PAUSE: Duration = Duration::from_millis(20);

pub struct HalfOpen;

async fn stay(to: SocketAddr, from: (u8, u8), until: Instant) -> (u64, u64) {
    let (mut made, mut closed) = (0, 0);
    while Instant::now() < until {
        if let Ok(mut stream) = connect_from(from, to).await {
            made += 1;
            // Silent until the node closes it.
            let mut byte = [0];
            let waited = tokio::time::timeout_at(until.into(), async {
                while matches!(stream.read(&mut byte).await, Ok(1..)) {}
            });
            closed += u64::from(waited.await.is_ok());
        }
        tokio::time::sleep(PAUSE).await;
    }
    (made, closed)
}

#[async_trait]
impl Attack for HalfOpen {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let mut staying = JoinSet::new();
        for to in field.targets.values() {
            for number in 0..2 * HALF_OPEN_MAX {
                let site = (number / HALF_OPEN_PER_SITE_MAX) as u8 + 1;
                staying.spawn(stay(*to, (site, (number % 250) as u8 + 1), until));
            }
        }
        Ok(total("silent connections", staying.join_all().await))
    }
}
