//! Received blocks: from bytes to checked transactions. What a node has checked before, in its mempool, is neither
//! verified nor encoded again; everything else is checked in one batch.

use crate::base::codec::{self, DecodeError};
use crate::base::id::{ChainId, Hash, TransactionId};
use crate::crypto::merkle::log::{self, Frontier};
use crate::ledger::block::{Block, Header};
use crate::ledger::transaction::{self, CheckedTransaction, SignedBytes, Transaction};
use crate::ledger::validation::semantic::{self, SemanticError};

/// A block that was decoded strictly (rules E-2 to E-4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedBlock {
    /// What the block says of itself.
    pub header: Header,
    /// Merkle root over the transactions as they arrived.
    transactions_root: Hash,
    /// Its transactions in order: the one that was checked before, or `None` for the next of `new`.
    known: Vec<Option<CheckedTransaction>>,
    new: Vec<Transaction>,
}

/// A block whose transactions have been checked as far as no state is needed (rules S-1 to S-11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedBlock {
    /// What the block says of itself.
    pub header: Header,
    /// Merkle root over the transactions as they arrived.
    pub transactions_root: Hash,
    /// Its transactions in order, or what is wrong with them.
    pub transactions: Vec<Result<CheckedTransaction, SemanticError>>,
}

impl CheckedBlock {
    /// A header with transactions that were checked apart from it.
    pub fn new(header: Header, transactions: Vec<Result<CheckedTransaction, SemanticError>>) -> Self {
        let mut leaves = Frontier::default();
        transactions.iter().flatten().for_each(|entry| append(&mut leaves, entry.encoded()));
        Self { header, transactions_root: Hash(leaves.root()), transactions }
    }
}

impl ReceivedBlock {
    /// Decodes the canonical encoding of a [`Block`] of at most `limit` bytes. `known` returns a transaction that was
    /// checked before; it counts only if it is the same in every byte, as the id does not cover the signature.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not the canonical encoding of a block.
    pub fn decode(
        bytes: &[u8],
        limit: usize,
        known: impl Fn(TransactionId) -> Option<CheckedTransaction>,
    ) -> Result<Self, DecodeError> {
        if bytes.len() > limit {
            return Err(DecodeError::TooLong { length: bytes.len(), limit });
        }
        let mut rest = bytes;
        let (header, encoded) = codec::take::<Header>(&mut rest)?;
        if codec::encode(&header) != encoded {
            return Err(DecodeError::NotCanonical);
        }
        let (count, _) = codec::take::<u64>(&mut rest)?;
        let mut block =
            Self { header, transactions_root: Hash::default(), known: Vec::new(), new: Vec::new() };
        let mut leaves = Frontier::default();
        for _ in 0..count {
            let (transaction, encoded) = codec::take::<Transaction>(&mut rest)?;
            let id = transaction::id_of_encoded(encoded);
            let found = id.and_then(&known).filter(|found| found.encoded() == encoded);
            if found.is_none() {
                if SignedBytes::of(&transaction).encoded() != encoded {
                    return Err(DecodeError::NotCanonical);
                }
                block.new.push(transaction);
            }
            block.known.push(found);
            append(&mut leaves, encoded);
        }
        block.transactions_root = Hash(leaves.root());
        if !rest.is_empty() {
            return Err(DecodeError::Malformed(format!("{} bytes are left over", rest.len())));
        }
        Ok(block)
    }

    /// Whether the transactions are those that the header's count and root commit to (rule B-17). If not, whoever sent
    /// these bytes altered them, and nothing is known about the block that the header names.
    pub fn has_the_body_of_its_header(&self) -> bool {
        self.header.transaction_count as usize == self.known.len()
            && self.header.transactions_root == self.transactions_root
    }

    /// Checks what is not known yet, the signatures in one batch.
    pub fn check(self, chain_id: ChainId) -> CheckedBlock {
        let mut checked = semantic::check_many(self.new, chain_id).into_iter();
        let transactions = self.known.into_iter().map(|found| match found {
            Some(found) => Ok(found),
            None => checked.next().expect("one result for each new transaction"),
        });
        CheckedBlock {
            header: self.header,
            transactions_root: self.transactions_root,
            transactions: transactions.collect(),
        }
    }
}

impl From<Block> for ReceivedBlock {
    /// Nothing is known.
    fn from(block: Block) -> Self {
        let mut leaves = Frontier::default();
        block.transactions.iter().for_each(|entry| append(&mut leaves, &codec::encode(entry)));
        let known = vec![None; block.transactions.len()];
        Self { header: block.header, transactions_root: Hash(leaves.root()), known, new: block.transactions }
    }
}

fn append(leaves: &mut Frontier, encoded: &[u8]) {
    leaves
        .append(log::leaf_hash(encoded))
        .expect("a block has far fewer transactions than a log may have leaves");
}
