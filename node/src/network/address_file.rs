//! The address records of a node, kept over restarts: one small file in its home.
//!
//! Nothing depends on it but how soon nodes find each other, so a damaged one is ignored. Writing may wait for the disk,
//! which the swarm must not; so a task of its own writes, and of what comes meanwhile only the last.

use std::path::{Path, PathBuf};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use yilian_local::durable::{self, FileError};
use yilian_spec::base::codec;
use yilian_spec::base::id::ChainId;

use super::address_record::AddressRecord;
use super::limits::ADDRESS_FILE_BYTES_MAX;

/// Reads the records; of a file that is damaged, or of another ledger, none.
pub fn read(path: &Path, chain_id: ChainId) -> Vec<AddressRecord> {
    let ignored = |reason: String| {
        tracing::warn!(
            file = %path.display(), reason,
            "the peers' address records cannot be used and are ignored; the peers will tell them again"
        );
        Vec::new()
    };
    let bytes = match durable::read(path, ADDRESS_FILE_BYTES_MAX as u64) {
        Ok(bytes) => bytes,
        Err(FileError::Absent { .. }) => return Vec::new(),
        Err(error) => return ignored(error.to_string()),
    };
    match codec::decode::<Vec<AddressRecord>>(&bytes, ADDRESS_FILE_BYTES_MAX) {
        Ok(records) => match records.iter().find_map(|record| record.verify(chain_id).err()) {
            None => records,
            Some(error) => ignored(error.to_string()),
        },
        Err(error) => ignored(error.to_string()),
    }
}

/// Writes the records; without them peers are found more slowly after the next start, and nothing else is lost.
pub fn write(path: &Path, bytes: &[u8]) {
    if let Err(error) = durable::replace(path, bytes) {
        tracing::warn!(%error, "the peers' address records are not kept");
    }
}

/// The task that writes.
#[derive(Debug)]
pub struct Keeper {
    contents: watch::Sender<Vec<u8>>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts it; without a file it does nothing.
    pub fn start(file: Option<PathBuf>) -> Self {
        let (contents, receiver) = watch::channel(Vec::new());
        Self { contents, task: tokio::spawn(keep(file, receiver)) }
    }

    /// Has it write this.
    pub fn keep(&self, bytes: Vec<u8>) {
        self.contents.send_replace(bytes);
    }

    /// Ends it, once what it was given last is written.
    pub async fn finish(self) {
        drop(self.contents);
        if self.task.await.is_err() {
            tracing::warn!("the task that keeps the peers' address records broke");
        }
    }
}

async fn keep(file: Option<PathBuf>, mut contents: watch::Receiver<Vec<u8>>) {
    // What was sent last is seen also when the sender has gone since.
    while contents.changed().await.is_ok() {
        let bytes = contents.borrow_and_update().clone();
        let Some(path) = file.clone() else { continue };
        if tokio::task::spawn_blocking(move || write(&path, &bytes)).await.is_err() {
            tracing::warn!("writing the peers' address records broke");
        }
    }
}
