//! Bounds of the client, in one place.

/// Longest answer of a node in bytes; a longer one is not read to its end.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Longest configuration file in bytes.
pub const CONFIG_BYTES_MAX: u64 = 256 << 10;
/// Longest file with a checkpoint, terms or a transaction in bytes.
pub const INPUT_BYTES_MAX: u64 = 4 << 20;
/// Longest document that a commitment is computed over, in bytes.
pub const DOCUMENT_BYTES_MAX: u64 = 1 << 30;
/// Nodes in one profile.
pub const NODES_MAX: usize = 64;
/// How long a connection may take.
pub const CONNECT_TIMEOUT_MS: u64 = 3_000;
/// How long an answer may take, beyond the time that a request asks the node to wait.
pub const ANSWER_TIMEOUT_MS: u64 = 10_000;
/// How long one long poll asks a node to wait.
pub const LONG_POLL_MS: u64 = 10_000;
/// How long a node may say nothing in the middle of an answer; an idle stream of events says every 15 s that it lives.
pub const SILENCE_MS_MAX: u64 = 45_000;
/// How often a broken stream of events is opened again in a row before it is given up.
pub const WATCH_FAILURES_MAX: u32 = 10;
/// The longest pause before it is opened again; about half a minute in all.
pub const WATCH_PAUSE_MS_MAX: u64 = 5_000;
/// How far a node's clock may be from this machine's without a word.
pub const CLOCK_DIFFERENCE_MS_MAX: u64 = 1_000;
/// How often a request goes round all nodes before it is given up.
pub const ROUNDS_MAX: u32 = 4;
/// The pause before the second round; each next one is twice as long.
pub const ROUND_PAUSE_MS: u64 = 200;
/// The longest pause that a node may ask for (`Retry-After`).
pub const RETRY_AFTER_S_MAX: u64 = 5;
/// How often an answer that is behind what was verified before is asked for again, before it is refused.
pub const CATCH_UP_PAUSES_MAX: u32 = 15;
/// The pause before it is asked for again.
pub const CATCH_UP_PAUSE_MS: u64 = 200;
/// How often a ledger makes a block without work, unless its validators say otherwise. A node's own setting, and no part of
/// its answers.
pub const HEARTBEAT_MS_DEFAULT: u64 = 30_000;
/// The rarest that they may set.
pub const HEARTBEAT_MS_MAX: u64 = 3_600_000;
/// How long finality is waited for unless the caller says otherwise.
pub const FINALITY_TIMEOUT_MS: u64 = 60_000;
/// How long a transaction may be included after it was made, unless the caller says otherwise.
pub const TRANSACTION_LIFETIME_MS: u64 = 10 * 60 * 1_000;
/// Life of a token; each request signs its own.
pub const TOKEN_LIFETIME_S: u64 = 60;
/// How long an opened key may stay open.
pub const SESSION_MS_MAX: u64 = 12 * 3_600_000;
/// Transactions in one request.
pub const TRANSACTIONS_PER_REQUEST_MAX: usize = 256;
/// Items asked for in one page of a list.
pub const PAGE_ITEMS: usize = 500;
/// Items that a list collects over all its pages.
pub const LIST_ITEMS_MAX: usize = 1_000_000;
/// Transactions and records that are looked up one by one, at a time.
pub const LOOKUPS_IN_FLIGHT: usize = 16;

const _: () = assert!(TOKEN_LIFETIME_S <= yilian_spec::base::limits::TOKEN_LIFETIME_S_MAX);
const _: () = assert!(TRANSACTION_LIFETIME_MS <= yilian_spec::base::limits::TRANSACTION_LIFETIME_MS_MAX);
const _: () = assert!(LONG_POLL_MS <= 30_000);
const _: () = assert!(ANSWER_TIMEOUT_MS + LONG_POLL_MS < SILENCE_MS_MAX);
