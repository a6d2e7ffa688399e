//! Every bound of the network in one place, with the relations between them.

use std::time::Duration;

use yilian_spec::crypto::signature::{PublicKey, Signature};

/// Bytes of block payload that one part carries.
pub const PART_CHUNK_BYTES: usize = 256 * 1024;
/// Largest frame on the consensus lane: a certificate of some hundred signatures fits many times.
pub const CONSENSUS_FRAME_BYTES_MAX: usize = 128 * 1024;
/// Largest frame on the parts lane: one chunk and the signed manifest that travels with it.
pub const PART_FRAME_BYTES_MAX: usize = PART_CHUNK_BYTES + 16 * 1024;
/// Largest frame on the transaction lane.
pub const TRANSACTION_FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that may wait to be sent to one peer on the consensus lane; what exceeds it is dropped, and
/// the engine's own rebroadcast repairs the loss.
pub const CONSENSUS_BACKLOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes that may wait to be sent to one peer on the parts lane; a peer that cannot take them falls
/// behind and syncs the block once it is decided.
pub const PART_BACKLOG_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes that may wait to be sent to one peer on the transaction lane.
pub const TRANSACTION_BACKLOG_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of this node's own proposal and votes that are kept for peers that connect within the round: a block and its
/// votes fit.
pub const STANDING_BYTES_MAX: usize = SYNC_RESPONSE_BYTES_MAX;

/// Frames that one connection may deliver on one lane in [`INTAKE_WINDOW`]. Beyond it the node stops
/// reading that lane until the window ends, so the sender feels TCP's back pressure.
pub const INTAKE_FRAMES_PER_WINDOW: u32 = 400;
/// The window of [`INTAKE_FRAMES_PER_WINDOW`].
pub const INTAKE_WINDOW: Duration = Duration::from_millis(100);

/// Connections kept to one peer: both sides may dial at once, and a dead one lingers until its ping fails.
pub const CONNECTIONS_PER_PEER_MAX: usize = 4;
/// Connections of all nodes of one institution.
pub const CONNECTIONS_PER_INSTITUTION_MAX: usize = 8;
/// Inbound connections that may be in their handshake at once.
pub const HALF_OPEN_MAX: usize = 128;
/// Of those, from one address; so one site does not take them all.
pub const HALF_OPEN_PER_SITE_MAX: usize = 32;
/// Established connections in all.
pub const CONNECTIONS_MAX: usize = 1024;
/// Of those, kept for institutions that validate.
pub const CONNECTIONS_KEPT_FOR_VALIDATORS: usize =
    yilian_spec::base::limits::VALIDATORS_MAX * CONNECTIONS_PER_INSTITUTION_MAX;
/// Time for TCP, Noise and Yamux together.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer is pinged this often.
pub const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A ping unanswered for so long closes the connection.
pub const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// First pause before a configured peer is dialled again.
pub const REDIAL_PAUSE_MIN: Duration = Duration::from_millis(200);
/// The pause doubles up to this. With the time of a handshake that hangs, a healed partition is back well within 10 s.
pub const REDIAL_PAUSE_MAX: Duration = Duration::from_secs(2);

/// The pause of a peer that is not configured, but has told its address, doubles up to this.
pub const RECORDED_REDIAL_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Such peers that are being dialled at once.
pub const RECORDED_DIALS_MAX: usize = 32;

/// Addresses at which a node may say that it can be dialled.
pub const ADDRESSES_MAX: usize = 4;
/// Longest name of a host (RFC 1035, section 3.1, in its text form).
pub const NAME_BYTES_MAX: usize = 253;
/// Longest part of it between two dots.
pub const NAME_LABEL_BYTES_MAX: usize = 63;
/// Longest record of a node's addresses: key, sequence number, addresses (each with kind, name and port), signature.
pub const ADDRESS_RECORD_BYTES_MAX: usize = PublicKey::ENCODED_BYTES
    + 8
    + 8
    + ADDRESSES_MAX * (4 + 8 + NAME_BYTES_MAX + 2)
    + Signature::ENCODED_BYTES;
/// Records in one frame: about a millisecond to verify.
pub const ADDRESS_FRAME_RECORDS_MAX: usize = 16;
/// Largest frame of them.
pub const ADDRESS_FRAME_BYTES_MAX: usize = 8 + ADDRESS_FRAME_RECORDS_MAX * ADDRESS_RECORD_BYTES_MAX;
/// Records that are held: one for each node key that the ledger can name.
pub const ADDRESS_RECORDS_MAX: usize =
    yilian_spec::base::limits::INSTITUTIONS_MAX * yilian_spec::base::limits::NODE_KEYS_PER_INSTITUTION_MAX;
