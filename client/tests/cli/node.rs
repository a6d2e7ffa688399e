//! The little ledger behind HTTP: real tokens, real state machine, real proofs, and faults on demand. It stands in for
//! a node only where a node is to misbehave or to be slow; whole nodes are tested by the whole-system tests.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use yilian_spec::base::codec;
use yilian_spec::base::id::TransactionId;
use yilian_spec::base::limits::TRANSACTION_BYTES_MAX;
use yilian_spec::crypto::signature::{PublicKey, SecretKey};
use yilian_spec::crypto::token::{self, Audience, TokenError};
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::ledger::trial::decode_body;
use yilian_spec::proof::ProofDocument;
use yilian_spec::state::key::StreamId;

use crate::ledger::{Day, Ledger};

/// As many entries as a node proves at once.
const ENTRIES_PER_PROOF_MAX: usize = 4_000;

/// What the node does instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Closes the connection.
    Hangs,
    /// Says it is not ready.
    NotReady,
    /// Answers with something else than JSON.
    Garbage,
    /// Answers without end.
    Endless,
    /// Takes a transaction and forgets it.
    Forgets,
    /// Proves something else than was asked for.
    OtherProof,
    /// Says that the token has expired.
    LateToken,
}

#[derive(Default)]
struct Shared {
    faults: VecDeque<Fault>,
    submitted: Vec<Vec<u8>>,
    requests: usize,
    tokens: Vec<String>,
    /// How far its clock is ahead, in milliseconds.
    clock_ahead_ms: i64,
    /// Identifiers of transactions that it shows to others only.
    hidden: Vec<String>,
    /// Identifiers of transactions that it does not have.
    lost: Vec<String>,
}

/// A running node.
pub struct Node {
    pub url: String,
    key: PublicKey,
    shared: Arc<Mutex<Shared>>,
}

/// Every node of a test has a key of its own.
fn new_key() -> PublicKey {
    static NUMBER: AtomicU8 = AtomicU8::new(1);
    SecretKey::from_seed(&[NUMBER.fetch_add(1, Ordering::Relaxed); 32]).public_key()
}

