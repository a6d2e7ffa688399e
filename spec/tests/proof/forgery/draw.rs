//! The draws of one attempt, all from its kind and number.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use yilian_spec::crypto::merkle::NodeHash;

/// A stream of draws.
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// The draws of attempt `number` of a kind.
    pub fn of_attempt(kind: &str, number: u64) -> Self {
        let mut seed = [0; 32];
        let name = kind.as_bytes();
        seed[..name.len()].copy_from_slice(name);
        seed[24..].copy_from_slice(&number.to_le_bytes());
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.0.next_u32() as usize) % end
    }

    /// True one time in `times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// How often an attempt is bent: mostly once, so that one bend is not hidden behind another.
    pub fn bends(&mut self) -> usize {
        if self.one_in(3) { 2 + self.below(2) } else { 1 }
    }

    /// One of the elements.
    pub fn of<'a, T>(&mut self, elements: &'a [T]) -> &'a T {
        &elements[self.below(elements.len())]
    }

    /// A size up to `max`, often at or beside a power of two, where proofs change their form.
    pub fn size(&mut self, max: usize) -> usize {
        if self.one_in(2) {
            return 1 + self.below(max);
        }
        let near =
            (1usize << self.below(usize::BITS as usize - max.leading_zeros() as usize)) + self.below(3);
        near.saturating_sub(1).clamp(1, max)
    }

    /// Bends a list of hashes in one of the ways that need no knowledge of what they mean; `others` are hashes that
    /// stand elsewhere in the same structure.
    pub fn bend_path(&mut self, path: &mut Vec<NodeHash>, others: &[NodeHash]) {
        let at = self.below(path.len().max(1));
        match self.below(16) {
            0 if !path.is_empty() => drop(path.remove(at)),
            1 => path.truncate(at),
            2 if !path.is_empty() => path.insert(at, path[at]),
            3 => path.insert(at, *self.of(others)),
            4 | 5 if path.len() > 1 => {
                let next = (at + 1) % path.len();
                path.swap(at, next);
            }
            6 | 7 if path.len() > 1 => {
                let other = self.below(path.len());
                path.swap(at, other);
            }
            8..12 if !path.is_empty() => path[at] = *self.of(others),
            _ if !path.is_empty() => path[at][self.below(32)] ^= 1 << self.below(8),
            _ => path.push(*self.of(others)),
        }
    }
}
