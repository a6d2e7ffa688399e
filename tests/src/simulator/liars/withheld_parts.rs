//! A proposer that announces its block and keeps the parts to itself, or shows them to one or two others.

use super::super::frame::Frame;
use super::super::host::Host;
use super::Liar;
use super::forge;

pub struct WithheldParts;

impl Liar for WithheldParts {
    fn say(&mut self, host: &mut Host, to: usize, frame: &Frame) -> Vec<Frame> {
        match forge::as_first_part(host, frame) {
            // At every third height nobody sees it, then one does, then two do.
            Some((manifest, _)) if to as u64 >= manifest.height.0 % 3 => Vec::new(),
            _ => vec![frame.clone()],
        }
    }
}
