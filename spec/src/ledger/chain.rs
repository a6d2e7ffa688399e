//! From one block to the next: how a block is built on a tip, and how a received one is checked (rules B-9 to B-17).
//!
//! Proposer and validator run the same code: the validator executes the block again and demands the same header.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::base::codec;
use crate::base::height::Height;
use crate::base::id::{BlockId, ChainId, Hash, TransactionId};
use crate::base::limits;
use crate::base::time::LedgerTime;
use crate::base::version::{ProtocolVersion, UnknownVersion};
use crate::crypto::merkle::log::{self, CompleteNode, Frontier};
use crate::crypto::signature::PublicKey;
use crate::domain::membership::rotation::Attendance;
use crate::domain::membership::validators::{Validator, ValidatorSet};
use crate::domain::membership::{KeyRecord, Role};
use crate::domain::parameters::Parameters;
use crate::ledger::block::Header;
use crate::ledger::genesis::Genesis;
use crate::ledger::machine::{self, BlockContext, Execution};
use crate::ledger::receipt::Receipt;
use crate::ledger::received::CheckedBlock;
use crate::ledger::transaction::CheckedTransaction;
use crate::ledger::validation::contextual::{self, ContextualError};
use crate::ledger::validation::semantic::SemanticError;
use crate::state::key::StateKey;
use crate::state::overlay::{Overlay, Writes};
use crate::state::{StateView, ViewError};

/// The end of the ledger: all that a next block builds on beside the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// The ledger.
    pub chain_id: ChainId,
    /// The last block's height; 0 before the first.
    pub height: Height,
    /// The last block's id; before the first, the chain id's bytes.
    pub block_id: BlockId,
    /// The last block's time, or the genesis time.
    pub time: LedgerTime,
    /// The log of all transactions' receipts.
    pub log: Frontier,
    /// The root of the state.
    pub state_root: Hash,
    /// The validators of the next block.
    pub validators: ValidatorSet,
    /// The parameters of the next block.
    pub parameters: Parameters,
    /// Who has missed turns to propose.
    pub attendance: Attendance,
}

/// The rows that a genesis writes into an empty state.
pub fn genesis_writes(genesis: &Genesis) -> Writes {
    let mut state = Overlay::new(&Nothing);
    state.write(&StateKey::Parameters, &genesis.parameters);
    state.write(&StateKey::Validators, &genesis.validators);
    for entry in &genesis.institutions {
        let id = &entry.institution.id;
        state.write(&StateKey::Institution(id.clone()), &entry.institution);
        for key in &entry.keys {
            let record =
                KeyRecord { institution: id.clone(), role: key.role, window: key.window, revoked_at: None };
            state.write(&StateKey::Key(key.key), &record);
            state.mark(&StateKey::KeyIndex(id.clone(), key.key));
        }
        let count = |role| entry.keys.iter().filter(|key| key.role == role).count() as u32;
        state.write(&StateKey::Administrators(id.clone()), &count(Role::Administrator));
        state.write(&StateKey::NodeKeys(id.clone()), &count(Role::Node));
    }
    state.into_writes()
}

impl Tip {
    /// The tip of a ledger that has only its genesis, whose rows have this root.
    pub fn genesis(genesis: &Genesis, state_root: Hash) -> Self {
        let chain_id = genesis.chain_id();
        Self {
            chain_id,
            height: Height(0),
            block_id: BlockId(chain_id.0),
            time: genesis.time,
            log: Frontier::default(),
            state_root,
            validators: genesis.validators.clone(),
            parameters: genesis.parameters.clone(),
            attendance: Attendance::default(),
        }
    }

    /// Who proposes the next block, by turns.
    pub fn rotation(&self) -> Vec<&Validator> {
        self.attendance.rotation(&self.validators, self.height.next())
    }

    /// Whose turn round 0 of the next height is.
    pub fn turn(&self) -> PublicKey {
        self.attendance.turn(&self.validators, self.height.next()).key
    }

    /// The earliest time that the next block may have.
    pub fn next_time_min(&self) -> LedgerTime {
        self.time.plus_ms(1)
    }

