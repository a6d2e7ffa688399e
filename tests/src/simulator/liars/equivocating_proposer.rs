//! A proposer that builds two blocks, both good, shows one to some and the other to the rest, and votes for each before
//! those who know it.

use yilian_node::application::Application as _;
use yilian_node::clock::Clock as _;

use super::super::frame::Frame;
use super::super::host::Host;
use super::Liar;
use super::forge::Substitution;

/// Rounds that nobody comes to: the ledger builds a new block for each.
const OTHER_ROUNDS: u32 = 1_000_000;

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
            let built = host.ledger().build(manifest.height, OTHER_ROUNDS + manifest.round, now_ms).ok()?;
            Some((built.block_id, built.bytes))
        })
    }
}
