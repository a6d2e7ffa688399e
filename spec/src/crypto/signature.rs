//! Signatures: Ed25519 under the one validity rule of ZIP-215, the same for single and batched verification.
//!
//! RFC 8032 leaves open whether the verification equation is multiplied by the cofactor and which point
//! encodings are accepted, so two correct verifiers may disagree about a crafted signature, and one verifier's
//! batch may disagree with its own single check. Nodes that disagree fork. The rule here, written out in
//! `spec/protocol/02-signatures.md` (rules K-1 to K-13), closes every one of those choices.
//!
//! - [`PublicKey`], [`Signature`]: plain bytes with an encoding, an order and a text form; any bytes may occur.
//! - [`SecretKey`]: signs, and is wiped when dropped.
//! - [`verify`], [`verify_batch`]: rules K-2 to K-7.
//! - [`PublicKey::check_registrable`]: the stricter rule for a key that enters the ledger, K-8 to K-11.
//! - [`signing_bytes`]: what a signature of this project is made over, K-1.

mod batch;
mod text;
mod workload;

pub use batch::{BatchItem, verify_batch};
pub use text::HexError;
pub use workload::Workload;

use ed25519_dalek::Signer as _;
use wincode::{SchemaRead, SchemaWrite};
use zeroize::Zeroizing;

/// Most bytes of a domain string in [`signing_bytes`].
///
/// Below 0x65, the byte `e` with which every JSON Web Token starts, and 0x6e, the `n` of the transport's
/// handshake payload: neither can be mistaken for a message of the ledger, whose first byte is this length.
pub const DOMAIN_BYTES_MAX: usize = 64;

/// The order of the prime-order subgroup, 2^252 + 27742317777372353535851937790883648493, little endian
/// (RFC 8032, section 5.1).
const GROUP_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// A public key by its algorithm (rule K-13), so that another algorithm can come without another format.
///
/// Encoding: the algorithm's number in one byte, then the key as the algorithm encodes it. Text form: the same in lower-case
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, SchemaRead, SchemaWrite)]
#[wincode(tag_encoding = "u8")]
pub enum PublicKey {
    /// 32 bytes, which need not be a point of the curve.
    #[wincode(tag = 1)]
    Ed25519([u8; 32]),
}

/// A signature by its algorithm, which is that of the key (rule K-13).
///
/// Encoding and text form as those of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, SchemaRead, SchemaWrite)]
#[wincode(tag_encoding = "u8")]
pub enum Signature {
    /// 32 bytes of the point R, then 32 bytes of the scalar S.
    #[wincode(tag = 1)]
    Ed25519([u8; 64]),
}

impl PublicKey {
    /// Bytes of an encoded key.
    pub const ENCODED_BYTES: usize = 1 + 32;

    /// The key as Ed25519 encodes it, for what knows no other algorithm: tokens, the transport.
    pub fn ed25519_bytes(&self) -> &[u8; 32] {
        let Self::Ed25519(bytes) = self;
        bytes
    }
}

impl Signature {
    /// Bytes of an encoded signature.
    pub const ENCODED_BYTES: usize = 1 + 64;

    /// The signature as Ed25519 encodes it.
    pub fn ed25519_bytes(&self) -> &[u8; 64] {
        let Self::Ed25519(bytes) = self;
        bytes
    }
}

text::hex_text!(
    PublicKey,
    "^01[0-9a-f]{64}$",
    "A public key: the number of its algorithm (01: Ed25519), and the key"
);
text::hex_text!(
    Signature,
    "^01[0-9a-f]{128}$",
    "A signature: the number of its algorithm (01: Ed25519), and the signature"
);

/// Why a signature is refused; one variant for each rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Rule K-2.
    #[error("the public key does not encode a point of the curve (rule K-2)")]
    KeyNotOnCurve,
    /// Rule K-3.
    #[error("the first half of the signature, R, does not encode a point of the curve (rule K-3)")]
    CommitmentNotOnCurve,
    /// Rule K-4.
    #[error("the second half of the signature, S, is not below the group order (rule K-4)")]
    ScalarOutOfRange,
    /// Rule K-5.
    #[error("the signature does not match this key and message (rule K-5): check chain id, domain and key")]
    Mismatch,
}

/// Why a public key may not be registered; one variant for each rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Rule K-8.
    #[error("the public key is not in its canonical encoding (rule K-8): generate a new key pair")]
    NonCanonical,
    /// Rule K-9.
    #[error(
        "the public key does not encode a point of the curve (rule K-9): check that it was copied right, or generate a new key pair"
    )]
    NotOnCurve,
    /// Rule K-10.
    #[error("the public key has small order, anyone can sign for it (rule K-10): generate a new key pair")]
    SmallOrder,
    /// Rule K-11.
    #[error(
        "the public key has a component of small order (rule K-11): check that it was copied right, or generate a new key pair"
    )]
    MixedOrder,
}

