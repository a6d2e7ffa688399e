//! A strict reading of the engine's log of votes, before the engine opens it.
//!
//! The engine cuts its log off at the first entry that it cannot read, and empties it when it stands at another height
//! than the ledger. Both forget votes that were sent, and a validator that forgets may sign another vote for the same
//! round. So the log is read here first; what [`crate::voting`] makes of it decides whether the node may vote.
//!
//! The format is the engine's: version (4 bytes, big endian), height (8 bytes), then entries of compression flag
//! (1 byte), length (8 bytes), CRC-32 (4 bytes) and data.

use std::path::Path;

use arc_malachitebft_app_channel::app::engine::wal::decode_entry;
use arc_malachitebft_core_consensus::Input;
use yilian_local::durable::{self, FileError};
use yilian_spec::base::height::Height;

use super::codec::LedgerCodec;
use super::context::LedgerContext;
use crate::base::limits::VOTE_LOG_BYTES_MAX;

const VERSION: u32 = 1;
const HEADER_BYTES: usize = 12;
const ENTRY_HEADER_BYTES: usize = 13;

/// What the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VoteLog {
    /// There is none.
    Absent,
    /// Every entry is as it was written.
    Intact {
        /// The height that the node was deciding.
        height: Height,
        /// The height of the votes, if there are any; the height before while the engine was moving on.
        votes: Option<Height>,
        /// How many entries there are.
        entries: usize,
    },
    /// It cannot be told what the node has signed.
    Damaged {
        /// What is wrong.
        reason: String,
    },
}

/// Reads the log at `path`, and changes nothing. An entry that was being written when the process ended does not
/// count: the engine sends a vote only when its entry has reached the disk.
///
/// # Errors
/// When the file cannot be read.
pub fn read(path: &Path) -> Result<VoteLog, FileError> {
    match durable::read(path, VOTE_LOG_BYTES_MAX) {
        Ok(bytes) => Ok(parse(&bytes).unwrap_or_else(|reason| VoteLog::Damaged { reason })),
        Err(FileError::Absent { .. }) => Ok(VoteLog::Absent),
        Err(FileError::TooLarge { bytes_max, .. }) => {
            Ok(VoteLog::Damaged { reason: format!("it has more than {bytes_max} bytes") })
        }
        Err(error) => Err(error),
    }
}

/// The bytes of a log without entries, as the engine writes them.
pub fn empty(height: Height) -> Vec<u8> {
    [VERSION.to_be_bytes().as_slice(), &height.0.to_be_bytes()].concat()
}

fn parse(bytes: &[u8]) -> Result<VoteLog, String> {
    let (header, mut rest) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or_else(|| format!("it has {} bytes, its head alone has {HEADER_BYTES}", bytes.len()))?;
    let [v0, v1, v2, v3, height @ ..] = *header;
    let (version, height) = (u32::from_be_bytes([v0, v1, v2, v3]), Height(u64::from_be_bytes(height)));
    if version != VERSION {
        return Err(format!("its version is {version}, this program reads {VERSION}"));
    }
    let mut votes = None;
    let mut index = 0;
    while let Some((data, next)) = entry(rest).map_err(|reason| format!("entry {index}: {reason}"))? {
        if let Some(of) = entry_height(data).map_err(|reason| format!("entry {index}: {reason}"))? {
            let is_near = of == height || of.next() == height;
            if !is_near || votes.is_some_and(|votes| votes != of) {
                return Err(format!("entry {index} is of height {of} in a log of height {height}"));
            }
            votes = Some(of);
        }
        (rest, index) = (next, index + 1);
    }
    Ok(VoteLog::Intact { height, votes, entries: index })
}

/// An entry's data, and what follows it.
type Entry<'a> = (&'a [u8], &'a [u8]);

/// The next entry; `None` at the end, also in the middle of an entry that was being written.
fn entry(rest: &[u8]) -> Result<Option<Entry<'_>>, String> {
    let Some((header, data)) = rest.split_first_chunk::<ENTRY_HEADER_BYTES>() else { return Ok(None) };
    let [flag, l0, l1, l2, l3, l4, l5, l6, l7, c0, c1, c2, c3] = *header;
    if flag != 0 {
        return Err(format!("its first byte is {flag}, which stands for nothing that this program writes"));
    }
    let length = [l0, l1, l2, l3, l4, l5, l6, l7];
    let wanted = u32::from_be_bytes([c0, c1, c2, c3]);
    let whole =
        usize::try_from(u64::from_be_bytes(length)).ok().and_then(|length| data.split_at_checked(length));
    match whole {
        Some((data, next)) if crc32fast::hash(data) == wanted => Ok(Some((data, next))),
        Some(_) => Err("its checksum does not fit".to_owned()),
        // A whole entry whose length was altered is not one that was being written.
        None if fits_with_another_length(length, data, wanted) => Err("its length was altered".to_owned()),
        None => Ok(None),
    }
}

/// Whether putting one byte of the length right makes the checksum fit.
fn fits_with_another_length(length: [u8; 8], data: &[u8], wanted: u32) -> bool {
    let candidates = (0..length.len()).flat_map(|place| {
        (0..=u8::MAX).map(move |byte| {
            let mut candidate = length;
            candidate[place] = byte;
            u64::from_be_bytes(candidate)
        })
    });
    candidates
        .filter_map(|candidate| data.get(..usize::try_from(candidate).ok()?))
        .any(|data| crc32fast::hash(data) == wanted)
}

/// The height of what an entry holds; timeouts have none.
fn entry_height(data: &[u8]) -> Result<Option<Height>, String> {
    let input: Input<LedgerContext> = decode_entry(&LedgerCodec, data).map_err(|error| error.to_string())?;
    Ok(match input {
        Input::Vote(vote) => Some(vote.height.ledger()),
        Input::Proposal(proposal) => Some(proposal.height.ledger()),
        Input::ProposedValue(value, _) => Some(value.height.ledger()),
        Input::PolkaCertificate(certificate) => Some(certificate.height.ledger()),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
