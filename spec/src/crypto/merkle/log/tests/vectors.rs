//! Vectors that others made: transparency-dev's proofs, and the worked examples of the written protocol.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::*;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/merkle-proof-vectors");

/// All vector files below a folder; `None`, with a word, where the data set is absent.
fn files(folder: &str) -> Option<Vec<PathBuf>> {
    let root = Path::new(VECTORS).join(folder);
    if !root.is_dir() {
        println!("skipped: {} is absent", root.display());
        return None;
    }
    let mut pending = vec![root];
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.push(path);
        }
    }
    files.sort();
    Some(files)
}

fn number(vector: &Value, name: &str) -> u64 {
    vector[name].as_u64().unwrap()
}

/// A hash, or `None` where the vector gives another length: such a value cannot even be held here.
fn hash(value: &Value) -> Option<NodeHash> {
    STANDARD.decode(value.as_str().unwrap()).unwrap().try_into().ok()
}

fn path(vector: &Value) -> Option<Vec<NodeHash>> {
    vector["proof"].as_array().map_or(Some(Vec::new()), |hashes| hashes.iter().map(hash).collect())
}

/// Runs `accepts` over a folder's vectors and compares with what each one wants. `unrepresentable` of those that want
/// to be accepted have hashes that are not 32 bytes long, which this crate's types cannot even hold.
fn run(folder: &str, count: usize, unrepresentable: usize, accepts: impl Fn(&Value) -> Option<bool>) {
    let Some(files) = files(folder) else { return };
    assert_eq!(files.len(), count);
    let (mut accepted, mut other_lengths) = (0, 0);
    for file in files {
        let vector: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let wanted = !vector["wantErr"].as_bool().unwrap();
        match accepts(&vector) {
            None => other_lengths += usize::from(wanted),
            Some(verdict) => assert_eq!(verdict, wanted, "{}", file.display()),
        }
        accepted += usize::from(accepts(&vector) == Some(true));
    }
    assert_eq!(other_lengths, unrepresentable);
    assert!(accepted > 0, "no vector of {folder} was accepted");
}

#[test]
fn inclusion() {
    run("inclusion", 98, 0, |vector| {
        let (index, size) = (number(vector, "leafIdx"), number(vector, "treeSize"));
        let (leaf, root) = (hash(&vector["leafHash"])?, hash(&vector["root"])?);
        Some(verify_inclusion(&leaf, index, size, &path(vector)?, &root).is_ok())
    });
}

#[test]
fn consistency() {
    run("consistency", 98, 1, |vector| {
        let (old, new) = (number(vector, "size1"), number(vector, "size2"));
        let (old_root, new_root) = (hash(&vector["root1"])?, hash(&vector["root2"])?);
        Some(verify_consistency(old, new, &path(vector)?, &old_root, &new_root).is_ok())
    });
}

/// A subtree `[start, end)` is a log of its own once it starts at a multiple of its rounded-up length.
#[test]
fn subtree_inclusion() {
    run("subtreeinclusion", 204, 0, |vector| {
        let (index, start, end) = (number(vector, "leafIdx"), number(vector, "start"), number(vector, "end"));
        let (leaf, root) = (hash(&vector["leafHash"])?, hash(&vector["root"])?);
        let path = path(vector)?;
        let length = end.saturating_sub(start);
        let aligned = length.checked_next_power_of_two().is_some_and(|width| start.is_multiple_of(width));
        let inside = length > 0 && index >= start;
        Some(aligned && inside && verify_inclusion(&leaf, index - start, length, &path, &root).is_ok())
    });
}
