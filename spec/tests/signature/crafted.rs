//! Signatures crafted to split verifiers, in mixed batches: single, batched and the written rule agree on every one.
//!
//! Keys and commitments are made as `a·B + t·T`, T a point of order 8, so the written rule's verdict on a signature
//! follows from its recipe: with S = r + k·a + e, ZIP-215 accepts exactly when e is 0 modulo the group's order, S is
//! below it, and both points decode, whatever the torsion t. Plain arithmetic confirms the recipe on some of them.
//!
//! `YILIAN_FORGERIES`, with which `make forge` sets the number of forged proofs, sets the number of these, too.

use num_bigint::BigUint;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use yilian_spec::crypto::signature::{BatchItem, PublicKey, SecretKey, Signature, verify, verify_batch};

use crate::curve::{self, Point, challenge};

/// Signatures, where the environment gives no number of forgeries.
const SIGNATURES: usize = 6_000;
/// Forged proofs for each crafted signature.
const FORGERIES_PER_SIGNATURE: usize = 500;
/// One in so many is also judged by plain arithmetic, which takes milliseconds.
const PLAIN_EVERY: usize = 400;

/// Encodings of the points of small order, also those that are not canonical (ZIP-215's test vectors list them).
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

/// An encoded point whose prime-order part is known: a multiple of the base point.
struct Known {
    encoded: [u8; 32],
    scalar: BigUint,
}

/// One crafted signature and the written rule's verdict on it.
#[derive(Clone)]
struct Crafted {
    key: PublicKey,
    message: Vec<u8>,
    signature: Signature,
    is_valid: bool,
}

struct Workshop {
    points: Vec<Known>,
    off_curve: Vec<[u8; 32]>,
    draws: ChaCha8Rng,
}

impl Workshop {
    fn new() -> Self {
        let decode =
            |text: &str| -> [u8; 32] { hex::decode(text).expect("hex").try_into().expect("32 bytes") };
        let small = SMALL_ORDER.map(decode);
        let torsion = Point::decode(&small[10]).expect("the point of order 8 is on the curve");
        let mut points: Vec<Known> =
            small.iter().map(|encoded| Known { encoded: *encoded, scalar: BigUint::ZERO }).collect();
        for number in 0..6u8 {
            let scalar = challenge(&[number], &[number; 32], b"a known scalar");
            let prime = Point::base().multiply(&scalar);
            for times in 0..8u8 {
                let encoded = prime.add(&torsion.multiply(&BigUint::from(times))).encode();
                points.push(Known { encoded, scalar: scalar.clone() });
            }
        }
        let off_curve =
            (0..=255u8).map(|byte| [byte; 32]).filter(|bytes| Point::decode(bytes).is_none()).collect();
        Self { points, off_curve, draws: ChaCha8Rng::seed_from_u64(0x5eed) }
    }

    fn below(&mut self, end: usize) -> usize {
        self.draws.next_u32() as usize % end
    }

    /// A signature that holds but for an error added to S.
    fn craft(&mut self, key: usize, commitment: usize, message: Vec<u8>, error: &BigUint) -> Crafted {
        let (key, commitment) = (&self.points[key], &self.points[commitment]);
        let k = challenge(&commitment.encoded, &key.encoded, &message);
        let s = (&commitment.scalar + k * &key.scalar + error) % curve::order();
        let signature = signature(&commitment.encoded, &s);
        let is_valid = error % curve::order() == BigUint::ZERO;
        Crafted { key: PublicKey::Ed25519(key.encoded), message, signature, is_valid }
    }

    fn any(&mut self, error: &BigUint) -> Crafted {
        let (key, commitment) = (self.below(self.points.len()), self.below(self.points.len()));
        let message = self.draws.next_u32().to_le_bytes()[..self.draws.next_u32() as usize % 5].to_vec();
        self.craft(key, commitment, message, error)
    }

    /// A scalar for an error: small, a power of two, random, or close below the order.
    fn error(&mut self) -> BigUint {
        match self.below(4) {
            0 => BigUint::from(1 + self.below(9)),
            1 => BigUint::from(1u8) << self.below(252),
            2 => BigUint::from(self.draws.next_u64()) + 1u8,
            _ => curve::order() - (1 + self.below(9)),
        }
    }

