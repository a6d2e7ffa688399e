//! A proposer that says what it proposes and keeps the parts back until the last moment, and from one node for good: the
//! others decide, and that one has the certificate and not the block.

use std::time::Instant;

use anyhow::Result;
use async_trait::async_trait;

use super::field::Field;
use super::late_proposals::{Brink, propose};
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
            match puppet.next(until).await {
                Event::Over => break,
                Event::Proposal(proposed) => puppet.agree(proposed).await,
                Event::Turn(tip) => {
                    // Every other time the others have it at once, and go on while the last one waits.
                    let is_late = (tip.0 / field.validators.validators().len() as u64).is_multiple_of(2);
                    if is_late {
                        self.brink.wait(&mut puppet, tip, until).await;
                    }
                    let some = puppet.parts.len() - 1;
                    if puppet.is_open(tip) && propose(&mut puppet, tip, some).await? {
                        *(if is_late { &mut late } else { &mut at_once }) += 1;
                    }
                }
            }
        }
        let mut tally = total("frames", puppet.done());
        tally.insert("kept from one node", at_once);
        tally.insert("kept from one node, late for the others", late);
        Ok(tally)
    }
}
