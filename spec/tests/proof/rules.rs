//! One test for each rule of chapter 7, and what the proofs of an honest ledger show.

use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId, GrantId, SubjectTag};
use yilian_spec::base::limits::PROOF_BYTES_MAX;
use yilian_spec::base::version::UnknownVersion;
use yilian_spec::crypto::merkle::log::Frontier;
use yilian_spec::crypto::merkle::state_tree::StateProofError;
use yilian_spec::domain::access::Grant;
use yilian_spec::domain::agreement::ClosedPeriod;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::block::CertificateError;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::validation::semantic::SemanticError;
use yilian_spec::proof::{Checkpoint, ProofDocument, ProofError, StreamParts};
use yilian_spec::state::key::{StateKey, StreamId};

use crate::ledger::{Day, SUBJECT, certificate, institution, secret};

#[test]
fn honest_proofs_of_every_kind_verify_and_survive_their_json() {
    let day = Day::play();
    let checkpoint = day.ledger.checkpoint();
    for document in day.documents() {
        document.verify(&checkpoint).unwrap();
        let again = ProofDocument::from_json(document.to_json().as_bytes()).unwrap();
        assert_eq!(again, document);
        let json: serde_json::Value = serde_json::from_str(&document.to_json()).unwrap();
        assert_eq!(json["kind"], document.proof.kind());
    }
}

#[test]
fn a_transaction_proof_shows_what_the_rules_said() {
    let day = Day::play();
    let refused = day.ledger.transaction_proof(3, 1);
    let header = refused.verify(&day.ledger.checkpoint()).unwrap();
    assert_eq!((header.height, header.transaction_count), (Height(3), 5));
    let reason = Refusal::CategoryNotGranted;
    assert_eq!(refused.receipt.outcome, Outcome::Refused { operation: 0, reason });
}

#[test]
fn a_stream_proof_shows_that_nothing_was_left_out() {
    let day = Day::play();
    let checkpoint = day.ledger.checkpoint();
    let all = day.ledger.stream_proof(StreamId::Subject(*SUBJECT), 0);
    let (_, part) = all.verify(&checkpoint).unwrap();
    assert_eq!((part.first, part.length), (0, 2), "a grant and a refused disclosure");
    let name = StreamId::Institution(institution("renhe-hospital"));
    let whole = day.ledger.stream_proof(name.clone(), 0).verify(&checkpoint).unwrap().1.length;
    for from in 0..=whole {
        let part = day.ledger.stream_proof(name.clone(), from as usize);
        let (_, part) = part.verify(&checkpoint).unwrap();
        assert_eq!((part.first, part.length), (from, whole));
    }
}

#[test]
fn a_statement_proof_names_amounts_and_parties() {
    let day = Day::play();
    let proof = day.ledger.statement_proof(day.agreement, 0);
    let verified = proof.verify(&day.ledger.checkpoint()).unwrap();
    assert_eq!(verified.closed_period.events, 3);
    assert_eq!(proof.statement.statement.total().unwrap().0, 3 * 18_000);
    assert_eq!(verified.agreement.terms.parties.len(), 2);
}

#[test]
fn p_1_other_documents_are_refused() {
    let day = Day::play();
    let json = ProofDocument::from(day.ledger.transaction_proof(1, 0)).to_json();
    let bend = |from: &str, to: &str| {
        let bent = json.replacen(from, to, 1);
        assert_ne!(bent, json, "{from} does not occur");
        ProofDocument::from_json(bent.as_bytes())
    };
    for (from, to) in [
        ("yilian-proof/v1", "yilian-proof/v2"),
        ("\"format\"", "\"fromat\""),
        ("\"transaction\"", "\"receipt\""),
        ("\"kind\":\"transaction\"", "\"kind\":\"state\""),
        ("\"receipt_inclusion\":{", "\"receipt_inclusion\":{\"note\": 1,"),
        ("\"effects\"", "\"side_effects\""),
    ] {
        assert!(matches!(bend(from, to), Err(ProofError::NotADocument { .. })), "{from} to {to}");
    }
    for text in ["", "{}", "null", "[]", &format!("{json} x")] {
        let error = ProofDocument::from_json(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ProofError::NotADocument { .. }), "{text}: {error}");
    }
    let long = format!("{json}{}", " ".repeat(PROOF_BYTES_MAX));
    assert_eq!(ProofDocument::from_json(long.as_bytes()), Err(ProofError::TooLong));
}

