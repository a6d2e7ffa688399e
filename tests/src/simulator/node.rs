//! A node with its disk: what stays when the power goes, and what runs while it is there.

use std::sync::Arc;

use yilian_node::application::reader::{LedgerReader, StoredBlock};
use yilian_node::base::clock::ManualClock;
use yilian_node::network::{NodeIdentity, PeerId};
use yilian_node::storage::StorageError;
use yilian_node::storage::audit;
use yilian_node::storage::disk::Column;
use yilian_node::voting::Abstention;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::domain::membership::validators::ValidatorSet;
use yilian_spec::ledger::genesis::Genesis;

use super::consortium::{START_MS, institution, observing_institution, validator_key};
use super::disk::{Backing, NodeDisk};
use super::host::{Counts, Equipment, Host, Identity, Sabotage, Stopped};
use super::machine::Machine;
use super::memory::Memory;
use super::plan::VALIDATORS;
use super::power::Power;
use super::random::Random;
use super::same_disk::difference;
use super::vote_log::VoteLog;

/// What a disk held at some moment.
pub struct Kept {
    rows: Memory,
    log: VoteLog,
}

/// A node, running or not.
pub struct Node {
    /// Its name towards the mempools of the others.
    pub peer: PeerId,
    /// Whose node it is.
    pub institution: InstitutionId,
    /// How often it was started.
    pub life: u64,
    /// The running part; `None` without power.
    pub machine: Option<Machine>,
    /// What happened in lives that are over.
    pub counts: Counts,
    identity: Identity,
    /// Its disk.
    pub disk: NodeDisk,
    log: VoteLog,
    clock: Arc<ManualClock>,
    /// From what a validator that lost its disk abstains; it runs without its key meanwhile.
    pub abstains: Option<Abstention>,
    /// How far its clock stands from the true one.
    pub skew_ms: i64,
}

impl Node {
    /// A node that was never started. `votes_as` says as which validator.
    ///
    /// # Errors
    /// When there is no place for its disk.
    pub fn new(
        index: usize,
        votes_as: Option<usize>,
        skew_ms: i64,
        backing: Backing,
    ) -> Result<Self, Stopped> {
        let key = votes_as.map(validator_key);
        // A handful of nodes, so it fits.
        let seed = [index as u8 + 1; 32];
        let identity = NodeIdentity::from_ed25519_seed(seed).map_err(|error| Stopped(error.to_string()))?;
        Ok(Self {
            peer: identity.peer_id(),
            institution: votes_as.map_or_else(observing_institution, institution),
            life: 0,
            machine: None,
            counts: Counts::default(),
            identity: Identity { index, key },
            disk: NodeDisk::new(backing)?,
            log: VoteLog::default(),
            abstains: None,
            clock: Arc::default(),
            skew_ms,
        })
    }

