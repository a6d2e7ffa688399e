//! Every bound of the protocol, in one place, with the relations between them checked at compile time.

/// Largest magnitude of an integer: what every JSON reader holds exactly (RFC 7493, section 2.2).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
/// Longest slug in characters (institutions, consortia, service codes).
pub const SLUG_LENGTH_MAX: usize = 40;
/// Longest display name in bytes.
pub const NAME_LENGTH_MAX: usize = 120;
/// Consortia that one institution may belong to.
pub const CONSORTIA_PER_INSTITUTION_MAX: usize = 32;
/// Institutions in a genesis.
pub const INSTITUTIONS_MAX: usize = 1_024;
/// Keys of one institution that are registered in a genesis.
pub const GENESIS_KEYS_PER_INSTITUTION_MAX: usize = 64;
/// Node keys of one institution that are not revoked: one in use, one to change to, and the same for a second node.
pub const NODE_KEYS_PER_INSTITUTION_MAX: usize = 4;
/// Validators of a ledger.
pub const VALIDATORS_MAX: usize = 64;
/// Versions of the protocol that one ledger's schedule lists.
pub const VERSIONS_MAX: usize = 64;
/// Longest genesis in bytes.
pub const GENESIS_BYTES_MAX: usize = 1 << 20;

/// Operations in one transaction.
pub const OPERATIONS_PER_TRANSACTION_MAX: usize = 256;
/// Longest encoded transaction in bytes.
pub const TRANSACTION_BYTES_MAX: usize = 128 << 10;
/// Longest time between a transaction's creation and its expiry.
pub const TRANSACTION_LIFETIME_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// Units of work that one transaction may cost.
pub const TRANSACTION_WORK_MAX: u64 = 1_024;
/// Units of work that one block may cost: well below a second on two cores.
pub const BLOCK_WORK_MAX: u64 = 8 * TRANSACTION_WORK_MAX;
/// Most units of work per second that the members may agree on as the quota of each institution.
pub const QUOTA_WORK_PER_S_MAX: u64 = 1_000_000;
/// Units of work that taking one service back may cost in all agreements that count it, so that a transaction can do it.
pub const COVERAGE_WORK_MAX: u64 = TRANSACTION_WORK_MAX - 64;
/// How far a transaction's creation may lie ahead of the block that carries it.
pub const CREATION_AHEAD_MS_MAX: u64 = 60_000;

/// Transactions in one block.
pub const TRANSACTIONS_PER_BLOCK_MAX: usize = 10_000;
/// Longest encoded block in bytes.
pub const BLOCK_BYTES_MAX: usize = 4 << 20;
/// Longest encoded header in bytes.
pub const HEADER_BYTES_MAX: usize = 1 << 10;
/// Longest encoded commit certificate in bytes.
pub const CERTIFICATE_BYTES_MAX: usize = 32 << 10;
/// Longest proof bundle in bytes, as a file or an answer.
pub const PROOF_BYTES_MAX: usize = 1 << 20;
/// Entries of a stream in one proof: the JSON of so many is little more than half of [`PROOF_BYTES_MAX`].
pub const STREAM_PART_ENTRIES_MAX: u64 = 4_000;
/// How far a block's time may lie ahead of a validator's clock.
pub const BLOCK_TIME_AHEAD_MS_MAX: u64 = 5_000;

/// Longest life of a key.
pub const KEY_LIFETIME_MS_MAX: u64 = 3 * 366 * 24 * 60 * 60 * 1_000;
/// Longest life of a grant.
pub const GRANT_LIFETIME_MS_MAX: u64 = 10 * 366 * 24 * 60 * 60 * 1_000;
/// Slots of capacity that may be published for one service.
pub const CAPACITY_SLOTS_MAX: u32 = 1_000_000;
/// No timeout of a round of consensus is longer, whatever the parameters say and however many rounds have passed.
pub const ROUND_TIMEOUT_MS_MAX: u64 = 30_000;
/// Times a referral may be redirected.
pub const REDIRECTS_MAX: u8 = 8;
/// Parts played in one delivered service.
pub const PARTS_PER_SERVICE_MAX: usize = 8;
/// Days on which one service was performed.
pub const SERVICE_DAYS_MAX: u64 = 366;
/// How far the last day of a service may begin after the block: where the day is already another one, and clocks differ.
pub const SERVICE_AHEAD_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// Largest amount of one service in minor units (10 billion yuan in fen).
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000;
/// Agreements that may cover one payer's service code.
pub const AGREEMENTS_PER_SERVICE_MAX: usize = 8;
/// Longest period of an agreement.
pub const PERIOD_LENGTH_MS_MAX: u64 = 366 * 24 * 60 * 60 * 1_000;

/// Most bytes of an API token; checked before anything is read.
pub const TOKEN_BYTES_MAX: usize = 1_024;
/// Longest time between a token's issue and expiry.
pub const TOKEN_LIFETIME_S_MAX: u64 = 300;
/// How far a caller's clock may run ahead of the one that checks.
pub const TOKEN_CLOCK_AHEAD_S_MAX: u64 = 30;
/// Most bytes of a token's issuer.
pub const TOKEN_ISSUER_BYTES_MAX: usize = 64;
/// Most bytes of a token's nonce.
pub const TOKEN_NONCE_BYTES_MAX: usize = 64;

/// Longest decimal text of an amount in bytes.
pub const DECIMAL_LENGTH_MAX: usize = 64;
/// Bits in the numerator and in the denominator of an exact value.
pub const RATIONAL_BITS_MAX: u64 = 256;
/// Parties of an agreement.
pub const PARTIES_MAX: usize = 32;
/// Services that one agreement's terms cover.
pub const SERVICES_PER_TERMS_MAX: usize = 16;
/// Metrics that one agreement's terms read.
pub const METRICS_PER_TERMS_MAX: usize = 16;
/// Steps of an expression.
pub const EXPRESSION_STEPS_MAX: usize = 128;
/// Marginal tiers of one step.
pub const TIERS_MAX: usize = 16;
/// Scalar operations that closing a period may cost.
pub const EXPRESSION_WORK_MAX: usize = 1_024;
/// Scalar operations that one event may cost where a split rounds per event.
pub const EXPRESSION_WORK_PER_EVENT_MAX: usize = 256;
/// Closed periods that late events may adjust within one open period.
pub const ADJUSTED_PERIODS_MAX: usize = 64;

const _: () = assert!(NODE_KEYS_PER_INSTITUTION_MAX < GENESIS_KEYS_PER_INSTITUTION_MAX);
const _: () = assert!(TRANSACTION_BYTES_MAX < BLOCK_BYTES_MAX);
const _: () = assert!(OPERATIONS_PER_TRANSACTION_MAX <= u16::MAX as usize);
const _: () = assert!(OPERATIONS_PER_TRANSACTION_MAX as u64 <= TRANSACTION_WORK_MAX);
const _: () = assert!(VALIDATORS_MAX * 128 <= CERTIFICATE_BYTES_MAX);
const _: () = assert!(CREATION_AHEAD_MS_MAX < TRANSACTION_LIFETIME_MS_MAX);
const _: () = assert!(SLUG_LENGTH_MAX <= TOKEN_ISSUER_BYTES_MAX);
const _: () = assert!(PARTIES_MAX <= u8::MAX as usize);
const _: () = assert!(EXPRESSION_STEPS_MAX <= u16::MAX as usize);