impl PublicKey {
    /// Checks that this key may enter the ledger: canonical encoding (K-8), on the curve (K-9), not of small
    /// order (K-10), of prime order (K-11).
    ///
    /// Verification accepts more than this, so that batch and single agree on every input; registration is where
    /// odd keys are kept out. A key made by RFC 8032's key generation always passes.
    ///
    /// # Errors
    /// The first of the four rules that fails.
    pub fn check_registrable(&self) -> Result<(), KeyError> {
        let Self::Ed25519(bytes) = self;
        if !y_below_field_prime(bytes) {
            return Err(KeyError::NonCanonical);
        }
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotOnCurve)?;
        let point = key.to_edwards();
        // Encodes again with the sign bit of x, so that "minus zero" shows.
        if point.compress().to_bytes() != *bytes {
            return Err(KeyError::NonCanonical);
        }
        if point.is_small_order() {
            return Err(KeyError::SmallOrder);
        }
        if !point.is_torsion_free() {
            return Err(KeyError::MixedOrder);
        }
        Ok(())
    }
}

/// An Ed25519 secret key. Wiped from memory when dropped; `Debug` shows only the public half.
///
/// Holds the public key beside the secret and never takes one from a caller: signing with a public key that is
/// not one's own gives the secret away (RUSTSEC-2022-0093).
#[derive(Clone)]
pub struct SecretKey(ed25519_dalek::SigningKey);

impl SecretKey {
    /// The key pair that RFC 8032 derives from a seed of 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The seed, for writing the key to an encrypted file. Wiped when dropped.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::Ed25519(self.0.verifying_key().to_bytes())
    }

    /// Signs a message as RFC 8032 does, deterministically. The message is the output of [`signing_bytes`]
    /// or an API token's signing input, never bytes that somebody else chose.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature::Ed25519(self.0.sign(message).to_bytes())
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SecretKey(of {})", self.public_key())
    }
}

/// Verifies one signature: rules K-2 to K-5, that is, ZIP-215. About 50 µs; see [`verify_batch`] for many.
///
/// # Errors
/// The first of the rules that fails.
pub fn verify(key: &PublicKey, message: &[u8], signature: &Signature) -> Result<(), SignatureError> {
    let (PublicKey::Ed25519(key), Signature::Ed25519(signature)) = (key, signature);
    let verifying =
        ed25519_zebra::VerificationKey::try_from(*key).map_err(|_| SignatureError::KeyNotOnCurve)?;
    let encoded = ed25519_zebra::Signature::from_bytes(signature);
    verifying.verify(&encoded, message).map_err(|_| refusal(signature))
}

/// Names the rule by which a signature under a decodable key failed. Off the common path.
fn refusal(signature: &[u8; 64]) -> SignatureError {
    let (commitment, scalar) = signature.split_at(32);
    let on_curve = ed25519_zebra::VerificationKey::try_from(commitment).is_ok();
    if !on_curve {
        SignatureError::CommitmentNotOnCurve
    } else if !scalar.iter().rev().lt(GROUP_ORDER.iter().rev()) {
        SignatureError::ScalarOutOfRange
    } else {
        SignatureError::Mismatch
    }
}

/// Whether the y coordinate of an encoded point, its low 255 bits, is below 2^255 - 19.
fn y_below_field_prime(encoded: &[u8; 32]) -> bool {
    let all_ones_above = encoded[1..31].iter().all(|byte| *byte == 0xff) && encoded[31] & 0x7f == 0x7f;
    !(all_ones_above && encoded[0] >= 0xed)
}

/// What a signature of this project is made over (rule K-1): the length of the domain in one byte, the domain,
/// the 32 bytes of the chain id, the body.
///
/// The length and the fixed size of the chain id make it unambiguous: no two triples give the same bytes. So a
/// signature for one purpose or one chain never counts for another. `domain` names the purpose and the version of
/// its body's format, such as `yilian/prevote/1`. [`crate::base::codec::signing_bytes`] gives the same form for the ledger's
/// own statements, whose encoding holds the chain id.
///
/// # Panics
/// When the domain is empty, longer than [`DOMAIN_BYTES_MAX`] or not printable ASCII. It is a constant of the
/// program, so this is a mistake of its author, not of an input.
pub fn signing_bytes(domain: &'static str, chain_id: &[u8; 32], body: &[u8]) -> Vec<u8> {
    assert!(
        (1..=DOMAIN_BYTES_MAX).contains(&domain.len()) && domain.bytes().all(|byte| byte.is_ascii_graphic()),
        "a signing domain has 1 to {DOMAIN_BYTES_MAX} printable ASCII characters, this is {domain:?}"
    );
    let length = u8::try_from(domain.len()).expect("DOMAIN_BYTES_MAX is below 256");
    let mut bytes = Vec::with_capacity(1 + domain.len() + chain_id.len() + body.len());
    bytes.push(length);
    bytes.extend_from_slice(domain.as_bytes());
    bytes.extend_from_slice(chain_id);
    bytes.extend_from_slice(body);
    bytes
}
