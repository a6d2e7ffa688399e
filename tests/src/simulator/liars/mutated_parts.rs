//! A proposer that alters the parts of its blocks: bits, lengths and numbers of chunks without signing again; and signed
//! again, payloads that are not the block they name, and more blocks than anybody keeps.

use yilian_node::consensus::proposal::ProposalPosition;
use yilian_spec::base::id::BlockId;

use super::super::frame::Frame;
use super::super::host::Host;
use super::super::random::Random;
use super::{Liar, forge};

pub struct MutatedParts {
    random: Random,
}

impl MutatedParts {
    pub fn new(random: Random) -> Self {
        Self { random }
    }

    /// The same bytes with one bit turned, cut off, with another chunk number, or with more behind them.
    fn mutated(&mut self, part: &[u8]) -> Frame {
        let mut bytes = part.to_vec();
        let at = self.random.position(bytes.len());
        match self.random.below(5) {
            0 => bytes[at] ^= 1 << self.random.below(8),
            1 => bytes.truncate(at),
            2 => {
                // The chunk's number stands behind the manifest, whose length stands in front of it.
                let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
                bytes[4 + length] ^= 1;
            }
            3 => bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes()),
            _ => bytes.extend_from_slice(&self.random.bytes()),
        }
        Frame::Part(bytes.into())
    }
}

impl Liar for MutatedParts {
    fn say(&mut self, host: &mut Host, _to: usize, frame: &Frame) -> Vec<Frame> {
        let (Frame::Part(bytes), Some((manifest, _))) = (frame, forge::as_first_part(host, frame)) else {
            return vec![frame.clone()];
        };
        let position = ProposalPosition { height: manifest.height, round: manifest.round, valid_round: None };
        match self.random.below(3) {
            0 => (0..8).map(|_| self.mutated(bytes)).collect(),
            1 => {
                // Signed, complete, and not the block that is named.
                let mut payload = forge::kept(host, &manifest).unwrap_or_default();
                payload.extend_from_slice(&self.random.bytes());
                forge::parts(host, position, manifest.block_id, payload)
            }
            _ => {
                // One that nobody can read after the other; only two of a round are kept.
                let mut parts = Vec::new();
                for _ in 0..4 {
                    let garbage = self.random.bytes();
                    parts.extend(forge::parts(host, position, BlockId(garbage), garbage.to_vec()));
                }
                parts.push(frame.clone());
                parts
            }
        }
    }
}
