//! Inputs to begin with, made by the project's own code: `yilian-fuzz --seeds` writes them into the corpus, from where
//! coverage leads on.

use std::collections::BTreeMap;

use age::secrecy::SecretString;
use bytes::Bytes;
use futures::FutureExt as _;
use yilian_client::consortium::Consortium;
use yilian_client::import::document::Key;
use yilian_client::import::journal::Journal;
use yilian_client::import::mapping::Mapping;
use yilian_local::sealed::{WorkFactor, seal};
use yilian_node::consensus::proposal::{ProposalPosition, split};
use yilian_node::network::address_record::{self, AddressRecord};
use yilian_node::network::link::{Frame, Lane, write_frames};
use yilian_node::network::{NodeIdentity, Topic};
use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId, ServiceCode, ServiceId};
use yilian_spec::base::money::AmountMinor;
use yilian_spec::crypto::merkle::log::{Frontier, LogTree, leaf_hash};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::crypto::token::{self, Audience, Claims};
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::ledger::block::Block;
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::proof::{Checkpoint, ProofDocument, TransactionProof};
use yilian_spec::settlement::period::{PartPlayed, ServiceEvent};
use yilian_spec::settlement::{PartRole, PartyIndex};
use yilian_spec::state::key::StateKey;

use super::machine::{self, script};
use super::{settlement, wire};
use crate::simulator::consortium;
use crate::simulator::random::Random;

#[allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::new_without_default,
    reason = "written for the tests of the specification"
)]
#[path = "../../../spec/tests/proof/ledger.rs"]
mod ledger;

/// The chain and the time for which the tokens are made.
pub const CHAIN_ID: ChainId = ChainId([3; 32]);
/// In seconds since 1970.
pub const TOKEN_TIME_S: u64 = 1_790_000_000;
/// What opens the sealed seed.
pub const PASSPHRASE: &str = "a passphrase for tests";
/// What is sealed in it.
pub const SEALED: &[u8] = b"the content of a sealed file";

/// A genesis of four validators.
pub fn genesis() -> Genesis {
    consortium::genesis()
}

fn proofs() -> Vec<TransactionProof> {
    let day = ledger::Day::play();
    day.ledger.transactions().map(|(height, index, _)| day.ledger.transaction_proof(height, index)).collect()
}

fn encodings<T: codec::Canonical>(values: impl IntoIterator<Item = T>) -> Vec<Vec<u8>> {
    values.into_iter().map(|value| codec::encode(&value)).collect()
}

/// One transaction for each kind of its first operation.
fn transactions_of_each_kind() -> Vec<Transaction> {
    let mut found = BTreeMap::new();
    for play in plays() {
        for transaction in machine::play(&play).transactions {
            found.entry(transaction.body.operations[0].name()).or_insert(transaction);
        }
    }
    found.into_values().collect()
}

/// Transactions.
pub fn transactions() -> Vec<Vec<u8>> {
    encodings(transactions_of_each_kind())
}

/// Operations.
pub fn operations() -> Vec<Vec<u8>> {
    encodings(
        transactions_of_each_kind().into_iter().map(|mut transaction| transaction.body.operations.remove(0)),
    )
}

/// Blocks.
pub fn blocks() -> Vec<Vec<u8>> {
    let block =
        |proof: TransactionProof| Block { header: proof.block.header, transactions: vec![proof.transaction] };
    encodings(proofs().into_iter().map(block).take(3))
}

/// Headers.
pub fn headers() -> Vec<Vec<u8>> {
    encodings(proofs().into_iter().map(|proof| proof.block.header).take(2))
}

/// Certificates, alone and with the header and the validators that they are for.
pub fn certificates() -> Vec<Vec<u8>> {
    let day = ledger::Day::play();
    let (block, validators) = (day.ledger.tip_block(), day.ledger.checkpoint().validators);
    let claim = codec::encode(&(block.certificate.clone(), block.header, validators));
    vec![codec::encode(&block.certificate), claim]
}

/// Geneses.
pub fn geneses() -> Vec<Vec<u8>> {
    encodings([genesis(), machine::world::genesis()])
}

/// Receipts.
pub fn receipts() -> Vec<Vec<u8>> {
    encodings(proofs().into_iter().map(|proof| proof.receipt))
}

