//! What a program of Yilian keeps on the machine it runs on, and how it asks its user: shared by the client and the node.
//!
//! - [`durable`]: small files that a crash leaves whole. [`keyfile`]: keys at rest, [`sealed`] with a passphrase.
//! - [`arguments`]: what is wrong with a command, for programs. [`passphrase`]: where passphrases come from. [`moment`]: times as people write and read them.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod durable;
pub mod keyfile;
pub mod moment;
pub mod passphrase;
pub mod sealed;
