//! A peer that claims blocks without end, and serves true headers under true certificates with bodies that they do not
//! describe: every word that is certified is right.

use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_sync::Response;
use yilian_node::base::limits::BLOCK_DECODE_BYTES_MAX;
use yilian_node::consensus::codec::{LedgerCodec, decode_status, encode_status};
use yilian_node::consensus::context::{EngineHeight, LedgerContext};
use yilian_spec::base::codec;
use yilian_spec::ledger::block::Block;

use super::super::effects::encoded;
use super::super::frame::Frame;
use super::super::host::Host;
use super::super::random::Random;
use super::Liar;

const CLAIMED: u64 = 1 << 40;

pub struct AlteredBodies {
    random: Random,
}

impl AlteredBodies {
    pub fn new(random: Random) -> Self {
        Self { random }
    }

    /// Another body under the same header: a transaction changed, left out or doubled.
    fn alter(&mut self, block: &mut Block) {
        if block.transactions.is_empty() {
            return;
        }
        let at = self.random.position(block.transactions.len());
        match self.random.below(3) {
            0 => block.transactions[at].body.nonce[0] ^= 1,
            1 => drop(block.transactions.remove(at)),
            _ => block.transactions.push(block.transactions[at].clone()),
        }
    }

    fn altered(&mut self, frame: &Frame) -> Option<Frame> {
        match frame {
            Frame::SyncResponse(bytes) => {
                let mut response: Response<LedgerContext> = LedgerCodec.decode(bytes.clone()).ok()?;
                let Response::ValueResponse(values) = &mut response;
                for value in &mut values.values {
                    let mut block: Block = codec::decode(&value.value_bytes, BLOCK_DECODE_BYTES_MAX).ok()?;
                    self.alter(&mut block);
                    value.value_bytes = codec::encode(&block).into();
                }
                encoded(&response).ok().map(Frame::SyncResponse)
            }
            Frame::Status(bytes) => {
                let (mut status, clock_ms) = decode_status(bytes).ok()?;
                status.tip = EngineHeight(CLAIMED);
                Some(Frame::Status(encode_status(status, clock_ms)))
            }
            _ => None,
        }
    }
}

impl Liar for AlteredBodies {
    fn say(&mut self, _host: &mut Host, _to: usize, frame: &Frame) -> Vec<Frame> {
        vec![self.altered(frame).unwrap_or_else(|| frame.clone())]
    }
}