    /// The version of the rules of the next block (rule V-1).
    ///
    /// # Errors
    /// [`UnknownVersion`] where this program is too old for it.
    pub fn next_version(&self) -> Result<ProtocolVersion, UnknownVersion> {
        self.parameters.versions.at(self.height.next())
    }

    /// What the execution of the next block depends on beside state and transactions.
    pub(crate) fn context(&self, time: LedgerTime) -> Result<BlockContext, UnknownVersion> {
        let version = self.next_version()?;
        Ok(BlockContext { chain_id: self.chain_id, height: self.height.next(), version, time })
    }
}

/// What a block's header says that does not follow from executing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The block's time.
    pub time: LedgerTime,
    /// Who builds it.
    pub proposer: PublicKey,
}

/// A state that holds nothing.
struct Nothing;

impl StateView for Nothing {
    fn get(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(None)
    }

    fn contains_transaction(&self, _id: TransactionId) -> Result<bool, ViewError> {
        Ok(false)
    }
}

/// A block that was executed, with all that committing it writes.
#[derive(Debug, Clone)]
pub struct ExecutedBlock {
    /// Its header.
    pub header: Header,
    /// Its transactions.
    pub transactions: Vec<CheckedTransaction>,
    /// Their receipts, in the same order.
    pub receipts: Vec<Receipt>,
    /// What each of them cost in units of work, in the same order.
    pub work: Vec<u64>,
    /// All rows it writes.
    pub writes: Writes,
    /// The nodes that it completes in the ledger's log.
    pub log_nodes: Vec<CompleteNode>,
    /// The tip after it.
    pub tip: Tip,
}

