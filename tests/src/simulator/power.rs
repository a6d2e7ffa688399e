//! A node's power: it can go between any two acts that the disk or the network sees.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct State {
    acts: u64,
    /// Acts left before it goes; `None` while it stays.
    acts_left: Option<u64>,
    gone: bool,
}

/// The power of one life of a node. Copies are the same.
#[derive(Clone, Debug, Default)]
pub struct Power(Arc<Mutex<State>>);

impl Power {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one durable or visible act; false when the power has gone before it, so that it does not happen.
    pub fn act(&self) -> bool {
        let mut state = self.state();
        match &mut state.acts_left {
            Some(0) => state.gone = true,
            Some(left) => *left -= 1,
            None => {}
        }
        state.acts += u64::from(!state.gone);
        !state.gone
    }

    /// It goes after so many more acts, unless that is settled already.
    ///
    /// Returns whether it was not.
    pub fn cut_after(&self, acts: u64) -> bool {
        let mut state = self.state();
        let is_new = state.acts_left.is_none();
        if is_new {
            state.acts_left = Some(acts);
        }
        is_new
    }

    /// Whether it has gone: nothing after that happened.
    pub fn is_gone(&self) -> bool {
        self.state().gone
    }

    /// Acts so far.
    pub fn acts(&self) -> u64 {
        self.state().acts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_once_after_as_many_acts_as_were_said_first() {
        let power = Power::default();
        assert!(power.act());
        assert!(power.cut_after(2) && !power.cut_after(0));
        assert!(power.act() && power.act() && !power.is_gone());
        assert!(!power.act() && power.is_gone() && !power.act());
        assert_eq!(power.acts(), 3);
    }
}
