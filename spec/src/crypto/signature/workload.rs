//! A fixed set of valid signatures to measure verification with. It reads no clock: whoever measures does.

use super::{BatchItem, PublicKey, SecretKey, Signature, verify, verify_batch};

/// Bytes of each message, about those of a transaction with one operation.
const MESSAGE_BYTES: usize = 256;

/// Signatures by a given number of distinct keys over distinct messages, the same on every run.
///
/// Used by the benchmark of this crate and by the load benchmark, which gives its rates as a share of what the
/// machine can verify. Time [`Workload::verify_singly`] and [`Workload::verify_batched`] and divide by
/// [`Workload::len`].
pub struct Workload {
    signed: Vec<(PublicKey, Vec<u8>, Signature)>,
}

impl Workload {
    /// Signs `signatures` messages with `keys` keys in turn (at least one). Signing takes about 20 µs each.
    pub fn new(signatures: usize, keys: usize) -> Self {
        let secrets: Vec<SecretKey> = (0..keys.max(1)).map(numbered_key).collect();
        let signed = secrets
            .iter()
            .cycle()
            .take(signatures)
            .enumerate()
            .map(|(number, secret)| {
                let mut message = vec![0x5a; MESSAGE_BYTES];
                message[..8].copy_from_slice(&(number as u64).to_le_bytes());
                let signature = secret.sign(&message);
                (secret.public_key(), message, signature)
            })
            .collect();
        Self { signed }
    }

    /// How many signatures there are.
    pub fn len(&self) -> usize {
        self.signed.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.signed.is_empty()
    }

    /// The signatures, as [`verify_batch`] takes them.
    pub fn items(&self) -> Vec<BatchItem<'_>> {
        self.signed.iter().map(|(key, message, signature)| (*key, message.as_slice(), *signature)).collect()
    }

    /// Verifies each signature by itself; how many were valid (all, unless the code is broken).
    pub fn verify_singly(&self) -> usize {
        self.signed.iter().filter(|(key, message, signature)| verify(key, message, signature).is_ok()).count()
    }

    /// Verifies all in one batch; how many were valid (all, unless the code is broken).
    pub fn verify_batched(&self) -> usize {
        let bad = verify_batch(&self.items()).err().map_or(0, |positions| positions.len());
        self.signed.len() - bad
    }
}

/// A key pair for measuring; its seed is public.
fn numbered_key(number: usize) -> SecretKey {
    let mut seed = [0x42; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    SecretKey::from_seed(&seed)
}
