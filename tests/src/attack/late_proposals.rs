//! A proposer that is late by just under the timeout, each time it is its turn: late enough to cost as much time as it can,
//! and not so late that the others pass it over.

use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use yilian_spec::base::height::Height;

use super::field::Field;
use super::peer::line::total;
use super::puppet::{Event, Puppet};
use super::{Attack, Tally};

/// How late it is at first.
const LATENESS_MIN: Duration = Duration::from_millis(20);
/// How often it looks whether the height has begun.
const POLL: Duration = Duration::from_millis(1);
/// It is never later.
const LATENESS_MAX: Duration = Duration::from_millis(900);

#[derive(Default)]
pub struct LateProposals {
    brink: Brink,
}

/// Feels for how late a proposal may come: a little later each time it was taken, and much earlier when it was not.
pub struct Brink {
    lateness: Duration,
    /// The height of the last late proposal.
    tried: Option<Height>,
}

impl Default for Brink {
    fn default() -> Self {
        Self { lateness: LATENESS_MIN, tried: None }
    }
}

impl Brink {
    /// Waits until the others have begun the height behind `tip`, and then until the last moment, as far as that is known.
    pub async fn wait(&mut self, puppet: &mut Puppet, tip: Height, until: Instant) {
        if let Some(tried) = self.tried.take() {
            let made = puppet.ear.decided_from(tried).first().map(|header| header.proposer);
            let taken = made == Some(puppet.field.validator_key.public_key());
            let next = if taken { self.lateness * 6 / 5 } else { self.lateness / 2 };
            self.lateness = next.clamp(LATENESS_MIN, LATENESS_MAX);
        }
        while puppet.ear.height() <= tip && Instant::now() < until {
            tokio::time::sleep(POLL).await;
        }
        tokio::time::sleep(self.lateness).await;
        self.tried = Some(tip.next());
    }

    /// For the tally.
    pub fn milliseconds(&self) -> u64 {
        self.lateness.as_millis() as u64
    }
}

#[async_trait]
impl Attack for LateProposals {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let mut puppet = Puppet::new(field).await?;
        let mut late = 0;
        loop {
            match puppet.next(until).await? {
                Event::Over => break,
                Event::Proposal(proposed) => puppet.agree(proposed).await,
                Event::Turn(tip) => {
                    self.brink.wait(&mut puppet, tip, until).await;
                    let everybody: Vec<usize> = (0..puppet.parts.len()).collect();
                    late += u64::from(puppet.is_open(tip) && puppet.propose(tip, &everybody).await?);
                }
            }
        }
        let mut tally = total("frames", puppet.done());
        tally.insert("late proposals", late);
        tally.insert("milliseconds late in the end", self.brink.milliseconds());
        Ok(tally)
    }
}
