//! Ledgers that are made block by block, without any of the checks that a node makes, for tests of what checks them.

use yilian_node::application::reader::StoredBlock;
use yilian_node::storage::disk::Column;
use yilian_spec::base::limits::BLOCK_WORK_MAX;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::ledger::block::{CommitCertificate, CommitSignature, Header, precommit_signing_bytes};
use yilian_spec::ledger::chain::{self, Made, Tip};
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::ledger::transaction::{CheckedTransaction, Transaction};
use yilian_spec::ledger::validation::contextual::{self, ContextualError};
use yilian_spec::ledger::validation::semantic;
use yilian_spec::state::overlay::Writes;

use super::consortium::{START_MS, genesis, transactions, validator_key};
use super::memory::{Memory, Row};
use super::plan::VALIDATORS;
use super::random::Random;
use super::replay::Rows;

/// A ledger in the making.
pub struct Maker {
    /// Its genesis.
    pub genesis: Genesis,
    /// Its end.
    pub tip: Tip,
    /// Its blocks.
    pub blocks: Vec<StoredBlock>,
    /// Its state rows, as a disk holds them.
    pub disk: Memory,
    state: Rows,
}

impl Maker {
    /// A ledger after its genesis.
    pub fn new() -> Self {
        let genesis = genesis();
        let mut state = Rows::default();
        let writes = chain::genesis_writes(&genesis);
        state.apply(&writes);
        let mut disk = Memory::default();
        write(&mut disk, &writes);
        let tip = Tip::genesis(&genesis, state.root());
        Self { genesis, tip, blocks: Vec::new(), disk, state }
    }

    /// Transactions of the simulated consortium.
    pub fn some_transactions(&self, count: usize, seed: u64) -> Vec<Transaction> {
        transactions(self.genesis.chain_id(), count, &mut Random::new(seed))
    }

    /// Appends a block so many milliseconds after the beginning.
    pub fn block_at(&mut self, transactions: &[Transaction], after_ms: u64, wrong_root: bool) {
        let checked = semantic::check_many(transactions.to_vec(), self.tip.chain_id);
        let made = Made { time: LedgerTime(START_MS + after_ms), proposer: validator_key(0).public_key() };
        let state = &self.state;
        let version = self.tip.next_version().unwrap();
        // A proposer leaves out what a revoked key signed (C-5), and what does not exist yet (C-6).
        let may_stand = |one: &CheckedTransaction| {
            let checked = contextual::check(one, state, version, made.time);
            !matches!(checked, Err(ContextualError::RevokedAuthor | ContextualError::NotYet { .. }))
        };
        let checked: Vec<CheckedTransaction> =
            checked.into_iter().map(Result::unwrap).filter(may_stand).collect();
        let executed = chain::execute(&self.tip, state, made, checked, BLOCK_WORK_MAX, |writes| {
            let mut after = state.clone();
            after.apply(writes);
            let mut root = after.root();
            root.0[31] ^= u8::from(wrong_root);
            Ok(root)
        });
        let executed = executed.unwrap();
        self.state.apply(&executed.writes);
        write(&mut self.disk, &executed.writes);
        self.tip = executed.tip;
        self.blocks.push(StoredBlock {
            certificate: certify(&executed.header),
            header: executed.header,
            transactions: executed.transactions.iter().map(|one| one.transaction().clone()).collect(),
            receipts: executed.receipts,
        });
    }

    /// Appends a block.
    pub fn block(&mut self, transactions: &[Transaction], wrong_root: bool) {
        self.block_at(transactions, self.tip.height.0, wrong_root);
    }
}

fn write(disk: &mut Memory, writes: &Writes) {
    let row = |(key, row): (&Vec<u8>, &Option<Vec<u8>>)| {
        (Column::StateRow, key.clone(), row.as_deref().map(Row::from))
    };
    disk.apply(writes.iter().map(row).collect());
}

fn certify(header: &Header) -> CommitCertificate {
    let message = precommit_signing_bytes(header.chain_id, header.height, 0, header.id());
    let sign = |member| {
        let key = validator_key(member);
        CommitSignature { validator: key.public_key(), signature: key.sign(&message) }
    };
    let mut signatures: Vec<CommitSignature> = (0..VALIDATORS).map(sign).collect();
    signatures.sort();
    CommitCertificate { height: header.height, round: 0, block_id: header.id(), signatures }
}
