//! Tiny valid blocks for every later round of a height that is the proposer's turn, as fast as the nodes take them: each is
//! executed and written to the disk.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use async_trait::async_trait;
use tokio::task::JoinSet;
use yilian_spec::base::height::Height;
use yilian_spec::base::time::LedgerTime;

use super::field::Field;
use super::peer::line::{Door, total};
use super::peer::{Ear, Host, Line};
use super::{Attack, Tally, blocks};

/// Blocks that are sent with one flush.
const BATCH: u64 = 16;

pub struct FarRounds;

/// The rounds of a height that are the turn of the validator at `position` of `count`, beyond any rotation.
fn turns(height: Height, position: usize, count: usize) -> impl Iterator<Item = u32> {
    let (position, count) = (position as u64, count as u64);
    let first = (position + count - height.0 % count) % count;
    (1..).map(move |lap| (first + lap * count) as u32)
}

async fn propose(field: Field, ear: Arc<Ear>, doors: (Door, Door), until: Instant) -> (u64, u64) {
    let me = field.validator_key.public_key();
    let validators = field.validators.validators();
    let position = validators.iter().position(|validator| validator.key == me).unwrap_or(0);
    // What is heard comes over the one, what is said goes over the other.
    let (mut listening, mut line) = (Line::new(doors.0, "consensus"), Line::new(doors.1, "parts"));
    while Instant::now() < until {
        let Some(tip) = ear.tip().filter(|_| listening.is_open()) else {
            listening.ready().await;
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let mut rounds = turns(tip.height.next(), position, validators.len());
        while Instant::now() < until && ear.tip().is_some_and(|now| now.height == tip.height) {
            let mut frames = Vec::new();
            for (round, number) in rounds.by_ref().zip(0..BATCH) {
                // Another time makes it another block.
                let time = LedgerTime(tip.time.0 + 1 + u64::from(round) % 500 + number % 2);
                let block = blocks::empty(&tip, me, time);
                frames.extend(blocks::parts(field.chain_id, &field.validator_key, &block, round).1);
            }
            line.send(&frames).await;
        }
    }
    (line.sent, line.ended)
}

#[async_trait]
impl Attack for FarRounds {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let ear = field.ear();
        let host: Arc<dyn Host> = ear.clone();
        let mut proposing = JoinSet::new();
        for door in field.doors(&host) {
            let (field, ear) = (field.clone(), Arc::clone(&ear));
            proposing.spawn(propose(field, ear, (door.clone(), door), until));
        }
        Ok(total("blocks for far rounds", proposing.join_all().await))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_is_a_turn_of_the_validator_and_beyond_the_rotation() {
        for height in 1..9 {
            for position in 0..4 {
                let rounds: Vec<u32> = turns(Height(height), position, 4).take(3).collect();
                for round in rounds {
                    assert!(round >= 4);
                    assert_eq!((height + u64::from(round)) as usize % 4, position);
                }
            }
        }
    }
}
