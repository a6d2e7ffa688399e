//! Ids, slugs and commitments (rules E-5 to E-7, S-1, S-2), with the figures of chapter 1.

use sha2::{Digest, Sha256};
use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{ChainId, Hash, IdError, InstitutionId, ReferralId, SubjectTag, commit};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::referral::AcceptReferral;
use yilian_spec::ledger::transaction::TransactionBody;

fn example() -> TransactionBody {
    TransactionBody {
        chain_id: ChainId([0x11; 32]),
        author: PublicKey::Ed25519([0x22; 32]),
        institution: InstitutionId::new("renhe-hospital").unwrap(),
        created: LedgerTime(1_790_000_000_000),
        expires: LedgerTime(1_790_000_600_000),
        nonce: [0x33; 16],
        operations: vec![Operation::AcceptReferral(AcceptReferral { referral: ReferralId([0x44; 32]) })],
    }
}

#[test]
fn the_ids_of_the_written_example() {
    let body = example();
    assert_eq!(codec::encode(&body).len(), 163);
    let id = body.id();
    assert_eq!(id.to_string(), "702b838b9e0b90658fc27917ad85ae2961dac0c4a9451c26ed208d2b934f1da6");
    let objects = [0, 1].map(|index| hex::encode(body.operations[0].object_id(id, index)));
    assert_eq!(objects[0], "edc3e6fae590fdead894787ec59883bd7511e5ba4ca021fed947e42c949a6926");
    assert_eq!(objects[1], "7b13ee3fc4a1d55bbf16192a42bb80f07603804c52c76fce00be63fa967308e8");
    let commitment = commit(&[0x55; 32], b"report").to_string();
    assert_eq!(commitment, "63043d394c065313bc5377ad1ee5af4417d1eccecd2758bee56006bdfd9c0720");
}

/// Rule O-26, with the figures of chapter 5.
#[test]
fn a_tag_says_whose_it_is() {
    let [renhe, qinghe] = ["renhe-hospital", "qinghe-hospital"].map(|id| InstitutionId::new(id).unwrap());
    let tag = SubjectTag::of(&renhe, [0x77; 16]);
    assert_eq!(tag.to_string(), "de6a76d540c90e333177ba86ec83e54d77777777777777777777777777777777");
    assert!(tag.is_kept_by(&renhe) && !tag.is_kept_by(&qinghe));
    let mut altered = tag;
    altered.0[15] ^= 1;
    assert!(!altered.is_kept_by(&renhe));
    altered.0[15] ^= 1;
    altered.0[16] ^= 1;
    assert!(altered.is_kept_by(&renhe));
}

#[test]
fn a_hash_and_a_signature_begin_with_the_length_of_the_domain() {
    let domains = [
        (Domain::Genesis, "yilian/genesis/v1"),
        (Domain::Transaction, "yilian/transaction/v1"),
        (Domain::Header, "yilian/header/v1"),
        (Domain::Precommit, "yilian/precommit/v1"),
        (Domain::Validators, "yilian/validators/v1"),
        (Domain::Object, "yilian/object/v1"),
        (Domain::Effects, "yilian/effects/v1"),
        (Domain::Statement, "yilian/statement/v1"),
        (Domain::Terms, "yilian/terms/v1"),
        (Domain::KeyPossession, "yilian/key-possession/v1"),
        (Domain::Commitment, "yilian/commitment/v1"),
        (Domain::Custodian, "yilian/custodian/v1"),
    ];
    for (domain, name) in domains {
        let mut bytes = vec![u8::try_from(name.len()).unwrap()];
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&7u32.to_le_bytes());
        assert_eq!(codec::hash(domain, &7u32), Hash(Sha256::digest(&bytes).into()), "{name}");
        assert_eq!(codec::signing_bytes(domain, &7u32), bytes, "{name}");
    }
}

#[test]
fn a_slug_has_2_to_40_characters_and_begins_with_a_letter() {
    let longest = "a".repeat(40);
    for good in ["ab", "a1", "a-", "renhe-hospital-2", &longest] {
        assert_eq!(InstitutionId::new(good).map(|id| id.to_string()), Ok(good.to_owned()));
    }
    let too_long = "a".repeat(41);
    for bad in ["", "a", "1a", "-a", "Ab", "aB", "a_b", "a b", "ab\n", "ä-hospital", "仁和", &too_long] {
        assert_eq!(InstitutionId::new(bad), Err(IdError::NotSlug), "{bad:?}");
    }
}

#[test]
fn a_hash_is_written_in_64_lower_case_digits_and_in_no_other_way() {
    let tag = SubjectTag([0xab; 32]);
    assert_eq!(tag.to_string().parse(), Ok(tag));
    let short = "ab".repeat(31);
    for bad in ["AB".repeat(32), short.clone(), "ab".repeat(33), format!("{short}zz"), format!("0x{short}")] {
        assert_eq!(bad.parse::<SubjectTag>(), Err(IdError::NotHex), "{bad}");
    }
}
