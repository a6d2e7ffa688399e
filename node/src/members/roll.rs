//! The roll of keys: read from the ledger once, then kept up to date from what each block changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use yilian_spec::codec;
use yilian_spec::height::Height;
use yilian_spec::id::InstitutionId;
use yilian_spec::membership::{KeyRecord, Role, ValidatorSet};
use yilian_spec::signature::PublicKey;
use yilian_spec::state::key::KEY_TAG;

use super::{Members, WatchedKey};
use crate::application::publish::Published;
use crate::application::reader::LedgerReader;
use crate::limits::{REVOKED_NODES_MAX, WATCHED_KEYS_MAX};
use crate::network::peer_id_of_ed25519;
use crate::storage::StorageError;

/// Rows that are read at a time.
const ROWS_PER_READ: usize = 500;
/// Longest row of a key.
const KEY_ROW_BYTES_MAX: usize = 1 << 10;
/// While blocks are missed, as in catching up, all keys are read anew no more often than this.
const READ_INTERVAL: Duration = Duration::from_secs(2);

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
        };
        // First, because it decides which of the others matter.
        let own = view.record::<KeyRecord>(&yilian_spec::state::key::StateKey::Key(own_key))?;
        roll.own = own.map(|record| record.institution);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = view.rows(&[KEY_TAG], after.as_deref(), ROWS_PER_READ)?;
            for (key, row) in &page.items {
                roll.take(key, row)?;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(roll),
            }
        }
    }

    /// Takes in what the next block has changed. `false` when `published` shows another block than the next, or names
    /// this node for the first time: then all must be read anew.
    ///
    /// # Errors
    /// When a row is damaged.
    pub fn follow(&mut self, published: &Published) -> Result<bool, StorageError> {
        let height = published.tip.height;
        if height == self.height {
            return Ok(true);
        }
        let block = published.block.as_ref().filter(|block| block.header.height == self.height.next());
        let Some(block) = block.filter(|block| block.header.height == height) else { return Ok(false) };
        for (key, row) in &block.key_rows {
            self.take(key, row)?;
        }
        self.height = height;
        let is_named = block.key_rows.iter().any(|(key, _)| key.get(1..) == Some(&self.own_key.0[..]));
        Ok(self.own.is_some() || !is_named)
    }

    fn take(&mut self, key: &[u8], row: &[u8]) -> Result<(), StorageError> {
        let damaged = |reason: String| StorageError::Inconsistent { reason };
        let record: KeyRecord = codec::decode(row, KEY_ROW_BYTES_MAX)
            .map_err(|error| damaged(format!("the row of key {} is damaged: {error}", hex::encode(key))))?;
        let bytes: [u8; 32] = key
            .strip_prefix(&[KEY_TAG])
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| damaged(format!("{} is not the row of a key", hex::encode(key))))?;
        let key = PublicKey(bytes);
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
            peer_id_of_ed25519(&key.0)
                .map_err(|error| StorageError::Inconsistent { reason: format!("a node's key: {error}") })
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
        Ok(Members {
            nodes: nodes.collect::<Result<_, StorageError>>()?,
            revoked: revoked.collect::<Result<_, StorageError>>()?,
            validating: validators.validators().iter().map(|entry| entry.institution.clone()).collect(),
            own: self.own.clone(),
            keys,
        })
    }
}

/// Keeps the members up to date, block by block.
pub async fn follow(reader: LedgerReader, mut roll: Roll, known: watch::Sender<Arc<Members>>) {
    let mut tips = reader.subscribe();
    // The sender goes when the writer goes, and the node stops then.
    while tips.changed().await.is_ok() {
        let published = Arc::clone(&tips.borrow_and_update());
        let is_whole = match roll.follow(&published) {
            Ok(is_whole) => is_whole,
            Err(error) => {
                tracing::error!(%error, "the keys of a block could not be read");
                false
            }
        };
        if !is_whole {
            let (from, own_key) = (reader.clone(), roll.own_key);
            match tokio::task::spawn_blocking(move || Roll::read(&from, own_key)).await {
                Ok(Ok(read)) => roll = read,
                // The writer meets the same disk; it stops the node when it must.
                Ok(Err(error)) => tracing::error!(%error, "the members could not be read"),
                Err(error) => tracing::error!(%error, "reading the members broke"),
            }
        }
        match roll.members(&published.tip.validators) {
            Ok(members) => {
                known.send_if_modified(|shown| {
                    let has_changed = **shown != members;
                    *shown = Arc::new(members);
                    has_changed
                });
            }
            Err(error) => tracing::error!(%error, "the members could not be read"),
        }
        if !is_whole {
            tokio::time::sleep(READ_INTERVAL).await;
        }
    }
}
