//! Bounds of the import, in one place.

/// Longest line of an NDJSON file in bytes, after decompression.
pub const LINE_BYTES_MAX: u64 = 32 << 20;
/// Longest JSON file (a bundle or one resource) in bytes, after decompression.
pub const DOCUMENT_BYTES_MAX: u64 = 256 << 20;
/// Bytes of one NDJSON file after decompression; more is taken for a decompression bomb.
pub const FILE_BYTES_MAX: u64 = 16 << 30;
/// Bundles and parameters inside each other.
pub const BUNDLE_DEPTH_MAX: usize = 8;
/// Files and folders in the directory.
pub const FILES_MAX: usize = 100_000;
/// Resources that are kept for one import. Only what the plan needs of each stays in memory, about 300
/// bytes, and three times as much while references are followed.
pub const RESOURCES_MAX: usize = 500_000;
/// Skipped resources whose places are named in the summary.
pub const EXAMPLES_PER_REASON_MAX: usize = 20;
/// Keys, names and files of which a message gives a list.
pub const KEYS_SHOWN_MAX: usize = 20;
/// Keys of one coverage that the summary lists: patients can each have a coverage of their own.
pub const COVERAGE_KEYS_LISTED_MAX: usize = 8;
/// Longest mapping or consortium file in bytes.
pub const SETTINGS_BYTES_MAX: u64 = 4 << 20;
/// Operations in one transaction, unless the caller says otherwise.
pub const OPERATIONS_PER_TRANSACTION: usize = 100;
/// Transactions that are submitted before the first of them must be final, unless the caller says otherwise.
pub const TRANSACTIONS_IN_FLIGHT: usize = 16;
/// Most transactions in flight: their signed bytes are in memory.
pub const TRANSACTIONS_IN_FLIGHT_MAX: usize = 256;
/// How long finality of one transaction is waited for.
pub const FINALITY_TIMEOUT_MS: u64 = 600_000;
/// Transactions that are tried out at a time: a node tries two at once.
pub const TRIALS_IN_FLIGHT: usize = 2;
/// How long a trial waits for a node that is busy or behind.
pub const TRIAL_WAIT_MS_MAX: u64 = 60_000;
/// How often a transaction that a node has no room for is offered again.
pub const BUSY_RETRIES_MAX: u32 = 60;
/// The pause before that.
pub const BUSY_PAUSE_MS: u64 = 1_000;
/// How long past its expiry a transaction of an earlier run must be unknown until it counts as lost.
pub const EXPIRY_MARGIN_MS: u64 = 60_000;
/// How often a service of which the journal does not know may have been reversed and recorded anew, to be found all the same.
pub const RECORDED_ANEW_MAX: u32 = 8;
/// How many numbers are tried for a service whose evidence the ledger has under an earlier one.
pub const EVIDENCE_NUMBERS_MAX: usize = 64;
/// Life of the grants that the import gives.
pub const GRANT_LIFETIME_MS: u64 = 5 * 365 * 24 * 60 * 60 * 1_000;
/// Life of the agreements that the import proposes.
pub const AGREEMENT_LIFETIME_MS: u64 = 5 * 365 * 24 * 60 * 60 * 1_000;
/// Longest line of the journal: a transaction in hexadecimal, a key and a source for each of its operations.
pub const JOURNAL_LINE_BYTES_MAX: u64 = 1 << 20;

const _: () =
    assert!(OPERATIONS_PER_TRANSACTION <= yilian_spec::base::limits::OPERATIONS_PER_TRANSACTION_MAX);
const _: () = assert!(GRANT_LIFETIME_MS <= yilian_spec::base::limits::GRANT_LIFETIME_MS_MAX);
const _: () = assert!(
    JOURNAL_LINE_BYTES_MAX as usize
        > yilian_spec::base::limits::TRANSACTION_BYTES_MAX * 2
            + yilian_spec::base::limits::OPERATIONS_PER_TRANSACTION_MAX * 144
            + 1_024
);
const _: () = assert!(TRANSACTIONS_IN_FLIGHT <= TRANSACTIONS_IN_FLIGHT_MAX);
