//! Questions about decided blocks, as fast as a node answers them, over as many connections as it admits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_sync::{Request, ValueRequest};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::task::JoinSet;
use yilian_node::consensus::codec::LedgerCodec;
use yilian_node::consensus::context::{EngineHeight, LedgerContext};
use yilian_node::network::limits::{CONNECTIONS_PER_PEER_MAX, SYNC_BATCH};

use super::field::Field;
use super::peer::connection::Connection;
use super::peer::line::{Door, total};
use super::peer::substream::{Deaf, question};
use super::{Attack, Tally};

/// Questions under way on one connection.
const UNDER_WAY: usize = 16;
const PAUSE: Duration = Duration::from_millis(100);

pub struct SyncFloods;

/// The question for these heights.
pub fn request(first: u64, last: u64) -> Bytes {
    let range = EngineHeight(first)..=EngineHeight(last);
    let request: Request<LedgerContext> = Request::ValueRequest(ValueRequest::new(range));
    LedgerCodec.encode(&request).expect("a range can be encoded")
}

async fn once(connection: &Connection) -> bool {
    let Ok(mut stream) = connection.agreed("sync").await else { return false };
    question(&mut stream, &request(1, SYNC_BATCH as u64)).await.is_ok()
}

async fn ask(door: Door, until: Instant) -> (u64, u64) {
    let (mut answered, mut ended) = (0, 0);
    while Instant::now() < until {
        let Ok(connection) = door.connect().await else {
            ended += 1;
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let mut under_way: FuturesUnordered<_> = (0..UNDER_WAY).map(|_| once(&connection)).collect();
        while Instant::now() < until && !connection.is_closed() {
            let next = tokio::time::timeout(10 * PAUSE, under_way.next()).await;
            let Ok(Some(done)) = next else { continue };
            answered += u64::from(done);
            if !done {
                // The node is tired of it: a pause, or it would be asked without end.
                tokio::time::sleep(PAUSE / 10).await;
            }
            under_way.push(once(&connection));
        }
        ended += u64::from(connection.is_closed());
    }
    (answered, ended)
}

#[async_trait]
impl Attack for SyncFloods {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let host: Arc<dyn super::peer::Host> = Arc::new(Deaf);
        let mut asking = JoinSet::new();
        for door in field.doors(&host) {
            for _ in 0..CONNECTIONS_PER_PEER_MAX {
                asking.spawn(ask(door.clone(), until));
            }
        }
        Ok(total("answers", asking.join_all().await))
    }
}
