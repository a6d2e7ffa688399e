//! What a peer can do that no honest node does, or not so much of: each with its name, its sentence and its remedy.

use serde::{Deserialize, Serialize};

use crate::base::limits;

/// Something of a peer that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offence {
    /// A vote whose signature does not verify.
    ForgedVote,
    /// A vote of a validator of another institution: nobody relays votes.
    ForeignVote,
    /// A proposal, manifest or part whose signature or root does not verify.
    ForgedProposal,
    /// A proposal of a validator of another institution, or one whose turn it is not.
    ForeignProposal,
    /// A certificate that does not verify.
    ForgedCertificate,
    /// A vote or proposal for a round or height far beyond the present one.
    FarRound,
    /// More proposals at one height than rounds need.
    TooManyProposals,
    /// A proposed block that breaks a rule, although its proposer signed it.
    InvalidBlock,
    /// Two different signed votes or proposals for one place.
    Equivocation,
    /// A vote or proposal that verifies under this node's own validator key, and that this process did not sign.
    OwnKey,
    /// A record of a node's address that does not verify, or names what nobody can dial.
    ForgedAddress,
    /// A frame that cannot be decoded, or that is on the wrong lane.
    MalformedFrame,
    /// A frame that announces more bytes than its lane allows.
    OversizedFrame,
    /// A transaction that is invalid on any state.
    InvalidTransaction,
    /// A transaction that had expired long before it arrived, or was made in the future.
    ExpiredTransaction,
    /// A transaction of a key that the ledger does not know, or that was revoked.
    UnknownAuthor,
    /// An answer with other blocks than were asked for, or than its certificates are about.
    FalseSyncValue,
    /// A status that sinks, or that claims blocks which the peer does not give.
    FalseStatus,
    /// Requests, notices or batches beyond what one institution may send in a while.
    TooManyRequests,
    /// Connections beyond the institution's places.
    TooManyConnections,
    /// A connection that ended without having proven a key, or that is half open for too long.
    FailedHandshake,
    /// A connection by a key that the ledger does not name as a node's, or that was revoked.
    NotAMember,
    /// A connection while the institution is shut out.
    ShutOut,
}

impl Offence {
    /// All, in their order.
    pub const ALL: [Self; 23] = [
        Self::ForgedVote,
        Self::ForeignVote,
        Self::ForgedProposal,
        Self::ForeignProposal,
        Self::ForgedCertificate,
        Self::FarRound,
        Self::TooManyProposals,
        Self::InvalidBlock,
        Self::Equivocation,
        Self::OwnKey,
        Self::ForgedAddress,
        Self::MalformedFrame,
        Self::OversizedFrame,
        Self::InvalidTransaction,
        Self::ExpiredTransaction,
        Self::UnknownAuthor,
        Self::FalseSyncValue,
        Self::FalseStatus,
        Self::TooManyRequests,
        Self::TooManyConnections,
        Self::FailedHandshake,
        Self::NotAMember,
        Self::ShutOut,
    ];

