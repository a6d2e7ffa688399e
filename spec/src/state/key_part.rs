//! The parts of a row's key (rule R-2): hashes as 32 bytes, public keys as they are encoded, a slug as its text and a zero
//! byte, numbers big endian.
//!
//! Slugs contain no zero byte, so no part is the beginning of another, a key can be read back, and rows that belong
//! together lie together in a database that sorts by bytes.

use crate::base::codec;
use crate::base::id::{
    AgreementId, Commitment, DisclosureId, GrantId, InstitutionId, ReferralId, ServiceCode, ServiceId,
    SubjectTag,
};
use crate::crypto::signature::PublicKey;

/// A part of a row's key.
pub trait KeyPart: Sized {
    /// What the written protocol calls it.
    const NAME: &'static str;

    /// Appends the part's bytes.
    fn write(&self, bytes: &mut Vec<u8>);

    /// Takes the part from the front of `bytes`; `None` where they do not begin with one.
    fn take(bytes: &mut &[u8]) -> Option<Self>;
}

/// Takes a fixed number of bytes from the front.
fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*array)
}

macro_rules! plain_parts {
    ($($part:ident $name:literal)*) => {$(
        impl KeyPart for $part {
            const NAME: &'static str = $name;

            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.0);
            }

            fn take(bytes: &mut &[u8]) -> Option<Self> {
                take_array(bytes).map(Self)
            }
        }
    )*};
}

plain_parts! {
    SubjectTag "subject tag"
    GrantId "grant"
    DisclosureId "disclosure"
    ReferralId "referral"
    ServiceId "service record"
    AgreementId "agreement"
    Commitment "commitment"
}

impl KeyPart for PublicKey {
    const NAME: &'static str = "public key";

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(codec::encode(self));
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let encoded = take_array::<{ Self::ENCODED_BYTES }>(bytes)?;
        codec::decode(&encoded, encoded.len()).ok()
    }
}

macro_rules! slug_parts {
    ($($part:ident $name:literal)*) => {$(
        impl KeyPart for $part {
            const NAME: &'static str = $name;

            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(self.as_str().as_bytes());
                bytes.push(0);
            }

            fn take(bytes: &mut &[u8]) -> Option<Self> {
                let length = bytes.iter().position(|byte| *byte == 0)?;
                let slug = std::str::from_utf8(&bytes[..length]).ok()?.parse().ok()?;
                *bytes = &bytes[length + 1..];
                Some(slug)
            }
        }
    )*};
}

slug_parts! {
    InstitutionId "institution"
    ServiceCode "service"
}

macro_rules! number_parts {
    ($($part:ident $name:literal)*) => {$(
        impl KeyPart for $part {
            const NAME: &'static str = $name;

            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_be_bytes());
            }

            fn take(bytes: &mut &[u8]) -> Option<Self> {
                take_array(bytes).map(Self::from_be_bytes)
            }
        }
    )*};
}

number_parts! {
    u8 "level (u8)"
    u32 "period (u32)"
    u64 "index (u64)"
}
