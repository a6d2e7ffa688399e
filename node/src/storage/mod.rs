//! Storage: RocksDB in five layers, and the one batch that makes a block part of the ledger.
//!
//! | layer | file | knows |
//! |---|---|---|
//! | database | [`database`] | RocksDB: its options, column families, batches, snapshots |
//! | bytes | [`disk`] | columns, keys and values as bytes, synced atomic batches, snapshots; on RocksDB or, in the simulator, in memory |
//! | typed columns | [`tables`] | what the keys and values of each column are |
//! | domain | [`store`] | a ledger: its genesis, tip, rows; opening, format and chain |
//! | commit | [`commit`] | everything that one block writes |
//!
//! Beside them: [`backup`] (copies while the node runs), [`audit`] (an independent reading of a whole ledger),
//! [`measure`] (what the state tree costs on this disk), `log_tail` (a log that was altered at its end).
//!
//! A write that fails is never passed over: the error reaches the caller, and the node stops. Rows that were written
//! are read back under the database's checksums, and decoded strictly.

pub mod audit;
pub mod backup;
pub(crate) mod commit;
mod damage;
pub mod database;
pub mod disk;
pub mod error;
mod log_tail;
pub mod measure;
pub(crate) mod state_root;
pub(crate) mod store;
pub mod tables;

#[cfg(test)]
mod tests;

pub use damage::Damage;
pub use database::StorageOptions;
pub use error::StorageError;
pub use store::Store;
