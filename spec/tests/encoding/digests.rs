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
    "transaction 2120e719126293fa",
    "operation 690e9129898d4962",
    "header 83e4deb6d4d2ddff",
    "block f2f572ceb32f3528",
    "certificate af542c630c06bc23",
    "receipt 84f2d8519e9b9024",
    "genesis b079c6b7dfdd1944",
    "parameters 40bb4cac6cf48dff",
    "validators 19935faf490bdd8d",
    "institution 8c46fc6d05fb025c",
    "key 0a76cfe5eacb3679",
    "grant c94a4c9f93469a96",
    "disclosure f0741590af22875b",
    "referral 35391bfff33da823",
    "capacity 2fd908748e1f2e3d",
    "service b43a5976c5a9b870",
    "terms b4946c02b68593a4",
    "agreement e069cde0184f9e61",
    "closed period ab0ce00254716cf6",
    "statement 04a25fca739311fd",
    "accumulator 137a451bc3cbf816",
    "settled period 2e063959a1883119",
    "stream entry b7a72a63bf4662cc",
    "frontier 793ff45458192a72",
    "agreement work 597dbdd63d5c013c",
    "absence f1606a351edbe8a5",
];
