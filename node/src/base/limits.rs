//! Every bound of the node, in one place, with the relations between them checked at compile time. The protocol's
//! bounds, which all nodes share, stand in [`yilian_spec::base::limits`].

use yilian_spec::base::limits;

/// Memory for database blocks that were read, in bytes.
pub const BLOCK_CACHE_BYTES: usize = 64 << 20;
/// Memory for database rows not yet sorted into files, over all columns, in bytes.
pub const WRITE_BUFFERS_BYTES: usize = 64 << 20;
/// The database's write-ahead logs, in bytes; beyond it the oldest rows are sorted into files.
pub const DATABASE_LOG_BYTES_MAX: u64 = 128 << 20;
/// Database files that are open at a time.
pub const DATABASE_FILES_MAX: i32 = 512;
/// Files that must be allowed to be open for a node to start: it opens a hundred before anybody calls.
pub const DESCRIPTORS_MIN: u64 = 256;
/// Longest row of the database that is decoded: an undecided block with what is kept beside it.
pub const ROW_BYTES_MAX: usize = BLOCK_DECODE_BYTES_MAX + 1_024;

/// An audit checks the signatures of several blocks in one batch: until it has so many transactions,
pub const AUDIT_BATCH_TRANSACTIONS: usize = 1_024;
/// or so many blocks,
pub const AUDIT_BATCH_BLOCKS_MAX: usize = 128;
/// or so many bytes of them and their receipts.
pub const AUDIT_BATCH_BYTES: usize = 8 << 20;
/// Batches that may wait between two stages of an audit.
pub const AUDIT_BATCHES_AHEAD: usize = 2;

/// Longest log of votes that is read: votes of hundreds of validators over thousands of rounds.
pub const VOTE_LOG_BYTES_MAX: u64 = 1 << 30;

/// A node waits for a proposal so many times as long as proposals took lately.
pub const PATIENCE_FACTOR: u64 = 3;
/// The last proposals of a validator whose longest counts.
pub const PATIENCE_SAMPLES: usize = 8;
/// The last rounds of a height whose proposals are measured, also when they come late.
pub const PATIENCE_ROUNDS_MAX: usize = 4;

/// Longest encoded block: the transactions' bound, a header, and the count between them.
pub const BLOCK_DECODE_BYTES_MAX: usize = limits::BLOCK_BYTES_MAX + limits::HEADER_BYTES_MAX + 8;
/// Executed blocks of the next height that are kept in memory; beyond it the one used longest ago is forgotten, and
/// executed again if it is decided after all.
pub const CANDIDATES_MAX: usize = 4;
/// Units of work in a block that this node proposes, at most: about a tenth of a second to execute. Several nodes on a
/// small machine must be done with it well before the first round's timeout.
pub const BLOCK_WORK_TARGET: u64 = 4_096;
/// Rows that one page of a listing may have.
pub const PAGE_ROWS_MAX: usize = 1_000;

/// Transactions in the mempool.
pub const POOL_TRANSACTIONS_MAX: usize = 50_000;
/// Their encoded size in bytes.
pub const POOL_BYTES_MAX: usize = 64 << 20;
/// Transactions of one institution in the mempool.
pub const POOL_INSTITUTION_TRANSACTIONS_MAX: usize = 20_000;
/// Their encoded size in bytes.
pub const POOL_INSTITUTION_BYTES_MAX: usize = 24 << 20;
/// Seconds of its quota that an institution saves up while it is idle.
pub const QUOTA_CREDIT_SECONDS: i64 = 2;
/// A block has at most one part in so many of a second's quota of an institution that is beyond its quota, and at least one
/// transaction, while others are at work; and with less credit than that none is begun for it. So blocks stay short.
pub const QUOTA_BLOCK_PARTS: i64 = 10;
/// A member within its quota counts as at work for so long after the last block with something of it.
pub const QUOTA_AT_WORK_MS: u64 = 5_000;
/// Seconds of its quota by which an institution may be beyond it: so long it waits at most once another is at work.
pub const QUOTA_DEBT_SECONDS_MAX: i64 = 10;
/// Seconds of its quota that an institution may have waiting while it is beyond it and others are at work: enough for the next
/// blocks, and few enough that verifying them all at once, when a flood begins, takes little from the others.
pub const QUOTA_WAITING_SECONDS_MAX: u64 = 2;

