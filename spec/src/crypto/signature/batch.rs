//! Batched verification that agrees with single verification on every item (rules K-6 and K-7).

use super::{PublicKey, Signature, verify};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// One signature to verify: whose it is claimed to be, the signed bytes, the signature.
pub type BatchItem<'a> = (PublicKey, &'a [u8], Signature);

/// What the coefficients of a batch are derived under, apart from every other use of SHA-256 here.
const COEFFICIENT_DOMAIN: &[u8] = b"yilian/batch-coefficients/1";

/// Up to this many items are checked one by one: there a batch saves nothing.
const SINGLE_ITEMS_MAX: usize = 4;

/// After this many bad items the rest is checked one by one. Bisection beats that only while bad items are rare,
/// and whoever fills a batch with bad ones must not make it dearer than verifying each.
const BISECTED_BAD_ITEMS_MAX: usize = 8;

/// Verifies many signatures at once, several times faster than one by one; items under equal keys are merged, so
/// few distinct keys are faster still. The outcome for every item is that of [`verify`](super::verify()).
///
/// Cost, n items: one batch when all are good; with b bad ones at most b·log2(n) further batches of falling size,
/// or, beyond a few bad ones, n single checks.
///
/// # Errors
/// The positions of all items that are not valid, ascending, never empty.
pub fn verify_batch(items: &[BatchItem<'_>]) -> Result<(), Vec<usize>> {
    let mut bad = Vec::new();
    search(items, 0, false, &mut bad);
    if bad.is_empty() { Ok(()) } else { Err(bad) }
}

/// Appends to `bad` the positions of the invalid items. `offset` is the position of the first item;
/// `known_bad` says that at least one is invalid, so that the batch need not be tried.
fn search(items: &[BatchItem<'_>], offset: usize, known_bad: bool, bad: &mut Vec<usize>) {
    if items.len() <= SINGLE_ITEMS_MAX || bad.len() >= BISECTED_BAD_ITEMS_MAX {
        let invalid = |(key, message, signature): &BatchItem<'_>| verify(key, message, signature).is_err();
        bad.extend((offset..).zip(items).filter(|(_, item)| invalid(item)).map(|(position, _)| position));
        return;
    }
    if !known_bad && equation_holds(items) {
        return;
    }
    let found_before = bad.len();
    let (left, right) = items.split_at(items.len() / 2);
    search(left, offset, false, bad);
    let left_is_good = bad.len() == found_before;
    search(right, offset + left.len(), left_is_good, bad);
}

/// The batch equation of ZIP-215: the sum of all single equations, each times a coefficient of 128 bits, times
/// the cofactor. It always holds when every item is valid (rule K-6), and when one is not, it holds with
/// probability 2^-128 (rule K-7).
fn equation_holds(items: &[BatchItem<'_>]) -> bool {
    let mut batch = ed25519_zebra::batch::Verifier::new();
    for (PublicKey::Ed25519(key), message, Signature::Ed25519(signature)) in items {
        let encoded = ed25519_zebra::Signature::from_bytes(signature);
        batch.queue((ed25519_zebra::VerificationKeyBytes::from(*key), encoded, message));
    }
    batch.verify(ChaCha20Rng::from_seed(coefficient_seed(items))).is_ok()
}

/// The seed of the coefficients: a hash of everything in the batch (rule K-7).
///
/// The coefficients need not be secret. What they must be is out of reach of whoever chooses the items: were they
/// known beforehand, two bad items could be made to cancel out. Here they depend on every byte of every item, so
/// they are fixed only after the items are; whoever changes an item to suit them gets others. Each attempt is
/// one draw at 2^-128, and the attempts are hashes, as in the Fiat-Shamir construction. In exchange
/// for a source of randomness, verification is a function of its input, and the same on every node and run.
fn coefficient_seed(items: &[BatchItem<'_>]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(COEFFICIENT_DOMAIN);
    hash.update((items.len() as u64).to_le_bytes());
    for (PublicKey::Ed25519(key), message, Signature::Ed25519(signature)) in items {
        hash.update(key);
        hash.update(signature);
        hash.update((message.len() as u64).to_le_bytes());
        hash.update(message);
    }
    hash.finalize().into()
}
