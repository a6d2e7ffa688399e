//! Blocks that an attacker proposes: without transactions, and good in every other way.

use bytes::Bytes;
use yilian_node::consensus::proposal::{ProposalPosition, split};
use yilian_node::network::Topic;
use yilian_spec::base::codec;
use yilian_spec::base::id::{BlockId, ChainId, Hash};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::merkle::log::Frontier;
use yilian_spec::crypto::signature::{PublicKey, SecretKey};
use yilian_spec::ledger::block::{Block, Header};

/// A block without transactions behind `last`, at a time that must be later.
pub fn empty(last: &Header, proposer: PublicKey, time: LedgerTime) -> Block {
    let nothing = Hash(Frontier::default().root());
    let header = Header {
        height: last.height.next(),
        previous: last.id(),
        time,
        proposer,
        transaction_count: 0,
        transactions_root: nothing,
        receipts_root: nothing,
        validators_hash: last.next_validators_hash,
        ..last.clone()
    };
    Block { header, transactions: Vec::new() }
}

/// The signed parts of a block in a round, and its id.
pub fn parts(
    chain_id: ChainId,
    key: &SecretKey,
    block: &Block,
    round: u32,
) -> (BlockId, Vec<(Topic, Bytes)>) {
    let id = block.header.id();
    let position = ProposalPosition { height: block.header.height, round, valid_round: None };
    let parts = split(chain_id, key, position, id, &Bytes::from(codec::encode(block)));
    (id, parts.into_iter().map(|part| (Topic::Part, part)).collect())
}
