//! The JSON form of proofs: one object with `format` and `kind`, as a node answers it and as it is saved (rule P-1).

use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    CertifiedHeader, Checkpoint, LogConsistencyProof, LogInclusionProof, ProofError, StateProof,
    StatementProof, StreamProof, TransactionProof,
};
use crate::base::json::{self, JsonError};
use crate::base::limits;
use crate::base::schema::text_schema;
use crate::ledger::block::Header;

/// The value of a document's `format`.
pub const FORMAT: &str = "yilian-proof/v1";

/// A proof of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
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

/// A proof as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
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

impl ProofDocument {
    /// Reads a document (rules P-1, P-18).
    ///
    /// # Errors
    /// [`ProofError::TooLong`] and [`ProofError::NotADocument`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > limits::PROOF_BYTES_MAX {
            return Err(ProofError::TooLong);
        }
        let proof = json::parse(bytes).and_then(Self::proof).map_err(ProofError::NotADocument)?;
        Ok(Self::from(proof))
    }

    /// The proof of a document. Read by its kind, so that what is refused is refused at its place.
    fn proof(document: Value) -> Result<Proof, JsonError> {
        let other = |at: &str, reason: String| Err(JsonError::OtherForm { at: at.to_owned(), reason });
        let Value::Object(mut fields) = document else {
            return other("", "a proof is an object".to_owned());
        };
        match fields.remove("format") {
            Some(Value::String(format)) if format == FORMAT => {}
            Some(format) => {
                return other("/format", format!("the format is {format}, this program reads {FORMAT:?}"));
            }
            None => return other("/format", "the field is missing".to_owned()),
        }
        match fields.remove("kind") {
            Some(Value::String(kind)) => of_kind(&kind, &Value::Object(fields)),
            Some(_) => other("/kind", "a kind is a text".to_owned()),
            None => other("/kind", "the field is missing".to_owned()),
        }
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

/// The kinds of proofs, by the name that a document gives them.
macro_rules! kinds {
    ($($name:literal $kind:ident($proof:ty))*) => {
        impl Proof {
            /// The kind, as the document names it.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $name,)*
                }
            }
        }

        /// Reads the fields of a document beside its format and its kind.
        fn of_kind(kind: &str, fields: &Value) -> Result<Proof, JsonError> {
            match kind {
                $($name => json::typed::<$proof>(fields).map(|proof| Proof::$kind(Box::new(proof))),)*
                _ => Err(JsonError::OtherForm {
                    at: "/kind".to_owned(),
                    reason: format!("{kind:?} is none of {}", [$($name),*].join(", ")),
                }),
            }
        }

        $(impl From<$proof> for ProofDocument {
            fn from(proof: $proof) -> Self {
                Proof::$kind(Box::new(proof)).into()
            }
        })*
    };
}

kinds! {
    "transaction" Transaction(TransactionProof)
    "state" State(StateProof)
    "stream" Stream(StreamProof)
    "statement" Statement(StatementProof)
    "inclusion" Inclusion(LogInclusionProof)
    "consistency" Consistency(LogConsistencyProof)
}
