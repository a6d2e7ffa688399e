//! A proposer that builds two blocks, both good, shows one to some and the other to the rest, and votes for each before
//! those who know it.

use yilian_node::base::clock::Clock as _;

use super::super::frame::Frame;
use super::super::host::Host;
use super::Liar;
use super::forge::{self, Substitution};

#[derive(Default)]
pub struct EquivocatingProposer {
    substitution: Substitution,
}

impl Liar for EquivocatingProposer {
    fn say(&mut self, host: &mut Host, to: usize, frame: &Frame) -> Vec<Frame> {
        if to.is_multiple_of(2) {
            return vec![frame.clone()];
        }
        self.substitution.say(host, frame, |host, manifest, _| {
            // Another time makes it another block.
            let now_ms = host.clock.now_ms() + 1;
            forge::other_block(host, manifest, now_ms)
        })
    }
}
