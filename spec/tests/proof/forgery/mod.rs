//! Forged proofs in bulk: honest proofs and the claims they stand for, bent in the ways that matter, and none passes.
//!
//! Every attempt starts from an honest proof, bends it one to three times, and asks an oracle of its own what the
//! verifier must say: yes if the claim is true and the proof is the one honest proof of it, otherwise no. Each attempt
//! has a number from which all its draws follow, so a failure names what repeats it.
//!
//! The suite tries a bounded number; `make forge COUNT=100000000` tries as many as one likes.

mod certificate;
mod consistency;
mod draw;
mod inclusion;
mod logs;
mod receipt;
mod state;
mod stream;

use draw::Draw;

/// Attempts of all kinds together, where the environment gives no other number.
const ATTEMPTS: u64 = 2_000_000;

/// Fewest attempts of a kind: those that verify signatures have small shares.
const ATTEMPTS_MIN: u64 = 2_000;

/// Names the environment's number of attempts.
const ATTEMPTS_VARIABLE: &str = "YILIAN_FORGERIES";

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The bends left an honest proof of a true claim, and it was accepted.
    Honest,
    /// Refused by its shape: counts, lengths, order, names.
    Shape,
    /// Refused only by comparing hashes or verifying a signature.
    Hash,
}

/// Makes the attempts of one kind, its share given in attempts of ten thousand.
fn attempt_all(kind: &str, share: u64, mut attempt: impl FnMut(&mut Draw) -> Fate) {
    let all = match std::env::var(ATTEMPTS_VARIABLE) {
        Ok(text) => text.parse().expect("the number of forgeries is a number"),
        Err(_) => ATTEMPTS,
    };
    let count: u64 = (all / 10_000 * share).max(ATTEMPTS_MIN);
    let (mut honest, mut by_shape, mut by_hash) = (0u64, 0u64, 0u64);
    for number in 0..count {
        match attempt(&mut Draw::of_attempt(kind, number)) {
            Fate::Honest => honest += 1,
            Fate::Shape => by_shape += 1,
            Fate::Hash => by_hash += 1,
        }
    }
    println!("{kind}: {count} attempts, refused by shape {by_shape}, by hash {by_hash}, honest {honest}");
    // Were most attempts refused for their form, or honest by accident, the test would try nothing.
    assert!(by_hash * 8 > count, "{kind}: only {by_hash} of {count} forgeries got as far as a hash");
    assert!(honest * 2 < count, "{kind}: {honest} of {count} attempts are no forgeries");
}

/// Compares the verifier's answer with the oracle's, and says how far the attempt came.
#[track_caller]
fn judge<P: std::fmt::Debug, E: std::fmt::Debug>(
    proof: &P,
    expected: bool,
    answer: Result<(), E>,
    is_by_hash: impl FnOnce(&E) -> bool,
) -> Fate {
    match answer {
        Ok(()) if expected => Fate::Honest,
        Err(error) if !expected => {
            if is_by_hash(&error) {
                Fate::Hash
            } else {
                Fate::Shape
            }
        }
        Ok(()) => panic!("a forged proof passes: {proof:?}"),
        Err(error) => panic!("an honest proof is refused, {error:?}: {proof:?}"),
    }
}
