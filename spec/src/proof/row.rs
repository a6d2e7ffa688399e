//! Rows of the state, or their absence.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CertifiedHeader, Checkpoint, ProofError};
use crate::base::codec::{self, Canonical};
use crate::base::limits;
use crate::crypto::merkle::state_tree;
use crate::ledger::block::Header;
use crate::state::key::StateKey;

/// A row, or the place where it would be, with the path from there to the state's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvenRow {
    /// The row's key ([`StateKey::bytes`]), hexadecimal in JSON.
    #[serde(with = "hex::serde")]
    #[schema(value_type = String, pattern = "^([0-9a-f]{2})*$")]
    pub key: Vec<u8>,
    /// The row, hexadecimal in JSON; `None` where there is none.
    #[serde(with = "optional_hex")]
    #[schema(value_type = Option<String>, pattern = "^([0-9a-f]{2})*$")]
    pub value: Option<Vec<u8>>,
    /// The path.
    pub path: state_tree::StateProof,
}

impl ProvenRow {
    /// Checks the row against the state's root in a header that was verified (rules P-10 and P-11).
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self, header: &Header) -> Result<(), ProofError> {
        if !StateKey::is_proven(&self.key) {
            return Err(ProofError::NotProvable);
        }
        self.path.verify(&header.state_root.0, &self.key, self.value.as_deref()).map_err(ProofError::Row)
    }

    /// Checks that the row is the one under `key` (rule P-12).
    ///
    /// # Errors
    /// [`ProofError::OtherRow`] when it is another.
    pub fn check_key(&self, key: &StateKey, expected: &'static str) -> Result<(), ProofError> {
        if self.key == key.bytes() { Ok(()) } else { Err(ProofError::OtherRow { expected }) }
    }

    /// Reads the row as a record; `None` where there is no row (rule P-12).
    ///
    /// # Errors
    /// [`ProofError::RowForm`] when it is no such record.
    pub fn read<T: Canonical>(&self, expected: &'static str) -> Result<Option<T>, ProofError> {
        let decode = |row: &Vec<u8>| {
            codec::decode(row, limits::PROOF_BYTES_MAX)
                .map_err(|reason| ProofError::RowForm { expected, reason })
        };
        self.value.as_ref().map(decode).transpose()
    }

    /// Reads the row as a record that must be there.
    ///
    /// # Errors
    /// [`ProofError::Absent`] when there is no row, [`ProofError::RowForm`] when it is no such record.
    pub fn require<T: Canonical>(&self, expected: &'static str) -> Result<T, ProofError> {
        self.read(expected)?.ok_or(ProofError::Absent { expected })
    }
}

/// A row of the state, or its absence, at the height of a certified header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StateProof {
    /// The row.
    pub row: ProvenRow,
    /// The block after which the state held it.
    pub block: CertifiedHeader,
}

impl StateProof {
    /// Verifies the row against a checkpoint (rules P-2 to P-5, P-10, P-11); returns the header it was read at.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<&Header, ProofError> {
        let header = self.block.verify(checkpoint)?;
        self.row.verify(header)?;
        Ok(header)
    }
}

/// Bytes that may be absent, as hexadecimal text or `null`.
mod optional_hex {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(hex::encode).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(hex::decode).transpose().map_err(serde::de::Error::custom)
    }
}
