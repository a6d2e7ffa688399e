//! Two different votes of every kind at every height, and two blocks at its own turn: one for each half of the others.

use std::time::Instant;

use anyhow::Result;
use arc_malachitebft_app_channel::app::types::core::VoteType;
use async_trait::async_trait;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::BlockId;

use super::field::Field;
use super::peer::ear::Proposed;
use super::peer::line::total;
use super::puppet::{Event, Puppet};
use super::{Attack, Tally, blocks, votes};
use crate::work;

pub struct Equivocation;

/// Votes for the block, for nil and for one that nobody proposed, in another order for each node.
async fn contradict(puppet: &mut Puppet, proposed: Proposed) {
    let at = (proposed.height, proposed.round);
    let mut invented = proposed.block_id;
    invented.0[0] ^= 1;
    for node in 0..puppet.consensus.len() {
        let mut values = [Some(proposed.block_id), None, Some(invented)];
        values.rotate_left(node % 3);
        for kind in [VoteType::Prevote, VoteType::Precommit] {
            let frames = values.map(|value| puppet.vote(kind, at, value));
            puppet.consensus[node].send(&frames).await;
        }
    }
}

/// One block for the first node, another for the rest.
async fn propose_two(puppet: &mut Puppet, tip: Height) -> Result<bool> {
    let Some(last) = puppet.ear.tip().filter(|last| last.height == tip) else { return Ok(false) };
    let (field, at) = (puppet.field.clone(), (tip.next(), 0));
    let time = work::now()?.max(last.time.plus_ms(1));
    for node in 0..puppet.consensus.len() {
        let time = time.plus_ms(u64::from(node > 0));
        let block = blocks::empty(&last, field.validator_key.public_key(), time);
        let (id, parts): (BlockId, _) = blocks::parts(field.chain_id, &field.validator_key, &block, 0);
        let mut frames = vec![votes::proposal(field.chain_id, &field.validator_key, at, id)];
        frames.extend(puppet.both(at, id));
        puppet.parts[node].send(&parts).await;
        puppet.consensus[node].send(&frames).await;
    }
    Ok(true)
}

#[async_trait]
impl Attack for Equivocation {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let mut puppet = Puppet::new(field).await?;
        let (mut contradicted, mut twice) = (0, 0);
        loop {
            match puppet.next(until).await? {
                Event::Over => break,
                Event::Proposal(proposed) => {
                    contradict(&mut puppet, proposed).await;
                    contradicted += 1;
                }
                Event::Turn(tip) => twice += u64::from(propose_two(&mut puppet, tip).await?),
            }
        }
        let mut tally = total("frames", puppet.done());
        tally.insert("heights with contradicting votes", contradicted);
        tally.insert("heights with two blocks", twice);
        Ok(tally)
    }
}
