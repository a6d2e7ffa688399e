//! The table of `super`, line by line, over real files.

use super::*;
use crate::config::Config;

const TIP: Height = Height(10);

/// A home whose log of votes holds nothing at `log`, or that has none.
fn home(log: Option<Height>) -> (tempfile::TempDir, Home) {
    let directory = tempfile::tempdir().unwrap();
    let home = Home { path: directory.path().to_owned(), config: Config::default() };
    std::fs::create_dir_all(home.ledger_directory()).unwrap();
    if let Some(height) = log {
        std::fs::write(home.vote_log(), vote_log::empty(height)).unwrap();
    }
    (directory, home)
}

fn up_to(height: u64) -> Option<Abstention> {
    Some(Abstention::UpTo { height: Height(height) })
}

#[test]
fn a_whole_log_that_fits_the_ledger_lets_it_vote() {
    for height in [TIP, TIP.next()] {
        let (_directory, home) = home(Some(height));
        assert_eq!(at_start(&home, TIP).unwrap(), None);
        assert!(!file(&home).exists());
    }
}

/// The attack: an older copy of the log was accepted, and with it the votes since were forgotten.
#[test]
fn a_log_behind_the_ledger_is_an_older_one() {
    for height in [0, 1, TIP.0 - 1] {
        let (_directory, home) = home(Some(Height(height)));
        assert_eq!(at_start(&home, TIP).unwrap(), up_to(11), "{height}");
        let cause = recorded(&home).unwrap().map(|(_, cause)| cause);
        assert_eq!(cause, Some(Cause::LogOlder));
        // The engine empties it for the height that it starts at; what was forgotten stays forgotten.
        std::fs::write(home.vote_log(), vote_log::empty(TIP.next())).unwrap();
        assert_eq!(at_start(&home, TIP).unwrap(), up_to(11));
        assert_eq!(at_start(&home, TIP.next()).unwrap(), None);
    }
    // Of a new ledger, and of one that was replaced by a newer one.
    let (_directory, new) = home(Some(Height(0)));
    assert_eq!(at_start(&new, Height(0)).unwrap(), None);
    let (_directory, restored) = home(Some(Height(7)));
    ledger_goes(&restored, Cause::LedgerRestored).unwrap();
    assert_eq!(at_start(&restored, TIP).unwrap(), None);
}

#[test]
fn a_log_ahead_of_the_ledger_is_not_contradicted_also_after_the_engine_has_emptied_it() {
    let (_directory, home) = home(Some(Height(40)));
    assert_eq!(at_start(&home, TIP).unwrap(), up_to(40));
    std::fs::write(home.vote_log(), vote_log::empty(TIP.next())).unwrap();
    assert_eq!(at_start(&home, Height(39)).unwrap(), up_to(40));
    let cause = recorded(&home).unwrap().map(|(_, cause)| cause);
    assert_eq!(
        cause,
        Some(Cause::LedgerShorter),
        "the log is as it should be by now, and is not what was amiss"
    );
    assert_eq!(at_start(&home, Height(40)).unwrap(), None);
    assert_eq!(recorded(&home).unwrap(), None);
}

#[test]
fn a_key_that_has_never_voted_votes_and_only_once_without_a_log() {
    let (_directory, home) = home(None);
    mark_never_voted(&home.path).unwrap();
    assert_eq!(at_start(&home, Height(0)).unwrap(), None);
    assert!(!home.path.join(NEVER_VOTED).exists(), "from here on it may have voted");
    assert_eq!(at_start(&home, Height(0)).unwrap(), None, "the log was made before the mark went");
    std::fs::remove_file(home.vote_log()).unwrap();
    assert_eq!(at_start(&home, Height(0)).unwrap(), Some(Abstention::UntilCaughtUp));
    assert_eq!(caught_up(&home, Height(20)).unwrap(), Abstention::UpTo { height: Height(22) });
    std::fs::write(home.vote_log(), vote_log::empty(Height(1))).unwrap();
    assert_eq!(at_start(&home, Height(21)).unwrap(), up_to(22));
    assert_eq!(at_start(&home, Height(22)).unwrap(), None);
}

#[test]
fn a_damaged_log_stops_the_node_until_it_is_set_aside() {
    let (_directory, home) = home(Some(TIP));
    std::fs::write(home.vote_log(), b"not a log").unwrap();
    assert!(matches!(at_start(&home, TIP), Err(VotingError::Damaged { .. })));
    assert!(require_whole_log(&home).is_err());
    vote_log_goes(&home, Some(TIP)).unwrap();
    std::fs::rename(home.vote_log(), home.path.join("aside")).unwrap();
    assert_eq!(at_start(&home, TIP).unwrap(), up_to(11));
    assert_eq!(at_start(&home, TIP.next()).unwrap(), None);
    assert_eq!(at_start(&home, TIP).unwrap(), Some(Abstention::UntilCaughtUp), "a log that vanishes later");
}

#[test]
fn a_ledger_that_goes_leaves_the_height_of_the_votes_behind() {
    let (_directory, with_votes) = home(Some(Height(33)));
    ledger_goes(&with_votes, Cause::LedgerSetAside).unwrap();
    assert_eq!(
        recorded(&with_votes).unwrap(),
        up_to(33).map(|abstention| (abstention, Cause::LedgerSetAside))
    );
    let (_second, without) = home(None);
    ledger_goes(&without, Cause::LedgerRestored).unwrap();
    let wide = Some((Abstention::UntilCaughtUp, Cause::LedgerRestored));
    assert_eq!(recorded(&without).unwrap(), wide);
    vote_log_goes(&without, Some(TIP)).unwrap();
    assert_eq!(recorded(&without).unwrap(), wide, "the wider one stays, with its cause");
}

#[test]
fn no_altered_byte_of_the_record_shortens_it() {
    let (_directory, home) = home(Some(TIP));
    record(&home, Abstention::UpTo { height: Height(33) }, Cause::LogSetAside).unwrap();
    let bytes = std::fs::read(file(&home)).unwrap();
    for place in 0..bytes.len() {
        let mut altered = bytes.clone();
        for flip in [0x01, 0x02, 0x10, 0x20, 0x80, 0xff] {
            altered[place] = bytes[place] ^ flip;
            std::fs::write(file(&home), &altered).unwrap();
            let read = recorded(&home).unwrap();
            let read = read.map(|(abstention, _)| abstention);
            assert!(read == up_to(33) || read == Some(Abstention::UntilCaughtUp), "byte {place}: {read:?}");
        }
    }
}

#[test]
fn votes_of_the_height_before_are_thrown_away_where_the_engine_was_about_to() {
    let (_directory, home) = home(Some(TIP.next()));
    let before = std::fs::read(home.vote_log()).unwrap();
    assert_eq!(at_start(&home, TIP).unwrap(), None);
    assert_eq!(std::fs::read(home.vote_log()).unwrap(), before, "nothing to throw away");
}
