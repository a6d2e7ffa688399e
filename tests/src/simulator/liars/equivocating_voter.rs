//! A voter that tells some the opposite of what it votes, and some both: nil for a block, and for nil the last block that
//! it knows of this height.

use arc_malachitebft_app_channel::app::types::core as engine;
use engine::NilOrVal;
use yilian_node::consensus::context::{EngineHeight, Vote};
use yilian_spec::base::id::BlockId;

use super::super::frame::Frame;
use super::super::host::Host;
use super::Liar;
use super::forge;

#[derive(Default)]
pub struct EquivocatingVoter {
    last: Option<(EngineHeight, BlockId)>,
}

impl EquivocatingVoter {
    fn opposite(&mut self, vote: &Vote) -> NilOrVal<BlockId> {
        match vote.value {
            NilOrVal::Val(block_id) => {
                self.last = Some((vote.height, block_id));
                NilOrVal::Nil
            }
            NilOrVal::Nil => match self.last {
                Some((height, block_id)) if height == vote.height => NilOrVal::Val(block_id),
                _ => NilOrVal::Val(BlockId([7; 32])),
            },
        }
    }
}

impl Liar for EquivocatingVoter {
    fn say(&mut self, host: &mut Host, to: usize, frame: &Frame) -> Vec<Frame> {
        let Some(vote) = forge::as_vote(frame) else { return vec![frame.clone()] };
        let value = self.opposite(&vote);
        let Some(opposite) = forge::vote(host, Vote { value, ..vote }) else { return vec![frame.clone()] };
        match to % 3 {
            0 => vec![frame.clone()],
            1 => vec![opposite],
            _ => vec![opposite, frame.clone()],
        }
    }
}
