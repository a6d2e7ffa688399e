//! Encodings put together by hand from the rules of chapter 1, not by the code: transaction, header, certificate,
//! receipt and genesis.

use std::collections::BTreeSet;

use yilian_spec::base::codec::{self, Canonical, DecodeError, Domain};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId, ConsortiumId, Hash, InstitutionId, ReferralId, TransactionId};
use yilian_spec::base::money::AmountMinor;
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::base::version::{ProtocolVersion, VersionSchedule};
use yilian_spec::crypto::signature::{PublicKey, Signature};
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::domain::membership::{Institution, InstitutionKind, Role, Tier};
use yilian_spec::domain::parameters::{ConsensusTimeouts, Parameters};
use yilian_spec::domain::referral::AcceptReferral;
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::block::{CommitCertificate, CommitSignature, Header};
use yilian_spec::ledger::genesis::{Genesis, GenesisInstitution, GenesisKey};
use yilian_spec::ledger::receipt::{Outcome, Receipt};
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};
use yilian_spec::settlement::rational::Ratio;

/// Bytes from a text of hexadecimal digits, `11*32` for a repeated byte, and `'text'` for ASCII.
pub fn bytes(text: &str) -> Vec<u8> {
    text.split_whitespace()
        .flat_map(|token| {
            if let Some(ascii) = token.strip_prefix('\'') {
                return ascii.trim_end_matches('\'').as_bytes().to_vec();
            }
            let (digits, times) = token.split_once('*').unwrap_or((token, "1"));
            hex::decode(digits).unwrap().repeat(times.parse().unwrap())
        })
        .collect()
}

/// The value has exactly these bytes, in both directions.
pub fn check<T: Canonical + PartialEq + std::fmt::Debug>(name: &str, value: &T, text: &str) {
    let expected = bytes(text);
    assert_eq!(hex::encode(codec::encode(value)), hex::encode(&expected), "{name}");
    assert_eq!(codec::decode::<T>(&expected, expected.len()).as_ref(), Ok(value), "{name}");
}

#[test]
fn transaction() {
    let body = TransactionBody {
        chain_id: ChainId([0x11; 32]),
        author: PublicKey::Ed25519([0x22; 32]),
        institution: InstitutionId::new("renhe-hospital").unwrap(),
        created: LedgerTime(1_790_000_000_000),
        expires: LedgerTime(1_790_000_600_000),
        nonce: [0x33; 16],
        operations: vec![Operation::AcceptReferral(AcceptReferral { referral: ReferralId([0x44; 32]) })],
    };
    let transaction = Transaction { body, signature: Signature::Ed25519([0x55; 64]) };
    check(
        "transaction",
        &transaction,
        "11*32 01 22*32 0e00000000000000 'renhe-hospital' 006c50c4a0010000 c09359c4a0010000 33*16
         0100000000000000 09000000 44*32 01 55*64",
    );
    let signed = bytes("15 'yilian/transaction/v1'");
    assert!(transaction.body.signing_bytes().starts_with(&signed));
}

#[test]
fn header() {
    let header = Header {
        version: 1,
        chain_id: ChainId([0x11; 32]),
        height: Height(2),
        previous: BlockId([0x12; 32]),
        time: LedgerTime(0x0002_0304_0506_0708),
        proposer: PublicKey::Ed25519([0x13; 32]),
        transaction_count: 3,
        transactions_root: Hash([0x14; 32]),
        receipts_root: Hash([0x15; 32]),
        log_size: 4,
        log_root: Hash([0x16; 32]),
        state_root: Hash([0x17; 32]),
        validators_hash: Hash([0x18; 32]),
        next_validators_hash: Hash([0x19; 32]),
    };
    check(
        "header",
        &header,
        "0100 11*32 0200000000000000 12*32 0807060504030200 01 13*32 03000000 14*32 15*32 0400000000000000 16*32
         17*32 18*32 19*32",
    );
}

#[test]
fn certificate() {
    let signature = |byte| CommitSignature {
        validator: PublicKey::Ed25519([byte; 32]),
        signature: Signature::Ed25519([byte + 1; 64]),
    };
    let certificate = CommitCertificate {
        height: Height(9),
        round: 1,
        block_id: BlockId([0x21; 32]),
        signatures: vec![signature(0x31), signature(0x41)],
    };
    let text = "0900000000000000 01000000 21*32 0200000000000000 01 31*32 01 32*64 01 41*32 01 42*64";
    check("certificate", &certificate, text);
    let precommit = yilian_spec::ledger::block::precommit_signing_bytes(
        ChainId([0x11; 32]),
        Height(9),
        1,
        BlockId([0x21; 32]),
    );
    assert_eq!(precommit, bytes("13 'yilian/precommit/v1' 11*32 0900000000000000 01000000 21*32"));
}

#[test]
fn receipt() {
    let receipt =
        |outcome| Receipt { transaction_id: TransactionId([0x61; 32]), outcome, effects: Hash([0x62; 32]) };
    check("applied", &receipt(Outcome::Applied), "61*32 00000000 62*32");
    let refused = Outcome::Refused { operation: 2, reason: Refusal::KeyUnknown };
    check("refused", &receipt(refused), "61*32 01000000 0200 00000000 62*32");
    let last = Outcome::Refused { operation: 255, reason: Refusal::TermsNotEvaluable };
    check("the last reason", &receipt(last), "61*32 01000000 ff00 3f000000 62*32");
}

