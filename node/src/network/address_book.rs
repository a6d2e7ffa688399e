//! The newest address record of every node that the ledger names: what this node holds, keeps, and passes on.
//!
//! One record for each key, so the members bound the memory. Records that are not newer cost a lookup; of the others, each
//! institution may show only so many in a while. What one key says is passed on once in a while at most, so nobody makes
//! all nodes talk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use libp2p::PeerId;
use yilian_spec::base::codec;
use yilian_spec::base::id::{ChainId, InstitutionId};
use yilian_spec::crypto::signature::PublicKey;

use super::address_record::AddressRecord;
use super::dial_address::DialAddress;
use super::limits::{
    ADDRESS_AHEAD_MS_MAX, ADDRESS_CHECK_REFILL_MS, ADDRESS_CHECKS_BURST_MAX, ADDRESS_FILE_BYTES_MAX,
    ADDRESS_PASS_ON_INTERVAL_MS, ADDRESS_RECORDS_MAX,
};
use super::{NodeIdentity, address_file, peer_id_of_ed25519};
use crate::base::allowance::{Allowance, Rate};
use crate::conduct::Offence;
use crate::members::Members;

/// How many newer records an institution's nodes may show.
const CHECKS: Rate = Rate { burst: ADDRESS_CHECKS_BURST_MAX, refill_ms: ADDRESS_CHECK_REFILL_MS };

/// The records.
#[derive(Debug)]
pub struct AddressBook {
    identity: NodeIdentity,
    chain_id: ChainId,
    file: Option<PathBuf>,
    /// Where this node can be dialled.
    own: Vec<DialAddress>,
    held: BTreeMap<PublicKey, Held>,
    checks: BTreeMap<InstitutionId, Allowance>,
    /// Whether the file lacks something that is held, or has something that is not.
    is_unkept: bool,
}

#[derive(Debug)]
struct Held {
    peer: PeerId,
    record: AddressRecord,
    passed_on_ms: Option<u64>,
    /// Whether the peers that are connected have yet to hear of it.
    is_new: bool,
}

/// What became of a record that a peer has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It says nothing new, or nothing that can be judged now.
    Nothing,
    /// It is held from now on.
    New(PeerId),
    /// It was this node's own, of a time that it has forgotten; a newer one was signed.
    Own,
}

impl AddressBook {
    /// The records in a file, and whose node this is. A file that is damaged or not there is an empty one.
    pub fn open(identity: NodeIdentity, chain_id: ChainId, file: PathBuf, now_ms: u64) -> Self {
        let records = address_file::read(&file, chain_id);
        let mut book = Self { file: Some(file), ..Self::in_memory(identity, chain_id) };
        for record in records.into_iter().filter(|record| !is_ahead(record.sequence_ms(), now_ms)) {
            book.hold(record, false);
        }
        book
    }

    /// A book without a file.
    pub fn in_memory(identity: NodeIdentity, chain_id: ChainId) -> Self {
        let (held, checks) = (BTreeMap::new(), BTreeMap::new());
        Self { identity, chain_id, file: None, own: Vec::new(), held, checks, is_unkept: false }
    }

    /// Where the records are kept.
    pub const fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// Says where this node can be dialled. Returns whether that is something new, which must be kept before it is told.
    pub fn announce(&mut self, addresses: Vec<DialAddress>, now_ms: u64) -> bool {
        self.own = addresses;
        let before = self.held.get(&self.identity.public_key()).map(|held| &held.record);
        let says_so = before.map_or(&[][..], AddressRecord::addresses) == self.own;
        if says_so {
            return false;
        }
        let before_ms = before.map(AddressRecord::sequence_ms);
        self.sign(before_ms, now_ms);
        true
    }

    /// Signs a newer record of this node than that of `before_ms`.
    fn sign(&mut self, before_ms: Option<u64>, now_ms: u64) {
        let sequence_ms = before_ms.map_or(now_ms, |before_ms| now_ms.max(before_ms + 1));
        let record = AddressRecord::sign(&self.identity, self.chain_id, sequence_ms, self.own.clone());
        self.hold(record, true);
    }

    fn hold(&mut self, record: AddressRecord, is_new: bool) {
        // Its signature verifies, so its key is one.
        let Ok(peer) = peer_id_of_ed25519(record.key().ed25519_bytes()) else { return };
        let key = record.key();
        let passed_on_ms = self.held.get(&key).and_then(|held| held.passed_on_ms);
        if self.held.len() < ADDRESS_RECORDS_MAX || self.held.contains_key(&key) {
            self.held.insert(key, Held { peer, record, passed_on_ms, is_new });
            self.is_unkept |= is_new;
        }
    }

