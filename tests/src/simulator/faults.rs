//! The fault model: every fault that a run can meet, by name, with its bounds. `SIM_FAULTS=loss,crash` injects only those.

use std::collections::BTreeSet;

/// A fault. What each run meets of it is drawn from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Up to 80 messages in a thousand are lost.
    Loss,
    /// Up to 80 messages in a thousand arrive twice.
    Duplication,
    /// Messages take up to 280 ms and overtake each other; without it each takes the same time.
    Delay,
    /// Up to three cuts between nodes, one way or both, of up to 5 s.
    Partition,
    /// Up to five losses of power of one node, and in every third run one of all nodes, after any act.
    Crash,
    /// Clocks stand up to 1 s from the true time.
    ClockSkew,
    /// Up to three clocks jump, forward or back, within 1 s of the true time.
    ClockJump,
    /// The power goes in the middle of a batch of the ledger, which is then not there: at most once.
    TornWrite,
    /// A ledger's disk refuses all writes for up to 3 s: at most once. The node stops, and is started until it stays up.
    FullDisk,
    /// Each batch of a node takes up to 200 ms, for up to 4 s: at most twice.
    SlowDisk,
    /// A node loses its disk, ledger and log of votes, and comes back with an empty one: at most one node, once. A validator
    /// then follows without its key for as long as decision 0014 asks.
    LostDisk,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 11] = [
        Self::Loss,
        Self::Duplication,
        Self::Delay,
        Self::Partition,
        Self::Crash,
        Self::ClockSkew,
        Self::ClockJump,
        Self::TornWrite,
        Self::FullDisk,
        Self::SlowDisk,
        Self::LostDisk,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Duplication => "duplication",
            Self::Delay => "delay",
            Self::Partition => "partition",
            Self::Crash => "crash",
            Self::ClockSkew => "clock-skew",
            Self::ClockJump => "clock-jump",
            Self::TornWrite => "torn-write",
            Self::FullDisk => "full-disk",
            Self::SlowDisk => "slow-disk",
            Self::LostDisk => "lost-disk",
        }
    }
}

/// The faults of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSet(BTreeSet<Fault>);

impl Default for FaultSet {
    /// All of them.
    fn default() -> Self {
        Self(Fault::ALL.into_iter().collect())
    }
}

impl FaultSet {
    /// The faults of a list of names, separated by commas.
    ///
    /// # Errors
    /// The first name that is no fault's, with those that are.
    pub fn parse(names: &str) -> Result<Self, String> {
        let fault = |name: &str| {
            let known: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
            let found = Fault::ALL.into_iter().find(|fault| fault.name() == name);
            found.ok_or_else(|| format!("there is no fault {name:?}; the faults are {}", known.join(", ")))
        };
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(fault).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a fault is among them.
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name_and_no_other_name_is_taken() {
        for fault in Fault::ALL {
            let set = FaultSet::parse(fault.name()).unwrap();
            assert!(Fault::ALL.into_iter().all(|other| set.has(other) == (other == fault)));
        }
        let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(FaultSet::parse(&names.join(", ")).unwrap(), FaultSet::default());
        assert!(FaultSet::parse("loss,los").unwrap_err().contains("torn-write"));
    }
}
