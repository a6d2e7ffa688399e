//! Substreams by the thousand: some agreed on, some in the middle of it, some about nothing; never closed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use tokio::task::JoinSet;

use super::field::Field;
use super::peer::line::{Door, total};
use super::peer::{Host, Lane, substream::Deaf};
use super::{Attack, Tally};

/// Substreams that are held on one connection.
const HELD_MAX: usize = 2_000;
const PAUSE: Duration = Duration::from_millis(100);

pub struct ManySubstreams;

async fn open(door: Door, until: Instant) -> (u64, u64) {
    let (mut opened, mut ended) = (0, 0);
    while Instant::now() < until {
        let Ok(connection) = door.connect().await else {
            ended += 1;
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let mut held = Vec::new();
        while Instant::now() < until && held.len() < HELD_MAX && !connection.is_closed() {
            let stream = match held.len() % 3 {
                0 => connection.agreed("parts").await,
                _ => connection.substream().await,
            };
            let Ok(stream) = stream else { break };
            opened += 1;
            let mut lane = Lane(stream);
            if held.len() % 3 == 1 {
                // The first half of a name.
                let _ = lane.bytes(b"\x13/multistream").await;
            }
            held.push(lane);
        }
        ended += u64::from(connection.is_closed());
    }
    (opened, ended)
}

#[async_trait]
impl Attack for ManySubstreams {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let host: Arc<dyn Host> = Arc::new(Deaf);
        let mut opening = JoinSet::new();
        for door in field.doors(&host) {
            opening.spawn(open(door, until));
        }
        Ok(total("substreams", opening.join_all().await))
    }
}
