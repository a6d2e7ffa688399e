//! Attackers: a peer that holds one member's *node key*, in some cases its validator's key too, speaks the real protocol to
//! real nodes, and does what no honest node would. One file for each attack; [`Name`] lists them.
//!
//! While one goes on, other members submit at a steady rate. In turns without and with the attack ([`arena`]) every
//! transaction becomes final, nothing stalls, no node ends; and afterwards all is as before without a restart, and the nodes
//! name the institution whose key it was. `make attack NAME=… SECONDS=…` runs one long and compares the members' latency;
//! `tests/tests/attacks.rs` runs each for a moment.

pub mod arena;
pub mod field;
pub mod honest;
pub mod peer;

mod blocks;
mod equivocation;
mod expired_gossip;
mod far_rounds;
mod foreign_votes;
mod forged_votes;
mod garbage_connections;
mod half_open;
mod heavy_gossip;
mod late_proposals;
mod lying_sync_peer;
mod many_node_keys;
mod many_substreams;
mod oversized_frames;
mod poisoned_heights;
mod puppet;
mod slow_reads;
mod sync_floods;
mod votes;
mod withheld_parts;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use async_trait::async_trait;

use crate::cluster::{COUNTY, Cluster, INSURER, REGULATOR};
use field::Field;
use lying_sync_peer::{Lie, LyingSyncPeer};

/// What an attacker has done, counted.
pub type Tally = BTreeMap<&'static str, u64>;

/// One way to attack.
#[async_trait]
pub trait Attack: Send + 'static {
    /// What must stand on the ledger before, by the ordinary ways.
    async fn prepare(&mut self, cluster: &Cluster) -> Result<()> {
        let _ = cluster;
        Ok(())
    }

    /// Attacks until then.
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally>;
}

/// Whose key the attacker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The node key of a member that does not validate.
    Observer,
    /// A validator's, its node key and the key for its votes.
    Validator,
    /// None that the ledger knows.
    Stranger,
}

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// Votes in the validators' names, thousands a second, with signatures that do not verify.
    ForgedVotes,
    /// The validators' own votes, repeated by another.
    ForeignVotes,
    /// Tiny valid blocks for every later round that is the proposer's turn.
    FarRounds,
    /// True headers and certificates with altered bodies, for a node that catches up.
    LyingSyncPeer,
    /// True blocks under certificates whose signatures are others', for a node that catches up.
    ForgedSyncCertificates,
    /// Answers without blocks to a node that catches up, by who claims to have them all.
    EmptySyncAnswers,
    /// Work for the last of all heights, and tips that jump.
    PoisonedHeights,
    /// 256 node keys in one transaction, and connections from all that the ledger takes.
    ManyNodeKeys,
    /// Thousands of connections of strangers that send anything.
    GarbageConnections,
    /// Frames that say they are too long, or belong elsewhere.
    OversizedFrames,
    /// Connections that never say anything.
    HalfOpen,
    /// Substreams by the thousand on one connection.
    ManySubstreams,
    /// A peer that asks for much and reads nothing.
    SlowReads,
    /// A proposer that keeps its block's parts from the node whose turn is next, and shows them to the others at the last moment.
    WithheldParts,
    /// A proposer that is late by just under the timeout, each time.
    LateProposals,
    /// Two different votes of every kind at every height, and two blocks.
    Equivocation,
    /// Questions about decided blocks, as fast as they go.
    SyncFloods,
    /// Transactions that cost a hundred thousand times what they weigh.
    HeavyGossip,
    /// Transactions that are signed and expired, or of authors whom nobody knows.
    ExpiredGossip,
}

