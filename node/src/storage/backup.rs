//! Copies of a ledger while its node runs, and their way back.
//!
//! A backup directory holds several backups that share unchanged files. Making one blocks nobody: the database's own
//! engine copies the files of one moment. A backup counts once a trial restore of it has succeeded: every file is read
//! back under its checksum, and the ledger in it opens with a tip that fits its state.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use rocksdb::Env;
use rocksdb::backup::{BackupEngine, BackupEngineOptions, RestoreOptions};
use rocksdb::checkpoint::Checkpoint;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{BlockId, ChainId};

use super::database::{Database, StorageOptions};
use super::error::StorageError;
use super::store::Store;

/// A backup that has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupInfo {
    /// Its number in the directory.
    pub number: u32,
    /// Its size in bytes, counting files that other backups share.
    pub bytes: u64,
    /// Its files.
    pub files: u32,
}

/// What a restored backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredLedger {
    /// The ledger.
    pub chain_id: ChainId,
    /// The last block's height.
    pub height: Height,
    /// The last block.
    pub block_id: BlockId,
}

/// Adds a backup of `store` to the directory, keeps the `keep` newest ones there, and verifies the new one; see
/// [`verify`].
///
/// # Errors
/// When the directory cannot be written, or the copy does not verify.
pub fn backup(store: &Store, dir: &Path, keep: usize) -> Result<BackupInfo, StorageError> {
    let failed = |action| move |source| StorageError::Backup { dir: dir.to_owned(), action, source };
    let database = database(store)?;
    let mut engine = open(dir)?;
    engine.create_new_backup_flush(database.rocksdb(), true).map_err(failed("copying the ledger's files"))?;
    drop(engine);
    let info = verify(dir)?;
    // Old ones go only after the new one is known to be good.
    open(dir)?.purge_old_backups(keep.max(1)).map_err(failed("removing old backups"))?;
    Ok(info)
}

fn database(store: &Store) -> Result<&Database, StorageError> {
    store.disk().database().ok_or_else(|| StorageError::Disk {
        action: "copying the ledger's files",
        source: std::io::ErrorKind::Unsupported.into(),
    })
}

/// Makes the ledger of this moment in `dir`, which must not exist: files that do not change any more are linked, not
/// copied, where `dir` is on the same disk. It blocks nobody, and costs space only for what the node deletes meanwhile.
///
/// # Errors
/// When the directory cannot be made.
pub fn checkpoint(store: &Store, dir: &Path) -> Result<(), StorageError> {
    let failed =
        |source| StorageError::Backup { dir: dir.to_owned(), action: "linking the ledger's files", source };
    let maker = Checkpoint::new(database(store)?.rocksdb()).map_err(failed)?;
    maker.create_checkpoint(dir).map_err(failed)
}

/// Verifies the newest backup in the directory by restoring it beside the backups, for which it needs as much free
/// space as the ledger has bytes; the trial is removed again.
///
/// # Errors
/// When there is none, or it does not restore.
pub fn verify(dir: &Path) -> Result<BackupInfo, StorageError> {
    require_backups(dir)?;
    let info = newest(&open(dir)?, dir)?;
    let no_directory = |source| StorageError::Directory { dir: dir.to_owned(), source };
    let trial = tempfile::Builder::new().prefix("trial-").tempdir_in(dir).map_err(no_directory)?;
    restore(dir, &trial.path().join("ledger"))?;
    trial.close().map_err(no_directory)?;
    Ok(info)
}

