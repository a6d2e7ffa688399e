//! The bytes of the engine's messages, on the wire and in its log.
//!
//! Each kind has a mirror struct here and the project's canonical encoding, so decoding is strict: a bound before
//! anything is allocated, every byte consumed, one encoding per value. The layouts are frozen by a test; nodes of
//! one ledger must agree on them, and a node must read its own log after an upgrade.

mod wire;

use arc_malachitebft_app_channel::app::types::codec::{Codec, HasEncodedLen};
use arc_malachitebft_app_channel::app::types::core as engine;
use arc_malachitebft_app_channel::app::types::{ProposedValue, SignedConsensusMsg, sync};
use arc_malachitebft_core_consensus::LivenessMsg;
use bytes::{BufMut, Bytes, BytesMut};
use yilian_spec::base::codec::{DecodeError, decode, encode};
use yilian_spec::base::height::Height;
use yilian_spec::base::limits::CERTIFICATE_BYTES_MAX;
use yilian_spec::ledger::block::CommitCertificate;

use super::certificate::{extended_certificate, spec_certificate};
use super::context::{EngineHeight, LedgerContext};
use crate::base::limits::BLOCK_DECODE_BYTES_MAX;
use crate::network::limits::{CONSENSUS_FRAME_BYTES_MAX, SYNC_BATCH, SYNC_REQUEST_BYTES_MAX};
use wire::{Range, StatusWire, WorkWire};

/// Encodes and decodes every message of the engine.
#[derive(Clone, Copy, Debug)]
pub struct LedgerCodec;

/// Why bytes were refused, or a value cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The strict decoder refused.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A tag has no meaning.
    #[error("tag {tag} is no {kind}")]
    Tag {
        /// The tag.
        tag: u8,
        /// What it should name.
        kind: &'static str,
    },
    /// A field breaks a rule of its message.
    #[error("{0}")]
    Rule(&'static str),
}

/// A node's tip and the lowest height it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusMessage {
    /// The last decided height.
    pub tip: EngineHeight,
    /// The lowest height that value sync can ask for.
    pub lowest: EngineHeight,
}

/// Encodes a status for peers, with what this node's clock says now; the sender is known by its connection.
pub fn encode_status(status: StatusMessage, clock_ms: u64) -> Bytes {
    encode(&StatusWire { tip: status.tip.ledger(), lowest: status.lowest.ledger(), clock_ms }).into()
}

/// Decodes a peer's status, and what its clock said.
///
/// # Errors
/// When the bytes are no status.
pub fn decode_status(bytes: &[u8]) -> Result<(StatusMessage, u64), CodecError> {
    let StatusWire { tip, lowest, clock_ms } = decode(bytes, 64)?;
    Ok((StatusMessage { tip: tip.into(), lowest: lowest.into() }, clock_ms))
}

/// Encodes "work is waiting for this height".
pub fn encode_work(height: Height) -> Bytes {
    encode(&WorkWire { height }).into()
}

/// Decodes a work notice.
///
/// # Errors
/// When the bytes are none.
pub fn decode_work(bytes: &[u8]) -> Result<Height, CodecError> {
    let WorkWire { height } = decode(bytes, 64)?;
    Ok(height)
}

impl Codec<SignedConsensusMsg<LedgerContext>> for LedgerCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<SignedConsensusMsg<LedgerContext>, CodecError> {
        decode::<wire::Consensus>(&bytes, CONSENSUS_FRAME_BYTES_MAX)?.try_into()
    }

    fn encode(&self, message: &SignedConsensusMsg<LedgerContext>) -> Result<Bytes, CodecError> {
        Ok(encode(&wire::Consensus::from(message)).into())
    }
}

impl Codec<LivenessMsg<LedgerContext>> for LedgerCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<LivenessMsg<LedgerContext>, CodecError> {
        decode::<wire::Liveness>(&bytes, CONSENSUS_FRAME_BYTES_MAX)?.try_into()
    }

    fn encode(&self, message: &LivenessMsg<LedgerContext>) -> Result<Bytes, CodecError> {
        Ok(encode(&wire::Liveness::from(message)).into())
    }
}

impl Codec<ProposedValue<LedgerContext>> for LedgerCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<ProposedValue<LedgerContext>, CodecError> {
        Ok(decode::<wire::Proposed>(&bytes, 256)?.into())
    }

    fn encode(&self, value: &ProposedValue<LedgerContext>) -> Result<Bytes, CodecError> {
        Ok(encode(&wire::Proposed::from(value)).into())
    }
}

impl Codec<engine::PolkaCertificate<LedgerContext>> for LedgerCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<engine::PolkaCertificate<LedgerContext>, CodecError> {
        Ok(decode::<wire::Polka>(&bytes, CONSENSUS_FRAME_BYTES_MAX)?.into())
    }

    fn encode(&self, certificate: &engine::PolkaCertificate<LedgerContext>) -> Result<Bytes, CodecError> {
        Ok(encode(&wire::Polka::from(certificate)).into())
    }
}

impl Codec<sync::Status<LedgerContext>> for LedgerCodec {
    type Error = CodecError;

