//! What a run does to the nodes: power that goes, disks that fail, validators that follow and vote again.

use super::super::checker::Violation;
use super::super::host::Stopped;
use super::super::plan::{Crash, DiskFault, DiskTrouble, FAULTS_END_MS, POWER_OFF_MS};
use super::super::power::Power;
use super::event::Event;
use super::{Cut, Run, stopped};

/// An operator starts a node again so long after it stopped.
const RESTART_MS: u64 = 500;

impl Run {
    pub(super) fn crash(&mut self, crash: &Crash) {
        let index = crash.node;
        let Some(machine) = &self.nodes[index].machine else { return };
        if !machine.host.power.cut_after(crash.after_acts) {
            return;
        }
        self.down_ms[index] = crash.down_ms;
        let life = self.nodes[index].life;
        self.note(|| format!("node {index} will lose power after {} acts", crash.after_acts));
        let event = Event::PowerOff { node: index, life, down_ms: crash.down_ms };
        self.at(self.now_ms + POWER_OFF_MS, event);
    }

    /// The power of the first life of one node may be made to go after an exact number of acts.
    pub(super) fn power_of_next_life(&mut self, index: usize) -> Power {
        let power = Power::default();
        if let Some(Cut { node, after_acts }) = self.cut
            && node == index
            && self.nodes[index].life == 0
        {
            power.cut_after(after_acts);
            self.down_ms[index] = RESTART_MS;
        }
        power
    }

    pub(super) fn note_first_life(&mut self, index: usize) {
        let node = &self.nodes[index];
        if let Some(machine) = &node.machine
            && node.life == 1
        {
            self.first_acts[index] = machine.host.power.acts();
        }
    }

    pub(super) fn lose_power(&mut self, index: usize, down_ms: u64) -> Result<(), Violation> {
        self.tally.crashes += 1;
        self.note_first_life(index);
        let up_again_ms = (self.now_ms + down_ms).min(FAULTS_END_MS.max(self.now_ms));
        self.note(|| format!("node {index} loses power until {up_again_ms} ms"));
        self.nodes[index].lose_power(&mut self.power, self.sabotage).map_err(stopped(index))?;
        if self.liars.get(&index).is_some_and(|liar| liar.forgets_votes()) {
            self.nodes[index].forget_votes();
            self.tally.lies += 1;
        }
        self.at(up_again_ms, Event::Restart { node: index });
        Ok(())
    }

    pub(super) fn disk_fails(&mut self, fault: DiskFault) -> Result<(), Violation> {
        let node = &self.nodes[fault.node];
        match fault.trouble {
            DiskTrouble::Torn { after } => node.disk.tear_after(Some(after)),
            DiskTrouble::Full => node.disk.set_full(true),
            DiskTrouble::Slow { ms_per_write } => node.disk.set_delay(ms_per_write),
            DiskTrouble::Lost => return self.lose_disk(fault.node, fault.until_ms),
            DiskTrouble::Flips { position } => node.disk.flip(position),
            DiskTrouble::Forgets => {
                if let Some(kept) = node.remember() {
                    self.kept.insert(fault.node, kept);
                    self.may_sign_twice.insert(fault.node);
                }
            }
        }
        Ok(())
    }

    pub(super) fn disk_heals(&mut self, fault: DiskFault) -> Result<(), Violation> {
        let index = fault.node;
        let node = &self.nodes[index];
        match fault.trouble {
            DiskTrouble::Torn { .. } => node.disk.tear_after(None),
            DiskTrouble::Full => node.disk.set_full(false),
            DiskTrouble::Slow { .. } => node.disk.set_delay(0),
            DiskTrouble::Lost => {}
            DiskTrouble::Forgets => {
                if let Some(kept) = self.kept.remove(&index) {
                    let ran = self.nodes[index].machine.is_some();
                    self.tally.lost_writes += 1;
                    self.note(|| {
                        format!("node {index} loses power, and its disk what it had said it had kept")
                    });
                    self.nodes[index].lose_writes(kept);
                    self.checker.lost_disk(index);
                    if ran {
                        self.at(self.now_ms + RESTART_MS, Event::Restart { node: index });
                    }
                }
            }
            DiskTrouble::Flips { .. } => return self.audit_a_flip(fault),
        }
        Ok(())
    }

    /// A turned bit that no read came upon until now must be found by the audit.
    fn audit_a_flip(&mut self, fault: DiskFault) -> Result<(), Violation> {
        let index = fault.node;
        let node = &self.nodes[index];
        if !node.disk.is_damaged() {
            return Ok(());
        }
        if node.machine.is_none() {
            self.at(self.now_ms + RESTART_MS, Event::DiskHeals { fault });
            return Ok(());
        }
        if matches!(node.audit(), Ok(None)) {
            let finding = "it passes over a turned bit".to_owned();
            return Err(Violation::Audit { node: index, finding });
        }
        self.tally.flips_audited += 1;
        self.repair(index)
    }

    /// The operator has a damaged ledger set aside, and the node rebuilds it.
    fn repair(&mut self, index: usize) -> Result<(), Violation> {
        self.note(|| format!("node {index} is repaired"));
        self.note_first_life(index);
        self.nodes[index].repair().map_err(stopped(index))?;
        self.checker.lost_disk(index);
        self.at(self.now_ms + RESTART_MS, Event::Restart { node: index });
        Ok(())
    }

    fn lose_disk(&mut self, index: usize, until_ms: u64) -> Result<(), Violation> {
        let ran = self.nodes[index].machine.is_some();
        self.tally.lost_disks += 1;
        self.note_first_life(index);
        self.nodes[index].lose_disk().map_err(stopped(index))?;
        self.kept.remove(&index);
        self.checker.lost_disk(index);
        if ran {
            self.at(until_ms, Event::Restart { node: index });
        }
        Ok(())
    }

    /// A validator that has passed every height at which it may have voted starts again with its key.
    pub(super) fn vote_again(&mut self, index: usize) -> Result<(), Violation> {
        if !self.nodes[index].may_vote_again(self.checker.tip(index)) {
            return Ok(());
        }
        self.note(|| format!("node {index} votes again"));
        self.tally.votes_again += 1;
        self.nodes[index].abstains = None;
        self.lose_power(index, 0)
    }

    /// A node has stopped: if its disk was made to fail it is repaired or started again. An honest one on a good disk
    /// must not have; a liar that trips over its own lies stays down.
    pub(super) fn node_stopped(&mut self, index: usize, error: Stopped) -> Result<(), Violation> {
        let disk = &self.nodes[index].disk;
        let (torn, full, flipped) = (disk.take_torn(), disk.take_refused(), disk.take_noticed());
        self.tally.torn += u64::from(torn);
        self.tally.full += u64::from(full);
        if flipped {
            self.note(|| format!("node {index} stopped: {error}"));
            self.tally.flips_read += 1;
            return self.repair(index);
        }
        if torn || full {
            self.note(|| format!("node {index} stopped: {error}"));
            return self.lose_power(index, RESTART_MS);
        }
        if self.is_honest(index) {
            return Err(stopped(index)(error));
        }
        self.note(|| format!("node {index}, a liar, stopped: {error}"));
        self.nodes[index].lose_power(&mut self.power, None).map_err(stopped(index))
    }
}
