//! Rules B-1 to B-8: what makes a block final.

use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId, Hash};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::{SecretKey, Signature};
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::ledger::block::{
    CertificateError, CommitCertificate, CommitSignature, Header, precommit_signing_bytes,
};

use crate::world::institution;

fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// Validators with these powers.
fn set(powers: &[u64]) -> ValidatorSet {
    let validators = (1u8..).zip(powers).map(|(number, power)| Validator {
        key: secret(number).public_key(),
        institution: institution("renhe-hospital"),
        power: *power,
    });
    ValidatorSet::new(validators.collect())
}

fn header(validators: &ValidatorSet) -> Header {
    let root = Hash([3; 32]);
    Header {
        version: 1,
        chain_id: ChainId([1; 32]),
        height: Height(5),
        previous: BlockId([2; 32]),
        time: LedgerTime(1_000),
        proposer: secret(1).public_key(),
        transaction_count: 0,
        transactions_root: root,
        receipts_root: root,
        log_size: 0,
        log_root: root,
        state_root: root,
        validators_hash: validators.hash(),
        next_validators_hash: validators.hash(),
    }
}

/// A certificate by the validators with these numbers, in order of their keys.
fn certificate(header: &Header, round: u32, signers: &[u8]) -> CommitCertificate {
    let block_id = header.id();
    let bytes = precommit_signing_bytes(header.chain_id, header.height, round, block_id);
    let sign = |number: &u8| CommitSignature {
        validator: secret(*number).public_key(),
        signature: secret(*number).sign(&bytes),
    };
    let mut signatures: Vec<CommitSignature> = signers.iter().map(sign).collect();
    signatures.sort();
    CommitCertificate { height: header.height, round, block_id, signatures }
}

#[test]
fn rule_b1_the_votes_do_not_change_the_block() {
    let validators = set(&[1, 1, 1, 1]);
    let header = header(&validators);
    let first = certificate(&header, 0, &[1, 2, 3]);
    let second = certificate(&header, 7, &[2, 3, 4]);
    assert_eq!(first.verify(&header, &validators), Ok(()));
    assert_eq!(second.verify(&header, &validators), Ok(()));
    assert_eq!(first.block_id, second.block_id);
}

#[test]
fn rule_b2_a_set_of_validators_has_one_form() {
    assert!(set(&[1, 2, 3]).is_well_formed());
    assert!(set(&[u64::from(u32::MAX)]).is_well_formed());
    assert!(!set(&[]).is_well_formed());
    assert!(!set(&[1, 0]).is_well_formed());
    assert!(!set(&[1 << 32]).is_well_formed());
    assert!(set(&[1; 64]).is_well_formed());
    assert!(!set(&[1; 65]).is_well_formed());
    let one = set(&[1]).validators()[0].clone();
    assert!(!ValidatorSet::new(vec![one.clone(), one]).is_well_formed());
    assert_ne!(set(&[1, 1]).hash(), set(&[1, 2]).hash());
}

#[test]
fn rule_b3_a_vote_counts_for_one_chain_height_round_and_block() {
    let validators = set(&[1]);
    let header = header(&validators);
    let good = certificate(&header, 3, &[1]);
    assert_eq!(good.verify(&header, &validators), Ok(()));
    let bad = Err(CertificateError::BadSignature(secret(1).public_key()));
    let other_round = CommitCertificate { round: 4, ..good.clone() };
    assert_eq!(other_round.verify(&header, &validators), bad);
    for (chain_id, height) in [(ChainId([9; 32]), header.height), (header.chain_id, Height(6))] {
        let bytes = precommit_signing_bytes(chain_id, height, 3, header.id());
        let mut forged = good.clone();
        forged.signatures[0].signature = secret(1).sign(&bytes);
        assert_eq!(forged.verify(&header, &validators), bad);
    }
}

#[test]
fn rule_b4_a_certificate_is_for_one_block() {
    let validators = set(&[1]);
    let header = header(&validators);
    let good = certificate(&header, 0, &[1]);
    let other = Header { time: LedgerTime(1_001), ..header.clone() };
    assert_eq!(good.verify(&other, &validators), Err(CertificateError::OtherBlock));
    let higher = CommitCertificate { height: Height(6), ..good };
    assert_eq!(higher.verify(&header, &validators), Err(CertificateError::OtherBlock));
}

#[test]
fn rule_b5_the_validators_are_those_of_the_header() {
    let validators = set(&[1, 1]);
    let header = header(&validators);
    let found = certificate(&header, 0, &[1, 2]).verify(&header, &set(&[1, 2]));
    assert_eq!(found, Err(CertificateError::OtherValidators));
}

#[test]
fn rule_b6_signatures_ascend_and_are_of_validators() {
    let validators = set(&[1, 1, 1]);
    let header = header(&validators);
    let good = certificate(&header, 0, &[1, 2, 3]);
    let mut swapped = good.clone();
    swapped.signatures.swap(0, 1);
    let mut repeated = good.clone();
    repeated.signatures[1] = repeated.signatures[0].clone();
    for bad in [swapped, repeated] {
        assert_eq!(bad.verify(&header, &validators), Err(CertificateError::NotSorted));
    }
    let stranger = certificate(&header, 0, &[1, 2, 3, 9]).verify(&header, &validators);
    assert_eq!(stranger, Err(CertificateError::NotAValidator(secret(9).public_key())));
}

#[test]
fn rule_b7_every_signature_verifies_also_one_too_many() {
    let validators = set(&[1, 1, 1, 1]);
    let header = header(&validators);
    let good = certificate(&header, 0, &[1, 2, 3, 4]);
    for position in 0..4 {
        let mut forged = good.clone();
        forged.signatures[position].signature = Signature::Ed25519([0; 64]);
        let validator = forged.signatures[position].validator;
        assert_eq!(forged.verify(&header, &validators), Err(CertificateError::BadSignature(validator)));
    }
}

#[test]
fn rule_b8_more_than_two_thirds_of_the_power_signed() {
    let power = |powers: &[u64], signers: &[u8]| {
        let validators = set(powers);
        let header = header(&validators);
        certificate(&header, 0, signers).verify(&header, &validators)
    };
    assert_eq!(power(&[1, 1, 1, 1], &[1, 2, 3]), Ok(()));
    let too_little = |signed, total| Err(CertificateError::TooLittlePower { signed, total });
    assert_eq!(power(&[1, 1, 1, 1], &[1, 2]), too_little(2, 4));
    // Exactly two thirds are not more than two thirds.
    assert_eq!(power(&[1, 1, 1], &[1, 2]), too_little(2, 3));
    assert_eq!(power(&[1, 1, 1], &[]), too_little(0, 3));
    let most = u64::from(u32::MAX);
    assert_eq!(power(&[most; 3], &[1, 2]), too_little(2 * most, 3 * most));
    assert_eq!(power(&[most, most, most - 1], &[1, 2]), Ok(()));
}
