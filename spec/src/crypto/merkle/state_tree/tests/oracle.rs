//! The root by its definition (rule M-8): recursion over a sorted map with the plain hasher. Shares no code with the
//! tree.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::super::{KeyHash, ValueHash};

type Entry<'a> = (&'a KeyHash, &'a ValueHash);

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

/// The root of the tree with exactly these entries.
pub fn root(map: &BTreeMap<KeyHash, ValueHash>) -> [u8; 32] {
    subtree(&map.iter().collect::<Vec<_>>(), 0)
}

fn subtree(entries: &[Entry<'_>], depth: usize) -> [u8; 32] {
    match entries {
        [] => [0; 32],
        [(key, value)] => sha256(&[&[2], &key.0, &value.0]),
        _ => {
            let is_right = |entry: &&Entry<'_>| entry.0.0[depth / 8] & (128 >> (depth % 8)) != 0;
            let right: Vec<_> = entries.iter().filter(is_right).copied().collect();
            let left: Vec<_> = entries.iter().filter(|entry| !is_right(entry)).copied().collect();
            sha256(&[&[3], &subtree(&left, depth + 1), &subtree(&right, depth + 1)])
        }
    }
}
