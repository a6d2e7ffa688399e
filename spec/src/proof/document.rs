//! The JSON form of proofs: one object with `format` and `kind`, as a node answers it and as it is saved (rule P-1).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::{
    CertifiedHeader, Checkpoint, LogConsistencyProof, LogInclusionProof, ProofError, StateProof,
    StatementProof, StreamProof, TransactionProof,
};
use crate::base::json;
use crate::base::limits;
use crate::base::schema::text_schema;
use crate::ledger::block::Header;

/// The value of a document's `format`.
pub const FORMAT: &str = "yilian-proof/v1";

/// A proof of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Proof {
    /// A transaction and its receipt.
    Transaction(Box<TransactionProof>),
    /// A row of the state, or its absence.
    State(Box<StateProof>),
    /// Entries of a stream.
    Stream(Box<StreamProof>),
    /// A statement of a closed period.
    Statement(Box<StatementProof>),
    /// A transaction in the ledger's log.
    Inclusion(Box<LogInclusionProof>),
    /// A log that only grew.
    Consistency(Box<LogConsistencyProof>),
}

impl Proof {
    /// The kind, as the document names it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Transaction(_) => "transaction",
            Self::State(_) => "state",
            Self::Stream(_) => "stream",
            Self::Statement(_) => "statement",
            Self::Inclusion(_) => "inclusion",
            Self::Consistency(_) => "consistency",
        }
    }
}

/// A proof as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProofDocument {
    format: Format,
    /// The proof.
    #[serde(flatten)]
    pub proof: Proof,
}

/// [`FORMAT`], and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format;

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(FORMAT)
    }
}

text_schema!(Format, "^yilian-proof/v1$", "The format of the document");

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == FORMAT {
            Ok(Self)
        } else {
            Err(serde::de::Error::custom(format_args!(
                "the format is {text:?}, this program reads {FORMAT:?}"
            )))
        }
    }
}

impl ProofDocument {
    /// Reads a document (rules P-1, P-18).
    ///
    /// # Errors
    /// [`ProofError::TooLong`] and [`ProofError::NotADocument`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > limits::PROOF_BYTES_MAX {
            return Err(ProofError::TooLong { length: bytes.len() });
        }
        json::read(bytes).map_err(ProofError::NotADocument)
    }

    /// The document as a line of JSON text for a file, with its line break (rule P-21).
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("proofs hold nothing that JSON cannot");
        text.push('\n');
        text
    }

    /// Verifies the proof against a checkpoint; returns the header that it leads to.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<&Header, ProofError> {
        match &self.proof {
            Proof::Transaction(proof) => proof.verify(checkpoint),
            Proof::State(proof) => proof.verify(checkpoint),
            Proof::Stream(proof) => proof.verify(checkpoint).map(|(header, _)| header),
            Proof::Statement(proof) => proof.verify(checkpoint).map(|verified| verified.header),
            Proof::Inclusion(proof) => proof.verify(checkpoint),
            Proof::Consistency(proof) => proof.verify(checkpoint),
        }
    }

    /// The block that the proof leads to; nothing is said about whether it does.
    pub fn block(&self) -> &CertifiedHeader {
        match &self.proof {
            Proof::Transaction(proof) => &proof.block,
            Proof::State(proof) => &proof.block,
            Proof::Stream(proof) => &proof.block,
            Proof::Statement(proof) => &proof.block,
            Proof::Inclusion(proof) => &proof.block,
            Proof::Consistency(proof) => &proof.block,
        }
    }
}

impl From<Proof> for ProofDocument {
    fn from(proof: Proof) -> Self {
        Self { format: Format, proof }
    }
}

macro_rules! document_from {
    ($($kind:ident($proof:ty))*) => {$(
        impl From<$proof> for ProofDocument {
            fn from(proof: $proof) -> Self {
                Proof::$kind(Box::new(proof)).into()
            }
        }
    )*};
}

document_from! {
    Transaction(TransactionProof)
    State(StateProof)
    Stream(StreamProof)
    Statement(StatementProof)
    Inclusion(LogInclusionProof)
    Consistency(LogConsistencyProof)
}
