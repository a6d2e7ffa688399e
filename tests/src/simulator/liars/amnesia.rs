//! A validator that starts again without its log of votes and votes at once: what decision 0014 forbids.

use super::Liar;

pub struct Amnesia;

impl Liar for Amnesia {
    fn forgets_votes(&self) -> bool {
        true
    }
}