#[test]
fn p_2_to_p_4_the_checkpoint_decides_which_ledger() {
    let day = Day::play();
    let proof = day.ledger.transaction_proof(1, 0);
    let good = day.ledger.checkpoint();
    let empty = Checkpoint { validators: ValidatorSet::new(Vec::new()), ..good.clone() };
    assert_eq!(proof.verify(&empty), Err(ProofError::Checkpoint));
    let trusted = ChainId([1; 32]);
    let other = Checkpoint { chain_id: trusted, ..good.clone() };
    assert_eq!(proof.verify(&other), Err(ProofError::OtherChain { found: good.chain_id, trusted }));
    let pinned = |height, id| Checkpoint { height: Height(height), block_id: Some(id), ..good.clone() };
    let id = proof.block.header.id();
    assert!(proof.verify(&pinned(1, id)).is_ok());
    assert!(proof.verify(&pinned(2, BlockId([1; 32]))).is_ok(), "another height says nothing about this one");
    let refusal = Err(ProofError::TwoHistories { height: Height(1) });
    assert_eq!(proof.verify(&pinned(1, BlockId([1; 32]))), refusal);
    let mut newer = proof.clone();
    newer.block.header.version = 3;
    assert_eq!(newer.verify(&good), Err(ProofError::Version(UnknownVersion { found: 3 })));
}

#[test]
fn p_5_the_certificate_must_be_the_validators() {
    let day = Day::play();
    let checkpoint = day.ledger.checkpoint();
    let mut proof = day.ledger.transaction_proof(1, 0);
    let header = proof.block.header.clone();
    proof.block.certificate = certificate(&header, &["anping-hospital", "heping-hospital"]);
    let power = CertificateError::TooLittlePower { signed: 2, total: 4 };
    assert_eq!(proof.verify(&checkpoint), Err(ProofError::Certificate(power.clone())));
    let stranger = |id: &str| Validator {
        key: secret(id, Role::Node).public_key(),
        institution: institution(id),
        power: 1,
    };
    let validators = ValidatorSet::new(vec![stranger("anping-hospital"), stranger("renhe-hospital")]);
    let other = Checkpoint { validators, ..checkpoint.clone() };
    assert_eq!(proof.verify(&other), Err(ProofError::Certificate(CertificateError::OtherValidators)));
    // A file that nobody signed must not accuse the validators of two histories.
    let pinned = Checkpoint { height: Height(1), block_id: Some(BlockId([1; 32])), ..checkpoint };
    assert_eq!(proof.verify(&pinned), Err(ProofError::Certificate(power)));
}

#[test]
fn p_6_to_p_9_transaction_and_receipt_belong_together_and_into_the_block() {
    let day = Day::play();
    let checkpoint = &day.ledger.checkpoint();
    let good = day.ledger.transaction_proof(3, 1);
    let other = day.ledger.transaction_proof(3, 2);
    let mut proof = good.clone();
    proof.transaction.signature = other.transaction.signature;
    assert_eq!(proof.verify(checkpoint), Err(ProofError::Transaction(SemanticError::BadSignature)));
    let mut proof = good.clone();
    proof.receipt = other.receipt.clone();
    let found = other.receipt.transaction_id;
    assert_eq!(proof.verify(checkpoint), Err(ProofError::OtherReceipt { found }));
    let mut proof = good.clone();
    proof.transaction_inclusion = other.transaction_inclusion.clone();
    assert!(matches!(proof.verify(checkpoint), Err(ProofError::TransactionNotIncluded(_))));
    let mut proof = good.clone();
    proof.receipt_inclusion = other.receipt_inclusion.clone();
    assert_eq!(proof.verify(checkpoint), Err(ProofError::OtherPlace));
    let mut proof = good.clone();
    proof.receipt.outcome = Outcome::Applied;
    assert!(matches!(proof.verify(checkpoint), Err(ProofError::ReceiptNotIncluded(_))));
    let mut proof = good;
    proof.block = other.block;
    assert!(proof.verify(checkpoint).is_ok(), "they are of one block");
    proof.block = day.ledger.tip_block();
    assert!(matches!(proof.verify(checkpoint), Err(ProofError::TransactionNotIncluded(_))));
}

