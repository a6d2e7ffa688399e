//! The one thing a verifier must trust beforehand.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::height::Height;
use crate::base::id::{BlockId, ChainId};
use crate::domain::membership::validators::ValidatorSet;
use crate::ledger::genesis::Genesis;

/// A point of the ledger that its holder trusts, as JSON in a file: from the genesis, or from a node one trusted then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The ledger.
    pub chain_id: ChainId,
    /// The height of the block it was taken at; 0 before the first block.
    pub height: Height,
    /// The validators that decide the blocks after it.
    pub validators: ValidatorSet,
    /// The block at that height, where it is known: another one there is evidence of two histories (rule P-4).
    pub block_id: Option<BlockId>,
}

impl Checkpoint {
    /// The checkpoint that a genesis gives.
    pub fn of_genesis(genesis: &Genesis) -> Self {
        Self {
            chain_id: genesis.chain_id(),
            height: Height(0),
            validators: genesis.validators.clone(),
            block_id: None,
        }
    }
}
