//! Rules G-1 to G-10: what a ledger may begin with.

use std::collections::BTreeSet;

use yilian_spec::base::codec::{self, Canonical};
use yilian_spec::base::id::{ConsortiumId, InstitutionId};
use yilian_spec::base::limits;
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::base::version::{UnknownVersion, VersionSchedule};
use yilian_spec::crypto::signature::{KeyError, PublicKey, SecretKey};
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::ledger::genesis::{Genesis, GenesisError, GenesisKey};

use crate::world::{TEACHING, genesis, institution};

/// The refusal after one change of a genesis that is in order.
fn refusal(change: impl FnOnce(&mut Genesis)) -> GenesisError {
    let mut genesis = genesis();
    assert_eq!(genesis.check(), Ok(()));
    change(&mut genesis);
    genesis.check().expect_err("the genesis breaks a rule")
}

fn unchecked<T: Canonical>(text: &str) -> T {
    let bytes = codec::encode(&String::from(text));
    codec::decode(&bytes, bytes.len()).unwrap()
}

fn first(genesis: &Genesis) -> InstitutionId {
    genesis.institutions[0].institution.id.clone()
}

#[test]
fn rule_g1_the_network_has_a_name() {
    assert_eq!(refusal(|genesis| genesis.network.clear()), GenesisError::NetworkName);
    assert_eq!(refusal(|genesis| genesis.network = "n".repeat(121)), GenesisError::NetworkName);
}

#[test]
fn rule_g2_institutions_ascend() {
    assert_eq!(refusal(|genesis| genesis.institutions.clear()), GenesisError::Institutions);
    assert_eq!(refusal(|genesis| genesis.institutions.swap(0, 1)), GenesisError::Institutions);
    let twice = |genesis: &mut Genesis| genesis.institutions.insert(0, genesis.institutions[0].clone());
    assert_eq!(refusal(twice), GenesisError::Institutions);
    let too_many = |genesis: &mut Genesis| {
        let entry = genesis.institutions[0].clone();
        genesis.institutions = (0..=limits::INSTITUTIONS_MAX)
            .map(|number| {
                let mut entry = entry.clone();
                entry.institution.id = institution(&format!("hospital-{number:04}"));
                entry
            })
            .collect();
    };
    assert_eq!(refusal(too_many), GenesisError::Institutions);
}

#[test]
fn rule_g3_institutions_are_well_named() {
    let first = first(&genesis());
    let expected = GenesisError::Institution(first);
    assert_eq!(refusal(|genesis| genesis.institutions[0].institution.name.clear()), expected);
    let long = |genesis: &mut Genesis| genesis.institutions[0].institution.name = "n".repeat(121);
    assert_eq!(refusal(long), expected);
    let crowd = |genesis: &mut Genesis| {
        let name = |number| ConsortiumId::new(&format!("consortium-{number}")).unwrap();
        genesis.institutions[0].institution.consortia = (0..33).map(name).collect();
    };
    assert_eq!(refusal(crowd), expected);
    let malformed = |genesis: &mut Genesis| {
        genesis.institutions[0].institution.consortia = BTreeSet::from([unchecked("Bad")]);
    };
    assert_eq!(refusal(malformed), expected);
    let bad: InstitutionId = unchecked("A");
    let named = bad.clone();
    let error = refusal(|genesis| genesis.institutions[0].institution.id = named);
    assert_eq!(error, GenesisError::Institution(bad));
}

#[test]
fn rule_g4_an_institution_has_at_most_64_keys() {
    let error = refusal(|genesis| {
        let entry = &mut genesis.institutions[0];
        entry.keys = vec![entry.keys[0].clone(); 65];
    });
    assert_eq!(error, GenesisError::TooManyKeys(first(&genesis())));
}

#[test]
fn rules_g5_to_g7_keys_are_sound_different_and_end() {
    let weak = PublicKey::Ed25519([0; 32]);
    let error = refusal(|genesis| genesis.institutions[0].keys[1].key = weak);
    assert_eq!(error, GenesisError::Key { key: weak, reason: KeyError::SmallOrder });
    let key = genesis().institutions[0].keys[1].key;
    let repeated = refusal(|genesis| genesis.institutions[1].keys[1].key = key);
    assert_eq!(repeated, GenesisError::RepeatedKey(key));
    let starts = LedgerTime(5);
    for expires in [LedgerTime(5), LedgerTime(4), starts.plus_ms(limits::KEY_LIFETIME_MS_MAX + 1)] {
        let error = refusal(|genesis| genesis.institutions[0].keys[1].window = Window { starts, expires });
        assert_eq!(error, GenesisError::KeyWindow(key));
    }
}

