//! Many generated values of each type: bincode writes the same bytes, they decode to the same value, and their digest is
//! frozen. A changed digest is a changed wire format.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use yilian_spec::base::codec::{self, Canonical};
use yilian_spec::crypto::merkle::log::Frontier;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{Disclosure, Grant};
use yilian_spec::domain::agreement::work::AgreementWork;
use yilian_spec::domain::agreement::{Agreement, ClosedPeriod, PeriodStatement};
use yilian_spec::domain::membership::rotation::Absence;
use yilian_spec::domain::membership::validators::ValidatorSet;
use yilian_spec::domain::membership::{Institution, KeyRecord};
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::domain::referral::{Capacity, Referral};
use yilian_spec::domain::service::Service;
use yilian_spec::ledger::block::{Block, CommitCertificate, Header};
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::ledger::receipt::Receipt;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::settlement::period::Accumulator;
use yilian_spec::settlement::statement::SettledPeriod;
use yilian_spec::settlement::terms::Terms;
use yilian_spec::state::overlay::Writes;
use yilian_spec::state::stream::Entry;

use crate::bincode_bytes;
use crate::generate::{Arbitrary, Gen};

const VALUES: u64 = 500;

/// Checks [`VALUES`] generated values and gives the first eight bytes of the digest over all their encodings.
fn digest<T>(name: &str) -> String
where
    T: Arbitrary + Canonical + Serialize + DeserializeOwned + PartialEq + Debug,
{
    let mut all = Sha256::new();
    for seed in 0..VALUES {
        let value = T::arbitrary(&mut Gen::new(seed));
        let bytes = codec::encode(&value);
        assert_eq!(bytes, bincode_bytes::serialize(&value), "{name} {seed}: bincode writes other bytes");
        assert_eq!(codec::decode::<T>(&bytes, bytes.len()).as_ref(), Ok(&value), "{name} {seed}");
        let json = serde_json::to_string(&value).expect("every value has a JSON form");
        assert_eq!(serde_json::from_str::<T>(&json).ok().as_ref(), Some(&value), "{name} {seed}: {json}");
        all.update(&bytes);
    }
    format!("{name} {}", hex::encode(&all.finalize()[..8]))
}

#[test]
fn generated_encodings_equal_bincode_and_are_frozen() {
    let found = [
        digest::<Transaction>("transaction"),
        digest::<Operation>("operation"),
        digest::<Header>("header"),
        digest::<Block>("block"),
        digest::<CommitCertificate>("certificate"),
        digest::<Receipt>("receipt"),
        digest::<Genesis>("genesis"),
        digest::<Parameters>("parameters"),
        digest::<ValidatorSet>("validators"),
        digest::<Institution>("institution"),
        digest::<KeyRecord>("key"),
        digest::<Grant>("grant"),
        digest::<Disclosure>("disclosure"),
        digest::<Referral>("referral"),
        digest::<Capacity>("capacity"),
        digest::<Service>("service"),
        digest::<Terms>("terms"),
        digest::<Agreement>("agreement"),
        digest::<ClosedPeriod>("closed period"),
        digest::<PeriodStatement>("statement"),
        digest::<Accumulator>("accumulator"),
        digest::<SettledPeriod>("settled period"),
        digest::<Entry>("stream entry"),
        digest::<Frontier>("frontier"),
        digest::<AgreementWork>("agreement work"),
        digest::<Absence>("absence"),
    ];
    assert_eq!(found, FROZEN);
}

/// A set of writes is what a receipt's `effects` is over (rule X-4); its keys are bytes, which JSON cannot write.
#[test]
fn generated_writes_equal_bincode() {
    for seed in 0..VALUES {
        let writes: Writes = BTreeMap::arbitrary(&mut Gen::new(seed));
        assert_eq!(codec::encode(&writes), bincode_bytes::serialize(&writes));
    }
}

/// A change here is a change of what is signed, sent or stored: it needs a new protocol or format version.
const FROZEN: [&str; 26] = [
    "transaction ddc38787502095b4",
    "operation abf0753f3bc5da5c",
    "header d6669b740a07f3bb",
    "block 16b5017320ddf5cf",
    "certificate 07ef32a6afa318e3",
    "receipt 6fba8d133725dd1a",
    "genesis 4977952ca1f1a2eb",
    "parameters 240d0181a6301bb9",
    "validators 51363c6e14a03fc5",
    "institution 8c46fc6d05fb025c",
    "key 83132d4339bb7041",
    "grant 05c6a6d2d795f07a",
    "disclosure 9db85e9866fde6ce",
    "referral c8142a94fe19469b",
    "capacity 2fd908748e1f2e3d",
    "service df4dd2568871449e",
    "terms 3f9ccb47ef49a0fd",
    "agreement c0a1289531fff92b",
    "closed period c868bb8fb8039244",
    "statement a57d358d8ec69087",
    "accumulator bbd28efb712ca651",
    "settled period 25af405456c5ae1b",
    "stream entry 8c20a022b5ed733d",
    "frontier 793ff45458192a72",
    "agreement work 597dbdd63d5c013c",
    "absence d5c758ae5d4167a3",
];
