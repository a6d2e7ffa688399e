//! Tells a log that a crash cut short from one whose last record was altered.
//!
//! RocksDB's logs (`*.log`, `MANIFEST-*`) end in an unfinished record when the machine stops in the middle of a write:
//! nobody was told of what that record holds, so it is dropped in silence. But a record that is whole, and whose length
//! was altered so that it seems to reach beyond the end of the file, looks the same to RocksDB, and dropping it would
//! lose a block that was acknowledged. Its checksum gives it away: over the bytes that are there, with one byte of the
//! length put right, it fits.
//!
//! And a record whose type was altered to that of a recycled log, which a node never writes, makes RocksDB read the same
//! place for ever (11.8: the reader refuses the record and does not step over it). Such a log is not opened.
//!
//! The format is RocksDB's: blocks of 32 KiB, each record with checksum (4 bytes, masked CRC-32C of type and payload),
//! length (2 bytes, little endian) and type (1 byte), no record across two blocks.
//! <https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format>

use std::fs;
use std::path::{Path, PathBuf};

use super::damage::Damage;
use super::error::StorageError;

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
/// The types of records in recycled logs (`db/log_format.h`).
const RECYCLED_TYPES: [u8; 6] = [5, 6, 7, 8, 11, 131];
/// What RocksDB adds to a rotated checksum.
const MASK_DELTA: u32 = 0xa282_ead8;

/// Looks through each log of the database in `dir`.
///
/// # Errors
/// [`Damage::AlteredLog`] for a log in which such a record was altered, or when a file cannot be read.
pub(super) fn check(dir: &Path) -> Result<(), StorageError> {
    for path in logs(dir)? {
        let bytes =
            fs::read(&path).map_err(|source| StorageError::Directory { dir: path.clone(), source })?;
        if is_altered(&bytes) {
            return Err(Damage::AlteredLog { path }.into());
        }
    }
    Ok(())
}

/// Whether the directory holds rows of a database, although none can be opened.
pub(super) fn is_rest_of_database(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let has_bytes = entry.metadata().is_ok_and(|data| data.len() > 0);
        name.ends_with(".sst") || (name.ends_with(".log") && has_bytes)
    })
}

fn logs(dir: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let unreadable = |source| StorageError::Directory { dir: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".log") || name.starts_with("MANIFEST-") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether the log ends in a record that reaches beyond the file, although its checksum fits what is there, or has one of a
/// type that is never written.
fn is_altered(log: &[u8]) -> bool {
    let mut rest = log;
    let mut left_in_block = BLOCK_BYTES;
    loop {
        if left_in_block < HEADER_BYTES {
            let Some((_, next)) = rest.split_at_checked(left_in_block) else { return false };
            (rest, left_in_block) = (next, BLOCK_BYTES);
        }
        let Some((header, payload)) = rest.split_first_chunk::<HEADER_BYTES>() else { return false };
        if RECYCLED_TYPES.contains(&header[6]) {
            return true;
        }
        let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
        if payload.len() < length {
            return fits_with_another_length(header, payload);
        }
        if HEADER_BYTES + length > left_in_block {
            // RocksDB refuses such a record, so it needs no telling apart.
            return false;
        }
        rest = &payload[length..];
        left_in_block -= HEADER_BYTES + length;
    }
}

/// Whether putting one byte of the length right makes the checksum fit.
fn fits_with_another_length(header: &[u8; HEADER_BYTES], payload: &[u8]) -> bool {
    let [c0, c1, c2, c3, low, high, kind] = *header;
    let wanted = u32::from_le_bytes([c0, c1, c2, c3]);
    let lengths = (0..=u8::MAX).flat_map(|byte| [[byte, high], [low, byte]]);
    lengths.map(u16::from_le_bytes).any(|length| {
        payload.get(..usize::from(length)).is_some_and(|payload| checksum(kind, payload) == wanted)
    })
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload).rotate_right(15).wrapping_add(MASK_DELTA)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap();
        let mut bytes = checksum(1, payload).to_le_bytes().to_vec();
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.push(1);
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn a_log_cut_anywhere_is_torn_and_one_with_a_longer_length_is_altered() {
        let log = [record(b"the first"), record(&[99; 600]), record(b"the last")].concat();
        for end in 0..=log.len() {
            assert!(!is_altered(&log[..end]), "cut at {end}");
        }
        let lengths = [(4, 9), (16 + 4, 600), (16 + 607 + 4, 8usize)];
        for (at, length) in lengths {
            assert_eq!(usize::from(u16::from_le_bytes([log[at], log[at + 1]])), length);
            for (byte, flip) in [(at, 0x80u8), (at + 1, 0x04), (at + 1, 0x80)] {
                let mut altered = log.clone();
                altered[byte] ^= flip;
                let reaches = usize::from(u16::from_le_bytes([altered[at], altered[at + 1]]));
                let is_beyond = at + 3 + reaches > log.len();
                assert_eq!(is_altered(&altered), is_beyond, "byte {byte} ^ {flip}");
            }
        }
    }

    #[test]
    fn a_record_on_which_the_database_would_stay_for_ever_is_altered() {
        let log = [record(b"the first"), record(b"the second"), record(b"the last")].concat();
        for bit in 0..8 {
            let mut altered = log.clone();
            altered[16 + 6] ^= 1 << bit;
            assert_eq!(is_altered(&altered), RECYCLED_TYPES.contains(&(1 ^ (1 << bit))), "bit {bit}");
        }
    }

    #[test]
    fn blocks_are_padded_where_no_header_fits() {
        let first = record(&vec![1; BLOCK_BYTES - HEADER_BYTES - 5]);
        let mut log = [first, vec![0; 5], record(b"in the second block")].concat();
        assert!(!is_altered(&log));
        log[BLOCK_BYTES + 5] ^= 0x40;
        assert!(is_altered(&log));
    }
}
