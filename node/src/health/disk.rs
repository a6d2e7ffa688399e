//! The space that is free on the ledger's disk: below a bound the node takes no transactions.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::health::HealthMonitor;

/// Measures the free space again and again, and tells the health monitor.
pub struct DiskWatch {
    /// A directory on the disk.
    pub directory: PathBuf,
    /// The bound.
    pub free_bytes_min: u64,
    /// How often it is measured.
    pub interval: Duration,
    /// Who is told.
    pub health: Arc<HealthMonitor>,
    /// Whether less was free than the bound when it was last measured.
    pub is_low: bool,
}

impl DiskWatch {
    /// Measures once. Call it before the API answers.
    pub fn measure(&mut self) {
        match free_bytes(&self.directory) {
            Ok(bytes) => {
                self.health.set_disk_free_bytes(bytes);
                let is_low = bytes < self.free_bytes_min;
                if is_low != self.is_low {
                    tracing::warn!(
                        free_mib = bytes >> 20,
                        is_low,
                        "free space on the ledger's disk passed its bound"
                    );
                }
                self.is_low = is_low;
            }
            Err(error) => tracing::warn!(%error, "free space on the ledger's disk could not be measured"),
        }
    }

    /// Measures until it is dropped.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(self.interval).await;
            self.measure();
        }
    }
}

/// Space on the disk of a directory that this process may use.
fn free_bytes(directory: &Path) -> std::io::Result<u64> {
    let space = rustix::fs::statvfs(directory)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}
