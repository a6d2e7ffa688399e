//! What a connected peer may send: every reader refuses or reads, and what it reads it would send as the same bytes.

use std::hint::black_box;

use arc_malachitebft_app_channel::app::types::codec::{Codec, HasEncodedLen};
use arc_malachitebft_app_channel::app::types::core::PolkaCertificate;
use arc_malachitebft_app_channel::app::types::{ProposedValue, SignedConsensusMsg};
use arc_malachitebft_core_consensus::LivenessMsg;
use bytes::Bytes;
use futures::FutureExt as _;
use yilian_node::base::limits::GOSSIP_BATCH_BYTES_MAX;
use yilian_node::consensus::codec::{LedgerCodec, decode_status, decode_work, encode_status, encode_work};
use yilian_node::consensus::context::LedgerContext;
use yilian_node::consensus::proposal::{Part, SignedManifest};
use yilian_node::network::address_record::{decode_frame, frames};
use yilian_node::network::link::{Lane, read_frame, write_frames};
use yilian_spec::base::codec;
use yilian_spec::base::id::ChainId;
use yilian_spec::ledger::transaction::Transaction;

use super::encoded::decoded;

fn round_trip<T>(bytes: &[u8])
where
    LedgerCodec: Codec<T>,
{
    if let Ok(message) = <LedgerCodec as Codec<T>>::decode(&LedgerCodec, Bytes::copy_from_slice(bytes)) {
        let Ok(again) = <LedgerCodec as Codec<T>>::encode(&LedgerCodec, &message) else {
            panic!("a message that was read cannot be sent");
        };
        assert!(again == bytes, "a message that was read would be sent as other bytes");
    }
}

/// Frames on each lane until one is refused or the bytes end: what is read is written as the same bytes.
pub fn frame(bytes: &[u8]) {
    for lane in Lane::ALL {
        let (mut rest, mut written) = (bytes, Vec::new());
        // Reading from and writing to memory never waits.
        while let Some(Ok(frame)) = read_frame(&mut rest, lane).now_or_never() {
            assert!(frame.topic.lane() == lane, "a frame of another lane is read");
            let done = write_frames(&mut written, &[frame]).now_or_never();
            assert!(done.is_some_and(|result| result.is_ok()), "a frame that was read cannot be sent");
            assert!(bytes.starts_with(&written) && written.len() + rest.len() == bytes.len());
        }
    }
}

/// Votes, proposals, certificates and what the vote log keeps; each may be the bytes.
pub fn consensus(bytes: &[u8]) {
    round_trip::<SignedConsensusMsg<LedgerContext>>(bytes);
    round_trip::<LivenessMsg<LedgerContext>>(bytes);
    round_trip::<ProposedValue<LedgerContext>>(bytes);
    round_trip::<PolkaCertificate<LedgerContext>>(bytes);
}

/// Statuses, notices of work, address records, sync requests and responses; each may be the bytes.
pub fn sync(bytes: &[u8]) {
    use arc_malachitebft_sync::{Request, Response};
    if let Ok((status, clock_ms)) = decode_status(bytes) {
        assert!(encode_status(status, clock_ms) == bytes);
    }
    if let Ok(height) = decode_work(bytes) {
        assert!(encode_work(height) == bytes);
    }
    if let Ok(records) = decode_frame(bytes) {
        assert!(records.is_empty() || frames(records.iter()) == [bytes]);
        for record in &records {
            // What verifies can be dialled.
            let is_good = record.verify(CHAIN).is_ok();
            let is_dialable =
                record.addresses().iter().all(|address| address.to_string().parse() == Ok(address.clone()));
            assert!(!is_good || is_dialable, "a record is taken whose address cannot be written down");
        }
    }
    round_trip::<Request<LedgerContext>>(bytes);
    round_trip::<Response<LedgerContext>>(bytes);
    let response: Result<Response<LedgerContext>, _> = LedgerCodec.decode(Bytes::copy_from_slice(bytes));
    if let Ok(response) = response {
        assert!(LedgerCodec.encoded_len(&response).is_ok_and(|length| length == bytes.len()));
    }
}

/// The chain on which the seeds' parts are signed.
pub const CHAIN: ChainId = ChainId([5; 32]);

/// A part of a proposed block, its manifest and its chunk.
pub fn part(bytes: &[u8]) {
    let Ok(part) = Part::decode(&Bytes::copy_from_slice(bytes)) else { return };
    if let Ok(manifest) =
        SignedManifest::decode(&part.signed_manifest).and_then(|signed| signed.verify(CHAIN))
    {
        for index in [part.index, 0, u32::MAX] {
            black_box(manifest.names(index, &part.chunk));
        }
    }
}

/// A batch of transactions as the mempools pass them on.
pub fn batch(bytes: &[u8]) {
    if let Some(batch) = decoded::<Vec<Transaction>>(bytes, GOSSIP_BATCH_BYTES_MAX) {
        let length: usize = batch.iter().map(|transaction| codec::encode(transaction).len()).sum();
        assert!(
            length <= bytes.len(),
            "a batch of {} bytes holds {length} bytes of transactions",
            bytes.len()
        );
    }
}
