//! What a run does with what nodes and clients say: sent, lost, doubled, delayed, and replaced by lies.

use yilian_node::mempool::Rejection;
use yilian_spec::ledger::validation::contextual::ContextualError;

use super::super::checker::Violation;
use super::super::frame::{Frame, Output};
use super::super::plan::{Conditions, FAULTS_END_MS, NODES};
use super::Run;
use super::event::Event;

/// A client submits again after so long without a commit.
const RETRY_MS: u64 = 2_500;

impl Run {
    /// Does what a node wants sent and waited for.
    pub(super) fn carry(&mut self, index: usize) -> Result<(), Violation> {
        let life = self.nodes[index].life;
        let Some(machine) = &mut self.nodes[index].machine else { return Ok(()) };
        for output in std::mem::take(&mut machine.host.outputs) {
            match output {
                Output::Broadcast(frame) => {
                    if !self.may_sign_twice.contains(&index)
                        && let Some(message) = frame.signed()
                    {
                        self.checker.sent(index, &message)?;
                    }
                    for to in (0..self.nodes.len()).filter(|to| *to != index) {
                        self.say(index, to, frame.clone());
                    }
                }
                Output::Send { to, frame } => self.say(index, to, frame),
                Output::Timer { at_ms, token } => self.at(at_ms, Event::Timer { node: index, life, token }),
                Output::Wake { at_ms } => self.at(at_ms, Event::Wake { node: index, life }),
            }
        }
        Ok(())
    }

    /// Sends a frame, or what a liar says in its place.
    fn say(&mut self, from: usize, to: usize, frame: Frame) {
        let (Some(liar), Some(machine)) = (self.liars.get_mut(&from), &mut self.nodes[from].machine) else {
            return self.transmit(from, to, frame);
        };
        let said = liar.say(&mut machine.host, to, &frame);
        self.tally.lies += u64::from(said != [frame]);
        for frame in said {
            self.transmit(from, to, frame);
        }
    }

    /// A node that has started connects to the others: they send it what waits in their mempools.
    pub(super) fn greet(&mut self, started: usize) {
        for from in (0..self.nodes.len()).filter(|from| *from != started) {
            let Some(machine) = &self.nodes[from].machine else { continue };
            for batch in machine.host.mempool.greeting() {
                self.say(from, started, Frame::Transactions(batch));
            }
        }
    }

    /// Once a second a liar may say what nobody asked for.
    pub(super) fn lie_unasked(&mut self, from: usize) {
        let (Some(liar), Some(machine)) = (self.liars.get_mut(&from), &mut self.nodes[from].machine) else {
            return;
        };
        let frames = liar.unasked(&mut machine.host);
        self.tally.lies += frames.len() as u64;
        for frame in frames {
            for to in (0..self.nodes.len()).filter(|to| *to != from) {
                self.transmit(from, to, frame.clone());
            }
        }
    }

    fn transmit(&mut self, from: usize, to: usize, frame: Frame) {
        let faulty = self.now_ms < FAULTS_END_MS;
        let cut = self.plan.partitions.iter().any(|cut| cut.blocks(self.now_ms, from, to));
        let Conditions { loss_per_mille, duplication_per_mille, delay_ms_min, delay_ms_max } =
            self.plan.conditions;
        // Drawn in any case, so that the network's stream does not depend on what it does.
        let lost = self.network.chance(loss_per_mille) && faulty;
        let doubled = self.network.chance(duplication_per_mille) && faulty;
        let delays = [
            self.network.between(delay_ms_min, delay_ms_max),
            self.network.between(delay_ms_min, delay_ms_max),
        ];
        if cut || lost {
            self.tally.lost += 1;
            return;
        }
        // What a slow disk holds up leaves when it is done.
        let life = self.nodes[to].life;
        let sent_ms = self.now_ms.max(self.busy_until_ms[from]);
        if doubled {
            self.at(sent_ms + delays[1], Event::Deliver { from, to, life, frame: frame.clone() });
        }
        self.at(sent_ms + delays[0], Event::Deliver { from, to, life, frame });
    }

    /// A client submits a transaction, again and again to one node or another until it is committed; some clients then
    /// submit it once more.
    pub(super) fn submit(&mut self, number: usize, attempt: u32) -> Result<(), Violation> {
        let transaction = self.transactions[number].clone();
        let committed = self.checker.is_settled(&transaction);
        let index = self.clients.position(NODES);
        let repeats = self.clients.chance(300);
        if !committed || (repeats && attempt < 100) {
            // An attempt of 100 or more is a repetition of what is committed, and the last one.
            let attempt = if committed { 100 } else { attempt + 1 };
            self.at(self.now_ms + RETRY_MS, Event::Submit { transaction: number, attempt });
        }
        let mut refusal = None;
        self.step(
            index,
            || format!("transaction {number} submitted"),
            |machine| {
                let verdict = machine.host.mempool.submit_now(vec![transaction]).pop();
                if let Some(Err(rejection)) = verdict {
                    refusal = Some(rejection);
                }
                machine.settle()
            },
        )?;
        match refusal {
            // A node that comes upon damage says so to the client, and to its operator.
            Some(Rejection::Contextual(ContextualError::RevokedAuthor)) if committed => Ok(()),
            // The node's ledger is not at that version yet; the client comes again.
            Some(Rejection::Contextual(ContextualError::NotYet { .. })) => Ok(()),
            Some(reason) if self.is_honest(index) && !self.nodes[index].disk.is_damaged() => {
                Err(Violation::Refused { node: index, reason: reason.to_string() })
            }
            Some(_) | None => Ok(()),
        }
    }
}
