//! A proposer whose blocks are as old as the last one, older, or from the future. What it builds is executed anew for the
//! time it says, so that the time alone is wrong.

use yilian_spec::base::codec;
use yilian_spec::base::limits::{BLOCK_BYTES_MAX, BLOCK_TIME_AHEAD_MS_MAX, INTEGER_MAX};
use yilian_spec::base::time::LedgerTime;
use yilian_spec::ledger::block::Block;

use super::super::frame::Frame;
use super::super::host::Host;
use super::super::random::Random;
use super::Liar;
use super::forge::{self, Substitution};

/// Beyond the bound and any skew of the clocks here.
const AHEAD_MS: u64 = BLOCK_TIME_AHEAD_MS_MAX + 3_600_000;

pub struct WrongTimes {
    random: Random,
    substitution: Substitution,
}

impl WrongTimes {
    pub fn new(random: Random) -> Self {
        Self { random, substitution: Substitution::default() }
    }
}

impl Liar for WrongTimes {
    fn say(&mut self, host: &mut Host, _to: usize, frame: &Frame) -> Vec<Frame> {
        let Self { random, substitution } = self;
        substitution.say(host, frame, |host, manifest, bytes| {
            let mut block: Block = codec::decode(&bytes, BLOCK_BYTES_MAX).ok()?;
            let last = host.ledger().tip().time;
            match random.below(4) {
                0 => return forge::other_block(host, manifest, block.header.time.0 + AHEAD_MS),
                1 => block.header.time = last,
                2 => block.header.time = LedgerTime(0),
                _ => block.header.time = LedgerTime(INTEGER_MAX),
            }
            Some((block.header.id(), codec::encode(&block)))
        })
    }
}