impl Name {
    /// All.
    pub const ALL: [Self; 19] = [
        Self::ForgedVotes,
        Self::ForeignVotes,
        Self::PoisonedHeights,
        Self::OversizedFrames,
        Self::ManySubstreams,
        Self::SlowReads,
        Self::SyncFloods,
        Self::ExpiredGossip,
        Self::HeavyGossip,
        Self::GarbageConnections,
        Self::HalfOpen,
        Self::LyingSyncPeer,
        Self::ForgedSyncCertificates,
        Self::EmptySyncAnswers,
        Self::ManyNodeKeys,
        Self::FarRounds,
        Self::WithheldParts,
        Self::LateProposals,
        Self::Equivocation,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ForgedVotes => "forged-votes",
            Self::ForeignVotes => "foreign-votes",
            Self::FarRounds => "far-rounds",
            Self::LyingSyncPeer => "lying-sync-peer",
            Self::ForgedSyncCertificates => "forged-sync-certificates",
            Self::EmptySyncAnswers => "empty-sync-answers",
            Self::PoisonedHeights => "poisoned-heights",
            Self::ManyNodeKeys => "many-node-keys",
            Self::GarbageConnections => "garbage-connections",
            Self::OversizedFrames => "oversized-frames",
            Self::HalfOpen => "half-open",
            Self::ManySubstreams => "many-substreams",
            Self::SlowReads => "slow-reads",
            Self::WithheldParts => "withheld-parts",
            Self::LateProposals => "late-proposals",
            Self::Equivocation => "equivocation",
            Self::SyncFloods => "sync-floods",
            Self::HeavyGossip => "heavy-gossip",
            Self::ExpiredGossip => "expired-gossip",
        }
    }

    /// The attack of a name.
    ///
    /// # Errors
    /// When there is none, with those that are.
    pub fn named(name: &str) -> Result<Self, String> {
        let known: Vec<&str> = Self::ALL.iter().map(|attack| attack.name()).collect();
        let found = Self::ALL.into_iter().find(|attack| attack.name() == name);
        found.ok_or_else(|| format!("there is no attack {name:?}; the attacks are {}", known.join(", ")))
    }

    /// Whose key it needs.
    pub const fn who(self) -> Who {
        match self {
            Self::FarRounds | Self::WithheldParts | Self::LateProposals | Self::Equivocation => {
                Who::Validator
            }
            Self::GarbageConnections | Self::HalfOpen => Who::Stranger,
            Self::ForgedVotes
            | Self::ForeignVotes
            | Self::LyingSyncPeer
            | Self::ForgedSyncCertificates
            | Self::EmptySyncAnswers
            | Self::PoisonedHeights
            | Self::ManyNodeKeys
            | Self::OversizedFrames
            | Self::ManySubstreams
            | Self::SlowReads
            | Self::SyncFloods
            | Self::HeavyGossip
            | Self::ExpiredGossip => Who::Observer,
        }
    }

    /// The member whose key it is. A stranger has none; the regulator's stands for one, and is not used.
    pub const fn attacker(self) -> usize {
        match self.who() {
            Who::Observer | Who::Stranger => REGULATOR,
            Who::Validator => INSURER,
        }
    }

    /// The validator whose node does not run while the attack begins: the attacker's own, or the one that comes back.
    pub const fn absent(self) -> Option<usize> {
        match (self.who(), self.has_laggard()) {
            (Who::Validator, _) => Some(INSURER),
            (Who::Observer | Who::Stranger, true) => Some(COUNTY),
            (Who::Observer | Who::Stranger, false) => None,
        }
    }

    /// Whether it plays a validator that the others must wait for, so that it is measured from a start in which it was honest.
    pub const fn is_trusted_first(self) -> bool {
        match self {
            Self::WithheldParts | Self::LateProposals | Self::Equivocation => true,
            Self::ForgedVotes
            | Self::ForeignVotes
            | Self::FarRounds
            | Self::LyingSyncPeer
            | Self::ForgedSyncCertificates
            | Self::EmptySyncAnswers
            | Self::PoisonedHeights
            | Self::ManyNodeKeys
            | Self::GarbageConnections
            | Self::OversizedFrames
            | Self::HalfOpen
            | Self::ManySubstreams
            | Self::SlowReads
            | Self::SyncFloods
            | Self::HeavyGossip
            | Self::ExpiredGossip => false,
        }
    }

    /// Whether an honest validator comes back while it goes on, and must be let in and catch up.
    pub const fn has_laggard(self) -> bool {
        matches!(
            self,
            Self::LyingSyncPeer
                | Self::ForgedSyncCertificates
                | Self::EmptySyncAnswers
                | Self::ManyNodeKeys
                | Self::GarbageConnections
                | Self::HalfOpen
        )
    }

    /// For what the nodes must count it against the institution and name that in `/health` and log, by the names of the
    /// book of conduct, one of which suffices. None where nobody is named: strangers have no name, a late or silent
    /// proposer and a slow reader may have a slow line, whoever holds substreams meets the bound of his own connection, and
    /// who registers keys or sends what the rules refuse is told so.
    pub const fn offences(self) -> &'static [&'static str] {
        match self {
            Self::ForgedVotes => &["forged_vote", "foreign_vote"],
            Self::ForeignVotes => &["foreign_vote"],
            Self::FarRounds => &["far_round", "too_many_proposals"],
            Self::LyingSyncPeer => &["false_sync_value"],
            // Which of them it is depends on whether the node asks for blocks that exist.
            Self::ForgedSyncCertificates => &["forged_certificate", "false_sync_value"],
            Self::EmptySyncAnswers => &["false_status"],
            Self::PoisonedHeights => &["false_status", "too_many_requests"],
            Self::OversizedFrames => &["oversized_frame", "malformed_frame"],
            Self::Equivocation => &["equivocation"],
            Self::SyncFloods => &["too_many_requests"],
            Self::ExpiredGossip => &["expired_transaction", "unknown_author"],
            Self::ManyNodeKeys
            | Self::GarbageConnections
            | Self::HalfOpen
            | Self::ManySubstreams
            | Self::SlowReads
            | Self::WithheldParts
            | Self::LateProposals
            | Self::HeavyGossip => &[],
        }
    }

    /// What a line of the log says of the attacker's institution: the name of one of the offences, or, of a validator that is
    /// late or withholds its blocks, that it missed its turn. How often that happens in a while is the attacker's choice.
    pub const fn words(self) -> &'static [&'static str] {
        match self {
            Self::WithheldParts | Self::LateProposals => &["missed its turn to propose"],
            named => named.offences(),
        }
    }

    /// Somebody who attacks so.
    pub fn attack(self) -> Box<dyn Attack> {
        match self {
            Self::ForgedVotes => Box::new(forged_votes::ForgedVotes),
            Self::ForeignVotes => Box::new(foreign_votes::ForeignVotes),
            Self::FarRounds => Box::new(far_rounds::FarRounds),
            Self::LyingSyncPeer => Box::new(LyingSyncPeer(Lie::Bodies)),
            Self::ForgedSyncCertificates => Box::new(LyingSyncPeer(Lie::Signatures)),
            Self::EmptySyncAnswers => Box::new(LyingSyncPeer(Lie::Nothing)),
            Self::PoisonedHeights => Box::new(poisoned_heights::PoisonedHeights),
            Self::ManyNodeKeys => Box::new(many_node_keys::ManyNodeKeys::default()),
            Self::GarbageConnections => Box::new(garbage_connections::GarbageConnections),
            Self::OversizedFrames => Box::new(oversized_frames::OversizedFrames),
            Self::HalfOpen => Box::new(half_open::HalfOpen),
            Self::ManySubstreams => Box::new(many_substreams::ManySubstreams),
            Self::SlowReads => Box::new(slow_reads::SlowReads),
            Self::WithheldParts => Box::new(withheld_parts::WithheldParts::default()),
            Self::LateProposals => Box::new(late_proposals::LateProposals::default()),
            Self::Equivocation => Box::new(equivocation::Equivocation),
            Self::SyncFloods => Box::new(sync_floods::SyncFloods),
            Self::HeavyGossip => Box::new(heavy_gossip::HeavyGossip::default()),
            Self::ExpiredGossip => Box::new(expired_gossip::ExpiredGossip::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_is_found_by_its_name_and_no_other_name_is_taken() {
        for name in Name::ALL {
            assert_eq!(Name::named(name.name()), Ok(name));
        }
        assert!(Name::named("kindness").unwrap_err().contains("slow-reads"));
    }
}
