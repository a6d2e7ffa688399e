//! Outside vectors: single verification, batched verification and the rule written in plain arithmetic agree.

use crate::curve;
use std::path::PathBuf;
use yilian_spec::crypto::signature::{BatchItem, KeyError, PublicKey, Signature, verify, verify_batch};

/// Reads a JSON file of the shared test data; says so and gives `None` where the data is absent.
fn shared_json(relative: &str) -> Option<serde_json::Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(relative);
    let Ok(bytes) = std::fs::read(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    Some(serde_json::from_slice(&bytes).expect("the shared data is well-formed JSON"))
}

struct Vector {
    key: PublicKey,
    message: Vec<u8>,
    signature: Signature,
    flags: Vec<String>,
}

fn text<'a>(value: &'a serde_json::Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("the vector has a text field {field}"))
}

/// Reads a key or signature that the vectors give without its algorithm.
fn ed25519<T: std::str::FromStr>(digits: &str) -> Result<T, T::Err> {
    format!("01{digits}").parse()
}

fn cctv() -> Option<Vec<Vector>> {
    let json = shared_json("ed25519-vectors/cctv-ed25519vectors.json")?;
    let vector = |entry: &serde_json::Value| Vector {
        key: ed25519(text(entry, "key")).expect("a key in hex"),
        message: text(entry, "msg").as_bytes().to_vec(),
        signature: ed25519(text(entry, "sig")).expect("a signature in hex"),
        flags: entry["flags"]
            .as_array()
            .map(|flags| flags.iter().filter_map(|flag| flag.as_str().map(str::to_owned)).collect())
            .unwrap_or_default(),
    };
    Some(json.as_array().expect("a list of vectors").iter().map(vector).collect())
}

fn items(vectors: &[Vector]) -> Vec<BatchItem<'_>> {
    vectors.iter().map(|vector| (vector.key, vector.message.as_slice(), vector.signature)).collect()
}

/// Single, batched (alone, beside a good signature) and written rule on one item; gives their common answer.
fn agreed(item: BatchItem<'_>) -> bool {
    let (key, message, signature) = item;
    let written = curve::zip215_accepts(key.ed25519_bytes(), message, signature.ed25519_bytes());
    assert_eq!(verify(&key, message, &signature).is_ok(), written, "single and written rule, {signature}");
    assert_eq!(verify_batch(&[item]).is_ok(), written, "batch of one and written rule, {signature}");
    let in_crowd = verify_batch(&[item; 9]);
    assert_eq!(in_crowd, if written { Ok(()) } else { Err((0..9).collect()) }, "batch of nine, {signature}");
    written
}

#[test]
fn k5_every_cctv_vector_is_judged_alike_and_as_its_flags_say() {
    let Some(vectors) = cctv() else { return };
    assert_eq!(vectors.len(), 914);
    // The vectors' own text: ZIP-215 accepts all. Those whose k was taken over a re-encoded point are another
    // matter, unless the key has small order: then 8·k·A vanishes for any k.
    for (vector, item) in vectors.iter().zip(items(&vectors)) {
        let flagged = |name: &str| vector.flags.iter().any(|flag| flag == name);
        let expected = !flagged("reencoded_k") || flagged("low_order_A");
        assert_eq!(agreed(item), expected, "flags {:?}", vector.flags);
    }
}

#[test]
fn k6_all_cctv_vectors_in_one_batch_leave_exactly_the_refused_ones() {
    let Some(vectors) = cctv() else { return };
    let all = items(&vectors);
    let refused: Vec<usize> =
        (0..all.len()).filter(|i| verify(&all[*i].0, all[*i].1, &all[*i].2).is_err()).collect();
    assert!(!refused.is_empty());
    assert_eq!(verify_batch(&all), Err(refused.clone()));
    let accepted: Vec<_> = (0..all.len()).filter(|i| !refused.contains(i)).map(|i| all[i]).collect();
    assert_eq!(verify_batch(&accepted), Ok(()));
}

#[test]
fn k8_to_k11_registration_refuses_the_keys_that_cctv_flags() {
    let Some(vectors) = cctv() else { return };
    let mut counts = [0; 4];
    for vector in &vectors {
        let flagged = |name: &str| vector.flags.iter().any(|flag| flag == name);
        let (slot, expected) = if flagged("non_canonical_A") {
            (0, Err(KeyError::NonCanonical))
        } else if flagged("low_order_A") {
            (1, Err(KeyError::SmallOrder))
        } else if flagged("low_order_component_A") {
            (2, Err(KeyError::MixedOrder))
        } else {
            (3, Ok(()))
        };
        assert_eq!(vector.key.check_registrable(), expected, "key {}", vector.key);
        counts[slot] += 1;
    }
    assert!(counts.iter().all(|count| *count > 0), "every class occurs: {counts:?}");
}

/// Whether R decodes and is not in its canonical encoding.
fn has_odd_commitment(signature: &Signature) -> bool {
    let commitment = std::array::from_fn(|index| signature.ed25519_bytes()[index]);
    curve::Point::decode(&commitment).is_some_and(|point| point.encode() != commitment)
}

#[test]
fn k5_every_wycheproof_vector_is_judged_alike() {
    let Some(json) = shared_json("wycheproof/ed25519_test.json") else { return };
    let (mut accepted, mut refused, mut wrong_size) = (0, 0, 0);
    for group in json["testGroups"].as_array().expect("groups") {
        let key: PublicKey = ed25519(text(&group["publicKey"], "pk")).expect("a key in hex");
        assert_eq!(key.check_registrable(), Ok(()));
        for test in group["tests"].as_array().expect("tests") {
            let message = hex::decode(text(test, "msg")).expect("a message in hex");
            let Ok(signature) = ed25519::<Signature>(text(test, "sig")) else {
                assert_ne!(text(test, "sig").len(), 128, "only a wrong size is no signature");
                assert_eq!(text(test, "result"), "invalid");
                wrong_size += 1;
                continue;
            };
            let valid = agreed((key, &message, signature));
            // The one place where ZIP-215 accepts what these vectors, strict about encodings, refuse.
            let lenient = valid && has_odd_commitment(&signature);
            assert_eq!(valid, lenient || text(test, "result") == "valid", "test {}", test["tcId"]);
            assert!(!lenient || test["flags"][0] == "InvalidEncoding", "test {}", test["tcId"]);
            if valid { accepted += 1 } else { refused += 1 }
        }
    }
    assert_eq!(accepted + refused + wrong_size, json["numberOfTests"].as_i64().expect("a number"));
    assert!(accepted > 50 && refused > 20 && wrong_size > 5, "{accepted} {refused} {wrong_size}");
}
