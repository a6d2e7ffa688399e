//! A proposer that says what it proposes and keeps the parts back until the last moment, and from one node for good: from the
//! one whose turn is next. The others decide, and that one has the certificate and not the block on which it should build: if
//! it gets the block too late, it misses its turn, and is passed over for what another has done.

use std::time::Instant;

use anyhow::Result;
use async_trait::async_trait;

use super::field::Field;
use super::late_proposals::Brink;
use super::peer::line::total;
use super::puppet::{Event, Puppet};
use super::{Attack, Tally};

#[derive(Default)]
pub struct WithheldParts {
    brink: Brink,
}

#[async_trait]
impl Attack for WithheldParts {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let mut puppet = Puppet::new(field).await?;
        let (mut at_once, mut late) = (0, 0);
        loop {
            match puppet.next(until).await? {
                Event::Over => break,
                Event::Proposal(proposed) => puppet.agree(proposed).await,
                Event::Turn(tip) => {
                    // Every other time the others have it at once, and go on while the last one waits.
                    let is_late = (tip.0 / field.validators.validators().len() as u64).is_multiple_of(2);
                    if is_late {
                        self.brink.wait(&mut puppet, tip, until).await;
                    }
                    let framed = puppet.turn_after_mine(tip);
                    let others: Vec<usize> =
                        (0..puppet.parts.len()).filter(|node| Some(*node) != framed).collect();
                    if puppet.is_open(tip) && puppet.propose(tip, &others).await? {
                        *(if is_late { &mut late } else { &mut at_once }) += 1;
                    }
                }
            }
        }
        let mut tally = total("frames", puppet.done());
        tally.insert("kept from whose turn is next", at_once);
        tally.insert("kept from whose turn is next, late for the others", late);
        Ok(tally)
    }
}
