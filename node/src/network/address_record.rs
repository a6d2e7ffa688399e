//! A node's address as a signed record of its own, which peers pass on: two nodes that both moved find each other again.
//!
//! Pure. The signature is of the node's key on the network over `yilian/address/v1`, the chain id, and the encoding of the
//! other fields; whoever holds a record can check it without asking anybody. What to do with it is for the
//! [`super::address_book`].

use bytes::Bytes;
use wincode::{SchemaRead, SchemaWrite};
use yilian_spec::base::codec::{self, DecodeError};
use yilian_spec::base::id::ChainId;
use yilian_spec::crypto::signature::{self, PublicKey, Signature, SignatureError, signing_bytes};

use super::NodeIdentity;
use super::dial_address::DialAddress;
use super::limits::{ADDRESS_FRAME_BYTES_MAX, ADDRESS_FRAME_RECORDS_MAX, ADDRESSES_MAX};

/// Where a node says that it can be dialled.
#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct AddressRecord {
    body: Body,
    signature: Signature,
}

#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
struct Body {
    key: PublicKey,
    sequence_ms: u64,
    addresses: Vec<DialAddress>,
}

/// Why a record is no node's word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It names too many addresses.
    #[error("{count} addresses; the bound is {ADDRESSES_MAX}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// One of them can be nobody's.
    #[error("{0} is no address that could be dialled")]
    NotDialable(DialAddress),
    /// Its key did not sign it, or not for this ledger.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl AddressRecord {
    /// Signs where a node can be dialled; without addresses it takes back what an earlier record said.
    pub fn sign(
        identity: &NodeIdentity,
        chain_id: ChainId,
        sequence_ms: u64,
        addresses: Vec<DialAddress>,
    ) -> Self {
        let body = Body { key: identity.public_key(), sequence_ms, addresses };
        let signature = identity.sign(&body.signing_bytes(chain_id));
        Self { body, signature }
    }

    /// Whether its key has said this on this ledger. About 50 µs.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn verify(&self, chain_id: ChainId) -> Result<(), RecordError> {
        let addresses = self.addresses();
        if addresses.len() > ADDRESSES_MAX {
            return Err(RecordError::TooMany { count: addresses.len() });
        }
        if let Some(address) = addresses.iter().find(|address| !address.is_dialable()) {
            return Err(RecordError::NotDialable(address.clone()));
        }
        Ok(signature::verify(&self.body.key, &self.body.signing_bytes(chain_id), &self.signature)?)
    }

    /// The node's key on the network.
    pub const fn key(&self) -> PublicKey {
        self.body.key
    }

    /// What its clock said when it signed, in milliseconds since 1970, or a little more: of two records the greater counts.
    pub const fn sequence_ms(&self) -> u64 {
        self.body.sequence_ms
    }

    /// Where it can be dialled.
    pub fn addresses(&self) -> &[DialAddress] {
        &self.body.addresses
    }
}

impl Body {
    fn signing_bytes(&self, chain_id: ChainId) -> Vec<u8> {
        signing_bytes("yilian/address/v1", &chain_id.0, &codec::encode(self))
    }
}

/// Records as frames for a peer.
pub fn frames<'a>(records: impl Iterator<Item = &'a AddressRecord>) -> Vec<Bytes> {
    let encoded: Vec<Vec<u8>> = records.map(codec::encode).collect();
    let frame = |records: &[Vec<u8>]| {
        let mut bytes = Vec::new();
        codec::append_list(&mut bytes, records.iter().map(Vec::as_slice));
        bytes.into()
    };
    encoded.chunks(ADDRESS_FRAME_RECORDS_MAX).map(frame).collect()
}

/// The records in a peer's frame, none of them verified.
///
/// # Errors
/// When it holds something else, or too much.
pub fn decode_frame(payload: &[u8]) -> Result<Vec<AddressRecord>, DecodeError> {
    let records: Vec<AddressRecord> = codec::decode(payload, ADDRESS_FRAME_BYTES_MAX)?;
    if records.len() > ADDRESS_FRAME_RECORDS_MAX {
        return Err(DecodeError::TooLong { length: records.len(), limit: ADDRESS_FRAME_RECORDS_MAX });
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::super::limits::{ADDRESS_RECORD_BYTES_MAX, NAME_BYTES_MAX};
    use super::*;

    const CHAIN: ChainId = ChainId([7; 32]);

    fn record(addresses: &[&str]) -> AddressRecord {
        let identity = NodeIdentity::from_ed25519_seed([1; 32]).unwrap();
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        AddressRecord::sign(&identity, CHAIN, 1_000, addresses)
    }

    #[test]
    fn a_record_counts_as_it_was_signed_and_on_its_own_ledger_alone() {
        let record = record(&["10.0.0.7:26600", "node.example:26600"]);
        assert_eq!(record.verify(CHAIN), Ok(()));
        let mismatch = Err(RecordError::Signature(SignatureError::Mismatch));
        assert_eq!(record.verify(ChainId([8; 32])), mismatch);
        let mut later = record.clone();
        later.body.sequence_ms += 1;
        assert_eq!(later.verify(CHAIN), mismatch);
        let mut elsewhere = record.clone();
        elsewhere.body.addresses[0] = "10.0.0.8:26600".parse().unwrap();
        assert_eq!(elsewhere.verify(CHAIN), mismatch);
        let mut of_another = record;
        of_another.body.key = NodeIdentity::from_ed25519_seed([2; 32]).unwrap().public_key();
        assert_eq!(of_another.verify(CHAIN), mismatch);
    }

    #[test]
    fn what_nobody_can_dial_is_refused_even_when_it_is_signed() {
        assert!(matches!(record(&["10.0.0.7:1"; 5]).verify(CHAIN), Err(RecordError::TooMany { count: 5 })));
        let identity = NodeIdentity::from_ed25519_seed([1; 32]).unwrap();
        let nowhere = DialAddress::of(([0, 0, 0, 0], 26_600).into());
        let record = AddressRecord::sign(&identity, CHAIN, 1_000, vec![nowhere.clone()]);
        assert_eq!(record.verify(CHAIN), Err(RecordError::NotDialable(nowhere)));
    }

    #[test]
    fn frames_read_back_and_the_longest_record_fits() {
        let label = "a".repeat(63);
        let name = [label.as_str(); 4].join(".");
        let name = format!("{}:26600", &name[..NAME_BYTES_MAX]);
        let longest = record(&[name.as_str(); ADDRESSES_MAX]);
        assert_eq!(codec::encode(&longest).len(), ADDRESS_RECORD_BYTES_MAX);
        let many = vec![longest; ADDRESS_FRAME_RECORDS_MAX + 1];
        let frames = frames(many.iter());
        let read: Vec<usize> = frames.iter().map(|frame| decode_frame(frame).unwrap().len()).collect();
        assert_eq!(read, [ADDRESS_FRAME_RECORDS_MAX, 1]);
        assert!(decode_frame(&codec::encode(&vec![record(&[]); ADDRESS_FRAME_RECORDS_MAX + 1])).is_err());
        assert!(decode_frame(b"let me in").is_err());
    }
}
