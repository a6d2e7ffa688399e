//! What must hold in every run, checked against what the nodes' disks and the network show, not against what the nodes
//! believe.
//!
//! | rule | when it is checked |
//! |---|---|
//! | all nodes hold the same block at a height, to the last byte | at every commit of every node |
//! | a node commits height after height | at every commit |
//! | no transaction stands on the ledger twice | at every commit |
//! | what a node committed is there after it lost power | at every restart |
//! | nobody honest refuses or accuses anybody honest | at every step |
//! | no honest validator signs two things of which it may sign one | at every vote and proposal sent |
//! | whom a block's header names as its proposer has proposed it, if he is honest | at every commit |
//! | every block follows from the ones before it; the state root is the definition's | at the end, from one node's log |
//! | every row of every disk is what the blocks say | at the end, the node's own audit of one disk, and the others beside it |
//! | what takes effect is what the rules allow; streams are complete; money is conserved | at every new block and, on every disk, at the end ([`super::oracles`]) |
//! | every transaction is committed on every node once nothing fails any more | at the end |

use std::collections::{BTreeMap, BTreeSet};

use arc_malachitebft_app_channel::app::types::SignedConsensusMsg;
use arc_malachitebft_app_channel::app::types::core as engine;
use engine::NilOrVal;
use sha2::{Digest, Sha256};
use yilian_node::application::reader::StoredBlock;
use yilian_node::consensus::context::LedgerContext;
use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, TransactionId};
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::Operation;
use yilian_spec::ledger::block::CommitCertificate;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::Transaction;

use super::oracles::Finding;
use super::replay::Difference;

/// A rule that a run broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two nodes hold different blocks.
    #[error(
        "height {height}: node {node} holds {found}, node {other} holds {expected}; under both stand the signatures of {}",
        signers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Disagreement {
        /// Where.
        height: Height,
        /// Who came later.
        node: usize,
        /// What it holds.
        found: BlockId,
        /// Who came first.
        other: usize,
        /// What it holds.
        expected: BlockId,
        /// Who signed both certificates: those that lied.
        signers: Vec<PublicKey>,
    },
    /// The same block id, but other bytes on disk.
    #[error("height {height}: nodes {node} and {other} hold different bytes under the same block id")]
    DifferentBytes {
        /// Where.
        height: Height,
        /// Who came later.
        node: usize,
        /// Who came first.
        other: usize,
    },
    /// A height was left out or committed again.
    #[error("node {node} committed height {found} after {last}")]
    OutOfOrder {
        /// Who.
        node: usize,
        /// What it had committed.
        last: Height,
        /// What came then.
        found: Height,
    },
    /// A transaction stands on the ledger twice.
    #[error("transaction {id} stands at height {first} and again at {again}")]
    Repeated {
        /// Which.
        id: TransactionId,
        /// First at.
        first: Height,
        /// Again at.
        again: Height,
    },
    /// A node has lost what it had committed.
    #[error("node {node} had committed height {committed}; after its restart it holds {held}")]
    Forgotten {
        /// Who.
        node: usize,
        /// Its tip before.
        committed: Height,
        /// Its tip after.
        held: Height,
    },
    /// A validator signed twice.
    #[error("node {node} signed two different {kind}s at height {height} round {round}")]
    SignedTwice {
        /// Who.
        node: usize,
        /// What.
        kind: &'static str,
        /// Where.
        height: Height,
        /// In which round.
        round: i64,
    },
    /// A block does not follow from the ones before it.
    #[error("recomputing the ledger of node {node}: {difference}")]
    Recomputed {
        /// Whose.
        node: usize,
        /// What differs.
        difference: Difference,
    },
    /// A row on disk is not what the blocks say.
    #[error("the audit of node {node}: {finding}")]
    Audit {
        /// Whose.
        node: usize,
        /// The first finding.
        finding: String,
    },
    /// What must follow from the blocks is not on a disk.
    #[error("the oracles at node {node}: {finding}")]
    Oracle {
        /// Whose disk.
        node: usize,
        /// What is not as it must be.
        finding: Finding,
    },
    /// A node stopped.
    #[error("node {node} stopped: {reason}")]
    Stopped {
        /// Who.
        node: usize,
        /// Why.
        reason: String,
    },
    /// Something good was refused: a transaction, a block, or what an honest node sent.
    #[error("node {node} refused what is good: {reason}")]
    Refused {
        /// Who.
        node: usize,
        /// Why.
        reason: String,
    },
    /// An honest validator is accused of signing twice.
    #[error("node {node} accuses the honest validator {validator} of signing twice at height {height}")]
    Accused {
        /// By whom.
        node: usize,
        /// Who.
        validator: PublicKey,
        /// Where.
        height: Height,
    },
    /// A block is on the ledger in the name of an honest validator that never proposed it.
    #[error(
        "node {node}: the block of height {height} names {proposer} as its proposer, who did not propose it"
    )]
    Attributed {
        /// Where it was committed first.
        node: usize,
        /// Where.
        height: Height,
        /// Who is named.
        proposer: PublicKey,
    },
    /// Nothing fails any more, but the ledger does not go on.
    #[error("no progress long after the faults ended: {state}")]
    NoProgress {
        /// Where the nodes stand.
        state: String,
    },
}

