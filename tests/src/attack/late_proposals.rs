//! A proposer that is late by just under the timeout, each time it is its turn: late enough to cost as much time as it can,
//! and not so late that the others pass it over.

use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use yilian_node::application::ConsensusTimeouts;
use yilian_spec::height::Height;

use super::field::Field;
use super::peer::line::total;
use super::puppet::{Event, Puppet};
use super::{Attack, Tally, blocks, votes};
use crate::work;

/// How long before the timeout it proposes: the way there and the check of a small block.
const MARGIN_MS: u64 = 250;

pub struct LateProposals;

/// So long after a height has begun, a moment before the others give the proposer up.
pub fn last_moment() -> Duration {
    Duration::from_millis(ConsensusTimeouts::default().propose_ms - MARGIN_MS)
}

/// Proposes a block behind `tip`, and shows its parts to the first `shown` nodes alone.
pub async fn propose(puppet: &mut Puppet, tip: Height, shown: usize) -> Result<bool> {
    let Some(last) = puppet.ear.tip().filter(|last| last.height == tip) else { return Ok(false) };
    let (field, at) = (puppet.field.clone(), (tip.next(), 0));
    let time = work::now()?.max(last.time.plus_ms(1));
    let block = blocks::empty(&last, field.validator_key.public_key(), time);
    let (id, parts) = blocks::parts(field.chain_id, &field.validator_key, &block, 0);
    let mut frames = vec![votes::proposal(field.chain_id, &field.validator_key, at, id)];
    frames.extend(puppet.both(at, id));
    for line in puppet.parts.iter_mut().take(shown) {
        line.send(&parts).await;
    }
    for line in &mut puppet.consensus {
        line.send(&frames).await;
    }
    Ok(true)
}

#[async_trait]
impl Attack for LateProposals {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let mut puppet = Puppet::new(field).await?;
        let mut late = 0;
        loop {
            match puppet.next(until).await {
                Event::Over => break,
                Event::Proposal(proposed) => puppet.agree(proposed).await,
                Event::Turn(tip) => {
                    tokio::time::sleep(last_moment()).await;
                    let everybody = puppet.parts.len();
                    late += u64::from(puppet.is_open(tip) && propose(&mut puppet, tip, everybody).await?);
                }
            }
        }
        let mut tally = total("frames", puppet.done());
        tally.insert("late proposals", late);
        Ok(tally)
    }
}