    /// Judges a record that a node of `from` has shown.
    ///
    /// # Errors
    /// When no honest node would have passed it on.
    pub fn offer(
        &mut self,
        record: AddressRecord,
        from: &InstitutionId,
        members: &Members,
        now_ms: u64,
    ) -> Result<Taken, Offence> {
        let (key, sequence_ms) = (record.key(), record.sequence_ms());
        let is_old = self.held.get(&key).is_some_and(|held| held.record.sequence_ms() >= sequence_ms);
        // The allowance comes first: already to read a key as a point of the curve takes longer than the lookups.
        if is_old || is_ahead(sequence_ms, now_ms) || !self.may_check(from, now_ms) {
            return Ok(Taken::Nothing);
        }
        let is_own = key == self.identity.public_key();
        let Ok(peer) = peer_id_of_ed25519(key.ed25519_bytes()) else { return Ok(Taken::Nothing) };
        if !is_own && members.institution(&peer).is_none() {
            return Ok(Taken::Nothing);
        }
        record.verify(self.chain_id).map_err(|error| {
            tracing::debug!(%peer, %error, "an address record is refused");
            Offence::ForgedAddress
        })?;
        if is_own {
            self.sign(Some(sequence_ms), now_ms);
            return Ok(Taken::Own);
        }
        self.hold(record, true);
        Ok(Taken::New(peer))
    }

    fn may_check(&mut self, institution: &InstitutionId, now_ms: u64) -> bool {
        let full = || Allowance::full(CHECKS, now_ms);
        self.checks.entry(institution.clone()).or_insert_with(full).spend(CHECKS, now_ms)
    }

    /// The records that the connected peers should hear of now. Each is returned once.
    pub fn to_pass_on(&mut self, now_ms: u64) -> Vec<AddressRecord> {
        let mut records = Vec::new();
        for held in self.held.values_mut().filter(|held| held.is_new) {
            // The clock may have been set back since.
            let is_due = |at_ms: u64| now_ms.abs_diff(at_ms) >= ADDRESS_PASS_ON_INTERVAL_MS;
            if held.passed_on_ms.is_none_or(is_due) {
                held.passed_on_ms = Some(now_ms);
                held.is_new = false;
                records.push(held.record.clone());
            }
        }
        records
    }

    /// Forgets all whom the ledger does not name, or names no longer; returns who they were.
    pub fn retain(&mut self, members: &Members) -> Vec<PeerId> {
        let own = self.identity.public_key();
        let mut gone = Vec::new();
        self.held.retain(|key, held| {
            let stays = *key == own || members.institution(&held.peer).is_some();
            gone.extend((!stays).then_some(held.peer));
            stays
        });
        self.is_unkept |= !gone.is_empty();
        gone
    }

    /// All records, this node's own among them.
    pub fn records(&self) -> impl Iterator<Item = &AddressRecord> {
        self.held.values().map(|held| &held.record)
    }

    /// Where the other nodes can be dialled.
    pub fn others(&self) -> impl Iterator<Item = (PeerId, &[DialAddress])> {
        let own = self.identity.public_key();
        let others = self.held.iter().filter(move |(key, _)| **key != own);
        others.map(|(_, held)| (held.peer, held.record.addresses()))
    }

    /// Where a node can be dialled, by what it says.
    pub fn addresses_of(&self, peer: &PeerId) -> &[DialAddress] {
        self.others().find(|(known, _)| known == peer).map_or(&[], |(_, addresses)| addresses)
    }

    /// What the file is to hold, where it holds something else since this was asked for last.
    pub fn unkept(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.is_unkept).then(|| self.encode())
    }

    /// What the file is to hold.
    pub fn encode(&self) -> Vec<u8> {
        let records: Vec<AddressRecord> = self.records().cloned().collect();
        let bytes = codec::encode(&records);
        debug_assert!(bytes.len() <= ADDRESS_FILE_BYTES_MAX, "as many records as are held at most");
        bytes
    }
}

/// Whether a sequence number is of no honest clock, or of one that would keep its node's next records from being taken.
fn is_ahead(sequence_ms: u64, now_ms: u64) -> bool {
    sequence_ms > now_ms.saturating_add(ADDRESS_AHEAD_MS_MAX)
}

#[cfg(test)]
mod tests;
