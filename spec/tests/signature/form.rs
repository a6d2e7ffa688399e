//! The forms of keys and signatures: signed bytes (K-1), registration (K-8 to K-11), text (K-12), encoding.

use crate::curve::{self, Point};
use num_bigint::BigUint;
use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::ChainId;
use yilian_spec::crypto::signature::{
    DOMAIN_BYTES_MAX, HexError, KeyError, PublicKey, SecretKey, Signature, Workload, signing_bytes,
};

#[test]
fn k1_signed_bytes_are_length_domain_chain_body() {
    let bytes = signing_bytes("yilian/test/1", &[7; 32], b"body");
    let mut expected = vec![13];
    expected.extend_from_slice(b"yilian/test/1");
    expected.extend_from_slice(&[7; 32]);
    expected.extend_from_slice(b"body");
    assert_eq!(bytes, expected);
    // A domain that ends in what another one's chain id starts with.
    assert_ne!(signing_bytes("a", &[b'b'; 32], b""), signing_bytes("ab", &[b'b'; 32], b""));
}

#[test]
fn k1_a_domain_is_short_printable_and_not_empty() {
    static LETTERS: [u8; DOMAIN_BYTES_MAX + 1] = [b'd'; DOMAIN_BYTES_MAX + 1];
    let too_long = std::str::from_utf8(&LETTERS).unwrap();
    for domain in ["", "two words", "é", too_long] {
        let outcome = std::panic::catch_unwind(|| signing_bytes(domain, &[0; 32], b""));
        assert!(outcome.is_err(), "{domain:?}");
    }
    let longest = &too_long[..DOMAIN_BYTES_MAX];
    assert_eq!(usize::from(signing_bytes(longest, &[0; 32], b"")[0]), DOMAIN_BYTES_MAX);
}

#[test]
fn k1_domains_of_the_ledger_are_distinct_and_apart_from_tokens_and_handshakes() {
    let domains = [
        Domain::Genesis,
        Domain::Transaction,
        Domain::Header,
        Domain::Precommit,
        Domain::Validators,
        Domain::Object,
        Domain::Effects,
        Domain::Statement,
        Domain::Terms,
        Domain::KeyPossession,
        Domain::Commitment,
    ];
    let chain = ChainId([7; 32]);
    for domain in domains {
        assert_eq!(domains.iter().filter(|other| other.name() == domain.name()).count(), 1, "{domain:?}");
        // Both ways to the signed bytes give the same form. This one also refuses an unfit domain.
        let expected = signing_bytes(domain.name(), &chain.0, b"");
        assert_eq!(codec::signing_bytes(domain, &chain), expected, "{domain:?}");
        // A token starts with a base64url letter, which is above 64, a handshake payload with `n`.
        assert!(expected[0] <= 64, "{domain:?}");
    }
}

#[test]
fn k8_to_k11_each_has_its_error() {
    let good = SecretKey::from_seed(&[3; 32]).public_key();
    assert_eq!(good.check_registrable(), Ok(()));
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    assert!(Point::decode(&off_curve).is_none());
    assert_eq!(PublicKey::Ed25519(off_curve).check_registrable(), Err(KeyError::NotOnCurve));
    // y = p + 1 decodes as y = 1; so does "minus zero" beside y = 1.
    let mut above_prime = [0xff; 32];
    (above_prime[0], above_prime[31]) = (0xee, 0x7f);
    assert!(Point::decode(&above_prime).is_some());
    assert_eq!(PublicKey::Ed25519(above_prime).check_registrable(), Err(KeyError::NonCanonical));
    let mut minus_zero = [0; 32];
    (minus_zero[0], minus_zero[31]) = (1, 0x80);
    assert_eq!(PublicKey::Ed25519(minus_zero).check_registrable(), Err(KeyError::NonCanonical));
    assert_eq!(PublicKey::Ed25519(Point::identity().encode()).check_registrable(), Err(KeyError::SmallOrder));
    let order_two = hex::decode("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f").unwrap();
    let order_two: [u8; 32] = order_two.try_into().unwrap();
    assert_eq!(PublicKey::Ed25519(order_two).check_registrable(), Err(KeyError::SmallOrder));
    let mixed = Point::decode(good.ed25519_bytes()).unwrap().add(&Point::decode(&order_two).unwrap());
    assert!(!mixed.multiply(&curve::order()).equals(&Point::identity()));
    assert_eq!(PublicKey::Ed25519(mixed.encode()).check_registrable(), Err(KeyError::MixedOrder));
}