    /// Switches the node on.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(
        &mut self,
        genesis: &Genesis,
        now_ms: u64,
        power: Power,
        sabotage: Option<Sabotage>,
    ) -> Result<(), Stopped> {
        self.set_clock(now_ms);
        // If it does not come up, nothing it did was seen: its log of votes stays as it was.
        let mut identity = self.identity.clone();
        if self.abstains.is_some() {
            identity.key = None;
        }
        let (disk, clock, log) = (self.disk.clone(), Arc::clone(&self.clock), self.log.clone());
        let equipment = Equipment { disk, identity, clock, log, power };
        let host = Host::open(genesis, equipment, now_ms, sabotage)?;
        self.life += 1;
        self.machine = Some(Machine::start(host)?);
        Ok(())
    }

    /// Moves the node's clocks on.
    pub fn set_clock(&mut self, now_ms: u64) {
        self.clock.set((START_MS + now_ms).saturating_add_signed(self.skew_ms));
        if let Some(machine) = &mut self.machine {
            machine.host.now_ms = now_ms;
        }
    }

    /// The power goes: all that was in memory is gone.
    ///
    /// # Errors
    /// When a sabotaged node gets no new disk.
    pub fn lose_power(&mut self, random: &mut Random, sabotage: Option<Sabotage>) -> Result<(), Stopped> {
        if !self.stop() {
            return Ok(());
        }
        self.log.lose_power(random);
        match sabotage {
            Some(Sabotage::LosesItsLedger { node }) if node == self.identity.index => {
                self.disk.wipe()?;
            }
            Some(Sabotage::LosesItsVotes) => self.forget_votes(),
            _ => {}
        }
        Ok(())
    }

    /// Ends this life, if there is one.
    fn stop(&mut self) -> bool {
        let Some(machine) = self.machine.take() else { return false };
        self.counts.add(machine.host.counts);
        self.log = machine.host.log;
        true
    }

    /// Its log of votes is gone, and nobody knows.
    pub fn forget_votes(&mut self) {
        self.log = VoteLog::default();
    }

    /// Its disk is gone, and with it the ledger and the log of votes.
    ///
    /// # Errors
    /// When it gets no new one.
    pub fn lose_disk(&mut self) -> Result<(), Stopped> {
        self.stop();
        self.log = VoteLog::default();
        self.abstains = self.identity.key.as_ref().map(|_| Abstention::UntilCaughtUp);
        self.disk.wipe()
    }

    /// What its disk holds now; `None` where that cannot be kept.
    pub fn remember(&self) -> Option<Kept> {
        let log = self.machine.as_ref().map_or(&self.log, |machine| &machine.host.log);
        self.disk.remember().map(|rows| Kept { rows, log: log.clone() })
    }

    /// The power goes, and the disk holds again what it held at some moment.
    pub fn lose_writes(&mut self, kept: Kept) {
        self.stop();
        self.disk.forget(kept.rows);
        self.log = kept.log;
    }

    /// Its operator has the damaged ledger set aside. A validator abstains as decision 0014 asks: up to the height of its
    /// log of votes.
    ///
    /// # Errors
    /// When there is no place for a new ledger.
    pub fn repair(&mut self) -> Result<(), Stopped> {
        self.stop();
        let of_log =
            self.log.height().map_or(Abstention::UntilCaughtUp, |height| Abstention::UpTo { height });
        // Whoever abstains already has lost more, and goes on with that.
        self.abstains = self.identity.key.as_ref().map(|_| self.abstains.unwrap_or(of_log));
        self.disk.wipe()
    }

    /// Whether a validator that abstained may vote again: as a node decides it, from what its peers have told.
    pub fn may_vote_again(&mut self, tip: Height) -> bool {
        let Some(machine) = &self.machine else { return false };
        let heard = machine.host.heights.heard(machine.host.participant.validators());
        // Every validator has one vote; its own counts as well.
        let power = heard.power_caught_up_with(tip, &self.institution) + 1;
        if self.abstains == Some(Abstention::UntilCaughtUp) && power * 3 > VALIDATORS as u64 * 2 {
            self.abstains = Some(Abstention::after(tip));
        }
        self.abstains.is_some_and(|abstention| abstention.is_over(tip))
    }

    /// The blocks on its disk from `first` on.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn blocks(&self, first: Height) -> Result<Vec<StoredBlock>, Stopped> {
        let Some(machine) = &self.machine else { return Ok(Vec::new()) };
        let reader: &LedgerReader = &machine.host.reader;
        let tip = reader.tables().tip().map_err(storage)?.0;
        let block = |height: u64| {
            let block = reader.block(Height(height)).map_err(storage)?;
            block.ok_or_else(|| Stopped(format!("block {height} is below the tip and not on the disk")))
        };
        (first.0.max(1)..=tip.0).map(block).collect()
    }

    /// The node's own audit of its disk: the first finding.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn audit(&self) -> Result<Option<String>, Stopped> {
        let Some(machine) = &self.machine else { return Ok(None) };
        let report = audit::check_store(machine.host.reader.store(), |_, _| {}).map_err(storage)?;
        Ok(report.findings.first().map(ToString::to_string))
    }

    /// What on its disk is not as it must be, where the disk of `audited` is.
    ///
    /// # Errors
    /// When a disk cannot be read.
    pub fn differs_from(&self, audited: &Self, validators: &ValidatorSet) -> Result<Option<String>, Stopped> {
        let (Some(machine), Some(audited)) = (&self.machine, &audited.machine) else { return Ok(None) };
        let (own, other) = (machine.host.reader.tables().0, audited.host.reader.tables().0);
        difference(own, other, validators).map_err(storage)
    }

    /// Changes the last byte of the first receipt on the disk.
    ///
    /// # Errors
    /// When the disk cannot be read or written.
    pub fn change_a_row(&self) -> Result<(), Stopped> {
        let Some(machine) = &self.machine else { return Ok(()) };
        let store = machine.host.reader.store();
        let row = store.disk().scan(Column::Receipt, &[]).next();
        let (key, value) = row.ok_or_else(|| Stopped("there is no receipt".to_owned()))?.map_err(storage)?;
        let mut value = value.into_vec();
        if let Some(last) = value.last_mut() {
            *last ^= 1;
        }
        let mut batch = store.disk().batch();
        batch.put(Column::Receipt, &key, &value);
        store.write(batch).map_err(storage)
    }
}

fn storage(error: StorageError) -> Stopped {
    Stopped(error.to_string())
}
