//! Reading choices from bytes: what is left out reads as zero, so that every input means something.

/// Bytes that are consumed as choices.
#[derive(Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of the bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            None => 0,
            Some((first, rest)) => {
                self.rest = rest;
                *first
            }
        }
    }

    /// The next eight bytes, little endian.
    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Up to `length` bytes.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A position below `length`, which is 1 to 256.
    pub fn position(&mut self, length: usize) -> usize {
        usize::from(self.byte()) % length
    }

    /// One of the elements; there is at least one.
    pub fn of<T: Copy>(&mut self, elements: &[T]) -> T {
        elements[self.position(elements.len())]
    }

    /// A yes in one of `times` bytes.
    pub fn one_in(&mut self, times: u8) -> bool {
        self.byte() % times == times - 1
    }
}