/// Why a block cannot be executed. Nothing is said about the block.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ExecutionError {
    /// The program is too old.
    #[error(transparent)]
    Version(#[from] UnknownVersion),
    /// Storage failed.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// Executes `transactions` as the next block on `tip` and makes its header (rule B-9): all of them, or the first that
/// together cost at most `work_max`. Whether the transactions may stand there is the caller's to have checked. `root_of`
/// gives the state's root after the writes.
///
/// # Errors
/// [`ExecutionError`].
pub fn execute(
    tip: &Tip,
    view: &dyn StateView,
    made: Made,
    mut transactions: Vec<CheckedTransaction>,
    work_max: u64,
    root_of: impl FnOnce(&Writes) -> Result<Hash, ViewError>,
) -> Result<ExecutedBlock, ExecutionError> {
    let context = tip.context(made.time)?;
    let execution = machine::execute(view, &context, &transactions, work_max)?;
    transactions.truncate(execution.receipts.len());
    let leaves: Vec<[u8; 32]> = transactions.iter().map(|entry| log::leaf_hash(entry.encoded())).collect();
    let transactions_root = Hash(root(&leaves)?);
    let executed = Executed { version: context.version, transactions, transactions_root, execution };
    Ok(finish(tip, made, executed, root_of)?)
}

/// Transactions that were executed.
struct Executed {
    version: ProtocolVersion,
    transactions: Vec<CheckedTransaction>,
    transactions_root: Hash,
    execution: Execution,
}

/// The block of transactions that were executed.
fn finish(
    tip: &Tip,
    made: Made,
    executed: Executed,
    root_of: impl FnOnce(&Writes) -> Result<Hash, ViewError>,
) -> Result<ExecutedBlock, ViewError> {
    let Made { time, proposer } = made;
    let Executed { version, transactions, transactions_root, execution } = executed;
    let Execution { receipts, work, mut writes } = execution;
    let receipt_leaves: Vec<[u8; 32]> =
        receipts.iter().map(|receipt| log::leaf_hash(&codec::encode(receipt))).collect();
    let mut log = tip.log.clone();
    let mut log_nodes = Vec::with_capacity(2 * receipt_leaves.len());
    for leaf in &receipt_leaves {
        log.append_with(*leaf, |node| log_nodes.push(node)).map_err(|error| ViewError(error.to_string()))?;
    }
    let next_validators = written(&writes, &StateKey::Validators)?.unwrap_or_else(|| tip.validators.clone());
    let parameters = written(&writes, &StateKey::Parameters)?.unwrap_or_else(|| tip.parameters.clone());
    let attendance = tip.attendance.after((tip.height.next(), &proposer), &tip.validators, &next_validators);
    if attendance != tip.attendance {
        writes.insert(StateKey::Attendance.bytes(), Some(codec::encode(&attendance)));
    }
    let state_root = root_of(&writes)?;
    let header = Header {
        version: version.number(),
        chain_id: tip.chain_id,
        height: tip.height.next(),
        previous: tip.block_id,
        time,
        proposer,
        transaction_count: transactions.len() as u32,
        transactions_root,
        receipts_root: Hash(root(&receipt_leaves)?),
        log_size: log.length(),
        log_root: Hash(log.root()),
        state_root,
        validators_hash: tip.validators.hash(),
        next_validators_hash: next_validators.hash(),
    };
    let tip = Tip {
        chain_id: tip.chain_id,
        height: tip.height.next(),
        block_id: header.id(),
        time,
        log,
        state_root,
        validators: next_validators,
        parameters,
        attendance,
    };
    Ok(ExecutedBlock { header, transactions, receipts, work, writes, log_nodes, tip })
}

/// The record that a block has just written under this key, if it has.
fn written<T: codec::Canonical>(writes: &Writes, key: &StateKey) -> Result<Option<T>, ViewError> {
    let Some(Some(row)) = writes.get(&key.bytes()) else { return Ok(None) };
    let record = codec::decode(row, limits::GENESIS_BYTES_MAX);
    record.map(Some).map_err(|error| ViewError(format!("row {key:?}, which the block writes: {error}")))
}

/// The root of a block's own list.
fn root(leaves: &[[u8; 32]]) -> Result<[u8; 32], ViewError> {
    let mut list = Frontier::default();
    for leaf in leaves {
        list.append(*leaf).map_err(|error| ViewError(error.to_string()))?;
    }
    Ok(list.root())
}

/// Why a block is not the next one.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum BlockError {
    /// Rule V-1: nothing is said about the block.
    #[error(transparent)]
    UnknownVersion(#[from] UnknownVersion),
    /// Rule B-10.
    #[error("the header names another chain, height, parent, or protocol version than the tip asks for")]
    NotTheNext,
    /// Rule B-11.
    #[error("block time {found} is not later than {previous}, or too far ahead of the clock")]
    Time {
        /// The block's time.
        found: LedgerTime,
        /// The previous block's time.
        previous: LedgerTime,
    },
    /// Rule B-12.
    #[error("the proposer is not a validator, or not the one of this round")]
    Proposer,
    /// Rule B-13.
    #[error("{count} transactions of {bytes} bytes are more than the parameters allow")]
    TooLarge {
        /// Transactions.
        count: usize,
        /// Their encoded size.
        bytes: usize,
    },
    /// Rule B-14.
    #[error("transaction {index}: {reason}")]
    Semantic {
        /// Its place.
        index: usize,
        /// What is wrong.
        reason: SemanticError,
    },
    /// Rule B-14.
    #[error("transaction {index}: {reason}")]
    Contextual {
        /// Its place.
        index: usize,
        /// What is wrong.
        reason: ContextualError,
    },
    /// Rule B-16.
    #[error(
        "the first {executed} transactions cost {work} units of work, and the next one more than is left of the {work_max} \
         of one block"
    )]
    TooMuchWork {
        /// Transactions that were executed.
        executed: usize,
        /// What they cost.
        work: u64,
        /// What the parameters allow.
        work_max: u64,
    },
    /// Rule B-15.
    #[error("executing the block gives another {field} than its header says")]
    HeaderMismatch {
        /// The first field that differs.
        field: &'static str,
    },
    /// Storage failed; nothing is said about the block.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// What a validator knows beside the tip.
#[derive(Debug, Clone, Copy)]
pub struct Expectation {
    /// The proposer that consensus chose, where it is known (not while catching up on certified blocks).
    pub proposer: Option<PublicKey>,
    /// The validator's clock, where the block is new (not while catching up on certified blocks).
    pub clock: Option<LedgerTime>,
}

