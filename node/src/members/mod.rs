//! Who may connect, whose votes can be reached, and which keys will expire: the ledger's keys, as the network sees them.
//!
//! A node's key that is registered and not revoked admits its node, whatever its window: an expiry is something to tell
//! people about ([`expiry`]), and must never stop consensus, without which nobody can rotate a key. [`roll`] keeps this
//! up to date as blocks change keys.

pub(crate) mod expiry;
pub(crate) mod roll;

use std::collections::{BTreeMap, BTreeSet};

use libp2p::PeerId;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::validators::ValidatorSet;

/// The peers that the ledger names, each with its institution, and the institutions that validate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    nodes: BTreeMap<PeerId, InstitutionId>,
    /// Nodes whose keys were revoked, as far as they are remembered: they are not admitted, but can be named.
    revoked: BTreeMap<PeerId, InstitutionId>,
    validating: BTreeSet<InstitutionId>,
    own: Option<InstitutionId>,
    /// The keys whose expiry is watched, the first to expire first.
    keys: Vec<WatchedKey>,
}

/// A key whose expiry is watched: one of this node's institution, or of another's node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchedKey {
    /// When it expires.
    pub expires: LedgerTime,
    /// The institution that owns it.
    pub institution: InstitutionId,
    /// Its role.
    pub role: Role,
    /// The key.
    pub key: PublicKey,
}

impl Members {
    /// Members with these nodes, none of which validates.
    pub fn of(nodes: impl IntoIterator<Item = (PeerId, InstitutionId)>) -> Self {
        Self { nodes: nodes.into_iter().collect(), ..Self::default() }
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

    /// The institution of a peer; `None` when the ledger does not name it.
    pub fn institution(&self, peer: &PeerId) -> Option<&InstitutionId> {
        self.nodes.get(peer)
    }

    /// The institution that a peer was of until its key was revoked.
    pub fn revoked_from(&self, peer: &PeerId) -> Option<&InstitutionId> {
        self.revoked.get(peer)
    }

    /// Whether an institution has a node.
    pub fn has_node(&self, institution: &InstitutionId) -> bool {
        self.nodes.values().any(|named| named == institution)
    }

    /// The nodes of an institution.
    pub fn nodes_of<'a>(&'a self, institution: &'a InstitutionId) -> impl Iterator<Item = &'a PeerId> {
        self.nodes.iter().filter(move |(_, named)| *named == institution).map(|(peer, _)| peer)
    }

    /// Whether an institution runs a validator.
    pub fn validates(&self, institution: &InstitutionId) -> bool {
        self.validating.contains(institution)
    }

    /// The institution of this node, if the ledger names it.
    pub fn own(&self) -> Option<&InstitutionId> {
        self.own.as_ref()
    }

    /// The keys whose expiry is watched, the first to expire first.
    pub fn keys(&self) -> &[WatchedKey] {
        &self.keys
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
