//! Transactions, blocks and their rules: from one block to the next.

pub mod block;
pub mod chain;
pub mod genesis;
pub mod machine;
pub mod receipt;
pub mod received;
pub mod transaction;
pub mod trial;
pub mod validation;
pub mod work;