#[test]
fn genesis() {
    let key = PublicKey::Ed25519([0x71; 32]);
    let window = Window { starts: LedgerTime(1), expires: LedgerTime(2) };
    let id = InstitutionId::new("ab").unwrap();
    let institution = Institution {
        id: id.clone(),
        name: "A".into(),
        kind: InstitutionKind::Hospital,
        tier: Some(Tier::Province),
        consortia: BTreeSet::from(["cd", "ef"].map(|text| ConsortiumId::new(text).unwrap())),
    };
    let genesis = Genesis {
        network: "net".into(),
        time: LedgerTime(0x10),
        parameters: Parameters {
            versions: VersionSchedule::new([
                (Height(1), ProtocolVersion::V1),
                (Height(17), ProtocolVersion::V2),
            ]),
            block_transactions_max: 1,
            block_bytes_max: 2,
            block_work_max: 18,
            quota_work_per_s: 19,
            receipt_deadline_ms: 3,
            referral_answer_deadline_ms: 4,
            referral_handover_deadline_ms: 5,
            referral_acknowledge_deadline_ms: 6,
            referral_outcome_deadline_ms: 7,
            referral_closure_deadline_ms: 8,
            referral_access_ms: 9,
            consensus: ConsensusTimeouts {
                propose_ms: 10,
                propose_min_ms: 11,
                prevote_ms: 12,
                precommit_ms: 13,
                delta_ms: 14,
                rebroadcast_ms: 15,
                bound_ms: 16,
            },
        },
        institutions: vec![GenesisInstitution {
            institution,
            keys: vec![GenesisKey { key, role: Role::Finance, window }],
        }],
        validators: ValidatorSet::new(vec![Validator { key, institution: id, power: 5 }]),
    };
    check(
        "genesis",
        &genesis,
        "0300000000000000 'net' 1000000000000000
         0200000000000000 0100000000000000 0100 1100000000000000 0200
         01000000 02000000 1200000000000000 1300000000000000 0300000000000000 0400000000000000 0500000000000000 0600000000000000 0700000000000000
         0800000000000000 0900000000000000
         0a00000000000000 0b00000000000000 0c00000000000000 0d00000000000000 0e00000000000000 0f00000000000000
         1000000000000000
         0100000000000000
           0200000000000000 'ab' 0100000000000000 'A' 00000000 01 04000000
           0200000000000000 0200000000000000 'cd' 0200000000000000 'ef'
           0100000000000000 01 71*32 05000000 0100000000000000 0200000000000000
         0100000000000000 01 71*32 0200000000000000 'ab' 0500000000000000",
    );
}

/// The example of rule X-4 in chapter 4.
#[test]
fn effects() {
    let writes =
        yilian_spec::state::overlay::Writes::from([(vec![0x03], Some(vec![0xaa, 0xbb])), (vec![0x90], None)]);
    check(
        "effects",
        &writes,
        "0200000000000000 0100000000000000 03 01 0200000000000000 aabb 0100000000000000 90 00",
    );
    let hash = codec::hash(Domain::Effects, &writes).to_string();
    assert_eq!(hash, "b958d4f8a09940fe84db5de8af51768f3898e2de0e1df3525f31f73fffad890e");
}

/// Rule E-8: what not every reader of JSON holds exactly is the encoding of nothing.
#[test]
fn a_number_beyond_what_json_holds_does_not_decode() {
    const LARGEST: u64 = 9_007_199_254_740_991;
    fn decoded<T: Canonical>(bytes: &[u8]) -> Result<(), DecodeError> {
        codec::decode::<T>(bytes, 16).map(drop)
    }
    let ratio = |numerator: i64, denominator: u64| {
        decoded::<Ratio>(&[numerator.to_le_bytes(), denominator.to_le_bytes()].concat())
    };
    for largest in [LARGEST, LARGEST - 1, 0] {
        assert_eq!(decoded::<LedgerTime>(&largest.to_le_bytes()), Ok(()));
        assert_eq!(decoded::<Height>(&largest.to_le_bytes()), Ok(()));
        for amount in [largest.cast_signed(), -largest.cast_signed()] {
            assert_eq!(decoded::<AmountMinor>(&amount.to_le_bytes()), Ok(()));
            assert_eq!(ratio(amount, largest), Ok(()));
        }
    }
    for beyond in [LARGEST + 1, u64::MAX >> 1] {
        assert_eq!(decoded::<LedgerTime>(&beyond.to_le_bytes()), Err(DecodeError::NotCanonical));
        assert_eq!(decoded::<Height>(&beyond.to_le_bytes()), Err(DecodeError::NotCanonical));
        assert_eq!(ratio(1, beyond), Err(DecodeError::NotCanonical));
        for amount in [beyond.cast_signed(), -beyond.cast_signed()] {
            assert_eq!(decoded::<AmountMinor>(&amount.to_le_bytes()), Err(DecodeError::NotCanonical));
            assert_eq!(ratio(amount, 1), Err(DecodeError::NotCanonical));
        }
    }
    assert_eq!(LedgerTime(LARGEST - 1).plus_ms(1), LedgerTime(LARGEST));
    assert_eq!(LedgerTime(LARGEST - 1).plus_ms(2), LedgerTime(LARGEST));
    assert_eq!(LedgerTime(7).plus_ms(u64::MAX), LedgerTime(LARGEST));
}
