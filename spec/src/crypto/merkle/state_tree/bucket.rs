//! Buckets: how the leaves are grouped for storage (rule M-11), and the seam to the store.

use std::collections::BTreeMap;

use crate::crypto::merkle::NodeHash;

/// Most leaves of a bucket; one more divides it. A larger bound means fewer hashes in memory (about 112 bytes per
/// bucket) and more bytes written per changed key (96 per leaf in the bucket); measured by
/// `spec/benches/state_tree.rs`.
pub const BUCKET_LEAVES_MAX: usize = 16;

/// Two sibling buckets that together hold no more leaves than this become one. Well below the upper bound, so that
/// adding and removing one key does not divide and join a bucket each time.
pub const BUCKET_LEAVES_JOIN: usize = 4;

/// Greatest depth of a bucket; one that is this deep does not divide. Random keys come nowhere near (a million
/// million keys end around depth 36).
pub const BUCKET_DEPTH_MAX: u8 = 48;

/// Bytes of an encoded [`BucketId`].
pub const BUCKET_ID_BYTES: usize = 7;

const _: () = assert!(BUCKET_LEAVES_JOIN >= 1, "an inner node must keep at least two keys below it");
const _: () = assert!(BUCKET_LEAVES_JOIN * 2 <= BUCKET_LEAVES_MAX, "joining and dividing must not alternate");
const _: () = assert!(BUCKET_DEPTH_MAX <= 48, "a prefix is encoded in six bytes");

/// The place of a bucket: all keys that begin with the first `depth` bits of `prefix`. Ordered from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketId {
    /// The bits, from the most significant of 48 down; zero beyond `depth`.
    prefix: u64,
    depth: u8,
}

impl BucketId {
    /// The bucket of all keys.
    pub const ROOT: Self = Self { prefix: 0, depth: 0 };

    /// Bits that the keys of this bucket share, 0 to 48.
    pub const fn depth(&self) -> u8 {
        self.depth
    }

    /// The half of this bucket whose next bit is `right`. Only below [`BUCKET_DEPTH_MAX`].
    pub(super) fn child(self, right: bool) -> Self {
        debug_assert!(self.depth < BUCKET_DEPTH_MAX);
        Self { prefix: self.prefix | u64::from(right) << (47 - self.depth), depth: self.depth + 1 }
    }

    /// Whether a key hash belongs here.
    pub fn holds(&self, key: &NodeHash) -> bool {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&key[..6]);
        let shift = 48 - u32::from(self.depth);
        (u64::from_be_bytes(bytes) ^ self.prefix) >> shift == 0
    }

    /// Whether this bucket lies in the right half below `depth`.
    pub(super) fn bit(&self, depth: u8) -> bool {
        self.prefix >> (47 - depth) & 1 == 1
    }

    /// The row's key: six bytes of prefix, one of depth, so that rows sort from left to right (rule M-11).
    pub fn to_bytes(self) -> [u8; BUCKET_ID_BYTES] {
        let mut bytes = [0; BUCKET_ID_BYTES];
        bytes[..6].copy_from_slice(&self.prefix.to_be_bytes()[2..]);
        bytes[6] = self.depth;
        bytes
    }

    /// Reads a row's key; `None` if it is not the key of a bucket.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; BUCKET_ID_BYTES] = bytes.try_into().ok()?;
        let depth = bytes[6];
        let mut prefix = [0; 8];
        prefix[2..].copy_from_slice(&bytes[..6]);
        let prefix = u64::from_be_bytes(prefix);
        let beyond = u64::MAX >> 16 >> depth.min(BUCKET_DEPTH_MAX);
        (depth <= BUCKET_DEPTH_MAX && prefix & beyond == 0).then_some(Self { prefix, depth })
    }
}

/// Where bucket rows are kept.
pub trait BucketStore {
    /// Why a read may fail.
    type Error;

    /// The row of a bucket as the last durable update left it.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, id: BucketId) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Reads the row of a bucket in place. A store that can lend or pin a row does so here and saves the copy, about a
    /// microsecond of an update per key.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn with_row<T>(&self, id: BucketId, read: impl FnOnce(Option<&[u8]>) -> T) -> Result<T, Self::Error> {
        self.get(id).map(|row| read(row.as_deref()))
    }
}

/// Rows to write (`Some`) and to delete (`None`), from left to right.
pub type BucketRows = BTreeMap<BucketId, Option<Vec<u8>>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_encode_and_decode_strictly() {
        let mut id = BucketId::ROOT;
        for depth in 0..=BUCKET_DEPTH_MAX {
            assert_eq!(id.depth(), depth);
            assert_eq!(BucketId::from_bytes(&id.to_bytes()), Some(id));
            if depth < BUCKET_DEPTH_MAX {
                id = id.child(depth % 3 == 0);
                assert_eq!(id.bit(depth), depth % 3 == 0);
            }
        }
        assert_eq!(BucketId::from_bytes(&[0, 0, 0, 0, 0, 0, 49]), None, "too deep");
        assert_eq!(BucketId::from_bytes(&[0, 0, 0, 0, 0, 1, 47]), None, "a bit beyond the depth");
        assert_eq!(BucketId::from_bytes(&[0x80, 0, 0, 0, 0, 0, 0]), None, "a bit beyond the depth");
        assert_eq!(BucketId::from_bytes(&[0; 6]), None);
        assert_eq!(BucketId::from_bytes(&[0; 8]), None);
    }

    #[test]
    fn a_bucket_holds_the_keys_with_its_prefix() {
        let id = BucketId::ROOT.child(true).child(false).child(true);
        assert_eq!(id.to_bytes(), [0xa0, 0, 0, 0, 0, 0, 3]);
        assert!(id.holds(&[0xbf; 32]) && id.holds(&[0xa0; 32]));
        assert!(!id.holds(&[0xc0; 32]) && !id.holds(&[0x9f; 32]));
        assert!(BucketId::ROOT.holds(&[0xff; 32]));
    }
}
