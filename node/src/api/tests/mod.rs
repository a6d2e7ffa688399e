//! The API against a real ledger: real storage, real mempool, blocks committed with a validator's signature.

mod bodies;
mod callers;
mod checking;
mod codes;
mod conformity;
mod description;
mod events;
mod http2;
mod listening;
mod parts;
mod reading;
mod revalidation;
mod strangers;
mod world;
