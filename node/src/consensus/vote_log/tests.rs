//! Logs that the engine itself has written, whole, cut short, and with every byte altered.

use std::collections::BTreeSet;

use arc_malachitebft_app_channel::app::engine::wal::encode_entry;
use arc_malachitebft_app_channel::app::types::core::{NilOrVal, Round, SignedMessage, Timeout, VoteType};
use arc_malachitebft_app_channel::app::wal::Log;
use yilian_spec::base::id::BlockId;
use yilian_spec::crypto::signature::{PublicKey, Signature};

use super::*;
use crate::consensus::context::{Address, EngineHeight, Vote};

const HEIGHT: Height = Height(7);
const ENTRIES: usize = 4;

fn vote(height: Height, round: u32) -> Input<LedgerContext> {
    let value = NilOrVal::Val(BlockId([round as u8; 32]));
    let (kind, voter) = (VoteType::Prevote, Address(PublicKey::Ed25519([1; 32])));
    let vote = Vote { kind, height: EngineHeight(height.0), round: Round::new(round), value, voter };
    Input::Vote(SignedMessage::new(vote, Signature::Ed25519([9; 64])))
}

/// A log of [`HEIGHT`] with [`ENTRIES`] entries, written by the engine's own code.
fn written(path: &Path) -> Vec<u8> {
    let mut log = Log::open(path).unwrap();
    log.reset(HEIGHT.0).unwrap();
    let timeout = Input::TimeoutElapsed(Timeout::propose(Round::new(0)));
    for entry in [vote(HEIGHT, 0), timeout, vote(HEIGHT, 1), vote(HEIGHT, 2)] {
        let mut bytes = Vec::new();
        encode_entry(entry, &LedgerCodec, &mut bytes).unwrap();
        log.append(&bytes).unwrap();
    }
    log.flush().unwrap();
    drop(log);
    std::fs::read(path).unwrap()
}

fn intact(height: Height, entries: usize) -> VoteLog {
    VoteLog::Intact { height, votes: (entries > 0).then_some(HEIGHT), entries }
}

#[test]
fn what_the_engine_writes_is_read_and_an_empty_log_is_the_engines() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("votes.wal");
    assert_eq!(read(&path).unwrap(), VoteLog::Absent);
    written(&path);
    assert_eq!(read(&path).unwrap(), intact(HEIGHT, ENTRIES));

    std::fs::write(&path, empty(Height(9))).unwrap();
    let log = Log::open(&path).unwrap();
    assert_eq!((log.sequence(), log.len()), (9, 0));
}

#[test]
fn a_log_that_was_cut_short_loses_only_what_was_being_written() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = written(&directory.path().join("votes.wal"));
    let mut counts = BTreeSet::new();
    for end in HEADER_BYTES..bytes.len() {
        match parse(&bytes[..end]).unwrap() {
            VoteLog::Intact { entries: count, .. } => counts.insert(count),
            other => panic!("cut at {end}: {other:?}"),
        };
    }
    assert_eq!(counts, BTreeSet::from([0, 1, 2, 3]));
    assert!(parse(&bytes[..HEADER_BYTES - 1]).is_err());
}

#[test]
fn no_altered_byte_makes_a_vote_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = written(&directory.path().join("votes.wal"));
    for place in 0..bytes.len() {
        for flip in 1..=u8::MAX {
            let mut altered = bytes.clone();
            altered[place] ^= flip;
            match parse(&altered) {
                Err(reason) => assert!(!reason.is_empty()),
                // The one height that the entries allow beside their own: the node abstains up to it, see `voting`.
                Ok(VoteLog::Intact { height, entries, .. }) => {
                    assert_eq!((height, entries), (HEIGHT.next(), ENTRIES), "byte {place} ^ {flip}");
                }
                Ok(other) => panic!("byte {place} ^ {flip}: {other:?}"),
            }
        }
    }
}

#[test]
fn entries_of_two_heights_do_not_stand_in_one_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("votes.wal");
    written(&path);
    let mut log = Log::open(&path).unwrap();
    let mut bytes = Vec::new();
    encode_entry(vote(HEIGHT.next(), 0), &LedgerCodec, &mut bytes).unwrap();
    log.append(&bytes).unwrap();
    drop(log);
    assert!(matches!(read(&path).unwrap(), VoteLog::Damaged { .. }));
}
