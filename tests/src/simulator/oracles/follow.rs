//! The oracles beside a run: which node's disk they look at, and when.

use yilian_spec::base::height::Height;

use super::Oracles;
use crate::simulator::checker::Violation;
use crate::simulator::node::Node;

impl Oracles {
    /// A node may have committed something. Where it is the first with a height, the oracles take the blocks over and
    /// look at its disk.
    ///
    /// # Errors
    /// When something is not as it must be, or the node's disk cannot be read.
    pub fn follow(&mut self, index: usize, node: &Node) -> Result<(), Violation> {
        let Some(machine) = &node.machine else { return Ok(()) };
        let reader = &machine.host.reader;
        // A node that lost its power between writing a block and publishing it is looked at when it is up again.
        if reader.tip().tip.height <= self.height {
            return Ok(());
        }
        let stopped = |reason: String| Violation::Stopped { node: index, reason };
        let blocks = node.blocks(self.height.next()).map_err(|error| stopped(error.0))?;
        let found = |finding| Violation::Oracle { node: index, finding };
        blocks.iter().try_for_each(|block| self.block(block)).map_err(found)?;
        self.check_touched(reader.tables().0).map_err(found)
    }

    /// The run is over, and a node holds what all hold: everything on its disk is looked at.
    ///
    /// # Errors
    /// When something is not as it must be.
    pub fn at_the_end(&self, index: usize, node: &Node) -> Result<(), Violation> {
        let Some(machine) = &node.machine else { return Ok(()) };
        let reader = &machine.host.reader;
        let held: Height = reader.tip().tip.height;
        if held != self.height {
            return Err(Violation::Forgotten { node: index, committed: self.height, held });
        }
        let found = |finding| Violation::Oracle { node: index, finding };
        self.check_all(reader.tables().0).map_err(found)
    }
}
