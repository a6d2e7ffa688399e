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
use yilian_node::base::limits::BLOCK_DECODE_BYTES_MAX;
use yilian_node::consensus::codec::LedgerCodec;
use yilian_node::consensus::context::LedgerContext;
use yilian_node::network::Topic;
use yilian_node::network::limits::SYNC_BATCH;
use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::BlockId;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::membership::rotation::Attendance;
use yilian_spec::ledger::block::Block;

use super::field::{Field, Mood};
use super::peer::ear::Proposed;
use super::peer::line::Door;
use super::peer::substream::question;
use super::peer::{Ear, Host, Line};
use super::{blocks, sync_floods, votes};
use crate::work;

/// How long learning the past may take.
const LEARNS_WITHIN: Duration = Duration::from_secs(30);

/// The others decide a little later than this one hears that they will, and refuse what belongs to the height after.
const OTHERS_BEGIN_WITHIN: Duration = Duration::from_millis(20);

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
    /// Who has missed turns before `next`.
    attendance: Attendance,
    /// The first height that is not counted in `attendance` yet.
    next: Height,
    mood: watch::Receiver<Mood>,
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
            attendance: Attendance::default(),
            next: Height::FIRST,
            mood: field.mood.subscribe(),
            tips: ear.tips(),
            proposals: ear.proposals(),
            seen: Height(0),
            ear,
        };
        for line in puppet.consensus.iter_mut().chain(&mut puppet.parts) {
            let waits = || field.is_there_from_the_start && *field.mood.borrow() != Mood::Over;
            while !line.ready().await && waits() {}
        }
        if field.is_there_from_the_start {
            return Ok(puppet);
        }
        if let Some(door) = field.doors(&host).first() {
            puppet.learn(door).await?;
        }
        Ok(puppet)
    }

    fn me(&self) -> PublicKey {
        self.field.validator_key.public_key()
    }

    /// Asks a node for the headers of all blocks.
    async fn learn(&mut self, door: &Door) -> Result<()> {
        let connection = door.connect().await?;
        let began = Instant::now();
        while self.ear.height() == Height(0) && began.elapsed() < LEARNS_WITHIN {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut next = 1;
        loop {
            let mut stream = connection.agreed("sync").await?;
            let request = sync_floods::request(next, next + SYNC_BATCH as u64 - 1);
            let answer = match question(&mut stream, &request).await {
                Ok(answer) => answer,
                // Its allowance is used up.
                Err(error) if began.elapsed() > LEARNS_WITHIN => return Err(error.into()),
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
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

    /// Whose turn round 0 of the height after `tip` is, by the same rule as the nodes.
    fn turn_after(&mut self, tip: Height) -> PublicKey {
        let validators = &self.field.validators;
        for header in self.ear.decided_from(self.next) {
            if header.height != self.next {
                break;
            }
            self.attendance =
                self.attendance.after((header.height, &header.proposer), validators, validators);
            if header.proposer == self.field.validator_key.public_key() {
                self.field.turns_used.send_modify(|turns| *turns += 1);
            }
            self.next = header.height.next();
        }
        self.attendance.turn(validators, tip.next()).key
    }

    /// Which of the honest nodes, by its place among them, proposes after this validator has made the block behind `tip`;
    /// `None` where it is this one again.
    pub fn turn_after_mine(&self, tip: Height) -> Option<usize> {
        let validators = &self.field.validators;
        let mine = tip.next();
        let after = self.attendance.after((mine, &self.me()), validators, validators);
        let next = after.turn(validators, mine.next()).key;
        self.field.target_keys.iter().position(|key| *key == next)
    }

    /// Waits for the next thing to attack with. While it is to be honest, it does what there is to do itself.
    ///
    /// # Errors
    /// When a block cannot be made.
    pub async fn next(&mut self, until: Instant) -> Result<Event> {
        loop {
            let event = self.hear(until).await;
            let mood = *self.mood.borrow_and_update();
            match (event, mood) {
                (Event::Over, _) | (_, Mood::Over) => return Ok(Event::Over),
                (event, Mood::Attacking) => return Ok(event),
                (Event::Turn(tip), Mood::Honest) => {
                    tokio::time::sleep(OTHERS_BEGIN_WITHIN).await;
                    let everybody: Vec<usize> = (0..self.parts.len()).collect();
                    self.propose(tip, &everybody).await?;
                }
                (Event::Proposal(proposed), Mood::Honest) => self.agree(proposed).await,
            }
        }
    }

    async fn hear(&mut self, until: Instant) -> Event {
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
                over = self.mood.wait_for(|mood| *mood == Mood::Over) => {
                    drop(over);
                    return Event::Over;
                }
                () = tokio::time::sleep_until(until.into()) => return Event::Over,
            }
        }
    }

    /// Proposes a block behind `tip`, and shows its parts to these of the nodes alone. Says whether it could.
    ///
    /// # Errors
    /// When the machine tells no time.
    pub async fn propose(&mut self, tip: Height, shown: &[usize]) -> Result<bool> {
        let Some(last) = self.ear.tip().filter(|last| last.height == tip) else { return Ok(false) };
        let (field, at) = (self.field.clone(), (tip.next(), 0));
        let time = work::now()?.max(last.time.plus_ms(1));
        let block = blocks::empty(&last, self.me(), time);
        let (id, parts) = blocks::parts(field.chain_id, &field.validator_key, &block, 0);
        self.ear.proposed_header(block.header);
        let mut frames = vec![votes::proposal(field.chain_id, &field.validator_key, at, id)];
        frames.extend(self.both(at, id));
        for node in shown {
            self.parts[*node].send(&parts).await;
        }
        for line in &mut self.consensus {
            line.send(&frames).await;
        }
        Ok(true)
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
