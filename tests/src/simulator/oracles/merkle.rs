//! Roots and heads of logs straight from their definition (rules M-1 to M-3), by recursion over all leaves.

use sha2::{Digest, Sha256};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// Rule M-1.
pub fn leaf(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// Rule M-2: the root of these leaves.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [one] => *one,
        _ => {
            // The largest power of two below the number of leaves.
            let split = 1 << (leaves.len() - 1).ilog2();
            let (left, right) = leaves.split_at(split);
            sha256(&[&[1], &root(left), &root(right)])
        }
    }
}

/// Rule M-3: the bytes of the head of a log with these leaves.
pub fn head(leaves: &[Hash]) -> Vec<u8> {
    let mut peaks = Vec::new();
    let mut rest = leaves;
    while let Some(bits) = rest.len().checked_ilog2() {
        let (subtree, right) = rest.split_at(1 << bits);
        peaks.push(root(subtree));
        rest = right;
    }
    let mut bytes = (leaves.len() as u64).to_le_bytes().to_vec();
    bytes.extend((peaks.len() as u64).to_le_bytes());
    bytes.extend(peaks.concat());
    bytes
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_protocols_third_chapter_comes_out() {
        let leaves = [leaf(b"a"), leaf(b"b"), leaf(b"c")];
        assert_eq!(
            hex::encode(leaves[0]),
            "022a6979e6dab7aa5ae4c3e5e45f7e977112a7e63593820dbec1ec738a24f93c"
        );
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "022a6979e6dab7aa5ae4c3e5e45f7e977112a7e63593820dbec1ec738a24f93c",
            "b137985ff484fb600db93107c77b0365c80d78f5b429ded0fd97361d077999eb",
            "36642e73c2540ab121e3a6bf9545b0a24982cd830eb13d3cd19de3ce6c021ec1",
        ];
        for (length, expected) in roots.iter().enumerate() {
            assert_eq!(hex::encode(root(&leaves[..length])), *expected);
        }
        let peaks = [root(&leaves[..2]), leaves[2]].concat();
        assert_eq!(head(&leaves), [&[3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0], &peaks[..]].concat());
        assert_eq!(head(&[]), [0; 16]);
    }
}
