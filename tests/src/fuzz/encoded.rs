//! The canonical encodings: what decodes encodes to the same bytes, and no check of it panics.

use std::hint::black_box;

use yilian_spec::base::codec::{self, Canonical};
use yilian_spec::base::limits;
use yilian_spec::crypto::merkle::log::{ConsistencyProof, Frontier, InclusionProof};
use yilian_spec::crypto::merkle::state_tree::{KeyHash, StateProof};
use yilian_spec::domain::Operation;
use yilian_spec::ledger::block::{Block, CommitCertificate, Header};
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::ledger::receipt::Receipt;
use yilian_spec::ledger::received::ReceivedBlock;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::ledger::validation::{semantic, structural};

/// Decodes strictly; what is accepted is the encoding of its value (rule E-4).
///
/// # Panics
/// When it is not.
pub fn decoded<T: Canonical>(bytes: &[u8], limit: usize) -> Option<T> {
    let value: T = codec::decode(bytes, limit).ok()?;
    assert!(codec::encode(&value) == bytes, "an accepted encoding is not the value's own");
    Some(value)
}

/// Its JSON form must read back as the same value: what the API answers is what the ledger holds.
fn assert_json<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq>(value: &T) {
    let json = serde_json::to_vec(value).expect("protocol values have a JSON form");
    let again: T = serde_json::from_slice(&json).expect("what was written as JSON is read again");
    assert!(again == *value, "JSON changed a value: {}", String::from_utf8_lossy(&json));
}

/// A transaction, and all checks of it that need no state.
pub fn transaction(bytes: &[u8]) {
    let Some(value) = decoded::<Transaction>(bytes, limits::TRANSACTION_BYTES_MAX) else {
        assert!(
            structural::decode(bytes).is_err(),
            "a transaction that does not decode passes the structural check"
        );
        return;
    };
    let is_well_formed = structural::decode(bytes).is_ok();
    let chain_id = value.body.chain_id;
    match semantic::check(value.clone(), chain_id) {
        Ok(checked) => {
            assert!(is_well_formed, "the semantic check passes what the structural one refuses");
            assert!(checked.id() == value.id() && checked.encoded() == bytes);
            assert_json(&value);
        }
        Err(error) => drop(black_box(error.to_string())),
    }
}

/// A block. The reader of received blocks, which looks at them piece by piece, must agree with the strict decoder.
pub fn block(bytes: &[u8]) {
    let value = decoded::<Block>(bytes, limits::BLOCK_BYTES_MAX);
    let received = ReceivedBlock::decode(bytes, limits::BLOCK_BYTES_MAX, |_| None).ok();
    assert!(received == value.clone().map(ReceivedBlock::from), "two readers of a block disagree");
    if let Some(value) = value {
        black_box(value.header.id());
        for transaction in &value.transactions {
            black_box(transaction.id());
        }
    }
}

/// A header.
pub fn header(bytes: &[u8]) {
    if let Some(value) = decoded::<Header>(bytes, limits::HEADER_BYTES_MAX) {
        black_box(value.id());
        assert_json(&value);
    }
}

/// A certificate with the header and the validators it is for, as one value.
pub fn certificate(bytes: &[u8]) {
    if let Some(value) = decoded::<CommitCertificate>(bytes, limits::CERTIFICATE_BYTES_MAX) {
        assert_json(&value);
    }
    type Claim = (CommitCertificate, Header, yilian_spec::domain::membership::validators::ValidatorSet);
    if let Some((certificate, header, validators)) = decoded::<Claim>(bytes, limits::CERTIFICATE_BYTES_MAX)
        && validators.is_well_formed()
        && certificate.verify(&header, &validators).is_ok()
    {
        let signed: u64 = certificate
            .signatures
            .iter()
            .filter_map(|entry| validators.get(&entry.validator))
            .map(|validator| validator.power)
            .sum();
        assert!(3 * signed > 2 * validators.total_power(), "a certificate passes with {signed} of the power");
        assert!(certificate.block_id == header.id());
    }
}

/// A genesis, its rules and its rows.
pub fn genesis(bytes: &[u8]) {
    if let Some(value) = decoded::<Genesis>(bytes, limits::GENESIS_BYTES_MAX)
        && value.check().is_ok()
    {
        assert_json(&value);
        black_box(yilian_spec::ledger::chain::genesis_writes(&value));
    }
}

/// A receipt.
pub fn receipt(bytes: &[u8]) {
    if let Some(value) = decoded::<Receipt>(bytes, limits::PROOF_BYTES_MAX) {
        assert_json(&value);
    }
}

/// One operation.
pub fn operation(bytes: &[u8]) {
    if let Some(value) = decoded::<Operation>(bytes, limits::TRANSACTION_BYTES_MAX) {
        black_box((value.name(), value.role()));
    }
}

/// Proofs of rows, of places in a log, of logs that go on, and heads of logs; each may be the bytes.
pub fn state_proof(bytes: &[u8]) {
    let root = [7; 32];
    if let Some(proof) = decoded::<StateProof>(bytes, limits::PROOF_BYTES_MAX) {
        assert!(proof.verify_hashed(&root, &KeyHash([1; 32]), None).is_err());
        assert_json(&proof);
    }
    if let Some(proof) = decoded::<InclusionProof>(bytes, limits::PROOF_BYTES_MAX) {
        assert!(proof.verify(&[2; 32], proof.size, &root).is_err());
    }
    if let Some(proof) = decoded::<ConsistencyProof>(bytes, limits::PROOF_BYTES_MAX) {
        let (old, new) = ((proof.old_size, &[3; 32]), (proof.new_size, &root));
        assert!(proof.verify(old, new).is_err());
    }
    if let Some(mut frontier) = decoded::<Frontier>(bytes, limits::PROOF_BYTES_MAX) {
        let is_valid = frontier.validate().is_ok();
        black_box(frontier.root());
        let length = frontier.length();
        if frontier.append([4; 32]).is_ok() {
            assert!(is_valid && frontier.length() == length + 1 && frontier.validate().is_ok());
        }
    }
}