/// Submissions that wait to be verified.
pub const VERIFY_QUEUE_MAX: usize = 1_024;
/// Transactions of one institution's callers, or of one peer, that wait to be verified, unless one submission alone has
/// more.
pub const VERIFY_QUEUE_SOURCE_MAX: usize = 1_024;
/// Transactions that are verified in one batch, unless one submission alone has more.
pub const VERIFY_BATCH_MAX: usize = 1_024;
/// How long a batch may wait for more, while there is load.
pub const VERIFY_GATHER_MS: u64 = 2;
/// Transactions in one submission.
pub const SUBMISSION_TRANSACTIONS_MAX: usize = 256;
/// A clock that differs from the others' by more is told.
pub const CLOCK_DIFFERENCE_MS_MAX: u64 = 1_000;
/// What a peer's clock said the last so many times.
pub const CLOCK_SAMPLES: usize = 4;
/// Peers whose clocks are compared.
pub const CLOCKS_MAX: usize = 4_096;
/// A block that is under way for so long is told in the log as slow.
pub const SLOW_BLOCK_MS: u64 = 5_000;

/// Callers that wait for a transaction to be committed.
pub const WAITERS_MAX: usize = 20_000;

/// Longest batch of transactions between nodes, in bytes.
pub const GOSSIP_BATCH_BYTES_MAX: usize = 512 << 10;
/// Batches that wait to be sent to the peers.
pub const GOSSIP_QUEUE_MAX: usize = 256;
/// Batches of one institution's nodes that wait to be verified.
pub const GOSSIP_PEER_QUEUE_MAX: usize = 32;
/// Transactions in vain after which an institution is muted.
pub const GOSSIP_INVALID_MAX: u32 = 32;
/// So often one transaction in vain is forgiven.
pub const GOSSIP_FORGIVE_MS: u64 = 1_000;
/// A transaction of a peer that expired no longer ago than this may have expired on its way, or by another clock.
pub const GOSSIP_EXPIRED_GRACE_MS: u64 = 30_000;
/// How long a peer stays muted.
pub const GOSSIP_MUTE_MS: u64 = 60_000;
/// Peers whose conduct is remembered; more than a consortium has nodes.
pub const GOSSIP_PEERS_MAX: usize = 4_096;
/// A transaction of this node's own callers that is still pending after so long is sent to the peers again.
pub const GOSSIP_REPEAT_MS: u64 = 5_000;
/// Of what waits, so much is sent again at once: to all when it is due, or to a peer that has connected.
pub const GOSSIP_REPEAT_BYTES_MAX: usize = 8 * GOSSIP_BATCH_BYTES_MAX;
/// The pause after each batch that is sent to a peer because it has connected.
pub const GOSSIP_GREETING_PAUSE_MS: u64 = 50;

