//! The roll of keys: read from the ledger once, then kept up to date from what each block changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::membership::validators::ValidatorSet;
use yilian_spec::domain::membership::{KeyRecord, Role};
use yilian_spec::state::key::{RowKind, StateKey};

use super::{Members, WatchedKey};
use crate::application::publish::Published;
use crate::application::reader::LedgerReader;
use crate::base::limits::{REVOKED_NODES_MAX, WATCHED_KEYS_MAX};
use crate::network::{PeerId, peer_id_of_ed25519};
use crate::storage::StorageError;

/// Rows that are read at a time.
const ROWS_PER_READ: usize = 500;
/// Longest row of a key.
const KEY_ROW_BYTES_MAX: usize = 1 << 10;
/// While blocks are missed, as in catching up, all keys are read anew no more often than this.
const READ_INTERVAL: Duration = Duration::from_secs(2);

/// What a new tip means for the roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is as it was.
    Same,
    /// The next block has changed it.
    Changed,
    /// A block was missed, or this node is named for the first time: all must be read anew.
    Missed,
}

/// The keys that this node must know: all nodes' and its own institution's.
#[derive(Debug, Clone)]
pub struct Roll {
    /// The height whose keys these are.
    height: Height,
    /// This node's own key on the network.
    own_key: PublicKey,
    own: Option<InstitutionId>,
    keys: BTreeMap<PublicKey, KeyRecord>,
    revoked: BTreeMap<PublicKey, InstitutionId>,
    /// Peers for which the operator vouches in the configuration, while this ledger may be older than their keys.
    vouched: Vec<PeerId>,
}

impl Roll {
    /// Reads all keys; `own_key` is that by which peers know this node.
    ///
    /// # Errors
    /// When storage fails or a row is damaged.
    pub fn read(reader: &LedgerReader, own_key: PublicKey) -> Result<Self, StorageError> {
        let view = reader.view()?;
        let mut roll = Self {
            height: view.height(),
            own_key,
            own: None,
            keys: BTreeMap::new(),
            revoked: BTreeMap::new(),
            vouched: Vec::new(),
        };
        // First, because it decides which of the others matter.
        let own = view.record::<KeyRecord>(&StateKey::Key(own_key))?;
        roll.own = own.map(|record| record.institution);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = view.rows(&RowKind::Key.prefix(), after.as_deref(), ROWS_PER_READ)?;
            for (key, row) in &page.items {
                roll.take(key, row)?;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(roll),
            }
        }
    }

    /// Admits peers that the ledger does not name, nor has revoked: where it is empty or old, as after the loss of a disk,
    /// their keys may have been registered in blocks that only they can give.
    #[must_use]
    pub fn vouching_for(mut self, peers: Vec<PeerId>) -> Self {
        self.vouched = peers;
        self
    }

    /// Takes in what the next block has changed.
    ///
    /// # Errors
    /// When a row is damaged.
    pub fn follow(&mut self, published: &Published) -> Result<Step, StorageError> {
        let height = published.tip.height;
        if height <= self.height {
            return Ok(Step::Same);
        }
        let block = published.block.as_ref().filter(|_| height == self.height.next());
        let Some(block) = block else { return Ok(Step::Missed) };
        self.height = height;
        if block.key_rows.is_empty() {
            return Ok(Step::Same);
        }
        for (key, row) in &block.key_rows {
            self.take(key, row)?;
        }
        // Which of the others matter is known only now.
        let own_row = StateKey::Key(self.own_key).bytes();
        let is_named = block.key_rows.iter().any(|(key, _)| *key == own_row);
        Ok(if self.own.is_none() && is_named { Step::Missed } else { Step::Changed })
    }

    fn take(&mut self, key: &[u8], row: &[u8]) -> Result<(), StorageError> {
        let damaged = |reason: String| StorageError::contradiction(reason);
        let record: KeyRecord = codec::decode(row, KEY_ROW_BYTES_MAX)
            .map_err(|error| damaged(format!("the row of key {} is damaged: {error}", hex::encode(key))))?;
        let Some(StateKey::Key(key)) = StateKey::parse(key) else {
            return Err(damaged(format!("{} is not the row of a key", hex::encode(key))));
        };
        if record.revoked_at.is_some() {
            self.keys.remove(&key);
            // A bound on memory, not a matter of who: the ledger may name any number of revoked keys.
            if record.role == Role::Node && self.revoked.len() < REVOKED_NODES_MAX {
                self.revoked.insert(key, record.institution);
            }
        } else if record.role == Role::Node || self.own.as_ref() == Some(&record.institution) {
            self.keys.insert(key, record);
        }
        Ok(())
    }

    /// The members that follow from the roll.
    ///
    /// # Errors
    /// When a node's key is no point of the curve; registration refuses such keys.
    pub fn members(&self, validators: &ValidatorSet) -> Result<Members, StorageError> {
        let peer = |key: &PublicKey| {
            peer_id_of_ed25519(key.ed25519_bytes())
                .map_err(|error| StorageError::contradiction(format!("a node's key: {error}")))
        };
        let nodes = self.keys.iter().filter(|(_, record)| record.role == Role::Node);
        let nodes = nodes.map(|(key, record)| Ok((peer(key)?, record.institution.clone())));
        let revoked = self.revoked.iter().map(|(key, id)| Ok((peer(key)?, id.clone())));
        let mut keys: Vec<WatchedKey> = self
            .keys
            .iter()
            .map(|(key, record)| WatchedKey {
                expires: record.window.expires,
                institution: record.institution.clone(),
                role: record.role,
                key: *key,
            })
            .collect();
        keys.sort();
        keys.truncate(WATCHED_KEYS_MAX);
        let mut nodes = nodes.collect::<Result<BTreeMap<_, _>, StorageError>>()?;
        let revoked = revoked.collect::<Result<BTreeMap<_, _>, StorageError>>()?;
        for peer in self.vouched.iter().filter(|peer| !revoked.contains_key(peer)) {
            nodes.entry(*peer).or_insert_with(vouched_institution);
        }
        Ok(Members {
            nodes,
            revoked,
            validating: validators.validators().iter().map(|entry| entry.institution.clone()).collect(),
            own: self.own.clone(),
            keys,
        })
    }
}

