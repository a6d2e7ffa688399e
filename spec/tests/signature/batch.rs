//! Batches of crafted and of random signatures: whatever is in a batch, each item fares as it does alone.

use crate::curve::{self, Point};
use num_bigint::BigUint;
use proptest::prelude::*;
use yilian_spec::crypto::signature::{
    BatchItem, PublicKey, SecretKey, Signature, SignatureError, verify, verify_batch,
};

type Signed = (PublicKey, Vec<u8>, Signature);

fn items(signed: &[Signed]) -> Vec<BatchItem<'_>> {
    signed.iter().map(|(key, message, signature)| (*key, message.as_slice(), *signature)).collect()
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn signed(number: u8, message: &[u8]) -> Signed {
    (key(number).public_key(), message.to_vec(), key(number).sign(message))
}

/// The positions that single verification refuses.
fn refused_singly(items: &[BatchItem<'_>]) -> Vec<usize> {
    (0..items.len()).filter(|i| verify(&items[*i].0, items[*i].1, &items[*i].2).is_err()).collect()
}

fn refused_in_batch(items: &[BatchItem<'_>]) -> Vec<usize> {
    verify_batch(items).err().unwrap_or_default()
}

/// A point of order 8.
fn torsion() -> Point {
    let encoded =
        hex::decode("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05").expect("hex");
    Point::decode(&encoded.try_into().expect("32 bytes")).expect("on the curve")
}

fn scalar_bytes(scalar: &BigUint) -> [u8; 32] {
    let mut bytes = scalar.to_bytes_le();
    bytes.resize(32, 0);
    bytes.try_into().expect("a scalar has at most 32 bytes")
}

/// A signature whose key and commitment carry multiples of a point of order 8, and which holds but for those.
fn with_torsion(key_torsion: u8, commitment_torsion: u8, message: &[u8]) -> Signed {
    let (secret, nonce) = (BigUint::from(0x1234_5678_9abc_def1u64), BigUint::from(0xfeed_beef_0000_0001u64));
    let tainted = |scalar: &BigUint, times: u8| {
        Point::base().multiply(scalar).add(&torsion().multiply(&BigUint::from(times))).encode()
    };
    let (key, commitment) = (tainted(&secret, key_torsion), tainted(&nonce, commitment_torsion));
    let response = (nonce + curve::challenge(&commitment, &key, message) * secret) % curve::order();
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&commitment);
    signature[32..].copy_from_slice(&scalar_bytes(&response));
    (PublicKey::Ed25519(key), message.to_vec(), Signature::Ed25519(signature))
}

fn bytes_mut(signature: &mut Signature) -> &mut [u8; 64] {
    let Signature::Ed25519(bytes) = signature;
    bytes
}

/// Adds to S, modulo the order.
fn shifted(signature: &Signature, by: &BigUint) -> Signature {
    let mut bytes = *signature.ed25519_bytes();
    let s = (BigUint::from_bytes_le(&bytes[32..]) + by) % curve::order();
    bytes[32..].copy_from_slice(&scalar_bytes(&s));
    Signature::Ed25519(bytes)
}

#[test]
fn k6_torsion_that_splits_a_verifier_without_cofactor_changes_nothing_here() {
    // A verifier without the cofactor refuses most of these singly and accepts some sums of them in a batch.
    let crafted: Vec<Signed> =
        (0..8).flat_map(|a| (0..8).map(move |r| with_torsion(a, r, &[a, r]))).collect();
    for (key, message, signature) in &crafted {
        assert!(curve::zip215_accepts(key.ed25519_bytes(), message, signature.ed25519_bytes()));
    }
    let items = items(&crafted);
    assert_eq!(refused_singly(&items), Vec::<usize>::new());
    assert_eq!(verify_batch(&items), Ok(()));
    for pair in items.chunks(2) {
        assert_eq!(verify_batch(&pair.repeat(5)), Ok(()));
    }
}

#[test]
fn k7_errors_that_cancel_in_an_unweighted_sum_are_found() {
    let mut signed: Vec<Signed> = (0..32).map(|number| signed(number % 3, &[number])).collect();
    let delta = BigUint::from(7u8);
    signed[4].2 = shifted(&signed[4].2, &delta);
    signed[19].2 = shifted(&signed[19].2, &(curve::order() - delta));
    assert_eq!(verify_batch(&items(&signed)), Err(vec![4, 19]));
}

#[test]
fn k7_two_messages_exchanged_under_one_key_are_found() {
    let mut signed: Vec<Signed> = (0..16).map(|number| signed(1, &[number])).collect();
    let (left, right) = (signed[2].2, signed[11].2);
    (signed[2].2, signed[11].2) = (right, left);
    assert_eq!(verify_batch(&items(&signed)), Err(vec![2, 11]));
}

#[test]
fn each_rule_has_its_error() {
    let (key, message, good) = signed(9, b"message");
    assert_eq!(verify(&key, &message, &good), Ok(()));
    assert_eq!(verify(&key, b"another", &good), Err(SignatureError::Mismatch));
    // y = 2 is on no point of the curve.
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    assert!(Point::decode(&off_curve).is_none());
    assert_eq!(verify(&PublicKey::Ed25519(off_curve), &message, &good), Err(SignatureError::KeyNotOnCurve));
    let mut bad = good;
    bytes_mut(&mut bad)[..32].copy_from_slice(&off_curve);
    assert_eq!(verify(&key, &message, &bad), Err(SignatureError::CommitmentNotOnCurve));
    let mut malleable = good;
    let s = BigUint::from_bytes_le(&good.ed25519_bytes()[32..]) + curve::order();
    bytes_mut(&mut malleable)[32..].copy_from_slice(&scalar_bytes(&s));
    assert_eq!(verify(&key, &message, &malleable), Err(SignatureError::ScalarOutOfRange));
    let mut order = good;
    bytes_mut(&mut order)[32..].copy_from_slice(&scalar_bytes(&curve::order()));
    assert_eq!(verify(&key, &message, &order), Err(SignatureError::ScalarOutOfRange));
    assert_eq!(verify_batch(&[]), Ok(()));
}

#[test]
fn k6_many_bad_items_of_every_kind_are_all_found() {
    let mut signed: Vec<Signed> = (0..200u8).map(|number| signed(number % 7, &[number])).collect();
    for position in (0..200).step_by(3) {
        match position % 4 {
            0 => signed[position].0 = PublicKey::Ed25519([2; 32]),
            1 => signed[position].1.push(0),
            2 => bytes_mut(&mut signed[position].2)[63] |= 0xf0,
            _ => bytes_mut(&mut signed[position].2)[0] ^= 1,
        }
    }
    let items = items(&signed);
    assert_eq!(refused_in_batch(&items), (0..200).step_by(3).collect::<Vec<_>>());
    assert_eq!(refused_singly(&items), refused_in_batch(&items));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn k6_a_batch_refuses_exactly_what_single_verification_refuses(
        seeds in prop::collection::vec((0u8..6, any::<u16>()), 0..90),
        corruptions in prop::collection::vec((any::<prop::sample::Index>(), 0usize..96, 1u8..=255), 0..14),
    ) {
        let mut signed: Vec<Signed> =
            seeds.iter().map(|(number, message)| signed(*number, &message.to_le_bytes())).collect();
        for (index, byte, mask) in corruptions.iter().filter(|_| !seeds.is_empty()) {
            let (key, _, signature) = &mut signed[index.index(seeds.len())];
            let PublicKey::Ed25519(key) = key;
            if *byte < 32 { key[*byte] ^= mask } else { bytes_mut(signature)[*byte - 32] ^= mask }
        }
        let items = items(&signed);
        prop_assert_eq!(refused_in_batch(&items), refused_singly(&items));
        for (key, message, signature) in items.iter().take(3) {
            let written = curve::zip215_accepts(key.ed25519_bytes(), message, signature.ed25519_bytes());
            prop_assert_eq!(verify(key, message, signature).is_ok(), written);
        }
    }
}
