//! A node's log of votes, as a disk would hold it: what was flushed survives a loss of power, what was only appended
//! survives in part.

use arc_malachitebft_core_consensus::Input;
use yilian_node::consensus::context::LedgerContext;
use yilian_spec::base::height::Height;

use super::random::Random;

/// The log of one height; a new height begins a new one, as in the engine.
#[derive(Clone, Default)]
pub struct VoteLog {
    height: Option<Height>,
    flushed: Vec<Input<LedgerContext>>,
    appended: Vec<Input<LedgerContext>>,
}

impl VoteLog {
    /// Begins a height. Gives back what was logged for it before, if the node was in it when it went down.
    pub fn begin(&mut self, height: Height) -> Vec<Input<LedgerContext>> {
        self.flush();
        if self.height != Some(height) {
            *self = Self { height: Some(height), ..Self::default() };
        }
        self.flushed.clone()
    }

    /// Appends an entry; one of another height is ignored.
    pub fn append(&mut self, height: Height, entry: Input<LedgerContext>) {
        if self.height == Some(height) {
            self.appended.push(entry);
        }
    }

    /// What was appended reaches the disk.
    pub fn flush(&mut self) {
        self.flushed.append(&mut self.appended);
    }

    /// Whether a flush has something to write.
    pub fn is_dirty(&self) -> bool {
        !self.appended.is_empty()
    }

    /// The height it is for; `None` before the first.
    pub fn height(&self) -> Option<Height> {
        self.height
    }

    /// The power goes: of what was appended and not flushed, some may have reached the disk, in order.
    pub fn lose_power(&mut self, random: &mut Random) {
        self.appended.truncate(random.position(self.appended.len() + 1));
        self.flush();
    }
}
