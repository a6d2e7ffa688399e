//! A peer that claims heights which are not there, and serves whoever asks with garbage, false certificates, and blocks
//! that are not the certified ones.

use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_sync::{RawDecidedValue, Response, ValueResponse};
use bytes::Bytes;
use yilian_node::consensus::codec::{LedgerCodec, decode_status, encode_status};
use yilian_node::consensus::context::{EngineHeight, LedgerContext};

use super::super::effects::encoded;
use super::super::frame::Frame;
use super::super::host::Host;
use super::super::random::Random;
use super::Liar;
use crate::simulator::liars::forge::spoil;

/// How far above the true one the heights that it claims are.
const CLAIMED_HEIGHTS: u64 = 1_000;

type Values = Vec<RawDecidedValue<LedgerContext>>;

pub struct LyingSyncPeer {
    random: Random,
}

impl LyingSyncPeer {
    pub fn new(random: Random) -> Self {
        Self { random }
    }

    fn garbage(&mut self) -> Bytes {
        Bytes::copy_from_slice(&self.random.bytes())
    }

    /// Spoils one of the values, or all.
    fn spoil(&mut self, mut values: Values) -> Values {
        if values.is_empty() {
            return values;
        }
        let at = self.random.position(values.len());
        let value = &mut values[at];
        match self.random.below(6) {
            0 => value.value_bytes = self.garbage(),
            1 => value.value_bytes = value.value_bytes.slice(..value.value_bytes.len() / 2),
            2 => {
                let signatures = &mut value.certificate.commit_signatures;
                let of = self.random.position(signatures.len().max(1));
                if let Some(signature) = signatures.get_mut(of) {
                    spoil(&mut signature.signature, self.random.position(64));
                }
            }
            3 => value.certificate.commit_signatures.truncate(2),
            4 => value.certificate.value_id.0 = self.random.bytes(),
            // Each certificate with the next one's block.
            _ => {
                let first = values[0].value_bytes.clone();
                for index in 0..values.len() {
                    let next = values.get(index + 1).map(|value| value.value_bytes.clone());
                    values[index].value_bytes = next.unwrap_or_else(|| first.clone());
                }
            }
        }
        values
    }

    fn response(&mut self, bytes: &Bytes) -> Option<Frame> {
        if self.random.chance(150) {
            return Some(Frame::SyncResponse(self.garbage()));
        }
        let Response::ValueResponse(ValueResponse { start_height, values }) =
            LedgerCodec.decode(bytes.clone()).ok()?;
        let start = if self.random.chance(150) { EngineHeight(u64::MAX) } else { start_height };
        let values = if self.random.chance(150) { Vec::new() } else { self.spoil(values) };
        let response: Response<LedgerContext> =
            Response::ValueResponse(ValueResponse { start_height: start, values });
        encoded(&response).ok().map(Frame::SyncResponse)
    }
}

impl Liar for LyingSyncPeer {
    fn say(&mut self, _host: &mut Host, _to: usize, frame: &Frame) -> Vec<Frame> {
        let said = match frame {
            Frame::SyncResponse(bytes) => self.response(bytes),
            Frame::Status(bytes) => decode_status(bytes).ok().map(|(mut status, clock_ms)| {
                status.tip = EngineHeight(status.tip.0 + CLAIMED_HEIGHTS);
                Frame::Status(encode_status(status, clock_ms))
            }),
            _ => None,
        };
        vec![said.unwrap_or_else(|| frame.clone())]
    }
}
