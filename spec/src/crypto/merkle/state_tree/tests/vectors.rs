//! The worked examples of the written protocol (chapter 3), for the log and the state tree: what the text says is what
//! the code does. `cargo test merkle -- --nocapture` prints them.

use super::*;
use crate::crypto::merkle::log;

const CHAPTER: &str = include_str!("../../../../../protocol/03-merkle.md");

/// Asserts that the chapter has a line ``name = hex`` in one of its worked examples.
fn stated(name: &str, hash: &NodeHash) {
    let line = format!("{name} = {}", hex::encode(hash));
    println!("{line}");
    assert!(CHAPTER.lines().any(|stated| stated == line), "the chapter does not say: {line}");
}

#[test]
fn the_log_example() {
    let leaves = [&b"a"[..], b"b", b"c"].map(log::leaf_hash);
    let tree = log::LogTree::from_leaf_hashes(&leaves);
    stated("leaf(a)", &leaves[0]);
    stated("leaf(b)", &leaves[1]);
    stated("leaf(c)", &leaves[2]);
    stated("root(0)", &log::root(&[]));
    stated("root(2)", &log::root(&leaves[..2]));
    stated("root(3)", &tree.root());
    assert_eq!(tree.frontier().peaks(), [log::root(&leaves[..2]), leaves[2]]);
    assert_eq!(tree.prove_inclusion(1).unwrap().path, [leaves[0], leaves[2]]);
    assert_eq!(tree.prove_consistency(2).unwrap().path, [leaves[2]]);
}

#[test]
fn the_state_example() {
    let mut fixture = Fixture::default();
    let [one, two] = [&b"one"[..], b"two"].map(KeyHash::of);
    let values = [&b"1"[..], b"2"].map(ValueHash::of);
    stated("key(two)", &two.0);
    stated("value(1)", &values[0].0);
    stated("value(2)", &values[1].0);
    fixture.change(&[one, two].into_iter().zip(values.map(Some)).collect());
    stated("state leaf(one)", &leaf_hash(&one, &values[0]));
    stated("state leaf(two)", &leaf_hash(&two, &values[1]));
    stated("state root", &fixture.tree.root());
    for (name, held) in [("one", Some(&b"1"[..])), ("four", None), ("six", None)] {
        let key_hash = KeyHash::of(name.as_bytes());
        stated(&format!("key({name})"), &key_hash.0);
        let proof = fixture.prove_and_verify(&key_hash);
        assert_eq!(proof.verify(&fixture.tree.root(), name.as_bytes(), held), Ok(()));
        let line = format!("- {name}: `{}`", serde_json::to_string(&proof).unwrap());
        assert!(CHAPTER.lines().any(|stated| stated == line), "the chapter does not say: {line}");
    }
}

#[test]
fn the_bounds_are_those_of_the_chapter() {
    assert!(CHAPTER.contains(&format!("A bucket of more than {BUCKET_LEAVES_MAX} leaves divides")));
    assert!(CHAPTER.contains(&format!("together hold at most {BUCKET_LEAVES_JOIN} become one")));
    assert!(CHAPTER.contains(&format!("unless it is at depth {BUCKET_DEPTH_MAX}")));
    assert_eq!(log::LOG_LENGTH_MAX, 1 << 48);
}
