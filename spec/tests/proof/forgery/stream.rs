//! Forged completeness: entries left out, added, doubled or moved; made-up parts before; heads of other streams.

use yilian_spec::crypto::merkle::log::Frontier;
use yilian_spec::proof::{CertifiedHeader, ProofError, StreamProof};
use yilian_spec::state::key::StreamId;
use yilian_spec::state::stream::Entry;

use super::draw::Draw;
use super::{attempt_all, judge};
use crate::ledger::{Day, SUBJECT, institution};

/// The honest proofs of one stream: from every entry on to every later one.
struct Stream {
    parts: Vec<StreamProof>,
}

fn frontier(entries: &[Entry]) -> Frontier {
    let mut frontier = Frontier::new();
    entries.iter().for_each(|entry| frontier.append(entry.leaf_hash()).unwrap());
    frontier
}

fn bend(proof: &mut StreamProof, streams: &[Stream], blocks: &[CertifiedHeader], draw: &mut Draw) {
    let other = draw.of(streams);
    let other = draw.of(&other.parts).clone();
    let entries = &mut proof.entries;
    let at = draw.below(entries.len().max(1));
    match draw.below(16) {
        // Left out, and at times another one doubled, so that the count fits.
        0 if !entries.is_empty() => {
            entries.remove(at);
            if !entries.is_empty() && draw.one_in(2) {
                let doubled = draw.of(entries).clone();
                entries.insert(draw.below(entries.len()), doubled);
            }
        }
        1 if !entries.is_empty() => {
            entries.insert(at, entries[at].clone());
            if draw.one_in(2) {
                entries.pop();
            }
        }
        2 if !entries.is_empty() => {
            let to = draw.below(entries.len());
            entries.swap(at, to);
        }
        3 => entries.extend(other.entries.first().cloned()),
        4 if !entries.is_empty() && !other.entries.is_empty() => entries[at] = other.entries[0].clone(),
        5 => proof.before = other.before,
        6 => proof.head = other.head,
        7 => proof.stream = other.stream,
        8 => (proof.stream, proof.head) = (other.stream, other.head),
        // Left out at the beginning, the part before made up so that the count fits.
        9 if !entries.is_empty() => {
            let left_out: Vec<Entry> = entries.drain(..=at).collect();
            let length = proof.before.length() + left_out.len() as u64;
            let peaks = (0..length.count_ones()).map(|_| left_out[0].leaf_hash()).collect();
            proof.before = Frontier::from_parts(length, peaks).unwrap();
        }
        // Left out in the middle, a peak of the part before standing in.
        10 if !entries.is_empty() => {
            entries.remove(at);
            proof.before =
                frontier(&other.entries[..other.entries.len().min(proof.before.length() as usize + 1)]);
        }
        // The rest of the stream made up, left out, or another's.
        12 => proof.consistency = other.consistency,
        13 if !proof.consistency.is_empty() => {
            let at = draw.below(proof.consistency.len());
            if draw.one_in(2) {
                proof.consistency.remove(at);
            } else {
                let other = proof.consistency[draw.below(proof.consistency.len())];
                proof.consistency.insert(at, other);
            }
        }
        // Fewer or more entries than the path goes with.
        14 => {
            (proof.entries, proof.consistency) = (other.entries, other.consistency);
        }
        // An older block's word.
        11 => proof.block = draw.of(blocks).clone(),
        // All taken for the part before, with another last entry.
        _ => {
            let mut all = std::mem::take(entries);
            all.extend(other.entries);
            proof.before = frontier(&all);
        }
    }
}

#[test]
fn no_forged_stream_passes() {
    let day = Day::play();
    let checkpoint = day.ledger.checkpoint();
    let names = ["anping-hospital", "heping-hospital", "qinghe-hospital", "renhe-hospital"];
    let streams = names.map(|name| StreamId::Institution(institution(name)));
    let streams = streams.into_iter().chain([
        StreamId::Subject(*SUBJECT),
        StreamId::Grant(day.grant),
        StreamId::Period { agreement: day.agreement, period: 0 },
    ]);
    let streams: Vec<Stream> = streams
        .map(|stream| {
            let length = day.ledger.stream_proof(stream.clone(), 0).entries.len();
            let part = |from, count| day.ledger.stream_part(stream.clone(), from, count);
            let parts = (0..length).flat_map(|from| (1..=length - from).map(move |count| (from, count)));
            let end = [(length, 0)];
            Stream { parts: parts.chain(end).map(|(from, count)| part(from, count)).collect() }
        })
        .collect();
    assert!(streams.iter().any(|stream| stream.parts.len() > 20), "a stream of several entries to bend");
    let blocks: Vec<CertifiedHeader> =
        (1..=4).map(|height| day.ledger.transaction_proof(height, 0).block).collect();
    attempt_all("stream", 3, |draw| {
        let stream = draw.of(&streams);
        let mut proof = draw.of(&stream.parts).clone();
        for _ in 0..draw.bends() {
            bend(&mut proof, &streams, &blocks, draw);
        }
        let expected = streams.iter().any(|stream| stream.parts.contains(&proof));
        let by_hash = |error: &ProofError| matches!(error, ProofError::EntriesMismatch | ProofError::Row(_));
        judge(&proof, expected, proof.verify(&checkpoint).map(|_| ()), by_hash)
    });
}