#[test]
fn p_10_and_p_11_rows_stand_in_the_state_or_do_not() {
    let day = Day::play();
    let checkpoint = &day.ledger.checkpoint();
    let plain = StateKey::Statement(day.agreement, 0);
    let mut hidden = day.ledger.state_proof(&plain);
    hidden.row.value = None;
    assert_eq!(hidden.verify(checkpoint), Err(ProofError::NotProvable), "absence that says nothing");
    let good = day.ledger.state_proof(&StateKey::Grant(day.grant));
    good.verify(checkpoint).unwrap();
    let mut denied = good.clone();
    denied.row.value = None;
    assert_eq!(denied.verify(checkpoint), Err(ProofError::Row(StateProofError::KeyPresent)));
    let mut changed = good.clone();
    let mut grant: Grant = changed.row.require("grant").unwrap();
    grant.grantee = institution("anping-hospital");
    changed.row.value = Some(codec::encode(&grant));
    assert_eq!(changed.verify(checkpoint), Err(ProofError::Row(StateProofError::OtherValue)));
    let mut invented = day.ledger.state_proof(&StateKey::Grant(GrantId([9; 32])));
    invented.row.value = good.row.value;
    assert!(matches!(invented.verify(checkpoint), Err(ProofError::Row(_))));
}

#[test]
fn p_12_to_p_15_a_stream_is_its_own_and_whole() {
    let day = Day::play();
    let checkpoint = &day.ledger.checkpoint();
    let good = day.ledger.stream_proof(StreamId::Subject(*SUBJECT), 0);
    let mut other = good.clone();
    other.stream = StreamId::Subject(SubjectTag([8; 32]));
    assert!(matches!(other.verify(checkpoint), Err(ProofError::OtherRow { .. })));
    let mut shorter = good.clone();
    shorter.entries.pop();
    assert_eq!(shorter.verify(checkpoint), Err(ProofError::EntriesMismatch), "the rest is not proven");
    let mut longer = good.clone();
    longer.entries.push(longer.entries[0].clone());
    assert_eq!(longer.verify(checkpoint), Err(ProofError::EntryCount { length: 2, found: 3 }));
    let mut none = good.clone();
    none.entries.clear();
    assert_eq!(none.verify(checkpoint), Err(ProofError::EntryCount { length: 2, found: 0 }));
    let mut exchanged = good.clone();
    exchanged.entries.swap(0, 1);
    assert_eq!(exchanged.verify(checkpoint), Err(ProofError::EntriesMismatch));
    // A part before that is made up: the right number of entries, but not those.
    let mut made_up = good.clone();
    let mut before = Frontier::new();
    before.append([3; 32]).unwrap();
    made_up.before = before;
    made_up.entries.remove(0);
    assert_eq!(made_up.verify(checkpoint), Err(ProofError::EntriesMismatch));
    // The head of another stream has another form of key; a row that is no head does not decode as one.
    let mut no_head = good;
    no_head.head = day.ledger.row(&StateKey::Grant(day.grant));
    assert!(matches!(no_head.verify(checkpoint), Err(ProofError::OtherRow { .. })));
}