/// The first node that committed a height, and what.
struct Committed {
    node: usize,
    block_id: BlockId,
    digest: [u8; 32],
    certificate: CommitCertificate,
}

type Position = (&'static str, Height, i64);

/// Watches a run.
#[derive(Default)]
pub struct Checker {
    chain: BTreeMap<Height, Committed>,
    tips: BTreeMap<usize, Height>,
    transactions: BTreeMap<TransactionId, Height>,
    revoked: BTreeSet<PublicKey>,
    signed: BTreeMap<(PublicKey, Position), Option<BlockId>>,
}

impl Checker {
    /// A node has this block on its disk as its new tip.
    ///
    /// # Errors
    /// The rule that this breaks.
    pub fn committed(&mut self, node: usize, block: &StoredBlock) -> Result<(), Violation> {
        let height = block.header.height;
        let last = self.tip(node);
        if height != last.next() {
            return Err(Violation::OutOfOrder { node, last, found: height });
        }
        self.tips.insert(node, height);
        self.same_as_others(node, block)
    }

    fn same_as_others(&mut self, node: usize, block: &StoredBlock) -> Result<(), Violation> {
        let (height, block_id) = (block.header.height, block.header.id());
        let digest = digest(block);
        if let Some(first) = self.chain.get(&height) {
            let other = first.node;
            if first.block_id != block_id {
                let (found, expected) = (block_id, first.block_id);
                let signers = signed_both(&first.certificate, &block.certificate);
                return Err(Violation::Disagreement { height, node, found, other, expected, signers });
            }
            if first.digest != digest {
                return Err(Violation::DifferentBytes { height, node, other });
            }
            return Ok(());
        }
        let certificate = block.certificate.clone();
        self.chain.insert(height, Committed { node, block_id, digest, certificate });
        for (transaction, receipt) in block.transactions.iter().zip(&block.receipts) {
            let id = transaction.id();
            if receipt.outcome == Outcome::Applied {
                self.revoked.extend(transaction.body.operations.iter().filter_map(
                    |operation| match operation {
                        Operation::RevokeKey(revoke) => Some(revoke.key),
                        Operation::RotateKey(rotate) => Some(rotate.old_key),
                        _ => None,
                    },
                ));
            }
            if let Some(first) = self.transactions.insert(id, height) {
                return Err(Violation::Repeated { id, first, again: height });
            }
        }
        Ok(())
    }

    /// A node has come up again and holds these blocks, from the first to its tip.
    ///
    /// # Errors
    /// The rule that this breaks.
    pub fn restarted(&mut self, node: usize, blocks: &[StoredBlock]) -> Result<(), Violation> {
        let committed = self.tip(node);
        let held = blocks.last().map_or(Height(0), |block| block.header.height);
        if held < committed {
            return Err(Violation::Forgotten { node, committed, held });
        }
        // The power may have gone after a block reached the disk and before the node was seen to hold it.
        self.tips.insert(node, Height(0));
        blocks.iter().try_for_each(|block| self.committed(node, block))
    }

    /// A node has lost its disk, and is known to have: it may begin again.
    pub fn lost_disk(&mut self, node: usize) {
        self.tips.remove(&node);
    }

    /// An honest validator has sent this.
    ///
    /// # Errors
    /// When it has signed something else there before.
    pub fn sent(
        &mut self,
        node: usize,
        message: &SignedConsensusMsg<LedgerContext>,
    ) -> Result<(), Violation> {
        let (signer, position, value) = match message {
            SignedConsensusMsg::Vote(vote) => {
                let kind = match vote.kind {
                    engine::VoteType::Prevote => "prevote",
                    engine::VoteType::Precommit => "precommit",
                };
                let value = match vote.value {
                    NilOrVal::Val(block_id) => Some(block_id),
                    NilOrVal::Nil => None,
                };
                (vote.voter.0, (kind, vote.height.ledger(), vote.round.as_i64()), value)
            }
            SignedConsensusMsg::Proposal(proposal) => {
                let position = ("proposal", proposal.height.ledger(), proposal.round.as_i64());
                (proposal.proposer.0, position, Some(proposal.value.0))
            }
        };
        let first = *self.signed.entry((signer, position)).or_insert(value);
        let (kind, height, round) = position;
        if first == value { Ok(()) } else { Err(Violation::SignedTwice { node, kind, height, round }) }
    }

    /// Whether a validator has sent a proposal of this block, in whatever round.
    pub fn proposed(&self, proposer: PublicKey, height: Height, block_id: BlockId) -> bool {
        let in_round = |round| (proposer, ("proposal", height, round));
        let mut rounds = self.signed.range(in_round(i64::MIN)..=in_round(i64::MAX));
        rounds.any(|(_, value)| *value == Some(block_id))
    }

    /// The last height that a node was seen to hold.
    pub fn tip(&self, node: usize) -> Height {
        self.tips.get(&node).copied().unwrap_or(Height(0))
    }

    /// The highest height that any node was seen to hold.
    pub fn top(&self) -> Height {
        self.chain.keys().next_back().copied().unwrap_or(Height(0))
    }

    /// Whether a transaction is committed.
    pub fn holds(&self, id: &TransactionId) -> bool {
        self.transactions.contains_key(id)
    }

    /// Whether nothing more is to be expected of a transaction: it is committed, or its author's key was revoked.
    pub fn is_settled(&self, transaction: &Transaction) -> bool {
        self.holds(&transaction.id()) || self.revoked.contains(&transaction.body.author)
    }

    /// The ids of all blocks, from the first.
    pub fn block_ids(&self) -> Vec<BlockId> {
        self.chain.values().map(|committed| committed.block_id).collect()
    }

    /// Number of transactions on the ledger.
    pub fn transactions(&self) -> usize {
        self.transactions.len()
    }
}

/// The validators whose signatures stand under both.
fn signed_both(one: &CommitCertificate, other: &CommitCertificate) -> Vec<PublicKey> {
    let of = |certificate: &CommitCertificate| -> BTreeSet<PublicKey> {
        certificate.signatures.iter().map(|signature| signature.validator).collect()
    };
    of(one).intersection(&of(other)).copied().collect()
}

/// Of all that must be equal on all nodes; certificates need not be.
fn digest(block: &StoredBlock) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(codec::encode(&block.header));
    hasher.update(codec::encode(&block.transactions));
    hasher.update(codec::encode(&block.receipts));
    hasher.finalize().into()
}