    /// The name in JSON, logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ForgedVote => "forged_vote",
            Self::ForeignVote => "foreign_vote",
            Self::ForgedProposal => "forged_proposal",
            Self::ForeignProposal => "foreign_proposal",
            Self::ForgedCertificate => "forged_certificate",
            Self::FarRound => "far_round",
            Self::TooManyProposals => "too_many_proposals",
            Self::InvalidBlock => "invalid_block",
            Self::Equivocation => "equivocation",
            Self::OwnKey => "own_key",
            Self::ForgedAddress => "forged_address",
            Self::MalformedFrame => "malformed_frame",
            Self::OversizedFrame => "oversized_frame",
            Self::InvalidTransaction => "invalid_transaction",
            Self::ExpiredTransaction => "expired_transaction",
            Self::UnknownAuthor => "unknown_author",
            Self::FalseSyncValue => "false_sync_value",
            Self::FalseStatus => "false_status",
            Self::TooManyRequests => "too_many_requests",
            Self::TooManyConnections => "too_many_connections",
            Self::FailedHandshake => "failed_handshake",
            Self::NotAMember => "not_a_member",
            Self::ShutOut => "shut_out",
        }
    }

    /// What was refused, for a sentence "… of NAME: …".
    pub const fn says(self) -> &'static str {
        match self {
            Self::ForgedVote => "votes whose signature does not verify",
            Self::ForeignVote => "votes of another institution's validator",
            Self::ForgedProposal => "proposals that do not verify",
            Self::ForeignProposal => "proposals of somebody whose turn it is not",
            Self::ForgedCertificate => "certificates that do not verify",
            Self::FarRound => "messages for rounds or heights far ahead",
            Self::TooManyProposals => "more proposals for one height than rounds need",
            Self::InvalidBlock => "proposed blocks that break a rule",
            Self::Equivocation => "two different signed messages for one place",
            Self::OwnKey => "votes with this validator's own key, signed by another process",
            Self::ForgedAddress => "records of nodes' addresses that do not verify",
            Self::MalformedFrame => "frames that cannot be decoded",
            Self::OversizedFrame => "frames over the bound",
            Self::InvalidTransaction => "transactions that are invalid on any state",
            Self::ExpiredTransaction => "transactions that had expired, or were made in the future",
            Self::UnknownAuthor => "transactions of unknown or revoked keys",
            Self::FalseSyncValue => "synced blocks that are not those they claim to be",
            Self::FalseStatus => "statuses that are not true",
            Self::TooManyRequests => "more requests than one institution may send",
            Self::TooManyConnections => "more connections than one institution may have",
            Self::FailedHandshake => "connections that proved no key",
            Self::NotAMember => "connections by keys that the ledger does not name as a node's",
            Self::ShutOut => "connections while shut out",
        }
    }

    /// So many are nothing to speak of: a handshake is cut off when a node stops, and two nodes may dial each other at once.
    pub const fn ordinary(self) -> u64 {
        match self {
            Self::FailedHandshake => limits::CONDUCT_FAILED_HANDSHAKES_ORDINARY,
            Self::TooManyConnections => limits::CONDUCT_CONNECTIONS_ORDINARY,
            Self::ForgedVote
            | Self::ForeignVote
            | Self::ForgedProposal
            | Self::ForeignProposal
            | Self::ForgedCertificate
            | Self::FarRound
            | Self::TooManyProposals
            | Self::InvalidBlock
            | Self::Equivocation
            | Self::OwnKey
            | Self::ForgedAddress
            | Self::MalformedFrame
            | Self::OversizedFrame
            | Self::InvalidTransaction
            | Self::ExpiredTransaction
            | Self::UnknownAuthor
            | Self::FalseSyncValue
            | Self::FalseStatus
            | Self::TooManyRequests
            | Self::NotAMember
            | Self::ShutOut => 0,
        }
    }

    /// What to do about it; `who` is the institution, `None` for strangers.
    pub fn remedy(self, who: Option<&str>) -> String {
        let Some(who) = who else {
            return "let nobody but the members reach the node's port (network.listen); where this node's ledger is older than \
                    its peers' keys, as after the loss of its disk, put the peer ids that they have now into network.peers and start it \
                    again"
                .to_owned();
        };
        match self {
            Self::NotAMember => {
                format!("have an administrator of {who} register its node's key")
            }
            Self::ShutOut => format!(
                "nothing while it was shut out on purpose; `yilian-node peers disconnect {who} --reconnect` lets it in again"
            ),
            Self::OwnKey => format!(
                "another process of {who} runs with this validator's key, such as a copied home that was started, or this \
                 home is an older copy itself; two can sign two different blocks: stop all but one now, then start that \
                 one again"
            ),
            Self::ExpiredTransaction
            | Self::UnknownAuthor
            | Self::MalformedFrame
            | Self::FailedHandshake
            | Self::TooManyConnections => format!(
                "compare clocks and versions with {who}'s operator; `yilian-node peers disconnect {who}` shuts its nodes out"
            ),
            Self::ForgedVote
            | Self::ForeignVote
            | Self::ForgedProposal
            | Self::ForeignProposal
            | Self::ForgedCertificate
            | Self::FarRound
            | Self::TooManyProposals
            | Self::InvalidBlock
            | Self::Equivocation
            | Self::ForgedAddress
            | Self::OversizedFrame
            | Self::InvalidTransaction
            | Self::FalseSyncValue
            | Self::FalseStatus
            | Self::TooManyRequests => format!(
                "no honest node does this: call {who}'s operator; `yilian-node peers disconnect {who}` shuts its nodes out"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_offence_has_one_name_everywhere_and_a_remedy_that_names_the_institution() {
        let names: BTreeSet<&str> = Offence::ALL.iter().map(|offence| offence.name()).collect();
        assert_eq!(names.len(), Offence::ALL.len());
        for offence in Offence::ALL {
            assert_eq!(serde_json::to_value(offence).unwrap(), offence.name());
            assert!(offence.remedy(Some("some-hospital")).contains("some-hospital"));
            assert!(offence.remedy(None).contains("network.listen"));
        }
    }
}