/// What peers are counted under that the configuration alone names. No institution's signature can come from one.
fn vouched_institution() -> InstitutionId {
    "configured-peer".parse().expect("it is an id")
}

/// Keeps the members up to date, block by block.
pub async fn follow(reader: LedgerReader, mut roll: Roll, known: watch::Sender<Arc<Members>>) {
    let mut tips = reader.subscribe();
    let mut read_at: Option<Instant> = None;
    let mut validators = tips.borrow().tip.validators.clone();
    // The sender goes when the writer goes, and the node stops then.
    while tips.changed().await.is_ok() {
        let published = Arc::clone(&tips.borrow_and_update());
        let step = roll.follow(&published).unwrap_or_else(|error| {
            tracing::error!(%error, "the keys of a block could not be read");
            Step::Missed
        });
        if step == Step::Missed {
            // Waits before, not after, so that the next block finds the roll just behind it.
            if let Some(read_at) = read_at {
                tokio::time::sleep_until(read_at + READ_INTERVAL).await;
            }
            read_at = Some(Instant::now());
            let (from, own_key) = (reader.clone(), roll.own_key);
            match tokio::task::spawn_blocking(move || Roll::read(&from, own_key)).await {
                Ok(Ok(read)) => roll = read.vouching_for(std::mem::take(&mut roll.vouched)),
                // The writer meets the same disk; it stops the node when it must.
                Ok(Err(error)) => tracing::error!(%error, "the members could not be read"),
                Err(error) => tracing::error!(%error, "reading the members broke"),
            }
        }
        if step == Step::Same && published.tip.validators == validators {
            continue;
        }
        validators.clone_from(&published.tip.validators);
        match roll.members(&validators) {
            Ok(members) => {
                known.send_if_modified(|shown| {
                    let has_changed = **shown != members;
                    *shown = Arc::new(members);
                    has_changed
                });
            }
            Err(error) => tracing::error!(%error, "the members could not be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use yilian_spec::base::time::{LedgerTime, Window};
    use yilian_spec::crypto::signature::SecretKey;
    use yilian_spec::domain::Operation;
    use yilian_spec::domain::membership::Role;
    use yilian_spec::domain::membership::{RegisterKey, RevocationReason, RevokeKey, possession_bytes};
    use yilian_spec::ledger::transaction::{Transaction, TransactionBody};

    use super::*;
    use crate::base::clock::Clock as _;
    use crate::test_world::{GENESIS_MS, TestNode, genesis, member, secret, temporary};

    fn signed(author: &SecretKey, number: u8, operation: Operation, now_ms: u64) -> Transaction {
        TransactionBody {
            chain_id: genesis().chain_id(),
            author: author.public_key(),
            institution: member(1),
            created: LedgerTime(now_ms),
            expires: LedgerTime(now_ms + 60_000),
            nonce: [number; 16],
            operations: vec![operation],
        }
        .sign(author)
    }

    #[test]
    fn a_key_is_a_member_from_its_block_on_until_it_is_revoked_whatever_its_window() {
        let dir = temporary();
        let mut node = TestNode::open(dir.path(), 0);
        let reader = node.ledger.reader();
        let own_key = secret(0, Role::Node).public_key();
        let mut roll = Roll::read(&reader, own_key).unwrap();
        let (administrator, new) = (secret(1, Role::Administrator), SecretKey::from_seed(&[0xab; 32]));
        let peer = peer_id_of_ed25519(new.public_key().ed25519_bytes()).unwrap();
        let bytes = possession_bytes(genesis().chain_id(), &member(1), Role::Node, new.public_key());
        let window = Window { starts: LedgerTime(GENESIS_MS), expires: LedgerTime(GENESIS_MS + 10_000) };
        let register =
            RegisterKey { key: new.public_key(), role: Role::Node, window, possession: new.sign(&bytes) };
        let now_ms = node.clock.now_ms();
        node.block([signed(&administrator, 1, Operation::RegisterKey(register), now_ms)]);
        assert_eq!(roll.follow(&reader.tip()).unwrap(), Step::Changed);
        let members = |roll: &Roll| roll.members(&reader.tip().tip.validators).unwrap();
        assert_eq!(members(&roll).institution(&peer), Some(&member(1)));
        // The operator's word admits whom the ledger does not know, and says nothing about whom it does.
        let stranger = PeerId::random();
        let vouching = roll.clone().vouching_for(vec![peer, stranger]);
        assert_eq!(members(&vouching).institution(&peer), Some(&member(1)));
        assert_eq!(members(&vouching).institution(&stranger), Some(&vouched_institution()));
        assert_eq!(members(&roll).institution(&stranger), None);
        // Its window ends; what reads all anew says the same as what follows.
        node.clock.advance(100_000);
        node.block([]);
        assert_eq!(roll.follow(&reader.tip()).unwrap(), Step::Same);
        assert_eq!(members(&roll), members(&Roll::read(&reader, own_key).unwrap()));
        assert_eq!(members(&roll).institution(&peer), Some(&member(1)), "an expiry is no revocation");

        let revoke = RevokeKey { key: new.public_key(), reason: RevocationReason::Retired };
        let now_ms = node.clock.now_ms();
        node.block([signed(&administrator, 2, Operation::RevokeKey(revoke), now_ms)]);
        node.block([]);
        assert_eq!(roll.follow(&reader.tip()).unwrap(), Step::Missed, "a block in between was not seen");
        let roll = Roll::read(&reader, own_key).unwrap();
        assert_eq!(members(&roll).institution(&peer), None);
        assert_eq!(members(&roll).revoked_from(&peer), Some(&member(1)));
        let vouching = roll.vouching_for(vec![peer]);
        assert_eq!(
            members(&vouching).institution(&peer),
            None,
            "the ledger's word counts before the operator's"
        );
    }
}