/// Largest file of them.
pub const ADDRESS_FILE_BYTES_MAX: usize = 8 + ADDRESS_RECORDS_MAX * ADDRESS_RECORD_BYTES_MAX;
/// A record whose sequence number is so far ahead of this node's clock is not taken.
pub const ADDRESS_AHEAD_MS_MAX: u64 = 10 * 60_000;
/// Newer records that one institution's nodes may show at once; each costs the check of a signature.
pub const ADDRESS_CHECKS_BURST_MAX: u32 = 1024;
/// One more of them every so often.
pub const ADDRESS_CHECK_REFILL_MS: u64 = 20;
/// The records of one key are passed on so often at most, the newest of them.
pub const ADDRESS_PASS_ON_INTERVAL_MS: u64 = 5_000;
/// How often is looked whether a record is to be passed on.
pub const ADDRESS_TICK: Duration = Duration::from_millis(500);
/// After so many of these, one connected peer, each in its turn, is told all again: a record may have met a node that did not
/// know its key yet, or a full backlog.
pub const ADDRESS_REPEAT_TICKS: u32 = 20;

/// Commands that may wait for the swarm's task.
pub const COMMAND_QUEUE: usize = 1024;
/// Events that may wait for the consensus side; the swarm's task waits when it is full.
pub const EVENT_QUEUE: usize = 1024;
/// Transaction batches that may wait for the mempool; further ones are dropped and counted.
pub const TRANSACTION_QUEUE: usize = 256;
/// Peers that have connected and may wait to be sent what waits in the mempool.
pub const ARRIVAL_QUEUE: usize = 256;

/// Largest value-sync request.
pub const SYNC_REQUEST_BYTES_MAX: usize = 1024;
/// Largest value-sync response; a decided block with its certificate must fit.
pub const SYNC_RESPONSE_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Heights asked for in one value-sync request.
pub const SYNC_BATCH: usize = 8;
/// The peers hear of this node's tip so much later, so that blocks that follow each other closely are told at once.
pub const STATUS_DELAY: Duration = Duration::from_millis(10);
/// Value-sync requests in flight.
pub const SYNC_PARALLEL_REQUESTS: usize = 4;
/// Time for one value-sync request.
pub const SYNC_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

const _: () = assert!(crate::base::limits::BLOCK_DECODE_BYTES_MAX + 1024 * 1024 < SYNC_RESPONSE_BYTES_MAX);
const _: () = assert!(crate::base::limits::GOSSIP_BATCH_BYTES_MAX <= TRANSACTION_FRAME_BYTES_MAX);
const _: () = assert!(ADDRESS_FRAME_BYTES_MAX <= TRANSACTION_FRAME_BYTES_MAX);
const _: () = assert!(ADDRESS_FILE_BYTES_MAX < TRANSACTION_BACKLOG_BYTES_MAX);
const _: () = assert!(PART_FRAME_BYTES_MAX > PART_CHUNK_BYTES);
const _: () = assert!(CONSENSUS_BACKLOG_BYTES_MAX > CONSENSUS_FRAME_BYTES_MAX);
const _: () = assert!(PART_BACKLOG_BYTES_MAX > SYNC_RESPONSE_BYTES_MAX);
const _: () = assert!(PART_BACKLOG_BYTES_MAX > STANDING_BYTES_MAX);
const _: () = assert!(TRANSACTION_BACKLOG_BYTES_MAX > TRANSACTION_FRAME_BYTES_MAX);
const _: () = assert!(CONNECTIONS_PER_PEER_MAX <= CONNECTIONS_PER_INSTITUTION_MAX);
const _: () = assert!(CONNECTIONS_KEPT_FOR_VALIDATORS < CONNECTIONS_MAX);
const _: () = assert!(HALF_OPEN_PER_SITE_MAX < HALF_OPEN_MAX);
const _: () = assert!(REDIAL_PAUSE_MAX.as_millis() + HANDSHAKE_TIMEOUT.as_millis() < 10_000);
const _: () = assert!(REDIAL_PAUSE_MAX.as_millis() > REDIAL_PAUSE_MIN.as_millis());
