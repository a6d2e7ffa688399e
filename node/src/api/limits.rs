//! Every bound of the API that no one configures, in one place; what an operator may set stands in the configuration.

/// Refused connections are logged at most this often, with their number.
pub const API_REFUSAL_LOG_INTERVAL_MS: u64 = 10_000;
/// Items of a page unless the caller says otherwise.
pub const API_PAGE_ITEMS_DEFAULT: usize = 100;
/// Items of a page at most.
pub const API_PAGE_ITEMS_MAX: usize = 500;
/// Blocks of a page at most: each may carry thousands of transactions.
pub const API_BLOCKS_PER_PAGE_MAX: usize = 20;
/// Bytes of a cursor: the longest key of a row.
pub const API_CURSOR_BYTES_MAX: usize = 256;
/// Rows that one request looks at; a filtered page may be short and still have a next one.
pub const API_ROWS_PER_REQUEST_MAX: usize = 5_000;
/// Entries of a stream in one proof: below the bound of a proof document's bytes.
pub const API_STREAM_PROOF_ENTRIES_MAX: u64 = 4_000;
/// Entries before a proof's first one, whose head is computed anew for it.
pub const API_FRONTIER_ENTRIES_MAX: u64 = 500_000;
/// Longest row that is decoded.
pub const API_ROW_BYTES_MAX: usize = 1 << 20;
/// Tokens whose check is remembered; a client uses one for some minutes.
pub const API_TOKENS_REMEMBERED_MAX: usize = 4_096;
/// Transactions in one request.
pub const API_TRANSACTIONS_PER_REQUEST_MAX: usize = 256;
/// Transactions that an institution may submit in vain (not valid, known already, beyond a bound) before its submissions
/// are refused undecoded: what all its gateways repeat after a node's failure is far below.
pub const API_VAIN_MAX: i64 = 1_024;
/// So many of them come back in a second.
pub const API_VAIN_PER_SECOND: i64 = 128;
/// How long a request may wait for a transaction to become final.
pub const API_WAIT_MS_MAX: u64 = 30_000;
/// Of that, how long for one that the node does not know: gossip would have brought it long before.
pub const API_WAIT_UNKNOWN_MS_MAX: u64 = 2_000;
/// Bytes of a request's line and headers.
pub const API_HEADER_BYTES_MAX: usize = 16 << 10;
/// Bytes of a body that is too long which are read and dropped before the refusal.
pub const API_DRAINED_BYTES_MAX: usize = 32 << 20;
/// How long a TLS handshake may take.
pub const API_HANDSHAKE_TIMEOUT_MS: u64 = 10_000;
/// How long a write to a caller that does not read may stall before its connection is closed.
pub const API_WRITE_STALL_MS_MAX: u64 = 30_000;
/// How often an idle event stream says that it lives.
pub const API_EVENT_KEEP_ALIVE_MS: u64 = 15_000;
/// How long requests in flight may take to finish when the node stops.
pub const API_SHUTDOWN_GRACE_MS: u64 = 3_000;

const _: () = assert!(API_WAIT_UNKNOWN_MS_MAX <= API_WAIT_MS_MAX);
const _: () = assert!(API_PAGE_ITEMS_DEFAULT <= API_PAGE_ITEMS_MAX);
const _: () = assert!(API_PAGE_ITEMS_MAX <= API_ROWS_PER_REQUEST_MAX);
