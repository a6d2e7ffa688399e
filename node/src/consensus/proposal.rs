//! A proposed block on its way: a signed manifest, and the payload in chunks that the manifest commits to.
//!
//! The engine votes on ids; the bytes travel beside it. A proposer signs one [`Manifest`], which names the block
//! and the SHA-256 of every chunk, and sends one [`Part`] per chunk with the manifest in front:
//!
//! ```text
//! manifest length, u32 | manifest and signature, canonical encoding | chunk number, u32 | chunk
//! ```
//!
//! So each part can be checked on its own, in any order, whoever delivers it, and costs one signature check per
//! proposal rather than per chunk. The manifest adds well under one percent.

use std::sync::Arc;

use arc_malachitebft_app_channel::app::types::core as engine;
use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};
use wincode::{SchemaRead, SchemaWrite};
use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId, Hash, InstitutionId};
use yilian_spec::crypto::signature::{PublicKey, SecretKey, Signature, signing_bytes, verify};

use super::context::LedgerContext;
use crate::base::limits::BLOCK_DECODE_BYTES_MAX;
use crate::network::limits::{PART_CHUNK_BYTES, PART_FRAME_BYTES_MAX};

/// Most chunks of one block.
pub const CHUNKS_MAX: usize = BLOCK_DECODE_BYTES_MAX.div_ceil(PART_CHUNK_BYTES);
/// Longest encoded manifest with its signature: fixed fields and 32 bytes a chunk.
const MANIFEST_BYTES_MAX: usize = 256 + 32 * CHUNKS_MAX;
const _: () = assert!(MANIFEST_BYTES_MAX + PART_CHUNK_BYTES + 8 <= PART_FRAME_BYTES_MAX);

const DOMAIN: &str = "yilian/manifest/v1";

/// What a proposer says about the payload of its proposal.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Manifest {
    /// The height it is proposed for.
    pub height: Height,
    /// The round it is proposed in.
    pub round: u32,
    /// The round in which it gathered two thirds of the prevotes earlier, if it did.
    pub valid_round: Option<u32>,
    /// The round's proposer, who signs.
    pub proposer: PublicKey,
    /// The block.
    pub block_id: BlockId,
    /// Length of the payload in bytes; above zero.
    pub payload_bytes: u32,
    /// SHA-256 of each chunk of [`PART_CHUNK_BYTES`]; the last one may be shorter.
    pub chunk_hashes: Vec<Hash>,
}

/// A manifest with its proposer's signature, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct SignedManifest {
    /// What is said.
    pub manifest: Manifest,
    /// By whoever is named as its proposer.
    pub signature: Signature,
}

/// Why a part was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// The bytes are no part.
    #[error("not a proposal part: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// The manifest's length and number of chunks do not fit together or exceed the bound.
    #[error("a payload of {payload_bytes} bytes in {chunks} chunks; at most {BLOCK_DECODE_BYTES_MAX} bytes")]
    Shape {
        /// Bytes announced.
        payload_bytes: u32,
        /// Chunks announced.
        chunks: usize,
    },
    /// The proposer did not sign the manifest.
    #[error("the manifest's signature does not verify")]
    Signature,
    /// The chunk is not the one that the manifest names.
    #[error("chunk {index} does not match the manifest")]
    Chunk {
        /// Which chunk.
        index: u32,
    },
    /// The part is for a height that this node does not collect.
    #[error("height {given}, while this node decides {current}")]
    Height {
        /// The part's height.
        given: Height,
        /// The height being decided.
        current: Height,
    },
    /// The part is for a round that this node does not collect.
    #[error("round {given}, while this node is in round {current}")]
    Round {
        /// The part's round.
        given: u32,
        /// The round under way.
        current: u32,
    },
    /// The signer does not propose in that round.
    #[error("{proposer} does not propose in round {round}")]
    Proposer {
        /// Who signed.
        proposer: PublicKey,
        /// In which round.
        round: u32,
    },
    /// It came from a node of another institution than the proposer's.
    #[error("a proposal of {proposer} from a node of {from}")]
    Relayed {
        /// Who signed.
        proposer: PublicKey,
        /// From whose node it came.
        from: InstitutionId,
    },
    /// The proposer has already proposed as many blocks for that round as are kept.
    #[error("{proposer} proposes too many blocks for round {round}")]
    TooMany {
        /// Who signed.
        proposer: PublicKey,
        /// In which round.
        round: u32,
    },
}

/// A part as it arrived: the manifest still encoded, so that a repeated one is recognised without decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The signed manifest's encoding.
    pub signed_manifest: Bytes,
    /// Which chunk.
    pub index: u32,
    /// The chunk.
    pub chunk: Bytes,
}

impl Part {
    /// Reads a part; shares the buffer, copies nothing.
    ///
    /// # Errors
    /// [`PartError::Malformed`].
    pub fn decode(bytes: &Bytes) -> Result<Self, PartError> {
        let malformed = |reason: &str| PartError::Malformed { reason: reason.to_owned() };
        let word = |at: usize| -> Option<u32> {
            Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
        };
        let length = word(0).ok_or_else(|| malformed("no manifest length"))? as usize;
        if length > MANIFEST_BYTES_MAX {
            return Err(malformed("the manifest is too long"));
        }
        let index = word(4 + length).ok_or_else(|| malformed("it ends early"))?;
        let chunk = bytes.slice(8 + length..);
        if chunk.is_empty() || chunk.len() > PART_CHUNK_BYTES {
            return Err(malformed("the chunk is empty or too long"));
        }
        Ok(Self { signed_manifest: bytes.slice(4..4 + length), index, chunk })
    }

    fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(8 + self.signed_manifest.len() + self.chunk.len());
        let length =
            u32::try_from(self.signed_manifest.len()).expect("a manifest is below MANIFEST_BYTES_MAX");
        bytes.put_u32_le(length);
        bytes.put_slice(&self.signed_manifest);
        bytes.put_u32_le(self.index);
        bytes.put_slice(&self.chunk);
        bytes.freeze()
    }
}

impl SignedManifest {
    /// Decodes a signed manifest and checks its shape. Nothing is believed before [`Self::verify`].
    ///
    /// # Errors
    /// [`PartError::Malformed`] or [`PartError::Shape`].
    pub fn decode(signed: &[u8]) -> Result<Self, PartError> {
        let signed: Self = codec::decode(signed, MANIFEST_BYTES_MAX)
            .map_err(|error| PartError::Malformed { reason: error.to_string() })?;
        let payload = signed.manifest.payload_bytes as usize;
        let chunks = signed.manifest.chunk_hashes.len();
        if payload == 0 || payload > BLOCK_DECODE_BYTES_MAX || chunks != payload.div_ceil(PART_CHUNK_BYTES) {
            return Err(PartError::Shape { payload_bytes: signed.manifest.payload_bytes, chunks });
        }
        Ok(signed)
    }

    /// What it says, if its proposer signed it.
    ///
    /// # Errors
    /// [`PartError::Signature`].
    pub fn verify(self, chain_id: ChainId) -> Result<Manifest, PartError> {
        let Self { manifest, signature } = self;
        let message = signing_bytes(DOMAIN, &chain_id.0, &codec::encode(&manifest));
        verify(&manifest.proposer, &message, &signature).map_err(|_| PartError::Signature)?;
        Ok(manifest)
    }
}

impl Manifest {
    /// Whether `chunk` is the one at `index`.
    pub fn names(&self, index: u32, chunk: &[u8]) -> bool {
        let Some(hash) = self.chunk_hashes.get(index as usize) else { return false };
        let start = index as usize * PART_CHUNK_BYTES;
        let length = (self.payload_bytes as usize - start).min(PART_CHUNK_BYTES);
        chunk.len() == length && *hash == chunk_hash(chunk)
    }
}

fn chunk_hash(chunk: &[u8]) -> Hash {
    Hash(Sha256::digest(chunk).into())
}

/// Where and by whom a block is proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposalPosition {
    /// The height.
    pub height: Height,
    /// The round.
    pub round: u32,
    /// See [`Manifest::valid_round`].
    pub valid_round: Option<u32>,
}

/// Signs a proposal's manifest and cuts its payload into encoded parts, ready to be sent.
///
/// # Panics
/// When the payload is empty or longer than [`BLOCK_DECODE_BYTES_MAX`]; the application bounds its blocks.
pub fn split(
    chain_id: ChainId,
    key: &SecretKey,
    position: ProposalPosition,
    block_id: BlockId,
    payload: &Bytes,
) -> Vec<Bytes> {
    assert!((1..=BLOCK_DECODE_BYTES_MAX).contains(&payload.len()), "a block of {} bytes", payload.len());
    let chunks: Vec<Bytes> = (0..payload.len())
        .step_by(PART_CHUNK_BYTES)
        .map(|start| payload.slice(start..payload.len().min(start + PART_CHUNK_BYTES)))
        .collect();
    let manifest = Manifest {
        height: position.height,
        round: position.round,
        valid_round: position.valid_round,
        proposer: key.public_key(),
        block_id,
        payload_bytes: u32::try_from(payload.len()).expect("checked against BLOCK_DECODE_BYTES_MAX"),
        chunk_hashes: chunks.iter().map(|chunk| chunk_hash(chunk)).collect(),
    };
    let signature = key.sign(&signing_bytes(DOMAIN, &chain_id.0, &codec::encode(&manifest)));
    let signed_manifest = Bytes::from(codec::encode(&SignedManifest { manifest, signature }));
    let part = |(index, chunk)| Part { signed_manifest: signed_manifest.clone(), index, chunk }.encode();
    (0_u32..).zip(chunks).map(part).collect()
}

/// A proposal whose payload has arrived in full: what the engine carries as its one "proposal part".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteProposal {
    /// What the proposer signed.
    pub manifest: Arc<Manifest>,
    /// The block's bytes.
    pub payload: Bytes,
    /// Of a block that is proposed again: whether an honest validator has voted for it, see
    /// [`super::intake::Intake::completed`].
    pub is_attested: bool,
}

impl engine::ProposalPart<LedgerContext> for CompleteProposal {
    fn is_first(&self) -> bool {
        true
    }

    fn is_last(&self) -> bool {
        true
    }
}
