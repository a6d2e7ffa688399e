//! One frame "there is work for the last of all heights", and tips that jump: unproven words, of which a single one must not
//! change what a node says of itself or does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinSet;
use yilian_node::base::clock::{Clock as _, SystemClock};
use yilian_node::consensus::codec::{StatusMessage, encode_status, encode_work};
use yilian_node::consensus::context::EngineHeight;
use yilian_node::network::Topic;
use yilian_spec::base::height::Height;
use yilian_spec::base::limits::INTEGER_MAX;

use super::field::Field;
use super::peer::line::{Door, total};
use super::peer::{Host, Line, substream::Deaf};
use super::{Attack, Tally};

const TICK: Duration = Duration::from_millis(50);
/// Tips that are claimed in turn.
const TIPS: [u64; 5] = [1 << 40, 1, u64::MAX, 0, 1 << 20];

pub struct PoisonedHeights;

fn status(tip: u64) -> (Topic, Bytes) {
    let status = StatusMessage { tip: EngineHeight(tip), lowest: EngineHeight(1) };
    (Topic::Status, encode_status(status, SystemClock.now_ms()))
}

async fn poison(door: Door, until: Instant) -> (u64, u64) {
    let mut line = Line::new(door, "consensus");
    let mut ticks = tokio::time::interval(TICK);
    line.send(&[(Topic::Work, encode_work(Height(INTEGER_MAX)))]).await;
    for tip in TIPS.into_iter().cycle() {
        ticks.tick().await;
        if Instant::now() >= until {
            break;
        }
        line.send(&[status(tip), (Topic::Work, encode_work(Height(tip)))]).await;
    }
    (line.sent, line.ended)
}

#[async_trait]
impl Attack for PoisonedHeights {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let host: Arc<dyn Host> = Arc::new(Deaf);
        let mut poisoning = JoinSet::new();
        for door in field.doors(&host) {
            poisoning.spawn(poison(door, until));
        }
        Ok(total("words about heights", poisoning.join_all().await))
    }
}