/// Restores the newest backup into an empty or absent directory, and opens it to see that its tip and state fit.
/// `super::audit::check` reads such a ledger in full. Where it fails it leaves nothing behind.
///
/// # Errors
/// [`StorageError::NotEmpty`] when the target holds a ledger; or the backup cannot be read, or does not open.
pub fn restore(dir: &Path, target: &Path) -> Result<RestoredLedger, StorageError> {
    require_backups(dir)?;
    if target.join("CURRENT").exists() {
        return Err(StorageError::NotEmpty { dir: target.to_owned() });
    }
    let engine = open(dir)?;
    let number = newest(&engine, dir)?.number;
    let no_directory = |source| StorageError::Directory { dir: target.to_owned(), source };
    let is_fresh = std::fs::read_dir(target).map_or(true, |mut entries| entries.next().is_none());
    std::fs::create_dir_all(target).map_err(no_directory)?;
    let restored = fill(engine, dir, target);
    if restored.is_err() && is_fresh {
        // Half a ledger would look like one that was damaged here.
        std::fs::remove_dir_all(target).map_err(no_directory)?;
    }
    restored.map_err(|error| damaged(dir, number).unwrap_or(error))
}

fn fill(mut engine: BackupEngine, dir: &Path, target: &Path) -> Result<RestoredLedger, StorageError> {
    engine.restore_from_latest_backup(target, target, &RestoreOptions::default()).map_err(|source| {
        StorageError::Backup { dir: dir.to_owned(), action: "restoring the newest backup", source }
    })?;
    let tip = Store::open(target, StorageOptions::default())?.load()?.tip;
    Ok(RestoredLedger { chain_id: tip.chain_id, height: tip.height, block_id: tip.block_id })
}

/// Refuses a directory without backups: opening it would make an empty one of whatever path was mistyped.
///
/// # Errors
/// [`StorageError::NoBackup`].
pub fn require_backups(dir: &Path) -> Result<(), StorageError> {
    if dir.join("meta").is_dir() { Ok(()) } else { Err(StorageError::NoBackup { dir: dir.to_owned() }) }
}

fn open(dir: &Path) -> Result<BackupEngine, StorageError> {
    let failed =
        |source| StorageError::Backup { dir: dir.to_owned(), action: "opening the directory", source };
    std::fs::create_dir_all(dir).map_err(|source| StorageError::Directory { dir: dir.to_owned(), source })?;
    let mut options = BackupEngineOptions::new(dir).map_err(failed)?;
    options.set_sync(true);
    BackupEngine::open(&options, &Env::new().map_err(failed)?).map_err(failed)
}

/// The newest backup. The engine passes over one that lacks files, as if an older one were the newest, so the directory
/// itself is asked which that is.
fn newest(engine: &BackupEngine, dir: &Path) -> Result<BackupInfo, StorageError> {
    let none = || StorageError::NoBackup { dir: dir.to_owned() };
    let meta = std::fs::read_dir(dir.join("meta"))
        .map_err(|source| StorageError::Directory { dir: dir.to_owned(), source })?;
    let numbers = meta.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let number = numbers.max().ok_or_else(none)?;
    match engine.get_backup_info().into_iter().find(|info| info.backup_id == number) {
        Some(info) => Ok(BackupInfo { number, bytes: info.size, files: info.num_files }),
        None => Err(damaged(dir, number).unwrap_or_else(none)),
    }
}

/// What is wrong with a backup's files, which the engine does not say by their names: its list of them has lines such as
/// `private/3/CURRENT crc32 1234`, with CRC-32C in decimal. `None` where every file is as it was copied.
fn damaged(dir: &Path, number: u32) -> Option<StorageError> {
    let list = std::fs::read_to_string(dir.join(format!("meta/{number}"))).unwrap_or_default();
    let differs = |line: &str| {
        let (file, checksum) = line.split_once(" crc32 ")?;
        let checksum: u32 = checksum.trim().parse().ok()?;
        match checksum_of(&dir.join(file)) {
            Ok(found) => (found != checksum).then(|| format!("{file} is not as it was copied")),
            Err(error) => Some(format!("{file}: {error}")),
        }
    };
    let files: Vec<String> = list.lines().filter_map(differs).collect();
    let dir = dir.to_owned();
    (!files.is_empty()).then(|| StorageError::BackupDamaged { dir, number, files: files.join(", ") })
}

fn checksum_of(file: &Path) -> std::io::Result<u32> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(file)?);
    let mut checksum = 0;
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(checksum);
        }
        checksum = crc32c::crc32c_append(checksum, bytes);
        let length = bytes.len();
        reader.consume(length);
    }
}
