//! What the members may set, the same for all nodes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::limits;
use crate::base::time::DAY_MS;
use crate::base::version::VersionSchedule;

/// What the members may set, the same for all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Which version of the protocol holds from which block on.
    pub versions: VersionSchedule,
    /// Transactions in one block, at most [`limits::TRANSACTIONS_PER_BLOCK_MAX`].
    pub block_transactions_max: u32,
    /// Encoded size of one block in bytes, at most [`limits::BLOCK_BYTES_MAX`].
    pub block_bytes_max: u32,
    /// Units of work of one block, at least [`limits::TRANSACTION_WORK_MAX`] and at most [`limits::BLOCK_WORK_MAX`].
    pub block_work_max: u64,
    /// Units of work per second that each institution may have in blocks while others wait: its quota. At most
    /// [`limits::QUOTA_WORK_PER_S_MAX`].
    pub quota_work_per_s: u64,
    /// How long a recipient has to record the receipt of a disclosure.
    pub receipt_deadline_ms: u64,
    /// How long a referral may wait for an answer.
    pub referral_answer_deadline_ms: u64,
    /// How long an accepted referral may wait for the hand-over.
    pub referral_handover_deadline_ms: u64,
    /// How long a hand-over may wait for its acknowledgement.
    pub referral_acknowledge_deadline_ms: u64,
    /// How long a case may be in care before its outcome is reported.
    pub referral_outcome_deadline_ms: u64,
    /// How long either closure may take.
    pub referral_closure_deadline_ms: u64,
    /// How long the access that an accepted referral gives may last at most.
    pub referral_access_ms: u64,
    /// How long consensus waits.
    pub consensus: ConsensusTimeouts,
}

/// How long consensus waits for the others at a height, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsensusTimeouts {
    /// At most, for the proposal of round 0.
    pub propose_ms: u64,
    /// At least, however fast proposals were lately: a node that has seen only fast ones waits less than `propose_ms`.
    pub propose_min_ms: u64,
    /// At most, for the remaining prevotes, once two thirds differ.
    pub prevote_ms: u64,
    /// At most, for the remaining precommits, once two thirds differ.
    pub precommit_ms: u64,
    /// Added to each of them per round. Small, because most rounds that fail do so for want of a proposer or of a vote that
    /// another round brings, not of time; a long absence may leave many rounds behind.
    pub delta_ms: u64,
    /// After so long without progress a node repeats its last votes.
    pub rebroadcast_ms: u64,
    /// No timeout of any round exceeds this.
    pub bound_ms: u64,
}

impl Default for ConsensusTimeouts {
    /// For members in one country: a round trip below 100 ms, blocks that execute in well under a second.
    fn default() -> Self {
        Self {
            propose_ms: 1_000,
            propose_min_ms: 50,
            prevote_ms: 300,
            precommit_ms: 300,
            delta_ms: 100,
            rebroadcast_ms: 1_000,
            bound_ms: 20_000,
        }
    }
}

impl ConsensusTimeouts {
    fn are_within_bounds(&self) -> bool {
        let times =
            [self.propose_ms, self.propose_min_ms, self.prevote_ms, self.precommit_ms, self.rebroadcast_ms];
        times.iter().all(|ms| (1..=self.bound_ms).contains(ms))
            && self.propose_min_ms <= self.propose_ms
            && self.delta_ms <= self.bound_ms
            && self.bound_ms <= limits::ROUND_TIMEOUT_MS_MAX
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            versions: VersionSchedule::default(),
            block_transactions_max: 5_000,
            block_bytes_max: 2 << 20,
            block_work_max: limits::BLOCK_WORK_MAX,
            quota_work_per_s: 100,
            receipt_deadline_ms: DAY_MS,
            referral_answer_deadline_ms: 3 * DAY_MS,
            referral_handover_deadline_ms: 7 * DAY_MS,
            referral_acknowledge_deadline_ms: DAY_MS,
            referral_outcome_deadline_ms: 30 * DAY_MS,
            referral_closure_deadline_ms: 14 * DAY_MS,
            referral_access_ms: 90 * DAY_MS,
            consensus: ConsensusTimeouts::default(),
        }
    }
}

impl Parameters {
    /// Whether all but the versions lie within the bounds of the protocol (rule G-10).
    pub fn are_within_bounds(&self) -> bool {
        let within = |value: u32, limit: usize| value > 0 && value as usize <= limit;
        let deadlines = [
            self.receipt_deadline_ms,
            self.referral_answer_deadline_ms,
            self.referral_handover_deadline_ms,
            self.referral_acknowledge_deadline_ms,
            self.referral_outcome_deadline_ms,
            self.referral_closure_deadline_ms,
            self.referral_access_ms,
        ];
        let bounded = deadlines.iter().all(|ms| (1..=limits::GRANT_LIFETIME_MS_MAX).contains(ms));
        let blocks = within(self.block_transactions_max, limits::TRANSACTIONS_PER_BLOCK_MAX)
            && within(self.block_bytes_max, limits::BLOCK_BYTES_MAX)
            && self.block_bytes_max as usize > limits::TRANSACTION_BYTES_MAX + limits::HEADER_BYTES_MAX;
        let work = (limits::TRANSACTION_WORK_MAX..=limits::BLOCK_WORK_MAX).contains(&self.block_work_max)
            && (1..=limits::QUOTA_WORK_PER_S_MAX).contains(&self.quota_work_per_s);
        bounded && blocks && work && self.consensus.are_within_bounds()
    }
}
