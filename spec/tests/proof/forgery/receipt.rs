//! Forged receipts: parts of honest transaction proofs put together anew, other outcomes, places and blocks.

use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::proof::{ProofError, TransactionProof};

use super::draw::Draw;
use super::{attempt_all, judge};
use crate::ledger::Day;

fn bend(proof: &mut TransactionProof, all: &[TransactionProof], draw: &mut Draw) {
    let other = draw.of(all).clone();
    match draw.below(11) {
        0 => proof.transaction = other.transaction,
        1 => proof.receipt = other.receipt,
        2 => proof.transaction_inclusion = other.transaction_inclusion,
        3 => proof.receipt_inclusion = other.receipt_inclusion,
        4 => proof.block = other.block,
        5 => {
            proof.receipt = other.receipt;
            proof.receipt_inclusion = other.receipt_inclusion;
        }
        6 => {
            proof.receipt.outcome = match proof.receipt.outcome {
                Outcome::Applied => Outcome::Refused { operation: 0, reason: Refusal::KeyUnknown },
                Outcome::Refused { .. } => Outcome::Applied,
            }
        }
        7 => proof.receipt.effects = other.receipt.effects,
        // The receipt of another transaction under this one's name.
        8 => {
            proof.receipt = other.receipt;
            proof.receipt.transaction_id = proof.transaction.id();
        }
        9 => {
            let index = draw.below(6) as u64;
            proof.transaction_inclusion.index = index;
            proof.receipt_inclusion.index = index;
        }
        // Transactions and receipts of a block exchanged.
        _ => std::mem::swap(&mut proof.transaction_inclusion, &mut proof.receipt_inclusion),
    }
}

#[test]
fn no_forged_receipt_passes() {
    let day = Day::play();
    let checkpoint = day.ledger.checkpoint();
    let all: Vec<TransactionProof> = day
        .ledger
        .transactions()
        .map(|(height, index, _)| day.ledger.transaction_proof(height, index))
        .collect();
    assert!(all.len() > 5);
    attempt_all("receipt", 3, |draw| {
        let mut proof = draw.of(&all).clone();
        for _ in 0..draw.bends() {
            bend(&mut proof, &all, draw);
        }
        let by_hash = |error: &ProofError| {
            matches!(
                error,
                ProofError::TransactionNotIncluded(_)
                    | ProofError::ReceiptNotIncluded(_)
                    | ProofError::OtherPlace
            )
        };
        let expected = all.contains(&proof);
        judge(&proof, expected, proof.verify(&checkpoint).map(|_| ()), by_hash)
    });
}
