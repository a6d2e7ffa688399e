//! A proposer whose blocks break the rules of chapter 4 of the protocol, one after the other.

use yilian_spec::base::codec;
use yilian_spec::base::id::{ChainId, Hash};
use yilian_spec::base::limits::BLOCK_BYTES_MAX;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::merkle::log::{self, Frontier};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::ledger::block::Block;
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};

use super::super::consortium::{self, validator_key};
use super::super::frame::Frame;
use super::super::host::Host;
use super::super::random::Random;
use super::Liar;
use super::forge::Substitution;
use crate::simulator::liars::forge::spoil;

/// Breaks a block in one way.
type Breach = fn(&mut Block, &mut Random, ChainId);

/// What honest nodes say of the breaches, in their order and each once.
pub const SAYS: &[&str] = &[
    NOT_NEXT,
    PROPOSER,
    ALTERED_BODY,
    "another receipts_root",
    "another log_size",
    "another log_root",
    "another validators_hash",
    "another next_validators_hash",
    "the signature does not verify",
    "the transaction is for chain",
    "operations",
    "the transaction has expired",
    "the author's key is not registered",
    "the ledger holds the transaction already",
    "more than the parameters allow",
];

const PROPOSER: &str = "not by its proposer";
const ALTERED_BODY: &str = "the transactions are not those of its header";
const NOT_NEXT: &str = "names another chain, height, parent, or protocol version";

/// Good transactions of no particular run.
fn some(random: &mut Random, chain_id: ChainId, count: usize) -> Vec<Transaction> {
    consortium::transactions(chain_id, count, random)
}

fn stranger(random: &mut Random) -> SecretKey {
    SecretKey::from_seed(&random.bytes())
}

/// Puts an altered transaction, signed by its author or not, behind the others.
fn push(block: &mut Block, random: &mut Random, chain_id: ChainId, alter: fn(&mut Transaction)) {
    let mut one = some(random, chain_id, 1);
    one.iter_mut().for_each(alter);
    block.transactions.truncate(2);
    block.transactions.append(&mut one);
}

const BREACHES: &[Breach] = &[
    |block, _, _| block.header.version += 1,
    |block, random, _| block.header.chain_id.0 = random.bytes(),
    |block, _, _| block.header.height = block.header.height.next(),
    |block, random, _| block.header.previous.0 = random.bytes(),
    |block, random, _| block.header.proposer = stranger(random).public_key(),
    |block, _, _| {
        let another = |key: &SecretKey| key.public_key() != block.header.proposer;
        if let Some(key) = (0..2).map(validator_key).find(another) {
            block.header.proposer = key.public_key();
        }
    },
    |block, _, _| block.header.transaction_count += 1,
    |block, random, _| block.header.transactions_root = Hash(random.bytes()),
    |block, random, _| block.header.receipts_root = Hash(random.bytes()),
    |block, _, _| block.header.log_size += 1,
    |block, random, _| block.header.log_root = Hash(random.bytes()),
    |block, random, _| block.header.validators_hash = Hash(random.bytes()),
    |block, random, _| block.header.next_validators_hash = Hash(random.bytes()),
    |block, random, chain_id| push(block, random, chain_id, |one| spoil(&mut one.signature, 3)),
    |block, random, chain_id| push(block, random, chain_id, |one| one.body.chain_id = ChainId([1; 32])),
    |block, random, chain_id| push(block, random, chain_id, |one| one.body.operations.clear()),
    |block, random, chain_id| {
        let mut one = some(random, chain_id, 1).remove(0);
        one.body.created = LedgerTime(consortium::START_MS - 2);
        one.body.expires = LedgerTime(consortium::START_MS - 1);
        block.transactions = signed_again(one);
    },
    |block, random, chain_id| {
        let one = some(random, chain_id, 1).remove(0);
        let key = stranger(random);
        let body = TransactionBody { author: key.public_key(), ..one.body };
        block.transactions = vec![body.sign(&key)];
    },
    |block, random, chain_id| {
        let one = some(random, chain_id, 1).remove(0);
        block.transactions = vec![one.clone(), one];
    },
    |block, random, chain_id| block.transactions = some(random, chain_id, 30),
];

/// The transaction signed by its author again, who is a gateway of the simulated consortium.
fn signed_again(one: Transaction) -> Vec<Transaction> {
    let author = consortium::secret_of(&one.body.author);
    author.map(|author| one.body.sign(&author)).into_iter().collect()
}

/// Has the header name the transactions that are there: otherwise nobody looks any further.
fn name_its_body(block: &mut Block) {
    let mut leaves = Frontier::default();
    for transaction in &block.transactions {
        leaves.append(log::leaf_hash(&codec::encode(transaction))).expect("a log has room for a block");
    }
    // A block has a few dozen of them, so it fits.
    block.header.transaction_count = block.transactions.len() as u32;
    block.header.transactions_root = Hash(leaves.root());
}

pub struct InvalidBlocks {
    random: Random,
    next: usize,
    substitution: Substitution,
}

impl InvalidBlocks {
    /// Each seed begins with another breach, since who proposes what nobody can accept is passed over for a while.
    pub fn new(seed: u64, random: Random) -> Self {
        // Below the number of breaches, so it fits.
        let next = (seed % BREACHES.len() as u64) as usize;
        Self { random, next, substitution: Substitution::default() }
    }
}

impl Liar for InvalidBlocks {
    fn say(&mut self, host: &mut Host, _to: usize, frame: &Frame) -> Vec<Frame> {
        let Self { random, next, substitution } = self;
        substitution.say(host, frame, |host, _, bytes| {
            let mut block: Block = codec::decode(&bytes, BLOCK_BYTES_MAX).ok()?;
            // Every sixth one is not even a block.
            if random.chance(160) {
                let mut bytes = bytes;
                let at = random.position(bytes.len());
                match random.below(3) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes.push(0),
                    _ => bytes[at] ^= 1 << random.below(8),
                }
                return Some((block.header.id(), bytes));
            }
            let transactions = block.transactions.clone();
            (BREACHES[*next % BREACHES.len()])(&mut block, random, host.chain_id);
            if block.transactions != transactions {
                name_its_body(&mut block);
            }
            *next += 1;
            Some((block.header.id(), codec::encode(&block)))
        })
    }
}