/// State proofs, places in logs, logs that go on, heads of logs.
pub fn state_proofs() -> Vec<Vec<u8>> {
    let day = ledger::Day::play();
    let keys = [
        StateKey::Parameters,
        StateKey::Grant(day.grant),
        StateKey::Referral(yilian_spec::base::id::ReferralId([0; 32])),
    ];
    let mut found = encodings(keys.iter().map(|key| day.ledger.row(key).path));
    let leaves: Vec<_> = (0..11u8).map(|entry| leaf_hash(&[entry])).collect();
    let tree = LogTree::from_leaf_hashes(&leaves);
    found.extend(encodings(tree.prove_inclusion(6)));
    found.extend(encodings(tree.prove_consistency(6)));
    found.extend(encodings([Frontier::new(), tree.frontier().clone()]));
    found
}

/// Proof documents of every kind.
pub fn proof_documents() -> Vec<Vec<u8>> {
    let compact = |document: ProofDocument| serde_json::to_vec(&document).expect("a proof has a JSON form");
    ledger::Day::play().documents().into_iter().map(compact).collect()
}

/// Checkpoints.
pub fn checkpoints() -> Vec<Vec<u8>> {
    let first = Checkpoint::of_genesis(&genesis());
    let later = Checkpoint { height: Height(9), block_id: Some(BlockId([4; 32])), ..first.clone() };
    [first, later].iter().map(|one| serde_json::to_vec(one).expect("a checkpoint has a JSON form")).collect()
}

/// Genesis files.
pub fn genesis_documents() -> Vec<Vec<u8>> {
    vec![serde_json::to_vec(&genesis()).expect("a genesis has a JSON form")]
}

/// Whom the tokens are for.
pub fn token_audience() -> Audience {
    Audience { chain_id: CHAIN_ID, node: SecretKey::from_seed(&[8; 32]).public_key() }
}

/// Tokens.
pub fn tokens() -> Vec<Vec<u8>> {
    let key = SecretKey::from_seed(&[6; 32]);
    let plain = Claims::new("renhe-hospital", &token_audience(), TOKEN_TIME_S, 60);
    let mut with_nonce = plain.clone();
    with_nonce.nonce = Some("n-1".to_owned());
    let sign = |claims: &Claims| token::sign(claims, &key).expect("the claims are in order").into_bytes();
    vec![sign(&plain), sign(&with_nonce)]
}

/// Bodies of submissions in their three forms; the first byte chooses the content type.
pub fn submissions() -> Vec<Vec<u8>> {
    let transaction = &transactions_of_each_kind()[0];
    let encoded = codec::encode(transaction);
    let json = serde_json::to_vec(transaction).expect("a transaction has a JSON form");
    let many = serde_json::json!({ "transactions": [hex::encode(&encoded), "00"] }).to_string();
    vec![
        [&[0], json.as_slice()].concat(),
        [&[0], many.as_bytes()].concat(),
        [&[1], encoded.as_slice()].concat(),
    ]
}

/// Node configurations.
pub fn node_configurations() -> Vec<Vec<u8>> {
    vec![include_bytes!("../../../node/src/config/default.toml").to_vec(), b"[node]\n".to_vec()]
}

/// Client configurations.
pub fn client_configurations() -> Vec<Vec<u8>> {
    let profile = "default_profile = \"access\"\n\n[profiles.access]\nnodes = [\"http://127.0.0.1:8080\"]\n\
                   institution = \"renhe-hospital\"\nkey = \"access.key\"\npassphrase = \"env:NAME\"\n";
    vec![profile.as_bytes().to_vec(), b"[profiles]\n".to_vec()]
}

/// Consortium files.
pub fn consortium_files() -> Vec<Vec<u8>> {
    let two = "[[institution]]\nid = \"renhe-hospital\"\nkind = \"hospital\"\ntier = \"province\"\n\
               consortia = [\"renhe-consortium\"]\napi = \"http://127.0.0.1:8080\"\n\
               keys = { administrator = \"administrator.key\" }\n\n\
               [[institution]]\nid = \"anping-insurer\"\nkind = \"insurer\"\n";
    toml::from_str::<Consortium>(two).expect("the first seed is one that is read");
    vec![two.as_bytes().to_vec(), b"[[institution]]\n".to_vec()]
}

/// Mappings of organisations.
pub fn mappings() -> Vec<Vec<u8>> {
    let mapping = "payer = \"anping-insurer\"\n\n[payers]\n\"payer-1\" = \"anping-insurer\"\n\n\
                   [organizations]\n\"o1\" = \"renhe-hospital\"\n";
    toml::from_str::<Mapping>(mapping).expect("the first seed is one that is read");
    vec![mapping.as_bytes().to_vec(), b"payer = \"\"\n".to_vec()]
}