/// Every part of a stream stands by itself, and follows those before it.
#[test]
fn p_14_p_15_p_21_parts_of_a_stream_are_proven_alone_and_go_together() {
    let day = Day::play();
    let checkpoint = &day.ledger.checkpoint();
    let name = StreamId::Institution(institution("renhe-hospital"));
    let length = day.ledger.stream_proof(name.clone(), 0).entries.len();
    assert!(length > 6);
    for size in 1..=length {
        let mut all: Option<StreamParts> = None;
        for from in (0..length).step_by(size) {
            let proof = day.ledger.stream_part(name.clone(), from, size);
            let (_, part) = proof.verify(checkpoint).unwrap();
            assert_eq!((part.first, part.length), (from as u64, length as u64));
            match &mut all {
                None => all = Some(StreamParts::new(&proof, part)),
                Some(all) => all.add(&proof, part).unwrap(),
            }
            let all = all.as_ref().unwrap();
            assert_eq!((all.first(), all.next()), (0, (from + size).min(length) as u64));
            assert_eq!(all.are_complete(), from + size >= length);
        }
    }
    let part = |from, count| {
        let proof = day.ledger.stream_part(name.clone(), from, count);
        let part = proof.part().unwrap();
        (proof, part)
    };
    let begun = |from, count| {
        let (proof, part) = part(from, count);
        StreamParts::new(&proof, part)
    };
    let (proof, gap) = part(4, 2);
    let missing = |expected| ProofError::PartMissing { stream: name.clone(), expected, found: 4 };
    assert_eq!(begun(0, 3).add(&proof, gap.clone()), Err(missing(3)));
    assert_eq!(begun(0, 5).add(&proof, gap.clone()), Err(missing(5)));
    assert_eq!(begun(2, 2).add(&proof, gap.clone()), Ok(()));
    // As long a part of another stream, and what lies before made up.
    let other = StreamId::Institution(institution("qinghe-hospital"));
    let theirs = day.ledger.stream_part(other, 0, 4);
    let differ = ProofError::PartsDiffer { stream: theirs.stream.clone(), first: 4 };
    let their_part = theirs.part().unwrap();
    assert_eq!(StreamParts::new(&theirs, their_part).add(&proof, gap.clone()), Err(differ));
    let mut made_up = proof.clone();
    made_up.before = Frontier::from_parts(4, vec![[7; 32]]).unwrap();
    let differ = ProofError::PartsDiffer { stream: name.clone(), first: 4 };
    assert_eq!(begun(0, 4).add(&made_up, gap), Err(differ));
}

#[test]
fn p_15_the_rest_of_a_stream_is_not_made_up() {
    let day = Day::play();
    let checkpoint = &day.ledger.checkpoint();
    let name = StreamId::Institution(institution("renhe-hospital"));
    let good = day.ledger.stream_part(name.clone(), 1, 2);
    let mut longer = good.clone();
    longer.consistency.push([1; 32]);
    assert_eq!(longer.verify(checkpoint), Err(ProofError::EntriesMismatch));
    let mut shorter = good;
    shorter.consistency.pop();
    assert_eq!(shorter.verify(checkpoint), Err(ProofError::EntriesMismatch));
    let mut whole = day.ledger.stream_proof(name, 0);
    whole.consistency.push([1; 32]);
    assert_eq!(whole.verify(checkpoint), Err(ProofError::EntriesMismatch));
    let mut empty = day.ledger.stream_proof(StreamId::Subject(SubjectTag([8; 32])), 0);
    assert!(empty.verify(checkpoint).is_ok());
    empty.consistency.push([1; 32]);
    assert_eq!(empty.verify(checkpoint), Err(ProofError::EntriesMismatch));
}

#[test]
fn p_19_a_transaction_stands_in_the_log_of_a_later_block() {
    let day = Day::play();
    let checkpoint = &day.ledger.checkpoint();
    for (height, index, id) in day.ledger.transactions().collect::<Vec<_>>() {
        let proof = day.ledger.inclusion_proof(height, index);
        assert_eq!(proof.transaction.id(), id);
        assert_eq!(proof.verify(checkpoint).unwrap().height, day.ledger.tip().height);
    }
    let good = day.ledger.inclusion_proof(3, 1);
    let mut elsewhere = good.clone();
    elsewhere.inclusion.index += 1;
    assert!(matches!(elsewhere.verify(checkpoint), Err(ProofError::NotInLog(_))));
    let mut earlier = good.clone();
    earlier.block = day.ledger.consistency_proof(3).earlier;
    assert!(matches!(earlier.verify(checkpoint), Err(ProofError::NotInLog(_))), "another size of the log");
    let mut became = good.clone();
    became.receipt.outcome = Outcome::Applied;
    assert!(matches!(became.verify(checkpoint), Err(ProofError::NotInLog(_))));
    let mut other = good.clone();
    other.transaction = day.ledger.inclusion_proof(3, 0).transaction;
    assert!(matches!(other.verify(checkpoint), Err(ProofError::OtherReceipt { .. })));
    let mut unsigned = good;
    unsigned.transaction.signature = day.ledger.inclusion_proof(3, 0).transaction.signature;
    assert!(matches!(unsigned.verify(checkpoint), Err(ProofError::Transaction(_))));
}

