//! What must hold of a ledger's rows whatever was played, said again without the machine.

use std::collections::BTreeMap;

use yilian_spec::base::codec::{self, Canonical, Domain};
use yilian_spec::base::id::{AgreementId, InstitutionId, ServiceCode};
use yilian_spec::base::limits::{NODE_KEYS_PER_INSTITUTION_MAX, PROOF_BYTES_MAX};
use yilian_spec::crypto::merkle::log::Frontier;
use yilian_spec::domain::agreement::{Agreement, ClosedPeriod, PeriodStatement};
use yilian_spec::domain::membership::{KeyRecord, Role};
use yilian_spec::domain::referral::{Capacity, Referral};
use yilian_spec::state::key::{StateKey, StreamId};
use yilian_spec::state::overlay::Writes;
use yilian_spec::state::stream::Entry;

use crate::fuzz::settlement::assert_balanced;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// First bytes of the keys of each kind of row (chapter 4 of the protocol).
mod kind {
    pub const KEY: u8 = 0x02;
    pub const REFERRAL: u8 = 0x11;
    pub const CAPACITY: u8 = 0x12;
    pub const STREAM_HEAD: u8 = 0x20;
    pub const STREAM_ENTRY: u8 = 0x80;
    pub const STREAM_NODE: u8 = 0x8a;
    pub const STATEMENT: u8 = 0x86;
    pub const ADMINISTRATORS: u8 = 0x87;
    pub const NODE_KEYS: u8 = 0x8f;
}

/// A refused transaction leaves entries in streams, and nothing else.
pub fn assert_only_streams(writes: &Writes) {
    for (key, row) in writes {
        let is_stream = [kind::STREAM_HEAD, kind::STREAM_ENTRY, kind::STREAM_NODE].contains(&key[0]);
        assert!(is_stream && row.is_some(), "a refused transaction wrote row {key:02x?}");
    }
}

/// All oracles over a ledger's rows.
pub fn assert_consistent(rows: &Rows) {
    assert_tabled(rows);
    assert_streams(rows);
    assert_slots(rows);
    assert_key_counts(rows);
    assert_money(rows);
}

fn of_kind(rows: &Rows, kind: u8) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
    rows.range(vec![kind]..vec![kind + 1])
}

fn read<T: Canonical>(row: &[u8]) -> T {
    codec::decode(row, PROOF_BYTES_MAX).expect("the machine writes canonical rows")
}

fn row<T: Canonical>(rows: &Rows, key: &StateKey) -> Option<T> {
    rows.get(&key.bytes()).map(|row| read(row))
}

/// Every row stands under a key of the table of rows, and holds that kind's record.
fn assert_tabled(rows: &Rows) {
    for (key, row) in rows {
        let parsed = StateKey::parse(key).unwrap_or_else(|| panic!("row {key:02x?} has no key of the table"));
        assert_eq!(parsed.bytes(), *key);
        parsed.kind().check(row).unwrap_or_else(|error| panic!("{parsed}: {error}"));
    }
}

/// Every head counts and hashes exactly the entries that are there.
fn assert_streams(rows: &Rows) {
    let (mut counted, mut subtrees) = (0, 0);
    for (key, head) in of_kind(rows, kind::STREAM_HEAD) {
        let stream = StreamId::of_head_key(key).expect("a head's key names its stream");
        let head: Frontier = read(head);
        let mut again = Frontier::new();
        for index in 0..head.length() {
            let entry: Option<Entry> = row(rows, &StateKey::StreamEntry(stream.clone(), index));
            let entry = entry.unwrap_or_else(|| panic!("entry {index} of {stream} is missing"));
            again.append(entry.leaf_hash()).expect("a play is shorter than the longest log");
        }
        assert!(again == head, "the head of {stream} is not that of its entries");
        counted += head.length();
        subtrees += (8..64).map(|level| head.length() >> level).sum::<u64>();
    }
    let nodes = of_kind(rows, kind::STREAM_NODE).count() as u64;
    assert!(nodes == subtrees, "{nodes} subtrees, but the streams have {subtrees} of 256 entries or more");
    let entries = of_kind(rows, kind::STREAM_ENTRY).count() as u64;
    assert!(entries == counted, "{entries} entries, but the heads count {counted}");
}

