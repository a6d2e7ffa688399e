//! Bytes: what is signed and stored round-trips, matches the bincode format, and has frozen digests.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use yilian_spec::base::codec::{self, Canonical, DecodeError};
use yilian_spec::base::money::AmountMinor;
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::expression::Tier;
use yilian_spec::settlement::period::{Accumulator, Direction};
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::statement::close;
use yilian_spec::settlement::templates::{ReadingFees, fixed_price, image_reading};
use yilian_spec::settlement::terms::{Rounding, Terms};

use crate::support::*;

/// Round-trips through the canonical encoding and JSON; bincode 1 writes the same bytes. Returns their digest.
fn digest<T>(value: &T) -> String
where
    T: Canonical + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let bytes = codec::encode(value);
    assert_eq!(bytes, bincode::serialize(value).unwrap());
    assert_eq!(&codec::decode::<T>(&bytes, bytes.len()).unwrap(), value);
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value, "{json}");
    hex::encode(Sha256::digest(&bytes))
}

fn reading_terms() -> Terms {
    let fees = ReadingFees {
        tiers: vec![Tier { up_to: Ratio::whole(1_000), rate: Ratio::whole(2_500) }],
        beyond: Ratio::new(3_201, 2),
        platform_share: Ratio::percent(12),
    };
    image_reading(&frame(), &[institution("hospital-a")], &institution("platform"), &fees).unwrap()
}

#[test]
fn encodings_are_frozen() {
    let terms = split(Rounding::PerEvent);
    let mut period = deliver(&terms, &[consultation(10_001), consultation(77)]);
    period.record(&terms, &consultation(77), Direction::Reversed).unwrap();
    let accumulator = digest(&period);
    let (statement, mut settled) = close(&terms, 3, period).unwrap();
    let mut open = Accumulator::default();
    settled.record_late(&mut open, &terms, &consultation(10_001), Direction::Reversed).unwrap();
    let fixed = fixed_price(&frame(), &[institution("city-hospital")], PartRole::Expert, AmountMinor(18_000))
        .unwrap();
    let digests = [
        ("fixed price", digest(&fixed)),
        ("percentage split", digest(&terms)),
        ("image reading", digest(&reading_terms())),
        ("accumulator", accumulator),
        ("statement", digest(&statement)),
        ("settled period", digest(&settled)),
        ("adjusted accumulator", digest(&open)),
    ];
    let shown: Vec<String> = digests.iter().map(|(name, digest)| format!("{name} {digest}")).collect();
    assert_eq!(shown, FROZEN);
}

/// SHA-256 of the canonical encodings above. A change here is a change of what parties sign or nodes store.
const FROZEN: [&str; 7] = [
    "fixed price 64a60b6be8a4e3a58733e6af3620a67500bbb4784496c6e226b2b5268aeff2fb",
    "percentage split ab98d29fdbc352a1fdeefa1ed0bbf8f417dcab8719c6731061a5101cbd46afd2",
    "image reading ded58cb70c87fe3cbc7cbf98b6014db89775eb1396134384ce9d959455adacb4",
    "accumulator 2fb96ca19f1cf004c02b37522aab37c4c0bbdd3daca0251e40285f79b5c93831",
    "statement 8ad70bf3e4c41b00557a6e5f53bfc6e60c02c9d3ef389f9d82971a9f5aacdcc3",
    "settled period 82cc438132dffba354f6b06f1d48aa390e752e92fe391681699b94d00e53b213",
    "adjusted accumulator 3c2c0ec451b1b430dbf443b082fa0d1cc54b11f2ba45e3d738538247855c94fd",
];

#[test]
fn bytes_that_are_not_terms_are_refused() {
    let bytes = codec::encode(&reading_terms());
    for length in 0..bytes.len() {
        let error = codec::decode::<Terms>(&bytes[..length], bytes.len()).unwrap_err();
        assert!(matches!(error, DecodeError::Malformed(_)), "{length}: {error:?}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(codec::decode::<Terms>(&longer, longer.len()), Err(DecodeError::Malformed(_))));
    // Whatever byte is changed, decoding and checking end without a panic.
    for position in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[position] ^= change;
            if let Ok(terms) = codec::decode::<Terms>(&changed, changed.len()) {
                let accumulator = Accumulator::default();
                let _ = terms.check().map(|()| close(&terms, 0, accumulator));
                assert_ne!(terms, reading_terms(), "byte {position}");
            }
        }
    }
}

#[test]
fn json_with_unknown_fields_is_refused() {
    let mut json = serde_json::to_value(reading_terms()).unwrap();
    json["bonus"] = 1.into();
    let error = serde_json::from_value::<Terms>(json).unwrap_err().to_string();
    assert!(error.contains("unknown field `bonus`"), "{error}");
}
