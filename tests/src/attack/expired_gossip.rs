//! Batches of transactions in gossip, each well-formed and signed, of which no ledger will take one: expired long ago, or of
//! authors whom nobody knows. Every one costs a node the check of a signature.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinSet;
use yilian_node::base::limits::GOSSIP_BATCH_BYTES_MAX;
use yilian_node::network::Topic;
use yilian_spec::base::codec;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::membership::Role;
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};

use super::field::Field;
use super::peer::line::{Door, total};
use super::peer::substream::Deaf;
use super::peer::{Host, Line};
use super::{Attack, Tally};
use crate::cluster::{Cluster, REGULATOR};
use crate::work;

/// Transactions in a batch, and different batches of each kind.
const BATCH: usize = 200;
const BATCHES: usize = 10;
const TICK: Duration = Duration::from_millis(20);
const HOUR_MS: u64 = 60 * 60 * 1_000;

#[derive(Default)]
pub struct ExpiredGossip {
    batches: Vec<Bytes>,
}

fn transaction(cluster: &Cluster, key: &SecretKey, created: LedgerTime) -> Result<Transaction> {
    let institution = cluster.institution(REGULATOR);
    let body = TransactionBody {
        chain_id: cluster.files.genesis.chain_id(),
        author: key.public_key(),
        institution: institution.clone(),
        created,
        expires: created.plus_ms(HOUR_MS / 2),
        nonce: work::random()?,
        operations: vec![work::grant(work::subject(&institution)?, &cluster.institution(0))?],
    };
    Ok(body.sign(key))
}

#[async_trait]
impl Attack for ExpiredGossip {
    async fn prepare(&mut self, cluster: &Cluster) -> Result<()> {
        let own = &cluster.member(REGULATOR).secrets[&Role::AccessGateway];
        let now = work::now()?;
        for number in 0..2 * BATCHES {
            let mut batch = Vec::new();
            for _ in 0..BATCH {
                batch.push(match number % 2 {
                    0 => transaction(cluster, own, now.minus_ms(2 * HOUR_MS))?,
                    _ => transaction(cluster, &SecretKey::from_seed(&work::random()?), now)?,
                });
            }
            let encoded = codec::encode(&batch);
            anyhow::ensure!(encoded.len() <= GOSSIP_BATCH_BYTES_MAX, "a batch of {} bytes", encoded.len());
            self.batches.push(encoded.into());
        }
        Ok(())
    }

    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let host: Arc<dyn Host> = Arc::new(Deaf);
        let mut pouring = JoinSet::new();
        for door in field.doors(&host) {
            pouring.spawn(pour(door, self.batches.clone(), until));
        }
        Ok(total("batches of worthless transactions", pouring.join_all().await))
    }
}

/// Sends the batches over and over, as fast as the node reads them, and at most so many.
pub async fn pour(door: Door, batches: Vec<Bytes>, until: Instant) -> (u64, u64) {
    let mut line = Line::new(door, "transactions");
    for batch in batches.iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        line.send(&[(Topic::Transactions, batch.clone())]).await;
        tokio::time::sleep(TICK).await;
    }
    (line.sent, line.ended)
}
