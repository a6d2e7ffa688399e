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
/// Longest row that is decoded.
pub const API_ROW_BYTES_MAX: usize = 1 << 20;
/// Tokens whose check is remembered; a client uses one for some minutes.
pub const API_TOKENS_REMEMBERED_MAX: usize = 4_096;
/// Transactions in one request.
pub const API_TRANSACTIONS_PER_REQUEST_MAX: usize = 256;
/// Transactions that are checked at a time without being recorded: each may cost as much as one of a block.
pub const API_CHECKS_MAX: usize = 2;
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
/// Bytes of them that are read before the HTTP library refuses the request by itself, with an empty body. Up to there the API
/// refuses it, and says what the bound is.
pub const API_HEADER_READ_BYTES_MAX: usize = 2 * API_HEADER_BYTES_MAX;
/// Bytes of a body that is too long which are read and dropped before the refusal.
pub const API_DRAINED_BYTES_MAX: usize = 32 << 20;
/// Requests of one HTTP/2 connection under way at a time: a browser's page has fewer.
pub const API_HTTP2_STREAMS_MAX: u32 = 32;
/// Requests that an HTTP/2 connection may give up before they are answered, over its whole life; then it is closed.
pub const API_HTTP2_ABANDONED_MAX: u32 = 256;
/// Streams that are reset before they were looked at, or reset by this node for being malformed; then the connection is
/// closed.
pub const API_HTTP2_RESETS_MAX: usize = 32;
/// Bytes of a body that an HTTP/2 caller may send ahead: for one request, and for all of a connection.
pub const API_HTTP2_STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// See above.
pub const API_HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// Bytes of an answer that lie ready to be sent for one HTTP/2 stream; the rest waits where it is seen to stall.
pub const API_HTTP2_SEND_BYTES_MAX: usize = 64 << 10;
/// Bytes of an answer that HTTP/2 takes at once.
pub const API_HTTP2_PORTION_BYTES: usize = 16 << 10;
/// How often an HTTP/2 caller is asked whether it still lives, and how long it may take to say so.
pub const API_HTTP2_PING_INTERVAL_MS: u64 = 20_000;
/// See above.
pub const API_HTTP2_PING_TIMEOUT_MS: u64 = 20_000;
/// How often an HTTP/2 connection is looked at for being idle or stalled.
pub const API_HTTP2_LOOK_INTERVAL_MS: u64 = 500;
/// How often the files of the certificate are looked at for a renewed one.
pub const API_CERTIFICATE_LOOK_INTERVAL_MS: u64 = 60_000;
/// So many days before it expires the operator is told.
pub const API_CERTIFICATE_ALARM_DAYS: u64 = 30;
/// How long a TLS handshake may take.
pub const API_HANDSHAKE_TIMEOUT_MS: u64 = 10_000;
/// How long a write to a caller that does not read may stall before its connection is closed.
pub const API_WRITE_STALL_MS_MAX: u64 = 30_000;
/// How often an idle event stream says that it lives.
pub const API_EVENT_KEEP_ALIVE_MS: u64 = 15_000;
/// A reader of events may come from a node that is so many blocks ahead.
pub const API_EVENT_BLOCKS_AHEAD_MAX: u64 = 100;
/// The pause after a connection could not be accepted.
pub const API_ACCEPT_PAUSE_MS: u64 = 50;
/// How long requests in flight may take to finish when the node stops.
pub const API_SHUTDOWN_GRACE_MS: u64 = 3_000;

const _: () = assert!(API_HEADER_BYTES_MAX < API_HEADER_READ_BYTES_MAX);
const _: () = assert!(API_HTTP2_STREAM_WINDOW_BYTES <= API_HTTP2_CONNECTION_WINDOW_BYTES);
const _: () = assert!(API_HTTP2_PORTION_BYTES <= API_HTTP2_SEND_BYTES_MAX);
const _: () = assert!(API_WAIT_UNKNOWN_MS_MAX <= API_WAIT_MS_MAX);
const _: () = assert!(API_PAGE_ITEMS_DEFAULT <= API_PAGE_ITEMS_MAX);
const _: () = assert!(API_PAGE_ITEMS_MAX <= API_ROWS_PER_REQUEST_MAX);