/// Journals of imports: one begun, and one with a transaction of each fate and a last line that was cut off.
pub fn journals() -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("journal.ndjson");
    let read = || std::fs::read(&path).expect("the journal can be read");
    let mut journal = Journal::open(&path, CHAIN_ID, None).expect("a journal can be begun");
    let begun = read();
    let signed: Vec<_> = transactions_of_each_kind().into_iter().take(4).collect();
    let ids: Vec<_> = signed.iter().map(Transaction::id).collect();
    let keyed = |(number, transaction): (u8, Transaction)| {
        let keys =
            (0..transaction.body.operations.len()).map(|_| (Key([number; 32]), [number; 32])).collect();
        (transaction, keys)
    };
    journal.sign((1..).zip(signed).map(keyed).collect()).expect("the journal can be written");
    let refused = Outcome::Refused { operation: 0, reason: Refusal::EvidenceRepeated };
    let outcomes = [(ids[0], Some(Outcome::Applied)), (ids[1], Some(refused)), (ids[2], None)];
    journal.finish(&outcomes).expect("the journal can be written");
    journal.note_reversed(&[ServiceId([7; 32])]).expect("the journal can be written");
    journal.note_known(&[(Key([1; 32]), Some([9; 32]))]).expect("the journal can be written");
    let mut cut = read();
    cut.extend(b"{\"applied\":\"");
    vec![begun, cut]
}

/// Frames, several after each other, on each lane.
pub fn frames() -> Vec<Vec<u8>> {
    let frames_of = |lane: Lane| {
        let topics = Topic::ALL.into_iter().filter(move |topic| topic.lane() == lane);
        let frames: Vec<Frame> =
            topics.map(|topic| Frame { topic, payload: Bytes::from_static(b"a message") }).collect();
        let mut bytes = Vec::new();
        let written = write_frames(&mut bytes, &frames).now_or_never();
        assert!(written.is_some_and(|result| result.is_ok()), "writing to memory neither waits nor fails");
        bytes
    };
    Lane::ALL.into_iter().map(frames_of).collect()
}

/// Files of resources, as lines and as a bundle; the first byte chooses.
pub fn fhir() -> Vec<Vec<u8>> {
    let resources = [
        r#"{"resourceType":"Organization","id":"o1","name":"A hospital"}"#,
        r#"{"resourceType":"Patient","id":"p1"}"#,
        r#"{"resourceType":"Encounter","id":"e1","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p1"},"serviceProvider":{"reference":"Organization/o1"},"period":{"start":"1969-12-31T10:00:00Z","end":"2019-01-02T10:00:00+08:00"}}"#,
        r#"{"resourceType":"Claim","id":"c1","status":"active","use":"claim","type":{"coding":[{"code":"institutional"}]},"provider":{"reference":"Organization/o1"},"insurance":[{"focal":true,"coverage":{"display":"state"}}],"item":[{"encounter":[{"reference":"Encounter/e1"}]}],"total":{"value":129.165,"currency":"USD"}}"#,
        r#"{"resourceType":"ExplanationOfBenefit","id":"b1","status":"active","use":"claim","created":"2001","claim":{"reference":"Claim/c1"},"payment":{"amount":{"value":1e2,"currency":"USD"}}}"#,
        r#"{"resourceType":"Observation","id":"v1","encounter":{"reference":"urn:uuid:e1"},"category":[{"coding":[{"code":"laboratory"}]}]}"#,
    ];
    let lines = resources.join("\n");
    let entry = |resource: &&str| format!("{{\"fullUrl\":\"urn:uuid:e1\",\"resource\":{resource}}}");
    let entries: Vec<String> = resources.iter().map(entry).collect();
    let bundle = format!("{{\"resourceType\":\"Bundle\",\"entry\":[{}]}}", entries.join(","));
    vec![[&[0], lines.as_bytes()].concat(), [&[1], bundle.as_bytes()].concat()]
}

/// A sealed file. Its salt is random, so the corpus keeps one.
pub fn sealed() -> Vec<Vec<u8>> {
    let passphrase = SecretString::from(PASSPHRASE.to_owned());
    vec![seal(SEALED, &passphrase, WorkFactor::TESTS_ONLY).expect("a few bytes can be sealed")]
}

