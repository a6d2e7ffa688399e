//! A peer that asks for as much as a node gives, and reads nothing of what it is sent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use tokio::task::JoinSet;
use yilian_node::network::limits::{CONNECTIONS_PER_PEER_MAX, SYNC_BATCH};

use super::field::Field;
use super::peer::line::{Door, total};
use super::peer::substream::{Reluctant, question_only};
use super::{Attack, Tally, sync_floods};

const PAUSE: Duration = Duration::from_millis(10);

pub struct SlowReads;

async fn ask(door: Door, until: Instant) -> (u64, u64) {
    let (mut asked, mut ended) = (0, 0);
    let mut unread = Vec::new();
    while Instant::now() < until {
        let Ok(connection) = door.connect().await else {
            ended += 1;
            tokio::time::sleep(10 * PAUSE).await;
            continue;
        };
        while Instant::now() < until && !connection.is_closed() {
            let Ok(mut stream) = connection.agreed("sync").await else { break };
            if question_only(&mut stream, &sync_floods::request(1, SYNC_BATCH as u64)).await.is_err() {
                break;
            }
            asked += 1;
            unread.push(stream);
            tokio::time::sleep(PAUSE).await;
        }
        ended += u64::from(connection.is_closed());
        unread.clear();
    }
    (asked, ended)
}

#[async_trait]
impl Attack for SlowReads {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let host: Arc<dyn super::peer::Host> = Arc::new(Reluctant);
        let mut asking = JoinSet::new();
        for door in field.doors(&host) {
            for _ in 0..CONNECTIONS_PER_PEER_MAX {
                asking.spawn(ask(door.clone(), until));
            }
        }
        Ok(total("answers left unread", asking.join_all().await))
    }
}