/// A service's reserved slots are the open referrals that hold one.
fn assert_slots(rows: &Rows) {
    let mut held: BTreeMap<(InstitutionId, ServiceCode), u32> = BTreeMap::new();
    for (_, referral) in of_kind(rows, kind::REFERRAL) {
        let referral: Referral = read(referral);
        if referral.holds_slot {
            assert!(!referral.state.is_final(), "a finished referral holds a slot");
            *held.entry((referral.receiver, referral.service)).or_default() += 1;
        }
    }
    let mut published = 0u32;
    for (_, capacity) in of_kind(rows, kind::CAPACITY) {
        published += read::<Capacity>(capacity).reserved;
    }
    for ((receiver, service), count) in &held {
        let capacity: Option<Capacity> = row(rows, &StateKey::Capacity(receiver.clone(), service.clone()));
        assert!(
            capacity.is_some_and(|capacity| capacity.reserved == *count),
            "{count} referrals hold slots of {service} at {receiver}, the capacity says {capacity:?}"
        );
    }
    assert!(published == held.values().sum::<u32>(), "slots are reserved that no referral holds");
}

/// The counts of administrators' and of nodes' keys are the numbers of such keys that were not revoked.
fn assert_key_counts(rows: &Rows) {
    assert_count_of(rows, Role::Administrator, kind::ADMINISTRATORS, StateKey::Administrators);
    assert_count_of(rows, Role::Node, kind::NODE_KEYS, StateKey::NodeKeys);
    let nodes = of_kind(rows, kind::NODE_KEYS).map(|(_, count)| read::<u32>(count)).max().unwrap_or(0);
    assert!(nodes as usize <= NODE_KEYS_PER_INSTITUTION_MAX, "an institution has {nodes} node keys");
}

fn assert_count_of(rows: &Rows, role: Role, kind: u8, row_of: fn(InstitutionId) -> StateKey) {
    let mut keys: BTreeMap<InstitutionId, u32> = BTreeMap::new();
    for (_, key) in of_kind(rows, kind::KEY) {
        let key: KeyRecord = read(key);
        if key.role == role && key.revoked_at.is_none() {
            *keys.entry(key.institution).or_default() += 1;
        }
    }
    for (institution, count) in &keys {
        let said: Option<u32> = row(rows, &row_of(institution.clone()));
        assert!(
            said == Some(*count),
            "{institution} has {count} keys of role {role:?}, the row says {said:?}"
        );
    }
    let rows = of_kind(rows, kind).filter(|(_, count)| read::<u32>(count) > 0).count();
    assert!(rows == keys.len(), "an institution without keys of role {role:?} has a count of them");
}

/// Statements balance, are the ones that the closed periods commit to, and their events are all in the stream.
fn assert_money(rows: &Rows) {
    for (_, statement) in of_kind(rows, kind::STATEMENT) {
        let statement: PeriodStatement = read(statement);
        let (id, period): (AgreementId, u32) = (statement.agreement, statement.period);
        let agreement: Agreement =
            row(rows, &StateKey::Agreement(id)).expect("a statement belongs to an agreement");
        assert_balanced(&statement.statement, agreement.terms.parties.len());
        let closed: ClosedPeriod =
            row(rows, &StateKey::ClosedPeriod(id, period)).expect("a statement belongs to a closed period");
        assert!(codec::hash(Domain::Statement, &statement) == closed.statement_hash);
        // The stream as it was at the closing: late events may have followed.
        let stream = StreamId::Period { agreement: id, period };
        let mut events = Frontier::new();
        for index in 0..closed.events {
            let entry: Option<Entry> = row(rows, &StateKey::StreamEntry(stream.clone(), index));
            let entry = entry.expect("a closed period counts entries of its stream");
            events.append(entry.leaf_hash()).expect("a play is shorter than the longest log");
        }
        assert!(
            events.root() == closed.events_root.0,
            "a closed period commits to other events than its stream"
        );
    }
}
