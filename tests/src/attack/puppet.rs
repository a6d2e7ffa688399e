//! A validator without a ledger: it hears what is proposed, votes for it, and proposes when it is its turn, so that the
//! others go on counting on it. What it does at its turn is the attack's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_app_channel::app::types::core::VoteType;
use arc_malachitebft_sync::Response;
use bytes::Bytes;
use tokio::sync::watch;
use yilian_node::application::{ABSENCE_HEIGHTS, ProposerRecord, proposer_rotation};
use yilian_node::consensus::codec::LedgerCodec;
use yilian_node::consensus::context::LedgerContext;
use yilian_node::limits::BLOCK_DECODE_BYTES_MAX;
use yilian_node::network::Topic;
use yilian_node::network::limits::SYNC_BATCH;
use yilian_spec::block::Block;
use yilian_spec::codec;
use yilian_spec::height::Height;
use yilian_spec::id::BlockId;
use yilian_spec::signature::PublicKey;

use super::field::Field;
use super::peer::ear::Proposed;
use super::peer::line::Door;
use super::peer::substream::question;
use super::peer::{Ear, Host, Line};
use super::{sync_floods, votes};

/// Heights of the past from which it learns who proposes.
const PAST: u64 = 3 * ABSENCE_HEIGHTS;

/// A validator in an attacker's hands.
pub struct Puppet {
    /// What it has.
    pub field: Field,
    /// What it hears.
    pub ear: Arc<Ear>,
    /// To every honest node: votes and proposals.
    pub consensus: Vec<Line>,
    /// To every honest node: parts.
    pub parts: Vec<Line>,
    records: Vec<ProposerRecord>,
    tips: watch::Receiver<Height>,
    proposals: watch::Receiver<Option<Proposed>>,
    /// The last tip behind which it looked whose turn it is.
    seen: Height,
}

/// What happens next.
pub enum Event {
    /// The height after this one begins, and it is this validator's turn.
    Turn(Height),
    /// Something was proposed by another.
    Proposal(Proposed),
    /// Time is over.
    Over,
}

impl Puppet {
    /// Connects to everybody and learns the past.
    ///
    /// # Errors
    /// When no node tells it.
    pub async fn new(field: &Field) -> Result<Self> {
        let ear = field.ear();
        let host: Arc<dyn Host> = ear.clone();
        let lines = |name| field.doors(&host).into_iter().map(|door| Line::new(door, name)).collect();
        let mut puppet = Self {
            field: field.clone(),
            consensus: lines("consensus"),
            parts: lines("parts"),
            records: Vec::new(),
            tips: ear.tips(),
            proposals: ear.proposals(),
            seen: Height(0),
            ear,
        };
        for line in puppet.consensus.iter_mut().chain(&mut puppet.parts) {
            line.ready().await;
        }
        if let Some(door) = field.doors(&host).first() {
            puppet.learn(door).await?;
        }
        Ok(puppet)
    }

    fn me(&self) -> PublicKey {
        self.field.validator_key.public_key()
    }

    /// Asks a node for the headers of the last blocks.
    async fn learn(&mut self, door: &Door) -> Result<()> {
        let connection = door.connect().await?;
        let began = Instant::now();
        while self.ear.height() == Height(0) && began.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut next = self.ear.height().0.saturating_sub(PAST).max(1);
        loop {
            let mut stream = connection.agreed("sync").await?;
            let request = sync_floods::request(next, next + SYNC_BATCH as u64 - 1);
            let answer = question(&mut stream, &request).await?;
            let Response::ValueResponse(response) = {
                let response: Response<LedgerContext> = LedgerCodec.decode(answer)?;
                response
            };
            if response.values.is_empty() {
                return Ok(());
            }
            for value in response.values {
                let block: Block = codec::decode(&value.value_bytes, BLOCK_DECODE_BYTES_MAX)?;
                next = block.header.height.0 + 1;
                self.ear.learn(block.header);
            }
        }
    }

    /// Whose turn round 0 of the next height is, by the same rule as the nodes.
    fn turn_after(&mut self, tip: Height) -> PublicKey {
        let from = self.records.last().map_or(Height(0), |record| record.height.next());
        for header in self.ear.decided_from(from) {
            let expected = self.expected(header.height);
            self.records.push(ProposerRecord { height: header.height, expected, proposer: header.proposer });
        }
        self.expected(tip.next())
    }

    fn expected(&self, height: Height) -> PublicKey {
        let recent = self.records.len().saturating_sub(ABSENCE_HEIGHTS as usize);
        let rotation = proposer_rotation(&self.field.validators, &self.records[recent..]);
        rotation[(height.0 % rotation.len() as u64) as usize]
    }

    /// Waits for the next thing to do.
    pub async fn next(&mut self, until: Instant) -> Event {
        loop {
            let tip = *self.tips.borrow_and_update();
            if tip > self.seen {
                self.seen = tip;
                if self.turn_after(tip) == self.me() {
                    return Event::Turn(tip);
                }
            }
            tokio::select! {
                changed = self.tips.changed() => if changed.is_err() { return Event::Over },
                changed = self.proposals.changed() => {
                    let proposed = *self.proposals.borrow_and_update();
                    match proposed {
                        Some(proposed) if changed.is_ok() => return Event::Proposal(proposed),
                        _ => {}
                    }
                }
                () = tokio::time::sleep_until(until.into()) => return Event::Over,
            }
        }
    }

    /// This validator's vote.
    pub fn vote(
        &self,
        kind: VoteType,
        (height, round): (Height, u32),
        block: Option<BlockId>,
    ) -> (Topic, Bytes) {
        let vote = votes::vote((kind, height, round), block, self.me());
        votes::signed(self.field.chain_id, &self.field.validator_key, vote)
    }

    /// Both votes for a block, as an honest validator would give them in the end.
    pub fn both(&self, at: (Height, u32), block: BlockId) -> [(Topic, Bytes); 2] {
        [VoteType::Prevote, VoteType::Precommit].map(|kind| self.vote(kind, at, Some(block)))
    }

    /// Votes for what another has proposed.
    pub async fn agree(&mut self, proposed: Proposed) {
        let votes = self.both((proposed.height, proposed.round), proposed.block_id);
        for line in &mut self.consensus {
            line.send(&votes).await;
        }
    }

    /// Whether the height after `tip` is still open.
    pub fn is_open(&self, tip: Height) -> bool {
        *self.ear.tips().borrow() == tip
    }

    /// Frames sent, and how often nodes ended a line.
    pub fn done(&self) -> Vec<(u64, u64)> {
        self.consensus.iter().chain(&self.parts).map(|line| (line.sent, line.ended)).collect()
    }
}