    fn decode(&self, _bytes: Bytes) -> Result<sync::Status<LedgerContext>, CodecError> {
        Err(CodecError::Rule("a status is told by its connection, see decode_status"))
    }

    fn encode(&self, _status: &sync::Status<LedgerContext>) -> Result<Bytes, CodecError> {
        Err(CodecError::Rule("a status is told with a clock, see encode_status"))
    }
}

impl Codec<sync::Request<LedgerContext>> for LedgerCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<sync::Request<LedgerContext>, CodecError> {
        let Range { first, last } = decode(&bytes, SYNC_REQUEST_BYTES_MAX)?;
        if last < first || last.0 - first.0 >= SYNC_BATCH as u64 {
            return Err(CodecError::Rule("a request asks for no height or for more than SYNC_BATCH"));
        }
        let range = EngineHeight::from(first)..=EngineHeight::from(last);
        Ok(sync::Request::ValueRequest(arc_malachitebft_sync::ValueRequest::new(range)))
    }

    fn encode(&self, request: &sync::Request<LedgerContext>) -> Result<Bytes, CodecError> {
        let sync::Request::ValueRequest(request) = request;
        let range = Range { first: request.range.start().ledger(), last: request.range.end().ledger() };
        Ok(encode(&range).into())
    }
}

/// A response is: start height, number of blocks, then for each the certificate and the block, both with their
/// length in front. Blocks are shared with the buffer that arrived, not copied.
impl Codec<sync::Response<LedgerContext>> for LedgerCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<sync::Response<LedgerContext>, CodecError> {
        let mut rest = bytes;
        let start = u64::from_le_bytes(take(&mut rest, 8)?.as_ref().try_into().map_err(|_| SHORT)?);
        let count = take_length(&mut rest, SYNC_BATCH)?;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            let length = take_length(&mut rest, CERTIFICATE_BYTES_MAX)?;
            let certificate: CommitCertificate = decode(&take(&mut rest, length)?, CERTIFICATE_BYTES_MAX)?;
            // The engine's form has no order, so another one would not be sent on as the bytes that came.
            if !certificate.is_sorted() {
                return Err(CodecError::Rule(
                    "a certificate's signatures are not sorted by validator, one each",
                ));
            }
            let length = take_length(&mut rest, BLOCK_DECODE_BYTES_MAX)?;
            let value_bytes = take(&mut rest, length)?;
            values.push(sync::RawDecidedValue::new(value_bytes, extended_certificate(&certificate)));
        }
        if !rest.is_empty() {
            return Err(CodecError::Rule("bytes are left over after a sync response"));
        }
        let response = arc_malachitebft_sync::ValueResponse::new(EngineHeight(start), values);
        Ok(sync::Response::ValueResponse(response))
    }

    fn encode(&self, response: &sync::Response<LedgerContext>) -> Result<Bytes, CodecError> {
        let sync::Response::ValueResponse(response) = response;
        let mut bytes = BytesMut::new();
        bytes.put_u64_le(response.start_height.0);
        put_length(&mut bytes, response.values.len())?;
        for value in &response.values {
            let certificate = encode(&encodable_certificate(value)?);
            put_length(&mut bytes, certificate.len())?;
            bytes.put_slice(&certificate);
            put_length(&mut bytes, value.value_bytes.len())?;
            bytes.put_slice(&value.value_bytes);
        }
        Ok(bytes.freeze())
    }
}

impl HasEncodedLen<sync::Response<LedgerContext>> for LedgerCodec {
    fn encoded_len(&self, response: &sync::Response<LedgerContext>) -> Result<usize, CodecError> {
        let sync::Response::ValueResponse(response) = response;
        let mut length = 8 + 4;
        for value in &response.values {
            length += 4 + encode(&encodable_certificate(value)?).len() + 4 + value.value_bytes.len();
        }
        Ok(length)
    }
}

fn encodable_certificate(
    value: &sync::RawDecidedValue<LedgerContext>,
) -> Result<CommitCertificate, CodecError> {
    spec_certificate(&value.certificate.trim_vote_extensions())
        .ok_or(CodecError::Rule("a certificate without a round cannot be sent"))
}

const SHORT: CodecError = CodecError::Rule("a sync response ends early");

fn take(rest: &mut Bytes, length: usize) -> Result<Bytes, CodecError> {
    if rest.len() < length { Err(SHORT) } else { Ok(rest.split_to(length)) }
}

fn take_length(rest: &mut Bytes, bound: usize) -> Result<usize, CodecError> {
    let word: [u8; 4] = take(rest, 4)?.as_ref().try_into().map_err(|_| SHORT)?;
    let length = u32::from_le_bytes(word) as usize;
    if length > bound {
        Err(CodecError::Rule("a length in a sync response is over its bound"))
    } else {
        Ok(length)
    }
}

fn put_length(bytes: &mut BytesMut, length: usize) -> Result<(), CodecError> {
    let length = u32::try_from(length).map_err(|_| CodecError::Rule("more than 4 GiB in a sync response"))?;
    bytes.put_u32_le(length);
    Ok(())
}

#[cfg(test)]
mod tests;
