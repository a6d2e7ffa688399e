//! Who may connect, and whose votes can be reached: the ledger's node keys, as peers.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::PeerId;
use yilian_spec::codec;
use yilian_spec::id::InstitutionId;
use yilian_spec::membership::{KeyRecord, Role, ValidatorSet};
use yilian_spec::signature::PublicKey;
use yilian_spec::time::LedgerTime;

use crate::application::reader::LedgerReader;
use crate::network::peer_id_of_ed25519;
use crate::storage::StorageError;

/// First byte of the state keys of keys, as `StateKey` writes it.
const KEY_ROWS: [u8; 1] = [0x02];
/// Rows that are read at a time.
const ROWS_PER_READ: usize = 500;
/// Longest row of a key.
const KEY_ROW_BYTES_MAX: usize = 1 << 10;

/// The peers that the ledger names, each with its institution, and the institutions that validate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    nodes: BTreeMap<PeerId, InstitutionId>,
    validating: BTreeSet<InstitutionId>,
}

impl Members {
    /// Members with these nodes, none of which validates.
    pub fn of(nodes: impl IntoIterator<Item = (PeerId, InstitutionId)>) -> Self {
        Self { nodes: nodes.into_iter().collect(), validating: BTreeSet::new() }
    }

    /// The same, with the institutions that validate.
    #[must_use]
    pub fn with_validating(mut self, validating: impl IntoIterator<Item = InstitutionId>) -> Self {
        self.validating = validating.into_iter().collect();
        self
    }

    /// Adds a node.
    pub fn insert(&mut self, peer: PeerId, institution: InstitutionId) {
        self.nodes.insert(peer, institution);
    }

    /// Reads the node keys that are valid at `now`.
    ///
    /// # Errors
    /// When storage fails.
    pub fn read(reader: &LedgerReader, now: LedgerTime) -> Result<Self, StorageError> {
        let view = reader.view()?;
        let mut nodes = BTreeMap::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = view.rows(&KEY_ROWS, after.as_deref(), ROWS_PER_READ)?;
            for (key, row) in &page.items {
                if let Some((peer, institution)) = node_key(key, row, now)? {
                    nodes.insert(peer, institution);
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let published = reader.tip();
        let validators = published.tip.validators.validators().iter();
        Ok(Self::of(nodes).with_validating(validators.map(|validator| validator.institution.clone())))
    }

    /// The institution of a peer; `None` when the ledger does not name it.
    pub fn institution(&self, peer: &PeerId) -> Option<&InstitutionId> {
        self.nodes.get(peer)
    }

    /// Whether an institution has a node.
    pub fn has_node(&self, institution: &InstitutionId) -> bool {
        self.nodes.values().any(|named| named == institution)
    }

    /// Whether an institution runs a validator.
    pub fn validates(&self, institution: &InstitutionId) -> bool {
        self.validating.contains(institution)
    }

    /// The voting power of the validators whose institutions have a node among `connected`, and of `own`.
    pub fn power_reachable(
        &self,
        connected: &BTreeSet<PeerId>,
        validators: &ValidatorSet,
        own: Option<PublicKey>,
    ) -> u64 {
        let institutions: BTreeSet<&InstitutionId> =
            connected.iter().filter_map(|peer| self.nodes.get(peer)).collect();
        let reachable = validators
            .validators()
            .iter()
            .filter(|validator| own == Some(validator.key) || institutions.contains(&validator.institution));
        reachable.map(|validator| validator.power).sum()
    }
}

fn node_key(
    key: &[u8],
    row: &[u8],
    now: LedgerTime,
) -> Result<Option<(PeerId, InstitutionId)>, StorageError> {
    let damaged = |reason: String| StorageError::Inconsistent { reason };
    let record: KeyRecord = codec::decode(row, KEY_ROW_BYTES_MAX)
        .map_err(|error| damaged(format!("the row of key {} is damaged: {error}", hex::encode(key))))?;
    let is_valid = record.role == Role::Node && record.revoked_at.is_none() && record.window.contains(now);
    if !is_valid {
        return Ok(None);
    }
    let bytes: [u8; 32] = key[KEY_ROWS.len()..]
        .try_into()
        .map_err(|_| damaged(format!("{} is not the row of a key", hex::encode(key))))?;
    // Registration demands a point of prime order, so this does not fail for a key of the ledger.
    let peer = peer_id_of_ed25519(&bytes).map_err(|error| damaged(format!("a node's key: {error}")))?;
    Ok(Some((peer, record.institution)))
}