/// Votes, proposals, certificates and logged values, written field by field.
pub fn consensus_messages() -> Vec<Vec<u8>> {
    let (hash, signature) = ([4u8; 32], [9u8; 64]);
    let vote = (1u8, 7u64, Some(2u32), Some(hash), [1u8; 32], signature);
    let nil = (2u8, 7u64, None::<u32>, None::<[u8; 32]>, [1u8; 32], signature);
    let proposal = (9u64, Some(0u32), hash, None::<u32>, [2u8; 32], signature);
    let polka = (3u64, Some(1u32), hash, vec![([1u8; 32], signature), ([2u8; 32], signature)]);
    let round = (3u64, Some(1u32), 1u8, vec![(1u8, None::<[u8; 32]>, [5u8; 32], signature)]);
    let logged = (11u64, Some(4u32), None::<u32>, [3u8; 32], hash, true);
    vec![
        codec::encode(&(0u32, vote)),
        codec::encode(&(0u32, nil)),
        codec::encode(&(1u32, proposal)),
        codec::encode(&(1u32, polka.clone())),
        codec::encode(&(2u32, round)),
        codec::encode(&polka),
        codec::encode(&logged),
    ]
}

/// Statuses, notices, requests, and a response of two blocks.
pub fn sync_messages() -> Vec<Vec<u8>> {
    let mut response = codec::encode(&(1u64, 2u32));
    for proof in proofs().into_iter().take(2) {
        let certificate = codec::encode(&proof.block.certificate);
        response.extend((certificate.len() as u32).to_le_bytes());
        response.extend(certificate);
        response.extend(3u32.to_le_bytes());
        response.extend([1, 2, 3]);
    }
    let mut messages =
        vec![codec::encode(&(9u64, 1u64)), codec::encode(&9u64), codec::encode(&(3u64, 5u64)), response];
    messages.extend(address_frames());
    messages
}

/// Address records.
fn address_frames() -> Vec<Vec<u8>> {
    let identity = NodeIdentity::from_ed25519_seed([9; 32]).expect("a seed makes an identity");
    let addresses = ["10.0.0.7:26600", "[2001:db8::1]:26600", "node.example:26600"];
    let addresses = addresses.iter().filter_map(|address| address.parse().ok()).collect();
    let records = [
        AddressRecord::sign(&identity, wire::CHAIN, 5, addresses),
        AddressRecord::sign(&identity, wire::CHAIN, 6, Vec::new()),
    ];
    address_record::frames(records.iter()).iter().map(|frame| frame.to_vec()).collect()
}

/// Parts of a proposed block.
pub fn parts() -> Vec<Vec<u8>> {
    let position = ProposalPosition { height: Height(4), round: 1, valid_round: Some(0) };
    let key = SecretKey::from_seed(&[8; 32]);
    let payload = Bytes::from(vec![7; 100]);
    split(wire::CHAIN, &key, position, BlockId([2; 32]), &payload).iter().map(|part| part.to_vec()).collect()
}

/// Batches of transactions.
pub fn batches() -> Vec<Vec<u8>> {
    let transactions = transactions_of_each_kind();
    encodings([transactions[..2].to_vec(), Vec::new()])
}

/// Terms of agreements with events under them.
pub fn agreements() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for transaction in
        transactions_of_each_kind().into_iter().chain(proofs().into_iter().map(|proof| proof.transaction))
    {
        for operation in transaction.body.operations {
            if let yilian_spec::domain::Operation::ProposeAgreement(proposal) = operation {
                found.push(codec::encode::<settlement::Story>(&(
                    proposal.terms.clone(),
                    events(&proposal.terms.services),
                )));
            }
        }
    }
    found
}

fn events(services: &std::collections::BTreeSet<ServiceCode>) -> Vec<(ServiceEvent, bool)> {
    let event = |(service, gross): (&ServiceCode, i64)| ServiceEvent {
        service: service.clone(),
        gross_minor: AmountMinor(gross),
        parts: vec![PartPlayed { party: PartyIndex(0), role: PartRole::Expert }],
    };
    services
        .iter()
        .zip([101, 99])
        .map(event)
        .flat_map(|event| [(event.clone(), false), (event, true)])
        .collect()
}

/// Plays of the state machine: three days as one would play them, and random ones.
pub fn plays() -> Vec<Vec<u8>> {
    let mut random = Random::new(11);
    let mut plays = script::all();
    for length in [8, 16, 32, 64] {
        plays.push((0..length).flat_map(|_| random.bytes()).collect());
    }
    plays
}
