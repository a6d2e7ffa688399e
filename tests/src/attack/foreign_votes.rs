//! The validators' own votes, every one of them valid, repeated by a peer that is none of them: nobody relays here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinSet;
use yilian_node::network::Topic;

use super::field::Field;
use super::peer::line::{Door, total};
use super::peer::{Ear, Host, Line};
use super::{Attack, Tally};

/// Votes for each node in a tick.
const VOTES: usize = 100;
const TICK: Duration = Duration::from_millis(20);

pub struct ForeignVotes;

async fn repeat(ear: Arc<Ear>, door: Door, until: Instant) -> (u64, u64) {
    let mut line = Line::new(door, "consensus");
    let mut ticks = tokio::time::interval(TICK);
    while Instant::now() < until {
        ticks.tick().await;
        // Without a connection nothing is heard.
        if !line.ready().await {
            continue;
        }
        // The newest first: those of the present height change something, if anything does.
        let frames: Vec<(Topic, Bytes)> =
            ear.votes().into_iter().rev().take(VOTES).map(|vote| (Topic::Consensus, vote)).collect();
        if !frames.is_empty() {
            line.send(&frames).await;
        }
    }
    (line.sent, line.ended)
}

#[async_trait]
impl Attack for ForeignVotes {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let ear = field.ear();
        let host: Arc<dyn Host> = ear.clone();
        let mut repeating = JoinSet::new();
        for door in field.doors(&host) {
            repeating.spawn(repeat(Arc::clone(&ear), door, until));
        }
        Ok(total("votes of others", repeating.join_all().await))
    }
}
