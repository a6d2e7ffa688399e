//! As many node keys as one transaction registers, and as many connections from each as a node admits: all bounds that hold
//! for a peer, multiplied, and no place left for a validator that comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use tokio::task::JoinSet;
use yilian_node::network::limits::CONNECTIONS_PER_PEER_MAX;
use yilian_spec::base::limits::OPERATIONS_PER_TRANSACTION_MAX;
use yilian_spec::base::time::Window;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::{RegisterKey, possession_bytes};
use yilian_spec::ledger::receipt::Outcome;

use super::field::Field;
use super::peer::line::Door;
use super::peer::substream::Deaf;
use super::{Attack, Tally};
use crate::cluster::{Cluster, REGULATOR, TEACHING};
use crate::work;

/// Connections under way at a time.
const AT_A_TIME: usize = 8;
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Default)]
pub struct ManyNodeKeys {
    keys: Vec<SecretKey>,
    refused: u64,
}

fn registration(cluster: &Cluster, key: &SecretKey) -> Result<Operation> {
    let institution = cluster.institution(REGULATOR);
    let starts = work::now()?.minus_ms(60_000);
    let window = Window { starts, expires: starts.plus_ms(365 * work::DAY_MS) };
    let chain_id = cluster.files.genesis.chain_id();
    let possession = key.sign(&possession_bytes(chain_id, &institution, Role::Node, key.public_key()));
    Ok(Operation::RegisterKey(RegisterKey { key: key.public_key(), role: Role::Node, window, possession }))
}

/// Keeps as many connections of one key as the node lets it.
async fn hold(door: Door, until: Instant) -> (u64, u64) {
    let (mut made, mut refused) = (0, 0);
    let mut held = Vec::new();
    while Instant::now() < until {
        held.retain(|connection: &super::peer::Connection| !connection.is_closed());
        if held.len() >= CONNECTIONS_PER_PEER_MAX {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        match door.connect().await {
            Ok(connection) => {
                made += 1;
                held.push(connection);
            }
            Err(_) => {
                refused += 1;
                tokio::time::sleep(AT_A_TIME as u32 * PAUSE).await;
            }
        }
    }
    (made, refused)
}

#[async_trait]
impl Attack for ManyNodeKeys {
    /// Halves the number until the ledger takes it.
    async fn prepare(&mut self, cluster: &Cluster) -> Result<()> {
        let desk = cluster.desk_at(REGULATOR, &[TEACHING]).await?;
        let mut number = OPERATIONS_PER_TRANSACTION_MAX;
        while self.keys.is_empty() && number > 0 {
            let keys: Vec<SecretKey> =
                (0..number).map(|_| Ok(SecretKey::from_seed(&work::random()?))).collect::<Result<_>>()?;
            let operations = keys.iter().map(|key| registration(cluster, key)).collect::<Result<Vec<_>>>()?;
            let applied = match desk.submit(operations).await {
                Ok(submitted) => desk.follow(submitted).await?.outcome == Outcome::Applied,
                Err(_) => false,
            };
            if applied {
                self.keys = keys;
            } else {
                self.refused += number as u64;
                number /= 2;
            }
        }
        Ok(())
    }

    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let mut holding = JoinSet::new();
        let targets: Vec<SocketAddr> = field.targets.values().copied().collect();
        for key in self.keys.iter().chain([&field.node_key]) {
            for to in &targets {
                holding.spawn(hold(field.door_as(key, *to, Arc::new(Deaf)), until));
            }
        }
        let done = holding.join_all().await;
        Ok(Tally::from([
            ("node keys registered", self.keys.len() as u64),
            ("node keys refused", self.refused),
            ("connections", done.iter().map(|(made, _)| made).sum()),
            ("connections refused", done.iter().map(|(_, refused)| refused).sum()),
        ]))
    }
}