impl Node {
    pub fn start(day: Arc<Mutex<Day>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (state, key) = (Arc::clone(&shared), new_key());
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (day, state) = (Arc::clone(&day), Arc::clone(&state));
                std::thread::spawn(move || serve(stream, key, &day, &state));
            }
        });
        Self { url, key, shared }
    }

    /// Makes the next requests fail, one each.
    pub fn fail(&self, faults: &[Fault]) {
        self.shared.lock().unwrap().faults.extend(faults);
    }

    /// Its key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Sets its clock.
    pub fn set_clock_ahead(&self, ahead_ms: i64) {
        self.shared.lock().unwrap().clock_ahead_ms = ahead_ms;
    }

    /// Shows a transaction to others only.
    pub fn hide(&self, id: &str) {
        self.shared.lock().unwrap().hidden.push(id.to_owned());
    }

    /// Does not have a transaction any more.
    pub fn lose(&self, id: &str) {
        self.shared.lock().unwrap().lost.push(id.to_owned());
    }

    /// Every token it was shown.
    pub fn tokens(&self) -> Vec<String> {
        self.shared.lock().unwrap().tokens.clone()
    }

    /// What it answers to a request with this token.
    pub fn status_for(&self, token: &str) -> u16 {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        let request = format!("GET /v1/grants HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The bytes of every transaction it was sent.
    pub fn submitted(&self) -> Vec<Vec<u8>> {
        self.shared.lock().unwrap().submitted.clone()
    }

    pub fn requests(&self) -> usize {
        self.shared.lock().unwrap().requests
    }
}

struct Asked {
    path: String,
    query: String,
    token: Option<String>,
    body: Vec<u8>,
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let target = line.split(' ').nth(1)?.to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut asked = Asked { path: path.to_owned(), query: query.to_owned(), token: None, body: Vec::new() };
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => asked.token = value.strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    asked.body = vec![0; length];
    stream.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

fn serve(stream: TcpStream, key: PublicKey, day: &Mutex<Day>, shared: &Mutex<Shared>) {
    let mut out = stream.try_clone().unwrap();
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read(&mut stream) {
        let (fault, clock_ahead_ms) = {
            let mut shared = shared.lock().unwrap();
            shared.requests += 1;
            shared.tokens.extend(asked.token.clone());
            if asked.path == "/v1/transactions" {
                shared.submitted.push(asked.body.clone());
            }
            // What a request needs before it can be made is not what fails.
            let is_before = ["/v1/chain", "/v1/transactions/check"].contains(&asked.path.as_str());
            let fault = if is_before { None } else { shared.faults.pop_front() };
            (fault, shared.clock_ahead_ms)
        };
        let is_about = |ids: &[String]| ids.iter().any(|id| asked.path.contains(id));
        let (is_hidden, is_lost) = {
            let shared = shared.lock().unwrap();
            (is_about(&shared.hidden), is_about(&shared.lost))
        };
        let (status, body) = match fault {
            _ if is_hidden => error(403, "not_yours", "the transaction does not concern your institution"),
            _ if is_lost => error(404, "not_found", "there is no such transaction"),
            Some(Fault::Hangs) => return,
            Some(Fault::NotReady) => error(503, "syncing", "the node is catching up"),
            Some(Fault::Garbage) => (200, "<html>".to_owned()),
            Some(Fault::Endless) => return endless(&mut out),
            Some(Fault::LateToken) => error(401, "token_expired", "the token expired 40 s ago (rule J-9)"),
            _ => answer(&asked, &mut day.lock().unwrap(), key, fault),
        };
        let clock_ms = now_ms().checked_add_signed(clock_ahead_ms).unwrap();
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nX-Yilian-Time-Ms: {clock_ms}\r\n\r\n",
            body.len()
        );
        if out.write_all(head.as_bytes()).and_then(|()| out.write_all(body.as_bytes())).is_err() {
            return;
        }
    }
}

fn endless(out: &mut TcpStream) {
    let chunk = [b' '; 1 << 16];
    let _ = out.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    while out.write_all(&chunk).is_ok() {}
}

fn error(status: u16, code: &str, message: &str) -> (u16, String) {
    (status, json!({"error": {"code": code, "message": message}}).to_string())
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn answer(asked: &Asked, day: &mut Day, key: PublicKey, fault: Option<Fault>) -> (u16, String) {
    let open = matches!(asked.path.as_str(), "/health" | "/v1/chain" | "/v1/checkpoint");
    let audience = Audience { chain_id: day.ledger.checkpoint().chain_id, node: key };
    let verified = |token: &String| token::parse_and_verify(token, now_ms() / 1_000, &audience);
    if !open {
        match asked.token.as_ref().map(verified) {
            Some(Ok(_)) => {}
            Some(Err(TokenError::OtherNode)) => {
                return error(401, "token_for_another_node", "sign for this node");
            }
            Some(Err(_)) | None => return error(401, "no_token", "sign the request"),
        }
    }
    let path: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
    let document: Option<ProofDocument> = match path.as_slice() {
        ["health"] => return (503, json!({"status": "syncing", "reason": "7 blocks behind"}).to_string()),
        ["v1", "chain"] => return (200, chain(&day.ledger, key).to_string()),
        ["v1", "checkpoint"] => {
            return (200, serde_json::to_string(&day.ledger.checkpoint()).unwrap());
        }
        ["v1", "blocks", height] => {
            let height = height.parse().unwrap_or(day.ledger.tip().height.0);
            let Some(found) = day.ledger.block_at(height) else {
                return error(404, "not_found", "there is no such block");
            };
            let mut block = serde_json::to_value(found).unwrap();
            block["transactions"] = json!([]);
            return (200, block.to_string());
        }
        ["v1", "grants"] => return (200, grants(day).to_string()),
        ["v1", "transactions"] => return (202, submit(asked, &mut day.ledger, fault).to_string()),
        ["v1", "transactions", "check"] => {
            let outcome = day.ledger.trial(decode_body(&asked.body).unwrap());
            return (200, json!({"height": day.ledger.tip().height, "outcome": outcome}).to_string());
        }
        ["v1", "transactions", id] => return transaction(&day.ledger, id),
        _ if fault == Some(Fault::OtherProof) => Some(day.ledger.transaction_proof(1, 0).into()),
        ["v1", "transactions", id, "proof"] => {
            find(&day.ledger, id).map(|(height, index)| day.ledger.transaction_proof(height, index).into())
        }
        ["v1", "transactions", id, "inclusion"] => {
            find(&day.ledger, id).map(|(height, index)| day.ledger.inclusion_proof(height, index).into())
        }
        ["v1", "blocks", height, "consistency"] => {
            Some(day.ledger.consistency_proof(height.parse().unwrap()).into())
        }
        ["v1", "state", key, "proof"] => {
            let row = day.ledger.row_under(hex::decode(key).unwrap());
            Some(yilian_spec::proof::StateProof { row, block: day.ledger.tip_block() }.into())
        }
        ["v1", "streams", kind, id, "proof"] => {
            let number = |name: &str| {
                asked
                    .query
                    .split('&')
                    .find_map(|pair| pair.strip_prefix(name))
                    .map(|text| text.parse().unwrap())
            };
            let (from, limit) = (number("from=").unwrap_or(0), number("entries="));
            let limit = limit.unwrap_or(ENTRIES_PER_PROOF_MAX);
            Some(day.ledger.stream_part(StreamId::from_parts(kind, id).unwrap(), from, limit).into())
        }
        ["v1", "agreements", id, "periods", period, "statement", "proof"] => {
            Some(day.ledger.statement_proof(id.parse().unwrap(), period.parse().unwrap()).into())
        }
        _ => None,
    };
    match document {
        Some(document) => (200, document.to_json()),
        None => error(404, "not_found", "there is no such thing"),
    }
}

fn chain(ledger: &Ledger, node: PublicKey) -> Value {
    let tip = ledger.tip();
    json!({
        "chain_id": tip.chain_id, "node": node, "network": "proofs", "height": tip.height, "block_id": tip.block_id,
        "time_ms": tip.time, "validators": tip.validators, "protocol_version": 2, "protocol_version_known": 2,
        "parameters": tip.parameters,
    })
}

fn grants(day: &Day) -> Value {
    let key = yilian_spec::state::key::StateKey::Grant(day.grant);
    let grant: yilian_spec::domain::access::Grant = day.ledger.row(&key).require("grant").unwrap();
    json!({"items": [{"id": day.grant, "record": grant}], "next_cursor": null, "height": day.ledger.tip().height})
}

fn find(ledger: &Ledger, id: &str) -> Option<(usize, usize)> {
    let id: TransactionId = id.parse().ok()?;
    ledger.transactions().find(|(_, _, found)| *found == id).map(|(height, index, _)| (height, index))
}

fn transaction(ledger: &Ledger, id: &str) -> (u16, String) {
    let Some((height, index)) = find(ledger, id) else {
        return error(404, "not_found", "there is no such transaction");
    };
    let proof = ledger.transaction_proof(height, index);
    let body = json!({
        "status": "committed", "height": height, "index": index, "time_ms": proof.block.header.time,
        "transaction": proof.transaction, "receipt": proof.receipt,
    });
    (200, body.to_string())
}

/// One block for each new transaction; a repeat is answered with the first outcome.
fn submit(asked: &Asked, ledger: &mut Ledger, fault: Option<Fault>) -> Value {
    let encoded: Vec<Vec<u8>> = match serde_json::from_slice::<Value>(&asked.body) {
        Ok(list) => {
            let texts = list["transactions"].as_array().unwrap().iter();
            texts.map(|text| hex::decode(text.as_str().unwrap()).unwrap()).collect()
        }
        Err(_) => vec![asked.body.clone()],
    };
    let mut results = Vec::new();
    for bytes in encoded {
        let transaction: Transaction = codec::decode(&bytes, TRANSACTION_BYTES_MAX).unwrap();
        let id = transaction.id();
        if fault != Some(Fault::Forgets) && find(ledger, &id.to_string()).is_none() {
            ledger.block(vec![transaction]);
        }
        results.push(json!({"transaction_id": id, "status": "accepted"}));
    }
    json!({ "results": results })
}
