//! A proposer whose blocks say another state root than executing them gives.

use yilian_spec::base::codec;
use yilian_spec::base::limits::BLOCK_BYTES_MAX;
use yilian_spec::ledger::block::Block;

use super::super::frame::Frame;
use super::super::host::Host;
use super::Liar;
use super::forge::Substitution;

#[derive(Default)]
pub struct WrongStateRoot {
    substitution: Substitution,
}

impl Liar for WrongStateRoot {
    fn say(&mut self, host: &mut Host, _to: usize, frame: &Frame) -> Vec<Frame> {
        self.substitution.say(host, frame, |_, _, bytes| {
            let mut block: Block = codec::decode(&bytes, BLOCK_BYTES_MAX).ok()?;
            block.header.state_root.0[0] ^= 1;
            Some((block.header.id(), codec::encode(&block)))
        })
    }
}