    /// Adds what one attack on batches would add.
    fn add_to(&mut self, batch: &mut Vec<Crafted>) {
        match self.below(10) {
            // Errors that cancel where coefficients are equal, or left out.
            0 => {
                let error = self.error();
                let opposite = curve::order() - &error % curve::order();
                batch.extend([self.any(&error), self.any(&opposite)]);
            }
            // The same under one key and commitment, and three that cancel together.
            1 => {
                let (key, commitment) = (self.below(self.points.len()), self.below(self.points.len()));
                let (one, two) = (self.error(), self.error());
                let three = 3u8 * curve::order() - &one - &two;
                for (number, error) in [one, two, three].iter().enumerate() {
                    batch.push(self.craft(key, commitment, vec![number as u8], error));
                }
            }
            // S at or above the order: the same scalar, another encoding.
            2 => {
                let mut crafted = self.any(&BigUint::ZERO);
                let s = BigUint::from_bytes_le(&crafted.signature.ed25519_bytes()[32..]) + curve::order();
                let commitment = crafted.signature.ed25519_bytes().first_chunk().expect("half of 64 bytes");
                crafted.signature = signature(commitment, &s);
                crafted.is_valid = false;
                batch.push(crafted);
            }
            // A key or a commitment that is no point.
            3 => {
                let mut crafted = self.any(&BigUint::ZERO);
                let place = self.below(self.off_curve.len());
                let bytes = self.off_curve[place];
                if self.below(2) == 0 {
                    crafted.key = PublicKey::Ed25519(bytes);
                } else {
                    let Signature::Ed25519(signature) = &mut crafted.signature;
                    signature[..32].copy_from_slice(&bytes);
                }
                crafted.is_valid = false;
                batch.push(crafted);
            }
            // Twice the same, good or bad.
            4 if !batch.is_empty() => {
                let again = batch[self.below(batch.len())].clone();
                batch.push(again);
            }
            // An honest one as any gateway makes it.
            5 => {
                let secret = SecretKey::from_seed(&[self.below(3) as u8; 32]);
                let message = self.draws.next_u64().to_le_bytes().to_vec();
                let signature = secret.sign(&message);
                batch.push(Crafted { key: secret.public_key(), message, signature, is_valid: true });
            }
            6 => {
                let error = self.error();
                batch.push(self.any(&error));
            }
            _ => batch.push(self.any(&BigUint::ZERO)),
        }
    }
}

fn signature(commitment: &[u8; 32], s: &BigUint) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(commitment);
    let s = s.to_bytes_le();
    bytes[32..32 + s.len()].copy_from_slice(&s);
    Signature::Ed25519(bytes)
}

/// What batched verification says, checked against single verification and the recipe, item by item.
fn assert_agreement(batch: &[Crafted]) {
    let items: Vec<BatchItem<'_>> =
        batch.iter().map(|item| (item.key, item.message.as_slice(), item.signature)).collect();
    let refused = verify_batch(&items).err().unwrap_or_default();
    for (position, item) in batch.iter().enumerate() {
        let shown = || format!("{} {} {}", item.key, hex::encode(&item.message), item.signature);
        let single = verify(&item.key, &item.message, &item.signature);
        assert_eq!(single.is_ok(), item.is_valid, "single and written rule differ: {}", shown());
        assert_eq!(!refused.contains(&position), item.is_valid, "batch and written rule differ: {}", shown());
    }
}

#[test]
fn k6_k7_nothing_crafted_splits_single_batched_and_written_rule() {
    let count = match std::env::var("YILIAN_FORGERIES") {
        Ok(text) => {
            text.parse::<usize>().expect("the number of forgeries is a number") / FORGERIES_PER_SIGNATURE
        }
        Err(_) => SIGNATURES,
    };
    let mut workshop = Workshop::new();
    let (mut tried, mut valid, mut plain) = (0usize, 0usize, 0usize);
    while tried < count {
        let mut batch = Vec::new();
        let length = 1 + workshop.below(48);
        while batch.len() < length {
            workshop.add_to(&mut batch);
        }
        assert_agreement(&batch);
        // In another order, and cut in two at another place, nothing changes.
        batch.reverse();
        let turn = workshop.below(batch.len());
        batch.rotate_left(turn);
        let (left, right) = batch.split_at(turn);
        assert_agreement(left);
        assert_agreement(right);
        if tried / PLAIN_EVERY != (tried + batch.len()) / PLAIN_EVERY {
            let item = &batch[workshop.below(batch.len())];
            let written = curve::zip215_accepts(
                item.key.ed25519_bytes(),
                &item.message,
                item.signature.ed25519_bytes(),
            );
            assert_eq!(written, item.is_valid, "the recipe is wrong about {} {}", item.key, item.signature);
            plain += 1;
        }
        tried += batch.len();
        valid += batch.iter().filter(|item| item.is_valid).count();
    }
    println!("{tried} crafted signatures, {valid} of them valid, {plain} also judged by plain arithmetic");
    assert!((tried / 5..tried * 4 / 5 + 5).contains(&valid), "{valid} of {tried} are valid: one-sided");
}