#[test]
fn rule_g8_the_validators_are_a_well_formed_set() {
    let set = |validators: Vec<Validator>| {
        refusal(|genesis| {
            // Past the constructor, which sorts: as bytes from a file would come.
            let bytes = codec::encode(&validators);
            genesis.validators = codec::decode(&bytes, bytes.len()).unwrap();
        })
    };
    let good = genesis().validators.validators().to_vec();
    let mut swapped = good.clone();
    swapped.swap(0, 1);
    let powered = |power| vec![Validator { power, ..good[0].clone() }];
    let many = (0..65).map(|number| {
        let key = SecretKey::from_seed(&[number; 32]).public_key();
        Validator { key, ..good[0].clone() }
    });
    let too_many = ValidatorSet::new(many.collect()).validators().to_vec();
    let repeated = vec![good[0].clone(), good[0].clone()];
    for bad in [vec![], swapped, repeated, powered(0), powered(1 << 32), too_many] {
        assert_eq!(set(bad), GenesisError::Validators);
    }
}

#[test]
fn rule_g9_a_validator_has_its_key_at_its_institution() {
    let key = SecretKey::from_seed(&[99; 32]).public_key();
    let alone =
        |validator| move |genesis: &mut Genesis| genesis.validators = ValidatorSet::new(vec![validator]);
    let unknown = Validator { key, institution: institution(TEACHING), power: 1 };
    assert_eq!(refusal(alone(unknown)), GenesisError::ValidatorKey(key));
    let known = genesis().validators.validators()[0].clone();
    let elsewhere = Validator { institution: institution("health-commission"), ..known.clone() };
    assert_eq!(refusal(alone(elsewhere)), GenesisError::ValidatorKey(known.key));
    let other_role = refusal(|genesis| {
        let keys = genesis.institutions.iter_mut().flat_map(|entry| entry.keys.iter_mut());
        let is_known = |key: &&mut GenesisKey| key.key == known.key;
        keys.filter(is_known).for_each(|key| key.role = Role::Node);
        genesis.validators = ValidatorSet::new(vec![known.clone()]);
    });
    assert_eq!(other_role, GenesisError::ValidatorKey(known.key));
}

#[test]
fn rule_g10_parameters_are_within_their_limits() {
    let parameters = [
        refusal(|genesis| genesis.parameters.block_transactions_max = 0),
        refusal(|genesis| genesis.parameters.block_transactions_max = 10_001),
        refusal(|genesis| genesis.parameters.block_bytes_max = (4 << 20) + 1),
        refusal(|genesis| genesis.parameters.block_bytes_max = (128 << 10) + (1 << 10)),
        refusal(|genesis| genesis.parameters.block_work_max = limits::TRANSACTION_WORK_MAX - 1),
        refusal(|genesis| genesis.parameters.block_work_max = limits::BLOCK_WORK_MAX + 1),
        refusal(|genesis| genesis.parameters.quota_work_per_s = 0),
        refusal(|genesis| genesis.parameters.quota_work_per_s = limits::QUOTA_WORK_PER_S_MAX + 1),
        refusal(|genesis| genesis.parameters.receipt_deadline_ms = 0),
        refusal(|genesis| genesis.parameters.referral_answer_deadline_ms = 0),
        refusal(|genesis| genesis.parameters.referral_handover_deadline_ms = 0),
        refusal(|genesis| genesis.parameters.referral_acknowledge_deadline_ms = 0),
        refusal(|genesis| genesis.parameters.referral_outcome_deadline_ms = 0),
        refusal(|genesis| genesis.parameters.referral_closure_deadline_ms = 0),
        refusal(|genesis| genesis.parameters.referral_access_ms = limits::GRANT_LIFETIME_MS_MAX + 1),
        refusal(|genesis| genesis.parameters.consensus.propose_ms = 20_001),
        refusal(|genesis| genesis.parameters.consensus.propose_min_ms = 1_001),
        refusal(|genesis| genesis.parameters.consensus.propose_min_ms = 0),
        refusal(|genesis| genesis.parameters.consensus.prevote_ms = 0),
        refusal(|genesis| genesis.parameters.consensus.precommit_ms = 20_001),
        refusal(|genesis| genesis.parameters.consensus.rebroadcast_ms = 0),
        refusal(|genesis| genesis.parameters.consensus.delta_ms = 20_001),
        refusal(|genesis| genesis.parameters.consensus.bound_ms = limits::ROUND_TIMEOUT_MS_MAX + 1),
    ];
    assert!(parameters.iter().all(|error| *error == GenesisError::Parameters), "{parameters:?}");
}

#[test]
fn rule_g11_the_versions_are_listed_in_order_and_the_first_is_known() {
    let listed = |starts: &str| {
        let versions: VersionSchedule = serde_json::from_str(starts).unwrap();
        refusal(|genesis| genesis.parameters.versions = versions)
    };
    for starts in ["[]", r#"[{"height":2,"version":1}]"#, r#"[{"height":1,"version":0}]"#] {
        assert_eq!(listed(starts), GenesisError::Versions, "{starts}");
    }
    let unknown = listed(r#"[{"height":1,"version":3}]"#);
    assert_eq!(unknown, GenesisError::FirstVersion(UnknownVersion { found: 3 }));
    // One that comes later need not be known yet.
    let mut genesis = genesis();
    let later = r#"[{"height":1,"version":2},{"height":9,"version":3}]"#;
    genesis.parameters.versions = serde_json::from_str(later).unwrap();
    assert_eq!(genesis.check(), Ok(()));
}