/// Checks a received block against the tip and executes it.
///
/// # Errors
/// The first rule that is broken.
pub fn validate(
    tip: &Tip,
    view: &dyn StateView,
    block: CheckedBlock,
    expectation: Expectation,
    root_of: impl FnOnce(&Writes) -> Result<Hash, ViewError>,
) -> Result<ExecutedBlock, BlockError> {
    let CheckedBlock { header, transactions_root, transactions } = block;
    let context = tip.context(header.time)?;
    let version = context.version;
    check_header(tip, version, &header, expectation)?;
    let transactions = check_transactions(tip, view, &context, transactions)?;
    let made = Made { time: header.time, proposer: header.proposer };
    let work_max = tip.parameters.block_work_max;
    let execution = machine::execute(view, &context, &transactions, work_max)?;
    let executed = execution.receipts.len();
    if executed < transactions.len() {
        return Err(BlockError::TooMuchWork { executed, work: execution.work.iter().sum(), work_max });
    }
    let executed = Executed { version, transactions, transactions_root, execution };
    let executed = finish(tip, made, executed, root_of)?;
    match first_difference(&header, &executed.header) {
        None => Ok(executed),
        Some(field) => Err(BlockError::HeaderMismatch { field }),
    }
}

fn check_header(
    tip: &Tip,
    version: ProtocolVersion,
    header: &Header,
    expectation: Expectation,
) -> Result<(), BlockError> {
    let next = header.version == version.number()
        && header.chain_id == tip.chain_id
        && header.height == tip.height.next()
        && header.previous == tip.block_id;
    if !next {
        return Err(BlockError::NotTheNext);
    }
    let too_far = expectation.clock.is_some_and(|clock| {
        header.time > clock.plus_ms(limits::BLOCK_TIME_AHEAD_MS_MAX).max(tip.next_time_min())
    });
    if header.time <= tip.time || too_far {
        return Err(BlockError::Time { found: header.time, previous: tip.time });
    }
    let chosen = expectation.proposer.is_none_or(|proposer| proposer == header.proposer);
    if !chosen || tip.validators.get(&header.proposer).is_none() {
        return Err(BlockError::Proposer);
    }
    Ok(())
}

fn check_transactions(
    tip: &Tip,
    view: &dyn StateView,
    context: &BlockContext,
    transactions: Vec<Result<CheckedTransaction, SemanticError>>,
) -> Result<Vec<CheckedTransaction>, BlockError> {
    let count = transactions.len();
    let mut result = Vec::with_capacity(count);
    let mut seen = BTreeSet::new();
    for (index, entry) in transactions.into_iter().enumerate() {
        let transaction = entry.map_err(|reason| BlockError::Semantic { index, reason })?;
        contextual::check(&transaction, view, context.version, context.time).map_err(
            |reason| match reason {
                // A disk that cannot be read says nothing about the block: without this, a node with a damaged row would
                // vote against a good one.
                ContextualError::View(error) => BlockError::View(error),
                reason => BlockError::Contextual { index, reason },
            },
        )?;
        if !seen.insert(transaction.id()) {
            return Err(BlockError::Contextual { index, reason: ContextualError::Repeated });
        }
        result.push(transaction);
    }
    let bytes = result.iter().map(|entry| entry.encoded().len()).sum();
    if count > tip.parameters.block_transactions_max as usize
        || bytes > tip.parameters.block_bytes_max as usize
    {
        return Err(BlockError::TooLarge { count, bytes });
    }
    Ok(result)
}

/// The first header field in which execution disagrees.
fn first_difference(claimed: &Header, computed: &Header) -> Option<&'static str> {
    let fields = [
        ("transaction_count", claimed.transaction_count == computed.transaction_count),
        ("transactions_root", claimed.transactions_root == computed.transactions_root),
        ("receipts_root", claimed.receipts_root == computed.receipts_root),
        ("log_size", claimed.log_size == computed.log_size),
        ("log_root", claimed.log_root == computed.log_root),
        ("state_root", claimed.state_root == computed.state_root),
        ("validators_hash", claimed.validators_hash == computed.validators_hash),
        ("next_validators_hash", claimed.next_validators_hash == computed.next_validators_hash),
        ("header", claimed == computed),
    ];
    fields.into_iter().find(|(_, equal)| !equal).map(|(field, _)| field)
}
