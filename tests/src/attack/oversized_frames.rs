//! Frames that announce four gigabytes, or nothing, or a topic of another lane; connected anew each time.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use async_trait::async_trait;
use tokio::task::JoinSet;
use yilian_node::network::Topic;

use super::field::Field;
use super::peer::line::{Door, total};
use super::peer::{Host, Line, substream::Deaf};
use super::{Attack, Tally};

const LANES: [&str; 3] = ["consensus", "parts", "transactions"];

pub struct OversizedFrames;

fn frames() -> [Vec<u8>; 4] {
    let of_length = |length: u32, topic: u8| [&length.to_le_bytes()[..], &[topic], &[7; 64]].concat();
    [
        of_length(u32::MAX, Topic::Consensus as u8),
        of_length(0, 0),
        of_length(8 << 20, Topic::Transactions as u8),
        of_length(64, 77),
    ]
}

async fn send(door: Door, lane: &'static str, until: Instant) -> (u64, u64) {
    let mut line = Line::new(door, lane);
    for frame in frames().iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        line.bytes(frame).await;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    (line.sent, line.ended)
}

#[async_trait]
impl Attack for OversizedFrames {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let host: Arc<dyn Host> = Arc::new(Deaf);
        let mut sending = JoinSet::new();
        for door in field.doors(&host) {
            for lane in LANES {
                sending.spawn(send(door.clone(), lane, until));
            }
        }
        Ok(total("frames that are none", sending.join_all().await))
    }
}