/// Rounds beyond its own whose proposals a node collects. Proposers that are further ahead have left it behind, and it
/// learns of their rounds from votes.
pub const PROPOSAL_ROUNDS_AHEAD_MAX: u32 = 2;
/// Rounds before its own whose proposals a node still collects: one that took so long is decided without it, and synced.
pub const PROPOSAL_ROUNDS_BEHIND_MAX: u32 = 2;
/// Proposals of one proposer that are being put together at once, complete or not.
pub const PROPOSALS_PER_PROPOSER_MAX: usize = 4;
/// Different blocks of one round that are executed: two are the proof that their proposer lies.
pub const PROPOSALS_PER_ROUND_MAX: usize = 2;
/// Rounds beyond its own whose votes a node takes at its height; the engine takes no more.
pub const VOTE_ROUNDS_AHEAD_MAX: u32 = 10;
/// Rounds of the next height whose votes a node takes. With all validators voting twice in each, two values each time,
/// they fit where the engine keeps them.
pub const EARLY_VOTE_ROUNDS_MAX: u32 = 3;
/// Different votes of one validator, kind and round that are taken: two are the proof that it lies.
pub const VOTES_PER_PLACE_MAX: usize = 2;
/// The same vote again counts as a repetition after so long, before it as nothing.
pub const VOTE_REPEAT_MS_MIN: u64 = 100;
/// Certificates of votes that one institution may send at once.
pub const VOTE_CERTIFICATES_BURST_MAX: u32 = 32;
/// One more of them every so often.
pub const VOTE_CERTIFICATE_REFILL_MS: u64 = 50;
/// Requests for decided blocks that one institution may send at once.
pub const SYNC_QUESTIONS_BURST_MAX: u32 = 64;
/// One more of them every so often: with eight blocks each that is more than a node that catches up can execute.
pub const SYNC_QUESTION_REFILL_MS: u64 = 5;
/// Such requests that are read from storage at once.
pub const SYNC_READS_MAX: usize = 2;
/// Such requests that wait; whoever asks beyond that asks another peer.
pub const SYNC_WAITING_MAX: usize = 64;
/// Of them, those of one institution: two nodes of it that catch up ask for no more at once.
pub const SYNC_WAITING_INSTITUTION_MAX: usize = 8;
/// How long a node that holds the block of the height under way keeps from its engine what a peer says of its tip: it is
/// about to decide the block itself.
pub const STATUS_HOLD_MS: u64 = 90;
/// How long a node keeps it that does not hold the block, whose parts may still be on their way.
pub const STATUS_MISSING_BLOCK_MS: u64 = 5;
/// Signatures of consensus that are remembered as verified.
pub const VERIFIED_SIGNATURES_MAX: usize = 4_096;
/// Heights of which it is remembered what this validator signed; certificates are judged when their block is committed.
pub const OWN_SIGNATURE_HEIGHTS_MAX: usize = 8;
/// Signatures of one height that are remembered so: of more than a thousand rounds.
pub const OWN_SIGNATURES_PER_HEIGHT_MAX: usize = 4_096;
/// How long an institution is shut out whose node sends what no honest node does.
pub const SHUT_OUT_MS: u64 = 60_000;
/// Heights that one institution's unproven word may start at once.
pub const PEER_STARTS_MAX: u32 = 10;
/// One more of them every so often.
pub const PEER_START_REFILL_MS: u64 = 10_000;

/// What is refused of one institution for one reason is logged so often at most, with its count.
pub const CONDUCT_LOG_INTERVAL_MS: u64 = 30_000;
/// So many handshakes may fail before anything is said: each node that stops cuts some off.
pub const CONDUCT_FAILED_HANDSHAKES_ORDINARY: u64 = 16;
/// So many connections beyond an institution's places are nothing to speak of.
pub const CONDUCT_CONNECTIONS_ORDINARY: u64 = 4;
/// So long `/health` speaks of what was refused.
pub const CONDUCT_RECENT_MS: u64 = 5 * 60_000;
/// Longest reason why a peer was not reached, in characters.
pub const CONDUCT_REASON_CHARACTERS_MAX: usize = 200;
/// Alarms about it, at most.
pub const CONDUCT_RECENT_MAX: usize = 16;

/// Keys whose expiry is watched: the nodes' of every institution, and this one's own.
pub const WATCHED_KEYS_MAX: usize = 8_192;
/// Alarms about keys that expire.
pub const KEY_ALARMS_MAX: usize = 32;
/// Revoked keys of nodes that are remembered, to say whose they were.
pub const REVOKED_NODES_MAX: usize = 4_096;

const _: () = assert!(limits::INSTITUTIONS_MAX * limits::NODE_KEYS_PER_INSTITUTION_MAX < WATCHED_KEYS_MAX);
const _: () = assert!(SYNC_WAITING_INSTITUTION_MAX < SYNC_WAITING_MAX);
const _: () = assert!(limits::TRANSACTION_WORK_MAX <= BLOCK_WORK_TARGET);
const _: () = assert!(BLOCK_WORK_TARGET <= limits::BLOCK_WORK_MAX);
const _: () = assert!(POOL_INSTITUTION_TRANSACTIONS_MAX <= POOL_TRANSACTIONS_MAX);
const _: () = assert!(POOL_INSTITUTION_BYTES_MAX <= POOL_BYTES_MAX);
/// Age of the last block at a start from which the peers of the configuration are admitted though the ledger does not name
/// them.
pub const VOUCHING_AGE_MS: u64 = 60 * 60 * 1_000;
const _: () = assert!(SUBMISSION_TRANSACTIONS_MAX <= VERIFY_BATCH_MAX);
const _: () = assert!(VERIFY_BATCH_MAX <= VERIFY_QUEUE_SOURCE_MAX);
const _: () = assert!(limits::TRANSACTION_BYTES_MAX + 8 <= GOSSIP_BATCH_BYTES_MAX);
