//! Signs transactions for the members and keeps them at their places in the run.

use yilian_spec::base::id::{ChainId, SubjectTag};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::domain::Operation;
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};

use super::{DAY_MS, START_MS, institution, secret};
use crate::simulator::random::Random;

/// The end of a run, in the unit of places: dependents come 100 and more after what they depend on.
pub const END: u64 = 1_000;

/// A transaction that was signed: who may refer to what it will create.
pub struct Signed(Transaction);

impl Signed {
    /// The id of what its operation number `index` creates.
    pub fn object(&self, index: usize) -> [u8; 32] {
        let index = u16::try_from(index).expect("a transaction has at most 256 operations");
        self.0.object_id(index).expect("one of the operations that were signed")
    }
}

/// Signs what the stories of a run tell.
pub struct Author<'a> {
    chain_id: ChainId,
    /// Chance.
    pub random: &'a mut Random,
    signed: Vec<(u64, Transaction)>,
}

impl<'a> Author<'a> {
    /// Nothing signed yet.
    pub fn new(chain_id: ChainId, random: &'a mut Random) -> Self {
        Self { chain_id, random, signed: Vec::new() }
    }

    /// The ledger that is signed for.
    pub fn chain_id(&self) -> ChainId {
        self.chain_id
    }

    /// A subject of a member's that nobody else knows.
    pub fn subject(&mut self, member: usize) -> SubjectTag {
        let mut random = [0; 16];
        random.copy_from_slice(&self.random.bytes()[..16]);
        SubjectTag::of(&super::institution(member), random)
    }

    /// A place from `low` to `high`.
    pub fn place(&mut self, low: u64, high: u64) -> u64 {
        self.random.between(low, high)
    }

    /// One of some things.
    pub fn one_of<T: Clone>(&mut self, things: &[T]) -> T {
        things[self.random.position(things.len())].clone()
    }

    /// The operations of a member, signed by its key for the first of them; now and then in another member's name, or
    /// with a key of another role.
    pub fn sign(&mut self, place: u64, member: usize, operations: Vec<Operation>) -> Signed {
        let mut role = operations[0].role();
        let mut named = member;
        if self.random.chance(15) {
            named = (member + 1) % super::VALIDATORS;
        } else if self.random.chance(15) {
            role = self.one_of(&super::ROLES[1..]);
        }
        let author = secret(member, role);
        let nonce = self.random.bytes();
        let body = TransactionBody {
            chain_id: self.chain_id,
            author: author.public_key(),
            institution: institution(named),
            created: LedgerTime(START_MS),
            expires: LedgerTime(START_MS + DAY_MS / 2),
            nonce: std::array::from_fn(|index| nonce[index]),
            operations,
        };
        let transaction = body.sign(&author);
        self.signed.push((place, transaction.clone()));
        Signed(transaction)
    }

    /// How many transactions are signed.
    pub fn count(&self) -> usize {
        self.signed.len()
    }

    /// The first `count` transactions in the order of their places.
    pub fn in_order(mut self, count: usize) -> Vec<Transaction> {
        self.signed.sort_by_key(|(place, _)| *place);
        self.signed.into_iter().map(|(_, transaction)| transaction).take(count).collect()
    }
}
