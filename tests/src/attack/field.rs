//! What an attacker has: a member's keys, where the others listen, and what everybody knows of the ledger.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use tokio::sync::watch;
use yilian_node::config::Config;
use yilian_spec::base::id::{ChainId, InstitutionId};
use yilian_spec::crypto::signature::{PublicKey, SecretKey};
use yilian_spec::domain::membership::validators::ValidatorSet;

use super::peer::line::Door;
use super::peer::{Ear, Host};
use crate::cluster::{Cluster, VALIDATORS};

/// What a validator in an attacker's hands does for the time being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// What a validator should, so that the others wait for it.
    Honest,
    /// What the attack is about.
    Attacking,
    /// Nothing more.
    Over,
}

/// An attacker's view of the consortium.
#[derive(Clone)]
pub struct Field {
    /// The ledger.
    pub chain_id: ChainId,
    /// Whose keys it has.
    pub institution: InstitutionId,
    /// The key by which its node is known to peers.
    pub node_key: SecretKey,
    /// The key that signs its votes; the ledger takes them only if it is a validator's.
    pub validator_key: SecretKey,
    /// All validators.
    pub validators: ValidatorSet,
    /// Where the honest nodes listen that run, and the one that comes back.
    pub targets: BTreeMap<usize, SocketAddr>,
    /// The validator's keys of those nodes, in the same order.
    pub target_keys: Vec<PublicKey>,
    /// The validator that comes back while the attack goes on, if one does.
    pub laggard: Option<usize>,
    /// What a validator in the attacker's hands does.
    pub mood: watch::Sender<Mood>,
    /// Whether it is there before the first block, and has no past to learn.
    pub is_there_from_the_start: bool,
    /// How many turns it has used since it began.
    pub turns_used: watch::Sender<u64>,
}

impl Field {
    /// The field of this member, which runs no node itself, in a cluster whose other validators are honest.
    ///
    /// # Errors
    /// When a configuration cannot be read.
    pub fn new(cluster: &Cluster, attacker: usize, laggard: Option<usize>) -> Result<Self> {
        let (mut targets, mut target_keys) = (BTreeMap::new(), Vec::new());
        for node in VALIDATORS.into_iter().filter(|node| *node != attacker) {
            targets.insert(node, Config::load(&cluster.member(node).home)?.network.listen);
            target_keys.push(cluster.member(node).validator.public_key());
        }
        let genesis = &cluster.files.genesis;
        let member = cluster.member(attacker);
        Ok(Self {
            chain_id: genesis.chain_id(),
            institution: member.id.clone(),
            node_key: member.network.clone(),
            validator_key: member.validator.clone(),
            validators: genesis.validators.clone(),
            targets,
            target_keys,
            laggard,
            mood: watch::Sender::new(Mood::Attacking),
            is_there_from_the_start: false,
            turns_used: watch::Sender::new(0),
        })
    }

    /// The word that separates this ledger's peers from others'.
    pub fn network(&self) -> String {
        hex::encode(&self.chain_id.0[..8])
    }

    /// The way to a node, as the peer of a key.
    pub fn door_as(&self, key: &SecretKey, to: SocketAddr, host: Arc<dyn Host>) -> Door {
        Door { key: key.clone(), to, network: self.network(), host }
    }

    /// The ways to all honest nodes, as this member's node.
    pub fn doors(&self, host: &Arc<dyn Host>) -> Vec<Door> {
        self.targets.values().map(|to| self.door_as(&self.node_key, *to, Arc::clone(host))).collect()
    }

    /// An ear that takes a block for decided as the honest do.
    pub fn ear(&self) -> Arc<Ear> {
        Ear::new(self.validators.validators().len() * 2 / 3 + 1)
    }
}
