//! Changing inputs repeatably: what the bounded runs try beside the corpus. libFuzzer has better mutations and coverage
//! to guide them; these need nothing and are the same on every machine.

use crate::simulator::random::Random;

use super::INPUT_BYTES_MAX;

/// Bytes and words at which decoders turn.
const INTERESTING: [u64; 10] = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// An input made from one of the corpus, and at times spliced with another.
///
/// # Panics
/// When the corpus is empty.
pub fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = corpus[random.position(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.position(bytes.len().max(1));
        match random.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.word().to_le_bytes()[0],
            2 => bytes.truncate(at),
            3 if !bytes.is_empty() => {
                let end = (at + 1 + random.position(16)).min(bytes.len());
                drop(bytes.drain(at..end));
            }
            4 => {
                let inserted = random.bytes();
                let length = random.position(16);
                bytes.splice(at.min(bytes.len())..at.min(bytes.len()), inserted[..length].iter().copied());
            }
            5 => overwrite(&mut bytes, at, random),
            6 if !bytes.is_empty() => {
                let end = (at + 1 + random.position(32)).min(bytes.len());
                let copied = bytes[at..end].to_vec();
                let to = random.position(bytes.len());
                bytes.splice(to..to, copied);
            }
            _ => {
                let other = &corpus[random.position(corpus.len())];
                let from = random.position(other.len().max(1)).min(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

/// Writes a word of one, two, four or eight bytes at which decoders turn.
fn overwrite(bytes: &mut [u8], at: usize, random: &mut Random) {
    let word = INTERESTING[random.position(INTERESTING.len())].to_le_bytes();
    let width = 1usize << random.below(4);
    for (byte, new) in bytes.iter_mut().skip(at).zip(&word[..width]) {
        *byte = *new;
    }
}