#[test]
fn p_20_a_log_only_grew() {
    let day = Day::play();
    let checkpoint = &day.ledger.checkpoint();
    for height in 1..4 {
        let proof = day.ledger.consistency_proof(height);
        assert_eq!(proof.verify(checkpoint).unwrap().height, day.ledger.tip().height);
    }
    let good = day.ledger.consistency_proof(2);
    let mut backwards = good.clone();
    (backwards.earlier, backwards.block) = (good.block.clone(), good.earlier.clone());
    let refused = ProofError::NotEarlier { earlier: Height(4), height: Height(2) };
    assert_eq!(backwards.verify(checkpoint), Err(refused));
    let mut same = good.clone();
    same.earlier = good.block.clone();
    let refused = ProofError::NotEarlier { earlier: Height(4), height: Height(4) };
    assert_eq!(same.verify(checkpoint), Err(refused));
    let mut other = good.clone();
    other.earlier = day.ledger.consistency_proof(3).earlier;
    assert!(matches!(other.verify(checkpoint), Err(ProofError::LogNotConsistent(_))));
    let mut bent = good.clone();
    bent.consistency.path[0][0] ^= 1;
    assert!(matches!(bent.verify(checkpoint), Err(ProofError::LogNotConsistent(_))));
    // Whoever is shown the earlier block must be shown that it was final.
    let mut invented = good;
    invented.earlier.header.log_root.0[0] ^= 1;
    assert!(matches!(invented.verify(checkpoint), Err(ProofError::Certificate(_))));
}

#[test]
fn p_13_a_malformed_part_before_is_refused() {
    let day = Day::play();
    let document: ProofDocument = day.ledger.stream_proof(StreamId::Subject(*SUBJECT), 0).into();
    let bent = document.to_json().replacen("\"length\":0", "\"length\":1", 1);
    let bent = ProofDocument::from_json(bent.as_bytes()).unwrap();
    assert!(matches!(bent.verify(&day.ledger.checkpoint()), Err(ProofError::Head(_))));
}

#[test]
fn p_16_a_statement_is_the_closed_periods() {
    let day = Day::play();
    let checkpoint = &day.ledger.checkpoint();
    let good = day.ledger.statement_proof(day.agreement, 0);
    let mut changed = good.clone();
    changed.statement.statement.lines[0].share.amount_minor.0 += 1;
    assert_eq!(changed.verify(checkpoint), Err(ProofError::StatementMismatch));
    let mut other = good.clone();
    other.statement.period = 1;
    assert!(matches!(other.verify(checkpoint), Err(ProofError::OtherRow { .. })));
    let mut absent = good.clone();
    absent.statement.period = 1;
    absent.closed_period = day.ledger.row(&StateKey::ClosedPeriod(day.agreement, 1));
    assert!(matches!(absent.verify(checkpoint), Err(ProofError::Absent { .. })));
    let closed: ClosedPeriod = good.closed_period.require("closed period").unwrap();
    assert_eq!(closed.events, 3);
    let form = good.agreement_row.read::<ClosedPeriod>("closed period");
    assert!(matches!(form, Err(ProofError::RowForm { .. })));
}

#[test]
fn streams_have_one_text_form() {
    let day = Day::play();
    let streams = [
        StreamId::Subject(*SUBJECT),
        StreamId::Institution(institution("renhe-hospital")),
        StreamId::Grant(day.grant),
        StreamId::Period { agreement: day.agreement, period: 12 },
    ];
    for stream in streams {
        assert_eq!(stream.to_string().parse(), Ok(stream.clone()));
    }
    let agreement = day.agreement;
    for text in ["", "subject", "subject/x", "patient/7", "period/7"] {
        assert!(text.parse::<StreamId>().is_err(), "{text}");
    }
    for number in ["", "01", "+1", "-1", "4294967296"] {
        assert!(format!("period/{agreement}.{number}").parse::<StreamId>().is_err(), "{number}");
    }
}
