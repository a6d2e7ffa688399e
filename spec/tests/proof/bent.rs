//! Every single change to a proof's JSON, at every place, is refused: by the reader or by a rule.
//!
//! Each leaf of the document is changed, each member and element taken away, each element doubled and exchanged with
//! the next. A change that still verifies would be a claim that nobody signed.

use serde_json::Value;
use yilian_spec::proof::{Proof, ProofDocument};

use crate::ledger::Day;

/// All documents that differ from `value` in one place, each with the path of that place.
fn mutations(value: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    match value {
        Value::Null => found.push(("null to text".to_owned(), Value::String("00".to_owned()))),
        Value::Bool(bool) => found.push(("flipped".to_owned(), Value::Bool(!bool))),
        Value::Number(number) => {
            let next = number.as_i64().map(|number| number.wrapping_add(1));
            found.push(("one more".to_owned(), next.map_or(Value::Null, Value::from)));
            found.push(("null".to_owned(), Value::Null));
        }
        Value::String(text) => found.extend(strings(text)),
        Value::Array(elements) => found.extend(arrays(elements)),
        Value::Object(members) => {
            for (name, inner) in members {
                let mut without = members.clone();
                without.remove(name);
                found.push((format!("{name} taken away"), Value::Object(without)));
                for (path, bent) in mutations(inner) {
                    let mut with = members.clone();
                    with.insert(name.clone(), bent);
                    found.push((format!("{name}.{path}"), Value::Object(with)));
                }
            }
            let mut more = members.clone();
            more.insert("unknown".to_owned(), Value::from(1));
            found.push(("unknown member".to_owned(), Value::Object(more)));
        }
    }
    found
}

/// The first and the last character changed, the text cut, and in upper case.
fn strings(text: &str) -> Vec<(String, Value)> {
    let other = |byte: u8| match byte {
        b'0'..=b'8' | b'a'..=b'e' | b'g'..=b'y' => byte + 1,
        _ => b'0',
    };
    let mut first = text.as_bytes().to_vec();
    let mut last = first.clone();
    if let Some(byte) = first.first_mut() {
        *byte = other(*byte);
    }
    if let Some(byte) = last.last_mut() {
        *byte = other(*byte);
    }
    let cut = text.get(..text.len().saturating_sub(2)).unwrap_or("").to_owned();
    let texts = [
        ("first character", String::from_utf8(first).unwrap()),
        ("last character", String::from_utf8(last).unwrap()),
        ("cut", cut),
    ];
    let changed = texts.into_iter().filter(|(_, bent)| bent != text);
    changed.map(|(what, bent)| (what.to_owned(), Value::String(bent))).collect()
}

fn arrays(elements: &[Value]) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        let mut without = elements.to_vec();
        without.remove(index);
        found.push((format!("[{index}] taken away"), Value::Array(without)));
        let mut doubled = elements.to_vec();
        doubled.insert(index, element.clone());
        found.push((format!("[{index}] doubled"), Value::Array(doubled)));
        if elements.get(index + 1).is_some_and(|next| next != element) {
            let mut exchanged = elements.to_vec();
            exchanged.swap(index, index + 1);
            found.push((format!("[{index}] exchanged"), Value::Array(exchanged)));
        }
        for (path, bent) in mutations(element) {
            let mut with = elements.to_vec();
            with[index] = bent;
            found.push((format!("[{index}].{path}"), Value::Array(with)));
        }
    }
    found
}

/// One path shows the absence of every key that would lie below its end: with another such key, the document proves
/// that other absence, rightly.
fn is_another_truth(day: &Day, document: &ProofDocument) -> bool {
    match &document.proof {
        Proof::State(proof) => {
            let row = &proof.row;
            let is_absent = row.value.is_none() && day.ledger.row_under(row.key.clone()).value.is_none();
            is_absent && row.verify(&proof.block.header).is_ok()
        }
        _ => false,
    }
}

#[test]
fn every_change_to_a_proof_is_refused() {
    let day = Day::play();
    let checkpoint = day.ledger.checkpoint();
    let mut tried = 0;
    for document in day.documents() {
        let json: Value = serde_json::from_str(&document.to_json()).unwrap();
        for (path, bent) in mutations(&json) {
            tried += 1;
            let Ok(bent) = ProofDocument::from_json(bent.to_string().as_bytes()) else { continue };
            // Some texts mean the same value: a list that is a set, in another order.
            if bent != document && !is_another_truth(&day, &bent) {
                assert!(bent.verify(&checkpoint).is_err(), "still verifies: {path}");
            }
        }
    }
    assert!(tried > 2_000, "only {tried} changes tried");
}