#[test]
fn k8_the_bound_is_the_field_prime_exactly() {
    // p - 1 is the canonical y of the point of order two; p and above are refused, on the curve or not.
    for low in 0xedu8..=0xff {
        let mut encoded = [0xff; 32];
        (encoded[0], encoded[31]) = (low, 0x7f);
        assert_eq!(
            PublicKey::Ed25519(encoded).check_registrable(),
            Err(KeyError::NonCanonical),
            "low byte {low:#x}"
        );
    }
}

#[test]
fn k12_text_is_lower_case_hexadecimal_of_exact_length() {
    let key = SecretKey::from_seed(&[1; 32]).public_key();
    let text = key.to_string();
    assert_eq!(text.parse::<PublicKey>(), Ok(key));
    assert_eq!(
        text.to_uppercase().parse::<PublicKey>(),
        Err(HexError::Digit { position: first_letter(&text) })
    );
    assert_eq!(text[..64].parse::<PublicKey>(), Err(HexError::Length { expected: 66, found: 64 }));
    let other_algorithm = format!("02{}", &text[2..]);
    assert_eq!(other_algorithm.parse::<PublicKey>(), Err(HexError::Algorithm { found: "02".to_owned() }));
    assert_eq!("é".repeat(33).parse::<PublicKey>(), Err(HexError::Digit { position: 0 }));
    assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{text}\""));
    assert_eq!(serde_json::from_str::<PublicKey>(&format!("\"{text}\"")).unwrap(), key);
    for wrong in ["7", "null", "\"\"", "[1,2]"] {
        assert!(serde_json::from_str::<PublicKey>(wrong).is_err(), "{wrong}");
        assert!(serde_json::from_str::<Signature>(wrong).is_err(), "{wrong}");
    }
}

fn first_letter(text: &str) -> usize {
    text.bytes().position(|byte| byte.is_ascii_alphabetic()).expect("a digit from a to f")
}

#[test]
fn k13_the_encoding_is_the_number_of_the_algorithm_and_the_bytes() {
    let secret = SecretKey::from_seed(&[1; 32]);
    let (key, signature) = (secret.public_key(), secret.sign(b"message"));
    let encoded_key = [&[1][..], key.ed25519_bytes()].concat();
    let encoded_signature = [&[1][..], signature.ed25519_bytes()].concat();
    assert_eq!(encoded_key.len(), PublicKey::ENCODED_BYTES);
    assert_eq!(encoded_signature.len(), Signature::ENCODED_BYTES);
    assert_eq!(wincode::serialize(&key).unwrap(), encoded_key);
    assert_eq!(wincode::serialize(&signature).unwrap(), encoded_signature);
    assert_eq!(wincode::deserialize::<PublicKey>(&encoded_key).unwrap(), key);
    assert_eq!(wincode::deserialize::<Signature>(&encoded_signature).unwrap(), signature);
    assert!(wincode::deserialize::<Signature>(&encoded_signature[..64]).is_err());
    for other in [0, 2, 255] {
        assert!(
            wincode::deserialize::<PublicKey>(&[&[other][..], &encoded_key[1..]].concat()).is_err(),
            "{other}"
        );
    }
}

#[test]
fn a_secret_key_does_not_show_itself_and_keeps_its_seed() {
    let seed: [u8; 32] = std::array::from_fn(|index| 0xa0 + index as u8);
    let secret = SecretKey::from_seed(&seed);
    assert_eq!(*secret.seed(), seed);
    let shown = format!("{secret:?}");
    assert!(shown.contains(&secret.public_key().to_string()));
    assert!(!shown.contains(&hex::encode(seed)) && !shown.contains("a0a1"));
}

/// The public key is the base point times the clamped half of SHA-512 of the seed (RFC 8032, section 5.1.5).
#[test]
fn a_public_key_is_the_one_of_rfc_8032() {
    use sha2::{Digest, Sha512};
    let mut half: [u8; 64] = Sha512::digest([5; 32]).into();
    half[0] &= 0xf8;
    half[31] = half[31] & 0x7f | 0x40;
    let expected = Point::base().multiply(&BigUint::from_bytes_le(&half[..32])).encode();
    assert_eq!(SecretKey::from_seed(&[5; 32]).public_key(), PublicKey::Ed25519(expected));
}

#[test]
fn the_workload_is_valid_and_has_the_keys_it_says() {
    let workload = Workload::new(70, 32);
    let keys: std::collections::BTreeSet<_> = workload.items().iter().map(|item| item.0).collect();
    assert_eq!((workload.len(), keys.len(), workload.is_empty()), (70, 32, false));
    assert_eq!((workload.verify_singly(), workload.verify_batched()), (70, 70));
}
