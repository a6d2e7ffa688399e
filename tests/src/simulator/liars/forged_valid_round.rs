//! A proposer that writes another validator into the header of its block, and claims that the block had gathered two thirds
//! of the prevotes in an earlier round, where there was none: only then may the header name somebody else.

use yilian_node::base::limits::BLOCK_DECODE_BYTES_MAX;
use yilian_spec::base::codec;
use yilian_spec::ledger::block::Block;

use super::super::consortium::validator_key;
use super::super::frame::Frame;
use super::super::host::Host;
use super::super::plan::VALIDATORS;
use super::Liar;
use super::forge::Substitution;

pub struct ForgedValidRound {
    substitution: Substitution,
}

impl Default for ForgedValidRound {
    fn default() -> Self {
        Self { substitution: Substitution::claiming(0) }
    }
}

impl Liar for ForgedValidRound {
    fn say(&mut self, host: &mut Host, _to: usize, frame: &Frame) -> Vec<Frame> {
        self.substitution.say(host, frame, |_, manifest, bytes| {
            // Now and then it proposes honestly, so that the others go on counting on it.
            if manifest.height.0.is_multiple_of(3) {
                return None;
            }
            let mut block: Block = codec::decode(&bytes, BLOCK_DECODE_BYTES_MAX).ok()?;
            let others = (0..VALIDATORS).map(|member| validator_key(member).public_key());
            block.header.proposer = others.into_iter().find(|key| *key != manifest.proposer)?;
            Some((block.header.id(), codec::encode(&block)))
        })
    }
}
