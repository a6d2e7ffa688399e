//! What is not the one encoding of a value is refused (rules E-2 to E-4), whatever the bytes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use yilian_spec::base::codec::{self, Canonical, DecodeError};
use yilian_spec::domain::access::Category;
use yilian_spec::domain::agreement::{Agreement, PeriodStatement};
use yilian_spec::domain::referral::Referral;
use yilian_spec::domain::service::Service;
use yilian_spec::ledger::block::{Block, CommitCertificate, Header};
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::ledger::receipt::Receipt;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::settlement::statement::SettledPeriod;

use crate::generate::{Arbitrary, Gen};

const LIMIT: usize = 1 << 20;

fn malformed<T: Canonical>(bytes: &[u8]) -> bool {
    matches!(codec::decode::<T>(bytes, LIMIT), Err(DecodeError::Malformed(_)))
}

/// Shorter by any number of bytes, and longer by one, is not an encoding; one byte above the bound is not read.
fn refuses_other_lengths<T: Canonical + Arbitrary>() {
    for seed in 0..30 {
        let bytes = codec::encode(&T::arbitrary(&mut Gen::new(seed)));
        for length in 0..bytes.len() {
            assert!(malformed::<T>(&bytes[..length]), "{length} of {} bytes", bytes.len());
        }
        assert!(malformed::<T>(&[&bytes[..], &[0]].concat()));
        let limit = bytes.len() - 1;
        let too_long = DecodeError::TooLong { length: bytes.len(), limit };
        assert_eq!(codec::decode::<T>(&bytes, limit).err(), Some(too_long));
    }
}

#[test]
fn every_truncation_and_every_trailing_byte_is_refused() {
    refuses_other_lengths::<Transaction>();
    refuses_other_lengths::<Header>();
    refuses_other_lengths::<CommitCertificate>();
    refuses_other_lengths::<Receipt>();
    refuses_other_lengths::<Genesis>();
    refuses_other_lengths::<Referral>();
    refuses_other_lengths::<Service>();
}

fn categories(elements: &[u32]) -> Vec<u8> {
    let mut bytes = (elements.len() as u64).to_le_bytes().to_vec();
    elements.iter().for_each(|element| bytes.extend_from_slice(&element.to_le_bytes()));
    bytes
}

/// The table of rule E-4 in chapter 1.
#[test]
fn a_set_has_one_order_and_no_repeats() {
    type Set = BTreeSet<Category>;
    let good = BTreeSet::from([Category::Laboratory, Category::Imaging]);
    assert_eq!(codec::decode::<Set>(&categories(&[2, 3]), LIMIT), Ok(good));
    for bad in [&[3, 2][..], &[2, 2], &[2, 3, 2]] {
        assert_eq!(codec::decode::<Set>(&categories(bad), LIMIT), Err(DecodeError::NotCanonical), "{bad:?}");
    }
    assert!(malformed::<Set>(&categories(&[13])));
    assert!(malformed::<Set>(&(1u64 << 60).to_le_bytes()));
}

#[test]
fn a_map_has_one_order_and_no_repeats() {
    type Map = BTreeMap<u32, Vec<u8>>;
    let encoded = |keys: &[u32]| {
        let mut bytes = (keys.len() as u64).to_le_bytes().to_vec();
        for key in keys {
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 9]);
        }
        bytes
    };
    assert!(codec::decode::<Map>(&encoded(&[1, 2]), LIMIT).is_ok());
    assert_eq!(codec::decode::<Map>(&encoded(&[2, 1]), LIMIT), Err(DecodeError::NotCanonical));
    assert_eq!(codec::decode::<Map>(&encoded(&[1, 1]), LIMIT), Err(DecodeError::NotCanonical));
}

#[test]
fn tags_options_and_texts_that_do_not_exist_are_refused() {
    assert!(malformed::<Option<u8>>(&[2, 0]));
    assert!(malformed::<bool>(&[2]));
    assert!(malformed::<String>(&[1, 0, 0, 0, 0, 0, 0, 0, 0xff]));
    let operation = Transaction::arbitrary(&mut Gen::new(3)).body;
    let mut bytes =
        codec::encode(&yilian_spec::ledger::transaction::TransactionBody { operations: vec![], ..operation });
    let count = bytes.len() - 8;
    bytes[count] = 1;
    bytes.extend_from_slice(&25u32.to_le_bytes());
    assert!(malformed::<yilian_spec::ledger::transaction::TransactionBody>(&bytes));
}

/// Reading ends without a panic; what is read has exactly these bytes.
fn reads_or_refuses<T: Canonical>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = codec::decode::<T>(bytes, LIMIT) {
        prop_assert_eq!(codec::encode(&value), bytes);
    }
    Ok(())
}

fn all_kinds(bytes: &[u8]) -> Result<(), TestCaseError> {
    reads_or_refuses::<Transaction>(bytes)?;
    reads_or_refuses::<Block>(bytes)?;
    reads_or_refuses::<CommitCertificate>(bytes)?;
    reads_or_refuses::<Receipt>(bytes)?;
    reads_or_refuses::<Genesis>(bytes)?;
    reads_or_refuses::<Agreement>(bytes)?;
    reads_or_refuses::<PeriodStatement>(bytes)?;
    reads_or_refuses::<SettledPeriod>(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        all_kinds(&bytes)?;
    }

    #[test]
    fn damaged_encodings_never_panic(
        seed in any::<u64>(),
        position in any::<prop::sample::Index>(),
        change in 1u8..,
    ) {
        let transaction = Transaction::arbitrary(&mut Gen::new(seed));
        let mut bytes = codec::encode(&transaction);
        let position = position.index(bytes.len());
        bytes[position] ^= change;
        all_kinds(&bytes)?;
        if let Ok(read) = codec::decode::<Transaction>(&bytes, LIMIT) {
            prop_assert_ne!(read, transaction);
        }
    }
}
